"""One outage on the desk: where it stands, what to do next, who was told what, everything that happened."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import web

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.errors import FieldError, Invalid, NotFound
from outagecast.domain.outage import Declaration, OutageStatus
from outagecast.domain.timeline import Happened
from outagecast.storage import (
    views,
    views_board,
    views_changes,
    views_deliveries,
    views_redeliveries,
    views_routes,
    views_scope,
)
from outagecast.storage.engine import Connection
from outagecast.storage.views import OutageView, TimelineView
from outagecast.storage.views_changes import Asked, Overlap
from outagecast.storage.views_redeliveries import NOTHING_DONE, TO_DO, Reach, Wanted
from outagecast.web.desk.board import progress
from outagecast.web.desk.branches import NONE, branches_of
from outagecast.web.desk.changes import after, seen_revision
from outagecast.web.desk.declare import CHOICES, by_field
from outagecast.web.desk.frame import render
from outagecast.web.desk.leaving import leaving
from outagecast.web.desk.ready_made import offered
from outagecast.web.desk.scope_text import names_of, write_entry
from outagecast.web.desk.timeline import details
from outagecast.web.ports import MapChange, Preview, ReleaseCheck
from outagecast.web.services import ACTOR, FORM, KEPT, SERVICES

SHOWN = 10
_LINES = 15
_DOWN = 100
"""Single lines to tick as back; whoever is at the desk with more than these names a site, or types ids."""
LOOKS_AGAIN = "X-Look"
"""The header with which desk.js asks for a page anew."""
STEPS = (15, 60)
"""Minutes by which one click moves the estimate."""


async def page(request: web.Request) -> web.Response:
    return await show(request, {}, [])


async def show(
    request: web.Request, values: Mapping[str, str], errors: list[FieldError], *, status: int = 200
) -> web.Response:
    """The page; after a form that could not be done, with what was typed, what was wrong, and what a colleague has
    changed since the form was made.
    """
    services = request.app[SERVICES]
    filters = {name: request.query.get(name, "") for name in ("state", "channel")}
    wanted = Wanted(state=filters["state"], channel=filters["channel"])
    again = LOOKS_AGAIN in request.headers
    view = await _view(request, kept=again)
    async with services.database.read() as conn:
        things = await views_scope.recognise(conn, [entry.id for entry in view.scope])
        told, following = await views_redeliveries.page(conn, view.id, wanted, before=None, limit=SHOWN)
        done = await views_redeliveries.done_about(conn, [item.id for item in told])
        lines = await views.timeline_page(conn, view.id, limit=_LINES, newest_first=True)
        notes = await views_changes.lines(conn, view.id, Asked(what=Happened.NOTE), limit=_LINES)
        since = await _since(conn, request, view)
        # A page that looks again by itself exchanges its live parts: the forms are not among them, and they cost most.
        forms = view.is_open and not again
        doing = await _doing(conn, view) if forms else _NOTHING
        branches = await branches_of(conn, request, view) if forms else NONE
        to_do = await views_redeliveries.to_do(conn, view.id)
        waits = await views_board.quiet_waits(conn, [view.id], services.clock())
        queues = await views_routes.queues(conn, view.id, services.clock())
        colleagues = await views_changes.colleagues(conn)
    words = await services.words([item.id for item in told if item.speaks])
    return render(
        request,
        "desk/outage.html",
        status=status,
        estimate=None if view.public else await _estimate(request, view),
        map_changed=await _map_change(request, view),
        release=await _release(request, view),
        reach=await _reach(request, view),
        overlaps=await _overlaps(request, view),
        outage=view,
        scope=[(entry, write_entry(entry), name) for entry, name in names_of(things, view.scope)],
        steps=[(minutes, after(view.eta, services.clock(), minutes)) for minutes in STEPS],
        deliveries=[(item, words.get(item.id), done.get(item.id, NOTHING_DONE)) for item in told],
        following=following,
        filters=filters,
        states=STATES,
        timeline=lines,
        notes=notes,
        since=since,
        stale=status == HTTPStatus.PRECONDITION_FAILED,
        details=details,
        to_do=to_do,
        colleagues=colleagues,
        progress=progress,
        waits=waits.get(view.id, 0),
        leaving=leaving(queues, services.rate_of, services.clock()),
        phrases=await offered(request) if forms else [],
        branches=branches.sites,
        picture=branches.picture,
        ticked=branches.ticked,
        clicked=bool(branches.ticked) and FORM not in request,
        values=_Defaults(values),
        errors=errors,
        wrong=by_field(errors),
        choices=CHOICES,
        is_draft=view.status is OutageStatus.DRAFT,
        is_retracted=view.status is OutageStatus.RETRACTED,
        **doing,
    )


_NOTHING: Mapping[str, Any] = {"down": [], "more_down": False, "zones": []}
STATES = {"": "all", TO_DO: "to be seen to"} | {state.value: state.value for state in DeliveryState}


async def _view(request: web.Request, *, kept: bool) -> OutageView:
    """The outage with its counts, which go over every line and message of it. `kept`: all desks that look again within
    the same moment share one.
    """
    outage_id = request.match_info["id"]

    async def read() -> OutageView | None:
        async with request.app[SERVICES].database.read() as conn:
            return await views.outage(conn, outage_id)

    view = await (request.app[KEPT].get(("outage", outage_id), read) if kept else read())
    if view is None:
        raise NotFound(f"there is no outage {outage_id}")
    return view


async def _doing(conn: Connection, view: OutageView) -> Mapping[str, Any]:
    """What only the forms of an open outage need."""
    down, more_down = await views_deliveries.impact_page(conn, view.id, limit=_DOWN, lasting=True)
    return {
        "down": down,
        "more_down": more_down is not None,
        "zones": await views_changes.zones(conn),
    }


async def _since(conn: Connection, request: web.Request, view: OutageView) -> list[TimelineView]:
    """What was done since the form that comes back was made; nothing on a page that was merely asked for."""
    seen = seen_revision(request) if FORM in request else None
    if seen is None or seen >= view.revision:
        return []
    return await views_changes.since(conn, view.id, seen)


async def _reach(request: web.Request, view: OutageView) -> Reach | None:
    """Whom the next word to all reaches. Kept for moments: it goes over everybody who was told."""
    if not view.is_open or not view.public:
        return None

    async def count() -> Reach:
        async with request.app[SERVICES].database.read() as conn:
            return await views_redeliveries.reach(conn, view.id)

    return await request.app[KEPT].get(("reach", view.id, view.revision), count)


async def _overlaps(request: web.Request, view: OutageView) -> Sequence[Overlap]:
    """Who speaks to whom beside it; kept as long."""
    if not view.is_open or not view.public:
        return []

    async def find() -> Sequence[Overlap]:
        async with request.app[SERVICES].database.read() as conn:
            return await views_changes.overlaps(conn, view.id)

    return await request.app[KEPT].get(("overlaps", view.id, view.revision), find)


async def _release(request: web.Request, view: OutageView) -> ReleaseCheck | None:
    """What a release still needs from this person, as the engine sees it (engine/brakes.py); None where nothing
    waits for one.
    """
    if view.status is not OutageStatus.DRAFT and not view.held:
        return None
    return await request.app[SERVICES].operations.release_check(view.id, actor=request[ACTOR])


async def _map_change(request: web.Request, view: OutageView) -> MapChange | None:
    """Kept for moments: a reckoning is no small thing, and every desk that is open looks at every change."""
    if not view.is_open or view.pending or view.held:
        return None
    verbs = request.app[SERVICES].operations
    return await request.app[KEPT].get(("map", view.id, view.revision), lambda: verbs.map_change(view.id))


async def _estimate(request: web.Request, view: OutageView) -> Preview | None:
    """Whom a draft, or a declaration that has not left yet, will reach; None when that cannot be told."""
    declaration = Declaration(
        title=view.title, scope=view.scope, effect=view.effect, severity=view.severity, eta=view.eta
    )
    try:
        return await request.app[SERVICES].previews.preview(declaration, actor=request[ACTOR])
    except Invalid:
        return None


class _Defaults(dict[str, str]):
    """A form's values, empty where nothing was typed."""

    def __missing__(self, key: str) -> Any:
        return ""
