"""Who was told what, for people: a page of it with filters, what was done about single ones, whom a word reaches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.notices import Role
from outagecast.storage import views_deliveries
from outagecast.storage.redeliveries import unanswered
from outagecast.storage.tables import addresses, deliveries, handled, leads, notices, outages, redeliveries, texts
from outagecast.storage.views_deliveries import DeliveryView

TO_DO = "to_do"
"""Stands among the states for what did not arrive and waits for a person."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a page of deliveries shows; "" is everything. `state` may be TO_DO; `to` is an address or part of one."""

    state: str = ""
    channel: str = ""
    kind: str = ""
    customer: str = ""
    to: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What people did about one delivery. `of_id`: the one it repeats, `how`: retried, resent or confirmed, `by` whom;
    `again`: those that repeat it.
    """

    of_id: int | None = None
    how: str = ""
    by: str = ""
    again: tuple[int, ...] = ()
    handled_at: datetime | None = None
    handled_by: str = ""
    handled_how: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """Whom a word to all would reach now: customers, and addresses by channel."""

    customers: int
    addresses: Mapping[str, int]


NOTHING_DONE = Done()


async def page(
    conn: AsyncConnection, outage_id: str, wanted: Wanted, *, before: tuple[int, int] | None, limit: int
) -> tuple[list[DeliveryView], tuple[int, int] | None]:
    """Newest revision first, down from a (revision, number); and where to go on, None at the end.

    In the order of an index: the hundred-thousandth row is as near as the first.
    """
    place = tuple_(deliveries.c.revision, deliveries.c.id)
    query = select(deliveries.c.id, deliveries.c.revision).where(
        deliveries.c.outage_id == outage_id, *_matching(wanted)
    )
    if before is not None:
        query = query.where(place < before)
    order = (deliveries.c.revision.desc(), deliveries.c.id.desc())
    rows = (await conn.execute(query.order_by(*order).limit(limit + 1))).all()
    ids = [row.id for row in rows[:limit]]
    following = (rows[limit - 1].revision, rows[limit - 1].id) if len(rows) > limit else None
    return await views_deliveries.by_ids(conn, ids), following


async def done_about(conn: AsyncConnection, ids: Sequence[int]) -> dict[int, Done]:
    """By delivery; those about which nobody did anything are left out."""
    found: dict[int, dict[str, Any]] = {}
    made = select(redeliveries).where(redeliveries.c.delivery_id.in_(ids))
    for row in await conn.execute(made):
        found.setdefault(row.delivery_id, {}).update(of_id=row.of_id, how=row.how, by=row.actor)
    repeated = select(redeliveries).where(redeliveries.c.of_id.in_(ids)).order_by(redeliveries.c.delivery_id)
    for row in await conn.execute(repeated):
        known = found.setdefault(row.of_id, {})
        known["again"] = (*known.get("again", ()), row.delivery_id)
    seen_to = select(handled, texts.c.text).outerjoin(texts, texts.c.id == handled.c.text_id)
    for row in await conn.execute(seen_to.where(handled.c.delivery_id.in_(ids))):
        found.setdefault(row.delivery_id, {}).update(
            handled_at=row.at, handled_by=row.actor, handled_how=row.text or ""
        )
    return {delivery_id: Done(**values) for delivery_id, values in found.items()}


async def to_address(conn: AsyncConnection, outage_id: str, address_id: int, *, limit: int = 50) -> list[DeliveryView]:
    """Everything of one outage to one address, the newest first."""
    query = select(deliveries.c.id).where(
        deliveries.c.outage_id == outage_id, deliveries.c.address_id == address_id, deliveries.c.audience == "customer"
    )
    rows = (await conn.execute(query.order_by(deliveries.c.id.desc()).limit(limit))).all()
    return await views_deliveries.by_ids(conn, [row.id for row in rows])


async def address_of(conn: AsyncConnection, delivery_id: int) -> Any:
    """The address of a delivery as it stands now; None where it has none."""
    query = select(addresses).join(deliveries, deliveries.c.address_id == addresses.c.id)
    return (await conn.execute(query.where(deliveries.c.id == delivery_id))).first()


async def to_do(conn: AsyncConnection, outage_id: str) -> int:
    """How many messages of the present episode did not arrive and wait for a person."""
    query = (
        select(func.count())
        .select_from(deliveries)
        .join(outages, outages.c.id == deliveries.c.outage_id)
        .where(deliveries.c.outage_id == outage_id, deliveries.c.episode == outages.c.episode, unanswered())
    )
    return int((await conn.execute(query)).scalar_one())


async def reach(conn: AsyncConnection, outage_id: str) -> Reach:
    """Those whom an open outage leads and whose addresses may be written to."""
    may = (
        leads.c.outage_id == outage_id,
        leads.c.episode == outages.c.episode,
        leads.c.role == Role.LEADS.value,
        addresses.c.suppressed.is_(None),
        or_(~addresses.c.shared, func.coalesce(addresses.c.confirmed_by, "") != ""),
    )
    source = leads.join(outages, outages.c.id == leads.c.outage_id).join(
        addresses, addresses.c.id == leads.c.address_id
    )
    people = select(func.count(leads.c.customer_id.distinct())).select_from(source).where(*may)
    each = select(addresses.c.channel, func.count(leads.c.address_id.distinct())).select_from(source).where(*may)
    found = {channel: n for channel, n in await conn.execute(each.group_by(addresses.c.channel))}
    return Reach(customers=int((await conn.execute(people)).scalar_one()), addresses=found)


def _matching(wanted: Wanted) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if wanted.state == TO_DO:
        where.append(unanswered())
    elif wanted.state:
        where.append(deliveries.c.state == wanted.state)
    if wanted.channel:
        where.append(deliveries.c.channel == wanted.channel)
    if wanted.kind:
        where.append(deliveries.c.kind == wanted.kind)
    if wanted.customer:
        spoken = select(notices.c.delivery_id).where(
            notices.c.delivery_id == deliveries.c.id, notices.c.customer_id == wanted.customer
        )
        where.append(spoken.exists())
    if wanted.to:
        where.append(deliveries.c.to.icontains(wanted.to, autoescape=True))
    return where
