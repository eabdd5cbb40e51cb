"""For whoever runs the daemon: is it alive, is it ready, what is it doing."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from outagecast.storage.engine import DatabaseAway
from outagecast.web.api.outages import answer
from outagecast.web.services import SERVICES


async def healthz(request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def readyz(request: web.Request) -> web.Response:
    """200 when the database is migrated and the loops run, whatever the backlog; else 503 with what is missing.

    `held` says why nothing is sent until a person has looked: still 200, for a proxy must not take the desk away then.
    """
    services = request.app[SERVICES]
    try:
        missing = list(await services.ready())
        held = await services.restored.look() if services.restored is not None else None
    except DatabaseAway:
        missing, held = ["the database does not answer"], None
    body = {"ready": not missing, "missing": missing, "held": held.reason if held is not None else ""}
    return answer(body, status=503 if missing else 200)


async def metrics(request: web.Request) -> web.Response:
    body = generate_latest(request.app[SERVICES].registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
