"""A caller on the phone, an address that is switched off, an import: as a person does it, in a real browser."""

import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Locator, Page, expect

from outagecast.domain.levels import Effect
from outagecast.domain.outage import Declaration, OutageStatus, ScopeEntry, Severity
from tests.browser.house import PASSWORD, SETUP, STAFF, SampleHouse, chromium, find_chromium, sample_house

CHROMIUM = find_chromium()
REQUIRED = os.environ.get("REQUIRE_BROWSER") == "1"
SERIOUS = ("serious", "critical")
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Somebody:
    """A customer whose line is down, and a number he rings from."""

    id: str
    name: str
    phone: str


AT_A_DESK = Manner(scripts=True, width=1280)
ON_A_PHONE = Manner(scripts=False, width=390)
MANNERS = pytest.mark.parametrize("manner", [AT_A_DESK, ON_A_PHONE], ids=["at a desk", "on a phone without scripts"])


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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    assert CHROMIUM is not None, "REQUIRE_BROWSER=1, and there is no chromium here: install it"
    async with chromium(CHROMIUM) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def page(house: SampleHouse, browser: Browser, manner: Manner) -> AsyncIterator[Page]:
    """Signed in; whatever the page's scripts or its policy complain of fails the test."""
    context = await browser.new_context(
        java_script_enabled=manner.scripts, viewport={"width": manner.width, "height": 800}, base_url=house.url
    )
    context.set_default_timeout(10_000)
    broken: list[str] = []
    opened = await context.new_page()
    opened.on("pageerror", lambda error: broken.append(str(error)))
    opened.on("console", lambda said: broken.append(said.text) if said.type == "error" else None)
    await opened.goto("/desk/customers")
    await opened.get_by_label("Name").fill(STAFF)
    await opened.get_by_label("Password").fill(PASSWORD)
    await opened.get_by_role("button", name="Sign in").click()
    await expect(opened.get_by_role("heading", name="Who is calling?")).to_be_visible()
    try:
        yield opened
        assert broken == [], "the pages' scripts and their policy complain"
    finally:
        await context.close()


@MANNERS
async def test_a_caller(house: SampleHouse, page: Page, manner: Manner) -> None:
    who = await _somebody(house)
    await _looks_well(page, manner)
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
    await _looks_well(page, manner)


@MANNERS
async def test_an_address_is_switched_off_and_on(house: SampleHouse, page: Page, manner: Manner) -> None:
    who = await _somebody(house)
    await page.goto(f"/desk/customers/{who.id}")
    before = house.mark()
    phone = _phone(page, who)
    await phone.get_by_text("Write to it no more").click()
    await phone.get_by_label("Why").fill("He asked for e-mail only")
    await _looks_well(page, manner)
    await phone.get_by_role("button", name=f"No more messages to {who.phone}").click()
    await expect(_phone(page, who)).to_contain_text("switched off by staff")
    await _looks_well(page, manner)
    await _phone(page, who).get_by_text("Write to it again").click()
    await _phone(page, who).get_by_label("Why").fill("He took it back")
    await _phone(page, who).get_by_role("button", name=f"Write to {who.phone} again").click()
    await expect(_phone(page, who)).to_contain_text("in use")
    await _phone(page, who).get_by_role("button", name=re.compile("^What .* sees$")).click()
    await expect(page.get_by_text("Nothing can be changed from here")).to_be_visible()
    await expect(page.get_by_role("heading", level=1)).to_contain_text(re.compile("is down since|are affected"))
    assert await page.get_by_role("button").count() == 0
    await _looks_well(page, manner)
    assert house.mark() == before, "none of it sends anything"


@MANNERS
async def test_the_network(page: Page, manner: Manner) -> None:
    await page.get_by_role("link", name="Network", exact=True).click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("elements")
    await _looks_well(page, manner)
    await page.get_by_label("Find by id or name").fill("hazard pop")
    await page.get_by_role("button", name="Find").click()
    await page.get_by_role("link", name="Hazard POP", exact=True).click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Hazard POP:")
    await expect(page.get_by_role("heading", name="If it fails")).to_be_visible()
    await _looks_well(page, manner)
    await page.get_by_role("link", name="Declare an outage here").click()
    await expect(page.get_by_label("What is down")).to_have_value("element:POP-HAZ")
    for path in ("/desk/network?kind=sites", "/desk/network/isolated"):
        await page.goto(path)
        await _looks_well(page, manner)


@MANNERS
async def test_an_import(house: SampleHouse, page: Page, manner: Manner, tmp_path: Path) -> None:
    before = house.mark()
    shop = f"New Shop {manner.width}"
    await page.get_by_role("link", name="Import customers and network").click()
    await _looks_well(page, manner)
    files = page.get_by_label("CSV files, or a zip of them")
    button = page.get_by_role("button", name="Show what would change")
    await files.set_input_files(_csv(tmp_path, f"id,nam\nN-{manner.width},{shop}\n"))
    await button.click()
    await expect(page.get_by_role("heading", name="Nothing was changed: 1 mistake to mend first.")).to_be_visible()
    await expect(page.locator(".mistakes")).to_contain_text("customers.csv:1: name: this column is missing")
    await _looks_well(page, manner)
    await page.goto("/desk/import")
    line = tmp_path / "circuits.csv"
    line.write_text(f"id,customer_id,depends_on\nL-{manner.width},N-{manner.width},POP-HAZ\n")
    customers = _csv(tmp_path, f"id,name,timezone\nN-{manner.width},{shop},Mars/Base\n")
    await files.set_input_files([customers, line])
    await button.click()
    await expect(page.get_by_role("heading", name="It would make 2 new, 0 changed, 0 ended.")).to_be_visible()
    await expect(page.locator("#customers + table")).to_contain_text(shop)
    await expect(page.locator(".mistakes")).to_contain_text("Mars/Base")
    await _looks_well(page, manner)
    await page.get_by_role("button", name="Apply: 2 new, 0 changed, 0 ended").click()
    await expect(page.get_by_role("heading", name="Applied: 2 new, 0 changed, 0 ended.")).to_be_visible()
    await _looks_well(page, manner)
    changed = page.get_by_text("The map changed under 1 open outage")
    await expect(changed).to_be_visible()
    await expect(page.get_by_text(re.compile(r"Fibre cut near Hazard \([12] more, 0 fewer\)"))).to_be_visible()
    await page.goto("/desk/customers")
    await page.get_by_label("Phone number, name").fill(shop)
    await page.get_by_label("Phone number, name").press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"{shop}: 1 of 1 line may be down.")
    await expect(page.locator("#unapplied")).to_contain_text("1 more line by today")
    await expect(page.locator(".say-box")).to_contain_text("Do not say that all is well")
    await _looks_well(page, manner)
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


async def _looks_well(page: Page, manner: Manner) -> None:
    """Nothing sticks out at the side; axe finds nothing serious, in light and in dark."""
    size = await page.locator("html").evaluate("e => [e.scrollWidth, e.clientWidth]")
    assert size[0] <= size[1], f"{page.url} is {size[0]} px wide in a window of {size[1]}"
    if not manner.scripts:
        return  # without scripts axe cannot run either
    for scheme, options in (
        ("light", {"resultTypes": ["violations"]}),
        ("dark", {"resultTypes": ["violations"], "runOnly": ["color-contrast"]}),
    ):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        found = await Axe().run(page, options=options)
        bad = [each for each in found.response["violations"] if each["impact"] in SERIOUS]
        assert not bad, f"{page.url} ({scheme}):\n" + "\n".join(
            f"{each['id']}: {each['help']}: {str(each['nodes'])[:600]}" for each in bad
        )
    await page.emulate_media(color_scheme="light")
