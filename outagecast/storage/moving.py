"""A whole database copied into an empty one of the same or the other kind, and compared before it counts.

All of it is one transaction of the target, so that there is either a checked copy or none. What daemons wrote about
themselves stays behind.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol
from urllib.parse import quote

from sqlalchemy import JSON, Boolean, Column, Integer, Table, func, select, text
from sqlalchemy import Connection as SyncConnection

from outagecast.storage import postgresql
from outagecast.storage.engine import Connection, Database
from outagecast.storage.refused import DatabaseRefused
from outagecast.storage.tables import metadata
from outagecast.storage.threads import ThreadConnection

OWN = frozenset({"daemons", "rates", "route_states"})
"""Of the daemons that run on one database: nothing of it is true on another."""
AT_ONCE = 2000
Tell = Callable[[str, int, int], None]
"""(table, rows copied, rows in all): to be called often."""
_SUM = 1 << 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What a table holds, whatever its order: how many rows, and the sum of their hashes (SHA-256 each)."""

    rows: int
    sum: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Copied:
    """`tables`: rows by table, as they were counted in the source and found again in the target."""

    tables: Mapping[str, int]
    rows: int
    hash: str
    """One for all: the same for every database with this content."""


class Stopped(Exception):
    """What `tell` may raise to give up; nothing was changed then."""


async def copy(source: Database, target: Database, tell: Tell) -> Copied:
    """Fill `target`, which must be migrated and empty, with all that `source` holds. DatabaseRefused if it is not, if
    the schemas differ, or if what was written is not what was read.
    """
    for db, which in ((source, "the source"), (target, "the target")):
        if not await db.schema_is_current():
            raise DatabaseRefused(f"{which} has another schema than this program: run outagecast db upgrade on it")

    async def work(conn: Connection) -> Copied:
        assert isinstance(conn, ThreadConnection)
        return _copy(source, conn.sync, tell)

    return await target.transact(work)


async def is_empty(db: Database) -> bool:
    """Whether a migrated database holds nothing but what its first opening writes."""

    async def work(conn: Connection) -> bool:
        assert isinstance(conn, ThreadConnection)
        return _filled(conn.sync) is None

    return await db.transact(work)


def _copy(source: Database, target: SyncConnection, tell: Tell) -> Copied:
    filled = _filled(target)
    if filled is not None:
        raise DatabaseRefused(f"the target is not empty (there are rows in {filled}): name a new database")
    into = _into(target)
    # The secret that the target made for itself at its first opening would void every link that was sent.
    target.execute(metadata.tables["meta"].delete())
    total = hashlib.sha256()
    counted: dict[str, int] = {}
    with _reading(source) as reader:
        for table in _tables():
            read = _one(reader, into, table, tell)
            found = _content(into.rows(table), table)
            if read != found:
                raise DatabaseRefused(
                    f"{table.name}: {read.rows} rows were read and {found.rows} written, and they differ: "
                    "there is no copy"
                )
            counted[table.name] = read.rows
            total.update(f"{table.name} {read.rows} {read.sum:064x}\n".encode())
    into.end()
    return Copied(tables=counted, rows=sum(counted.values()), hash=total.hexdigest())


def _one(reader: "_Reader", into: "_Writer", table: Table, tell: Tell) -> Content:
    most, done, added = reader.count(table), 0, 0
    rows = reader.rows(table)
    tell(table.name, 0, most)
    while some := list(islice(rows, AT_ONCE)):
        into.write(table, some)
        read = _content(some, table)
        done, added = done + read.rows, (added + read.sum) % _SUM
        tell(table.name, done, most)
    return Content(rows=done, sum=added)


def _tables() -> list[Table]:
    """Those that others refer to first."""
    return [table for table in metadata.sorted_tables if table.name not in OWN]


def _filled(target: SyncConnection) -> str | None:
    for table in _tables():
        if table.name != "meta" and target.execute(select(text("1")).select_from(table).limit(1)).first() is not None:
            return table.name
    return None


def _content(rows: Iterable[Sequence[Any]], table: Table) -> Content:
    """Values as both databases mean them: flags as 0 and 1, JSON without its blanks and in one order."""
    documents = [n for n, column in enumerate(table.columns) if isinstance(column.type, JSON)]
    flags = [n for n, column in enumerate(table.columns) if isinstance(column.type, Boolean)]
    count = added = 0
    for row in rows:
        plain = list(row)
        for n in flags:
            plain[n] = None if plain[n] is None else int(plain[n])
        for n in documents:
            plain[n] = None if plain[n] is None else json.dumps(json.loads(plain[n]), sort_keys=True)
        count += 1
        added += int.from_bytes(hashlib.sha256(repr(plain).encode("utf-8", "surrogatepass")).digest())
    return Content(rows=count, sum=added % _SUM)


# --- the two kinds ---


class _Reader(Protocol):
    def count(self, table: Table) -> int: ...

    def rows(self, table: Table) -> Iterator[Sequence[Any]]:
        """JSON as text."""


class _Writer(Protocol):
    def write(self, table: Table, rows: Sequence[Sequence[Any]]) -> None: ...
    def rows(self, table: Table) -> Iterator[Sequence[Any]]: ...
    def end(self) -> None: ...


@contextmanager
def _reading(db: Database) -> Iterator[_Reader]:
    """One view of the source for the whole copy."""
    if db.is_postgresql:
        _, engine = postgresql.engines(db.address)
        try:
            with engine.connect().execution_options(isolation_level="REPEATABLE READ") as conn, conn.begin():
                yield _Postgres(conn)
        finally:
            engine.dispose()
    elif db.path is None:
        raise DatabaseRefused("a database in memory cannot be copied")
    else:
        address = f"file:{quote(str(db.path.absolute()))}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, isolation_level=None, timeout=30.0)) as raw:
            raw.execute("BEGIN")
            yield _Sqlite(raw)


def _into(target: SyncConnection) -> _Writer:
    if target.dialect.name == "postgresql":
        return _Postgres(target)
    return _Sqlite(target.connection.driver_connection)


class _Sqlite:
    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def count(self, table: Table) -> int:
        return int(self._raw.execute(f'SELECT count(*) FROM "{table.name}"').fetchone()[0])

    def rows(self, table: Table) -> Iterator[Sequence[Any]]:
        yield from self._raw.execute(f'SELECT {_names(table.columns)} FROM "{table.name}"')

    def write(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        marks = ", ".join("?" * len(table.columns))
        self._raw.executemany(f'INSERT INTO "{table.name}" ({_names(table.columns)}) VALUES ({marks})', rows)

    def end(self) -> None:
        broken = self._raw.execute("PRAGMA foreign_key_check").fetchone()
        if broken is not None:
            raise DatabaseRefused(f"a row of {broken[0]} refers to nothing: there is no copy")


class _Postgres:
    def __init__(self, conn: SyncConnection) -> None:
        self._conn = conn

    def count(self, table: Table) -> int:
        return int(self._conn.execute(select(func.count()).select_from(table)).scalar_one())

    def rows(self, table: Table) -> Iterator[Sequence[Any]]:
        columns = ", ".join(
            f'"{column.name}"::text' if isinstance(column.type, JSON) else f'"{column.name}"'
            for column in table.columns
        )
        raw: Any = self._conn.connection.driver_connection
        with raw.cursor(name="copying") as cursor:  # a named one: rows come as they are asked for
            cursor.itersize = AT_ONCE
            cursor.execute(f'SELECT {columns} FROM "{table.name}"')
            yield from cursor

    def write(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        flags = [n for n, column in enumerate(table.columns) if isinstance(column.type, Boolean)]

        def meant() -> Iterator[Sequence[Any]]:
            for row in rows:
                plain = list(row)
                for n in flags:
                    plain[n] = None if plain[n] is None else bool(plain[n])
                yield plain

        names = [column.name for column in table.columns]
        postgresql.copy_into(self._conn.connection.driver_connection, table.name, names, meant() if flags else rows)

    def end(self) -> None:
        """Numbers go on after the last one that is taken."""
        for table in _tables():
            for column in table.primary_key.columns:
                if not isinstance(column.type, Integer):
                    continue
                known = {"table": f'"{table.name}"', "column": column.name}
                sequence = self._conn.execute(text("SELECT pg_get_serial_sequence(:table, :column)"), known).scalar()
                last = self._conn.execute(select(func.max(column))).scalar()
                if sequence is not None and last is not None:
                    self._conn.execute(text("SELECT setval(:sequence, :last)"), {"sequence": sequence, "last": last})


def _names(columns: Iterable[Column[Any]]) -> str:
    return ", ".join(f'"{column.name}"' for column in columns)
