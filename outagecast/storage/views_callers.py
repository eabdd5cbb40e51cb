"""The customer behind what leaves no doubt: a whole phone number or e-mail address, an id. Names are views_search's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.storage.tables import addresses, circuits, contacts, customers

_THINGS: Mapping[str, tuple[Any, Any]] = {
    "customer": (customers, literal("")),
    "contact": (contacts, contacts.c.name),
    "circuit": (circuits, circuits.c.label),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """One customer, and what about him fits: `by` is contact, circuit or customer, `id` that one's, `shows` its words.

    `exact`: there is no doubt that it is he who was meant.
    """

    customer_id: str
    customer: str
    status: str
    by: str
    id: str
    shows: str
    exact: bool


async def by_address(conn: AsyncConnection, channel: str, value: str, *, limit: int = 50) -> list[Hit]:
    """Whose contacts have exactly this normalised address."""
    whose = contacts.c.phone_id if channel == "sms" else contacts.c.email_id
    query = (
        select(
            customers.c.id, customers.c.name, customers.c.status,
            contacts.c.id.label("contact_id"), contacts.c.name.label("contact"), addresses.c.value,
        )
        .select_from(addresses)
        .join(contacts, whose == addresses.c.id)
        .join(customers, customers.c.id == contacts.c.customer_id)
        .where(addresses.c.channel == channel, addresses.c.value == value, contacts.c.status != "ended")
        .order_by(customers.c.status, customers.c.id, contacts.c.id)
        .limit(limit)
    )  # fmt: skip
    return [
        Hit(
            customer_id=row.id, customer=row.name, status=row.status, by="contact", id=row.contact_id,
            shows=f"{row.contact}, {row.value}", exact=True,
        )
        for row in await conn.execute(query)
    ]  # fmt: skip


async def by_id(conn: AsyncConnection, ids: Sequence[str]) -> list[Hit]:
    """The customers, contacts and circuits with exactly one of these ids (one id in several spellings)."""
    found = []
    for by in _THINGS:
        found += await _of(conn, by, ids)
    return found


async def _of(conn: AsyncConnection, by: str, ids: Sequence[str]) -> list[Hit]:
    if not ids:
        return []
    table, shows = _THINGS[by]
    query = select(
        customers.c.id, customers.c.name, customers.c.status, table.c.id.label("thing"), shows.label("shows")
    ).where(table.c.id.in_(ids))
    if table is not customers:
        query = query.join(customers, customers.c.id == table.c.customer_id).where(table.c.status != "ended")
    return [
        Hit(
            customer_id=row.id, customer=row.name, status=row.status, by=by, id=row.thing, shows=row.shows, exact=True
        )
        for row in await conn.execute(query.order_by(table.c.id))
    ]  # fmt: skip
