"""What a preview of any size reads: plain tuples, because a hundred thousand rows as objects would take seconds."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.notices import Role
from outagecast.storage.batches import PIECE, chunks
from outagecast.storage.tables import (
    addresses,
    circuits,
    contacts,
    customers,
    impacts,
    leads,
    subscriptions,
)

ACTIVE = "active"


Line: TypeAlias = tuple[bool, str, str, int | None, str | None, str | None]
"""A circuit or a subscription: (is it a circuit, id, customer, need, service, site); a subscription's is its service.

Bare tuples of strings and numbers: the collector of cycles leaves those alone, and would else take a third of the time.
"""
Buyer: TypeAlias = tuple[
    str, str | None, str, str, str | None, str | None, int | None, int | None, str | None, str | None
]
"""A customer with one of its active contacts (None: it has none): (customer, parent, told_via, tier, contact, name,
email, phone, notify, channels)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Blocked:
    """What stands against an address: its suppression, or that it is shared and unconfirmed."""

    suppressed: str | None
    held_shared: bool


async def lines_behind(
    conn: AsyncConnection,
    *,
    need_ids: Iterable[int],
    service_ids: Collection[str],
    site_ids: Iterable[str],
    circuit_ids: Iterable[str],
    customer_ids: Collection[str],
) -> list[Line]:
    """Every active circuit and subscription that hangs on one of these, once; customers are not looked at."""
    c, found, subscribed = circuits.c, dict[str, Line](), dict[tuple[str, str], Line]()
    ways: list[tuple[Any, Iterable[Any]]] = [
        (c.need_id, need_ids), (c.service_id, service_ids), (c.site_id, site_ids), (c.id, circuit_ids),
        (c.customer_id, customer_ids),
    ]  # fmt: skip
    for column, values in ways:
        for part in chunks(values):
            query = select(c.id, c.customer_id, c.need_id, c.service_id, c.site_id)
            rows = await conn.stream(query.where(column.in_(part), c.status == ACTIVE))
            # A service may have a hundred thousand: in pieces, the event loop turns in between.
            async for some in rows.partitions(PIECE):
                for one in some:
                    found[one[0]] = (True, *one)
    s = subscriptions.c
    for column, values in ((s.service_id, service_ids), (s.customer_id, customer_ids)):
        for part in chunks(values):
            query = select(s.service_id, s.customer_id).where(column.in_(part), s.status == ACTIVE)
            for row in await conn.execute(query):
                subscribed[row[0], row[1]] = (False, row[0], row[1], None, row[0], None)
    return [*found.values(), *subscribed.values()]


async def buyers(conn: AsyncConnection, customer_ids: Iterable[str]) -> list[Buyer]:
    """A row for each active contact of these customers, one for a customer without any; active customers only."""
    found: list[Buyer] = []
    for part in chunks(customer_ids):
        query = _buyers().where(customers.c.id.in_(part), customers.c.status == ACTIVE)
        found.extend(map(tuple, await conn.execute(query)))
    return found


async def contacts_of(conn: AsyncConnection, customer_ids: Iterable[str]) -> list[Buyer]:
    """The active contacts of these customers, whatever the customers' own status: those of resellers."""
    found: list[Buyer] = []
    for part in chunks(customer_ids):
        query = _buyers().where(customers.c.id.in_(part), contacts.c.id.is_not(None))
        found.extend(map(tuple, await conn.execute(query)))
    return found


async def blocked_addresses(conn: AsyncConnection) -> dict[int, Blocked]:
    """Every address that something stands against."""
    a = addresses.c
    query = select(a.id, a.suppressed, and_(a.shared, func.coalesce(a.confirmed_by, "") == "")).where(
        or_(a.suppressed.is_not(None), a.shared)
    )
    return {
        number: Blocked(suppressed=reason, held_shared=bool(held)) for number, reason, held in await conn.execute(query)
    }


async def told_addresses(conn: AsyncConnection, outage_ids: Sequence[str]) -> set[int]:
    """The addresses that these outages lead, or are covered for."""
    query = select(leads.c.address_id).where(leads.c.outage_id.in_(outage_ids), leads.c.role != Role.ENDED.value)
    return set((await conn.execute(query.distinct())).scalars())


async def troubled_customers(conn: AsyncConnection, outage_ids: Sequence[str]) -> set[str]:
    """The customers that these outages touch now."""
    query = select(impacts.c.customer_id).where(impacts.c.outage_id.in_(outage_ids), impacts.c.to_at.is_(None))
    return set((await conn.execute(query.distinct())).scalars())


def _buyers() -> Any:
    k = contacts.c
    return select(
        customers.c.id, customers.c.parent_id, customers.c.told_via, customers.c.tier, k.id, k.name, k.email_id,
        k.phone_id, k.notify, k.channels,
    ).select_from(
        customers.outerjoin(contacts, and_(k.customer_id == customers.c.id, k.status == ACTIVE))
    )  # fmt: skip
