"""Where an import waits before it is applied: tables of its own, in a file beside SQLite's or in a session's own space.

So the live database is neither locked nor swollen while a million rows are read and judged, and memory stays constant.
The staged tables have names of their own, so that the same SQL runs wherever they are: on SQLite over the staging file
with the live database attached, and over the live one with the staging file attached; on PostgreSQL, and for one row of
the API, as TEMP tables.
"""

import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import NullPool, event
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from outagecast.domain.imports import Batch, Mistake, Reject
from outagecast.domain.inventory import COLUMNS, STATUS, InventoryKind, Keeping
from outagecast.domain.needs import parse_needs, refs, split_ref
from outagecast.storage.engine import Database
from outagecast.storage.plain_sql import fill, is_postgresql, run

_CACHE_KIB = 4_000
_TABLES = {
    "needs": "(text CELL PRIMARY KEY) WITHOUT ROWID",
    "refs": "(kind CELL, id CELL, need CELL, PRIMARY KEY (kind, id, need)) WITHOUT ROWID",
    "mistakes": "(n NUMBERED, file INTEGER, line INTEGER, col TEXT, what TEXT)",
    "rejects": "(n NUMBERED, file INTEGER, line INTEGER, id TEXT, col TEXT, value TEXT, reason TEXT)",
    "words": "(n NUMBERED, gone INTEGER, kind TEXT, word TEXT, id TEXT)",
    "terms": "(n NUMBERED, gone INTEGER, kind TEXT, word TEXT, id TEXT)",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Staging:
    """One import under way. `conn` sees staged and live tables; `file` is None where they share a transaction."""

    conn: AsyncConnection
    file: Path | None


@asynccontextmanager
async def staging_area(db: Database) -> AsyncIterator[Staging]:
    """An empty staging area that is gone afterwards, whatever happens."""
    if db.is_postgresql:
        async with db.session() as conn:
            # The pool's connection may have had one of its own, for single rows.
            await conn.exec_driver_sql("DISCARD TEMP")
            await create(conn, temp=True)
            yield Staging(conn=conn, file=None)
        return
    if db.path is None:
        async with db.write() as conn:
            await create(conn, temp=True)
            yield Staging(conn=conn, file=None)
            await drop(conn)
        return
    # Beside the database: there is the disk space for it, while /tmp may be memory.
    folder = Path(tempfile.mkdtemp(prefix=".import-", dir=db.path.parent))
    try:
        async with _own_file(folder / "staging.db", db.path) as conn:
            await create(conn, temp=False)
            yield Staging(conn=conn, file=folder / "staging.db")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def applying(db: Database, staging: Staging) -> AsyncIterator[AsyncConnection]:
    """The one transaction on the live database in which what is staged is applied."""
    if db.is_postgresql:
        await staging.conn.commit()
        async with db.alone(staging.conn):
            yield staging.conn
        return
    if staging.file is None:
        yield staging.conn
        return
    await staging.conn.commit()
    async with db.write() as conn:
        # Closed instead of going back to the pool, where it would hold on to the staging file.
        await conn.run_sync(lambda sync: sync.detach())
        await conn.exec_driver_sql("ATTACH DATABASE ? AS staging", (str(staging.file),))
        yield conn


@asynccontextmanager
async def one_row(conn: AsyncConnection) -> AsyncIterator[None]:
    """A staging area within the caller's transaction, for a single row; empty before and after."""
    if is_postgresql(conn):
        # Stays with the connection, whose next row finds it there: making tables costs more than all the rest.
        if (await run(conn, "SELECT to_regclass('pg_temp.staged_terms')")).scalar() is None:
            await create(conn, temp=True, also="ON COMMIT DELETE ROWS")
        yield
        return
    await create(conn, temp=True)
    yield
    await drop(conn)


async def create(conn: AsyncConnection, *, temp: bool, also: str = "") -> None:
    """The staged tables: `op` is what becomes of a row (compare.py), `status` is there for every kind, `n` numbers the
    rows as they came.
    """
    tables = dict(_TABLES)
    for kind, columns in COLUMNS.items():
        names = [column.name for column in columns] + ["attributes"] + ([] if STATUS in columns else ["status"])
        cells = ", ".join(f"{name} CELL" for name in names)
        tables[kind.value] = f"(n NUMBERED, file INTEGER, line INTEGER, {cells}, op INTEGER NOT NULL DEFAULT 0)"
    for name, columns_of in tables.items():
        await run(conn, f"CREATE {'TEMP' if temp else ''} TABLE staged_{name} {columns_of} {also}")


async def drop(conn: AsyncConnection) -> None:
    for name in (*InventoryKind, *_TABLES):
        await conn.exec_driver_sql(f"DROP TABLE staged_{name}")


async def add(conn: AsyncConnection, batch: Batch) -> None:
    """Put a batch into the staging area, together with the refs of the needs it is the first to name."""
    columns = COLUMNS[batch.kind]
    if batch.rows:
        names = ["file", "line", *(column.name for column in columns), "attributes"]
        await fill(conn, f"staged_{batch.kind}", names, batch.rows)
        for place, column in enumerate(columns, start=2):
            if column.keeping is Keeping.NEED:
                await _add_needs(conn, {str(row[place]) for row in batch.rows if row[place]})
    await add_mistakes(conn, batch.mistakes)
    rejects = [(r.file, r.line, r.id, r.column, r.value, r.reason) for r in batch.rejects]
    await fill(conn, "staged_rejects", ("file", "line", "id", "col", "value", "reason"), rejects)


async def add_mistakes(conn: AsyncConnection, mistakes: Sequence[Mistake]) -> None:
    rows = [(m.file, m.line, m.column, m.what) for m in mistakes]
    await fill(conn, "staged_mistakes", ("file", "line", "col", "what"), rows)


async def set_status(conn: AsyncConnection, kind: InventoryKind, status: str) -> None:
    """Give every staged row of a kind a status: for kinds whose files have no such column."""
    await run(conn, f"UPDATE staged_{kind} SET status = ?", (status,))


async def index(conn: AsyncConnection) -> None:
    """After the last batch: what finding a staged row by its id, or the rows behind a need, takes. On PostgreSQL this
    ends the transaction of the reading.
    """
    for kind in InventoryKind:
        key = "customer_id, service_id" if kind is InventoryKind.SUBSCRIPTIONS else "id"
        await conn.exec_driver_sql(f"CREATE INDEX staged_{kind}_id ON staged_{kind} ({key})")
        if kind is InventoryKind.CONTACTS:
            await conn.exec_driver_sql("CREATE INDEX staged_contacts_of ON staged_contacts (customer_id)")
    if is_postgresql(conn):
        # Nothing looks at temporary tables by itself: unknown, a million rows are taken for a few.
        await conn.exec_driver_sql(f"ANALYZE {', '.join(f'staged_{name}' for name in (*InventoryKind, *_TABLES))}")
        await conn.commit()


async def count_mistakes(conn: AsyncConnection) -> int:
    query = "SELECT count(*) FROM (SELECT DISTINCT file, line, col, what FROM staged_mistakes) AS each"
    return int((await conn.exec_driver_sql(query)).scalar_one())


async def mistakes(conn: AsyncConnection, limit: int) -> list[Mistake]:
    """The first mistakes by file and line."""
    rows = await run(
        conn,
        'SELECT file, line, col AS "column", what FROM staged_mistakes '
        "GROUP BY file, line, col, what ORDER BY file, line, min(n) LIMIT ?",
        (limit,),
    )
    return [Mistake(**row) for row in rows.mappings()]


async def count_rejects(conn: AsyncConnection) -> int:
    return int((await conn.exec_driver_sql("SELECT count(*) FROM staged_rejects")).scalar_one())


async def pages(conn: AsyncConnection, name: str, size: int) -> list[tuple[int, int]]:
    """The numbers of a staged table's rows, in ranges of so many: (first, last)."""
    query = f"SELECT coalesce(min(n), 1), coalesce(max(n), 0) FROM staged_{name}"
    row: Any = (await conn.exec_driver_sql(query)).one()
    first, last = int(row[0]), int(row[1])
    return [(start, start + size - 1) for start in range(first, last + 1, size)]


async def rejects(conn: AsyncConnection, after: int, limit: int) -> list[Reject]:
    """One page of the rejects, in the order in which they were met."""
    rows = await run(
        conn,
        'SELECT file, line, id, col AS "column", value, reason FROM staged_rejects WHERE n > ? ORDER BY n LIMIT ?',
        (after, limit),
    )
    return [Reject(**row) for row in rows.mappings()]


@asynccontextmanager
async def _own_file(file: Path, live: Path) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{file}", poolclass=NullPool)

    def on_connect(dbapi_connection: Any, _record: Any) -> None:
        cursor = dbapi_connection.cursor()
        # What a crash leaves of this file is thrown away, so nothing need be safe; sorting must not fill the memory.
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "temp_store=FILE", f"cache_size=-{_CACHE_KIB}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.execute("ATTACH DATABASE ? AS live", (str(live),))
        cursor.close()

    event.listen(engine.sync_engine, "connect", on_connect)
    try:
        async with engine.connect() as conn:
            yield conn
    finally:
        await engine.dispose()


async def _add_needs(conn: AsyncConnection, texts: set[str]) -> None:
    named = [(*map(str, split_ref(ref)), text) for text in sorted(texts) for ref in refs(parse_needs(text))]
    await fill(conn, "staged_needs", ("text",), [(text,) for text in sorted(texts)], once=True)
    await fill(conn, "staged_refs", ("kind", "id", "need"), named, once=True)
