"""SQL written by hand, the same for both databases: what they spell differently stands here and nowhere else.

Queries have `?` for a value, as SQLite counts them, and these words of ours:

- `IS DISTINCT FROM` (SQLite knows it since 3.39 only)
- `JSON_TEXT(column, key)`, `JSON_NUMBER(column, key)`, `JSON_FLAG(column, key)`: a member of a stored object, or NULL
- `JSON_PART(value, place)`: the text at a place of a list
- `EACH(?)`: in FROM, the members of a list handed in as JSON, as the texts `value`
- `KEYS(column)`: in FROM, the keys of a stored object, as `member.key`
- `AS_JSON(column)`: a stored JSON value that can be compared; NULL for a stored null
- `MERGED(column, patch)`: a flat object after a merge patch (RFC 7396), NULL where nothing is left
- `CELL`, `NUMBERED`, `WITHOUT ROWID`: in CREATE TABLE; a cell of a staged row, its number, a table that is its index
"""

import asyncio
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import CursorResult
from sqlalchemy.ext.asyncio import AsyncConnection

_POSTGRESQL = "postgresql"
_COPY_FROM = 50
"""Rows from which on COPY is worth its own round trips."""
_KEY = r"\(([\w.]+), (\w+)\)"
_SPELLINGS = tuple(
    (re.compile(pattern), sqlite, postgres)
    for pattern, sqlite, postgres in (
        (r"\bIS DISTINCT FROM\b", "IS NOT", "IS DISTINCT FROM"),
        (rf"\bJSON_TEXT{_KEY}", r"json_extract(\1, '$.\2')", r"(\1 ->> '\2')"),
        (rf"\bJSON_NUMBER{_KEY}", r"json_extract(\1, '$.\2')", r"CAST(\1 ->> '\2' AS bigint)"),
        (rf"\bJSON_FLAG{_KEY}", r"json_extract(\1, '$.\2')", r"CAST(\1 ->> '\2' AS boolean)"),
        (rf"\bJSON_PART{_KEY}", r"json_extract(\1, '$[\2]')", r"(CAST(\1 AS json) ->> \2)"),
        (r"\bEACH\((\?|:\w+)\)", r"json_each(\1)", r"json_array_elements_text(CAST(\1 AS json))"),
        (
            r"\bKEYS\(([\w.]+)\)",
            r"json_each(coalesce(nullif(\1, 'null'), '{}')) AS member",
            r"json_object_keys(CASE json_typeof(\1) WHEN 'object' THEN \1 ELSE '{}' END) AS member (key)",
        ),
        (r"\bAS_JSON\(([\w.]+)\)", r"nullif(\1, 'null')", r"nullif(CAST(\1 AS jsonb), 'null')"),
        (
            r"\bMERGED\(([\w.]+), ([\w.]+)\)",
            r"nullif(json_patch(coalesce(nullif(\1, 'null'), '{}'), \2), '{}')",
            r"nullif(jsonb_strip_nulls(coalesce(nullif(CAST(\1 AS jsonb), 'null'), '{}') || CAST(\2 AS jsonb)), '{}')",
        ),
        # SQLite's cells keep the type of their value: a number as text would lose its last digits.
        (r"\bCELL\b", "", "text"),
        (r"\bNUMBERED\b", "INTEGER PRIMARY KEY", "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
        (r"\bWITHOUT ROWID\b", "WITHOUT ROWID", ""),
    )
)
_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
"""What COPY's text format reads as something else."""


def is_postgresql(conn: Any) -> bool:
    return bool(conn.dialect.name == _POSTGRESQL)


def words_of(sql: str, conn: Any) -> str:
    """The query in the words of the connection's database; its values stay as they are named (`:now`)."""
    return _in_words(sql, is_postgresql(conn))


def spelled(sql: str, conn: Any) -> str:
    """The query as the connection's driver takes it, with its own mark for `?`."""
    return _spelled(sql, is_postgresql(conn))


async def run(conn: AsyncConnection, sql: str, values: Sequence[Any] = ()) -> CursorResult[Any]:
    return await conn.exec_driver_sql(spelled(sql, conn), tuple(values))


async def fill(
    conn: AsyncConnection, table: str, columns: Iterable[str], rows: Sequence[Sequence[Any]], *, once: bool = False
) -> None:
    """Put rows of plain values into a table: many by COPY where there is such a thing. `once`: texts only, and those
    that are there already are left out.
    """
    into = f"{table} ({', '.join(columns)})"
    if not rows:
        return
    if is_postgresql(conn) and once:
        lists = ", ".join("CAST(? AS text[])" for _ in rows[0])
        values = [list(column) for column in zip(*rows, strict=True)]
        await run(conn, f"INSERT INTO {into} SELECT * FROM unnest({lists}) ON CONFLICT DO NOTHING", values)
    elif is_postgresql(conn) and len(rows) >= _COPY_FROM:
        await _copy(conn, into, rows)
    else:
        marks = ", ".join("?" for _ in rows[0])
        also = " ON CONFLICT DO NOTHING" if once else ""
        await conn.exec_driver_sql(spelled(f"INSERT INTO {into} VALUES ({marks}){also}", conn), list(map(tuple, rows)))


async def _copy(conn: AsyncConnection, into: str, rows: Sequence[Sequence[Any]]) -> None:
    raw: Any = (await conn.get_raw_connection()).driver_connection
    lines = await asyncio.to_thread(_lines, rows)
    async with raw.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN") as copy:
        await copy.write(lines)


def _lines(rows: Sequence[Sequence[Any]]) -> str:
    return "".join("\t".join(map(_cell, row)) + "\n" for row in rows)


def _cell(value: Any) -> str:
    if value is None:
        return "\\N"
    return value.translate(_ESCAPED) if type(value) is str else str(value)


@lru_cache(maxsize=512)
def _in_words(sql: str, postgresql: bool) -> str:
    for pattern, sqlite, postgres in _SPELLINGS:
        sql = pattern.sub(postgres if postgresql else sqlite, sql)
    return sql


@lru_cache(maxsize=512)
def _spelled(sql: str, postgresql: bool) -> str:
    words = _in_words(sql, postgresql)
    return words.replace("%", "%%").replace("?", "%s") if postgresql else words
