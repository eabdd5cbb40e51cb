"""The morning after a restore, in a real browser: every page says that nothing leaves, one of them lets it go on."""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from outagecast.domain.levels import Effect
from outagecast.domain.outage import Declaration, ScopeEntry
from tests.browser.house import PASSWORD, SETUP, STAFF, SampleHouse, chromium, find_chromium, sample_house

CHROMIUM = find_chromium()
REQUIRED = os.environ.get("REQUIRE_BROWSER") == "1"
SERIOUS = ("serious", "critical")
PICTURES = os.environ.get("OUTAGECAST_PICTURES", "")
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        CHROMIUM is None and not REQUIRED,
        reason="NO BROWSER: THE PAGES ARE NOT TESTED. Install chromium, or name one in $OUTAGECAST_CHROMIUM",
    ),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SampleHouse]:
    """An outage is open, and its messages wait."""
    async with sample_house(tmp_path_factory.mktemp("house"), customers=120) as found:
        await found.core.operations.pause("the test looks at it", actor=SETUP)
        scope = (ScopeEntry(kind="element", id="POP-HAZ", effect=Effect.OUTAGE),)
        await found.core.operations.declare(Declaration(title="Fibre cut near Hazard", scope=scope), actor=SETUP)
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    assert CHROMIUM is not None, "REQUIRE_BROWSER=1, and there is no chromium here: install it"
    async with chromium(CHROMIUM) as found:
        yield found


@pytest.mark.parametrize(
    ("scripts", "width", "scheme"), [(True, 1280, "light"), (False, 390, "dark")], ids=["at a desk", "on a phone"]
)
async def test_the_way_on(house: SampleHouse, browser: Browser, scripts: bool, width: int, scheme: str) -> None:
    await house.core.restored.hold(actor=SETUP)
    context = await browser.new_context(
        java_script_enabled=scripts,
        viewport={"width": width, "height": 800},
        base_url=house.url,
        color_scheme="dark" if scheme == "dark" else "light",
    )
    context.set_default_timeout(10_000)
    try:
        page = await context.new_page()
        await page.goto("/desk")
        await page.get_by_label("Name").fill(STAFF)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_text("All sending: nothing has left since")).to_be_visible()
        await _looks_well(page, width, scripts)
        await page.get_by_role("link", name="After the restore").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(
            "Nothing is sent: an older database was put back."
        )
        await expect(page.get_by_role("link", name="Fibre cut near Hazard")).to_be_visible()
        if PICTURES:
            await page.screenshot(path=f"{PICTURES}/restored-{scheme}-{width}.png", full_page=True)
        await _looks_well(page, width, scripts)
        if scripts:  # the second time they are decided about already
            await page.get_by_label("They count as sent").check()
        await page.get_by_label("Why, for the timeline").fill("looked at the mail server's log")
        await page.get_by_role("button", name="Release the hold").click()
        await expect(page.get_by_text("All sending: nothing has left since")).to_have_count(0)
        await page.goto("/desk/restored")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Nothing is held after a restore.")
    finally:
        await context.close()


async def _looks_well(page: Page, width: int, scripts: bool) -> None:
    """Nothing runs out of the window, and axe finds nothing serious (it needs scripts)."""
    if not scripts:
        return
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    found = await Axe().run(page)
    assert [v["id"] for v in found.response["violations"] if v["impact"] in SERIOUS] == []
