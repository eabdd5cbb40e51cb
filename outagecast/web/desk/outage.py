"""One outage on the desk: where it stands, what to do next, who was told what, everything that happened."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.errors import FieldError, Invalid, NotFound
from outagecast.domain.outage import Declaration, OutageStatus, Role
from outagecast.engine.people import Session
from outagecast.storage import views, views_deliveries, views_scope
from outagecast.storage.views import OutageView, RevisionView
from outagecast.web.desk.board import progress
from outagecast.web.desk.declare import CHOICES, by_field
from outagecast.web.desk.frame import render
from outagecast.web.desk.scope_text import names_of, write_entry
from outagecast.web.ports import MapChange, Preview
from outagecast.web.reading import query_int
from outagecast.web.services import ACTOR, KEPT, SERVICES, SESSION

SHOWN = 50
_LINES = 100
_DOWN = 100
"""Single lines to tick as back; whoever is at the desk with more than these names an element, or types ids."""


async def page(request: web.Request) -> web.Response:
    return await show(request, {}, [])


async def show(
    request: web.Request, values: Mapping[str, str], errors: list[FieldError], *, status: int = 200
) -> web.Response:
    """The page; after a form that could not be done, with what was typed and what was wrong."""
    services = request.app[SERVICES]
    outage_id = request.match_info["id"]
    filters = {name: request.query.get(name, "") for name in ("state", "channel")}
    after = query_int(request.query, "after", 0, most=10**9) if request.query.get("after") else 0
    async with services.database.read() as conn:
        view = await views.outage(conn, outage_id)
        if view is None:
            raise NotFound(f"there is no outage {outage_id}")
        things = await views_scope.recognise(conn, [entry.id for entry in view.scope])
        told, following = await views_deliveries.delivery_page(
            conn, outage_id, state=filters["state"], channel=filters["channel"], after=after, limit=SHOWN
        )
        lines = await views.timeline_page(conn, outage_id, limit=_LINES, newest_first=True)
        down, more_down = await views_deliveries.impact_page(conn, outage_id, limit=_DOWN, lasting=True)
        said = await views.revision_list(conn, outage_id)
        paused = await views.pause(conn)
    words = await services.words([item.id for item in told if item.speaks])
    remapped = await _map_change(request, view)
    estimate = None if view.public else await _estimate(request, view)
    return render(
        request,
        "desk/outage.html",
        estimate=estimate,
        map_changed=remapped,
        refusal=_refusal(request[SESSION], view, said),
        down=down,
        more_down=more_down is not None,
        status=status,
        outage=view,
        scope=[(entry, write_entry(entry), name) for entry, name in names_of(things, view.scope)],
        deliveries=[(item, words.get(item.id)) for item in told],
        following=following,
        filters=filters,
        states=[state.value for state in DeliveryState],
        timeline=lines,
        revisions=[item for item in said if item.message],
        paused=paused,
        progress=progress,
        values=_Defaults(values),
        errors=errors,
        wrong=by_field(errors),
        choices=CHOICES,
        is_draft=view.status is OutageStatus.DRAFT,
        is_retracted=view.status is OutageStatus.RETRACTED,
    )


def _refusal(session: Session, view: OutageView, said: list[RevisionView]) -> str:
    """Why this person's "Release" would be refused, as the engine sees it: `role`, `second` person, "" if it would not.

    The engine has the last word (engine/brakes.py); this only spares people a button that cannot work.
    """
    because = view.held.held_because if view.held else view.held_because
    if because != "approve_above":
        return ""
    if session.role not in (Role.APPROVER, Role.ADMIN):
        return "role"
    number = view.held.revision if view.held else 1
    own = any(item.number == number and item.actor == session.name and not view.monitor for item in said)
    return "second" if own else ""


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
