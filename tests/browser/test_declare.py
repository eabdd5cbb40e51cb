"""Declaring in a real browser: by keyboard alone and in few strokes, with a look at everything; and without scripts."""

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.house import SampleHouse
from tests.browser.visits import ALL_IMPACTS, ALL_RULES, IN_A_BROWSER, ON_A_PHONE, Manner, desk, looks_well

FEWER_THAN = 10
"""Key strokes besides typing words, from the board to a declaration that is on its way."""
pytestmark = IN_A_BROWSER


WIDE, NARROW = Manner(scripts=True, width=1280), Manner(scripts=True, width=390)


async def finds_nothing(page: Page) -> None:
    """axe has not even a small word to say, in light and in dark."""
    await looks_well(page, WIDE, impacts=ALL_IMPACTS, dark=ALL_RULES)


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
    async with desk(browser, house.url, WIDE) as page:
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


@pytest.mark.parametrize("manner", [WIDE, NARROW], ids=["1280", "390"])
async def test_the_right_half_follows_what_is_typed(house: SampleHouse, browser: Browser, manner: Manner) -> None:
    async with desk(browser, house.url, manner) as page:
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
        await finds_nothing(page)
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
    async with desk(browser, house.url, ON_A_PHONE) as page:
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
