"""PostgreSQL: what stands for SQLite's one writer, hints between daemons, and rows in bulk.

A verb reads, decides and writes, and no message may start on its way in between: it takes an advisory lock alone,
whereas claims and the ledger, whose every change is guarded by the state before it, share that lock with each other.
So verbs see the world stand still, as under SQLite's BEGIN IMMEDIATE, while any number of daemons send side by side.
The lock's queue is fair: a verb that waits is not overtaken by senders that come after it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import timedelta
from enum import IntEnum
from typing import Any

import structlog
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy import Connection as SyncConnection
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from outagecast.storage.refused import DatabaseRefused
from outagecast.storage.types import compact

try:
    import psycopg
except ImportError:  # without the extra `postgres`
    _HAS_DRIVER = False
else:
    _HAS_DRIVER = True

log = structlog.get_logger(__name__)
NAMESPACE = 0x0C457
"""The first half of our advisory locks' names; the second is a Lock."""
HINTS = "outagecast"
"""The channel of NOTIFY: something was committed."""
AGAIN_AFTER = timedelta(seconds=2)
"""Between tries to listen again. A hint that is lost costs half a second: every daemon looks by itself."""
DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


class Lock(IntEnum):
    """Second halves of advisory locks."""

    OUTBOX = 1
    """Alone: a verb. Shared: claims and the ledger."""
    SCHEMA = 2
    """Migrating."""
    LEADER = 3
    """Held for as long as a daemon ticks."""
    OWNER = 4
    """Held, with the owner's number in place of this one, for as long as a daemon lives."""


_CONNECT: dict[str, Any] = {
    "application_name": "outagecast",
    "connect_timeout": 5,
    # A server that is cut off is noticed after ten seconds, not after the two hours of TCP.
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    # Of several hosts in the address the one that takes writes; a standby is passed over.
    "target_session_attrs": "read-write",
    # What is acknowledged is on disk, whatever the server's own setting; nobody keeps a lock by falling asleep.
    # Plans are made anew: one that was kept from when the outbox was empty read all of it for every claim, and
    # none that is kept can use an index over `state = 'planned'`.
    "options": (
        "-c synchronous_commit=on -c idle_in_transaction_session_timeout=120s -c timezone=UTC "
        "-c plan_cache_mode=force_custom_plan"
    ),
}


def engines(url: URL) -> tuple[AsyncEngine, Engine]:
    """For the event loop, and for transactions whole in a thread. DatabaseRefused without the driver."""
    if not _HAS_DRIVER:
        raise DatabaseRefused("PostgreSQL needs its driver: install outagecast with the extra `postgres`")
    address = url.set(drivername="postgresql+psycopg")
    # Without hide_parameters an error of the database would put addresses and words into the log.
    options: dict[str, Any] = {
        "json_serializer": compact,
        "connect_args": {**_CONNECT},
        "hide_parameters": True,
        "pool_pre_ping": True,
        "pool_size": 5,
        "max_overflow": 15,
    }
    on_loop, in_threads = create_async_engine(address, **options), create_engine(address, **options)
    for one in (on_loop.sync_engine, in_threads):
        event.listen(one, "begin", _on_begin)
    return on_loop, in_threads


def _on_begin(conn: SyncConnection) -> None:
    match conn.get_execution_options().get("outagecast_access"):
        case "alone":
            conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({NAMESPACE}, {Lock.OUTBOX.value})")
            # Heard at the commit; who misses it looks by himself soon enough.
            conn.exec_driver_sql(f"NOTIFY {HINTS}")
        case "beside":
            conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock_shared({NAMESPACE}, {Lock.OUTBOX.value})")
        case "schema":
            for lock in (Lock.SCHEMA, Lock.OUTBOX):
                conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({NAMESPACE}, {lock.value})")


def for_rows_by_number(conn: SyncConnection) -> None:
    """Make this connection one whose every statement finds a few rows by their numbers: plans are kept, since making
    one costs more than following it, and they use indexes even where they were made for an empty table.
    """
    conn.detach()  # nobody else gets it from the pool like this
    for name, value in _BY_NUMBER.items():
        conn.exec_driver_sql(f"SET {name} = {value}")
    conn.commit()


_BY_NUMBER = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


def revision(conn: SyncConnection) -> str | None:
    """The schema's revision, None for an empty database."""
    known = conn.exec_driver_sql("SELECT to_regclass('alembic_version')").scalar()
    row = conn.exec_driver_sql("SELECT version_num FROM alembic_version").first() if known is not None else None
    return None if row is None else str(row[0])


async def hints(url: URL) -> AsyncIterator[None]:
    """Whenever any daemon or command has committed a verb on this database. Never ends; while the connection is gone
    there are none, and one when it is back.
    """
    while True:
        try:
            conn = await psycopg.AsyncConnection.connect(conninfo(url), autocommit=True, **_CONNECT)
            async with conn:
                await conn.execute(f"LISTEN {HINTS}")
                yield
                async for _ in conn.notifies():
                    yield
        except (psycopg.Error, OSError) as fault:
            log.info("hints_lost", error=type(fault).__name__)
        await asyncio.sleep(AGAIN_AFTER.total_seconds())


def conninfo(url: URL) -> str:
    """The address as libpq reads it, all hosts of several."""
    dialect: Any = url.set(drivername="postgresql+psycopg").get_dialect()()
    _, given = dialect.create_connect_args(url)
    return psycopg.conninfo.make_conninfo(**given)


def can_copy(conn: Any) -> bool:
    """Whether this is a connection to PostgreSQL in a thread of its own: on the loop rows go one by one."""
    return conn.dialect.name == "postgresql" and not conn.dialect.is_async


def driver_connection(conn: Any) -> Any:
    """The driver's own connection under one that `can_copy`."""
    return conn.sync.connection.driver_connection


def copy_into(conn: Any, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """COPY rows into a table over a plain connection of the driver: several times quicker than INSERT for many."""
    names = ", ".join(f'"{name}"' for name in columns)
    with conn.cursor() as cursor, cursor.copy(f'COPY "{table}" ({names}) FROM STDIN') as copy:
        for row in rows:
            copy.write_row(row)


@contextlib.asynccontextmanager
async def session(url: URL) -> AsyncIterator[Any]:
    """A connection of its own, outside the pools, in autocommit: for locks that last as long as it does."""
    async with await psycopg.AsyncConnection.connect(conninfo(url), autocommit=True, **_CONNECT) as conn:
        yield conn
