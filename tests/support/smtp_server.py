"""A scripted SMTP server on a real socket. Each step's answer can be replaced by a fault, down to the byte.

It keeps the truth: `dots` holds every content whose final dot arrived (`dotted` is set then), `acknowledged` counts
those whose 250 was written to the socket in full.
"""

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast


class At(StrEnum):
    """The steps of a session, in their order. BODY is in the middle of the content, AFTER is after the 250."""

    CONNECT = "connect"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    RSET = "rset"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    DOT = "dot"
    AFTER = "after"
    QUIT = "quit"


@dataclass(frozen=True, kw_only=True)
class Say:
    """Other bytes than the usual answer. `then_drop`: hang up after them."""

    octets: bytes
    then_drop: bool = False


@dataclass(frozen=True)
class Drop:
    """Hang up instead of answering."""


@dataclass(frozen=True)
class Hang:
    """Never answer."""


@dataclass(frozen=True)
class Drip:
    """The usual answer, one byte a segment."""


Fault = Say | Drop | Hang | Drip


class _Cut(Exception):
    """The script ends this connection here."""


@dataclass
class ScriptedServer:
    """`faults` are looked up anew at each step, so a test may change them between messages.

    `cut_after`: hang up once so many bytes of answers have been written on a connection. `only_first`: faults hold for
    the first connection alone. `body_stop`: octets of content read before the BODY step; `deaf_after_body`:
    nothing is read after it.
    """

    extensions: Sequence[str] = ("PIPELINING", "SIZE 10485760", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")
    faults: dict[At, Fault] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    implicit_tls: bool = False
    login: tuple[str, str] | None = None
    cut_after: int | None = None
    only_first: bool = False
    body_stop: int = 1
    deaf_after_body: bool = False
    host: str = "127.0.0.1"
    port: int = 0
    connections: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)
    dotted: asyncio.Event = field(default_factory=asyncio.Event)
    commands: list[str] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    dots: list[bytes] = field(default_factory=list)
    acknowledged: int = 0
    _end: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    async def hang_up_on_all(self, last_words: bytes = b"") -> None:
        """Say something unasked on every open connection and close it."""
        for writer in self._writers:
            if last_words:
                writer.write(last_words)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        self._tasks.append(cast("asyncio.Task[None]", asyncio.current_task()))
        try:
            await _Conversation(self, reader, writer, faulty=self.connections == 1 or not self.only_first).run()
        except (_Cut, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.left.set()
            if not writer.is_closing():
                writer.transport.abort()


@asynccontextmanager
async def serving(server: ScriptedServer) -> AsyncIterator[ScriptedServer]:
    """The server, listening on a free port of its host; every connection is cut at the end."""
    tls = server.tls if server.implicit_tls else None
    address = socket.create_server((server.host, 0))
    # So small that a client with a large mail still holds most of it when the server stops reading.
    address.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener = await asyncio.start_server(server.handle, sock=address, ssl=tls)
    server.port = address.getsockname()[1]
    try:
        yield server
    finally:
        server._end.set()
        listener.close()
        for writer in server._writers:
            if not writer.is_closing():
                writer.transport.abort()
        await _over(server._tasks)


async def _over(tasks: list["asyncio.Task[None]"]) -> None:
    """Wait for every conversation; a mistake in one is a mistake in the test."""
    if not tasks:
        return
    done, stuck = await asyncio.wait(tasks, timeout=1)
    for task in stuck:  # in a handshake whose other side has gone
        task.cancel()
    for task in done:
        task.result()


class _Conversation:
    def __init__(
        self, server: ScriptedServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, faulty: bool
    ) -> None:
        self.server, self.reader, self.writer, self.faulty = server, reader, writer, faulty
        self.written = 0
        self.encrypted = server.implicit_tls
        self.mail = self.rcpt = False

    async def run(self) -> None:
        await self.answer(At.CONNECT, b"220 scripted ESMTP\r\n")
        while line := await self.line():
            self.server.commands.append(line.decode().rstrip("\r\n"))
            verb = line.split()[0].split(b":")[0].upper() if line.split() else b""
            match verb:
                case b"EHLO" | b"HELO":
                    await self.answer(At.EHLO, self.welcome())
                case b"STARTTLS":
                    await self.start_tls()
                case b"AUTH":
                    await self.authenticate(line.decode().split())
                case b"RSET":
                    self.mail = self.rcpt = False
                    await self.answer(At.RSET, b"250 2.0.0 Ok\r\n")
                case b"MAIL":
                    self.mail = await self.answer(At.MAIL, b"250 2.1.0 Ok\r\n")
                case b"RCPT":
                    usual = b"250 2.1.5 Ok\r\n" if self.mail else b"503 5.5.1 need MAIL\r\n"
                    self.rcpt = await self.answer(At.RCPT, usual) and self.mail
                case b"DATA":
                    usual = b"354 go ahead\r\n" if self.rcpt else b"503 5.5.1 need RCPT\r\n"
                    if await self.answer(At.DATA, usual):
                        await self.content()
                case b"QUIT":
                    await self.answer(At.QUIT, b"221 2.0.0 Bye\r\n")
                    return
                case _:
                    await self.write(b"500 5.5.2 what?\r\n")

    async def line(self) -> bytes:
        try:
            return await self.reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return b""

    def welcome(self) -> bytes:
        words = ["scripted", *self.server.extensions]
        if self.server.tls and not self.encrypted:
            words.append("STARTTLS")
        if self.server.login:
            words.append("AUTH PLAIN LOGIN")
        lines = [f"250-{word}" for word in words]
        return "\r\n".join([*lines[:-1], lines[-1].replace("-", " ", 1), ""]).encode()

    async def start_tls(self) -> None:
        if await self.answer(At.STARTTLS, b"220 2.0.0 Ready\r\n") and self.server.tls:
            plain = self.writer.transport
            try:
                await self.writer.start_tls(self.server.tls)
            except AttributeError:
                # The client was gone as soon as the handshake was over: asyncio then leaves the writer without a
                # transport, and stumbles over that itself.
                self.writer._transport = plain  # type: ignore[attr-defined]
                raise _Cut from None
            self.encrypted = True

    async def authenticate(self, words: list[str]) -> None:
        given = base64.b64decode(words[2]).decode().split("\0")[1:] if words[1].upper() == "PLAIN" else []
        right = self.server.login is not None and given == list(self.server.login)
        await self.answer(At.AUTH, b"235 2.7.0 Welcome\r\n" if right else b"535 5.7.8 Bad credentials\r\n")

    async def content(self) -> None:
        self.mail = self.rcpt = False
        lines = bytearray()
        if self.faulty and At.BODY in self.server.faults:
            lines += await self.reader.readexactly(self.server.body_stop)
            await self.answer(At.BODY, b"")
            if self.server.deaf_after_body:
                await self.answer_never()
        while not (lines == b".\r\n" or lines.endswith(b"\r\n.\r\n")):
            line = await self.line()
            if not line:
                raise _Cut
            lines += line
        self.server.dotted.set()
        self.server.dots.append(bytes(lines).removesuffix(b".\r\n"))
        if await self.answer(At.DOT, b"250 2.0.0 Ok: queued as 4FQX\r\n"):
            self.server.acknowledged += 1
        await self.answer(At.AFTER, b"")

    async def answer(self, step: At, usual: bytes) -> bool:
        """Play the step; whether it was answered with a yes."""
        fault = self.server.faults.get(step) if self.faulty else None
        match fault:
            case None:
                await self.write(usual)
                return usual[:1] in (b"2", b"3")
            case Drip():
                for i in range(len(usual)):
                    await self.write(usual[i : i + 1])
                    await asyncio.sleep(0)
                return usual[:1] in (b"2", b"3")
            case Say():
                await self.write(fault.octets)
                if fault.then_drop:
                    raise _Cut
                return fault.octets[:1] in (b"2", b"3")
            case Hang():
                await self.answer_never()
                return False
            case Drop():
                raise _Cut

    async def answer_never(self) -> None:
        await self.server._end.wait()
        raise _Cut

    async def write(self, octets: bytes) -> None:
        limit = self.server.cut_after if self.faulty else None
        if limit is not None and self.written + len(octets) > limit:
            octets = octets[: limit - self.written]
            self.writer.write(octets)
            self.writer.close()  # what was written still arrives, unlike after an abort
            with suppress(OSError):
                await self.writer.wait_closed()
            raise _Cut
        self.written += len(octets)
        self.server.answers.append(octets)
        self.writer.write(octets)
        await self.writer.drain()
