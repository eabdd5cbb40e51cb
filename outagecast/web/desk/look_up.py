"""A caller is on the phone: one field for whatever he says, and straight to his screen when there is no doubt."""

from aiohttp import web
from yarl import URL

from outagecast.domain import look_up
from outagecast.domain.look_up import Asked
from outagecast.storage import views_callers, views_people, views_search
from outagecast.storage.engine import Connection
from outagecast.storage.views_callers import Hit
from outagecast.storage.views_search import Caller
from outagecast.web.desk.frame import back_to, render
from outagecast.web.reading import query_int
from outagecast.web.services import FORM, SERVICES

LONGEST_WORDS = 120
MOST_HITS = 50
ROWS = 50
STATUSES = {"": "all", "active": "active", "suspended": "suspended", "ended": "ended"}


async def browse(request: web.Request) -> web.Response:
    """The field, and all customers beneath it, page by page. `?after=` is the last id of the page before."""
    after, status = request.query.get("after", ""), request.query.get("status", "")
    limit = query_int(request.query, "limit", ROWS, most=500)
    async with request.app[SERVICES].database.read() as conn:
        rows, following = await views_people.customer_page(
            conn, after=after, status=status if status in STATUSES else "", limit=limit
        )
    return render(
        request, "desk/customers.html",
        words="", hits=None, levels={}, rows=rows, after=after, following=following, status_filter=status,
        statuses=STATUSES,
    )  # fmt: skip


async def find(request: web.Request) -> web.Response:
    """Straight to the one customer who is meant; several are listed. Posted: what is typed here is personal."""
    words = request[FORM].get("words", "").strip()[:LONGEST_WORDS]
    asked = look_up.read(words, request.app[SERVICES].provider.region or None)
    async with request.app[SERVICES].database.read() as conn:
        hits = await search(conn, asked)
        levels = await views_people.levels(conn, [hit.customer_id for hit in hits])
    if request[FORM].get("part") == "list":  # while somebody types
        return render(request, "desk/callers.html", words=words, hits=hits, levels=levels)
    if (only := _only(hits)) is not None:
        return back_to(_address_of(only))
    return render(
        request, "desk/customers.html",
        words=words, hits=hits, levels=levels, rows=[], after="", following=None, status_filter="", statuses=STATUSES,
    )  # fmt: skip


async def search(conn: Connection, asked: Asked) -> list[Hit]:
    """What fits exactly if anything does; else whatever begins, ends or is called like it."""
    found = await views_callers.by_id(conn, asked.ids) if asked.ids else []
    if asked.phone:
        found += await views_callers.by_address(conn, "sms", asked.phone, limit=MOST_HITS)
    if asked.email:
        found += await views_callers.by_address(conn, "email", asked.email, limit=MOST_HITS)
    if found:
        return _each_once(found)
    words = asked.email or asked.digits or asked.name
    return [_hit(caller) for caller in await views_search.find_callers(conn, words, limit=MOST_HITS)]


def _hit(caller: Caller) -> Hit:
    return Hit(
        customer_id=caller.customer_id,
        customer=caller.name,
        status=caller.status,
        by="contact" if caller.contact_id else caller.by,
        id=caller.contact_id or caller.customer_id,
        shows=caller.matched if caller.by != "customer" else "",
        exact=False,
    )


def _only(hits: list[Hit]) -> Hit | None:
    """The one customer that all hits speak of; an exact hit on one who is still with us outdoes the ended ones."""
    present = [hit for hit in hits if hit.status != "ended"] or hits
    return present[0] if len({hit.customer_id for hit in present}) == 1 else None


def _each_once(hits: list[Hit]) -> list[Hit]:
    return list({(hit.customer_id, hit.by, hit.id): hit for hit in hits}.values())[:MOST_HITS]


def _address_of(hit: Hit) -> str:
    path = URL("/desk/customers") / hit.customer_id
    named = hit.by == "contact" or (hit.by == "circuit" and hit.exact)
    return str(path.with_query({hit.by: hit.id}) if named else path)
