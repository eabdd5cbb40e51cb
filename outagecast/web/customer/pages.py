"""One address's own page, behind the secret in its link, and the way out of the list (RFC 8058)."""

from datetime import tzinfo
from zoneinfo import ZoneInfo

from aiohttp import web

from outagecast.domain.errors import NotFound
from outagecast.domain.levels import Level
from outagecast.storage import views_customer, views_deliveries
from outagecast.storage.views_customer import AddressView
from outagecast.web.reading import read_form
from outagecast.web.security import check_same_origin
from outagecast.web.services import PAGES, SERVICES

REJOIN_FROM = ("opted_out",)
"""What the person may take back himself; a dead address is for staff to look at."""


async def mine(request: web.Request) -> web.Response:
    services = request.app[SERVICES]
    address = await _address(request)
    async with services.database.read() as conn:
        lines = await views_customer.lines(conn, address.id)
        told = await views_deliveries.deliveries_to(conn, address.id)
    words = await services.words([delivery.id for delivery in told])
    return request.app[PAGES].render(
        "my.html",
        zone=_zone(address, services.provider.zone),
        address=address,
        lines=lines,
        affected=[line for line in lines if line.level > Level.NO_IMPACT],
        said=[(delivery, words[delivery.id]) for delivery in told if delivery.id in words],
        may_rejoin=address.suppressed in REJOIN_FROM,
        token=request.match_info["token"],
    )


async def choose(request: web.Request) -> web.Response:
    """The buttons of that page: leave or rejoin."""
    check_same_origin(request)
    address = await _address(request)
    form = await read_form(request)
    receipts = request.app[SERVICES].receipts
    if form.get("do") == "leave":
        await receipts.unsubscribe(address.id, "page")
    elif form.get("do") == "rejoin" and address.suppressed in REJOIN_FROM:
        await receipts.rejoin(address.id, "page")
    return web.Response(status=303, headers={"Location": f"/my/{request.match_info['token']}"})


async def ask_to_leave(request: web.Request) -> web.Response:
    """What opens when somebody follows the link by hand. A GET changes nothing: scanners follow links too."""
    return request.app[PAGES].render(
        "unsubscribe.html", address=await _address(request), token=request.match_info["token"], left=False
    )


async def leave(request: web.Request) -> web.Response:
    """One click, from a mail program or the button: no sign-in, no question, done when answered."""
    address = await _address(request)
    await read_form(request)
    await request.app[SERVICES].receipts.unsubscribe(address.id, "one-click")
    return request.app[PAGES].render("unsubscribe.html", address=address, token=request.match_info["token"], left=True)


async def _address(request: web.Request) -> AddressView:
    """NotFound for a link that is not ours: the same answer whatever is wrong with it."""
    services = request.app[SERVICES]
    address_id = services.links.read(request.match_info["token"])
    if address_id is not None:
        async with services.database.read() as conn:
            address = await views_customer.address(conn, address_id)
        if address is not None:
            return address
    raise NotFound("this link is not known: copy it whole from the message, or call us")


def _zone(address: AddressView, usual: tzinfo) -> tzinfo:
    try:
        return ZoneInfo(address.timezone) if address.timezone else usual
    except (KeyError, ValueError, OSError):
        return usual
