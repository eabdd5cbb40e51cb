"""A scripted gateway on a loopback socket: answers as told, one step a POST, and keeps what it took."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import Enum, auto

from aiohttp import web

ACCOUNT = "AC00000000000000000000000000000001"
TOKEN = "canary-token-7f3a"
SENDER = "+18595550100"


class Fault(Enum):
    NONE = auto()
    RESET = auto()  # hang up instead of answering
    HANG = auto()  # never answer
    SLOW = auto()  # the status and half a body, then silence


@dataclass(frozen=True, kw_only=True)
class Step:
    """What the next POST meets. `record`: whether the message is taken; by default if the status is 2xx."""

    status: int = 201
    code: int | None = None
    message: str = "scripted"
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None
    fault: Fault = Fault.NONE
    record: bool | None = None


@dataclass
class Gateway:
    url: str = ""
    script: deque[Step] = field(default_factory=deque)
    lists: deque[Step] = field(default_factory=deque)
    posts: list[dict[str, str]] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    records: list[dict[str, object]] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    page: int = 2
    account_status: str = "active"

    def take(self, to: str, body: str, *, at: datetime | None = None, status: str = "queued", **more: object) -> str:
        """Put a message into the list as if it had been posted; its sid."""
        sid = f"SM{len(self.records):032x}"
        created = format_datetime((at or datetime.now(UTC)).replace(microsecond=0))
        record = {"sid": sid, "to": to, "body": body, "status": status, "date_created": created, "date_sent": None}
        self.records.append(record | {"direction": "outbound-api", "error_code": None} | more)
        return sid

    async def post(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.posts.append(form)
        self.authorizations.append(request.headers.get("Authorization", ""))
        step = self.script.popleft() if self.script else Step()
        taken = step.record if step.record is not None else 200 <= step.status < 300
        record: dict[str, object] = {}
        if taken:
            self.take(form["To"], form["Body"])
            record = self.records[-1]
        return await self._answer(request, step, record)

    async def list(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        if self.lists:
            return await self._answer(request, self.lists.popleft(), {})
        found = [r for r in reversed(self.records) if r["to"] == request.query["To"]]
        if "DateSent>" in request.query:
            found = [r for r in found if r["date_sent"]]
        start = int(request.query.get("Page", "0")) * self.page
        after = request.rel_url.update_query(Page=str(start // self.page + 1))
        more = str(after) if found[start + self.page :] else None
        return web.json_response(
            {"messages": found[start : start + self.page], "next_page_uri": more, "page": 0, "page_size": self.page}
        )

    async def account(self, request: web.Request) -> web.StreamResponse:
        if self.lists:
            return await self._answer(request, self.lists.popleft(), {})
        return web.json_response({"sid": ACCOUNT, "friendly_name": "Bluegrass", "status": self.account_status})

    async def other(self, request: web.Request) -> web.StreamResponse:
        self.elsewhere.append(f"{request.method} {request.path}")
        return web.json_response({"sid": "SMwrong"}, status=201)

    async def _answer(self, request: web.Request, step: Step, record: Mapping[str, object]) -> web.StreamResponse:
        assert request.transport is not None
        if step.fault is Fault.HANG:
            await asyncio.sleep(3600)
        if step.fault is Fault.RESET:
            request.transport.abort()
        text = step.text
        if text is None:
            error = {"code": step.code, "message": step.message, "status": step.status}
            text = json.dumps(record if record else error)
        if step.fault is Fault.SLOW:
            slow = web.StreamResponse(status=step.status, headers={"Content-Length": str(len(text))})
            await slow.prepare(request)
            await slow.write(text[: len(text) // 2].encode())
            await asyncio.sleep(3600)
        return web.Response(status=step.status, text=text, headers=step.headers, content_type="application/json")


@asynccontextmanager
async def gateway(port: int = 0) -> AsyncIterator[Gateway]:
    """A gateway on a loopback port (0: a free one), up until the context ends."""
    it = Gateway()
    app = web.Application()
    base = f"/2010-04-01/Accounts/{ACCOUNT}"
    app.router.add_post(f"{base}/Messages.json", it.post)
    app.router.add_get(f"{base}/Messages.json", it.list)
    app.router.add_get(f"{base}.json", it.account)
    app.router.add_route("*", "/{rest:.*}", it.other)
    runner = web.AppRunner(app, shutdown_timeout=0.0, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield it
    finally:
        await runner.cleanup()
