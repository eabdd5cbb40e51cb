"""The inventory, pushed by billing systems: one thing at a time, whole. The engine checks it as an import would."""

from aiohttp import web

from outagecast.domain.errors import Invalid
from outagecast.web.api.outages import answer
from outagecast.web.reading import read_json
from outagecast.web.services import ACTOR, SERVICES

KINDS = ("customers", "contacts", "circuits", "elements", "services", "sites")


async def get(request: web.Request) -> web.Response:
    found = await request.app[SERVICES].inventory.get(*_which(request))
    return answer(dict(found))


async def put(request: web.Request) -> web.Response:
    """201 when it is new, 200 when it was there; the answer is the thing as it is now."""
    value, _ = await read_json(request)
    if not isinstance(value, dict):
        raise Invalid.one("", "the body is not a JSON object")
    kind, id = _which(request)
    if value.get("id", id) != id:
        raise Invalid.one("id", f"differs from the address, which says {id}")
    inventory = request.app[SERVICES].inventory
    created = await inventory.put(kind, id, {k: v for k, v in value.items() if k != "id"}, actor=request[ACTOR])
    return answer(dict(await inventory.get(kind, id)), status=201 if created else 200)


async def delete(request: web.Request) -> web.Response:
    await request.app[SERVICES].inventory.delete(*_which(request), actor=request[ACTOR])
    return web.Response(status=204)


def _which(request: web.Request) -> tuple[str, str]:
    return request.match_info["kind"].removesuffix("s"), request.match_info["id"]
