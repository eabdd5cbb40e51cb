"""Declaring in a real browser: by keyboard alone and in few strokes, with a look at everything; and without scripts."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.browser.house import PASSWORD, STAFF, SampleHouse, chromium, find_chromium, sample_house

CHROMIUM = find_chromium()
REQUIRED = os.environ.get("REQUIRE_BROWSER") == "1"
FEWER_THAN = 10
"""Key strokes besides typing words, from the board to a declaration that is on its way."""
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        CHROMIUM is None and not REQUIRED,
        reason="NO BROWSER: THE PAGES ARE NOT TESTED. Install chromium, or name one in $OUTAGECAST_CHROMIUM",
    ),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SampleHouse]:
    async with sample_house(tmp_path_factory.mktemp("house"), customers=120) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    assert CHROMIUM is not None, "REQUIRE_BROWSER=1, and there is no chromium here: install it"
    async with chromium(CHROMIUM) as found:
        yield found


@asynccontextmanager
async def desk(house: SampleHouse, browser: Browser, *, scripts: bool, width: int) -> AsyncIterator[Page]:
    """The board, signed in. Nothing may be complained about meanwhile by scripts or their policy."""
    context = await browser.new_context(
        java_script_enabled=scripts, viewport={"width": width, "height": 900}, base_url=house.url
    )
    context.set_default_timeout(15_000)
    broken: list[str] = []
    page = await context.new_page()
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("console", lambda said: broken.append(said.text) if said.type == "error" else None)
    try:
        await page.goto("/desk")
        await page.get_by_label("Name").fill(STAFF)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        yield page
        assert broken == []
    finally:
        await context.close()


class Hands:
    """A keyboard that counts: words are typed, everything else is a stroke."""

    def __init__(self, page: Page) -> None:
        self._keyboard = page.keyboard
        self.strokes = 0

    async def press(self, key: str, times: int = 1) -> None:
        for _ in range(times):
            self.strokes += 1
            await self._keyboard.press(key)

    async def type(self, words: str) -> None:
        await self._keyboard.type(words, delay=15)


async def test_by_keyboard_alone_in_few_strokes(house: SampleHouse, browser: Browser) -> None:
    async with desk(house, browser, scripts=True, width=1280) as page:
        hands, begin = Hands(page), house.mark()
        await hands.press("d")
        await expect(page.get_by_label("Find by name or id")).to_be_focused()
        await hands.type("pop-haz")
        await expect(page.locator("#found input").first).to_have_value("element:POP-HAZ")
        await hands.press("Enter")
        await expect(page.get_by_label("What is down")).to_have_value("element:POP-HAZ")
        await hands.press("Tab", 2)
        await hands.type("Fibre cut near Hazard")
        await hands.press("Tab", 4)
        await hands.type("+90")
        send = page.get_by_role("button", name="Tell")
        await expect(send).to_be_enabled()
        says = await send.inner_text()
        assert int("".join(filter(str.isdecimal, says))) > 3
        assert await page.locator(".flagged").count() == 0
        await hands.press("Control+Enter")
        await expect(page.get_by_text("Nothing of the last step has left yet.")).to_be_visible()
        assert hands.strokes < FEWER_THAN, hands.strokes
        assert house.mark() == begin, "nothing has left yet"
        await page.get_by_role("button", name="Undo").click()
        await expect(page.get_by_text("A draft: nobody was told.")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 390])
async def test_the_right_half_follows_what_is_typed(house: SampleHouse, browser: Browser, width: int) -> None:
    async with desk(house, browser, scripts=True, width=width) as page:
        await page.goto("/desk/declare")
        panel = page.locator("#preview")
        await page.get_by_label("Find by name or id").press_sequentially("haz", delay=20)
        await expect(page.locator("#found input").nth(2)).to_be_visible()
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        await expect(panel.get_by_role("heading", name="It touches")).to_be_visible()
        await expect(panel.get_by_text("Before it can be sent:")).to_be_visible()
        await expect(panel.get_by_role("button", name="Tell")).to_be_disabled()
        await page.get_by_label("Title, as customers may read it").fill("OLT down")
        await page.get_by_label("Message to customers").fill("The digger is to blame.")
        for flag in ("No time:", "Jargon:", "Blame:"):
            await expect(panel.get_by_text(flag)).to_be_visible()
        await page.get_by_label("Title, as customers may read it").fill("Fibre cut near Hazard")
        await page.get_by_label("Message to customers").fill("Our crew is on the way.")
        await page.get_by_label("no estimate yet").check()
        await expect(panel.locator(".flagged")).to_have_count(0)
        await expect(panel.get_by_role("button", name="Tell")).to_be_enabled()
        await expect(panel.locator(".map svg")).to_be_visible()
        assert await panel.locator(".map .dot.outage rect").count() > 0
        await expect(panel.locator("pre.words").first).to_contain_text("Our crew is on the way.")
        # why, and as one of them reads it
        await panel.get_by_text("Why each is touched").click()
        await expect(panel.locator(".chains .id").first).to_be_visible()
        await _looks_well(page)
        button = panel.locator("button[name=read_as]").first
        reads = (await button.inner_text()).split()[1]
        await button.click()
        await expect(panel.get_by_role("heading", name=f"As {reads} will read it")).to_be_visible()
        await expect(panel.locator(".chains")).to_be_visible()
        # a list as it is pasted, and what is wrong in it
        await page.get_by_label("What is down").fill("POP-HAZ POP-LEX; POP-LEXX")
        await expect(panel.get_by_text("did you mean element POP-LEX?")).to_be_visible()
        await page.get_by_label("What is down").fill("POP-HAZ POP-LEX")
        await expect(panel.locator(".thing .id").nth(1)).to_have_text("POP-LEX")
        assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


async def test_without_scripts_on_a_phone(house: SampleHouse, browser: Browser) -> None:
    async with desk(house, browser, scripts=False, width=390) as page:
        await page.goto("/desk/declare")
        await page.get_by_label("Find by name or id").fill("pop-haz")
        await page.get_by_role("button", name="Find", exact=True).click()
        await page.locator("#found input").first.check()
        await page.get_by_label("Title, as customers may read it").fill("Fibre cut near Hazard")
        await page.get_by_role("button", name="Preview").last.click()
        panel = page.locator("#preview")
        await expect(panel.get_by_text("No time:")).to_be_visible()
        await expect(panel.locator(".map svg")).to_be_visible()
        await panel.get_by_text("Why each is touched").click()
        await panel.locator("button[name=read_as]").first.click()
        await expect(panel.get_by_role("heading", name="will read it")).to_be_visible()
        size = await page.locator("html").evaluate("e => [e.scrollWidth, e.clientWidth]")
        assert size[0] <= size[1]
        await page.get_by_role("button", name="Tell").click()
        await expect(page.get_by_text("Nothing of the last step has left yet.")).to_be_visible()
        await page.get_by_role("button", name="Undo").click()
        await expect(page.get_by_text("A draft: nobody was told.")).to_be_visible()


async def _looks_well(page: Page) -> None:
    """axe finds nothing, in light and in dark."""
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        found = await Axe().run(page, options={"resultTypes": ["violations"]})
        assert not found.response["violations"], [
            (each["id"], [str(node["html"])[:200] for node in each["nodes"]]) for each in found.response["violations"]
        ]
    await page.emulate_media(color_scheme="light")
