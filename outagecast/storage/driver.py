"""The same statement for many rows, handed to the driver as it wants them.

For the few statements that every message passes: SQLAlchemy's own way through `execute` costs more per row than the
row.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import ClauseElement, Dialect, Insert, select
from sqlalchemy import column as column_clause
from sqlalchemy import table as table_clause
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.facts import to_micros
from outagecast.storage.postgresql import DIALECT, can_copy, copy_into, driver_connection

COPY_FROM = 200
"""Rows from which on PostgreSQL's COPY is worth its own round trips."""


async def execute_many(
    conn: AsyncConnection,
    statement: ClauseElement,
    rows: Sequence[Mapping[str, Any]],
    columns: tuple[str, ...] | None = None,
) -> None:
    """Run a statement with bound names for each row. Values are plain: texts, numbers, flags, None, and times, which
    become what UtcTime makes of them. `columns`: those that an INSERT without values of its own takes from the rows.
    """
    if not rows:
        return
    if len(rows) >= COPY_FROM and columns is not None and isinstance(statement, Insert) and can_copy(conn):
        await _copy(conn, statement, rows, columns)
        return
    sql, order, constants = _compiled(statement, conn.dialect, columns)
    times = _Times()
    many: list[Any]
    if order is None:
        many = [{**constants, **{name: times.plain(value) for name, value in row.items()}} for row in rows]
    elif all(name in rows[0] for name in order):
        many = [tuple([times.plain(row[name]) for name in order]) for row in rows]
    else:
        many = [tuple([times.plain(row[name]) if name in row else constants[name] for name in order]) for row in rows]
    await conn.exec_driver_sql(sql, many)


async def _copy(
    conn: AsyncConnection, statement: Insert, rows: Sequence[Mapping[str, Any]], columns: tuple[str, ...]
) -> None:
    """The rows of an INSERT by COPY; those of an upsert into a staging table first, the last of a key wins."""
    table, times = statement.table, _Times()
    values = ([times.plain(row[name]) for name in columns] for row in rows)
    raw = driver_connection(conn)
    if statement._post_values_clause is None:
        copy_into(raw, table.name, columns, values)
        return
    staged = f"staged_{table.name}"
    await conn.exec_driver_sql(
        f'CREATE TEMP TABLE IF NOT EXISTS "{staged}" (LIKE "{table.name}" INCLUDING DEFAULTS, staged_as bigserial) '
        "ON COMMIT DELETE ROWS"
    )
    copy_into(raw, staged, columns, values)
    await conn.exec_driver_sql(_from_staged(statement, staged, columns))
    await conn.exec_driver_sql(f'DELETE FROM "{staged}"')


@lru_cache(maxsize=16)
def _from_staged(statement: Insert, staged: str, columns: tuple[str, ...]) -> str:
    key = [column.name for column in statement.table.primary_key]
    source = table_clause(staged, *(column_clause(name) for name in (*columns, "staged_as")))
    newest = select(*(source.c[name] for name in columns)).distinct(*(source.c[name] for name in key))
    newest = newest.order_by(*(source.c[name] for name in key), source.c.staged_as.desc())
    return str(statement.from_select(list(columns), newest).compile(dialect=DIALECT))


class _Times:
    """Times as UtcTime keeps them. A wave says the same few moments thousands of times."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}

    def plain(self, value: Any) -> Any:
        if type(value) is not datetime:
            return value
        # By identity: the rows hold their moments as long as this lives, and hashing one costs more than all the rest.
        known = self._known.get(id(value))
        if known is None:
            known = self._known[id(value)] = to_micros(value)
        return known


async def execute_once(
    conn: AsyncConnection, statement: ClauseElement, values: Mapping[str, Any]
) -> Sequence[tuple[Any, ...]]:
    """Run a statement with bound names once; its rows as the driver gives them, times still numbers."""
    sql, order, constants = _compiled(statement, conn.dialect)
    times = _Times()
    plain = {**constants, **{name: times.plain(value) for name, value in values.items()}}
    given: Any = plain if order is None else tuple([plain[name] for name in order])
    found: Any = await conn.exec_driver_sql(sql, given)
    return [tuple(row) for row in found]


@lru_cache(maxsize=64)
def _compiled(
    statement: ClauseElement, dialect: Dialect, columns: tuple[str, ...] | None = None
) -> tuple[str, tuple[str, ...] | None, dict[str, Any]]:
    """The text, the order of its parameters where the driver counts them, and the values that are no parameters of
    ours.
    """
    more: dict[str, Any] = {} if columns is None else {"column_keys": list(columns)}
    compiled: Any = statement.compile(dialect=dialect, **more)
    order = tuple(compiled.positiontup) if compiled.positional else None
    return str(compiled), order, dict(compiled.params)
