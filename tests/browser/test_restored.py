"""The morning after a restore, in a real browser: every page says that nothing leaves, one of them lets it go on."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from outagecast.domain.levels import Effect
from outagecast.domain.outage import Declaration, ScopeEntry
from tests.browser.house import SETUP, SampleHouse, sample_house
from tests.browser.visits import BOTH_MANNERS, IN_A_BROWSER, Manner, desk, looks_well

pytestmark = IN_A_BROWSER


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SampleHouse]:
    """An outage is open, and its messages wait."""
    async with sample_house(tmp_path_factory.mktemp("house"), customers=120) as found:
        await found.core.operations.pause("the test looks at it", actor=SETUP)
        scope = (ScopeEntry(kind="element", id="POP-HAZ", effect=Effect.OUTAGE),)
        await found.core.operations.declare(Declaration(title="Fibre cut near Hazard", scope=scope), actor=SETUP)
        yield found


@BOTH_MANNERS
async def test_the_way_on(house: SampleHouse, browser: Browser, manner: Manner) -> None:
    await house.core.restored.hold(actor=SETUP)
    async with desk(browser, house.url, manner) as page:
        await expect(page.get_by_text("All sending: nothing has left since")).to_be_visible()
        await looks_well(page, manner)
        await page.get_by_role("link", name="After the restore").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(
            "Nothing is sent: an older database was put back."
        )
        await expect(page.get_by_role("link", name="Fibre cut near Hazard")).to_be_visible()
        await looks_well(page, manner, "restored")
        if manner.scripts:  # the second time they are decided about already
            await page.get_by_label("They count as sent").check()
        await page.get_by_label("Why, for the timeline").fill("looked at the mail server's log")
        await page.get_by_role("button", name="Release the hold").click()
        await expect(page.get_by_text("All sending: nothing has left since")).to_have_count(0)
        await page.goto("/desk/restored")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Nothing is held after a restore.")
