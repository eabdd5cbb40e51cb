"""A mailbox as its owner reads it: mails with their parts, threads together, links to press."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup, escape

from outagecast.sandbox.journal import Journal
from outagecast.sandbox.mail import ReadMail, raw_of, read_mail
from outagecast.sandbox.store import Box, MailItem

MAILS_PER_PAGE = 15
LINK = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)]")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownMail:
    """One mail of a mailbox; `first` begins a thread's block, `latest` is its newest and shown open."""

    item: MailItem
    headers: Mapping[str, str]
    head: str
    mail: ReadMail
    complaints: tuple[str, ...]
    one_click: bool
    thread_size: int
    first: bool
    latest: bool


def threads(box: Box, journal: Journal, page: int) -> Iterable[ShownMail]:
    """The newest mails of this page, threads together, the thread with the newest mail first, oldest mail first."""
    newest = box.mails[::-1][page * MAILS_PER_PAGE : (page + 1) * MAILS_PER_PAGE]
    grouped: dict[str, list[MailItem]] = {}
    for item in newest:
        grouped.setdefault(item.thread or str(item.number), []).append(item)
    for items in grouped.values():
        for item in reversed(items):
            yield _shown(item, journal, size=len(items), first=item is items[-1], latest=item is items[0])


def links(text: str) -> Markup:
    """Plain text with its web addresses made into links."""
    parts: list[Markup | str] = []
    end = 0
    for found in LINK.finditer(text):
        url = escape(found.group())
        parts += [escape(text[end : found.start()]), Markup('<a href="{0}" target="_blank">{0}</a>').format(url)]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


def path(address: str) -> str:
    """An address as a part of a URL."""
    return quote(address, safe="@+")


def number(value: int) -> str:
    """`20,000`."""
    return f"{value:,}"


def one_click_url(headers: Mapping[str, str]) -> str:
    """Where RFC 8058 lets a mail program unsubscribe with one POST; "" when the mail does not offer it."""
    if "list-unsubscribe-post" not in headers:
        return ""
    found = re.search(r"<(https?://[^<>\s]+)>", headers.get("list-unsubscribe", ""))
    return found.group(1) if found else ""


def _shown(item: MailItem, journal: Journal, *, size: int, first: bool, latest: bool) -> ShownMail:
    record = journal.read(item.number)
    raw = raw_of(record)
    return ShownMail(
        item=item,
        headers=record["headers"],
        head=raw.partition(b"\r\n\r\n")[0].decode("utf-8", "replace").replace("\r\n", "\n"),
        mail=read_mail(raw),
        complaints=tuple(record["complaints"]),
        one_click=bool(one_click_url(record["headers"])),
        thread_size=size,
        first=first,
        latest=latest,
    )
