"""Whether there is anything for a tick to do: asked twice a second, in one look, and mostly there is not."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import ClauseElement, ColumnElement, Exists, TextClause, bindparam, exists, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.outage import RevisionState
from outagecast.storage.driver import execute_once
from outagecast.storage.guards import IS_PLANNED
from outagecast.storage.outages import OPEN_WORDS
from outagecast.storage.tables import alarms, deliveries, outages, revisions, waves


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """What is due: steps that take effect, waves to plan on, alarms, open outages to look at, rows that are stale."""

    steps: bool
    waves: bool
    alarms: bool
    cadence: bool
    stale: bool


async def what_is_due(conn: AsyncConnection, now: datetime) -> Due:
    ((steps, open_waves, rung, cadence, stale),) = await execute_once(conn, _query(), {"b_now": now})
    return Due(steps=bool(steps), waves=bool(open_waves), alarms=bool(rung), cadence=bool(cadence), stale=bool(stale))


@cache
def _query() -> ClauseElement:
    now = bindparam("b_now", type_=deliveries.c.due_at.type)

    def any_of(*where: ColumnElement[bool] | TextClause) -> Exists:
        return exists(select(literal(1)).where(*where))

    return select(
        any_of(revisions.c.state == RevisionState.PENDING.value, revisions.c.effective_at <= now),
        any_of(waves.c.done_at.is_(None)),
        any_of(alarms.c.due_at <= now),
        any_of(or_(*(outages.c.status == word for word in OPEN_WORDS)), outages.c.look_again_at <= now),
        any_of(
            IS_PLANNED,
            deliveries.c.expires_at <= now,
            deliveries.c.audience == "customer",
        ),
    )
