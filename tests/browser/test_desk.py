"""The README's walk in a real browser: as a person at a desk, and with neither scripts nor room, on a phone."""

import re

from playwright.async_api import Browser, Page, expect

from tests.browser.house import PASSWORD, STAFF, SampleHouse
from tests.browser.visits import AT_A_DESK, BOTH_MANNERS, IN_A_BROWSER, Manner, desk, looks_well, visit

pytestmark = IN_A_BROWSER


@BOTH_MANNERS
async def test_the_walk(house: SampleHouse, browser: Browser, manner: Manner) -> None:
    async with desk(browser, house.url, manner) as page:
        await _walk(house, page, manner)


async def test_the_whole_job_by_keys_alone(house: SampleHouse, browser: Browser) -> None:
    async with visit(browser, house.url, AT_A_DESK) as page:
        await _by_keys(house, page)


async def _by_keys(house: SampleHouse, page: Page) -> None:
    begin = house.mark()
    await page.goto("/desk")
    await page.keyboard.type(STAFF)
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await _awake(page)
    await page.keyboard.press("d")
    await page.wait_for_url("**/desk/declare")
    await _awake(page)
    await page.keyboard.press("/")
    await page.keyboard.type("pop-lon")
    await expect(page.locator("#found")).to_contain_text("POP-LON")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("What is down")).to_have_value(re.compile("POP-LON"))
    await _tab_to(page, "#title")
    await page.keyboard.type("Power lost in London")
    await _tab_to(page, "[name=no_estimate]")
    await page.keyboard.press("Space")
    await expect(page.get_by_role("heading", name="It touches")).to_be_visible()
    await expect(page.get_by_role("button", name=re.compile(r"^Tell \d+ customers"))).to_be_enabled()
    assert house.mark() == begin, "looking sends nothing"
    await page.keyboard.press("Control+Enter")
    await page.wait_for_url("**/desk/outages/OUT-*")
    await _awake(page)
    await page.keyboard.press("u")
    await expect(page.get_by_text("A draft: nobody was told.")).to_be_visible()
    await _awake(page)
    await page.keyboard.press("r")
    await expect(page.get_by_text("Nothing of the last step has left yet.")).to_be_visible()
    house.clock.put_forward(seconds=31)
    await house.rest()
    assert house.mails(after=begin), "and now they are told"
    before = house.mark()
    await page.reload()
    await _awake(page)
    await _tab_to(page, "#message")
    await page.keyboard.type("A generator is on its way.")
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_text("Nothing of the last step has left yet.")).to_be_visible()
    house.clock.put_forward(seconds=31)
    await house.rest()
    assert any("A generator is on its way." in mail["text"] for mail in house.mails(after=before))
    await page.reload()
    await _awake(page)
    await _tab_to(page, "summary:has-text('All is back')")
    await page.keyboard.press("Enter")
    await _tab_to(page, "#resolve_message")
    await page.keyboard.type("Power is back.")
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_text("Nothing of the last step has left yet.")).to_be_visible()
    house.clock.put_forward(seconds=31)
    await house.rest()
    await expect(page.locator(".figures")).to_contain_text("resolved")


async def _awake(page: Page) -> None:
    """The page's script runs: its keys work from here on."""
    await expect(page.locator("#asof")).to_have_attribute("data-how", "live")


async def _tab_to(page: Page, selector: str) -> None:
    """By Tab alone, as somebody without a mouse gets there; what has the focus can be seen on the way."""
    goal = page.locator(selector).first
    for _ in range(60):
        if await goal.evaluate("e => e === document.activeElement"):
            return
        await page.keyboard.press("Tab")
        seen = await page.evaluate(
            "() => { const e = document.activeElement, s = getComputedStyle(e);"
            " return e === document.body || s.outlineStyle !== 'none' || s.boxShadow !== 'none'; }"
        )
        assert seen, f"the focus cannot be seen before {selector}"
    raise AssertionError(f"{selector} cannot be reached by Tab")


async def _walk(house: SampleHouse, page: Page, manner: Manner) -> None:
    begin = house.mark()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Nothing is open.")
    await looks_well(page, manner)

    # declare: find, look, send
    await page.get_by_role("link", name="Declare", exact=True).click()
    await page.get_by_label("Find by name or id").fill("haz")
    if not manner.scripts:
        await page.get_by_role("button", name="Find").click()
    await page.locator("#found").get_by_text("POP-HAZ", exact=True).click()
    if manner.scripts:
        await expect(page.get_by_label("What is down")).to_have_value("element:POP-HAZ")
    await page.get_by_label("Title, as customers may read it").fill("Fibre cut near Hazard")
    await page.get_by_role("button", name="Preview").last.click()
    touched = await page.get_by_role("heading", name="It touches").inner_text()
    customers = int(re.sub(r"\D", "", touched))
    assert customers > 3
    await expect(page.locator("#preview pre.words").first).to_contain_text("Bluegrass Fiber")
    await looks_well(page, manner)
    assert house.mark() == begin, "a preview sends nothing"
    await page.get_by_role("button", name=f"Tell {customers} customers").click()

    # a way back
    await expect(page.get_by_text("Nothing of the last step has left yet.")).to_be_visible()
    await page.get_by_role("button", name="Undo").click()
    await expect(page.get_by_text("A draft: nobody was told.")).to_be_visible()
    assert house.mark() == begin
    await page.get_by_role("button", name=f"Release: tell {customers} customers").click()
    await sent(house, page, manner)
    first = {mail["to"]: mail for mail in house.mails(after=begin)}
    assert len(first) >= 3
    assert all("no estimate" in mail["text"].lower() for mail in first.values())
    await looks_well(page, manner)

    # an estimate, and another one
    estimates: list[str] = []
    for hours in (2, 3):
        before = house.mark()
        form = page.locator("#update")
        await form.get_by_label("Expected back").fill(f"+{hours} h")
        await form.get_by_label("Message to customers").fill(f"Splicing takes {hours} hours.")
        await form.get_by_role("button", name=f"Tell {customers} customers").click()
        await sent(house, page, manner)
        said = {mail["to"]: mail["text"] for mail in house.mails(after=before)}
        assert said.keys() == first.keys()
        shown = page.locator(".figures > div").filter(has_text="Expected back").locator("time")
        for before_it in estimates:
            await expect(shown).not_to_contain_text(before_it)
        estimates.append(_clock(await shown.inner_text()))
    assert estimates[0] != estimates[1]
    assert all(estimate in text for text in said.values() for estimate in estimates), "the new one and the old one"

    # what a customer and the public see meanwhile
    link = re.search(r"/my/\S+", next(iter(said.values())))
    assert link is not None
    outage_page = page.url
    await page.goto(link.group())
    await expect(page.get_by_role("heading", level=1)).to_contain_text(re.compile("is down since|are affected"))
    await looks_well(page, manner)
    await page.goto("/")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("down for part")
    await looks_well(page, manner)
    await page.goto("/desk")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("1 outage open, next promise due in")
    await looks_well(page, manner)

    # one line is back, then all
    await page.goto(outage_page)
    before = house.mark()
    await page.get_by_text("These are back …").click()
    await page.get_by_text("Single lines that are back").click()
    await page.locator("ul.found input[name=restored]").first.check()
    await page.get_by_role("button", name="Show who hears it").first.click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("These are back:")
    await page.get_by_role("button", name=re.compile(r"^Tell \d+ customer")).click()
    await sent(house, page, manner)
    back = house.mails(after=before) + house.texts(after=before)
    assert 0 < len(back) < len(first), "only those whose line it is"
    before = house.mark()
    await page.get_by_text("All is back: resolve …").click()
    await page.get_by_role("button", name=re.compile("that all is back")).click()
    await sent(house, page, manner)
    ended = {mail["to"] for mail in house.mails(after=before)}
    assert ended
    everyone = ended | {mail["to"] for mail in back if "subject" in mail}
    assert everyone == first.keys(), "whoever was told it began is told it is over"
    await expect(page.locator(".figures")).to_contain_text("resolved")

    # who was told what
    told = page.locator("#told")
    await told.get_by_label("Channel").select_option("email")
    await told.get_by_role("button", name="Show").click()
    await page.locator("#told details summary").first.click()
    await expect(page.locator("#told pre.words").first).to_contain_text("Hazard")
    await expect(page.locator("#told")).to_contain_text("accepted")
    await looks_well(page, manner)


async def sent(house: SampleHouse, page: Page, manner: Manner) -> None:
    """The bar with its way back, then its time is over, then everything leaves."""
    await expect(page.get_by_text("Nothing of the last step has left yet.")).to_be_visible()
    house.clock.put_forward(seconds=31)
    await _told(house, page, manner)


async def _told(house: SampleHouse, page: Page, manner: Manner) -> None:
    """Wait for the outbox; the page follows by itself where scripts run."""
    await house.rest()
    if not manner.scripts:
        await page.goto(page.url.partition("?")[0])
    await expect(page.get_by_text("Nothing of the last step has left yet.")).to_have_count(0)
    await expect(page.locator("#top .told")).to_contain_text("sent")


def _clock(text: str) -> str:
    """`14:30 EST` of a time that may have its date before it."""
    return " ".join(text.split()[-2:])
