"""Reading a mail: the quick look every arriving mail gets, and the full reading for a person or a test."""

import email
import email.policy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from typing import Any

IDS = re.compile(r"<[^<>\s]+>")


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadMail:
    """The parts of a mail, decoded: `attachments` are (file name, type, size in octets)."""

    text: str
    html: str
    attachments: tuple[tuple[str, str, int], ...]


def headers_of(raw: bytes) -> dict[str, str]:
    """Header fields by lower-case name, unfolded and decoded; the first of each name."""
    head = raw.partition(b"\r\n\r\n")[0].decode("utf-8", "surrogateescape")
    found: dict[str, str] = {}
    name = ""
    for line in head.split("\r\n"):
        if line[:1] in (" ", "\t"):
            if name:
                found[name] += " " + line.strip()
            continue
        key, colon, value = line.partition(":")
        name = key.lower() if colon and key.lower() not in found else ""
        if name:
            found[name] = value.strip()
    return {key: _decoded(value) for key, value in found.items()}


def complaints(raw: bytes, headers: Mapping[str, str], *, utf8: bool, eight_bit: bool) -> list[str]:
    """What is wrong with a mail on the wire (RFC 5321, 5322, 6152, 6531), as short words; empty is good."""
    found = [f"no {name}" for name in ("from", "date", "message-id") if name not in headers]
    if max(map(len, raw.split(b"\n"))) > 999:  # 998 octets and the CR
        found.append("line longer than 998 octets")
    ends = raw.count(b"\r\n")
    if raw.count(b"\n") != ends or raw.count(b"\r") != ends:
        found.append("bare CR or LF")
    if not raw.isascii():
        head, _, body = raw.partition(b"\r\n\r\n")
        if not utf8 and not head.isascii():
            found.append("8-bit header without SMTPUTF8")
        if not eight_bit and not body.isascii():
            found.append("8-bit body without BODY=8BITMIME")
    return found


def read_mail(raw: bytes) -> ReadMail:
    """Decode the whole mail with the standard library; never raises for what a sender wrote."""
    text = html = ""
    attachments: list[tuple[str, str, int]] = []
    for part in email.message_from_bytes(raw, policy=email.policy.compat32).walk():
        if part.is_multipart():
            continue
        kind, name = part.get_content_type(), part.get_filename()
        if name or kind not in ("text/plain", "text/html"):
            attachments.append((name or "unnamed", kind, len(_payload(part))))
        elif kind == "text/plain" and not text:
            text = _text(part)
        elif kind == "text/html" and not html:
            html = _text(part)
    return ReadMail(text=text.replace("\r\n", "\n"), html=html, attachments=tuple(attachments))


def raw_of(record: Mapping[str, Any]) -> bytes:
    """The mail's octets as they came over the wire, from its record in the log."""
    raw: str = record["raw"]
    return raw.encode("utf-8", "surrogateescape")


def thread_of(headers: Mapping[str, str]) -> str:
    """The id of the thread: the first of References, else In-Reply-To, else the mail's own id."""
    for name in ("references", "in-reply-to", "message-id"):
        ids = IDS.findall(headers.get(name, ""))
        if ids:
            return str(ids[0])
    return ""


def _decoded(value: str) -> str:
    if "=?" not in value:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, ValueError):
        return value


def _payload(part: "Message[str, str]") -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(part: "Message[str, str]") -> str:
    charset = part.get_content_charset() or "utf-8"
    try:
        return _payload(part).decode(charset, "replace")
    except LookupError:
        return _payload(part).decode("utf-8", "replace")
