"""The board: what is open, the next promise, what waits for a person, what did not arrive."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aiohttp import web

from outagecast.storage.views import OutageView
from outagecast.web.desk.frame import back_to, render
from outagecast.web.desk.tallies import tally
from outagecast.web.services import ACTOR, FORM, SERVICES

_RECENT = timedelta(hours=24)
_NEVER = datetime.max.replace(tzinfo=UTC)
PROGRESS: Mapping[str, tuple[str, ...]] = {
    "sent": ("accepted", "delivered"),
    "on the way": ("planned", "leased", "transmitting"),
    "unknown": ("ambiguous",),
    "failed": ("failed", "undelivered"),
    "not sent": ("suppressed", "expired", "cancelled", "capped"),
}
"""Deliveries by what they mean to the person at the desk; a superseded one is neither: a newer one says it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """An open outage as the board shows it; `waits`: messages that wait for the end of quiet hours."""

    outage: OutageView
    waits: int
    overdue: bool
    eta_passed: bool


async def board(request: web.Request) -> web.Response:
    now = request.app[SERVICES].clock()
    found = await tally(request, since=now - _RECENT, most_over=10)
    opened = [_line(view, found.waits.get(view.id, 0), now) for view in by_promise(found.live) if view.is_open]
    return render(
        request,
        "desk/board.html",
        opened=opened,
        overdue=[line for line in opened if line.overdue],
        due=next((line.outage for line in opened if line.outage.next_update_by and not line.overdue), None),
        drafts=[view for view in found.live if not view.is_open],
        waiting=[line.outage for line in opened if line.outage.held],
        over=found.over,
        lost=found.lost,
        progress=progress,
    )


async def pause(request: web.Request) -> web.Response:
    reason = request[FORM].get("reason", "").strip() or "no reason given"
    await request.app[SERVICES].operations.pause(reason, actor=request[ACTOR])
    return back_to("/desk")


async def resume(request: web.Request) -> web.Response:
    await request.app[SERVICES].operations.resume(actor=request[ACTOR])
    return back_to("/desk")


def progress(
    deliveries: Mapping[str, Mapping[str, int]], waits: int = 0, stopped: object = None
) -> list[tuple[str, int]]:
    """How far telling has come, over all channels: only what there is. `waits`: how many of those planned wait for
    the end of quiet hours; they are not on the way. Neither are those that a pause or a hold has `stopped`.
    """
    counts = {
        word: sum(by_state.get(state, 0) for by_state in deliveries.values() for state in states)
        for word, states in PROGRESS.items()
    }
    counts["on the way"] -= waits
    said = [("held" if stopped and word == "on the way" else word, n) for word, n in counts.items()]
    return [(word, n) for word, n in [*said, ("after quiet hours", waits)] if n > 0]


def by_promise(found: Iterable[OutageView]) -> Sequence[OutageView]:
    """The one whose promise is due soonest first, so what is overdue stands at the top; those without one last."""
    return sorted(found, key=lambda view: (view.next_update_by or _NEVER, view.eta or _NEVER, view.id))


def _line(view: OutageView, waits: int, now: datetime) -> Line:
    return Line(
        outage=view,
        waits=waits,
        overdue=view.next_update_by is not None and view.next_update_by <= now,
        eta_passed=view.eta is not None and view.eta <= now,
    )
