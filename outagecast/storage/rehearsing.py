"""What a rehearsal asks and prepares in its private copy of the database (copying.py); never on the real one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.outage import RevisionState
from outagecast.storage.tables import deliveries, meta, outages, revisions, timeline

_PLANNED = DeliveryState.PLANNED.value


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """Deliveries of a revision that are alike. `held_until`: the latest end of the quiet hours that hold some."""

    revision: int
    kind: str
    channel: str
    state: DeliveryState
    why: str
    count: int
    quiet: int
    held_until: datetime | None


async def settle(conn: AsyncConnection) -> int:
    """Make the copy fit: nothing is paused, no other outage is looked at. The number of the last delivery there is."""
    await conn.execute(meta.delete().where(meta.c.key.in_(["paused", "paused_by"])))
    await conn.execute(update(outages).values(look_again_at=None))
    return int((await conn.execute(select(func.coalesce(func.max(deliveries.c.id), 0)))).scalar_one())


async def next_due(conn: AsyncConnection, outage_id: str, now: datetime) -> datetime | None:
    """When something falls due after `now`: a look at the cadence, a revision's effect, the end of quiet hours."""
    queries = (
        select(func.min(outages.c.look_again_at)).where(outages.c.id == outage_id),
        select(func.min(revisions.c.effective_at)).where(
            revisions.c.outage_id == outage_id, revisions.c.state == RevisionState.PENDING.value
        ),
        select(func.min(deliveries.c.due_at)).where(
            deliveries.c.outage_id == outage_id, deliveries.c.state == _PLANNED, deliveries.c.due_at > now
        ),
    )
    found = [(await conn.execute(query)).scalar() for query in queries]
    return min((at for at in found if at is not None), default=None)


async def backlog(conn: AsyncConnection, now: datetime) -> dict[str, int]:
    """Messages due now, by channel, whosever they are: they all share the way out."""
    query = (
        select(deliveries.c.channel, func.count().label("n"))
        .where(deliveries.c.state == _PLANNED, deliveries.c.due_at <= now)
        .group_by(deliveries.c.channel)
    )
    return {row.channel: row.n for row in await conn.execute(query)}


async def unsaid(conn: AsyncConnection, outage_id: str) -> int:
    """Messages to customers that still wait, quiet hours included."""
    query = (
        select(func.count())
        .select_from(deliveries)
        .where(deliveries.c.outage_id == outage_id, deliveries.c.state == _PLANNED, deliveries.c.audience == "customer")
    )
    return int((await conn.execute(query)).scalar_one())


async def kinds(conn: AsyncConnection, outage_id: str) -> list[Kind]:
    """What every revision planned for customers, counted."""
    d = deliveries.c
    # Nothing is retried in a rehearsal: what was due later than it was planned was held by quiet hours.
    held = func.sum(case((d.due_at > d.created_at, 1), else_=0))
    why = func.coalesce(d.reason, "")
    query = (
        select(
            d.revision, d.kind, d.channel, d.state, why.label("why"), func.count().label("n"), held.label("quiet"),
            func.max(d.due_at).label("held_until"),
        )
        .where(d.outage_id == outage_id, d.audience == "customer")
        .group_by(d.revision, d.kind, d.channel, d.state, why)
        .order_by(d.revision, d.kind, d.channel)
    )  # fmt: skip
    return [
        Kind(
            revision=row.revision, kind=row.kind, channel=row.channel, state=DeliveryState(row.state), why=row.why,
            count=row.n, quiet=int(row.quiet or 0), held_until=row.held_until if row.quiet else None,
        )
        for row in await conn.execute(query)
    ]  # fmt: skip


async def others_told(conn: AsyncConnection, outage_id: str, after: int) -> int:
    """Messages to customers that other outages said because of this one, planned after a delivery's number."""
    query = (
        select(func.count())
        .select_from(deliveries)
        .where(deliveries.c.id > after, deliveries.c.outage_id != outage_id, deliveries.c.audience == "customer")
    )
    return int((await conn.execute(query)).scalar_one())


async def asked_at(conn: AsyncConnection, outage_id: str) -> list[tuple[datetime, str]]:
    """When staff were asked, and what for."""
    query = (
        select(timeline.c.at, timeline.c.why)
        .where(timeline.c.outage_id == outage_id, timeline.c.what == "asked")
        .order_by(timeline.c.id)
    )
    return [(row.at, row.why) for row in await conn.execute(query)]


async def one_readers(conn: AsyncConnection, outage_id: str, channel: str, limit: int) -> Sequence[int]:
    """All that left for the first address told over this channel, by number, the first first."""
    d = deliveries.c
    left = (d.outage_id == outage_id, d.channel == channel, d.audience == "customer", d.transmitting_at.is_not(None))
    first = select(d.address_id).where(*left).order_by(d.id).limit(1).scalar_subquery()
    query = select(d.id).where(*left, d.address_id == first).order_by(d.id).limit(limit)
    return list((await conn.execute(query)).scalars())


async def about(conn: AsyncConnection, ids: Sequence[int]) -> Mapping[int, tuple[datetime, str, str, str]]:
    """Of deliveries: when they left, over which channel, to whom, which kind of notice."""
    d = deliveries.c
    rows = await conn.execute(select(d.id, d.transmitting_at, d.channel, d.to, d.kind).where(d.id.in_(ids)))
    return {row.id: (row.transmitting_at, row.channel, row.to, row.kind) for row in rows}
