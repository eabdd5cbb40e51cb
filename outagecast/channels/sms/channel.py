"""The SMS channel: one text, one POST to Twilio, one outcome."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import groupby
from urllib.parse import quote, quote_plus

from twilio.base.exceptions import TwilioException
from twilio.rest import Client
from twilio.rest.api.v2010.account.message import MessageInstance

from outagecast.channels.base import Attempt, RouteDown
from outagecast.channels.sms.codes import as_code, outcome_of, outcome_of_code, read_object
from outagecast.channels.sms.countries import refusal
from outagecast.channels.sms.receipts import STATES
from outagecast.channels.sms.reconcile import EARLIER, Listed, explain
from outagecast.channels.sms.transport import Answer, NotWritten, TwilioTransport, Unanswered
from outagecast.domain.delivery import (
    Accepted,
    Ambiguous,
    Deferred,
    FailureScope,
    Outcome,
    Receipt,
    ReceiptState,
    Rejected,
)
from outagecast.domain.message import SmsMessage

STATUS_PATH = "/callbacks/twilio/status"
_LONGEST_VALIDITY = 36_000  # seconds; Twilio's own limit and default
_LONGEST_WAIT = timedelta(hours=24)  # for a Retry-After that means something else
_PAGE = 200
_MOST_LISTED = 2_000
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {code: quote_plus(chr(code)) for code in range(128) if quote_plus(chr(code)) != chr(code)}
_LOOKUPS = 4  # numbers asked for at once, beside the messages


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountCheck:
    """What `doctor` hears: whether messages can go, and one line that says why or why not."""

    ok: bool
    detail: str


class SmsChannel:
    """A Channel, its own Lane, and a Reconciler (`channels/base.py`).

    The sender is `sender` (E.164, a short code, a name) or a Messaging Service, never both; empty is absent.
    `timeout` bounds one exchange. `clock` tells the wall time, for ValidityPeriod and for a Retry-After that is a date.
    """

    looks_ahead = False

    def __init__(
        self,
        *,
        account_sid: str,
        auth_token: str,
        sender: str | None,
        messaging_service_sid: str | None,
        api_url: str,
        rate_per_second: float,
        connections: int,
        allowed_countries: frozenset[str],
        public_url: str,
        clock: Callable[[], datetime],
        timeout: timedelta = timedelta(seconds=20),
    ) -> None:
        if bool(sender) == bool(messaging_service_sid):
            raise ValueError("either a sender or a Messaging Service")
        self.connections = connections
        self.rate_per_second = rate_per_second
        self._allowed = allowed_countries
        self._clock = clock
        self._account_sid = account_sid
        who = (
            f"From={quote_plus(sender)}" if sender else f"MessagingServiceSid={quote_plus(messaging_service_sid or '')}"
        )
        callback = f"{public_url.rstrip('/')}{STATUS_PATH}?attempt="
        self._tail = f"&{who}&StatusCallback={quote_plus(callback)}"
        self._transport = TwilioTransport(
            account_sid=account_sid, auth_token=auth_token, api_url=api_url, connections=connections, timeout=timeout
        )
        # A mapping that is not empty keeps the SDK from reading TWILIO_REGION and the like from the environment.
        self._client = Client(account_sid, auth_token, http_client=self._transport, environment={"TWILIO_EDGE": ""})
        self._client.api.base_url = api_url.rstrip("/")
        self._lanes = asyncio.Semaphore(connections)
        self._door = asyncio.Lock()
        self._up = False
        self._down: RouteDown | None = None

    def __repr__(self) -> str:
        return f"SmsChannel({self._account_sid})"

    def prepared(self, message: SmsMessage) -> SmsMessage:
        return message

    @asynccontextmanager
    async def lane(self) -> AsyncIterator["SmsChannel"]:
        """One allowed call. At first, and after no connection was had, the route is tried before. Raises RouteDown."""
        async with self._lanes:
            if not self._up:
                await self._try_route()
            yield self

    async def send(self, message: SmsMessage, following: SmsMessage | None = None) -> Outcome:
        """Write one message and say what came of it. Never raises for what the provider or the network does."""
        refused = refusal(message.to, self._allowed)
        if refused is not None:
            return refused
        try:
            answer = await self._transport.post_message(self._form(message))
        except NotWritten as failure:
            self._up = False
            return _not_written(failure)
        except Unanswered as failure:
            return Ambiguous(code=failure.code, reason=failure.reason)
        if 200 <= answer.status < 300:
            return _taken(answer)
        return outcome_of(answer.status, answer.body.decode(errors="replace"), self._wait(answer.retry_after))

    async def find(self, attempts: Sequence[Attempt]) -> dict[str, Receipt]:
        """What became of ambiguous attempts, by the provider's message list: receipts by attempt key.

        Hand in all attempts of one number together, so that each message explains one of them only. Raises RouteDown.
        """
        asked = asyncio.Semaphore(_LOOKUPS)

        async def one(to: str, group: list[Attempt]) -> dict[str, Receipt]:
            async with asked:
                return await self._find_to(to, group)

        ordered = sorted(attempts, key=lambda a: a.to)
        tasks = [asyncio.ensure_future(one(to, list(group))) for to, group in groupby(ordered, key=lambda a: a.to)]
        try:
            parts = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return {key: receipt for part in parts for key, receipt in part.items()}

    async def check(self) -> AccountCheck:
        """Fetch the account, as `doctor` does; nothing is sent."""
        try:
            account = await self._client.api.v2010.accounts(self._account_sid).fetch_async()
        except NotWritten as failure:
            return AccountCheck(ok=False, detail=f"no way to the SMS provider: {failure.reason}")
        except Unanswered as failure:
            return AccountCheck(ok=False, detail=f"no answer from the SMS provider: {failure.reason}")
        except TwilioException as error:
            return AccountCheck(ok=False, detail=f"the SMS provider refuses the account: {_words(error)}")
        except (ValueError, AttributeError):
            return AccountCheck(ok=False, detail="the SMS provider's answer is not JSON: is api_url right?")
        status = str(account.status)
        return AccountCheck(ok=status == "active", detail=f"the SMS account {account.friendly_name} is {status}")

    async def close(self) -> None:
        """Close the kept connections."""
        await self._transport.close()
        self._up = False

    def _form(self, message: SmsMessage) -> bytes:
        to = f"%2B{message.to[1:]}" if message.to[1:].isdigit() else quote_plus(message.to)
        key = message.key if _PLAIN_KEY.fullmatch(message.key) else quote_plus(quote(message.key, safe=""))
        text = f"To={to}&Body={_quoted(message.body)}{self._tail}{key}"
        if message.expires_at is not None:
            left = int((message.expires_at - self._clock()).total_seconds())
            text += f"&ValidityPeriod={min(max(left, 1), _LONGEST_VALIDITY)}"
        return text.encode("ascii")

    async def _try_route(self) -> None:
        """One try for all who wait for it: those who were waiting share its failure."""
        before = self._down
        async with self._door:
            if self._up:
                return
            if self._down is not before and self._down is not None:
                raise RouteDown(self._down.outcome)
            try:
                await self._transport.probe()
            except NotWritten as failure:
                self._down = RouteDown(_not_written(failure))
                raise RouteDown(self._down.outcome) from None
            self._up = True

    async def _find_to(self, to: str, attempts: list[Attempt]) -> dict[str, Receipt]:
        since = min(a.started_at for a in attempts) - EARLIER
        found = explain(attempts, await self._listed(to, f"{since.astimezone(UTC):%Y-%m-%d}"))
        if len(found) < len(attempts):
            # The filter knows the day of sending only: what still queues has none, and may be left out by it.
            found = explain(attempts, await self._listed(to, None))
        return found

    async def _listed(self, to: str, since: str | None) -> list[Listed]:
        day = {} if since is None else {"date_sent_after": since}
        try:
            records = await self._client.messages.list_async(to=to, page_size=_PAGE, limit=_MOST_LISTED, **day)
            return [_listed(m) for m in records if isinstance(m.date_created, datetime) and m.direction != "inbound"]
        except (NotWritten, Unanswered) as failure:
            raise RouteDown(Deferred(scope=FailureScope.ROUTE, code=failure.code, reason=failure.reason)) from None
        except (TwilioException, ValueError, LookupError, AttributeError, TypeError) as error:
            raise RouteDown(self._list_refused(error)) from None

    def _list_refused(self, error: Exception) -> Deferred | Rejected:
        """The SDK wraps the answer to a list in the exception's arguments, and hides it from its words."""
        answer = next((a for a in error.args if hasattr(a, "status_code")), None)
        if answer is None:
            return Deferred(scope=FailureScope.ROUTE, code="unreadable", reason="the message list cannot be read")
        outcome = outcome_of(answer.status_code, answer.text, self._wait(answer.headers.get("Retry-After")))
        if isinstance(outcome, Rejected) and outcome.scope is FailureScope.ROUTE:
            return outcome
        wait = outcome.retry_after if isinstance(outcome, Deferred) else None
        code = f"http_{answer.status_code}"
        return Deferred(scope=FailureScope.ROUTE, code=code, reason="the message list was refused", retry_after=wait)

    def _wait(self, header: str | None) -> timedelta | None:
        """Retry-After (RFC 9110 §10.2.3): seconds or a date; None if absent or unreadable, never more than a day."""
        if header is None:
            return None
        try:
            if header.strip().isdecimal():
                wait = timedelta(seconds=min(int(header), _LONGEST_WAIT.total_seconds()))
            else:
                wait = parsedate_to_datetime(header).astimezone(UTC) - self._clock()
        except (ValueError, OverflowError):
            return None
        return min(max(wait, timedelta(0)), _LONGEST_WAIT)


def _quoted(text: str) -> str:
    """`quote_plus`, which takes 15 µs for a text: most are plain ASCII."""
    return text.translate(_ESCAPES) if text.isascii() else quote_plus(text, errors="replace")


def _taken(answer: Answer) -> Outcome:
    """2xx is theirs, if it names the message; it may already say that the message failed."""
    record = read_object(answer.body)
    sid, status = record.get("sid"), str(record.get("status") or "")
    if not isinstance(sid, str) or not sid:
        return Ambiguous(code=f"http_{answer.status}", reason="taken, it seems, but the answer names no message")
    code = as_code(record.get("error_code"))
    if code is not None and STATES.get(status) is ReceiptState.UNDELIVERED:
        return outcome_of_code(code)
    return Accepted(provider_id=sid, code=status or str(answer.status))


def _not_written(failure: NotWritten) -> Deferred:
    return Deferred(scope=FailureScope.ROUTE, code=failure.code, reason=failure.reason)


def _listed(message: MessageInstance) -> Listed:
    assert message.date_created is not None
    return Listed(
        sid=str(message.sid),
        body=str(message.body or ""),
        status=str(message.status),
        error_code=message.error_code,
        created_at=message.date_created.astimezone(UTC),
    )


def _words(error: TwilioException) -> str:
    return " ".join(str(getattr(error, "msg", None) or "unreadable answer").split())[:200]
