"""A gateway that answers as Twilio does, and the bare loop of form POSTs to hold the product against.

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

from aiohttp import ClientSession, TCPConnector, encode_basic_auth, web

ACCOUNT = "AC00000000000000000000000000000000"
IN_FLIGHT = 20
_PATH = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
_BODY = "Bluegrass Fiber: Your line Office 12345 is down since 05:04 EST. We are on it and write again by 06:00 EST."


async def serve(port: int) -> dict[str, Any]:
    """Listen until SIGTERM; how many texts came, and to how many phones. An ordinary aiohttp server, as a gateway on
    one's own machine is: the loop and the product pay for it alike."""
    heard: list[str] = []
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, end.set)

    async def take(request: web.Request) -> web.Response:
        form = await request.post()
        heard.append(str(form["To"]))
        return web.json_response({"sid": f"SM{len(heard):032x}", "status": "queued", "error_code": None}, status=201)

    async def other(request: web.Request) -> web.Response:
        return web.json_response({})

    app = web.Application()
    app.router.add_post(_PATH, take)
    app.router.add_route("*", "/{rest:.*}", other)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await end.wait()
    await runner.cleanup()
    return {"messages": len(heard), "recipients": len(set(heard))}


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
