"""What every page of the desk needs: who is signed in, the forms' secret, what stands over all pages, the zone."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from outagecast.domain.errors import Invalid
from outagecast.domain.outage import Role
from outagecast.web.access import LADDER
from outagecast.web.desk.detours import detours
from outagecast.web.desk.viewer import KEYS_COOKIE, ZONE_COOKIE, ZONES, has_keys, is_zone, keep, viewer_zone
from outagecast.web.services import FORM, PAGES, SERVICES, SESSION, STANDING

KEYS: Mapping[str, Mapping[str, str]] = {
    "Everywhere": {
        "b": "the board",
        "d": "declare an outage",
        "h": "hand over to the next shift",
        "c": "who is calling? look up a customer",
        "n": "the network",
        "u": "undo the last step, while there is time",
        "/": "search",
        "?": "all keys",
        "Esc": "close what is open, leave a field",
    },
    "On the board": {
        "j": "the next outage",
        "k": "the one before",
        "Enter": "open it",
        "p": "pause all sending",
    },
    "In a form": {"Ctrl+Enter": "the main button: preview, or send what was previewed"},
}
"""All keys that are not one page's own; a page's own stand on its buttons (`data-key`) and are listed from there."""


def render(request: web.Request, name: str, *, status: int = 200, **values: Any) -> web.Response:
    """A page of the desk. Times are in the viewer's zone; whatever is read from its forms has to be, too."""
    session = request[SESSION]
    services = request.app[SERVICES]
    zone = viewer_zone(request)
    return request.app[PAGES].render(
        name,
        zone=zone,
        status=status,
        session=session,
        csrf=session.csrf,
        may_act=LADDER.index(session.role) >= LADDER.index(Role.OPERATOR),
        path=request.path,
        public_url=services.provider.public_url,
        standing=request.get(STANDING),
        routes_down={name: route for name, route in services.routes().items() if route.since is not None},
        detours=detours(services.route_views()),
        zone_key=zone.key,
        keys_on=has_keys(request),
        **values,
    )


def back_to(path: str) -> web.Response:
    """After a form: the page is fetched anew, so that reloading it sends nothing twice."""
    return web.Response(status=303, headers={"Location": path})


def inside(path: str) -> str:
    """A page of the desk to go back to, the board for anything else: never another site."""
    ours = path == "/desk" or path.startswith(("/desk/", "/desk?"))
    return path if ours and "\\" not in path and not path.startswith("/desk/sign") else "/desk"


async def look(request: web.Request) -> web.Response:
    """What stands over all pages, alone: what a page asks for that has nothing else to keep up to date."""
    return render(request, "desk/standing.html")


async def keys(request: web.Request) -> web.Response:
    return render(request, "desk/keys.html", keys=KEYS)


async def choose_keys(request: web.Request) -> web.Response:
    response = back_to("/desk/keys")
    keep(response, request, KEYS_COOKIE, "" if request[FORM].get("keys") == "on" else "off")
    return response


async def zones(request: web.Request) -> web.Response:
    back = inside(request.query.get("next", ""))
    return render(request, "desk/zone.html", zones=ZONES, back=back, own=request.app[SERVICES].provider.timezone)


async def choose_zone(request: web.Request) -> web.Response:
    """Empty goes back to the provider's."""
    chosen = request[FORM].get("zone", "").strip()
    if chosen and not is_zone(chosen):
        raise Invalid.one("zone", f"{chosen[:60]} is no time zone: choose one from the list")
    response = back_to(inside(request[FORM].get("next", "")))
    keep(response, request, ZONE_COOKIE, chosen)
    return response
