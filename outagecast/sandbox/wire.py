"""One TCP connection that can be told to misbehave: replies in one write, pauses, resets, nonsense."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import cast

from outagecast.sandbox.faults import Fault

KNOWN_REPLIES = {
    421: "4.3.2 Closing",
    450: "4.2.0 Try again later",
    451: "4.7.1 Greylisted",
    452: "4.3.1 Full",
    535: "5.7.8 Wrong login",
    550: "5.1.1 No such user",
    552: "5.2.2 Mailbox full",
    554: "5.7.1 Refused",
}


class FaultyWire(asyncio.Protocol):
    """Lines in, replies out. Subclasses answer `opened` and `take`; replies of one read leave in one write."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.buffer = bytearray()
        self.waiting = False
        self._replies: list[bytes] = []
        self._timers: list[asyncio.TimerHandle] = []

    def opened(self) -> None:
        """The connection is there: greet."""
        raise NotImplementedError

    def take(self) -> bool:
        """Take one thing off the buffer; False when it holds no whole one yet."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        upgraded = self.transport is not None
        self.transport = cast(asyncio.Transport, transport)
        if not upgraded:  # start_tls calls this again
            self.opened()
            self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in self._timers:
            timer.cancel()
        self.waiting = True

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.run()

    def run(self) -> None:
        """Work on what has arrived until it is used up or something has to be waited for."""
        while self.buffer and not self.waiting and self.take():
            pass
        self.flush()

    def reply(self, line: bytes) -> None:
        self._replies.append(line + b"\r\n")

    def flush(self) -> None:
        if self._replies and self.transport is not None and not self.transport.is_closing():
            self.transport.write(b"".join(self._replies))
        self._replies.clear()

    def close(self) -> None:
        """Say what is still unsaid, then end in order (FIN)."""
        self.flush()
        self.waiting = True
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Reset the connection (RST, not FIN), whatever is still unsent."""
        self.waiting = True
        if self.transport is not None:
            reset_on_close(self.transport)
            self.transport.abort()

    def play(self, fault: Fault, usual: Callable[[], None]) -> None:
        """Do what the fault says instead of `usual`; what was answered before leaves first."""
        self.flush()
        match fault.mode:
            case "code":
                self.reply(f"{fault.code} {fault.text or _words(fault.code)}".encode())
                if fault.code == 421 or fault.at == "connect":
                    self.close()
            case "garbage":
                self.reply(b"\x00\xff so it goes")
            case "drip":
                line = f"{fault.code or 250} {fault.text or 'slowly'}\r\n"
                self._drip(line.encode(), (fault.ms or 1000) / 1000)
            case "slow":
                self._wait((fault.ms or 1000) / 1000, usual)
            case "hang":
                self.waiting = True
                if fault.ms is not None:
                    self._later(fault.ms / 1000, self.abort)
            case "close":
                self.close()
            case _:
                self.abort()

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        def resume() -> None:
            self.waiting = False
            then()
            self.run()

        self.waiting = True
        self._later(seconds, resume)

    def _drip(self, octets: bytes, pause: float) -> None:
        if octets and self.transport is not None and not self.transport.is_closing():
            self.transport.write(octets[:1])
            self._wait(pause, lambda: self._drip(octets[1:], pause))

    def _later(self, seconds: float, then: Callable[[], None]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(seconds, then))


def reset_on_close(transport: asyncio.BaseTransport) -> None:
    """Make closing this connection a TCP reset."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _words(code: int) -> str:
    return KNOWN_REPLIES.get(code, f"{code // 100}.0.0 As ordered")
