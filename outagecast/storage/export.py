"""The inventory as the rows of its seven files: what `outagecast import` reads back."""

import json
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.facts import from_micros
from outagecast.domain.inventory import COLUMNS, STATUS, Column, InventoryKind, Keeping, keys
from outagecast.storage.plain_sql import run

_PAGE = 5_000
_FLAGS = ("gateway", "public")
_JOINED = {
    Keeping.NEED: ("needs", "text"),
    Keeping.EMAIL: ("addresses", "value"),
    Keeping.PHONE: ("addresses", "value"),
}


async def attribute_names(conn: AsyncConnection, kind: InventoryKind) -> list[str]:
    """The attributes that any row has: the file's extra columns. Those that are called like a column are left out."""
    if kind is InventoryKind.SUBSCRIPTIONS:
        return []
    query = f"SELECT DISTINCT member.key FROM {kind} AS t, KEYS(t.attributes) WHERE {_kept(kind)} ORDER BY member.key"
    rows = await run(conn, query)
    taken = {column.name.casefold() for column in COLUMNS[kind]}
    return [name for name in rows.scalars() if name.casefold() not in taken]


async def count(conn: AsyncConnection, kind: InventoryKind) -> int:
    """How many rows `inventory_rows` gives."""
    return int((await run(conn, f"SELECT count(*) FROM {kind} AS t WHERE {_kept(kind)}")).scalar_one())


async def inventory_rows(
    conn: AsyncConnection, kind: InventoryKind, extra: list[str]
) -> AsyncIterator[list[list[str]]]:
    """The rows in pages, each the cells of the kind's COLUMNS and then of the attributes named in `extra`.

    Kinds whose file has no status give only what has not ended: whatever such a file names is active.
    """
    sql = _query(kind)
    last: tuple[Any, ...] = ("",) * len(keys(kind))
    while page := (await run(conn, sql, last)).all():
        yield [_cells(kind, row, extra) for row in page]
        last = tuple(page[-1][place] for place, c in enumerate(COLUMNS[kind]) if c.name in keys(kind))


def _query(kind: InventoryKind) -> str:
    joins, values = [], []
    for column in COLUMNS[kind]:
        joined = _JOINED.get(column.keeping)
        if joined is None:
            values.append(f"t.{column.stored}")
            continue
        table, value = joined
        joins.append(f"LEFT JOIN {table} AS {column.name}_ ON {column.name}_.id = t.{column.stored}")
        values.append(f"{column.name}_.{value}")
    attributes = "NULL" if kind is InventoryKind.SUBSCRIPTIONS else "CAST(t.attributes AS TEXT)"
    key = ", ".join(f"t.{name}" for name in keys(kind))
    marks = ", ".join("?" for _ in keys(kind))
    return (
        f"SELECT {', '.join(values)}, {attributes} FROM {kind} AS t {' '.join(joins)} "
        f"WHERE ({key}) > ({marks}) AND {_kept(kind)} ORDER BY {key} LIMIT {_PAGE}"
    )


def _kept(kind: InventoryKind) -> str:
    return "true" if STATUS in COLUMNS[kind] else "t.status <> 'ended'"


def _cells(kind: InventoryKind, row: Any, extra: list[str]) -> list[str]:
    cells = [_cell(column, value) for column, value in zip(COLUMNS[kind], row, strict=False)]
    if extra:
        attributes = json.loads(row[-1] or "{}") or {}
        cells += [_attribute(attributes.get(name)) for name in extra]
    return cells


def _cell(column: Column, value: Any) -> str:
    if value is None:
        return ""
    if column.name == "consent_at":
        return from_micros(int(value)).isoformat()
    if column.name in _FLAGS:
        return "yes" if value else "no"
    return str(value)


def _attribute(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
