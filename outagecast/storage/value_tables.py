"""One statement for many rows that change each in its own way.

For the few statements that every message passes, past SQLAlchemy, whose way costs more than ten rows do. On PostgreSQL
the rows come as one JSON parameter, which is read as a table: one text and one plan for any number of rows, where a
parameter for each value cost three times as much on either side. On SQLite the statement is run row by row, which costs
no way over a network there: its UPDATE … FROM first copies what it changes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Boolean, ClauseElement, Dialect, Integer, bindparam, text
from sqlalchemy import column as column_clause
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from outagecast.storage.threads import ThreadConnection
from outagecast.storage.types import compact

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
    if not rows:
        return 0
    if conn.dialect.name == "postgresql":
        words = _for_all(many, conn.dialect)
        given: Any = words.arrange_all(rows, constants or {})
    else:
        words = _row_by_row(many, conn.dialect)
        given = words.arrange_each(rows, constants or {})
    if not isinstance(conn, ThreadConnection):
        return (await conn.exec_driver_sql(words.sql, given)).rowcount
    driver: Any = conn.sync.connection.dbapi_connection
    execute = driver.execute if conn.dialect.name == "postgresql" else driver.executemany
    errors = conn.dialect.loaded_dbapi.Error
    try:
        return int(execute(words.sql, given).rowcount)
    except errors as fault:
        raise DBAPIError.instance(None, None, fault, errors, hide_parameters=True, dialect=conn.dialect) from fault


@dataclass(frozen=True, kw_only=True, slots=True)
class _Words:
    """`names` are those of the rows' values in their order, `order` those of all parameters where the driver counts
    them; `own` are values that the statement itself brings.
    """

    sql: str
    names: tuple[str, ...]
    order: tuple[str, ...] | None
    own: Mapping[str, Any]

    def arrange_all(self, rows: Sequence[tuple[Any, ...]], fixed: Mapping[str, Any]) -> Mapping[str, Any]:
        """For a text about all rows at once."""
        return {**self.own, **fixed, _NAME: compact([dict(zip(self.names, row, strict=True)) for row in rows])}

    def arrange_each(self, rows: Sequence[tuple[Any, ...]], fixed: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        """For a text about one row, whose parameters are counted: the values of each."""
        assert self.order is not None
        own = {**self.own, **fixed}
        rest = tuple([own[name] for name in own])
        places = {name: place for place, name in enumerate((*self.names, *own))}
        pick = itemgetter(*[places[name] for name in self.order])
        return [pick(row + rest) for row in rows]


@lru_cache(maxsize=64)
def _for_all(many: ForMany, dialect: Dialect) -> _Words:
    kinds = ", ".join(f'"{name}" {_kind(kind)}' for name, kind in many.columns.items())
    source = text(f"SELECT * FROM json_to_recordset(CAST(:{_NAME} AS json)) AS {_NAME} ({kinds})")
    table = source.columns(*[column_clause(name, kind) for name, kind in many.columns.items()]).cte(_NAME)
    return _compiled(many.make(table), tuple(many.columns), dialect)


def _kind(kind: TypeEngine[Any]) -> str:
    return "boolean" if isinstance(kind, Boolean) else "bigint" if isinstance(kind, Integer) else "text"


@lru_cache(maxsize=64)
def _row_by_row(many: ForMany, dialect: Dialect) -> _Words:
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


def _compiled(statement: ClauseElement, names: tuple[str, ...], dialect: Dialect) -> _Words:
    compiled: Any = statement.compile(dialect=dialect)
    order = tuple(compiled.positiontup) if compiled.positional else None
    own = {name: value for name, value in compiled.params.items() if name not in set(names)}
    return _Words(sql=str(compiled), names=names, order=order, own=own)
