"""Before and after in a real browser: phrases, a rehearsal, and the reports of an outage that was; with and without
scripts, on a wide screen and on a phone.
"""

import csv
import io
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from outagecast.domain.levels import Effect
from outagecast.domain.outage import Change, Declaration, Ending, ScopeEntry, Severity
from tests.browser.house import PASSWORD, SETUP, STAFF, SampleHouse, chromium, find_chromium, sample_house, until

CHROMIUM = find_chromium()
REQUIRED = os.environ.get("REQUIRE_BROWSER") == "1"
SERIOUS = ("serious", "critical")
SHOTS = os.environ.get("OUTAGECAST_SHOTS", "")
"""A folder to keep pictures in, for whoever wants to look."""
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        CHROMIUM is None and not REQUIRED,
        reason="NO BROWSER: THE PAGES ARE NOT TESTED. Install chromium, or name one in $OUTAGECAST_CHROMIUM",
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Manner:
    scripts: bool
    width: int

    @property
    def name(self) -> str:
        return f"{self.width}-{'js' if self.scripts else 'plain'}"


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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    assert CHROMIUM is not None, "REQUIRE_BROWSER=1, and there is no chromium here: install it"
    async with chromium(CHROMIUM) as found:
        yield found


@pytest.mark.parametrize("manner", MANNERS, ids=[manner.name for manner in MANNERS])
async def test_before_and_after(house: SampleHouse, browser: Browser, manner: Manner) -> None:
    context = await browser.new_context(
        java_script_enabled=manner.scripts, viewport={"width": manner.width, "height": 900}, base_url=house.url,
        has_touch=manner.width < 800,
    )  # fmt: skip
    context.set_default_timeout(10_000)
    broken: list[str] = []
    page = await context.new_page()
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("console", lambda said: broken.append(said.text) if said.type == "error" else None)
    try:
        await page.goto("/desk")
        await page.get_by_label("Name").fill(STAFF)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await _phrases(page, manner)
        await _rehearse(house, page, manner)
        await _reports(page, manner)
        assert broken == [], "the pages' scripts and their policy complain"
    finally:
        await context.close()


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
    await _looks_well(page, manner, "template")
    await page.get_by_role("button", name="Add the template").click()
    row = page.get_by_role("row").filter(has_text=f"Hazard {manner.name}")
    await expect(row).to_contain_text("LNK-LON-HAZ")
    await _looks_well(page, manner, "phrases")
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
    await _looks_well(page, manner, "declare")
    await page.goto(listed)


async def _rehearse(house: SampleHouse, page: Page, manner: Manner) -> None:
    begin = house.mark()
    rows = await _outages(house)
    row = page.get_by_role("row").filter(has_text=f"Hazard {manner.name}")
    await row.get_by_role("link", name="Rehearse").click()
    await expect(page.get_by_label("What would be down")).to_have_value("LNK-LON-HAZ")
    await page.get_by_label("One step a line").fill("+20m eta +1h\n+1h eta +1h\n+100m resolve")
    await _looks_well(page, manner, "rehearse")
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
    await _looks_well(page, manner, "rehearsed")


async def _reports(page: Page, manner: Manner) -> None:
    await page.get_by_role("link", name="Reports", exact=True).click()
    await _looks_well(page, manner, "months")
    await page.locator("ul.months a").first.click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("1 outage; customers heard")
    await expect(page.get_by_role("img", name="Promises by day")).to_be_visible()
    await _looks_well(page, manner, "month")
    await page.get_by_role("link", name="Fibre cut near Hazard").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("first word")
    chart = page.get_by_role("img", name="When we said it would be back")
    await expect(chart).to_be_visible()
    assert await chart.locator("desc").text_content()
    await _looks_well(page, manner, "outage")
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


async def _looks_well(page: Page, manner: Manner, name: str) -> None:
    """Nothing sticks out at the side; axe finds nothing serious, in light and in dark; a picture if one is wanted."""
    size = await page.locator("html").evaluate("e => [e.scrollWidth, e.clientWidth]")
    assert size[0] <= size[1], f"{page.url} is {size[0]} px wide in a window of {size[1]}"
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        if SHOTS:
            await page.screenshot(path=f"{SHOTS}/{name}-{manner.name}-{scheme}.png", full_page=True)
        if manner.scripts:  # without scripts axe cannot run either
            found = await Axe().run(page, options={"resultTypes": ["violations"]})
            bad = [each for each in found.response["violations"] if each["impact"] in SERIOUS]
            said = "\n".join(f"{each['id']}: {each['help']}: {str(each['nodes'])[:600]}" for each in bad)
            assert not bad, f"{page.url} ({scheme}):\n{said}"
    await page.emulate_media(color_scheme="light")
