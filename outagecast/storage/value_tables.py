"""One statement for many rows that change each in its own way: the rows come as a table of values.

For the few statements that every message passes. On SQLite they are run row by row, which costs no way over a network
there: its UPDATE … FROM first copies what it changes.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import ClauseElement, Dialect, bindparam, column, values
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from outagecast.storage.threads import ThreadConnection

PART = 16
"""Rows that one execution takes at most: there is a text for each number of rows."""
_NAME = "given"


@dataclass(frozen=True, kw_only=True, eq=False)
class ForMany:
    """`make` gets the table of values, whose columns `c` are `columns`, and makes the statement.

    Values are handed over as the driver takes them: times are microseconds since 1970 (storage/types.py).
    """

    columns: Mapping[str, TypeEngine[Any]]
    make: Callable[[Any], ClauseElement]


async def run(
    conn: AsyncConnection, many: ForMany, rows: Sequence[tuple[Any, ...]], constants: Mapping[str, Any] | None = None
) -> int:
    """Run it for these rows, in their order; how many were changed. `constants`: bound names that are the same for
    all.
    """
    fixed = constants or {}
    if not rows:
        return 0
    if isinstance(conn, ThreadConnection) and conn.dialect.name == "sqlite":
        return _run_on_sqlite(conn, many, rows, fixed)
    changed = 0
    for start in range(0, len(rows), PART):
        part = rows[start : start + PART]
        text = _text(many, len(part), conn.dialect)
        changed += (await conn.exec_driver_sql(text.sql, text.arrange(part, fixed))).rowcount
    return changed


def _run_on_sqlite(
    conn: ThreadConnection, many: ForMany, rows: Sequence[tuple[Any, ...]], fixed: Mapping[str, Any]
) -> int:
    """Past SQLAlchemy, whose way costs more than ten rows do."""
    driver: Any = conn.sync.connection.driver_connection
    text = _row_by_row(many, conn.dialect)
    try:
        return int(driver.executemany(text.sql, text.arrange_each(rows, fixed)).rowcount)
    except sqlite3.Error as fault:
        raise DBAPIError.instance(
            None, None, fault, sqlite3.Error, hide_parameters=True, dialect=conn.dialect
        ) from fault


@dataclass(frozen=True, kw_only=True, slots=True)
class _Text:
    """`names` are those of the rows' values in their order, `order` those of all parameters where the driver counts
    them; `own` are values that the statement itself brings.
    """

    sql: str
    names: tuple[str, ...]
    order: tuple[str, ...] | None
    own: Mapping[str, Any]

    def arrange(self, rows: Sequence[tuple[Any, ...]], fixed: Mapping[str, Any]) -> Any:
        given = [value for row in rows for value in row]
        if self.order is None:
            return {**self.own, **fixed, **dict(zip(self.names, given, strict=True))}
        # The table of values stands first in the text.
        rest = self.order[len(self.names) :]
        return (*given, *[fixed[name] if name in fixed else self.own[name] for name in rest])

    def arrange_each(self, rows: Sequence[tuple[Any, ...]], fixed: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        """For a text about one row, whose parameters are counted: the values of each."""
        assert self.order is not None
        own = {**self.own, **fixed}
        rest = tuple([own[name] for name in own])
        places = {name: place for place, name in enumerate((*self.names, *own))}
        pick = itemgetter(*[places[name] for name in self.order])
        return [pick(row + rest) for row in rows]


@lru_cache(maxsize=256)
def _text(many: ForMany, count: int, dialect: Dialect) -> _Text:
    names = [[f"given_{name}_{n}" for name in many.columns] for n in range(count)]
    kinds = list(many.columns.values())
    data = [tuple([bindparam(name, type_=kind) for name, kind in zip(row, kinds, strict=True)]) for row in names]
    table = values(*[column(name, kind) for name, kind in many.columns.items()], name=_NAME).data(data).cte(_NAME)
    text = _compiled(many.make(table), tuple([name for row in names for name in row]), dialect)
    assert text.order is None or text.order[: len(text.names)] == text.names, "the table of values comes first"
    return text


@lru_cache(maxsize=64)
def _row_by_row(many: ForMany, dialect: Dialect) -> _Text:
    given = _OneRow(many.columns)
    return _compiled(many.make(given), tuple([f"given_{name}" for name in many.columns]), dialect)


class _OneRow:
    """Looks like the table of values, and stands for a single row."""

    def __init__(self, columns: Mapping[str, TypeEngine[Any]]) -> None:
        self._columns = {name: bindparam(f"given_{name}", type_=kind) for name, kind in columns.items()}

    @property
    def c(self) -> "_OneRow":
        return self

    def __getattr__(self, name: str) -> Any:
        return self._columns[name]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._columns.values())


def _compiled(statement: ClauseElement, names: tuple[str, ...], dialect: Dialect) -> _Text:
    compiled: Any = statement.compile(dialect=dialect)
    order = tuple(compiled.positiontup) if compiled.positional else None
    own = {name: value for name, value in compiled.params.items() if name not in set(names)}
    return _Text(sql=str(compiled), names=names, order=order, own=own)
