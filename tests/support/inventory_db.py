"""A fresh database for one test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outagecast.storage.engine import Database
from tests.support.databases import opened


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    database = opened("t.db", tmp_path / "db")
    await database.migrate()
    yield database
    await database.close()
