"""A fresh database for one test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outagecast.storage.engine import Database


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database.open("sqlite:///t.db", folder=tmp_path / "db")
    await database.migrate()
    yield database
    await database.close()
