"""Who was told what: deliveries with their attempts, and what an outage touched from when to when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.delivery import UNSENT_ENDS
from outagecast.domain.levels import Level
from outagecast.storage.tables import (
    attempts,
    circuits,
    contacts,
    customers,
    deliveries,
    impacts,
    notices,
    revisions,
    services,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptView:
    """One try on the wire. `ambiguous`: nobody could know whether it was taken."""

    number: int
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    code: str | None
    detail: str | None
    provider_id: str | None
    ambiguous: bool
    receipt: str | None
    receipt_at: datetime | None
    receipt_code: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryView:
    """`customers`: those it speaks of, by id; `name`: the contact's; `to`: "" when there is nobody to write to."""

    id: int
    outage_id: str
    episode: int
    revision: int
    kind: str
    audience: str
    channel: str
    to: str
    customer_id: str | None
    customer: str
    contact_id: str | None
    name: str
    customers: tuple[str, ...]
    state: str
    reason: str | None
    code: str | None
    detail: str | None
    provider_id: str | None
    created_at: datetime
    due_at: datetime
    expires_at: datetime | None
    transmitting_at: datetime | None
    ended_at: datetime | None
    eta: datetime | None
    promise: datetime | None
    ambiguous: int
    attempts: tuple[AttemptView, ...]

    @property
    def speaks(self) -> bool:
        """Whether it has words: it left, failed to, or is about to leave."""
        return self.state not in UNSENT_ENDS


@dataclass(frozen=True, kw_only=True, slots=True)
class ImpactView:
    id: int
    episode: int
    thing_kind: str
    thing_id: str
    label: str
    customer_id: str
    customer: str
    level: Level
    from_at: datetime
    to_at: datetime | None
    because: Any


async def delivery_page(
    conn: AsyncConnection,
    outage_id: str,
    *,
    state: str | None = None,
    channel: str | None = None,
    after: int = 0,
    limit: int = 100,
) -> tuple[list[DeliveryView], int | None]:
    """In the order they were planned, from after a delivery's number; and the number to go on from, None at the end."""
    query = _delivery_query().where(deliveries.c.outage_id == outage_id, deliveries.c.id > after)
    if state:
        query = query.where(deliveries.c.state == state)
    if channel:
        query = query.where(deliveries.c.channel == channel)
    found = await _deliveries(conn, query.order_by(deliveries.c.id).limit(limit + 1))
    return found[:limit], found[limit - 1].id if len(found) > limit else None


async def delivery(conn: AsyncConnection, delivery_id: int) -> DeliveryView | None:
    found = await _deliveries(conn, _delivery_query().where(deliveries.c.id == delivery_id))
    return found[0] if found else None


async def by_ids(conn: AsyncConnection, ids: Sequence[int]) -> list[DeliveryView]:
    """These deliveries, in the order given."""
    found = {item.id: item for item in await _deliveries(conn, _delivery_query().where(deliveries.c.id.in_(ids)))}
    return [found[delivery_id] for delivery_id in ids if delivery_id in found]


async def deliveries_to(conn: AsyncConnection, address_id: int, *, limit: int = 20) -> list[DeliveryView]:
    """What left for one address, newest first."""
    gone = ("transmitting", "accepted", "delivered", "undelivered", "ambiguous")
    query = _delivery_query().where(
        deliveries.c.address_id == address_id, deliveries.c.audience == "customer", deliveries.c.state.in_(gone)
    )
    return await _deliveries(conn, query.order_by(deliveries.c.id.desc()).limit(limit))


async def impact_page(
    conn: AsyncConnection, outage_id: str, *, after: int = 0, limit: int = 500, lasting: bool = False
) -> tuple[list[ImpactView], int | None]:
    """The intervals in the order they began, and the number to go on from. `lasting`: circuits that are down now."""
    query = (
        select(
            impacts,
            customers.c.name.label("customer"),
            circuits.c.label.label("circuit_label"),
            services.c.name.label("service_name"),
        )
        .outerjoin(customers, customers.c.id == impacts.c.customer_id)
        .outerjoin(circuits, and_(impacts.c.thing_kind == "circuit", circuits.c.id == impacts.c.thing_id))
        .outerjoin(services, and_(impacts.c.thing_kind == "service", services.c.id == impacts.c.thing_id))
        .where(impacts.c.outage_id == outage_id, impacts.c.id > after)
        .order_by(impacts.c.id)
        .limit(limit + 1)
    )
    if lasting:
        query = query.where(
            impacts.c.to_at.is_(None), impacts.c.level > int(Level.NO_IMPACT), impacts.c.thing_kind == "circuit"
        )
    found = [
        ImpactView(
            id=row["id"],
            episode=row["episode"],
            thing_kind=row["thing_kind"],
            thing_id=row["thing_id"],
            label=row["circuit_label"] or row["service_name"] or "",
            customer_id=row["customer_id"],
            customer=row["customer"] or "",
            level=Level(row["level"]),
            from_at=row["from_at"],
            to_at=row["to_at"],
            because=row["because"],
        )
        for row in (await conn.execute(query)).mappings()
    ]
    return found[:limit], found[limit - 1].id if len(found) > limit else None


async def with_facts(conn: AsyncConnection, ids: Sequence[int]) -> list[Any]:
    """Rows of `deliveries` by their numbers, each with its revision's facts: what words are made of."""
    query = (
        select(deliveries, revisions.c.facts.label("revision_facts"))
        .outerjoin(
            revisions,
            and_(revisions.c.outage_id == deliveries.c.outage_id, revisions.c.number == deliveries.c.revision),
        )
        .where(deliveries.c.id.in_(ids), deliveries.c.facts.is_not(None))
    )
    return list((await conn.execute(query)).all())


def _delivery_query() -> Select[Any]:
    return (
        select(deliveries, customers.c.name.label("customer"), contacts.c.name.label("contact_name"))
        .outerjoin(customers, customers.c.id == deliveries.c.customer_id)
        .outerjoin(contacts, contacts.c.id == deliveries.c.contact_id)
    )


async def _deliveries(conn: AsyncConnection, query: Select[Any]) -> list[DeliveryView]:
    rows = (await conn.execute(query)).mappings().all()
    ids = [row["id"] for row in rows]
    tries = await _attempts(conn, ids)
    joined = await _joined(conn, ids)
    same = set(DeliveryView.__dataclass_fields__) & set(deliveries.c.keys())
    return [
        DeliveryView(
            **{name: row[name] for name in same},
            customer=row["customer"] or "",
            name=row["contact_name"] or "",
            customers=tuple(joined.get(row["id"], ())),
            attempts=tuple(tries.get(row["id"], ())),
        )
        for row in rows
    ]


async def _attempts(conn: AsyncConnection, ids: Sequence[int]) -> dict[int, list[AttemptView]]:
    query = select(attempts).where(attempts.c.delivery_id.in_(ids)).order_by(attempts.c.delivery_id, attempts.c.number)
    out: dict[int, list[AttemptView]] = {}
    for row in (await conn.execute(query)).mappings():
        view = AttemptView(**{name: row[name] for name in AttemptView.__dataclass_fields__})
        out.setdefault(row["delivery_id"], []).append(view)
    return out


async def _joined(conn: AsyncConnection, ids: Sequence[int]) -> dict[int, list[str]]:
    query = select(notices).where(notices.c.delivery_id.in_(ids)).order_by(notices.c.customer_id)
    out: dict[int, list[str]] = {}
    for row in await conn.execute(query):
        out.setdefault(row.delivery_id, []).append(row.customer_id)
    return out
