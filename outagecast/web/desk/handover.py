"""The change of shift: what is open, promised, unanswered, held, failed, and what happened; to read or print."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import web

from outagecast.storage import views_board
from outagecast.storage.views import OutageView
from outagecast.web.desk.board import by_promise, progress
from outagecast.web.desk.frame import render
from outagecast.web.desk.tallies import tally
from outagecast.web.services import SERVICES

SHIFTS = (8, 12, 24)
"""Hours back that can be chosen; the usual shift is the middle one."""
_LINES = 200
_ENDED = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Unanswered:
    """An open outage that asks something of the next shift, and what."""

    outage: OutageView
    why: tuple[str, ...]


async def page(request: web.Request) -> web.Response:
    services = request.app[SERVICES]
    now = services.clock()
    asked = request.query.get("hours", "")
    hours = int(asked) if asked in {str(shift) for shift in SHIFTS} else SHIFTS[1]
    since = now - timedelta(hours=hours)
    async with services.database.read() as conn:
        happened, small = await views_board.happened_since(conn, since, limit=_LINES)
    found = await tally(request, since=since, most_over=_ENDED)
    opened = by_promise(view for view in found.live if view.is_open)
    return render(
        request,
        "desk/handover.html",
        hours=hours,
        shifts=SHIFTS,
        since=since,
        opened=opened,
        drafts=[view for view in found.live if not view.is_open],
        unanswered=[item for view in opened if (item := Unanswered(outage=view, why=_asks(view, now))).why],
        over=found.over,
        lost=found.lost,
        happened=happened,
        more=len(happened) == _LINES,
        small=small,
        later=found.waits,
        progress=progress,
    )


def _asks(view: OutageView, now: datetime) -> tuple[str, ...]:
    """What an open outage asks of whoever comes next, in words; nothing where all is said."""
    asks = []
    if view.next_update_by is not None and view.next_update_by <= now:
        asks.append("its promise is overdue")
    if view.eta is not None and view.eta <= now:
        asks.append("its estimate has passed")
    if view.held is not None:
        asks.append("a step waits to be released")
    if not view.owner:
        asks.append("nobody owns it")
    if view.strikes:
        times = "once" if view.strikes == 1 else f"{view.strikes} times in a row"
        asks.append(f"the daemon kept its promise {times}, the desk has not spoken since")
    return tuple(asks)
