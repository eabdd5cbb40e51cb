"""The browser, and the house as most walks find it; a module that needs another one makes its own `house`."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.browser.house import SampleHouse, chromium, find_chromium, sample_house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    path = find_chromium()
    assert path is not None, "REQUIRE_BROWSER=1, and there is no chromium here: install it"
    expect.set_options(timeout=15_000)  # of five seconds a busy machine makes too little
    async with chromium(path) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SampleHouse]:
    """120 customers, nothing has happened."""
    async with sample_house(tmp_path_factory.mktemp("house"), customers=120) as found:
        yield found
