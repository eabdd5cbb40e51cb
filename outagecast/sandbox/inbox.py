"""The inbox page: every mailbox and phone as its owner sees it. It needs no JavaScript; with it, it moves by itself."""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from itertools import islice
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import aiohttp
from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from outagecast.sandbox.callbacks import Write
from outagecast.sandbox.clock import SandboxClock
from outagecast.sandbox.journal import Journal
from outagecast.sandbox.mail import raw_of, read_mail
from outagecast.sandbox.people import People, Person
from outagecast.sandbox.phones import Phones
from outagecast.sandbox.reading import MAILS_PER_PAGE, links, number, one_click_url, path, threads
from outagecast.sandbox.settings import SandboxSettings
from outagecast.sandbox.store import MAIL, PHONE, Box, Store

BOXES_PER_PAGE = 40
TEXTS_PER_PAGE = 60
STATIC = {"inbox.css": "text/css", "inbox.js": "text/javascript"}
# The mail's own page: its styles yes, scripts and anything from elsewhere no. A srcdoc frame would inherit the inbox's
# stricter policy and lose the mail's inline styles.
MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the list of addresses."""

    box: Box
    people: tuple[Person, ...]
    here: bool


class Inbox:
    def __init__(
        self,
        settings: SandboxSettings,
        clock: SandboxClock,
        journal: Journal,
        store: Store,
        phones: Phones,
        people: People,
        write: Write,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._journal = journal
        self._store = store
        self._phones = phones
        self._people = people
        self._write = write
        self._zone = ZoneInfo(settings.timezone)
        self._closing = asyncio.Event()
        pages = PackageLoader("outagecast.sandbox", "pages")
        self._pages = Environment(loader=pages, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
        self._pages.filters |= {"when": self._when, "links": links, "path": path, "number": number}
        self._static = {name: files("outagecast.sandbox").joinpath("pages", name).read_bytes() for name in STATIC}

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.get("/", self._front),
            web.get("/mailbox/{address}", self._mailbox),
            web.get("/phone/{address}", self._phone),
            web.post("/phone/{address}/answer", self._answer),
            web.get("/mail/{number:[0-9]{1,12}}/html", self._html),
            web.get("/mail/{number:[0-9]{1,12}}/raw", self._raw),
            web.post("/mail/{number:[0-9]{1,12}}/unsubscribe", self._unsubscribe),
            web.get("/events", self._events),
            web.get("/static/{name}", self._file),
        ]

    def close(self) -> None:
        """End the event streams, so that the server need not wait for them."""
        self._closing.set()

    # pages

    async def _front(self, request: web.Request) -> web.Response:
        return self._page(request, "front.html", None)

    async def _mailbox(self, request: web.Request) -> web.Response:
        box = self._box(MAIL, request)
        page = _page_number(request)
        mails = list(threads(box, self._journal, page)) if box is not None else []
        return self._page(
            request,
            "mailbox.html",
            box,
            address=request.match_info["address"],
            mails=mails,
            page=page,
            older=box is not None and len(box.mails) > (page + 1) * MAILS_PER_PAGE,
            unsubscribed=request.query.get("unsubscribed", ""),
        )

    async def _phone(self, request: web.Request) -> web.Response:
        box = self._box(PHONE, request)
        page = _page_number(request)
        texts = box.texts if box is not None else []
        end = len(texts) - page * TEXTS_PER_PAGE
        address = request.match_info["address"]
        return self._page(
            request,
            "phone.html",
            box,
            address=address,
            texts=texts[max(end - TEXTS_PER_PAGE, 0) : max(end, 0)],
            page=page,
            older=end > TEXTS_PER_PAGE,
            stopped=any(phone == address for _, phone in self._store.opted_out),
        )

    async def _answer(self, request: web.Request) -> web.Response:
        form = await request.post()
        body = str(form.get("word") or form.get("body") or "").strip()[:1600]
        address = request.match_info["address"]
        if body:
            await self._phones.answer(address, body)
        raise web.HTTPSeeOther(f"/phone/{path(address)}#answer")

    def _page(self, request: web.Request, template: str, box: Box | None, **more: Any) -> web.Response:
        query = request.query.get("q", "").strip()[:200]
        kind = request.query.get("kind", "")
        page = _page_number(request, "list")
        rows = list(islice(self._rows(query, kind, box), page * BOXES_PER_PAGE, (page + 1) * BOXES_PER_PAGE + 1))
        address = more.get("address", "")
        words = {
            "counts": self._store.counts,
            "boxes": len(self._store.boxes),
            "rows": rows[:BOXES_PER_PAGE],
            "list_page": page,
            "list_older": len(rows) > BOXES_PER_PAGE,
            "query": query,
            "kind": kind,
            "now": self._clock.now(),
            "speed": self._clock.speed,
            "zone": self._settings.timezone,
            "last_at": next((each.last_at for each in self._store.latest_first()), None),
            "box": box,
            "people": self._people.of(address) if address else (),
            "address": "",
            "keep": {"q": query, "kind": kind},
        }
        html = self._pages.get_template(template).render(words | more)
        return web.Response(text=html, content_type="text/html")

    def _rows(self, query: str, kind: str, current: Box | None) -> Iterable[Row]:
        needle = query.casefold()
        for box in self._store.latest_first():
            if kind and box.kind != kind:
                continue
            people = self._people.of(box.address)
            if needle and needle not in _haystack(box, people):
                continue
            yield Row(box=box, people=people, here=box is current)

    # one mail

    async def _html(self, request: web.Request) -> web.Response:
        mail = read_mail(self._mail_octets(request))
        html = re.sub(r"(?i)<head[^>]*>", r'\g<0><base target="_blank">', mail.html, count=1)
        headers = {"Content-Security-Policy": MAIL_POLICY}
        return web.Response(text=html or "(no HTML part)", content_type="text/html", headers=headers)

    async def _raw(self, request: web.Request) -> web.Response:
        return web.Response(body=self._mail_octets(request), content_type="text/plain", charset="utf-8")

    async def _unsubscribe(self, request: web.Request) -> web.Response:
        """What a mail program does on one click (RFC 8058): POST `List-Unsubscribe=One-Click`, no cookies."""
        record = self._mail_record(request)
        url = one_click_url(record["headers"])
        if not url:
            raise web.HTTPNotFound(text="This mail offers no one-click unsubscribing.\n")
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
                session.post(url, data={"List-Unsubscribe": "One-Click"}, allow_redirects=False) as response,
            ):
                answer = str(response.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            answer = type(error).__name__
        self._write("unsubscribe", {"rcpt": record["rcpt"], "url": url, "answer": answer})
        raise web.HTTPSeeOther(f"/mailbox/{path(record['rcpt'])}?unsubscribed={quote(answer)}")

    def _mail_octets(self, request: web.Request) -> bytes:
        return raw_of(self._mail_record(request))

    def _mail_record(self, request: web.Request) -> dict[str, Any]:
        try:
            record = self._journal.read(int(request.match_info["number"]))
        except KeyError:
            raise web.HTTPNotFound(text="There is no such mail.\n") from None
        if record["type"] != "mail":
            raise web.HTTPNotFound(text="There is no such mail.\n")
        return record

    # what the page's script asks for

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: the store's version, twice a second at the most, and a comment every 15 s."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        seen, silent = -1, 0
        while not self._closing.is_set():
            if seen != self._store.version:
                seen, silent = self._store.version, 0
                await response.write(f"data: {seen}\n\n".encode())
            elif silent >= 30:
                silent = 0
                await response.write(b": still here\n\n")
            silent += 1
            try:
                async with asyncio.timeout(0.5):
                    await self._closing.wait()
            except TimeoutError:
                continue
        return response

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in STATIC:
            raise web.HTTPNotFound(text="There is no such file.\n")
        return web.Response(body=self._static[name], content_type=STATIC[name], charset="utf-8")

    def _box(self, kind: str, request: web.Request) -> Box | None:
        return self._store.box(kind, request.match_info["address"])

    def _when(self, moment: datetime) -> str:
        """`14:30:05 EDT`, with the date when it is not today's."""
        local, today = moment.astimezone(self._zone), self._clock.now().astimezone(self._zone).date()
        clock = f"{local:%H:%M:%S %Z}"
        return clock if local.date() == today else f"{local.day} {local:%b} {clock}"


def _haystack(box: Box, people: tuple[Person, ...]) -> str:
    names = " ".join(f"{person.name} {person.customer}" for person in people)
    return f"{box.address} {box.name} {names} {box.last_line}".casefold()


def _page_number(request: web.Request, name: str = "page") -> int:
    text = request.query.get(name, "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0
