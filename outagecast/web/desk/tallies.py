"""What the board counts beside its outages: whom they touch, how far telling has come, what waits, what did not arrive.

These counts go over every line and every message of every open outage: 50 of them with 2,500 lines each take a third
of a second. What an outage touches changes with a reckoning only, so it is kept until the next one; messages move all
the time, so they are counted once for all who look within the same second (web/kept.py). The outages themselves,
their promises, steps and brakes are read anew each time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from aiohttp import web

from outagecast.domain.outage import ENDED, OPEN, OutageStatus
from outagecast.storage import views, views_board
from outagecast.storage.views import NOBODY, OutageView, Touched
from outagecast.storage.views_board import Lost
from outagecast.web.services import KEPT, SERVICES

MOST = 200
"""Open outages and drafts on one board."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """`live`: drafts and open ones, `over`: those that ended after `since`, the newest first. `waits`: messages by
    outage that wait for the end of quiet hours. `lost`: what did not arrive.
    """

    live: tuple[OutageView, ...]
    over: tuple[OutageView, ...]
    waits: Mapping[str, int]
    lost: Sequence[Lost]


_Counted = tuple[str, int, tuple[int, int] | datetime | None]
"""What an outage's counts depend on: which, its episode, what lasts of it, or when it ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Messages:
    told: Mapping[str, Mapping[str, Mapping[str, int]]]
    waits: Mapping[str, int]
    lost: Sequence[Lost]


async def tally(request: web.Request, *, since: datetime, most_over: int) -> Tally:
    async with request.app[SERVICES].database.read() as conn:
        live, _ = await views.outage_list(
            conn, statuses=[OutageStatus.DRAFT, *OPEN], cursor=None, limit=MOST, counted=False
        )
        over, _ = await views.outage_list(conn, statuses=ENDED, cursor=None, limit=most_over, counted=False)
        generation = await views_board.reckoning(conn)
    recent = [view for view in over if view.ended_at is not None and view.ended_at > since]
    touched = await _touched(request, [*live, *recent], generation)
    messages = await _messages(request, [view.id for view in (*live, *recent)], since)

    def counted(view: OutageView) -> OutageView:
        return replace(view, touched=touched.get(view.id, NOBODY), deliveries=messages.told.get(view.id, {}))

    return Tally(
        live=tuple(counted(view) for view in live),
        over=tuple(counted(view) for view in recent),
        waits=messages.waits,
        lost=messages.lost,
    )


async def _touched(request: web.Request, found: Sequence[OutageView], generation: int) -> dict[str, Touched]:
    """By outage: counted for those alone that have changed since they were counted last."""
    kept, database = request.app[KEPT], request.app[SERVICES].database
    open_ids = tuple(view.id for view in found if view.is_open)

    async def mark(_: object) -> dict[tuple[int, tuple[str, ...]], dict[str, tuple[int, int]]]:
        async with database.read() as conn:
            return {(generation, open_ids): await views_board.marks(conn, open_ids)}

    async def count(new: Sequence[_Counted]) -> dict[_Counted, Touched]:
        async with database.read() as conn:
            made = await views.touched(conn, [id for id, _, _ in new])
        return {key: made.get(key[0], NOBODY) for key in new}

    marks = (await kept.lasting([(generation, open_ids)], mark))[generation, open_ids]
    keys = [(view.id, view.episode, marks.get(view.id) if view.is_open else view.ended_at) for view in found]
    return {id: touched for (id, _, _), touched in (await kept.lasting(keys, count)).items()}


async def _messages(request: web.Request, ids: Sequence[str], since: datetime) -> _Messages:
    services = request.app[SERVICES]

    async def make() -> _Messages:
        async with services.database.read() as conn:
            return _Messages(
                told=await views.told(conn, ids),
                waits=await views_board.quiet_waits(conn, ids, services.clock()),
                lost=await views_board.lost(conn, since),
            )

    # To the minute: the same question from the next desk is the same question.
    return await request.app[KEPT].get(("board", tuple(ids), int(since.timestamp() // 60)), make, meanwhile=True)
