"""The control API of tests and fault suites: faults, rules of the callbacks, the log, counts, reset."""

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiohttp import web

from outagecast.sandbox.callbacks import Callbacks
from outagecast.sandbox.faults import BadFault, FaultBook
from outagecast.sandbox.journal import Journal, Record
from outagecast.sandbox.mail import raw_of, read_mail
from outagecast.sandbox.phones import Phones
from outagecast.sandbox.store import Store

CHUNK = 200


class Control:
    """`changed` is awaited after the faults changed (ports open and close), `reset` forgets everything that arrived."""

    def __init__(
        self,
        *,
        journal: Journal,
        store: Store,
        faults: FaultBook,
        callbacks: Callbacks,
        phones: Phones,
        changed: Callable[[], Awaitable[None]],
        reset: Callable[[], Awaitable[None]],
        extra_counts: Callable[[], dict[str, int]],
    ) -> None:
        self._journal = journal
        self._store = store
        self._faults = faults
        self._callbacks = callbacks
        self._phones = phones
        self._changed = changed
        self._reset = reset
        self._extra_counts = extra_counts

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.get("/control/faults", self._list_faults),
            web.post("/control/faults", self._add_faults),
            web.delete("/control/faults", self._clear_faults),
            web.get("/control/settings", self._show_settings),
            web.post("/control/settings", self._change_settings),
            web.post("/control/answer", self._answer),
            web.get("/control/log", self._log),
            web.get("/control/counts", self._counts),
            web.post("/control/reset", self._do_reset),
        ]

    async def _list_faults(self, request: web.Request) -> web.Response:
        return web.json_response([fault.as_json() for fault in self._faults.rules])

    async def _add_faults(self, request: web.Request) -> web.Response:
        """One fault or a list of them; all or none. 201 with the faults as understood."""
        wanted = await _json(request)
        rules = wanted if isinstance(wanted, list) else [wanted]
        before = list(self._faults.rules)
        try:
            added = [self._faults.add(**_object(each)) for each in rules]
        except BadFault as error:
            self._faults.rules = before
            raise _bad(str(error)) from None
        await self._changed()
        return web.json_response([fault.as_json() for fault in added], status=201)

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self._faults.clear(request.query.get("channel", ""))
        await self._changed()
        return web.json_response([fault.as_json() for fault in self._faults.rules])

    async def _show_settings(self, request: web.Request) -> web.Response:
        return web.json_response(self._rules())

    async def _change_settings(self, request: web.Request) -> web.Response:
        try:
            self._callbacks.rules.change(_object(await _json(request)))
        except ValueError as error:
            raise _bad(str(error)) from None
        return web.json_response(self._rules())

    async def _answer(self, request: web.Request) -> web.Response:
        """`{"from": "+1…", "body": "STOP"}`: that person answers, as in the inbox."""
        wanted = _object(await _json(request))
        phone, body = wanted.get("from"), wanted.get("body")
        if not isinstance(phone, str) or not isinstance(body, str):
            raise _bad("from and body are needed")
        await self._phones.answer(phone, body)
        return web.json_response({"status": "ok"})

    async def _log(self, request: web.Request) -> web.StreamResponse:
        """JSON lines after `?after=n`, at most `?limit=`, only `?type=a,b`; `?bodies=0` leaves out what mails say."""
        query = request.query
        after, limit = _number(query.get("after", "0")), _number(query.get("limit", "0"))
        kinds = set(filter(None, query.get("type", "").split(",")))
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        lines: list[str] = []
        sent = 0
        for record in self._journal.records(after=after):
            if kinds and record["type"] not in kinds:
                continue
            lines.append(json.dumps(_shown(record, bodies=query.get("bodies") != "0")) + "\n")
            sent += 1
            if len(lines) == CHUNK:
                await response.write("".join(lines).encode())
                lines.clear()
            if sent == limit:
                break
        await response.write("".join(lines).encode())
        await response.write_eof()
        return response

    async def _counts(self, request: web.Request) -> web.Response:
        kinds = ("mail", "sms", "sms_in", "sms_auto", "sms_status", "callback", "refused", "fault")
        counts = {kind: self._store.counts.get(kind, 0) for kind in kinds}
        return web.json_response({**counts, **self._extra_counts(), "records": len(self._journal)})

    async def _do_reset(self, request: web.Request) -> web.Response:
        await self._reset()
        return web.json_response({"status": "ok", "records": len(self._journal)})

    def _rules(self) -> dict[str, object]:
        rules = self._callbacks.rules
        return {name: getattr(rules, name) for name in rules.__slots__}


def _shown(record: Record, *, bodies: bool) -> Record:
    if record["type"] != "mail":
        return record
    if not bodies:
        return {name: value for name, value in record.items() if name != "raw"}
    mail = read_mail(raw_of(record))
    return {**record, "text": mail.text, "html": mail.html, "attachments": [list(each) for each in mail.attachments]}


async def _json(request: web.Request) -> Any:
    try:
        return await request.json()
    except ValueError:
        raise _bad("the body is not JSON") from None


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _bad("a JSON object is needed")
    return value


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise _bad("after and limit are whole numbers")
    return int(text)


def _bad(why: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=json.dumps({"error": why}), content_type="application/json")
