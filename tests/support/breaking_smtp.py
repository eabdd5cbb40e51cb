"""An SMTP server on a real socket whose first connection breaks at one byte: of what it says or of what it has read.

It keeps the truth of every connection: which final dots it has read, and what it said to them.
"""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast


class How(StrEnum):
    """CLOSE: what was said still arrives. RESET: it may not. STALL: nothing more is said, but all is read. GARBAGE and
    REFUSE: something unasked is said, and then it goes on as if nothing had been; a refused content gets no other one.
    """

    CLOSE = "close"
    RESET = "reset"
    STALL = "stall"
    GARBAGE = "garbage"
    REFUSE = "refuse"


UNASKED = {How.GARBAGE: b"\0\xffHTTP/1.1 400 Bad Request\r\n\r\n", How.REFUSE: b"452 4.3.1 disk full\r\n"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Break:
    """At which byte of a connection: `written` of its answers or `read` of what the client says."""

    how: How
    written: int | None = None
    read: int | None = None


@dataclass(kw_only=True, slots=True)
class Dot:
    """A final dot that was read, the content before it, and what was said to it until the next command."""

    content: bytes
    said: bytearray = field(default_factory=bytearray)


@dataclass(kw_only=True, slots=True)
class BreakingServer:
    """`broken`: for the first connection. `dots` are those of all connections, `heard` is what the first one read."""

    pipelining: bool
    broken: Break | None = None
    port: int = 0
    connections: int = 0
    dots: list[Dot] = field(default_factory=list)
    heard: bytearray = field(default_factory=bytearray)
    said: bytearray = field(default_factory=bytearray)

    @property
    def granted(self) -> bool:
        """The first connection has said a whole 354, so that a content may have been written."""
        return re.search(rb"^354[ \r][^\n]*\n", self.said, re.MULTILINE) is not None


@asynccontextmanager
async def breaking(server: BreakingServer) -> AsyncIterator[BreakingServer]:
    """The server, listening on a free port; every connection is cut at the end."""
    open_now: list[_Connection] = []
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: _Connection(server, open_now), "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for connection in open_now:
            connection.transport.abort()
        await asyncio.gather(*[connection.gone for connection in open_now])


class _Connection(asyncio.Protocol):
    def __init__(self, server: BreakingServer, open_now: list["_Connection"]) -> None:
        self.server = server
        self.first = server.connections == 0
        server.connections += 1
        self.broken = server.broken if self.first else None
        self.over = self.silent = self.refused = False
        self.read = self.written = 0
        self.line = bytearray()
        self.content: bytearray | None = None
        self.dot: Dot | None = None
        self.mail = self.rcpt = False
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        open_now.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are no subclasses
        self.say(b"220 x\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set_result(None)

    def data_received(self, data: bytes) -> None:
        limit = self.broken.read if self.broken is not None else None
        if limit is not None and self.read + len(data) >= limit:
            before, data = data[: limit - self.read], data[limit - self.read :]
            self.take(before)
            self.break_here()
        self.take(data)

    def take(self, data: bytes) -> None:
        for i in range(len(data)):
            if self.over:
                return
            self.read += 1
            if self.first:
                self.server.heard += data[i : i + 1]
            self.line += data[i : i + 1]
            if self.line.endswith(b"\n"):
                line, self.line = bytes(self.line), bytearray()
                self.take_line(line)

    def take_line(self, line: bytes) -> None:
        if self.content is not None:
            if line != b".\r\n":
                self.content += line
                return
            self.dot = Dot(content=bytes(self.content))
            self.server.dots.append(self.dot)
            self.content = None
            if self.refused:
                self.refused = False
            else:
                self.say(b"250 2.0.0 Ok: queued as 4FQX\r\n")
            return
        self.dot = None
        match line[:4].upper():
            case b"EHLO":
                self.say(b"250-x\r\n250 PIPELINING\r\n" if self.server.pipelining else b"250 x\r\n")
            case b"MAIL":
                self.mail = True
                self.say(b"250 2.1.0 Ok\r\n")
            case b"RCPT" if self.mail:
                self.rcpt = True
                self.say(b"250 2.1.5 Ok\r\n")
            case b"DATA" if self.rcpt:
                self.mail = self.rcpt = False
                self.content = bytearray()
                self.say(b"354 go ahead\r\n")
            case b"RSET":
                self.mail = self.rcpt = False
                self.say(b"250 2.0.0 Ok\r\n")
            case b"QUIT":
                self.say(b"221 2.0.0 Bye\r\n")
                self.over = True
                self.transport.close()
            case _:
                self.say(b"503 5.5.1 what?\r\n")

    def say(self, octets: bytes) -> None:
        limit = self.broken.written if self.broken is not None else None
        if limit is not None and self.written + len(octets) >= limit:
            before, octets = octets[: limit - self.written], octets[limit - self.written :]
            self.write(before)
            self.break_here()
        self.write(octets)

    def write(self, octets: bytes) -> None:
        if self.over or self.silent or not octets:
            return
        self.written += len(octets)
        if self.first:
            self.server.said += octets
        if self.dot is not None:
            self.dot.said += octets
        self.transport.write(octets)

    def break_here(self) -> None:
        broken, self.broken = self.broken, None
        assert broken is not None
        match broken.how:
            case How.CLOSE:
                self.over = True
                self.transport.close()
            case How.RESET:
                self.over = True
                own = self.transport.get_extra_info("socket")
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.transport.abort()
            case How.STALL:
                self.silent = True
            case How.GARBAGE | How.REFUSE:
                self.write(UNASKED[broken.how])
                self.refused = broken.how is How.REFUSE and self.content is not None
