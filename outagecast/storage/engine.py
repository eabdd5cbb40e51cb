"""The database: opening, one writer at a time, migrating. What differs between the two is in sqlite.py and
postgresql.py.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from sqlalchemy import URL, Engine
from sqlalchemy import Connection as SyncConnection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection as Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from outagecast.storage import postgresql, sqlite
from outagecast.storage.migrations import HEAD
from outagecast.storage.refused import DatabaseRefused
from outagecast.storage.threads import ThreadConnection, complete, in_thread
from outagecast.storage.turns import PATIENCE, Turns
from outagecast.storage.writer import Writer

DatabaseFault = SQLAlchemyError
"""Whatever the database answers when it cannot do what was asked (full, locked, gone)."""
DatabaseAway = (OperationalError, InterfaceError, PoolTimeout)
"""Those faults that are nobody's mistake: locked, full, gone or failing over, so that the same may do in a moment."""

__all__ = ["Connection", "Database", "DatabaseAway", "DatabaseFault", "DatabaseRefused", "in_thread"]
T = TypeVar("T")
Access = Literal["alone", "beside", "schema"]
"""How a transaction writes. `alone`: a verb, which nothing may happen beside. `beside`: claims and the ledger, whose
changes are guarded row by row, so that other senders may do theirs at the same time (on SQLite there is one writer all
the same). `schema`: a migration.
"""


class Database:
    """One database. `read()` gives a connection with a consistent view; `write()` one transaction, committed on
    leaving.
    """

    def __init__(self, on_loop: AsyncEngine, in_threads: Engine, url: URL, patience: timedelta = PATIENCE) -> None:
        self._on_loop = on_loop
        self._in_threads = in_threads
        # So that nobody starves behind SQLite's busy loop, and a process waits for PostgreSQL's lock only once.
        self._writer = asyncio.Lock()
        self._sides = asyncio.Semaphore(SIDES) if url.get_backend_name() == "postgresql" else self._writer
        self._in_flight: set[asyncio.Future[Any]] = set()
        self.address = url
        # Of several processes on one SQLite file.
        self._turns = Turns(self.path, patience) if self.path is not None else None
        self._reading: dict[str, Any] = (
            {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True} if self.is_postgresql else {}
        )

    @classmethod
    def open(cls, url: str, *, folder: Path | None = None, patience: timedelta = PATIENCE) -> "Database":
        """`sqlite:///relative.db` is taken from `folder`; the file is made where it is missing. Nothing is asked of a
        server yet. `patience`: how long a transaction waits behind those of other processes on SQLite.
        """
        parsed = make_url(url)
        match parsed.get_backend_name():
            case "sqlite":
                parsed = sqlite.placed(parsed, folder or Path.cwd())
                return cls(*sqlite.engines(parsed), parsed, patience)
            case "postgresql":
                return cls(*postgresql.engines(parsed), parsed)
            case other:
                raise DatabaseRefused(
                    f"database.url: {other} is not supported; use sqlite:///outagecast.db or postgresql://user@host/name"
                )

    @property
    def url(self) -> str:
        """The address, without its password."""
        return self.address.render_as_string(hide_password=True)

    @property
    def is_postgresql(self) -> bool:
        return self.address.get_backend_name() == "postgresql"

    @property
    def path(self) -> Path | None:
        """The SQLite file, None for other databases."""
        name = self.address.database
        return Path(name) if name and name != ":memory:" and not self.is_postgresql else None

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        async with self._on_loop.connect() as plain:
            conn = await plain.execution_options(**self._reading) if self._reading else plain
            async with conn.begin():
                yield conn

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Connection]:
        async with self._place("alone"), self._on_loop.connect() as plain:
            conn = await plain.execution_options(outagecast_access="alone")
            async with conn.begin():
                yield conn

    @asynccontextmanager
    async def _place(self, access: Access) -> AsyncIterator[None]:
        async with self._sides if access == "beside" else self._writer:
            if self._turns is None:
                yield
            else:
                async with self._turns.turn():
                    yield

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Connection]:
        """A connection for oneself over several transactions: `alone` makes one that writes. Closed afterwards, with
        all that was temporary in it.
        """
        async with self._on_loop.connect() as conn:
            try:
                yield conn
            finally:
                await conn.invalidate()

    @asynccontextmanager
    async def alone(self, conn: Connection) -> AsyncIterator[None]:
        """As `write`, on a `session` that is between two transactions."""
        async with self._place("alone"):
            await conn.execution_options(outagecast_access="alone")
            try:
                async with conn.begin():
                    yield
            finally:
                await conn.execution_options(outagecast_access=None)

    async def transact(
        self,
        work: Callable[[Connection], Coroutine[Any, Any, T]],
        access: Literal["alone", "beside"] = "alone",
    ) -> T:
        """A transaction with many statements, whole in one worker thread: no hop to a thread and back for each of them,
        and nothing of it on the event loop. `work` may await nothing but its connection, which ends with it.
        """
        async with self._sides if access == "beside" else self._writer:
            # Not to_thread, whose task costs as much as a message.
            running = asyncio.get_running_loop().run_in_executor(None, self._transact, work, access)
            self._in_flight.add(running)
            running.add_done_callback(self._landed)
            return await asyncio.shield(running)

    async def look(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        """As `read`, whole in one worker thread: for a few quick questions that are asked all the time."""
        return await asyncio.get_running_loop().run_in_executor(None, self._look, work)

    def _look(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        with self._in_threads.connect() as plain:
            conn = plain.execution_options(**self._reading) if self._reading else plain
            with conn.begin():
                return complete(work(cast(Connection, ThreadConnection(conn))))

    @property
    def writers_at_once(self) -> int:
        """How many writers gain by each other: on SQLite there is one place."""
        return 2 if self.is_postgresql else 1

    def writer(self) -> Writer:
        """For one who writes all the time, beside the others; to be closed before the database is."""
        settle = postgresql.for_rows_by_number if self.is_postgresql else _as_it_is
        return Writer(self._in_threads, self._sides, self._turn_of_thread, settle)

    def _turn_of_thread(self) -> AbstractContextManager[None]:
        return nullcontext() if self._turns is None else self._turns.turn_of_thread()

    def _landed(self, running: asyncio.Future[Any]) -> None:
        self._in_flight.discard(running)
        if not running.cancelled():
            running.exception()  # looked at, for whoever was cancelled while he waited does not

    def _transact(self, work: Callable[[Connection], Coroutine[Any, Any, T]], access: Access) -> T:
        with self._turn_of_thread(), self._in_threads.connect() as plain:
            conn = plain.execution_options(outagecast_access=access)
            with conn.begin():
                return complete(work(cast(Connection, ThreadConnection(conn))))

    async def migrate(self) -> None:
        """Bring the schema up to date; DatabaseRefused if it is newer than this program knows. Of several daemons that
        start at once, one does it.
        """
        if await self.schema_is_current():
            return
        async with self._place("schema"), self._on_loop.connect() as plain:
            conn = await plain.execution_options(outagecast_access="schema")
            async with conn.begin():
                await conn.run_sync(_upgrade)

    async def schema_is_current(self) -> bool:
        async with self.read() as conn:
            return await conn.run_sync(_is_current)

    async def hints(self) -> AsyncIterator[None]:
        """Whenever another process has committed something worth a look. A hint only: every daemon looks by itself
        twice a second. Nothing at all on SQLite.
        """
        if self.is_postgresql:
            async for _ in postgresql.hints(self.address):
                yield

    async def close(self) -> None:
        # Whoever was cancelled while he waited has left a transaction behind that still runs to its end.
        await asyncio.gather(*self._in_flight, return_exceptions=True)
        await self._on_loop.dispose()
        self._in_threads.dispose()
        if self._turns is not None:
            self._turns.close()


def _as_it_is(_conn: SyncConnection) -> None:
    """SQLite has no settings for a single statement's plan, and keeps its statements as they are."""


SIDES = 4
"""Transactions of this process beside each other: the channels' claims and the ledger's."""


def _revision(conn: SyncConnection) -> str | None:
    """The schema's revision by hand: alembic takes half a second to import, and mostly there is nothing to do."""
    if conn.dialect.name == "postgresql":
        return postgresql.revision(conn)
    return sqlite.revision(conn)


def _upgrade(conn: SyncConnection) -> None:
    if _revision(conn) != HEAD:
        import_module("outagecast.storage.upgrade").upgrade(conn)


def _is_current(conn: SyncConnection) -> bool:
    return _revision(conn) == HEAD
