"""The database of tests/support/healthy.py after everything has happened, made once for a whole module of tests."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from tests.support import healthy
from tests.support.databases import copied
from tests.support.healthy import Built


@asynccontextmanager
async def again(folder: Path, made: tuple[Path, datetime]) -> AsyncIterator[Built]:
    """An engine on a copy of what `healthy.make` made: its folder, and the time it is in it."""
    copied("outagecast.db", made[0], folder)
    built = await healthy.build(folder, filled=True)
    built.clock.now = made[1]
    built.post._keys = (f"again-{n}" for n in itertools.count(1))  # those of the first life are taken
    try:
        yield built
    finally:
        await built.db.close()
