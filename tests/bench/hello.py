"""The least that aiohttp can do, to hold the hook and the pages against: `python -m tests.bench.hello PORT`.

`GET /` answers a short page; `POST /` reads a body as JSON and answers 202, and nothing is stored.
"""

import asyncio
import json
import signal
import sys

import uvloop
from aiohttp import web

_PAGE = "<!doctype html><title>Hello</title><p>Everything works.</p>"


async def _serve(port: int) -> None:
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, end.set)

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=_PAGE, content_type="text/html")

    async def take(request: web.Request) -> web.Response:
        found = await request.json()
        return web.json_response({"status": "accepted", "events": len(found) and 1}, status=202)

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_post("/", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await end.wait()
    await runner.cleanup()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as only:
        only.run(_serve(int(sys.argv[1])))
    print(json.dumps({}))
