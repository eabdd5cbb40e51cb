"""What is said on a kept SMTP connection: octets out, counted replies in, and whether all that was written has left.

aiosmtplib's command layer costs a lock, a timer and a future per command and cannot pipeline, and its `sendmail()`
raises the same error before and after the final dot. So a connection that is up is handed to this protocol.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from outagecast.channels.email.codes import Reply

_MAX_REPLY = 65_536
"""Octets of unread reply beyond which a server is talking nonsense."""


class Fault(StrEnum):
    """Why a session can no longer be used; also the code kept on the row."""

    DROPPED = "smtp_dropped"
    TIMED_OUT = "smtp_timeout"
    GARBAGE = "smtp_garbage"
    UNASKED = "smtp_unasked"
    CLOSED = "smtp_closed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What the server said to the last EHLO. `size`: octets it takes at most, None when it does not say."""

    words: tuple[str, ...]
    pipelining: bool
    eight_bit: bool
    utf8: bool
    announces_size: bool
    size: int | None

    @classmethod
    def of(cls, extensions: dict[str, str]) -> "Capabilities":
        size = extensions.get("size", "")
        return cls(
            words=tuple(f"{word.upper()} {rest}".rstrip() for word, rest in extensions.items()),
            pipelining="pipelining" in extensions,
            eight_bit="8bitmime" in extensions,
            utf8="smtputf8" in extensions,
            announces_size="size" in extensions,
            # SIZE without a number or with 0 sets no limit (RFC 1870 §4).
            size=int(size) if size.isascii() and size.isdigit() and int(size) > 0 else None,
        )


class Session(asyncio.Protocol):
    """A connection past its login. What is written says how many replies it asks for, and each is heard in its turn; or
    it rests. What comes unasked ends it.
    """

    def __init__(self, transport: asyncio.Transport, capabilities: Capabilities) -> None:
        self.capabilities = capabilities
        self.fault: Fault | None = None
        self.all_left = True
        """Every octet of the last `write` was handed to the kernel: from here on the server may have read it."""
        self.needs_reset = False
        """A refused transaction may still be open at the server."""
        self.begun = False
        """The envelope of the next mail left with the content before; its replies are still to be heard."""
        self.messages = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the transport is gone."""
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._replies: list[Reply] = []
        self._lines: list[str] = []
        self._code = -1
        self._owed = 0
        """Replies asked for that have not come; below 0: more came than were asked for."""
        self._wanted = 0
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        # Told when octets stay behind, and again only when all have left: so that `all_left` never lags.
        # (high=0 makes the stdlib's TLS layer pause on every write.)
        transport.set_write_buffer_limits(high=1, low=0)
        transport.set_protocol(self)

    @property
    def usable(self) -> bool:
        return self.fault is None and not self._transport.is_closing()

    @property
    def tls(self) -> str:
        """The protocol in use (`TLSv1.3`), or an empty string."""
        encrypted = self._transport.get_extra_info("ssl_object")
        return str(encrypted.version()) if encrypted is not None else ""

    @property
    def _surplus(self) -> bool:
        """Something came that nobody asked for."""
        return self._owed < 0 or (self._owed == 0 and bool(self._buffer or self._lines))

    def now(self) -> float:
        """The loop's monotonic time, in which deadlines are given."""
        return self._loop.time()

    async def ask(self, octets: bytes, replies: int, deadline: float) -> list[Reply]:
        """Write, and wait for that many replies. Fewer come back when the session ends first: `fault` says why.

        `deadline` covers the whole wait, however slowly the replies drip in.
        """
        self.write(octets, replies)
        return await self.hear(replies, deadline)

    def write(self, octets: bytes, replies: int, *, has_tail: bool = False) -> None:
        """Write what asks for so many replies; nothing is written where the session has ended.

        With `has_tail` something follows the dot: whether just the dot has left cannot be told, so it counts as left.
        """
        self.all_left = False
        if not self.usable:
            self._fail(Fault.DROPPED)
            return
        if self._surplus:
            self._fail(Fault.UNASKED)
            return
        self._owed += replies
        self.all_left = True
        self._transport.write(octets)
        if self._transport.is_closing():
            self.all_left = False  # the kernel refused it
            self._fail(Fault.DROPPED)
        elif has_tail:
            self.all_left = True

    async def hear(self, replies: int, deadline: float) -> list[Reply]:
        """The next so many replies to what was written; fewer when the session ends first."""
        if len(self._replies) < replies and self.fault is None:
            await self._wait_for(replies, deadline)
        # What came beyond stays, and ends the session at the next question.
        heard, self._replies = self._replies[:replies], self._replies[replies:]
        return heard

    async def _wait_for(self, replies: int, deadline: float) -> None:
        if self._wanted:
            raise RuntimeError("one session, one question at a time")
        self._wanted = replies
        self._watch(deadline)
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self._fail(Fault.CLOSED)
            raise
        finally:
            self._waiter = None
            self._wanted = 0

    def rest(self, lasting: timedelta) -> None:
        """Nothing is asked for now. After that long the session says QUIT by itself."""
        if self.begun or self._owed or self._replies or self._surplus:
            self._fail(Fault.UNASKED)
        elif self.usable:
            self._watch(self._loop.time() + lasting.total_seconds())

    def quit(self) -> None:
        """Say QUIT and hang up without waiting: whatever was accepted stays accepted."""
        if self.begun:  # the server may be waiting for a content: nothing must be said that it could take for one
            self.abort()
        if self.usable:
            self._transport.write(b"QUIT\r\n")
            self.fault = Fault.CLOSED
            self._transport.close()
        self._unwatch()

    def abort(self) -> None:
        """Hang up at once; what has not left yet never will."""
        self._fail(Fault.CLOSED)
        self._transport.abort()

    def misunderstood(self) -> None:
        """A reply made no sense where it came: nothing later on this connection could be attributed."""
        self._fail(Fault.GARBAGE)

    # What asyncio calls.

    def data_received(self, data: bytes) -> None:
        if self.fault is not None:
            return
        if self._owed <= 0:
            # The 421 of a server that is going away, or nonsense; both end a session at rest.
            self._fail(Fault.UNASKED)
            return
        self._buffer += data
        if b"\n" in data:
            self._read_lines()
        if len(self._buffer) > _MAX_REPLY or len(self._lines) > 1000:
            self._fail(Fault.GARBAGE)
        elif self._wanted and len(self._replies) >= self._wanted:
            self._wake()

    def eof_received(self) -> None:
        self._fail(Fault.DROPPED)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(Fault.DROPPED)
        if not self.ended.done():
            self.ended.set_result(None)

    def pause_writing(self) -> None:
        self.all_left = False

    def resume_writing(self) -> None:
        self.all_left = self.usable

    def _read_lines(self) -> None:
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            digits, mark = line[:3], line[3:4].rstrip(b"\r")
            if not (len(digits) == 3 and digits.isdigit() and b"2" <= digits[:1] <= b"5" and mark in b" -"):
                return self._fail(Fault.GARBAGE)
            code = int(digits)
            if self._lines and code != self._code:
                return self._fail(Fault.GARBAGE)
            text = line[4:].rstrip(b"\r").decode("utf-8", "replace")
            if mark != b"-" and not self._lines:
                self._take(Reply(code, text))
                continue
            self._code = code
            self._lines.append(text)
            if mark != b"-":
                self._take(Reply(code, "\n".join(self._lines)))
                self._lines = []

    def _take(self, reply: Reply) -> None:
        self._owed -= 1
        self._replies.append(reply)

    def _fail(self, fault: Fault) -> None:
        if self.fault is None:
            self.fault = fault
        self._unwatch()
        if not self._transport.is_closing():
            self._transport.abort()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # One lazy timer per session: setting a later deadline costs an assignment instead of a timer per command.

    def _watch(self, deadline: float) -> None:
        self._deadline = deadline
        if self._timer is not None and self._timer.when() > deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._ring)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        if self._loop.time() < self._deadline:
            self._watch(self._deadline)
        elif self._wanted:
            self._fail(Fault.TIMED_OUT)
        else:
            self.quit()
