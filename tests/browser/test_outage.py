"""One outage in a real browser: an estimate that slips at one click, branches that are back, the end, what failed."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from sqlalchemy import text

from outagecast.domain.levels import Effect
from outagecast.domain.outage import Actor, ActorKind, Change, Declaration, Ending, Role, ScopeEntry, Severity
from tests.browser.house import STAFF, SampleHouse, sample_house
from tests.browser.test_desk import sent
from tests.browser.visits import BOTH_MANNERS, IN_A_BROWSER, Manner, desk, looks_well

BEA = Actor(kind=ActorKind.STAFF, name="bea", role=Role.ADMIN)
pytestmark = IN_A_BROWSER


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SampleHouse]:
    async with sample_house(tmp_path_factory.mktemp("outage"), customers=160) as found:
        yield found


async def declared(house: SampleHouse, title: str) -> str:
    scope = tuple(ScopeEntry(kind="element", id=id, effect=Effect.OUTAGE) for id in ("POP-HAZ", "POP-PIK"))
    told = await house.core.operations.declare(
        Declaration(title=title, scope=scope, severity=Severity.CRITICAL, message="A crew is on its way."), actor=BEA
    )
    await house.rest()
    return told.outage_id


@BOTH_MANNERS
async def test_a_slipped_estimate_branches_back_and_the_end(
    house: SampleHouse, browser: Browser, manner: Manner
) -> None:
    outage = await declared(house, "Fibre cut near Hazard")
    async with desk(browser, house.url, manner) as page:
        await page.goto(f"/desk/outages/{outage}")
        await _slipped_and_back(house, page, manner)


async def _slipped_and_back(house: SampleHouse, page: Page, manner: Manner) -> None:
    begin = house.mark()

    # an estimate at one click, then it slips at one click
    await page.get_by_label("Why, in a few words").fill("Splicing takes longer.")
    await page.get_by_role("button", name=re.compile(r"^\+1 h")).click()
    await sent(house, page, manner)
    first = {mail["to"]: mail["text"] for mail in house.mails(after=begin)}
    assert len(first) > 5
    assert all("Splicing takes longer." in said for said in first.values())
    before = house.mark()
    await page.get_by_role("button", name=re.compile(r"^\+15 min")).click()
    await sent(house, page, manner)
    slipped = {mail["to"]: mail["text"] for mail in house.mails(after=before)}
    assert slipped.keys() == first.keys()
    times = [re.search(r"Expected:\s+by (\S+ \S+)", said) for said in (*first.values(), *slipped.values())]
    assert len({found.group(1) for found in times if found}) >= 2
    figure = page.locator(".figures > div").filter(has_text="Expected back")
    await expect(figure).to_contain_text("moved once")
    await looks_well(page, manner)

    # a branch is back: looked at first, then sent, then only those hear it
    before = house.mark()
    async with house.core.db.read() as conn:
        restored = (await conn.execute(text("SELECT count(*) FROM revisions WHERE verb = 'restore'"))).scalar_one()
    await page.get_by_text("These are back …").click()
    hazard = page.locator("#back").get_by_role("checkbox", name=re.compile("POP-HAZ"))
    await page.locator("#back figure.map a").filter(has_text="Hazard").last.click()
    await expect(hazard).to_be_checked()
    if manner.scripts:
        await expect(page.locator("[data-difference]")).to_contain_text(re.compile(r"\d+ customers hear of it"))
    await looks_well(page, manner)
    await page.locator("#back").get_by_label("Message", exact=True).fill("Spliced at Hazard.")
    await page.get_by_role("button", name="Show who hears it").first.click()
    heading = await page.get_by_role("heading", level=1).inner_text()
    customers = int(re.sub(r"\D", "", heading))
    assert 0 < customers < len(first) + 20
    await expect(page.locator("main")).to_contain_text("told that they are back")
    await looks_well(page, manner)
    async with house.core.db.read() as conn:
        steps = (await conn.execute(text("SELECT count(*) FROM revisions WHERE verb = 'restore'"))).scalar_one()
    assert steps == restored, "a look does nothing"
    await page.get_by_role("button", name="Back to the form").click()
    await expect(page.locator("#back").get_by_label("Message", exact=True)).to_have_value("Spliced at Hazard.")
    await expect(hazard).to_be_checked()
    await page.get_by_role("button", name="Show who hears it").first.click()
    await page.get_by_role("button", name=f"Tell {customers} customers").click()
    await sent(house, page, manner)
    back = {mail["to"] for mail in house.mails(after=before)}
    assert back
    assert back < first.keys()

    # the end
    before = house.mark()
    await page.get_by_text("All is back: resolve …").click()
    await page.get_by_role("button", name=re.compile(r"^Tell \d+ customers that all is back")).click()
    await sent(house, page, manner)
    ended = {mail["to"] for mail in house.mails(after=before)}
    assert ended | back == first.keys(), "whoever was told it began is told it is over"
    await expect(page.locator(".figures")).to_contain_text("resolved")
    await page.get_by_role("link", name="The whole timeline").click()
    await expect(page.locator("#lines")).to_contain_text("restored")
    await looks_well(page, manner)
    await page.get_by_role("link", name="On one page").click()
    await expect(page.get_by_role("table")).to_contain_text("Spliced at Hazard.")
    await looks_well(page, manner)


@BOTH_MANNERS
async def test_two_at_once_and_what_failed(house: SampleHouse, browser: Browser, manner: Manner) -> None:
    outage = await declared(house, "Cabinet burnt near Pikeville")
    async with house.core.db.write() as conn:
        lose = "UPDATE deliveries SET state = 'failed', reason = 'rejected', code = '550', detail = 'mailbox full'"
        some = "SELECT id FROM deliveries WHERE outage_id = :o AND channel = 'email' ORDER BY id LIMIT 2"
        await conn.execute(text(f"{lose} WHERE id IN ({some})"), {"o": outage})
    # The browser notes the 412 in its console; nothing else may be there.
    async with desk(browser, house.url, manner, expected="412") as page:
        await page.goto(f"/desk/outages/{outage}")
        await _two_and_failed(house, page, manner, outage)
    await house.core.operations.resolve(outage, Ending(), actor=BEA)
    await house.rest()


async def _two_and_failed(house: SampleHouse, page: Page, manner: Manner, outage: str) -> None:
    # somebody else is quicker
    await page.get_by_label("Message to customers").fill("My own words.")
    await house.core.operations.update(
        outage, Change(message="", note="Ring the fire brigade.", cause="fire"), actor=BEA
    )
    await page.get_by_role("button", name=re.compile(r"^Tell \d+ customers$")).click()
    await expect(page.locator("#since")).to_contain_text("Nothing of yours was sent")
    await expect(page.locator("#since")).to_contain_text("fire")
    await expect(page.get_by_label("Message to customers")).to_have_value("My own words.")
    await looks_well(page, manner)

    # a note and an owner
    await page.get_by_label("A note").fill("Brigade rung at 9.")
    await page.get_by_role("button", name="Keep the note").click()
    await expect(page.locator("#notes")).to_contain_text("Brigade rung at 9.")
    await page.get_by_role("button", name="Take it").click()
    await expect(page.locator(".figures")).to_contain_text(STAFF)

    # what failed: one tried again, one seen to by other means
    await expect(page.locator("#hears")).to_contain_text("2 messages did not arrive")
    await page.get_by_role("link", name="Look at them").click()
    await looks_well(page, manner)
    before = house.mark()
    await page.locator("#told tbody td a").first.click()
    await page.get_by_label("Why, or how it was seen to").fill("rang them")
    await page.get_by_role("button", name="Seen to by other means").click()
    await expect(page.locator("#one")).to_contain_text("rang them")
    await looks_well(page, manner)
    await page.goto(f"/desk/outages/{outage}/deliveries?state=to_do")
    await page.locator("#told tbody td a").first.click()
    await page.get_by_role("button", name="Try again: 1 message").click()
    await expect(page.locator("#one")).to_contain_text("it says again")
    await house.rest()
    assert len(house.mails(after=before)) == 1
    await page.goto(f"/desk/outages/{outage}")
    await expect(page.locator("#hears")).not_to_contain_text("did not arrive")
