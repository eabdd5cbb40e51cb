"""Customers as the desk reads them: who somebody is, whom he belongs to, his contacts and how they are reached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import LABEL_STYLE_TABLENAME_PLUS_COL, Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.levels import Level
from outagecast.domain.outage import OPEN
from outagecast.domain.suppression import SuppressReason
from outagecast.domain.timeline import Happened
from outagecast.storage.tables import (
    addresses,
    circuits,
    contacts,
    customers,
    impacts,
    outages,
    subscriptions,
    texts,
    timeline,
)

_OPEN = [str(status) for status in OPEN]
_E, _P = addresses.alias("email"), addresses.alias("phone")


@dataclass(frozen=True, kw_only=True, slots=True)
class AddressLine:
    """One address of a contact, and what stands against writing to it. `held`: shared by strangers, unconfirmed."""

    id: int
    channel: str
    value: str
    suppressed: str | None
    suppressed_at: datetime | None
    suppressed_by: str | None
    shared: bool
    confirmed_by: str | None

    @property
    def held(self) -> bool:
        return self.shared and self.confirmed_by is None

    @property
    def usable(self) -> bool:
        return self.suppressed is None and not self.held


@dataclass(frozen=True, kw_only=True, slots=True)
class ContactView:
    """A contact with its cells as they are stored: an empty one takes the tier's default."""

    id: str
    name: str
    role: str
    status: str
    language: str
    timezone: str
    notify: str
    channels: str
    quiet_hours: str
    wake_for: str
    consent_at: datetime | None
    consent_source: str
    email: AddressLine | None
    phone: AddressLine | None

    @property
    def addresses(self) -> tuple[AddressLine, ...]:
        return tuple(line for line in (self.email, self.phone) if line is not None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kin:
    """Another customer this one belongs to, or one that belongs to it."""

    id: str
    name: str
    status: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerView:
    """`circuits` and `subscriptions` count those that have not ended; `children` are the first few of so many."""

    id: str
    name: str
    status: str
    told_via: str
    language: str
    timezone: str
    tier: str
    tags: str
    attributes: Mapping[str, Any]
    parent: Kin | None
    children: tuple[Kin, ...]
    children_count: int
    circuits: int
    subscriptions: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerRow:
    """A line of the list of customers."""

    id: str
    name: str
    status: str
    tier: str
    parent_id: str | None
    circuits: int
    contacts: int
    level: Level


async def customer(conn: AsyncConnection, customer_id: str, *, children: int = 20) -> CustomerView | None:
    """One customer, ended or not; None if there is none."""
    row = (await conn.execute(select(customers).where(customers.c.id == customer_id))).mappings().first()
    if row is None:
        return None
    own = select(customers.c.id, customers.c.name, customers.c.status)
    # Counted first: where hardly anybody has a parent, SQLite would walk all customers for the first of none.
    kin_count = await _count(conn, customers, customers.c.parent_id == customer_id)
    below = own.where(customers.c.parent_id == customer_id).order_by(customers.c.id).limit(children)
    kin = [Kin(**row) for row in (await conn.execute(below)).mappings()] if kin_count else []
    above = (await conn.execute(own.where(customers.c.id == row["parent_id"]))).first() if row["parent_id"] else None
    return CustomerView(
        **{name: row[name] for name in ("id", "name", "status", "told_via", "language", "timezone", "tier", "tags")},
        attributes=row["attributes"] or {},
        parent=Kin(id=above.id, name=above.name, status=above.status) if above else None,
        children=tuple(kin),
        children_count=kin_count,
        circuits=await _count(conn, circuits, circuits.c.customer_id == customer_id, circuits.c.status != "ended"),
        subscriptions=await _count(
            conn, subscriptions, subscriptions.c.customer_id == customer_id, subscriptions.c.status != "ended"
        ),
    )


async def customer_page(
    conn: AsyncConnection, *, after: str = "", status: str = "", limit: int = 50, ids: Sequence[str] | None = None
) -> tuple[list[CustomerRow], str | None]:
    """Customers by id from after one, and the id to go on from, None at the end; with `ids` only these."""
    query = select(customers.c.id, customers.c.name, customers.c.status, customers.c.tier, customers.c.parent_id).where(
        customers.c.id > after
    )
    if status:
        query = query.where(customers.c.status == status)
    if ids is not None:
        query = query.where(customers.c.id.in_(list(ids)))
    rows = (await conn.execute(query.order_by(customers.c.id).limit(limit + 1))).all()
    shown = [row.id for row in rows[:limit]]
    lines = await _by_customer(conn, circuits, shown)
    people = await _by_customer(conn, contacts, shown)
    worst = await levels(conn, shown)
    found = [
        CustomerRow(
            id=row.id, name=row.name, status=row.status, tier=row.tier, parent_id=row.parent_id,
            circuits=lines.get(row.id, 0), contacts=people.get(row.id, 0), level=worst.get(row.id, Level.NO_IMPACT),
        )
        for row in rows[:limit]
    ]  # fmt: skip
    return found, rows[limit - 1].id if len(rows) > limit else None


async def levels(conn: AsyncConnection, ids: Sequence[str]) -> dict[str, Level]:
    """The worst level now of each of some customers that has any."""
    query: Select[Any] = (
        select(impacts.c.customer_id, func.max(impacts.c.level))
        .join(outages, and_(outages.c.id == impacts.c.outage_id, outages.c.episode == impacts.c.episode))
        .where(impacts.c.customer_id.in_(ids), impacts.c.to_at.is_(None), outages.c.public, outages.c.status.in_(_OPEN))
        .group_by(impacts.c.customer_id)
    )
    return {id: Level(level) for id, level in await conn.execute(query)}


async def contacts_of(conn: AsyncConnection, customer_id: str, *, limit: int = 200) -> list[ContactView]:
    """A customer's contacts that have not ended, in the order in which they are asked (rule 9)."""
    query = (
        select(contacts, _E, _P)
        .set_label_style(LABEL_STYLE_TABLENAME_PLUS_COL)
        .outerjoin(_E, _E.c.id == contacts.c.email_id)
        .outerjoin(_P, _P.c.id == contacts.c.phone_id)
        .where(contacts.c.customer_id == customer_id, contacts.c.status != "ended")
        .order_by(contacts.c.id)
        .limit(limit)
    )
    names = set(ContactView.__dataclass_fields__) - {"email", "phone"}
    return [
        ContactView(
            **{name: row[f"contacts_{name}"] for name in names},
            email=_address(row, "email"),
            phone=_address(row, "phone"),
        )
        for row in (await conn.execute(query)).mappings()
    ]


async def address(conn: AsyncConnection, address_id: int) -> AddressLine | None:
    """One address, whoever has it."""
    row = (await conn.execute(select(addresses).where(addresses.c.id == address_id))).mappings().first()
    return AddressLine(**row) if row is not None else None


async def serves(conn: AsyncConnection, address_ids: Sequence[int]) -> dict[int, int]:
    """How many customers each of some addresses serves: whom its loss takes the word from."""
    found: dict[int, set[str]] = {}
    for column in (contacts.c.email_id, contacts.c.phone_id):
        query = select(column, contacts.c.customer_id).where(column.in_(address_ids), contacts.c.status != "ended")
        for address_id, customer_id in await conn.execute(query):
            found.setdefault(address_id, set()).add(customer_id)
    return {address_id: len(customers_of) for address_id, customers_of in found.items()}


async def why_suppressed(conn: AsyncConnection, lines: Sequence[AddressLine]) -> dict[int, str]:
    """What staff wrote when they switched some addresses off: the timeline's line of that very moment."""
    found: dict[int, str] = {}
    for line in lines:
        if line.suppressed != SuppressReason.BY_STAFF.value or line.suppressed_at is None:
            continue
        query = (
            select(timeline.c.data, texts.c.text)
            .join(texts, texts.c.id == timeline.c.text_id)
            .where(
                timeline.c.outage_id.is_(None),
                timeline.c.what == Happened.SUPPRESSED.value,
                timeline.c.at == line.suppressed_at,
            )
        )
        for data, text in await conn.execute(query):
            if (data or {}).get("address") == line.id:
                found[line.id] = text
    return found


async def owns_address(conn: AsyncConnection, customer_id: str, address_id: int) -> bool:
    """Whether an address belongs to a contact of this customer."""
    query = select(contacts.c.id).where(
        contacts.c.customer_id == customer_id,
        or_(contacts.c.email_id == address_id, contacts.c.phone_id == address_id),
    )
    return (await conn.execute(query.limit(1))).first() is not None


def _address(row: Any, name: str) -> AddressLine | None:
    if row[f"{name}_id"] is None:
        return None
    return AddressLine(**{field: row[f"{name}_{field}"] for field in AddressLine.__dataclass_fields__})


async def _count(conn: AsyncConnection, table: Any, *conditions: Any) -> int:
    return int((await conn.execute(select(func.count()).select_from(table).where(*conditions))).scalar_one())


async def _by_customer(conn: AsyncConnection, table: Any, ids: Sequence[str]) -> dict[str, int]:
    query = (
        select(table.c.customer_id, func.count())
        .where(table.c.customer_id.in_(ids), table.c.status != "ended")
        .group_by(table.c.customer_id)
    )
    return {id: count for id, count in await conn.execute(query)}
