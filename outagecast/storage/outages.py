"""Outages, their revisions and what they touch: the queries of the verbs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.outage import ENDED, OPEN, Actor, OutageStatus, RevisionState
from outagecast.domain.timeline import Happened
from outagecast.storage.batches import Record, chunks
from outagecast.storage.tables import idempotency, impacts, meta, outages, revisions, texts, timeline, waves

OPEN_WORDS = tuple(status.value for status in OPEN)
ENDED_WORDS = tuple(status.value for status in ENDED)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImpactRow:
    """One interval to open: a thing of a customer, its level and the chain of causes."""

    outage_id: str
    episode: int
    thing_kind: str
    thing_id: str
    customer_id: str
    level: int
    from_at: datetime
    because: tuple[str, ...]


async def get_meta(conn: AsyncConnection, key: str) -> str | None:
    value: str | None = (await conn.execute(select(meta.c.value).where(meta.c.key == key))).scalar()
    return value


async def put_meta(conn: AsyncConnection, key: str, value: str | None) -> None:
    """Set a fact about this database; None takes it away."""
    await conn.execute(meta.delete().where(meta.c.key == key))
    if value is not None:
        await conn.execute(insert(meta).values(key=key, value=value))


async def reckoning(conn: AsyncConnection) -> int:
    """Counts every change of what is down, so that a verb sees whether the world moved while it reckoned."""
    return int(await get_meta(conn, "reckoning") or "0")


async def bump_reckoning(conn: AsyncConnection) -> None:
    await put_meta(conn, "reckoning", str(await reckoning(conn) + 1))


async def get(conn: AsyncConnection, outage_id: str) -> Record | None:
    return (await conn.execute(select(outages).where(outages.c.id == outage_id))).first()


async def open_ones(conn: AsyncConnection) -> Sequence[Record]:
    """Open outages whose declaration has taken effect, the first declared first."""
    query = select(outages).where(outages.c.status.in_(OPEN_WORDS), outages.c.public).order_by(outages.c.number)
    return (await conn.execute(query)).all()


async def by_external_ref(conn: AsyncConnection, external_ref: str) -> Record | None:
    """The draft or open outage with this number of the other system."""
    words = (*OPEN_WORDS, OutageStatus.DRAFT.value)
    query = select(outages).where(outages.c.external_ref == external_ref, outages.c.status.in_(words)).limit(1)
    return (await conn.execute(query)).first()


async def idempotent(conn: AsyncConnection, actor: str, key: str) -> Record | None:
    query = select(idempotency).where(idempotency.c.actor == actor, idempotency.c.key == key)
    return (await conn.execute(query)).first()


async def remember_key(
    conn: AsyncConnection, actor: str, key: str, body_hash: str, outage_id: str, now: datetime
) -> None:
    await conn.execute(
        insert(idempotency).values(actor=actor, key=key, body_hash=body_hash, outage_id=outage_id, created_at=now)
    )


async def next_number(conn: AsyncConnection) -> int:
    return int((await conn.execute(select(func.coalesce(func.max(outages.c.number), 0)))).scalar_one()) + 1


async def add(conn: AsyncConnection, values: dict[str, Any]) -> None:
    await conn.execute(insert(outages).values(**values))


async def change(conn: AsyncConnection, outage_id: str, **values: Any) -> None:
    if values:
        await conn.execute(update(outages).where(outages.c.id == outage_id).values(**values))


async def add_revision(conn: AsyncConnection, values: dict[str, Any]) -> None:
    await conn.execute(insert(revisions).values(**values))


async def change_revision(
    conn: AsyncConnection, outage_id: str, number: int, expect: RevisionState, **values: Any
) -> bool:
    """Guarded by the state one expects it to be in; False if another was quicker."""
    query = (
        update(revisions)
        .where(revisions.c.outage_id == outage_id, revisions.c.number == number, revisions.c.state == expect.value)
        .values(**values)
    )
    return (await conn.execute(query)).rowcount == 1


async def revision(conn: AsyncConnection, outage_id: str, number: int) -> Record | None:
    query = select(revisions).where(revisions.c.outage_id == outage_id, revisions.c.number == number)
    return (await conn.execute(query)).first()


async def revisions_in(conn: AsyncConnection, outage_id: str, state: RevisionState) -> Sequence[Record]:
    """An outage's revisions in a state, the oldest first."""
    query = select(revisions).where(revisions.c.outage_id == outage_id, revisions.c.state == state.value)
    return (await conn.execute(query.order_by(revisions.c.number))).all()


async def last_revision_of(conn: AsyncConnection, outage_id: str, verbs: Iterable[str]) -> Record | None:
    """The newest effective revision with one of these verbs."""
    query = select(revisions).where(
        revisions.c.outage_id == outage_id,
        revisions.c.verb.in_(list(verbs)),
        revisions.c.state == RevisionState.EFFECTIVE.value,
    )
    return (await conn.execute(query.order_by(revisions.c.number.desc()).limit(1))).first()


async def last_scope_change(conn: AsyncConnection, outage_id: str) -> str:
    """Who last changed which things an outage names, "" if nobody has since it was declared."""
    query = select(revisions.c.actor, revisions.c.change).where(
        revisions.c.outage_id == outage_id,
        revisions.c.verb == "update",
        revisions.c.state != RevisionState.UNDONE.value,
    )
    found = [
        row.actor
        for row in await conn.execute(query.order_by(revisions.c.number))
        if any(row.change.get(name) for name in ("scope", "scope_add", "scope_remove"))
    ]
    return str(found[-1]) if found else ""


async def due_revisions(conn: AsyncConnection, now: datetime) -> Sequence[Record]:
    query = select(revisions.c.outage_id, revisions.c.number).where(
        revisions.c.state == RevisionState.PENDING.value, revisions.c.effective_at <= now
    )
    return (await conn.execute(query.order_by(revisions.c.outage_id, revisions.c.number))).all()


async def to_look_at(conn: AsyncConnection, now: datetime) -> list[str]:
    """Open outages whose cadence is due, neither frozen nor waiting for a revision to take effect."""
    query = select(outages.c.id).where(
        outages.c.status.in_(OPEN_WORDS),
        outages.c.public,
        outages.c.look_again_at <= now,
        outages.c.hold_reason.is_(None),
        outages.c.pending_until.is_(None),
    )
    return [row.id for row in await conn.execute(query.order_by(outages.c.look_again_at))]


async def customers_told_since(conn: AsyncConnection, actor: str, since: datetime) -> int:
    """How many customers this actor's revisions have newly told since then (the brake `customers_per_hour`)."""
    query = select(func.coalesce(func.sum(revisions.c.customers_told), 0)).where(
        revisions.c.actor == actor, revisions.c.created_at > since, revisions.c.state != RevisionState.UNDONE.value
    )
    return int((await conn.execute(query)).scalar_one())


# --- impacts ---


async def open_impacts(conn: AsyncConnection, outage_id: str) -> Sequence[Record]:
    query = select(impacts).where(impacts.c.outage_id == outage_id, impacts.c.to_at.is_(None))
    return (await conn.execute(query)).all()


async def open_impacts_of_things(conn: AsyncConnection, thing_ids: Iterable[str]) -> list[Record]:
    """Every open impact of these circuits and services, whatever the outage (of services: any customer's)."""
    found: list[Record] = []
    for part in chunks(thing_ids):
        query = select(impacts).where(impacts.c.thing_id.in_(part), impacts.c.to_at.is_(None))
        found.extend((await conn.execute(query)).all())
    return found


async def close_impacts(
    conn: AsyncConnection, impact_ids: Iterable[int], *, outage_id: str, back_at: datetime, now: datetime
) -> None:
    """End intervals: the outage's own when its things came back (which may lie in the past, yet not before the interval
    began), those of other outages now.
    """
    own = case((impacts.c.from_at > back_at, impacts.c.from_at), else_=literal(back_at, type_=impacts.c.to_at.type))
    to_at = case((impacts.c.outage_id == outage_id, own), else_=literal(now, type_=impacts.c.to_at.type))
    for part in chunks(impact_ids):
        await conn.execute(update(impacts).where(impacts.c.id.in_(part)).values(to_at=to_at))


async def open_new_impacts(conn: AsyncConnection, rows: Sequence[ImpactRow]) -> None:
    if rows:
        await conn.execute(insert(impacts), [_impact_values(row) for row in rows])


async def impacted_customers(conn: AsyncConnection, outage_id: str, episode: int) -> set[str]:
    """Everyone an outage touches now."""
    query = select(impacts.c.customer_id).where(
        impacts.c.outage_id == outage_id, impacts.c.episode == episode, impacts.c.to_at.is_(None)
    )
    return {row.customer_id for row in await conn.execute(query.distinct())}


def _impact_values(row: ImpactRow) -> dict[str, Any]:
    return {
        "outage_id": row.outage_id,
        "episode": row.episode,
        "thing_kind": row.thing_kind,
        "thing_id": row.thing_id,
        "customer_id": row.customer_id,
        "level": row.level,
        "from_at": row.from_at,
        "because": list(row.because),
    }


# --- the timeline ---


async def record(
    conn: AsyncConnection,
    *,
    at: datetime,
    what: Happened,
    actor: Actor,
    outage_id: str | None = None,
    revision: int | None = None,
    why: str = "",
    data: dict[str, Any] | None = None,
    text: str = "",
) -> None:
    """One line of the timeline. `text` (notes, messages: what people wrote) goes to an erasable row of its own."""
    text_id = None
    if text:
        text_id = (await conn.execute(insert(texts).values(text=text).returning(texts.c.id))).scalar_one()
    await conn.execute(
        insert(timeline).values(
            at=at,
            what=what.value,
            actor_kind=actor.kind.value,
            actor=actor.name,
            outage_id=outage_id,
            revision=revision,
            why=why,
            data=data,
            source=actor.source,
            text_id=text_id,
        )
    )


async def record_many(conn: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Many lines of the daemon's own, as column values."""
    if rows:
        await conn.execute(insert(timeline), list(rows))


async def has_open_work(conn: AsyncConnection, outage_id: str) -> bool:
    """Whether a wave of this outage is still being planned."""
    from_waves = (
        select(func.count()).select_from(waves).where(waves.c.outage_id == outage_id, waves.c.done_at.is_(None))
    )
    return bool((await conn.execute(from_waves)).scalar_one())


async def add_told(conn: AsyncConnection, outage_id: str, number: int, customers: int) -> None:
    """Count customers newly told by a chunk of a wave."""
    query = update(revisions).where(revisions.c.outage_id == outage_id, revisions.c.number == number)
    await conn.execute(query.values(customers_told=revisions.c.customers_told + customers))
