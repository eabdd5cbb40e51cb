"""Reading the inventory: the network's rows, what exists under which id, and single things as the API shows them."""

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Column, ColumnElement, Table, func, or_, select, update
from sqlalchemy import exists as there_is
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.inventory import COLUMNS, InventoryKind, Keeping
from outagecast.domain.needs import ThingKind, parse_needs, refs, split_ref
from outagecast.domain.network import ElementRow, PinnedCircuitRow, ServiceRow
from outagecast.domain.suppression import SuppressReason
from outagecast.storage.batches import chunks
from outagecast.storage.tables import (
    addresses,
    circuits,
    contacts,
    customers,
    elements,
    meta,
    needs,
    services,
    sites,
    subscriptions,
)

TABLES: dict[str, Table] = {
    table.name: table for table in (sites, elements, services, customers, contacts, circuits, subscriptions)
}
Thing: TypeAlias = dict[str, Any]
_VERSION = "inventory_version"
_CANDIDATES = 300
"""Ids looked at for one "did you mean"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkRows:
    """What `Network.build` reads. `needs` are those that circuits share."""

    elements: list[ElementRow]
    services: list[ServiceRow]
    needs: list[tuple[int, str]]
    pinned_circuits: list[PinnedCircuitRow]


async def inventory_version(conn: AsyncConnection) -> int:
    """A number that grows with every change of the inventory."""
    value = (await conn.execute(select(meta.c.value).where(meta.c.key == _VERSION))).scalar_one_or_none()
    return int(value or 0)


async def bump_version(conn: AsyncConnection) -> None:
    now = await inventory_version(conn) + 1
    statement = insert(meta).values(key=_VERSION, value=str(now))
    await conn.execute(statement.on_conflict_do_update(index_elements=[meta.c.key], set_={"value": str(now)}))


async def network_rows(conn: AsyncConnection) -> NetworkRows:
    """Everything of the network that has not ended, and the circuits that some need names."""
    e = elements.c
    element = select(e.id, e.kind, e.site_id, e.a, e.z, e.gateway, needs.c.text).join(
        needs, needs.c.id == e.need_id, isouter=True
    )
    service = select(services.c.id, needs.c.text).join(needs, needs.c.id == services.c.need_id, isouter=True)
    shared = select(needs.c.id, needs.c.text).where(there_is().where(circuits.c.need_id == needs.c.id))
    return NetworkRows(
        elements=[
            ElementRow(id=id, kind=kind, site=site, a=a, z=z, gateway=gateway, need=need)
            for id, kind, site, a, z, gateway, need in await conn.execute(element.where(e.status != "ended"))
        ],
        services=[
            ServiceRow(id=id, need=need) for id, need in await conn.execute(service.where(services.c.status != "ended"))
        ],
        needs=[(number, need) for number, need in await conn.execute(shared)],
        pinned_circuits=await _pinned(conn),
    )


async def exists(conn: AsyncConnection, kind: str, ids: Iterable[str]) -> set[str]:
    """Those of some ids that are known, ended ones too. `kind`: a word of scopes (`element`, `area` …) or `contact`."""
    column = _named(kind)
    known: set[str] = set()
    for piece in chunks(ids):
        known.update((await conn.execute(select(column).where(column.in_(piece)))).scalars())
    return known


async def did_you_mean(conn: AsyncConnection, kind: str, wrong: str) -> str | None:
    """The id most like one that does not exist, None if none is near: the same in another case, or beginning alike."""
    column = _named(kind)
    if kind != "circuit":  # no index serves this, and circuits number millions
        same = await conn.execute(select(column).where(func.lower(column) == wrong.lower()).limit(1))
        if (found := same.scalar_one_or_none()) is not None:
            return str(found)
    for length in (max(3, len(wrong) // 2), 2, 1):
        start = wrong[:length]
        near = select(column).where(_between(column, start)).distinct().order_by(column).limit(_CANDIDATES)
        ids: list[str] = list((await conn.execute(near)).scalars())
        close = difflib.get_close_matches(wrong, ids, n=1, cutoff=0.7)
        if close:
            return close[0]
    return None


async def find(conn: AsyncConnection, kind: str, thing_id: str) -> Thing | None:
    """One thing as the API shows it, under the names of the files' columns; None if there is none."""
    inventory_kind = InventoryKind(f"{kind}s")
    table = TABLES[inventory_kind]
    row = (await conn.execute(select(table).where(table.c.id == thing_id))).mappings().first()
    if row is None:
        return None
    thing: Thing = {}
    for column in COLUMNS[inventory_kind]:
        match column.keeping:
            case Keeping.NEED:
                thing[column.name] = await _text_of(conn, row[column.stored])
            case Keeping.EMAIL | Keeping.PHONE:
                pass
            case Keeping.TEXT | Keeping.OPTIONAL | Keeping.NUMBER:
                thing[column.name] = row[column.stored]
    if kind == "contact":
        del thing["consent_at"], thing["consent_source"]
        thing["addresses"] = await _addresses(conn, row)
    return thing | {"status": row["status"], "attributes": row["attributes"] or {}}


async def sites_of_area(conn: AsyncConnection, area: str) -> list[str]:
    rows = await conn.execute(select(sites.c.id).where(sites.c.area == area, sites.c.status != "ended"))
    return list(rows.scalars())


async def address_ids(conn: AsyncConnection, *, contact_id: str = "", customer_id: str = "") -> set[int]:
    """The addresses of one contact, or of all contacts of one customer."""
    mine = contacts.c.id == contact_id if contact_id else contacts.c.customer_id == customer_id
    rows = await conn.execute(select(contacts.c.email_id, contacts.c.phone_id).where(mine))
    return {number for row in rows for number in row if number is not None}


async def refresh_shared(conn: AsyncConnection, only: Collection[int] | None = None) -> None:
    """Reckon anew which addresses (`only` some) serve more than five customers without a common parent: rule 10."""
    some = "" if only is None else f"id IN ({', '.join(str(int(number)) for number in only) or 'NULL'}) AND "
    held = "" if only is None else f"WHERE address_id IN ({', '.join(str(int(number)) for number in only) or 'NULL'})"
    await conn.exec_driver_sql(
        f"""
        WITH held AS (
            SELECT email_id AS address_id, customer_id FROM contacts WHERE status <> 'ended' AND email_id IS NOT NULL
            UNION SELECT phone_id, customer_id FROM contacts WHERE status <> 'ended' AND phone_id IS NOT NULL
        ), strangers AS MATERIALIZED (
            SELECT address_id FROM (SELECT * FROM held {held}) AS h JOIN customers AS c ON c.id = customer_id
             WHERE c.status <> 'ended'
             GROUP BY address_id HAVING count(*) > 5 AND count(DISTINCT coalesce(c.parent_id, c.id)) > 1
        )
        UPDATE addresses SET shared = NOT shared
         WHERE {some} shared <> (id IN (SELECT address_id FROM strangers))
        """
    )


async def set_status(conn: AsyncConnection, kind: InventoryKind, thing_id: str, status: str) -> None:
    table = TABLES[kind]
    await conn.execute(update(table).where(table.c.id == thing_id).values(status=status))


async def suppress(
    conn: AsyncConnection, *, channel: str, value: str, reason: SuppressReason, by: str, now: datetime
) -> bool:
    """Write to an address no more; False if that is so already. A reason that stands is never replaced here."""
    a = addresses.c
    found = await conn.execute(
        update(addresses)
        .where(a.channel == channel, a.value == value, a.suppressed.is_(None))
        .values(suppressed=reason.value, suppressed_at=now, suppressed_by=by)
    )
    return found.rowcount == 1


async def unusable(conn: AsyncConnection, of: Collection[int]) -> dict[int, str]:
    """Why some addresses may not be written to: the SuppressReason, or `shared_address`."""
    held = addresses.c.shared & addresses.c.confirmed_by.is_(None)
    query = select(addresses.c.id, func.coalesce(addresses.c.suppressed, "shared_address")).where(
        addresses.c.id.in_(of), or_(addresses.c.suppressed.is_not(None), held)
    )
    return {number: reason for number, reason in await conn.execute(query)}


def _named(kind: str) -> Column[Any]:
    if kind == "area":
        return sites.c.area
    return TABLES[InventoryKind(f"{kind}s")].c.id


def _between(column: Column[Any], start: str) -> ColumnElement[bool]:
    """Begins with `start`, as a range that an index serves (LIKE folds case and does not use it)."""
    return (column >= start) & (column < start + "\U0010ffff")


async def _text_of(conn: AsyncConnection, need_id: int | None) -> str:
    if need_id is None:
        return ""
    return str((await conn.execute(select(needs.c.text).where(needs.c.id == need_id))).scalar_one())


async def _addresses(conn: AsyncConnection, row: Any) -> list[Thing]:
    numbers = [number for number in (row["email_id"], row["phone_id"]) if number is not None]
    against = await unusable(conn, numbers)
    found = await conn.execute(
        select(addresses.c.id, addresses.c.channel, addresses.c.value)
        .where(addresses.c.id.in_(numbers))
        .order_by(addresses.c.channel)
    )
    return [
        {
            "id": number,
            "channel": channel,
            "to": value,
            "consent_at": row["consent_at"],
            "consent_source": row["consent_source"],
            "state": against.get(number, "active"),
        }
        for number, channel, value in found
    ]


async def _pinned(conn: AsyncConnection) -> list[PinnedCircuitRow]:
    texts = await conn.execute(select(needs.c.text).where(needs.c.text.contains("circuit:", autoescape=True)))
    named = {split_ref(ref) for text in texts.scalars() for ref in refs(parse_needs(text))}
    rows: list[PinnedCircuitRow] = []
    query = select(circuits.c.id, circuits.c.customer_id, circuits.c.service_id, circuits.c.site_id, needs.c.text).join(
        needs, needs.c.id == circuits.c.need_id, isouter=True
    )
    for piece in chunks(sorted(thing_id for kind, thing_id in named if kind is ThingKind.CIRCUIT)):
        found = await conn.execute(query.where(circuits.c.id.in_(piece), circuits.c.status != "ended"))
        rows += [
            PinnedCircuitRow(id=id, customer_id=customer, service_id=service, site=site, need=need)
            for id, customer, service, site, need in found
        ]
    return rows
