"""Rewriting SQLite's file, so that nothing is left in it of what no row holds any more."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

_WAIT_SECONDS = 30.0
_TRIES = 20
_PAUSE_SECONDS = 0.25


async def scrub(database: Path) -> bool:
    """Rewrite the file and empty the write-ahead log; False where others kept it in use all the time.

    Writers wait meanwhile: about a second for each 100 MB. Deleted rows are overwritten as they go (`secure_delete`),
    yet pages that were split or moved before keep old bytes in their free space until the file is rewritten.
    """
    return await asyncio.to_thread(_vacuum, database) and await _empty_log(database)


def _vacuum(database: Path) -> bool:
    try:
        with closing(sqlite3.connect(database, timeout=_WAIT_SECONDS, isolation_level=None)) as conn:
            conn.execute("VACUUM")
    except sqlite3.OperationalError:  # locked all the time, or no room for a second copy
        return False
    return True


async def _empty_log(database: Path) -> bool:
    """A reader that is still in the old log keeps it; there are only short ones."""
    for _ in range(_TRIES):
        if await asyncio.to_thread(_checkpoint, database):
            return True
        await asyncio.sleep(_PAUSE_SECONDS)
    return False


def _checkpoint(database: Path) -> bool:
    with closing(sqlite3.connect(database, timeout=_WAIT_SECONDS, isolation_level=None)) as conn:
        busy, _, _ = conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy
