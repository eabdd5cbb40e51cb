"""What somebody at the desk has chosen for his own eyes and hands, kept in cookies: the zone of all times, the keys.

Each time names its zone, so that nobody has to know which it is; a page reads what is typed in the zone it shows.
"""

from datetime import timedelta
from zoneinfo import ZoneInfo, available_timezones

from aiohttp import web

from outagecast.web.services import SERVICES

ZONE_COOKIE = "outagecast_zone"
KEYS_COOKIE = "outagecast_keys"
_LASTS = timedelta(days=365)
ZONES = tuple(
    sorted(name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "SystemV/")))
)
"""What can be chosen besides UTC: places, which know their summer time."""
_KNOWN = frozenset(ZONES) | {"UTC"}


def viewer_zone(request: web.Request) -> ZoneInfo:
    """The zone this person reads and types times in."""
    chosen = request.cookies.get(ZONE_COOKIE, "")
    return ZoneInfo(chosen) if chosen in _KNOWN else request.app[SERVICES].provider.zone


def is_zone(name: str) -> bool:
    return name in _KNOWN


def has_keys(request: web.Request) -> bool:
    """Whether single letters are keys; whoever dictates to his browser switches them off (WCAG 2.1.4)."""
    return request.cookies.get(KEYS_COOKIE, "") != "off"


def keep(response: web.StreamResponse, request: web.Request, cookie: str, value: str) -> None:
    """Keep a choice in this browser; "" goes back to what is usual."""
    https = request.app[SERVICES].provider.https
    if value:
        seconds = int(_LASTS.total_seconds())
        response.set_cookie(cookie, value, max_age=seconds, path="/desk", httponly=True, samesite="Lax", secure=https)
    else:
        response.del_cookie(cookie, path="/desk", httponly=True, samesite="Lax", secure=https)
