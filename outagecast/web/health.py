"""For whoever runs the daemon: is it alive, is it ready, what is it doing."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from outagecast.web.api.outages import answer
from outagecast.web.services import SERVICES


async def healthz(request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def readyz(request: web.Request) -> web.Response:
    """200 when the database is migrated and the loops run, whatever the backlog; else 503 with what is missing."""
    missing = list(await request.app[SERVICES].ready())
    return answer({"ready": not missing, "missing": missing}, status=503 if missing else 200)


async def metrics(request: web.Request) -> web.Response:
    body = generate_latest(request.app[SERVICES].registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
