"""The status page, one outage, and the list of those that are over. No names, nothing before it is effective."""

from datetime import timedelta
from typing import Any

from aiohttp import web

from outagecast.domain.errors import NotFound
from outagecast.domain.levels import Level
from outagecast.storage import views_public
from outagecast.storage.views_public import PublicOutage, PublicService, PublicWord, Share
from outagecast.web.security import PUBLIC_CACHE
from outagecast.web.services import KEPT, PAGES, SERVICES

HISTORY = timedelta(days=90)
_WHOLE = 0.9
"""From this share of its lines on a service is called down, not down in part."""
_MOST_AREAS = 3


async def status(request: web.Request) -> web.Response:
    found, listed = await request.app[KEPT].get("status", lambda: _open_now(request))
    states = [(service, _worst(service, found)) for service in listed]
    return _page(request, "status.html", outages=found, services=states, sentence=sentence, where=where)


async def outage(request: web.Request) -> web.Response:
    outage_id = request.match_info["id"]
    found, said = await request.app[KEPT].get(("outage", outage_id), lambda: _one(request, outage_id))
    if found is None:
        raise NotFound("there is no such outage, or it touches nothing that is public")
    return _page(request, "outage.html", outage=found, words=said, sentence=sentence, where=where)


async def history(request: web.Request) -> web.Response:
    found = await request.app[KEPT].get("history", lambda: _ended(request))
    return _page(request, "history.html", outages=found, days=HISTORY.days)


def sentence(outage: PublicOutage) -> str:
    """`Fiber Internet is down for part of Lexington`: what its readers came for."""
    worst = [share for share in outage.shares if share.level is outage.level]
    places = dict.fromkeys(where(share) for share in worst)
    return "; ".join(
        _state([share.name for share in worst if where(share) == place], outage.level, place) for place in places
    )


async def _open_now(request: web.Request) -> tuple[list[PublicOutage], list[PublicService]]:
    async with request.app[SERVICES].database.read() as conn:
        return await views_public.open_outages(conn), await views_public.service_list(conn)


async def _one(request: web.Request, outage_id: str) -> tuple[PublicOutage | None, list[PublicWord]]:
    async with request.app[SERVICES].database.read() as conn:
        found = await views_public.outage(conn, outage_id)
        return found, await views_public.words(conn, outage_id) if found is not None else []


async def _ended(request: web.Request) -> list[PublicOutage]:
    services = request.app[SERVICES]
    async with services.database.read() as conn:
        return await views_public.ended_outages(conn, since=services.clock() - HISTORY)


def _state(names: list[str], level: Level, place: str) -> str:
    one = len(names) == 1
    match level:
        case Level.OUTAGE:
            state = "down"
        case Level.DEGRADED:
            state = "degraded"
        case Level.REDUCED_REDUNDANCY:
            state = f"without {'its' if one else 'their'} usual reserve"
        case Level.NO_IMPACT:
            state = "affected"
    return f"{_list(names)} {'is' if one else 'are'} {state} {place}".strip()


def where(share: Share) -> str:
    """`for part of Lexington`, `in Lexington and Georgetown`, `for some customers`; "" for everybody."""
    if not share.lines or (share.of and share.lines >= share.of * _WHOLE):
        return ""
    if not share.areas:
        return "for some customers"
    if len(share.areas) > _MOST_AREAS:
        more = len(share.areas) - _MOST_AREAS + 1
        return f"for parts of {', '.join(share.areas[: _MOST_AREAS - 1])} and {more} more areas"
    return f"for part{'s' if len(share.areas) > 1 else ''} of {_list(list(share.areas))}"


def _worst(service: PublicService, found: list[PublicOutage]) -> Share | None:
    """The worst that any open outage does to a service; None if it is well."""
    shares = [share for outage in found for share in outage.shares if share.service_id == service.id]
    return max(shares, key=lambda share: share.level, default=None)


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _page(request: web.Request, name: str, **values: Any) -> web.Response:
    response = request.app[PAGES].render(name, **values)
    response.headers["Cache-Control"] = PUBLIC_CACHE
    return response
