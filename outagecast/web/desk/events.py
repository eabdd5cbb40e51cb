"""Live pages: "something changed, look again" as server-sent events; the page fetches itself and moves its numbers."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from outagecast.web.services import DOORS, SERVICES

PING_SECONDS = 15
"""Proxies close what stays silent for a minute."""
APART_SECONDS = 1.0
"""While thousands of messages leave, a page looks once a second, not for each."""
MOST_STREAMS = 200


async def events(request: web.Request) -> web.StreamResponse:
    doors = request.app[DOORS]
    if len(doors.streams) >= MOST_STREAMS:
        return web.Response(status=503, headers={"Retry-After": "60"})
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    await response.prepare(request)
    stream = asyncio.create_task(_tell(request, response))
    doors.streams.add(stream)
    try:
        await asyncio.wait([stream])
    finally:
        stream.cancel()
        doors.streams.discard(stream)
    return response


async def close_streams(app: web.Application) -> None:
    """At shutdown: an open stream would hold up the server for a minute."""
    for stream in list(app[DOORS].streams):
        stream.cancel()


async def _tell(request: web.Request, response: web.StreamResponse) -> None:
    changes = aiter(request.app[SERVICES].changes.subscribe())
    coming = asyncio.ensure_future(_next(changes))
    try:
        await response.write(b"retry: 3000\nevent: change\ndata: hello\n\n")
        while True:
            done, _ = await asyncio.wait([coming], timeout=PING_SECONDS)
            if not done:
                await response.write(b": still here\n\n")
                continue
            if not coming.result():
                return
            await response.write(b"event: change\ndata: look\n\n")
            await asyncio.sleep(APART_SECONDS)
            coming = asyncio.ensure_future(_next(changes))
    except ConnectionError:
        return
    finally:
        coming.cancel()


async def _next(changes: AsyncIterator[object]) -> bool:
    """Whether there was one more; False when the daemon stops."""
    try:
        await anext(changes)
    except StopAsyncIteration:
        return False
    return True
