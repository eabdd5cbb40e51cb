"""A private copy of the whole database, for what must be tried and must not happen.

The one place that knows how SQLite copies itself; PostgreSQL will need a schema of its own here.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

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
    _sweep(source.parent)
    size = sum(path.stat().st_size for path in (source, _beside(source, "-wal")) if path.exists())
    if size > largest:
        raise DatabaseRefused(f"the database has {size // 1024**2:,} MB; up to {largest // 1024**2:,} MB can be copied")
    free = shutil.disk_usage(source.parent).free
    if free < size * _ROOM:
        raise DatabaseRefused(
            f"the disk has {free // 1024**2:,} MB left, too little for a copy of {size // 1024**2:,} MB"
        )
    # Beside the database: the same disk and the same rights as what it is a copy of, never a /tmp that is memory.
    folder = Path(tempfile.mkdtemp(prefix=f"{_NAME}{os.getpid()}-", dir=source.parent))
    try:
        copy = folder / "copy.db"
        os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        _copy(source, copy, tell)
        yield copy
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
        if pid.isdecimal() and not _lives(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
