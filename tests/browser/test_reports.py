"""Before and after in a real browser: phrases, a rehearsal, and the reports of an outage that was; with and without
scripts, on a wide screen and on a phone.
"""

import csv
import io
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from outagecast.domain.levels import Effect
from outagecast.domain.outage import Change, Declaration, Ending, ScopeEntry, Severity
from tests.browser.house import SETUP, SampleHouse, sample_house, until
from tests.browser.visits import ALL_RULES, IN_A_BROWSER, Manner, desk, looks_well

pytestmark = IN_A_BROWSER


MANNERS = [Manner(scripts=True, width=1280), Manner(scripts=False, width=1280), Manner(scripts=True, width=390),
           Manner(scripts=False, width=390)]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SampleHouse]:
    """A house that has lived through one outage with a slipped ETA, a holding notice and an end."""
    async with sample_house(tmp_path_factory.mktemp("house"), customers=120) as found:
        operations = found.core.operations
        scope = (ScopeEntry(kind="element", id="POP-HAZ", effect=Effect.OUTAGE),)
        first = Declaration(
            title="Fibre cut near Hazard", scope=scope, severity=Severity.CRITICAL, cause_code="fibre_cut"
        )
        number = (await operations.declare(first, actor=SETUP)).outage_id
        await found.rest()
        for minutes, hours in ((25, 1), (50, 2)):
            found.clock.put_forward(minutes=minutes)
            await found.rest()
            eta = found.clock() + timedelta(hours=hours)
            await operations.update(number, Change(eta=eta, message="Splicing takes longer."), actor=SETUP)
            await found.rest()
        # Nobody says a word: the daemon keeps this promise itself, two seconds before it is due.
        found.clock.put_forward(minutes=29, seconds=57)
        await until(lambda: _revisions(found, "holding"), "the holding notice")
        await found.rest()
        found.clock.put_forward(minutes=20)
        await operations.resolve(number, Ending(message="Spliced."), actor=SETUP)
        await found.rest()
        yield found


@pytest.mark.parametrize("manner", MANNERS, ids=[manner.name for manner in MANNERS])
async def test_before_and_after(house: SampleHouse, browser: Browser, manner: Manner) -> None:
    async with desk(browser, house.url, manner, has_touch=manner.width < 800) as page:
        await _phrases(page, manner)
        await _rehearse(house, page, manner)
        await _reports(page, manner)


async def _phrases(page: Page, manner: Manner) -> None:
    await page.get_by_role("link", name="Phrases", exact=True).click()
    name = f"Crew {manner.name}"
    form = page.locator("#phrase")
    if not await form.get_by_label("Name").is_visible():
        await form.locator("summary").click()
    await form.get_by_label("Name").fill(name)
    await form.get_by_label("Words, as customers read them").fill("A crew is on its way.")
    await form.get_by_label("For the cause").fill("fibre_cut")
    await form.get_by_role("button", name="Add the phrase").click()
    await expect(page.get_by_role("row").filter(has_text=name)).to_contain_text("A crew is on its way.")
    await page.get_by_role("link", name="A new template").click()
    await page.get_by_label("Name").fill(f"Hazard {manner.name}")
    await page.get_by_label("Title, as customers may read it").fill("Fibre cut near Hazard")
    await page.get_by_label("What is down").fill("LNK-LON-HAZ")
    await page.get_by_label("Message to customers").fill("The cable is cut.")
    await looks_well(page, manner, "template", dark=ALL_RULES)
    await page.get_by_role("button", name="Add the template").click()
    row = page.get_by_role("row").filter(has_text=f"Hazard {manner.name}")
    await expect(row).to_contain_text("LNK-LON-HAZ")
    await looks_well(page, manner, "phrases", dark=ALL_RULES)
    # The declare form is filled in, and a phrase stands beside its message.
    listed = page.url
    await row.get_by_role("link", name="Declare").click()
    box = page.get_by_label("Message to customers")
    await expect(page.get_by_label("What is down").first).to_have_value("LNK-LON-HAZ")
    await expect(box).to_have_value("The cable is cut.")
    await page.get_by_text("Ready-made phrases").click()
    button = page.get_by_role("button", name=f"Put in “{name}”")
    if manner.scripts:
        await button.click()
        await expect(box).to_have_value("The cable is cut. A crew is on its way.")
    else:
        await expect(button).to_have_count(0)
        await expect(page.locator(".phrases").get_by_text("A crew is on its way.").first).to_be_visible()
    await looks_well(page, manner, "declare", dark=ALL_RULES)
    await page.goto(listed)


async def _rehearse(house: SampleHouse, page: Page, manner: Manner) -> None:
    begin = house.mark()
    rows = await _outages(house)
    row = page.get_by_role("row").filter(has_text=f"Hazard {manner.name}")
    await row.get_by_role("link", name="Rehearse").click()
    await expect(page.get_by_label("What would be down")).to_have_value("LNK-LON-HAZ")
    await page.get_by_label("One step a line").fill("+20m eta +1h\n+1h eta +1h\n+100m resolve")
    await looks_well(page, manner, "rehearse", dark=ALL_RULES)
    await page.get_by_role("button", name="Play it").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("customers touched", timeout=30_000)
    await expect(page.get_by_text("nothing was stored and nothing was sent")).to_be_visible()
    waves = page.locator("table").first.locator("tbody tr")
    await expect(waves).to_have_count(4)
    await expect(waves.first).to_contain_text("acknowledgement")
    await expect(page.locator("pre.words").first).to_contain_text("Bluegrass Fiber")
    await expect(page.get_by_role("img", name="When we said it would be back")).to_be_visible()
    assert house.mark() == begin, "a rehearsal sends nothing"
    assert await _outages(house) == rows, "a rehearsal stores nothing"
    await looks_well(page, manner, "rehearsed", dark=ALL_RULES)


async def _reports(page: Page, manner: Manner) -> None:
    await page.get_by_role("link", name="Reports", exact=True).click()
    await looks_well(page, manner, "months", dark=ALL_RULES)
    await page.locator("ul.months a").first.click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("1 outage; customers heard")
    await expect(page.get_by_role("img", name="Promises by day")).to_be_visible()
    await looks_well(page, manner, "month", dark=ALL_RULES)
    await page.get_by_role("link", name="Fibre cut near Hazard").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("first word")
    chart = page.get_by_role("img", name="When we said it would be back")
    await expect(chart).to_be_visible()
    assert await chart.locator("desc").text_content()
    await looks_well(page, manner, "outage", dark=ALL_RULES)
    href = await page.get_by_role("link", name="Each word, as CSV").get_attribute("href")
    answer = await page.request.get(str(href))
    verbs = [row["verb"] for row in csv.DictReader(io.StringIO((await answer.body()).decode("utf-8-sig")))]
    assert verbs[0] == "declare" and verbs[-1] == "resolve"
    assert verbs.count("update") == 2


async def _revisions(house: SampleHouse, verb: str) -> int:
    async with house.core.db.read() as conn:
        query = "SELECT count(*) FROM revisions WHERE verb = ? AND state = 'effective'"
        return int((await conn.exec_driver_sql(query, (verb,))).scalar_one())


async def _outages(house: SampleHouse) -> int:
    async with house.core.db.read() as conn:
        return int((await conn.exec_driver_sql("SELECT count(*) FROM outages")).scalar_one())
