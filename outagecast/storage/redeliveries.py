"""What a person's decision about single messages reads and writes: which failed, what was said since, who confirmed."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Exists, and_, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.outage import Actor
from outagecast.domain.suppression import SuppressReason
from outagecast.domain.timeline import Happened
from outagecast.storage.batches import Record, chunks
from outagecast.storage.outages import OPEN_WORDS, record
from outagecast.storage.tables import addresses, deliveries, handled, notices, outages, redeliveries, timeline

NOT_ARRIVED = (DeliveryState.FAILED.value, DeliveryState.UNDELIVERED.value, DeliveryState.CAPPED.value)
"""The states that leave something for a person to do."""


def unanswered() -> ColumnElement[bool]:
    """Of `deliveries`: it did not arrive, nobody has seen to it, and nothing newer speaks to that address."""
    return and_(
        deliveries.c.audience == "customer",
        deliveries.c.state.in_(NOT_ARRIVED),
        ~select(handled.c.delivery_id).where(handled.c.delivery_id == deliveries.c.id).exists(),
        ~_newer(),
    )


async def failed(conn: AsyncConnection, outage_id: str, *, limit: int) -> list[int]:
    """The deliveries of an outage's present episode that wait for a person, the oldest first."""
    query = (
        select(deliveries.c.id)
        .join(outages, outages.c.id == deliveries.c.outage_id)
        .where(deliveries.c.outage_id == outage_id, deliveries.c.episode == outages.c.episode, unanswered())
    )
    return [row.id for row in await conn.execute(query.order_by(deliveries.c.id).limit(limit))]


async def rows(conn: AsyncConnection, ids: Sequence[int]) -> list[Record]:
    """The deliveries of these numbers, the oldest first; `newer`: whether something newer speaks to the address."""
    found: list[Record] = []
    for part in chunks(ids):
        query = select(deliveries, _newer().label("newer")).where(deliveries.c.id.in_(part))
        found.extend((await conn.execute(query)).all())
    return sorted(found, key=lambda row: row.id)


async def customers_of(conn: AsyncConnection, ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """By delivery, of whom it speaks."""
    found: dict[int, list[str]] = {}
    for part in chunks(ids):
        query = select(notices).where(notices.c.delivery_id.in_(part)).order_by(notices.c.customer_id)
        for row in await conn.execute(query):
            found.setdefault(row.delivery_id, []).append(row.customer_id)
    return {delivery_id: tuple(customers) for delivery_id, customers in found.items()}


async def of_revision(conn: AsyncConnection, outage_id: str, revision: int) -> dict[int, int]:
    """By address, the delivery that a revision planned for it."""
    query = select(deliveries.c.address_id, deliveries.c.id).where(
        deliveries.c.outage_id == outage_id, deliveries.c.revision == revision, deliveries.c.audience == "customer"
    )
    return {row.address_id: row.id for row in await conn.execute(query)}


async def note_again(conn: AsyncConnection, pairs: Iterable[tuple[int, int]], how: str, by: str, now: datetime) -> None:
    """(new delivery, the one it repeats)."""
    values = [{"delivery_id": new, "of_id": old, "how": how, "at": now, "actor": by} for new, old in pairs]
    if values:
        await conn.execute(insert(redeliveries), values)


async def note_handled(conn: AsyncConnection, row: Record, actor: Actor, why: str, now: datetime) -> bool:
    """Its mark and its line of the timeline, which share one text, so that it is erased once. False if somebody has
    seen to it already.
    """
    if (await conn.execute(select(handled.c.delivery_id).where(handled.c.delivery_id == row.id))).first():
        return False
    await record(
        conn,
        at=now,
        what=Happened.HANDLED,
        actor=actor,
        outage_id=row.outage_id,
        revision=row.revision,
        data={"delivery": row.id},
        text=why,
    )
    line = select(timeline.c.text_id).where(
        timeline.c.outage_id == row.outage_id, timeline.c.what == Happened.HANDLED.value
    )
    text_id = (await conn.execute(line.order_by(timeline.c.id.desc()).limit(1))).scalar_one()
    await conn.execute(insert(handled).values(delivery_id=row.id, at=now, actor=actor.name, text_id=text_id))
    return True


async def address(conn: AsyncConnection, address_id: int) -> Record | None:
    return (await conn.execute(select(addresses).where(addresses.c.id == address_id))).first()


async def confirm(conn: AsyncConnection, address_id: int, by: str) -> bool:
    """False if it needs no confirmation (any more)."""
    statement = (
        update(addresses)
        .where(
            addresses.c.id == address_id,
            addresses.c.shared,
            or_(addresses.c.confirmed_by.is_(None), addresses.c.confirmed_by == ""),
        )
        .values(confirmed_by=by)
    )
    return (await conn.execute(statement)).rowcount == 1


async def held_back(conn: AsyncConnection, address_id: int) -> list[Record]:
    """The newest row of each open outage that was held back because many customers share this address."""
    query = (
        select(deliveries)
        .join(outages, and_(outages.c.id == deliveries.c.outage_id, outages.c.episode == deliveries.c.episode))
        .where(
            deliveries.c.address_id == address_id,
            deliveries.c.audience == "customer",
            deliveries.c.reason == SuppressReason.SHARED_ADDRESS.value,
            outages.c.status.in_(OPEN_WORDS),
            outages.c.public,
        )
        .order_by(deliveries.c.id)
    )
    newest = {row.outage_id: row for row in await conn.execute(query)}
    return list(newest.values())


def _newer() -> Exists:
    other = deliveries.alias("newer")
    query: Any = select(other.c.id).where(
        other.c.address_id == deliveries.c.address_id,
        # Inside a call, so that nobody looks for it by the outage: one has 100,000 rows, an address a handful.
        func.coalesce(other.c.outage_id, "") == deliveries.c.outage_id,
        other.c.id > deliveries.c.id,
        other.c.audience == "customer",
        other.c.state != DeliveryState.SUPPRESSED.value,
    )
    found: Exists = query.exists()
    return found
