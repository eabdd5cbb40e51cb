"""Who hears of what: the contacts behind addresses and customers, their own and their parents'."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, literal, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.message import ChannelName
from outagecast.storage.batches import Record, among, chunks
from outagecast.storage.planning_things import ACTIVE
from outagecast.storage.tables import addresses, contacts, customers

ONLY = "only"
"""In place of a flag that is a text among texts: the contact has no other address."""


async def addresses_hearing(
    conn: AsyncConnection, customer_ids: Iterable[str], channels: Iterable[ChannelName]
) -> dict[int, set[str]]:
    """Which addresses hear for which of these customers: their own contacts', and their parents' where `told_via`
    says so.
    """
    found: dict[int, set[str]] = {}
    columns = [contact_column(channel) for channel in channels]
    for part in chunks(customer_ids):
        for column in columns:
            for query in (_own(column, among(customers.c.id, part)), _via_parent(column, among(customers.c.id, part))):
                for address_id, customer_id in await conn.execute(query):
                    found.setdefault(address_id, set()).add(customer_id)
    return found


async def hearers(conn: AsyncConnection, address_ids: Sequence[int]) -> list[Record]:
    """A row for each contact behind these addresses and each customer it hears for."""
    parts = []
    for channel in ChannelName:
        column = contact_column(channel)
        for own in (True, False):
            link = (
                and_(customers.c.id == contacts.c.customer_id, hears_itself())
                if own
                else and_(customers.c.parent_id == contacts.c.customer_id, customers.c.told_via.in_(("parent", "both")))
            )
            parts.append(
                select(
                    column.label("address_id"),
                    literal(channel.value).label("channel"),
                    *heard_of(),
                )
                .select_from(contacts)
                .join(customers, link)
                .where(among(column, address_ids))
            )
    return list((await conn.execute(union_all(*parts))).all())


async def address_rows(conn: AsyncConnection, address_ids: Sequence[int]) -> dict[int, Record]:
    return {row.id: row for row in await conn.execute(select(addresses).where(among(addresses.c.id, address_ids)))}


async def unreachable(conn: AsyncConnection, customer_ids: Iterable[str], channels: Iterable[ChannelName]) -> list[str]:
    """Those of these customers for whom no active contact has any address on these channels."""
    wanted = list(customer_ids)
    reached: set[str] = set()
    for part in chunks(wanted):
        for channel in channels:
            column = contact_column(channel)
            for query in (_own(column, among(customers.c.id, part)), _via_parent(column, among(customers.c.id, part))):
                reached.update(customer_id for _, customer_id in await conn.execute(query))
    return [customer_id for customer_id in wanted if customer_id not in reached]


async def contacts_without(
    conn: AsyncConnection, customer_ids: Iterable[str], channels: Iterable[ChannelName]
) -> list[Record]:
    """Contacts that ask for a channel by name and have no address there: (contact_id, customer_id, channel)."""
    found: list[Record] = []
    for part in chunks(customer_ids):
        for channel in channels:
            column = contact_column(channel)
            query = select(
                contacts.c.id.label("contact_id"), contacts.c.customer_id, literal(channel.value).label("channel")
            ).where(
                among(contacts.c.customer_id, part),
                contacts.c.status == ACTIVE,
                column.is_(None),
                contacts.c.channels.like(f"%{channel.value}%"),
            )
            found.extend((await conn.execute(query)).all())
    return found


def heard_of() -> list[ColumnElement[Any]]:
    """What is read of a contact and of the customer it hears for, beside the address and its channel."""
    return [
        contacts.c.id.label("contact_id"),
        contacts.c.name,
        contacts.c.status,
        contacts.c.language,
        contacts.c.timezone,
        contacts.c.channels,
        contacts.c.notify,
        contacts.c.quiet_hours,
        contacts.c.wake_for,
        customers.c.id.label("customer_id"),
        customers.c.language.label("customer_language"),
        customers.c.timezone.label("customer_timezone"),
        customers.c.tier,
        only_address().label("only_address"),
    ]


def contact_column(channel: ChannelName) -> ColumnElement[Any]:
    match channel:
        case ChannelName.EMAIL:
            return contacts.c.email_id
        case ChannelName.SMS:
            return contacts.c.phone_id


def only_address() -> ColumnElement[str]:
    """ONLY where a contact has an address on one channel alone, "" where it has more."""
    return case((or_(contacts.c.email_id.is_(None), contacts.c.phone_id.is_(None)), literal(ONLY)), else_=literal(""))


def hears_itself() -> ColumnElement[bool]:
    # Told via a parent that is not there, a customer hears for himself.
    return or_(customers.c.told_via != "parent", func.coalesce(customers.c.parent_id, "") == "")


def _own(column: ColumnElement[Any], which: ColumnElement[bool]) -> Select[Any]:
    return (
        select(column, customers.c.id)
        .select_from(customers)
        .join(contacts, contacts.c.customer_id == customers.c.id)
        .where(which, hears_itself(), contacts.c.status == ACTIVE, column.is_not(None))
    )


def _via_parent(column: ColumnElement[Any], which: ColumnElement[bool]) -> Select[Any]:
    return (
        select(column, customers.c.id)
        .select_from(customers)
        .join(contacts, contacts.c.customer_id == customers.c.parent_id)
        .where(which, customers.c.told_via.in_(("parent", "both")), contacts.c.status == ACTIVE, column.is_not(None))
    )
