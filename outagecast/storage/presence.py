"""Which daemons are alive, as their deaths tell: a file lock on one machine, an advisory lock on PostgreSQL.

On PostgreSQL a daemon holds a session of its own. Whoever loses it may only have been cut off for a moment, so its
silence has to be found twice before its rows are taken; and who leads stops leading with it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from zlib import crc32

import structlog
from sqlalchemy import URL

from outagecast.storage import postgresql, seats
from outagecast.storage.engine import Database
from outagecast.storage.mounts import refuse_network
from outagecast.storage.postgresql import HINTS, NAMESPACE, Lock
from outagecast.storage.refused import DatabaseRefused
from outagecast.storage.seats import FileSeat, Holder

try:
    from psycopg import Error as DriverFault
except ImportError:  # without the extra `postgres` there is no session either

    class DriverFault(Exception):  # type: ignore[no-redef]
        """Never raised."""


log = structlog.get_logger(__name__)
OWNERS = NAMESPACE + Lock.OWNER
"""The first half of the locks that living daemons hold; the second is the owner's number."""


class Presence(Protocol):
    """A daemon's own life on a database, and what it knows of the others'."""

    seat: str
    certain: bool
    """Whether who is found dead once is dead for good."""
    before: Collection[Holder]
    """Who was named in the lock files when we came."""

    async def take(self) -> None:
        """DatabaseRefused where there is no room for us."""

    async def keep(self) -> bool:
        """Often: whether we are present (again)."""

    async def leads(self) -> bool:
        """Whether the ticking is ours: at most one daemon gets True at a time."""

    async def living(self, owners: Collection[str]) -> frozenset[str]:
        """Those of these owners that live."""

    async def tell(self) -> None:
        """A hint to the others that something has changed; nothing where they see it by themselves."""

    async def leave(self) -> None: ...


def make_presence(db: Database, holder: Holder, *, sends_only: bool) -> Presence:
    """`sends_only`: a sender, which never leads."""
    if db.is_postgresql:
        return SessionPresence(db.address, holder, sends_only=sends_only)
    return LonePresence() if db.path is None else FilePresence(db.path, holder, sends_only=sends_only)


@asynccontextmanager
async def without_daemons(db: Database) -> AsyncIterator[None]:
    """DatabaseRefused while a daemon runs on this database; on SQLite none can start meanwhile."""
    if db.path is not None:
        with seats.all_seats(db.path):
            yield
        return
    if db.is_postgresql:
        async with _reached(), postgresql.session(db.address) as session:
            if await (await session.execute(_HELD, (OWNERS,))).fetchone() is not None:
                raise DatabaseRefused("the daemon is running on this database: stop it first (senders too)")
    yield


@asynccontextmanager
async def _reached() -> AsyncIterator[None]:
    try:
        yield
    except DriverFault as fault:
        raise DatabaseRefused(f"the database cannot be reached: {str(fault).splitlines()[0]}") from fault


class FilePresence:
    """On SQLite: one machine, one file lock a daemon."""

    certain = True

    def __init__(self, database: Path, holder: Holder, *, sends_only: bool) -> None:
        self._database = database
        self._holder = holder
        self._sends_only = sends_only
        self._seat: FileSeat | None = None
        self.seat = ""
        self.before: Collection[Holder] = ()

    async def take(self) -> None:
        refuse_network(self._database)
        take = seats.take_sender if self._sends_only else seats.take_main
        self._seat = await asyncio.to_thread(take, self._database, self._holder)
        self.seat, self.before = self._seat.name, self._seat.before

    async def keep(self) -> bool:
        return self._seat is not None

    async def leads(self) -> bool:
        return self.seat == seats.MAIN

    async def living(self, owners: Collection[str]) -> frozenset[str]:
        alive = await asyncio.to_thread(seats.holders, self._database)
        return frozenset(holder.owner for holder in alive) & frozenset(owners)

    async def tell(self) -> None: ...

    async def leave(self) -> None:
        if self._seat is not None:
            self._seat.leave()
            self._seat, self.seat = None, ""


class LonePresence:
    """A database in memory: nobody else can see it."""

    certain = True
    seat = seats.MAIN
    before: Collection[Holder] = ()

    async def take(self) -> None: ...

    async def keep(self) -> bool:
        return True

    async def leads(self) -> bool:
        return True

    async def living(self, owners: Collection[str]) -> frozenset[str]:
        return frozenset()

    async def tell(self) -> None: ...

    async def leave(self) -> None: ...


class SessionPresence:
    """On PostgreSQL: one session of its own a daemon, which holds its owner's lock, and the leader's if it gets it."""

    certain = False
    before: Collection[Holder] = ()

    def __init__(self, address: URL, holder: Holder, *, sends_only: bool) -> None:
        self._address = address
        self._owner = holder.owner
        self._sends_only = sends_only
        self._stack = AsyncExitStack()
        self._session: Any = None
        self._leads = False
        self._busy = asyncio.Lock()
        self.seat = ""

    async def take(self) -> None:
        async with self._busy, _reached():
            await self._open()

    async def keep(self) -> bool:
        async with self._busy:
            return await self._alive()

    async def leads(self) -> bool:
        if self._sends_only:
            return False
        async with self._busy:
            if not await self._alive():
                return False
            if not self._leads:
                self._leads = bool(await self._ask("SELECT pg_try_advisory_lock(%s, %s)", (NAMESPACE, Lock.LEADER)))
                if self._leads:
                    log.info("leads", owner=self._owner)
            return self._leads

    async def living(self, owners: Collection[str]) -> frozenset[str]:
        async with self._busy:
            if not await self._alive():
                return frozenset(owners)  # who is cut off himself must not call the others dead
            try:
                rows = await (await self._session.execute(_HELD, (OWNERS,))).fetchall()
            except DriverFault:
                await self._lose()
                return frozenset(owners)
        held = {int(row[0]) for row in rows}
        return frozenset(owner for owner in owners if number_of(owner) in held)

    async def tell(self) -> None:
        async with self._busy:
            if self._session is not None:
                try:
                    await self._session.execute(f"NOTIFY {HINTS}")
                except DriverFault:
                    await self._lose()

    async def leave(self) -> None:
        async with self._busy:
            if self._session is not None:
                # The server gives up a session, and its locks with it, only some time after we have hung up.
                await self._ask("SELECT pg_advisory_unlock_all()")
            await self._lose()

    async def _alive(self) -> bool:
        """Asks over the very session that holds the locks; opens another where it is gone."""
        if self._session is not None and await self._ask("SELECT 1") is not None:
            return True
        try:
            await self._open()
        except (DriverFault, OSError, DatabaseRefused) as fault:
            log.warning("session_lost", owner=self._owner, error=type(fault).__name__)
            return False
        return True

    async def _open(self) -> None:
        session = await self._stack.enter_async_context(postgresql.session(self._address))
        self._session, self._leads = session, False
        if not await self._ask("SELECT pg_try_advisory_lock(%s, %s)", (OWNERS, number_of(self._owner))):
            # Our own old session, which the server has not given up yet: the next try finds it gone.
            await self._lose()
            raise DatabaseRefused("another session of this daemon is still there")

    async def _ask(self, statement: str, values: tuple[int, int] | None = None) -> Any:
        """One value; None where the session is lost."""
        try:
            row = await (await self._session.execute(statement, values)).fetchone()
        except DriverFault:
            await self._lose()
            return None
        return row[0]

    async def _lose(self) -> None:
        if self._leads:
            log.warning("leads_no_more", owner=self._owner)
        self._session, self._leads = None, False
        stack, self._stack = self._stack, AsyncExitStack()
        with contextlib.suppress(DriverFault, OSError):  # it was broken: that is why
            await stack.aclose()


def number_of(owner: str) -> int:
    """An owner as the second half of an advisory lock: a positive four-byte number."""
    return crc32(owner.encode()) & 0x7FFFFFFF


_HELD = """
SELECT objid::bigint FROM pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid::bigint = %s
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
