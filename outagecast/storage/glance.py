"""One look at a chunk of addresses, wide enough for the usual case: who hears, of which lines, and whether anything was
told before. A wave reads each address once, in one query; what is not usual is read again in full (planning.py).
"""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, CompoundSelect, Select, and_, case, exists, false, func, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.message import ChannelName
from outagecast.storage.batches import each_of, listed, within
from outagecast.storage.driver import execute_once
from outagecast.storage.planning_hearers import contact_column, hears_itself, only_address
from outagecast.storage.tables import (
    addresses,
    circuits,
    contacts,
    customers,
    deliveries,
    impacts,
    leads,
    services,
    sites,
)

Seen: TypeAlias = tuple[Any, ...]
"""One address, one contact behind it, one customer that contact hears for, and one open impact of that customer:

0 address_id, 1 its value, 2 contact_id, 3 the contact's name, 4 customer_id, 5 the customer's name, 6 thing_id,
7 label (None: the thing is gone), 8 place. What many addresses share: 9 channel, 10 suppressed, 11 held back as shared,
12 the contact's and the customer's cells (CELLS), 13 whether any of the outages told this address anything before,
14 thing_kind (None: nothing of this customer is touched), 15 level, 16 outage_id, 17 from_at (microseconds), 18 the
name of the service that it is or is for, 19 the site's timezone.
"""
CELLS = (
    contacts.c.status, contacts.c.language, contacts.c.timezone, contacts.c.channels, contacts.c.notify,
    contacts.c.quiet_hours, contacts.c.wake_for, customers.c.language, customers.c.timezone, customers.c.tier,
    only_address(),
)  # fmt: skip
BETWEEN = "\x1f"
"""Between two cells. One text instead of eleven: it is all but always the same one."""


async def seen(
    conn: AsyncConnection, address_ids: Sequence[int], channels: tuple[ChannelName, ...], outage_ids: Collection[str]
) -> list[Seen]:
    """What one look shows of these addresses, of those that are of these channels and have a contact behind them.
    `outage_ids`: those that may have told them anything.
    """
    parents = (await conn.execute(_ANY_PARENT)).first() is not None
    values = {"address_ids": listed(conn.dialect, address_ids), "outage_ids": listed(conn.dialect, outage_ids)}
    return list(await execute_once(conn, _looking(channels, parents, bool(outage_ids)), values))


@lru_cache(maxsize=16)
def _looking(channels: tuple[ChannelName, ...], parents: bool, told: bool) -> CompoundSelect[Any]:
    ways = (True, False) if parents else (True,)
    return union_all(*[_looking_at(channel, own, told) for own in ways for channel in channels])


def _looking_at(channel: ChannelName, own: bool, told: bool) -> Select[Any]:
    """By the contacts' own customers, or by those told via the contact's customer, their parent."""
    wanted = each_of(addresses.c.id, "address_ids")
    is_circuit = impacts.c.thing_kind == "circuit"
    its_name = func.coalesce(func.nullif(services.c.name, ""), impacts.c.thing_id)
    return (
        select(
            addresses.c.id, addresses.c.value, contacts.c.id, contacts.c.name, customers.c.id, customers.c.name,
            impacts.c.thing_id,
            case((is_circuit, func.coalesce(func.nullif(circuits.c.label, ""), circuits.c.id)), else_=its_name),
            func.coalesce(func.nullif(circuits.c.place, ""), sites.c.name, ""),
            addresses.c.channel, addresses.c.suppressed, and_(addresses.c.shared, addresses.c.confirmed_by.is_(None)),
            _cells(), _told_before() if told else false(),
            impacts.c.thing_kind, impacts.c.level, impacts.c.outage_id, impacts.c.from_at,
            case((is_circuit, func.coalesce(services.c.name, "")), else_=its_name), func.coalesce(sites.c.timezone, ""),
        )
        .select_from(wanted)
        .join(addresses, addresses.c.id == wanted.c.value)
        .join(contacts, contact_column(channel) == addresses.c.id)
        .join(customers, _own() if own else _via_parent())
        .outerjoin(impacts, and_(impacts.c.customer_id == customers.c.id, impacts.c.to_at.is_(None)))
        .outerjoin(
            circuits,
            and_(is_circuit, circuits.c.id == impacts.c.thing_id, circuits.c.customer_id == impacts.c.customer_id),
        )
        .outerjoin(sites, sites.c.id == circuits.c.site_id)
        .outerjoin(services, services.c.id == case((is_circuit, circuits.c.service_id), else_=impacts.c.thing_id))
        # Through a function, lest SQLite walk the index over all addresses of a channel.
        .where(func.coalesce(addresses.c.channel, "") == channel.value)
    )  # fmt: skip


def _own() -> ColumnElement[bool]:
    return and_(customers.c.id == contacts.c.customer_id, hears_itself())


def _via_parent() -> ColumnElement[bool]:
    told = or_(customers.c.told_via == "parent", customers.c.told_via == "both")
    return and_(customers.c.parent_id == contacts.c.customer_id, told)


def _cells() -> ColumnElement[str]:
    first, *others = CELLS
    joined: ColumnElement[str] = first
    for cell in others:
        joined = joined + BETWEEN + cell
    return joined


def _told_before() -> ColumnElement[bool]:
    led = select(leads.c.address_id).where(
        leads.c.address_id == addresses.c.id, within(leads.c.outage_id, "outage_ids")
    )
    sent = select(deliveries.c.id).where(
        deliveries.c.address_id == addresses.c.id, within(deliveries.c.outage_id, "outage_ids")
    )
    return exists(led) | exists(sent)


_ANY_PARENT = select(customers.c.id).where(customers.c.parent_id > "").limit(1)
