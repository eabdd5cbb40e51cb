"""Rows into a table, as many as there are, at what the database itself costs."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.storage.driver import COPY_FROM
from outagecast.storage.postgresql import can_copy, copy_into, driver_connection


async def insert_rows(
    conn: AsyncConnection, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert rows whose values are plain and in the columns' order: texts, numbers, None, JSON as text, times as
    microseconds.
    """
    if not rows:
        return
    if len(rows) >= COPY_FROM and can_copy(conn):
        copy_into(driver_connection(conn), table.name, columns, rows)
        return
    await conn.exec_driver_sql(_insert(table.name, columns, conn.dialect.paramstyle), list(rows))


@lru_cache(maxsize=64)
def _insert(table: str, columns: tuple[str, ...], paramstyle: str) -> str:
    mark = "?" if paramstyle == "qmark" else "%s"
    names = ", ".join(f'"{name}"' for name in columns)
    return f'INSERT INTO "{table}" ({names}) VALUES ({", ".join([mark] * len(columns))})'
