"""A private copy of the whole database, for what must be tried and must not happen: a SQLite file, whatever it is a
copy of. SQLite copies itself; what PostgreSQL holds is written into the file row by row (moving.py), which takes a
process of its own its time.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.storage import moving
from outagecast.storage.engine import Database
from outagecast.storage.processes import lives
from outagecast.storage.refused import DatabaseRefused

PAGES = 2000
"""Copied at once, 8 MB: between two such steps the copying says how far it is, and can be stopped."""
LARGEST = 4 * 1024**3
_ROOM = 1.5
"""How often the database's size has to be free on the disk: the copy, and what is played in it."""
_NAME = "rehearsal-"


@contextmanager
def private_copy(source: Path, tell: Callable[[float], None], *, largest: int = LARGEST) -> Iterator[Path]:
    """The copy's file, for this user alone, as the database was at one moment; it goes with the context.

    `tell` hears the share copied, and may raise to stop. DatabaseRefused where it has more than `largest` bytes, or the
    disk too few.
    """
    size = sum(path.stat().st_size for path in (source, _beside(source, "-wal")) if path.exists())
    # Beside the database: the same disk and the same rights as what it is a copy of, never a /tmp that is memory.
    with private_place(source.parent, size, largest=largest) as copy:
        _copy(source, copy, tell)
        yield copy


@contextmanager
def private_place(folder: Path, size: int, *, largest: int = LARGEST) -> Iterator[Path]:
    """An empty file for a copy of a database of so many bytes, in a folder that is made in this one."""
    _sweep(folder)
    if size > largest:
        raise DatabaseRefused(f"the database has {size // 1024**2:,} MB; up to {largest // 1024**2:,} MB can be copied")
    free = shutil.disk_usage(folder).free
    if free < size * _ROOM:
        raise DatabaseRefused(
            f"the disk has {free // 1024**2:,} MB left, too little for a copy of {size // 1024**2:,} MB"
        )
    place = Path(tempfile.mkdtemp(prefix=f"{_NAME}{os.getpid()}-", dir=folder))
    try:
        copy = place / "copy.db"
        os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield copy
    finally:
        shutil.rmtree(place, ignore_errors=True)


async def size_on_server(conn: AsyncConnection) -> int:
    """Bytes of a PostgreSQL database."""
    return int((await conn.execute(select(func.pg_database_size(func.current_database())))).scalar_one())


async def fill(copy: Path, address: str, tell: Callable[[str], None]) -> None:
    """Write everything that the database at `address` holds into the empty file. `tell` hears how far it is, and may
    raise to stop.
    """
    source = Database.open(address)
    target = Database.open(f"sqlite:///{copy.name}", folder=copy.parent)

    def said(table: str, done: int, total: int) -> None:
        tell(f"copying the database: {table}, {done:,} of {total:,}")

    try:
        await target.migrate()
        await moving.copy(source, target, said)
    finally:
        await source.close()
        await target.close()


def _copy(source: Path, target: Path, tell: Callable[[float], None]) -> None:
    def said(_status: int, remaining: int, total: int) -> None:
        tell(1 - remaining / max(1, total))

    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, isolation_level=None)) as theirs,
        closing(sqlite3.connect(target)) as ours,
    ):
        # A read transaction held over all steps: without it every commit of the daemon would start the copy anew.
        theirs.execute("BEGIN")
        theirs.execute("SELECT 1 FROM sqlite_master").fetchone()
        theirs.backup(ours, pages=PAGES, progress=said)


def _sweep(folder: Path) -> None:
    """Copies of processes that are gone (killed in the middle)."""
    for path in folder.glob(f"{_NAME}*"):
        pid = path.name.removeprefix(_NAME).partition("-")[0]
        if pid.isdecimal() and not lives(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
