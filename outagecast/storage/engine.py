"""The database: opening, one writer, migrating.

SQLite: WAL with synchronous=FULL (a commit survives power loss), foreign keys on, BEGIN IMMEDIATE for writers, and one
writer at a time in this process, so that nobody starves behind SQLite's own busy loop. PostgreSQL joins behind the same
verbs.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import Connection as SyncConnection
from sqlalchemy import CursorResult, Dialect, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection as Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from outagecast.storage.migrations import HEAD
from outagecast.storage.refused import DatabaseRefused
from outagecast.storage.types import compact

DatabaseFault = SQLAlchemyError
"""Whatever the database answers when it cannot do what was asked (full, locked, gone)."""
BUSY_TIMEOUT_MS = 5000

__all__ = ["Connection", "Database", "DatabaseFault", "DatabaseRefused", "in_thread"]
T = TypeVar("T")


class Database:
    """One database. `read()` gives a connection with a consistent view; `write()` one transaction, committed on
    leaving.
    """

    def __init__(self, engine: AsyncEngine, in_threads: Engine, url: str) -> None:
        self._engine = engine
        self._in_threads = in_threads
        self._writer = asyncio.Lock()
        self.url = url

    @classmethod
    def open(cls, url: str, *, folder: Path | None = None) -> "Database":
        """`sqlite:///relative.db` is taken from `folder`; the file is made where it is missing."""
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            raise DatabaseRefused(
                f"database.url: {parsed.get_backend_name()} is not supported yet; use sqlite:///outagecast.db"
            )
        name = parsed.database or ":memory:"
        if name != ":memory:":
            path = (folder or Path.cwd()) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            name = str(path)
        # Without hide_parameters an error of the database would put addresses and words into the log.
        options: dict[str, Any] = {
            "json_serializer": compact,
            "connect_args": {"isolation_level": None},
            "hide_parameters": True,
        }
        engine = create_async_engine(parsed.set(drivername="sqlite+aiosqlite", database=name), **options)
        in_threads = create_engine(parsed.set(drivername="sqlite+pysqlite", database=name), **options)
        for one in (engine.sync_engine, in_threads):
            event.listen(one, "connect", _on_connect)
            event.listen(one, "begin", _on_begin)
        return cls(engine, in_threads, str(parsed.set(database=name)))

    @property
    def path(self) -> Path | None:
        """The SQLite file, None for other databases."""
        name = make_url(self.url).database
        return Path(name) if name and name != ":memory:" else None

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        async with self._engine.connect() as conn, conn.begin():
            yield conn

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Connection]:
        async with self._writer, self._engine.connect() as plain:
            conn = await plain.execution_options(outagecast_write=True)
            async with conn.begin():
                yield conn

    async def transact(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        """A transaction with many statements, whole in one worker thread: no hop to a thread and back for each of them,
        and nothing of it on the event loop. `work` may await nothing but its connection, which ends with it.
        """
        async with self._writer:
            return await asyncio.to_thread(self._transact, work)

    def _transact(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        with self._in_threads.connect() as plain:
            conn = plain.execution_options(outagecast_write=True)
            with conn.begin():
                return _complete(work(cast(Connection, ThreadConnection(conn))))

    async def migrate(self) -> None:
        """Bring the schema up to date; DatabaseRefused if it is newer than this program knows."""
        async with self._engine.connect() as plain:
            conn = await plain.execution_options(outagecast_write=True)
            async with conn.begin():
                await conn.run_sync(_upgrade)

    async def schema_is_current(self) -> bool:
        async with self.read() as conn:
            return await conn.run_sync(_is_current)

    async def close(self) -> None:
        await self._engine.dispose()
        self._in_threads.dispose()


class ThreadConnection:
    """What queries see of a connection, run at once in the present thread: `await conn.execute(…)` never waits."""

    def __init__(self, conn: SyncConnection) -> None:
        self._conn = conn

    async def execute(self, statement: Any, parameters: Any = None) -> CursorResult[Any]:
        return self._conn.execute(statement, parameters)

    async def exec_driver_sql(self, statement: str, parameters: Any = None) -> CursorResult[Any]:
        return self._conn.exec_driver_sql(statement, parameters)

    @property
    def dialect(self) -> Dialect:
        return self._conn.dialect


def in_thread(conn: Connection) -> bool:
    """Whether this connection lives in a worker thread, where heavy work may be done on the spot."""
    return isinstance(conn, ThreadConnection)


def _complete(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing to its end."""
    try:
        work.send(None)
    except StopIteration as done:
        return cast(T, done.value)
    work.close()
    raise RuntimeError("a transaction in a thread waited for something else than its connection")


def _on_connect(dbapi_connection: Any, _record: Any) -> None:
    cursor = dbapi_connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "foreign_keys=ON",
        "temp_store=MEMORY",
        # SQLite's own 2 MB hold no wave: pages went out and came back with every batch. KiB, taken only when used.
        "cache_size=-32768",
        "wal_autocheckpoint=4000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_begin(conn: SyncConnection) -> None:
    # Without BEGIN IMMEDIATE a reader that turns writer fails at once with "database is locked", whatever the busy
    # time-out.
    writes = conn.get_execution_options().get("outagecast_write", False)
    conn.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _revision(conn: SyncConnection) -> str | None:
    """The schema's revision by hand: alembic takes half a second to import, and mostly there is nothing to do."""
    known = conn.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").first()
    row = conn.exec_driver_sql("SELECT version_num FROM alembic_version").first() if known else None
    return None if row is None else str(row[0])


def _upgrade(conn: SyncConnection) -> None:
    if _revision(conn) != HEAD:
        import_module("outagecast.storage.upgrade").upgrade(conn)


def _is_current(conn: SyncConnection) -> bool:
    return _revision(conn) == HEAD
