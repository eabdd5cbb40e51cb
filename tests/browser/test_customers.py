"""A caller on the phone, an address that is switched off, an import: as a person does it, in a real browser."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from outagecast.domain.levels import Effect
from outagecast.domain.outage import Declaration, OutageStatus, ScopeEntry, Severity
from tests.browser.house import SETUP, SampleHouse, sample_house
from tests.browser.visits import BOTH_MANNERS, IN_A_BROWSER, Manner, looks_well, sign_in, visit

pytestmark = IN_A_BROWSER


@dataclass(frozen=True, kw_only=True, slots=True)
class Somebody:
    """A customer whose line is down, and a number he rings from."""

    id: str
    name: str
    phone: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SampleHouse]:
    """With Hazard down, and everybody told."""
    async with sample_house(tmp_path_factory.mktemp("house"), customers=120) as found:
        hazard = Declaration(
            title="Fibre cut near Hazard",
            scope=(ScopeEntry(kind="element", id="POP-HAZ", effect=Effect.OUTAGE),),
            effect=Effect.OUTAGE,
            severity=Severity.CRITICAL,
            status=OutageStatus.INVESTIGATING,
            eta=found.clock() + timedelta(hours=2),
            message="A digger cut our cable.",
        )
        await found.core.operations.declare(hazard, actor=SETUP)
        await found.rest()
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def page(house: SampleHouse, browser: Browser, manner: Manner) -> AsyncIterator[Page]:
    """Signed in; whatever the page's scripts or its policy complain of fails the test."""
    async with visit(browser, house.url, manner) as opened:
        await sign_in(opened, "/desk/customers")
        await expect(opened.get_by_role("heading", name="Who is calling?")).to_be_visible()
        yield opened


@BOTH_MANNERS
async def test_a_caller(house: SampleHouse, page: Page, manner: Manner) -> None:
    who = await _somebody(house)
    await looks_well(page, manner)
    field = page.get_by_label("Phone number, name, circuit, e-mail or customer id")
    if manner.scripts:
        await page.goto("/desk")
        await page.keyboard.press("c")
        await expect(field).to_be_focused()
        await page.keyboard.type(who.name)
        await expect(page.locator("#callers")).to_contain_text(who.id)
    # As people say a number: without its country, in groups.
    spoken = f"({who.phone[2:5]}) {who.phone[5:8]}-{who.phone[8:]}"
    await field.fill(spoken)
    await field.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_contain_text(f"{who.name}:")
    assert who.phone[2:] not in page.url, "nothing personal stands in an address line"
    said = page.locator(".say-box")
    await expect(said).to_contain_text(re.compile("(has|have) been down since"))
    await expect(said).to_contain_text("We wrote to you about it at")
    await expect(page.locator("#why")).to_contain_text("Fibre cut near Hazard")
    await expect(page.locator("#why")).to_contain_text("Hazard POP")
    await expect(page.locator("#lines")).to_contain_text("Outage")
    await expect(page.locator("#told pre.words").first).to_contain_text("A digger cut our cable.")
    await expect(page.locator("#reached tr.here")).to_contain_text("is calling")
    await looks_well(page, manner)


@BOTH_MANNERS
async def test_an_address_is_switched_off_and_on(house: SampleHouse, page: Page, manner: Manner) -> None:
    who = await _somebody(house)
    await page.goto(f"/desk/customers/{who.id}")
    before = house.mark()
    phone = _phone(page, who)
    await phone.get_by_text("Write to it no more").click()
    await phone.get_by_label("Why").fill("He asked for e-mail only")
    await looks_well(page, manner)
    await phone.get_by_role("button", name=f"No more messages to {who.phone}").click()
    await expect(_phone(page, who)).to_contain_text("switched off by staff")
    await looks_well(page, manner)
    await _phone(page, who).get_by_text("Write to it again").click()
    await _phone(page, who).get_by_label("Why").fill("He took it back")
    await _phone(page, who).get_by_role("button", name=f"Write to {who.phone} again").click()
    await expect(_phone(page, who)).to_contain_text("in use")
    await _phone(page, who).get_by_role("button", name=re.compile("^What .* sees$")).click()
    await expect(page.get_by_text("Nothing can be changed from here")).to_be_visible()
    await expect(page.get_by_role("heading", level=1)).to_contain_text(re.compile("is down since|are affected"))
    assert await page.get_by_role("button").count() == 0
    await looks_well(page, manner)
    assert house.mark() == before, "none of it sends anything"


@BOTH_MANNERS
async def test_the_network(page: Page, manner: Manner) -> None:
    await page.get_by_role("link", name="Network", exact=True).click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("elements")
    await looks_well(page, manner)
    await page.get_by_label("Find by id or name").fill("hazard pop")
    await page.get_by_role("button", name="Find").click()
    await page.get_by_role("link", name="Hazard POP", exact=True).click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Hazard POP:")
    await expect(page.get_by_role("heading", name="If it fails")).to_be_visible()
    await looks_well(page, manner)
    await page.get_by_role("link", name="Declare an outage here").click()
    await expect(page.get_by_label("What is down")).to_have_value("element:POP-HAZ")
    for path in ("/desk/network?kind=sites", "/desk/network/isolated"):
        await page.goto(path)
        await looks_well(page, manner)


@BOTH_MANNERS
async def test_an_import(house: SampleHouse, page: Page, manner: Manner, tmp_path: Path) -> None:
    before = house.mark()
    shop = f"New Shop {manner.width}"
    await page.get_by_role("link", name="Import customers and network").click()
    await looks_well(page, manner)
    files = page.get_by_label("CSV files, or a zip of them")
    button = page.get_by_role("button", name="Show what would change")
    await files.set_input_files(_csv(tmp_path, f"id,nam\nN-{manner.width},{shop}\n"))
    await button.click()
    await expect(page.get_by_role("heading", name="Nothing was changed: 1 mistake to mend first.")).to_be_visible()
    await expect(page.locator(".mistakes")).to_contain_text("customers.csv:1: name: this column is missing")
    await looks_well(page, manner)
    await page.goto("/desk/import")
    line = tmp_path / "circuits.csv"
    line.write_text(f"id,customer_id,depends_on\nL-{manner.width},N-{manner.width},POP-HAZ\n")
    customers = _csv(tmp_path, f"id,name,timezone\nN-{manner.width},{shop},Mars/Base\n")
    await files.set_input_files([customers, line])
    await button.click()
    await expect(page.get_by_role("heading", name="It would make 2 new, 0 changed, 0 ended.")).to_be_visible()
    await expect(page.locator("#customers + table")).to_contain_text(shop)
    await expect(page.locator(".mistakes")).to_contain_text("Mars/Base")
    await looks_well(page, manner)
    await page.get_by_role("button", name="Apply: 2 new, 0 changed, 0 ended").click()
    await expect(page.get_by_role("heading", name="Applied: 2 new, 0 changed, 0 ended.")).to_be_visible()
    await looks_well(page, manner)
    changed = page.get_by_text("The map changed under 1 open outage")
    await expect(changed).to_be_visible()
    await expect(page.get_by_text(re.compile(r"Fibre cut near Hazard \([12] more, 0 fewer\)"))).to_be_visible()
    await page.goto("/desk/customers")
    await page.get_by_label("Phone number, name").fill(shop)
    await page.get_by_label("Phone number, name").press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"{shop}: 1 of 1 line may be down.")
    await expect(page.locator("#unapplied")).to_contain_text("1 more line by today")
    await expect(page.locator(".say-box")).to_contain_text("Do not say that all is well")
    await looks_well(page, manner)
    await expect(page.locator("#reached")).to_contain_text("not at all")
    assert house.mark() == before, "an import never sends anything"


def _csv(folder: Path, text: str) -> Path:
    path = folder / "customers.csv"
    path.write_text(text)
    return path


def _phone(page: Page, who: Somebody) -> Locator:
    return page.locator("#reached td", has_text=who.phone).first


async def _somebody(house: SampleHouse) -> Somebody:
    """Whose one contact has a phone to himself, with a line that is down."""
    query = """
        SELECT cu.id, cu.name, a.value AS phone FROM impacts i JOIN customers cu ON cu.id = i.customer_id
          JOIN contacts co ON co.customer_id = cu.id JOIN addresses a ON a.id = co.phone_id
         WHERE i.to_at IS NULL AND a.suppressed IS NULL
           AND (SELECT count(*) FROM contacts c WHERE c.phone_id = a.id) = 1
           AND EXISTS (SELECT 1 FROM deliveries d WHERE d.address_id = a.id AND d.state = 'delivered')
         ORDER BY cu.id LIMIT 1
    """
    async with house.core.db.read() as conn:
        row = (await conn.exec_driver_sql(query)).mappings().one()
    return Somebody(**row)
