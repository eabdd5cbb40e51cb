"""The way to Twilio: one kept HTTP session, a thin POST for messages, and the same session for the SDK's own calls.

The SDK's stock asynchronous client ignores its time-out, can repeat a POST (each repeat is one more SMS), hides the
answer's headers and costs as much again as the request itself.
"""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn
from urllib.parse import quote

from aiohttp import (
    BytesPayload,
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    TCPConnector,
)
from aiohttp.abc import AbstractStreamWriter
from twilio.http.response import Response
from yarl import URL

# A connection idle for longer may be closed by the other side in the moment of our next write, and nobody could know
# whether that message was taken. Twilio keeps idle connections for about a minute.
_KEEP_IDLE = 15.0


class NotWritten(Exception):
    """Nothing of the request can have reached the provider: no name, no connection, no TLS."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class _Stale(NotWritten):
    """A kept connection turned out to be closed when the request was to be written to it."""


class Unanswered(Exception):
    """The request may have been written, and no status came back."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An HTTP answer. `body` is empty when it broke off after the status."""

    status: int
    body: bytes
    retry_after: str | None


class TwilioTransport:
    """Every request of this channel, authorised and bounded in time. Nothing is ever repeated or redirected.

    `timeout` bounds one exchange from the first packet to the last byte of the answer; connecting gets half of it, so
    that a time-out there is known as one. `request` has the shape the SDK asks of its `http_client`.
    """

    is_async = True

    def __init__(
        self, *, account_sid: str, auth_token: str, api_url: str, connections: int, timeout: timedelta
    ) -> None:
        seconds = timeout.total_seconds()
        self._base = api_url.rstrip("/")
        self._messages = URL(
            f"{self._base}/2010-04-01/Accounts/{quote(account_sid, safe='')}/Messages.json", encoded=True
        )
        self._authorization = "Basic " + b64encode(f"{account_sid}:{auth_token}".encode()).decode()
        self._limits = ClientTimeout(total=seconds, connect=seconds / 2)
        self._connections = connections
        self._session: ClientSession | None = None

    async def post_message(self, form: bytes) -> Answer:
        """POST one message, urlencoded. Raises NotWritten or Unanswered."""
        try:
            return await self._post(form)
        except _Stale:
            return await self._post(form)  # nothing was written yet, so this is the first POST still

    async def request(
        self,
        method: str,
        uri: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
        allow_redirects: bool = False,
    ) -> Response:
        """The SDK's door (`twilio.rest.Client(http_client=…)`), under our time-out. Raises NotWritten or Unanswered.

        A page's link to the next one must stay at `api_url`: the account's token goes nowhere else.
        """
        if not uri.startswith(self._base + "/"):
            raise NotWritten("address", "the provider's answer points to another host")
        query = {name: str(value) for name, value in (params or {}).items()}
        try:
            async with self._open().request(
                method, uri, params=query, data=data, headers=headers, allow_redirects=False
            ) as response:
                return Response(response.status, await response.text(errors="replace"), response.headers.copy())
        except (ClientError, OSError) as error:
            _raise(error, written=True)

    async def probe(self) -> None:
        """Resolve, connect and shake hands, then hang up. Raises NotWritten."""
        url = self._messages
        try:
            async with asyncio.timeout(self._limits.connect):
                tls = url.scheme == "https"
                _, writer = await asyncio.open_connection(url.host, url.port, ssl=tls or None)
        except OSError as error:  # socket.gaierror, ssl.SSLError and TimeoutError are among them
            raise NotWritten(_name(error), _words(error)) from None
        writer.transport.abort()

    async def close(self) -> None:
        """Close the kept connections; the next request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(self, form: bytes) -> Answer:
        body = _Form(form)
        try:
            async with self._open().post(self._messages, data=body, allow_redirects=False) as response:
                return await _answer(response)
        except (ClientError, OSError) as error:
            _raise(error, body.written)

    def _open(self) -> ClientSession:
        if self._session is None:
            self._session = ClientSession(
                # Two more than there are lanes: for the message list and the account beside a full house.
                connector=TCPConnector(limit=self._connections + 2, keepalive_timeout=_KEEP_IDLE),
                headers={
                    "Authorization": self._authorization,
                    "Accept": "application/json",
                    "User-Agent": "OutageCast",
                },
                timeout=self._limits,
                cookie_jar=DummyCookieJar(),
                trust_env=False,
            )
        return self._session


class _Form(BytesPayload):
    """A form that knows whether it was handed to the socket. A request without its whole form cannot be acted upon."""

    written = False

    def __init__(self, form: bytes) -> None:
        super().__init__(form, content_type="application/x-www-form-urlencoded")

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        await super().write_with_length(writer, content_length)  # raises if the connection is closed already
        self.written = True


async def _answer(response: ClientResponse) -> Answer:
    try:
        body = await response.read()
    except (ClientError, OSError):
        body = b""  # broken off; the status stands
    return Answer(status=response.status, body=body, retry_after=response.headers.get("Retry-After"))


def _raise(error: ClientError | OSError, written: bool) -> NoReturn:
    """Say whether anything can have been taken; the original is left behind, for it carries the request's headers."""
    if isinstance(error, ClientConnectorError | ConnectionTimeoutError):
        raise NotWritten(_name(error), _words(error)) from None
    if not written:
        raise _Stale("reset", "the kept connection had been closed") from None
    if isinstance(error, TimeoutError):
        raise Unanswered("timeout", "no answer in time") from None
    # Also a kept connection that closed just after the writing: the other side may have read the request before.
    raise Unanswered("reset", _words(error)) from None


def _name(error: Exception) -> str:
    return "tls" if isinstance(_cause(error), ssl.SSLError) else "connect"


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no connection in time"
    cause = _cause(error)
    return " ".join((getattr(cause, "strerror", None) or str(cause) or type(cause).__name__).split())[:200]


def _cause(error: Exception) -> Exception:
    return error.os_error if isinstance(error, ClientConnectorError) else error
