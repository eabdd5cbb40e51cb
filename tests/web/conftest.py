import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outagecast.storage.engine import Database
from tests.support import databases
from tests.support.web_house import WebHouse, web_house


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all its tables and nothing in them, made once."""
    folder = tmp_path_factory.mktemp("migrated")

    async def make() -> None:
        database = Database.open("sqlite:///web.db", folder=folder)
        await database.migrate()
        await database.close()

    asyncio.run(make())
    return folder / "web.db"


@pytest.fixture
async def house(tmp_path: Path, migrated: Path) -> AsyncIterator[WebHouse]:
    if databases.chosen() == "sqlite":
        shutil.copy(migrated, tmp_path / "web.db")
    async with web_house(tmp_path) as found:
        yield found
