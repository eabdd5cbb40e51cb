"""Finding what a declaration names: by the words a person types, and by bare ids whose kind is to be recognised."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.storage.tables import circuits, customers, elements, services, sites


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One thing of the inventory. `detail` says what it is: an element's kind, a circuit's customer."""

    kind: str
    id: str
    name: str
    detail: str


async def search(conn: AsyncConnection, words: str, *, limit: int = 20) -> list[Found]:
    """Things whose id begins with the words, or whose name holds them; elements first, then sites, areas, services …

    Circuits are found by id or by the beginning of their label: there may be a million of them.
    """
    words = words.strip()
    if not words:
        return []
    queries = [
        _named(elements, "element", elements.c.kind, words),
        _named(sites, "site", sites.c.area, words),
        select(literal("area"), sites.c.area, sites.c.area, literal(""))
        .where(_holds(sites.c.area, words))
        .distinct()
        .order_by(sites.c.area),
        _named(services, "service", literal(""), words),
        _named(customers, "customer", customers.c.status, words),
        select(literal("circuit"), circuits.c.id, circuits.c.label, customers.c.name)
        .join(customers, customers.c.id == circuits.c.customer_id)
        .where(_starts(circuits.c.id, words), circuits.c.status != "ended")
        .order_by(circuits.c.id),
    ]
    found: list[Found] = []
    for query in queries:
        if len(found) >= limit:
            break
        rows = await conn.execute(query.limit(limit - len(found)))
        found += [Found(kind=kind, id=id, name=name or "", detail=detail or "") for kind, id, name, detail in rows]
    return found


async def recognise(conn: AsyncConnection, ids: Sequence[str]) -> dict[str, list[Found]]:
    """What each id may stand for: none, one, or several things of different kinds."""
    if not ids:
        return {}
    wanted = list(dict.fromkeys(ids))
    query = union_all(
        select(literal("element"), elements.c.id, elements.c.name, elements.c.kind).where(elements.c.id.in_(wanted)),
        select(literal("site"), sites.c.id, sites.c.name, sites.c.area).where(sites.c.id.in_(wanted)),
        select(literal("area"), sites.c.area, sites.c.area, literal("")).where(sites.c.area.in_(wanted)).distinct(),
        select(literal("service"), services.c.id, services.c.name, literal("")).where(services.c.id.in_(wanted)),
        select(literal("customer"), customers.c.id, customers.c.name, literal("")).where(customers.c.id.in_(wanted)),
        select(literal("circuit"), circuits.c.id, circuits.c.label, circuits.c.customer_id).where(
            circuits.c.id.in_(wanted)
        ),
    )
    out: dict[str, list[Found]] = {id: [] for id in wanted}
    for kind, id, name, detail in await conn.execute(query):
        out[id].append(Found(kind=kind, id=id, name=name or "", detail=detail or ""))
    return out


async def inventory_size(conn: AsyncConnection) -> dict[str, int]:
    """How many customers and elements there are: a desk without any says how to import them."""
    return {
        table.name: (await conn.execute(select(func.count()).select_from(table))).scalar_one()
        for table in (customers, elements)
    }


def _named(table: Any, kind: str, detail: ColumnElement[str], words: str) -> Select[Any]:
    return (
        select(literal(kind), table.c.id, table.c.name, detail)
        .where(or_(_holds(table.c.id, words), _holds(table.c.name, words)), table.c.status != "ended")
        .order_by(~_holds_start(table.c.id, words), table.c.id)
    )


def _holds(column: Any, words: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = column.icontains(words, autoescape=True)
    return found


def _holds_start(column: Any, words: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = column.istartswith(words, autoescape=True)
    return found


def _starts(column: Any, words: str) -> ColumnElement[bool]:
    """As a range of the key, which an index answers; ids are looked for as typed and in capitals."""
    return or_(*(column.between(text, text + "\U0010ffff") for text in dict.fromkeys((words, words.upper()))))
