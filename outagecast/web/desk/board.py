"""The board: what is open, the next promise, what waits for a person."""

from collections.abc import Mapping
from datetime import timedelta

from aiohttp import web

from outagecast.domain.outage import ENDED, OPEN, OutageStatus
from outagecast.storage import views
from outagecast.storage.views import OutageView
from outagecast.web.desk.frame import back_to, render
from outagecast.web.services import ACTOR, FORM, SERVICES

MOST = 200
_RECENT = timedelta(hours=24)
PROGRESS: Mapping[str, tuple[str, ...]] = {
    "sent": ("accepted", "delivered"),
    "on the way": ("planned", "leased", "transmitting"),
    "unknown": ("ambiguous",),
    "failed": ("failed", "undelivered"),
    "not sent": ("suppressed", "expired", "cancelled", "capped"),
}
"""Deliveries by what they mean to the person at the desk; a superseded one is neither: a newer one says it."""


async def board(request: web.Request) -> web.Response:
    services = request.app[SERVICES]
    now = services.clock()
    async with services.database.read() as conn:
        live, _ = await views.outage_list(conn, statuses=[OutageStatus.DRAFT, *OPEN], cursor=None, limit=MOST)
        over, _ = await views.outage_list(conn, statuses=ENDED, cursor=None, limit=10)
        paused = await views.pause(conn)
    opened = sorted((view for view in live if view.is_open), key=lambda view: (_due(view) is None, _due(view) or now))
    return render(
        request,
        "desk/board.html",
        opened=opened,
        drafts=[view for view in live if not view.is_open],
        over=[view for view in over if view.ended_at and now - view.ended_at < _RECENT],
        paused=paused,
        progress=progress,
        waiting=sum(view.held is not None for view in opened),
    )


async def pause(request: web.Request) -> web.Response:
    reason = request[FORM].get("reason", "").strip() or "no reason given"
    await request.app[SERVICES].operations.pause(reason, actor=request[ACTOR])
    return back_to("/desk")


async def resume(request: web.Request) -> web.Response:
    await request.app[SERVICES].operations.resume(actor=request[ACTOR])
    return back_to("/desk")


def progress(deliveries: Mapping[str, Mapping[str, int]]) -> list[tuple[str, int]]:
    """How far telling has come, over all channels: only what there is."""
    counts = {
        word: sum(by_state.get(state, 0) for by_state in deliveries.values() for state in states)
        for word, states in PROGRESS.items()
    }
    return [(word, n) for word, n in counts.items() if n]


def _due(view: OutageView) -> object:
    return view.next_update_by
