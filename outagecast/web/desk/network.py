"""The network on the desk: elements, services and sites; what hangs on one, what it needs, how it is now."""

from collections.abc import Sequence

from aiohttp import web
from yarl import URL

from outagecast.domain.errors import NotFound
from outagecast.domain.needs import parse_needs
from outagecast.storage import views, views_history, views_network, views_search
from outagecast.storage.engine import Connection
from outagecast.storage.views import OutageView
from outagecast.storage.views_network import Part
from outagecast.web.desk.frame import render
from outagecast.web.reading import query_int
from outagecast.web.services import KEPT, SERVICES

ROWS = 50
MOST_FOUND = 60
ISOLATED_SHOWN = 500
LONGEST_WORDS = 100
KINDS = ("elements", "services", "sites")


async def browse(request: web.Request) -> web.Response:
    """One kind page by page, `?after=` the last id of the page before; `?q=` finds among all three instead."""
    services = request.app[SERVICES]
    kind = request.query.get("kind", KINDS[0])
    kind = kind if kind in KINDS else KINDS[0]
    words, after = request.query.get("q", "").strip()[:LONGEST_WORDS], request.query.get("after", "")
    detail = request.query.get("detail", "")[:LONGEST_WORDS]
    limit = query_int(request.query, "limit", ROWS, most=500)
    async with services.database.read() as conn:
        sizes = await views_network.sizes(conn)
        details = await views_network.element_kinds(conn) if kind == "elements" else []
        if words:
            parts, following = await _found(conn, words), None
        else:
            parts, following = await views_network.part_page(conn, kind[:-1], after=after, detail=detail, limit=limit)
    cut_off = await _isolated(request)
    return render(
        request, "desk/network.html",
        kind=kind, words=words, after=after, detail=detail, details=details, parts_found=parts, following=following,
        sizes=sizes, isolated=len(cut_off), kinds=KINDS,
    )  # fmt: skip


async def isolated(request: web.Request) -> web.Response:
    """What has links but, with nothing down, no path to a gateway: what happens on its way is judged by needs alone."""
    ids = await _isolated(request)
    async with request.app[SERVICES].database.read() as conn:
        parts = await views_network.parts_by_id(conn, "element", ids[:ISOLATED_SHOWN])
        sizes = await views_network.sizes(conn)
    return render(request, "desk/isolated.html", parts_found=parts, total=len(ids), sizes=sizes)


async def page(request: web.Request) -> web.Response:
    """One thing: what it is and needs, how it is now, and whom it would touch if it failed."""
    services = request.app[SERVICES]
    kind, part_id = request.match_info["kind"][:-1], request.match_info["id"]
    async with services.database.read() as conn:
        part = await views_network.part(conn, kind, part_id)
        if part is None:
            raise NotFound(f"there is no {kind} {part_id}")
    fallout = await request.app[KEPT].get(("blast", kind, part_id), lambda: services.blast.if_fails(kind, part_id))
    now = await request.app[KEPT].get(("now", kind, part_id), lambda: services.blast.now(kind, part_id))
    async with services.database.read() as conn:
        outages = await _outages(conn, now.outages)
        refs = {ref for line in fallout.lines for ref in line.because} | set(now.because) | set(_refs(part.needs))
        names = await views_history.names_of(conn, refs)
    return render(
        request, "desk/part.html",
        part=part, fallout=fallout, state=now, outages=outages, names=names, needs=_terms(part.needs),
        cut_off=kind == "element" and part_id in await _isolated(request),
        declare=str(URL("/desk/declare").with_query(scope=f"{kind}:{part_id}")),
    )  # fmt: skip


async def _isolated(request: web.Request) -> Sequence[str]:
    return await request.app[KEPT].get(("isolated",), request.app[SERVICES].blast.isolated)


async def _found(conn: Connection, words: str) -> list[Part]:
    found = await views_search.find(conn, words, kinds=("element", "service", "site"), limit=MOST_FOUND)
    known = {
        (kind, part.id): part
        for kind in ("element", "service", "site")
        for part in await views_network.parts_by_id(conn, kind, [each.id for each in found if each.kind == kind])
    }
    return [known[each.kind, each.id] for each in found if (each.kind, each.id) in known]


async def _outages(conn: Connection, ids: Sequence[str]) -> list[OutageView]:
    found = [await views.outage(conn, outage_id) for outage_id in ids]
    return [view for view in found if view is not None]


def _terms(text: str) -> tuple[tuple[str, ...], ...]:
    """What is needed: all of the terms, of each term one of its refs."""
    return parse_needs(text).terms if text else ()


def _refs(text: str) -> list[str]:
    return [ref for term in _terms(text) for ref in term]
