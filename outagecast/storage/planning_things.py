"""Circuits and subscriptions as planning sees them: what their level hangs on, how they are, and their words."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.notices import ThingKey
from outagecast.storage.batches import Record, among, chunks
from outagecast.storage.tables import circuits, customers, impacts, outages, services, sites, subscriptions

ACTIVE = "active"


@dataclass(frozen=True, kw_only=True, slots=True)
class Touchable:
    """A circuit, or the subscription to a service (kind `service`), with everything its level depends on."""

    key: ThingKey
    need_id: int | None
    service_id: str | None
    site_id: str | None


async def candidates(
    conn: AsyncConnection,
    *,
    need_ids: Iterable[int],
    service_ids: Iterable[str],
    site_ids: Iterable[str],
    circuit_ids: Iterable[str],
    customer_ids: Iterable[str],
) -> dict[ThingKey, Touchable]:
    """Every active thing of an active customer that any of these may touch."""
    found: dict[ThingKey, Touchable] = {}
    wanted: list[tuple[ColumnElement[Any], Iterable[Any]]] = [
        (circuits.c.need_id, need_ids),
        (circuits.c.service_id, list(service_ids)),
        (circuits.c.site_id, site_ids),
        (circuits.c.id, circuit_ids),
        (circuits.c.customer_id, list(customer_ids)),
    ]
    for column, values in wanted:
        for part in chunks(values):
            for row in await conn.execute(_circuits().where(among(column, part))):
                key = ThingKey("circuit", row.id, row.customer_id)
                found[key] = Touchable(key=key, need_id=row.need_id, service_id=row.service_id, site_id=row.site_id)
    for column, values in ((subscriptions.c.service_id, service_ids), (subscriptions.c.customer_id, customer_ids)):
        for part in chunks(values):
            for row in await conn.execute(_subscriptions().where(among(column, part))):
                key = ThingKey("service", row.service_id, row.customer_id)
                found[key] = Touchable(key=key, need_id=None, service_id=row.service_id, site_id=None)
    return found


async def touchables(conn: AsyncConnection, keys: Iterable[ThingKey]) -> dict[ThingKey, Touchable]:
    """The things themselves, also those that are no longer active."""
    keys = list(keys)
    found: dict[ThingKey, Touchable] = {
        key: Touchable(key=key, need_id=None, service_id=key.id, site_id=None) for key in keys if key.kind == "service"
    }
    for part in chunks(key.id for key in keys if key.kind == "circuit"):
        query = select(
            circuits.c.id, circuits.c.customer_id, circuits.c.need_id, circuits.c.service_id, circuits.c.site_id
        )
        for row in await conn.execute(query.where(among(circuits.c.id, part))):
            key = ThingKey("circuit", row.id, row.customer_id)
            found[key] = Touchable(key=key, need_id=row.need_id, service_id=row.service_id, site_id=row.site_id)
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class ThingWords:
    """A thing in its customer's own words."""

    customer: str
    label: str
    place: str
    service: str
    zone: str
    carries: str
    """The name of the service it is, or is for."""


async def open_things(conn: AsyncConnection, customer_ids: Iterable[str]) -> list[Record]:
    """Every open impact of these customers: (thing_kind, thing_id, customer_id, level, outage_id, from_at), first
    outage first.
    """
    found: list[Record] = []
    for part in chunks(customer_ids):
        query = (
            select(
                impacts.c.thing_kind,
                impacts.c.thing_id,
                impacts.c.customer_id,
                impacts.c.level,
                impacts.c.outage_id,
                impacts.c.from_at,
            )
            .join(outages, outages.c.id == impacts.c.outage_id)
            .where(among(impacts.c.customer_id, part), impacts.c.to_at.is_(None))
            .order_by(outages.c.number)
        )
        found.extend((await conn.execute(query)).all())
    return found


async def words_for(conn: AsyncConnection, keys: Iterable[ThingKey]) -> dict[ThingKey, ThingWords]:
    keys = set(keys)
    found: dict[ThingKey, ThingWords] = {}
    for part in chunks(key.id for key in keys if key.kind == "circuit"):
        query = (
            select(
                circuits.c.id, circuits.c.customer_id, circuits.c.label, circuits.c.place,
                customers.c.name.label("customer"), sites.c.name.label("site"), sites.c.timezone,
                services.c.name.label("service"),
            )
            .join(customers, customers.c.id == circuits.c.customer_id)
            .outerjoin(sites, sites.c.id == circuits.c.site_id)
            .outerjoin(services, services.c.id == circuits.c.service_id)
            .where(among(circuits.c.id, part))
        )  # fmt: skip
        for row in await conn.execute(query):
            found[ThingKey("circuit", row.id, row.customer_id)] = ThingWords(
                customer=row.customer,
                label=row.label or row.id,
                place=row.place or row.site or "",
                service=row.service or "",
                zone=row.timezone or "",
                carries=row.service or "",
            )
    pairs = [(key.customer_id, key.id) for key in keys if key.kind == "service"]
    customer_names = await _names(conn, customers, {customer_id for customer_id, _ in pairs})
    service_names = await _names(conn, services, {service_id for _, service_id in pairs})
    for customer_id, service_id in pairs:
        found[ThingKey("service", service_id, customer_id)] = ThingWords(
            customer=customer_names.get(customer_id, customer_id),
            label=service_names.get(service_id, service_id),
            place="",
            service="",
            zone="",
            carries=service_names.get(service_id, service_id),
        )
    return found


async def customer_names(conn: AsyncConnection, customer_ids: Iterable[str]) -> dict[str, str]:
    return await _names(conn, customers, set(customer_ids))


async def _names(conn: AsyncConnection, table: Any, ids: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in chunks(ids):
        rows = await conn.execute(select(table.c.id, table.c.name).where(among(table.c.id, part)))
        found.update((row.id, row.name or row.id) for row in rows)
    return found


def _circuits() -> Select[Any]:
    return (
        select(circuits.c.id, circuits.c.customer_id, circuits.c.need_id, circuits.c.service_id, circuits.c.site_id)
        .join(customers, customers.c.id == circuits.c.customer_id)
        .where(circuits.c.status == ACTIVE, customers.c.status == ACTIVE)
    )


def _subscriptions() -> Select[Any]:
    return (
        select(subscriptions.c.service_id, subscriptions.c.customer_id)
        .join(customers, customers.c.id == subscriptions.c.customer_id)
        .where(subscriptions.c.status == ACTIVE, customers.c.status == ACTIVE)
    )
