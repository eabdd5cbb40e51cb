"""SQLite: WAL with synchronous=FULL (a commit survives power loss), foreign keys on, BEGIN IMMEDIATE for writers."""

from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy import Connection as SyncConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from outagecast.storage.types import compact

BUSY_TIMEOUT_MS = 5000
WAVES_CACHE = 32_768
"""KiB, taken only when used: SQLite's own 2 MB hold no wave, pages went out and came back with every batch."""
READERS_CACHE = 8_192
"""KiB for each of several connections."""


def placed(url: URL, folder: Path) -> URL:
    """A relative file is taken from `folder`; the folders above it are made."""
    name = url.database or ":memory:"
    if name != ":memory:":
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        name = str(path)
    return url.set(database=name)


def engines(url: URL) -> tuple[AsyncEngine, Engine]:
    """For the event loop, and for transactions whole in a thread."""
    # Without hide_parameters an error of the database would put addresses and words into the log.
    options: dict[str, Any] = {
        "json_serializer": compact,
        "connect_args": {"isolation_level": None},
        "hide_parameters": True,
    }
    on_loop = create_async_engine(url.set(drivername="sqlite+aiosqlite"), **options)
    in_threads = create_engine(url.set(drivername="sqlite+pysqlite"), **options)
    for one, cache in ((on_loop.sync_engine, READERS_CACHE), (in_threads, WAVES_CACHE)):
        event.listen(one, "connect", partial(_on_connect, cache))
        event.listen(one, "begin", _on_begin)
    return on_loop, in_threads


def _on_connect(cache: int, dbapi_connection: Any, _record: Any) -> None:
    cursor = dbapi_connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "foreign_keys=ON",
        "temp_store=MEMORY",
        f"cache_size=-{cache}",
        "wal_autocheckpoint=4000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_begin(conn: SyncConnection) -> None:
    # Without BEGIN IMMEDIATE a reader that turns writer fails at once with "database is locked", whatever the busy
    # time-out.
    writes = conn.get_execution_options().get("outagecast_access") is not None
    conn.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def revision(conn: SyncConnection) -> str | None:
    """The schema's revision, None for an empty database."""
    known = conn.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").first()
    row = conn.exec_driver_sql("SELECT version_num FROM alembic_version").first() if known else None
    return None if row is None else str(row[0])
