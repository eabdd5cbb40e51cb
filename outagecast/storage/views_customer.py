"""What the person behind one address may see: the lines for which that address is a contact, and how they are now."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.levels import Level
from outagecast.domain.outage import OPEN
from outagecast.storage.tables import (
    addresses,
    circuits,
    contacts,
    customers,
    impacts,
    outages,
    services,
    sites,
    subscriptions,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class AddressView:
    """`names`: the contacts behind it; `suppressed`: why nothing goes there, None if it may be written to."""

    id: int
    channel: str
    value: str
    suppressed: str | None
    names: tuple[str, ...]
    timezone: str
    language: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LineView:
    """One line as it is now. `outage_id` is the open outage that makes it worst, with what it promises.

    What is not active is not reckoned.
    """

    kind: str
    id: str
    label: str
    service: str
    place: str
    customer: str
    level: Level
    outage_id: str | None
    since: datetime | None
    eta: datetime | None
    next_update_by: datetime | None
    status: str = "active"


async def address(conn: AsyncConnection, address_id: int) -> AddressView | None:
    row = (await conn.execute(select(addresses).where(addresses.c.id == address_id))).mappings().first()
    if row is None:
        return None
    behind = (
        select(contacts.c.name, contacts.c.timezone, contacts.c.language, customers.c.timezone, customers.c.language)
        .join(customers, customers.c.id == contacts.c.customer_id)
        .where(_has(address_id), contacts.c.status == "active")
        .order_by(contacts.c.id)
    )
    people = (await conn.execute(behind)).all()
    return AddressView(
        id=row["id"],
        channel=row["channel"],
        value=row["value"],
        suppressed=row["suppressed"],
        names=tuple(dict.fromkeys(person[0] for person in people if person[0])),
        timezone=next((zone for person in people for zone in (person[1], person[3]) if zone), ""),
        language=next((language for person in people for language in (person[2], person[4]) if language), ""),
    )


async def lines(conn: AsyncConnection, address_id: int, *, limit: int = 200) -> list[LineView]:
    """Circuits and subscriptions of the customers for whom this address is a contact, the worst first."""
    mine = select(contacts.c.customer_id).where(_has(address_id), contacts.c.status == "active")
    return await _lines(conn, mine, limit)


async def lines_of(conn: AsyncConnection, customer_id: str, *, limit: int = 50) -> list[LineView]:
    """One customer's circuits and subscriptions, the worst first: what is affected never falls beyond the limit."""
    return await _lines(conn, [customer_id], limit)


async def _lines(conn: AsyncConnection, mine: Any, limit: int) -> list[LineView]:
    worst = await _worst(conn, mine)
    worst_first = sorted(worst, key=lambda key: -worst[key]["level"])
    down = [thing_id for kind, thing_id, _ in worst_first if kind == "circuit"][:limit]
    circuit_query = (
        select(
            circuits.c.id, circuits.c.label, circuits.c.place, circuits.c.customer_id, circuits.c.status,
            services.c.name.label("service"), customers.c.name.label("customer"), sites.c.name.label("site"),
        )
        .join(customers, customers.c.id == circuits.c.customer_id)
        .outerjoin(services, services.c.id == circuits.c.service_id)
        .outerjoin(sites, sites.c.id == circuits.c.site_id)
        .where(circuits.c.customer_id.in_(mine), circuits.c.status != "ended")
    )  # fmt: skip
    rows: dict[str, Any] = {}
    if down:
        rows = {row.id: row for row in await conn.execute(circuit_query.where(circuits.c.id.in_(down)))}
    others = circuit_query.order_by(circuits.c.customer_id, circuits.c.id).limit(limit)
    for row in await conn.execute(others):
        if len(rows) < limit:
            rows.setdefault(row.id, row)
    service_rows = await conn.execute(
        select(
            services.c.id,
            services.c.name,
            customers.c.name.label("customer"),
            subscriptions.c.customer_id,
            subscriptions.c.status,
        )
        .join(services, services.c.id == subscriptions.c.service_id)
        .join(customers, customers.c.id == subscriptions.c.customer_id)
        .where(subscriptions.c.customer_id.in_(mine), subscriptions.c.status != "ended")
        .order_by(subscriptions.c.customer_id, services.c.position)
        .limit(limit)
    )
    things = [
        (
            "circuit",
            r.id,
            r.customer_id,
            r.label or r.id,
            r.service or "",
            r.place or r.site or "",
            r.customer,
            r.status,
        )
        for r in rows.values()
    ] + [("service", r.id, r.customer_id, r.name, "", "", r.customer, r.status) for r in service_rows]
    found = [
        LineView(
            kind=kind, id=id, label=label, service=service, place=place, customer=customer, status=status,
            **worst.get((kind, id, customer_id), _WELL),
        )
        for kind, id, customer_id, label, service, place, customer, status in things
    ]  # fmt: skip
    return sorted(found, key=lambda line: (-line.level, line.customer, line.label))


_WELL: dict[str, Any] = {
    "level": Level.NO_IMPACT,
    "outage_id": None,
    "since": None,
    "eta": None,
    "next_update_by": None,
}


async def _worst(conn: AsyncConnection, mine: Any) -> dict[tuple[str, str, str], dict[str, Any]]:
    """The worst impact in force of each line of these customers, of outages that have taken effect."""
    query = (
        select(impacts, outages.c.eta, outages.c.next_update_by)
        .join(outages, and_(outages.c.id == impacts.c.outage_id, outages.c.episode == impacts.c.episode))
        .where(
            impacts.c.customer_id.in_(mine),
            impacts.c.to_at.is_(None),
            outages.c.public,
            outages.c.status.in_([str(status) for status in OPEN]),
        )
        .order_by(impacts.c.level, func.coalesce(outages.c.number, 0).desc())
    )
    return {
        (row["thing_kind"], row["thing_id"], row["customer_id"]): {
            "level": Level(row["level"]),
            "outage_id": row["outage_id"],
            "since": row["from_at"],
            "eta": row["eta"],
            "next_update_by": row["next_update_by"],
        }
        for row in (await conn.execute(query)).mappings()
    }


def _has(address_id: int) -> ColumnElement[bool]:
    return or_(contacts.c.email_id == address_id, contacts.c.phone_id == address_id)
