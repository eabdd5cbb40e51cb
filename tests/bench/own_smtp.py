"""Our own minimal SMTP pair: a sink that counts whom it heard of and keeps the first mail, and a pipelining source for
where Postfix's `smtp-source` is not installed.

`python -m tests.bench.own_smtp sink PORT` prints what it counted when it is told to end: `octets` of content, `wire`
of everything both ways;
`python -m tests.bench.own_smtp source PORT MESSAGES OCTETS` prints its seconds.
"""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Iterator

SESSIONS = 10
_CAPABILITIES = b"250-bench\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 104857600\r\n"
_END = b"\r\n.\r\n"


class Counted:
    """What a sink heard: `recipients` only once each."""

    def __init__(self) -> None:
        self.messages = 0
        self.octets = 0
        self.wire = 0
        self.sessions = 0
        self.first = self.first_recipient = b""
        self.recipients: set[bytes] = set()


class Sink(asyncio.Protocol):
    """One session; it says yes to everything."""

    def __init__(self, counted: Counted) -> None:
        self._counted = counted
        self._rest = b""
        self._in_data = False
        self._recipient = b""
        self._left = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._counted.sessions += 1
        self._answer(b"220 bench ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._counted.wire += len(data)
        self._rest += data
        answers = []
        while (answer := self._step()) is not None:
            answers.append(answer)
        if answers:
            self._answer(b"".join(answers))
        if self._left:
            self._transport.close()

    def _answer(self, said: bytes) -> None:
        self._counted.wire += len(said)
        self._transport.write(said)

    def _step(self) -> bytes | None:
        """The answer to the next thing that is whole in the buffer, None when nothing is."""
        if self._in_data:
            content, dot, rest = self._rest.partition(_END)
            if not dot:
                return None
            self._in_data, self._rest = False, rest
            self._counted.messages += 1
            self._counted.octets += len(content)
            if not self._counted.first:
                self._counted.first, self._counted.first_recipient = content, self._recipient[9:].rstrip(b">")
            self._counted.recipients.add(self._recipient)
            return b"250 2.0.0 Ok\r\n"
        line, end, rest = self._rest.partition(b"\r\n")
        if not end:
            return None
        self._rest = rest
        match line[:4].upper():
            case b"EHLO":
                return _CAPABILITIES
            case b"DATA":
                self._in_data = True
                return b"354 Go ahead\r\n"
            case b"RCPT":
                self._recipient = line.upper()
                return b"250 2.1.5 Ok\r\n"
            case b"QUIT":
                self._left = True
                return b"221 2.0.0 Bye\r\n"
            case _:
                return b"250 2.0.0 Ok\r\n"


async def sink(port: int) -> Counted:
    """Listen until SIGTERM."""
    counted, loop, end = Counted(), asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, end.set)
    server = await loop.create_server(lambda: Sink(counted), "127.0.0.1", port, backlog=1000)
    await end.wait()
    server.close()
    return counted


async def source(port: int, messages: int, octets: int) -> float:
    """Send over kept connections, MAIL, RCPT and DATA in one write; the seconds it took."""
    content = b"Subject: bench\r\n\r\n" + (b"x" * 76 + b"\r\n") * (octets // 78) + b".\r\n"
    left = iter(range(messages))
    started = time.perf_counter()
    await asyncio.gather(*(_session(port, left, content) for _ in range(SESSIONS)))
    return time.perf_counter() - started


async def _session(port: int, left: Iterator[int], content: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    writer.write(b"EHLO bench\r\n")
    while (await reader.readline())[3:4] == b"-":
        pass
    for number in left:
        writer.write(b"MAIL FROM:<bench@example.net>\r\nRCPT TO:<c%d@customers.example>\r\nDATA\r\n" % number)
        for _ in range(3):
            await reader.readline()
        writer.write(content)
        await reader.readline()
    writer.write(b"QUIT\r\n")
    writer.close()


def main(words: list[str]) -> None:
    answer: dict[str, object]
    match words:
        case ["sink", port]:
            found = asyncio.run(sink(int(port)))
            answer = {
                "messages": found.messages,
                "recipients": len(found.recipients),
                "octets": found.octets,
                "wire": found.wire,
                "sessions": found.sessions,
                "first": found.first.decode("latin-1"),
                "first_recipient": found.first_recipient.decode("latin-1"),
            }
        case ["source", port, messages, octets]:
            answer = {"seconds": asyncio.run(source(int(port), int(messages), int(octets)))}
        case _:
            raise SystemExit(__doc__)
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1:])
