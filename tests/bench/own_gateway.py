"""A minimal gateway that answers as Twilio does, and the bare loop of form POSTs to hold the product against.

`python -m tests.bench.own_gateway serve PORT` prints what it counted when it is told to end;
`python -m tests.bench.own_gateway source PORT MESSAGES` prints its seconds.
"""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

from aiohttp import ClientSession, TCPConnector, encode_basic_auth

ACCOUNT = "AC00000000000000000000000000000000"
IN_FLIGHT = 20
_PATH = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
_BODY = "Bluegrass Fiber: Your line Office 12345 is down since 05:04 EST. We are on it and write again by 06:00 EST."


class Gateway(asyncio.Protocol):
    """One kept connection. `heard` gets every form; it is read only when all is over."""

    def __init__(self, heard: list[bytes]) -> None:
        self._heard = heard
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while True:
            head, blank, rest = self._rest.partition(b"\r\n\r\n")
            if not blank:
                return
            length = _length(head)
            if len(rest) < length:
                return
            form, self._rest = rest[:length], rest[length:]
            self._transport.write(self._answer(head, form))

    def _answer(self, head: bytes, form: bytes) -> bytes:
        if not head.startswith(b"POST"):
            return _http(b"200 OK", b"{}")
        self._heard.append(form)
        record = b'{"sid": "SM%032x", "status": "queued", "error_code": null}' % len(self._heard)
        return _http(b"201 Created", record)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _http(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


async def serve(port: int) -> dict[str, Any]:
    """Listen until SIGTERM; how many texts came, and to how many phones."""
    heard: list[bytes] = []
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, end.set)
    server = await loop.create_server(lambda: Gateway(heard), "127.0.0.1", port)
    await end.wait()
    server.close()
    return {"messages": len(heard), "recipients": len({parse_qs(form.decode())["To"][0] for form in heard})}


async def source(port: int, messages: int) -> float:
    """What anybody would write first: a form POST each, twenty at a time; the seconds it took."""
    left = iter(range(messages))
    connector = TCPConnector(limit=IN_FLIGHT)
    headers = {"Authorization": encode_basic_auth(ACCOUNT, "not-a-secret")}
    async with ClientSession(connector=connector, headers=headers) as session:
        started = time.perf_counter()
        await asyncio.gather(*(_post(session, f"http://127.0.0.1:{port}{_PATH}", left) for _ in range(IN_FLIGHT)))
        return time.perf_counter() - started


async def _post(session: ClientSession, url: str, left: Iterator[int]) -> None:
    for number in left:
        callback = f"https://status.example.net/callbacks/twilio/status?attempt={number:022}"
        form = {
            "To": f"+1859{2000000 + number}",
            "From": "+18595550100",
            "Body": _BODY,
            "StatusCallback": callback,
            "ValidityPeriod": "3600",
        }
        async with session.post(url, data=form) as answer:
            assert answer.status == 201
            await answer.json()


def main(words: list[str]) -> None:
    match words:
        case ["serve", port]:
            print(json.dumps(asyncio.run(serve(int(port)))))
        case ["source", port, messages]:
            print(json.dumps({"seconds": asyncio.run(source(int(port), int(messages)))}))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
