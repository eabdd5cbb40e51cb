"""What reports count of the outbox: how many were told, when, and whom nothing reached. Ordinary set-based SQL.

A wave of 100,000 deliveries is gone over once, grouped; nothing here brings single rows of it home.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, and_, case, func, literal, or_, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.delivery import LEFT, UNSENT_ENDS, DeliveryState
from outagecast.domain.facts import from_micros
from outagecast.domain.message import ChannelName
from outagecast.domain.suppression import SuppressReason
from outagecast.storage.batches import chunks
from outagecast.storage.tables import contacts, customers, deliveries
from outagecast.storage.types import UtcTime

TAKEN = (DeliveryState.ACCEPTED.value, DeliveryState.DELIVERED.value, DeliveryState.UNDELIVERED.value)
"""States in which the next hop has taken a message."""
LEFT_WORDS = tuple(state.value for state in LEFT)
_UNSENT = tuple(sorted(state.value for state in UNSENT_ENDS))
_LOST = (DeliveryState.FAILED.value, DeliveryState.UNDELIVERED.value)
_NOBODY = (SuppressReason.NO_ADDRESS.value, SuppressReason.DEAD_ADDRESS.value, SuppressReason.SHARED_ADDRESS.value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """Customers' deliveries that are alike. `first_at`, `last_at`: when the next hop took the first and the last."""

    outage_id: str
    revision: int
    channel: str
    state: DeliveryState
    count: int
    first_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsent:
    """Deliveries that ended without sending; `why` is the reason's word, or the state's where there is none."""

    outage_id: str
    channel: str
    why: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreached:
    """An address, or a customer without one, that nothing reached; `why` is the reason's or the state's word."""

    customer_id: str
    customer: str
    contact_id: str
    contact: str
    channel: str
    to: str
    why: str
    code: str


async def told(conn: AsyncConnection, ids: Sequence[str]) -> list[Told]:
    """All that these outages told customers, counted by revision, channel and state."""
    d = deliveries.c
    found: list[Told] = []
    for part in chunks(ids):
        query = (
            select(
                d.outage_id, d.revision, d.channel, d.state, func.count().label("count"),
                func.min(d.transmitting_at).label("first_at"), func.max(d.transmitting_at).label("last_at"),
            )
            .where(d.outage_id.in_(part), d.audience == "customer")
            .group_by(d.outage_id, d.revision, d.channel, d.state)
            .order_by(d.outage_id, d.revision, d.channel, d.state)
        )  # fmt: skip
        for row in (await conn.execute(query)).mappings():
            # The grouping is by state already: what was not taken has the time of its last try there, if any.
            taken = {} if row["state"] in TAKEN else {"first_at": None, "last_at": None}
            found.append(Told(**dict(row) | taken | {"state": DeliveryState(row["state"])}))
    return found


async def unsent(conn: AsyncConnection, ids: Sequence[str]) -> list[Unsent]:
    """What ended without sending, counted by channel and why."""
    # Apart from `told`, although it is the same rows: grouping the sent ones by a reason that they do not have costs
    # half as much again.
    d = deliveries.c
    why = func.coalesce(d.reason, d.state)
    found: list[Unsent] = []
    for part in chunks(ids):
        query = (
            select(d.outage_id, d.channel, why.label("why"), func.count().label("count"))
            .where(d.outage_id.in_(part), d.audience == "customer", d.state.in_(_UNSENT))
            .group_by(d.outage_id, d.channel, why)
        )
        found += [Unsent(**row) for row in (await conn.execute(query)).mappings()]
    return found


async def left_over_time(conn: AsyncConnection, outage_id: str, step: timedelta) -> list[tuple[datetime, str, int]]:
    """How many messages the next hop took in each step of time, by channel: (start of the step, channel, count)."""
    width = step // timedelta(microseconds=1)
    d = deliveries.c
    # Whole numbers divide to whole numbers on SQLite and PostgreSQL alike once both sides are integers.
    bucket = type_coerce(d.transmitting_at, BigInteger).op("/")(literal(width, BigInteger)).label("bucket")
    query = (
        select(bucket, d.channel, func.count().label("n"))
        .where(d.outage_id == outage_id, d.audience == "customer", d.state.in_(TAKEN), d.transmitting_at.is_not(None))
        .group_by(bucket, d.channel)
        .order_by(bucket, d.channel)
    )
    return [(from_micros(int(row.bucket) * width), row.channel, row.n) for row in await conn.execute(query)]


async def late(conn: AsyncConnection, outage_id: str, due: Mapping[int, datetime]) -> dict[int, int]:
    """Messages that left after the time they were promised for: by answering revision, given when each was due."""
    if not due:
        return {}
    d = deliveries.c
    promised = case({number: literal(at, UtcTime()) for number, at in due.items()}, value=d.revision)
    query = (
        select(d.revision, func.count().label("n"))
        .where(
            d.outage_id == outage_id, d.revision.in_(list(due)), d.audience == "customer", d.state.in_(TAKEN),
            d.transmitting_at > promised,
        )
        .group_by(d.revision)
    )  # fmt: skip
    return {row.revision: row.n for row in await conn.execute(query)}


async def unreached(conn: AsyncConnection, ids: Sequence[str], *, limit: int) -> list[Unreached]:
    """Whom nothing reached: customers without an address, addresses that are dead or refused, each once.

    An address that one message failed for and another got through to is reached.
    """
    d, other = deliveries.c, deliveries.alias("other").c
    through = select(other.id).where(
        other.address_id == d.address_id,
        other.outage_id == d.outage_id,
        other.audience == "customer",
        other.state.in_((DeliveryState.ACCEPTED.value, DeliveryState.DELIVERED.value)),
    )
    nobody = and_(d.state == DeliveryState.SUPPRESSED.value, d.reason.in_(_NOBODY))
    query = (
        select(
            d.customer_id, d.contact_id, d.channel, d.to, d.state, d.reason, func.max(d.code).label("code"),
            customers.c.name.label("customer"), contacts.c.name.label("contact"),
        )
        .outerjoin(customers, customers.c.id == d.customer_id)
        .outerjoin(contacts, contacts.c.id == d.contact_id)
        .where(d.outage_id.in_(ids), d.audience == "customer", or_(nobody, and_(d.state.in_(_LOST), ~through.exists())))
        .group_by(d.customer_id, d.contact_id, d.channel, d.to, d.state, d.reason, customers.c.name, contacts.c.name)
        .order_by(d.customer_id, d.contact_id, d.channel, d.to)
        .limit(limit)
    )  # fmt: skip
    return [_unreached(row) for row in await conn.execute(query)]


async def some_texts(conn: AsyncConnection, ids: Sequence[str], *, every: int, limit: int) -> list[int]:
    """Numbers of SMS that left, one of so many: a sample to count segments on."""
    d = deliveries.c
    query = (
        select(d.id)
        .where(
            d.outage_id.in_(ids), d.channel == ChannelName.SMS.value, d.audience == "customer", d.state.in_(LEFT_WORDS),
            d.id % every == 0,
        )
        .order_by(d.id)
        .limit(limit)
    )  # fmt: skip
    return list((await conn.execute(query)).scalars())


# --- below ---


def _unreached(row: Any) -> Unreached:
    return Unreached(
        customer_id=row.customer_id or "",
        customer=row.customer or "",
        contact_id=row.contact_id or "",
        contact=row.contact or "",
        channel=row.channel,
        to=row.to,
        why=row.reason if row.state == DeliveryState.SUPPRESSED.value else row.state,
        code=row.code or "",
    )
