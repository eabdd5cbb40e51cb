"""Writing phrases and outage templates down."""

from dataclasses import asdict
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Table, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.phrases import OutageTemplate, Phrase
from outagecast.storage.tables import outage_templates, phrases


class Kind(StrEnum):
    PHRASE = "phrase"
    TEMPLATE = "template"


def kind_of(thing: Phrase | OutageTemplate) -> Kind:
    return Kind.PHRASE if isinstance(thing, Phrase) else Kind.TEMPLATE


async def names(conn: AsyncConnection, kind: Kind, *, but: int | None) -> list[str]:
    """The names there are, that of row `but` left out."""
    table = _table(kind)
    query = select(table.c.name)
    return list((await conn.execute(query if but is None else query.where(table.c.id != but))).scalars())


async def add(conn: AsyncConnection, thing: Phrase | OutageTemplate, by: str, now: datetime) -> int:
    table = _table(kind_of(thing))
    values = asdict(thing) | {"changed_at": now, "changed_by": by}
    if not thing.position:  # a new one stands last
        last = (await conn.execute(select(func.coalesce(func.max(table.c.position), 0)))).scalar_one()
        values["position"] = int(last) + 10
    statement = insert(table).values(**values).returning(table.c.id)
    return int((await conn.execute(statement)).scalar_one())


async def change(conn: AsyncConnection, id: int, thing: Phrase | OutageTemplate, by: str, now: datetime) -> bool:
    """Its place stays unless it names one; False if there is none of this number."""
    table = _table(kind_of(thing))
    values = asdict(thing) | {"changed_at": now, "changed_by": by}
    if not thing.position:
        del values["position"]
    return (await conn.execute(update(table).where(table.c.id == id).values(**values))).rowcount == 1


async def remove(conn: AsyncConnection, kind: Kind, id: int) -> str | None:
    """The name it had; None if there is none of this number."""
    table = _table(kind)
    name: str | None = (await conn.execute(delete(table).where(table.c.id == id).returning(table.c.name))).scalar()
    return name


def _table(kind: Kind) -> Table:
    match kind:
        case Kind.PHRASE:
            return phrases
        case Kind.TEMPLATE:
            return outage_templates
