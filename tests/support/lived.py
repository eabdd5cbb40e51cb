"""The database of tests/support/healthy.py after everything has happened, made once for a whole module of tests."""

import itertools
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from tests.support import healthy
from tests.support.healthy import Built


@asynccontextmanager
async def again(folder: Path, made: tuple[Path, datetime]) -> AsyncIterator[Built]:
    """An engine on a copy of what `healthy.make` made: its file, and the time it is in it."""
    built = await healthy.build(folder)
    assert built.db.path is not None
    await built.db.close()  # its connections come back by themselves, to the file that is there then
    _take_its_place(built.db.path, made[0])
    built.clock.now = made[1]
    built.post._keys = (f"again-{n}" for n in itertools.count(1))  # those of the first life are taken
    try:
        yield built
    finally:
        await built.db.close()


def _take_its_place(database: Path, file: Path) -> None:
    for path in database.parent.glob(f"{database.name}*"):
        path.unlink()
    shutil.copy(file, database)
