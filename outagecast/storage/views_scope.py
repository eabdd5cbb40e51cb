"""What a declaration names: bare ids whose kind is to be recognised. (By words: views_search.py.)"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.storage import inventory
from outagecast.storage.tables import circuits, customers, elements, services, sites


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One thing of the inventory. `detail` says what it is: an element's kind, a circuit's customer."""

    kind: str
    id: str
    name: str
    detail: str


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


async def nearest(conn: AsyncConnection, wrong: str, kind: str | None = None) -> list[Found]:
    """At most two things whose ids are like one that does not exist."""
    kinds = [kind] if kind else ["element", "site", "service", "circuit", "customer"]
    meant = {each: await inventory.did_you_mean(conn, each, wrong) for each in kinds}
    found = [Found(kind=each, id=near, name="", detail="") for each, near in meant.items() if near]
    found.sort(key=lambda thing: -difflib.SequenceMatcher(None, wrong.upper(), thing.id.upper()).ratio())
    return found[:2]
