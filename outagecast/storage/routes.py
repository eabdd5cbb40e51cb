"""The routes: how each sending daemon finds them, and what waits for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, TextClause, delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.timeline import Happened
from outagecast.storage.batches import Record
from outagecast.storage.guards import IS_BUSY, IS_PLANNED, may_go
from outagecast.storage.tables import deliveries, meta, route_states, timeline

# In the very words of the partial indexes: SQLite would not use one, or would look at each row besides.
STAFF_RANK = -1
"""Staff's messages go before all others, so they are told apart by it without a look at the row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """Customers' messages of one channel that are due and have not left. `due_since`: when the oldest fell due."""

    messages: int
    due_since: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldUp:
    """The message that should leave next and does not."""

    outage_id: str
    due_since: datetime


async def put(conn: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write down how a daemon finds its routes."""
    if not rows:
        return
    statement = upsert(route_states).values([dict(row) for row in rows])
    changed = {
        column.name: statement.excluded[column.name] for column in route_states.columns if not column.primary_key
    }
    await conn.execute(statement.on_conflict_do_update(index_elements=["owner", "channel", "name"], set_=changed))


async def all_of(conn: AsyncConnection) -> Sequence[Record]:
    """As every daemon wrote them down, those that are gone among them; in the order of their channels."""
    order = (route_states.c.channel, route_states.c.place, route_states.c.name, route_states.c.owner)
    return (await conn.execute(select(route_states).order_by(*order))).all()


async def forget(conn: AsyncConnection, before: datetime) -> None:
    """Drop what daemons that are long gone wrote down."""
    await conn.execute(delete(route_states).where(route_states.c.seen_at < before))


async def waiting(conn: AsyncConnection, now: datetime) -> dict[str, Waiting]:
    """By channel what is due to customers, whatever holds it. Takes a second where a million wait."""
    query = (
        select(deliveries.c.channel, func.count(), func.min(deliveries.c.due_at))
        .where(IS_PLANNED, deliveries.c.due_at <= now, deliveries.c.rank > STAFF_RANK)
        .group_by(deliveries.c.channel)
    )
    return {channel: Waiting(messages=count, due_since=since) for channel, count, since in await conn.execute(query)}


async def oldest_on_the_way(conn: AsyncConnection, channel: str) -> datetime | None:
    """When the oldest message to a customer that is claimed or on the wire fell due."""
    query = select(func.min(deliveries.c.due_at)).where(*_on_the_way(channel))
    found: datetime | None = (await conn.execute(query)).scalar()
    return found


async def held_up(conn: AsyncConnection, channel: str, now: datetime) -> HeldUp | None:
    """The first of a channel's messages that is due, may go and has not left: nothing but the route holds it. None:
    there is none.
    """
    stopped = select(meta.c.key).where(meta.c.key.in_(("paused", "restored"))).limit(1)
    if (await conn.execute(stopped)).first() is not None:
        return None
    order = (deliveries.c.rank, deliveries.c.due_at)
    for which in (_planned(channel, now), _on_the_way(channel)):
        query = select(deliveries.c.outage_id, deliveries.c.due_at).where(*which, *may_go(now)).order_by(*order)
        found = (await conn.execute(query.limit(1))).first()
        if found is not None:
            return HeldUp(outage_id=found.outage_id, due_since=found.due_at)
    return None


async def silence_told(conn: AsyncConnection, outage_id: str, revision: int) -> bool:
    """Whether staff have been told at this revision that nothing leaves."""
    query = select(timeline.c.id).where(
        timeline.c.outage_id == outage_id,
        timeline.c.what == Happened.ASKED.value,
        timeline.c.why == "silence",
        timeline.c.revision == revision,
    )
    return (await conn.execute(query.limit(1))).first() is not None


def _planned(channel: str, now: datetime) -> list[ColumnElement[bool] | TextClause]:
    d = deliveries
    return [IS_PLANNED, d.c.channel == channel, d.c.due_at <= now, d.c.rank > STAFF_RANK]


def _on_the_way(channel: str) -> list[ColumnElement[bool] | TextClause]:
    d = deliveries
    return [IS_BUSY, d.c.state != "ambiguous", d.c.channel == channel, d.c.audience == "customer"]
