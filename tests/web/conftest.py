from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.web_house import WebHouse, web_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[WebHouse]:
    async with web_house(tmp_path) as found:
        yield found
