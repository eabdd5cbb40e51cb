"""The SMS gateway: Twilio's Messaging REST API (2010-04-01) as far as a sender of notices needs it.

Create, fetch and list messages, fetch the account; receipts by status callback; STOP, START and HELP from customers.
Answers look like Twilio's: RFC 2822 dates, `SM` sids, error bodies with code and more_info.
"""

import asyncio
import base64
import binascii
import uuid
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from aiohttp import web

from outagecast.sandbox.answers import Refusal, account_json, cut, message_json, page_json, refused
from outagecast.sandbox.callbacks import Call, Callbacks, Write
from outagecast.sandbox.clock import SandboxClock
from outagecast.sandbox.faults import Fault, FaultBook
from outagecast.sandbox.phones import Phones
from outagecast.sandbox.segments import segments
from outagecast.sandbox.settings import SandboxSettings
from outagecast.sandbox.store import Store, TextItem

API = "/2010-04-01/Accounts/{account}"
DEFAULT_ERRORS = {401: 20003, 404: 20404, 429: 20429, 500: 20500, 503: 20503}


class Gateway:
    """Routes for an aiohttp application; `closing` ends requests that hang on purpose."""

    def __init__(
        self,
        settings: SandboxSettings,
        clock: SandboxClock,
        store: Store,
        faults: FaultBook,
        callbacks: Callbacks,
        phones: Phones,
        write: Write,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._store = store
        self._faults = faults
        self._callbacks = callbacks
        self._phones = phones
        self._write = write
        self.closing = asyncio.Event()

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.post(API + "/Messages.json", self._create),
            web.get(API + "/Messages.json", self._list),
            web.get(API + "/Messages/{sid}.json", self._fetch),
            web.get(API + ".json", self._account),
        ]

    async def _create(self, request: web.Request) -> web.StreamResponse:
        body = await request.post()
        form = {key: value for key, value in body.items() if isinstance(value, str)}
        fault = self._faults.take("sms", "request", (form.get("To", ""),))
        if self._faults.refused("sms"):
            return cut(request, reset=True)
        if fault is not None and fault.mode != "undelivered":
            return await self._play(request, fault, form)
        return self._judged(request, lambda: self._created(form, fault))

    async def _fetch(self, request: web.Request) -> web.StreamResponse:
        def fetch() -> web.Response:
            item = self._store.texts.get(request.match_info["sid"])
            if item is None:
                raise Refusal(404, 20404, f"The requested resource {request.path} was not found")
            return web.json_response(message_json(item, account=self._settings.account_sid))

        return self._judged(request, fetch)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        return self._judged(request, lambda: self._page(request))

    async def _account(self, request: web.Request) -> web.StreamResponse:
        return self._judged(
            request, lambda: web.json_response(account_json(self._settings.account_sid, self._settings.auth_token))
        )

    def _judged(self, request: web.Request, do: Callable[[], web.Response]) -> web.Response:
        try:
            self._check_login(request)
            return do()
        except Refusal as refusal:
            return refused(refusal)

    def _check_login(self, request: web.Request) -> None:
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            user = password = ""
        settings = self._settings
        wanted = (settings.account_sid, settings.auth_token)
        if scheme.lower() != "basic" or (user, password) != wanted:
            raise Refusal(401, 20003)
        if request.match_info["account"] != settings.account_sid:
            raise Refusal(404, 20404, f"The requested resource {request.path} was not found")

    # faults

    async def _play(self, request: web.Request, fault: Fault, form: dict[str, str]) -> web.StreamResponse:
        taken = {"channel": "sms", "fault": fault.id, "mode": fault.mode, "point": "request"}
        self._write("fault", {**taken, "to": [form.get("To", "")], "record": fault.record})
        if fault.record:
            self._judged(request, lambda: self._created(form, None))
        match fault.mode:
            case "code":
                error = fault.error or DEFAULT_ERRORS.get(fault.code, 20500 if fault.code >= 500 else 20001)
                return refused(Refusal(fault.code, error, fault.text, fault.retry_after))
            case "slow":
                await self._sleep((fault.ms or 1000) / 1000)
                return self._judged(request, lambda: self._created(form, None))
            case "hang":
                await self._sleep(3600 if fault.ms is None else fault.ms / 1000)
                return cut(request, reset=True)
            case _:
                return cut(request, reset=fault.mode != "close")

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.closing.wait()
        except TimeoutError:
            return

    # taking a message

    def _created(self, form: dict[str, str], fault: Fault | None) -> web.Response:
        item = self._take(form, fault)
        return web.json_response(message_json(item, account=self._settings.account_sid), status=201)

    def _page(self, request: web.Request) -> web.Response:
        items = reversed(self._store.outbound)
        return web.json_response(page_json(items, request.query, account=self._settings.account_sid))

    def _take(self, form: dict[str, str], fault: Fault | None) -> TextItem:
        to, body = form.get("To", ""), form.get("Body", "")
        sender, service = form.get("From", ""), form.get("MessagingServiceSid", "")
        self._check(to, body, sender, service, form.get("ValidityPeriod", ""))
        cost = segments(body)
        callback = form.get("StatusCallback", "")
        record = self._write(
            "sms",
            {
                "sid": "SM" + uuid.uuid4().hex,
                "to": to,
                "from": sender or self._settings.service_number,
                "service": service,
                "body": body,
                "status": "queued" if sender else "accepted",
                "segments": cost.count,
                "encoding": cost.encoding,
                "units": cost.units,
                "validity": int(form["ValidityPeriod"]) if form.get("ValidityPeriod") else None,
                "callback": callback,
                "attempt": urlsplit(callback).query,
            },
        )
        item = self._store.texts[record["sid"]]
        self._carry(item, undelivered=fault.error or 30003 if fault is not None else None)
        return item

    def _check(self, to: str, body: str, sender: str, service: str, validity: str) -> None:
        if not to:
            raise Refusal(400, 21604)
        if not body:
            raise Refusal(400, 21602)
        if not sender and not service:
            raise Refusal(400, 21603)
        if not (to.startswith("+") and to[1:].isdigit() and 8 <= len(to) <= 16):
            raise Refusal(400, 21211, f"The 'To' number {to} is not a valid phone number.")
        if len(body) > 1600:
            raise Refusal(400, 21617)
        if validity and not (validity.isdigit() and 1 <= int(validity) <= 36000):
            raise Refusal(400, 21624)
        if self._phones.opted_out(sender or service, to):
            self._write("refused", {"to": to, "code": 21610})
            raise Refusal(400, 21610)

    def _carry(self, item: TextItem, *, undelivered: int | None) -> None:
        rules = self._callbacks.rules
        end = "delivered" if undelivered is None else "undelivered"
        self._callbacks.later(rules.sent_after, lambda: self._move(item, "sent", None))
        self._callbacks.later(rules.delivered_after, lambda: self._move(item, end, undelivered))

    def _move(self, item: TextItem, status: str, error: int | None) -> None:
        self._write("sms_status", {"sid": item.sid, "status": status, "error": error})
        if item.callback:
            fields = self._receipt(item, status, error)
            self._callbacks.status(Call(url=item.callback, fields=fields, sid=item.sid, status=status))

    def _receipt(self, item: TextItem, status: str, error: int | None) -> tuple[tuple[str, str], ...]:
        fields = {
            "SmsSid": item.sid,
            "SmsStatus": status,
            "MessageStatus": status,
            "To": item.to,
            "MessageSid": item.sid,
            "AccountSid": self._settings.account_sid,
            "From": item.sender,
            "ApiVersion": "2010-04-01",
        }
        if status != "sent":
            fields["RawDlrDoneDate"] = self._clock.now().strftime("%y%m%d%H%M")
        if item.service:
            fields["MessagingServiceSid"] = item.service
        if error is not None:
            fields["ErrorCode"] = str(error)
        return tuple(fields.items())
