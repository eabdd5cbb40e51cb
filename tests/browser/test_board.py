"""The board in a real browser: it moves by itself and holds still, survives a cut line, and is worked by keys alone."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from outagecast.domain.levels import Effect
from outagecast.domain.outage import Actor, ActorKind, Change, Declaration, Ending, Role, ScopeEntry, Severity
from tests.browser.house import PASSWORD, STAFF, SampleHouse, sample_house, until
from tests.browser.visits import IN_A_BROWSER, sign_in
from tests.support.daemon import free_port

pytestmark = IN_A_BROWSER
SECOND, SECOND_PASSWORD = "bea", "another-long-enough-sentence"
ANNA = Actor(kind=ActorKind.STAFF, name=STAFF, role=Role.ADMIN)
SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) if (!each.hadRecentInput) window.shifts.push(each.value);
}).observe({ type: "layout-shift", buffered: true });
"""
"""Chromium's own measure of what moved on the page without anybody having pressed anything."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SampleHouse]:
    folder = tmp_path_factory.mktemp("board")
    async with sample_house(folder, customers=120, more="[safety]\napprove_above = 20\n") as found:
        await found.core.people.add_staff(SECOND, SECOND_PASSWORD, Role.APPROVER, actor=ANNA)
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def context(house: SampleHouse, browser: Browser) -> AsyncIterator[BrowserContext]:
    """Somebody at a desk; afterwards nothing of what he did is open."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, base_url=house.url)
    context.set_default_timeout(10_000)
    try:
        yield context
    finally:
        await context.close()
        await everything_ended(house)


async def test_what_was_sent_counts_down_and_u_takes_it_back(house: SampleHouse, context: BrowserContext) -> None:
    page = await signed_in(context)
    begin = house.mark()
    outage = await declare(house, "POP-HAZ", undo=True)
    dock = page.locator("#ways-back")
    await expect(dock).to_contain_text("Nothing of the last step has left yet.")
    await expect(dock).to_contain_text(re.compile(r"It leaves in \d+ s at \d\d:\d\d:\d\d E[SD]T"))
    before = await seconds_left(page)
    await expect(dock.locator(".far")).not_to_have_text(f"in {before} s")
    assert await seconds_left(page) < before
    box = await dock.get_by_role("button", name="Undo").bounding_box()
    assert box is not None
    assert box["height"] >= 44, "big enough for a thumb"
    await page.keyboard.press("u")
    await page.wait_for_url(f"**/desk/outages/{outage}")
    await expect(page.get_by_text("A draft: nobody was told.")).to_be_visible()
    await expect(page.locator("#ways-back section")).to_have_count(0)
    assert house.mark() == begin


async def test_when_the_time_is_over_the_bar_goes_by_itself(house: SampleHouse, context: BrowserContext) -> None:
    page = await signed_in(context)
    await declare(house, "POP-HAZ", undo=True)
    await expect(page.locator("#ways-back section")).to_have_count(1)
    house.clock.put_forward(seconds=31)
    await expect(page.locator("#ways-back section")).to_have_count(0)
    await expect(page.locator("table.board")).to_contain_text("sent")


async def test_the_board_moves_by_itself_and_nothing_jumps(house: SampleHouse, context: BrowserContext) -> None:
    first = await declare(house, "POP-HAZ")
    await house.rest()
    page = await signed_in(context)
    await page.evaluate(SHIFTS)
    await page.keyboard.press("j")
    row = page.locator(f'a[data-row][href="/desk/outages/{first}"]')
    await expect(row).to_be_focused()
    await house.core.operations.hold(first, "the words are looked at", actor=ANNA)
    await expect(page.locator("#standing")).to_contain_text(f"{first} is held by {STAFF}")
    await house.core.operations.unhold(first, actor=ANNA)
    await expect(page.locator("#standing")).to_contain_text("Sending")
    said = Change(message="A crew is there.", eta=house.clock() + timedelta(hours=2), cause="a torn cable")
    await house.core.operations.update(first, said, actor=ANNA, undo_for=None)
    await expect(page.locator("#ways-back section")).to_have_count(1)
    house.clock.put_forward(seconds=31)
    await expect(page.locator("#ways-back section")).to_have_count(0)
    await expect(page.locator("table.board")).to_contain_text("in 1 h 59 min")
    await expect(row).to_be_focused()
    moved = sum(await page.evaluate("window.shifts"))
    assert moved < 0.01, f"the page jumped by {moved:.3f} while its parts were exchanged"


async def test_a_cut_line_is_said_and_mended_by_itself(house: SampleHouse, browser: Browser) -> None:
    async with cable(house) as line:
        context = await browser.new_context(viewport={"width": 1280, "height": 800}, base_url=line.url)
        page = await signed_in(context)
        asof = page.locator("#asof")
        await expect(asof).to_contain_text("Live")
        await line.cut()
        await expect(asof).to_contain_text(re.compile(r"Not live since \d\d:\d\d:\d\d E[SD]T"), timeout=20_000)
        said = await asof.inner_text()
        outage = await declare(house, "POP-HAZ")
        await page.wait_for_timeout(1100)
        assert await asof.inner_text() == said, "the time is that of what is shown"
        await expect(page.locator("table.board")).to_have_count(0)
        await line.mend()
        await expect(asof).to_contain_text("Live", timeout=40_000)
        await expect(page.locator("table.board")).to_contain_text(outage)
        await context.close()
    await everything_ended(house)


async def test_a_tab_that_nobody_sees_gives_its_line_back(house: SampleHouse, context: BrowserContext) -> None:
    """A browser has six lines to one house: with as many tabs listening, the seventh page would never load."""
    page = await signed_in(context)
    hide = "hidden => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
    hide += " document.dispatchEvent(new Event('visibilitychange')); }"
    streams: list[str] = []
    page.on("requestfinished", lambda request: streams.append(f"closed {request.url}"))
    page.on("requestfailed", lambda request: streams.append(f"closed {request.url}"))
    page.on("request", lambda request: streams.append(f"opened {request.url}"))
    await page.evaluate(hide, True)
    await house.core.operations.pause("while nobody looked", actor=ANNA)
    events = f"{house.url}/desk/events"

    async def closed() -> bool:
        return f"closed {events}" in streams

    await until(closed, "the tab has given its line back")
    assert f"opened {events}" not in streams
    await page.evaluate(hide, False)
    await expect(page.locator("#standing")).to_contain_text("while nobody looked")
    await expect(page.locator("#asof")).to_have_attribute("data-how", "live")
    assert f"opened {events}" in streams, "it listens again"
    await house.core.operations.resume(actor=ANNA)
    await expect(page.locator("#standing")).to_contain_text("Sending")


async def test_above_the_limit_a_second_person_releases_with_a_way_back(
    house: SampleHouse, browser: Browser, context: BrowserContext
) -> None:
    page = await signed_in(context)
    begin = house.mark()
    outage = await declare(house, "POP-LEX")
    async with house.core.db.read() as conn:
        row = (await conn.exec_driver_sql("SELECT status, held_because FROM outages WHERE id = ?", (outage,))).one()
    assert tuple(row) == ("draft", "approve_above")
    waiting = page.locator("#board")
    await expect(waiting).to_contain_text("it reaches more customers than may be told without a second look")
    await page.goto(f"/desk/outages/{outage}")
    await expect(page.get_by_text("It is your own work: a second approver releases it.")).to_be_visible()
    other = await browser.new_context(viewport={"width": 390, "height": 800}, base_url=house.url, has_touch=True)
    other.set_default_timeout(10_000)
    second = await signed_in(other, SECOND, SECOND_PASSWORD)
    await second.get_by_role("link", name="Cut at POP-LEX").click()
    await second.get_by_role("button", name=re.compile(r"^Release: tell \d+ customers$")).click()
    await expect(second.locator("#ways-back")).to_contain_text(f"released by {SECOND}")
    assert house.mark() == begin, "a release has its way back too"
    await expect(page.locator("#ways-back")).to_contain_text(f"released by {SECOND}")
    house.clock.put_forward(seconds=31)
    await house.rest()
    assert house.mark() > begin
    await other.close()


async def test_pausing_by_keys_alone_shows_on_every_page_at_once(
    house: SampleHouse, browser: Browser, context: BrowserContext
) -> None:
    elsewhere = await signed_in(context)
    await elsewhere.goto("/desk/keys")
    page = await signed_in(context)
    await page.keyboard.press("p")
    await expect(page.get_by_label("Why, for everybody to read")).to_be_focused()
    await page.keyboard.type("u b d ? twice")
    assert page.url.endswith("/desk"), "letters in a field are words, not keys"
    await page.keyboard.press("Enter")
    says = re.compile(f"All sending is paused by {STAFF} since .*: u b d \\? twice")
    await expect(page.locator("#standing")).to_contain_text(says)
    await expect(elsewhere.locator("#standing")).to_contain_text(says)
    await page.get_by_role("button", name="Send again").click()
    await expect(elsewhere.locator("#standing")).to_contain_text("Sending")


async def test_all_keys_in_a_dialog_and_none_once_switched_off(house: SampleHouse, context: BrowserContext) -> None:
    page = await signed_in(context)
    await page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    await expect(dialog).to_contain_text("declare an outage")
    await expect(dialog).to_contain_text("Pause all sending")
    await page.keyboard.press("d")
    assert page.url.endswith("/desk"), "an open dialog has the keys to itself"
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await page.keyboard.press("h")
    await page.wait_for_url("**/desk/handover")
    await awake(page)
    await page.keyboard.press("b")
    await page.wait_for_url("**/desk")
    await page.goto("/desk/keys")
    await page.get_by_role("button", name="Switch single letters off").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Single letters are switched off as keys.")
    await awake(page)
    await page.keyboard.press("d")
    await page.get_by_role("button", name="Switch them on").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Every action has a key")
    await awake(page)
    await page.keyboard.press("d")
    await page.wait_for_url("**/desk/declare")


async def test_the_hand_over_is_printed_without_what_one_presses(house: SampleHouse, context: BrowserContext) -> None:
    outage = await declare(house, "POP-HAZ")
    page = await signed_in(context)
    await page.goto("/desk/handover")
    await expect(page.get_by_role("button", name="Print")).to_be_visible()
    await expect(page.get_by_role("heading", level=1)).to_contain_text(
        "1 outage to hand over, 1 asks something of you."
    )
    await page.emulate_media(media="print", color_scheme="dark")
    await expect(page.get_by_role("navigation", name="Pages")).to_be_hidden()
    await expect(page.get_by_role("button", name="Print")).to_be_hidden()
    await expect(page.get_by_text(outage).first).to_be_visible()
    paper = await page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor")
    assert paper == "rgb(255, 255, 255)", "whoever reads in the dark prints on white"


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
async def test_times_in_ones_own_zone(house: SampleHouse, browser: Browser, scripts: bool) -> None:
    context = await browser.new_context(
        viewport={"width": 390, "height": 800}, base_url=house.url, java_script_enabled=scripts
    )
    page = await signed_in(context, scripts=scripts)
    await expect(page.locator("#asof")).to_contain_text(re.compile("E[SD]T"))
    await page.get_by_role("link", name="another zone").click()
    await page.get_by_label("Time zone").select_option("Asia/Tokyo")
    await page.get_by_role("button", name="Show times so").click()
    await expect(page.locator("#asof")).to_contain_text("JST")
    await expect(page.get_by_text("Times in Asia/Tokyo")).to_be_visible()
    await context.close()


# --- what the tests do ---


async def awake(page: Page) -> None:
    """The page's script runs and hears the house: keys work from here on."""
    await expect(page.locator("#asof")).to_have_attribute("data-how", "live")


async def signed_in(
    context: BrowserContext, name: str = STAFF, password: str = PASSWORD, *, scripts: bool = True
) -> Page:
    """At the board."""
    page = await context.new_page()
    await page.goto("/desk")
    if "/sign-in" in page.url:
        await sign_in(page, name=name, password=password)
    await expect(page.get_by_role("link", name="Board")).to_be_visible()
    if scripts:
        await awake(page)
    return page


async def declare(house: SampleHouse, pop: str, *, undo: bool = False) -> str:
    declaration = Declaration(
        title=f"Cut at {pop}",
        scope=(ScopeEntry(kind="element", id=pop, effect=Effect.OUTAGE),),
        severity=Severity.MAJOR,
    )
    told = await house.core.operations.declare(declaration, actor=ANNA, undo_for=None if undo else timedelta(0))
    return told.outage_id


async def everything_ended(house: SampleHouse) -> None:
    house.clock.put_forward(seconds=31)
    await house.rest()
    async with house.core.db.read() as conn:
        rows = (
            await conn.exec_driver_sql("SELECT id, status FROM outages WHERE status NOT IN ('resolved', 'retracted')")
        ).all()
    for row in rows:
        verb = house.core.operations.retract if row.status == "draft" else house.core.operations.resolve
        await verb(row.id, Ending(), actor=ANNA)
    await house.rest()


async def seconds_left(page: Page) -> int:
    text = await page.locator("#ways-back .far").inner_text()
    found = re.fullmatch(r"in (\d+) s", text)
    assert found is not None, text
    return int(found.group(1))


@dataclass
class Cable:
    """A line between the browser and the house that can be cut: what goes over it breaks off, and nobody answers."""

    port: int
    house_port: int
    server: asyncio.Server | None = None
    ends: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def mend(self) -> None:
        self.server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)

    async def cut(self) -> None:
        if self.server is not None:
            self.server.close()
        for end in list(self.ends):
            end.transport.abort()
        self.server = None

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.house_port)
        both = {writer, there_writer}
        self.ends |= both
        try:
            await asyncio.gather(_pour(reader, there_writer), _pour(there_reader, writer))
        finally:
            self.ends -= both
            for end in both:
                end.close()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


@contextlib.asynccontextmanager
async def cable(house: SampleHouse) -> AsyncIterator[Cable]:
    line = Cable(port=free_port(), house_port=int(house.url.rpartition(":")[2]))
    await line.mend()
    try:
        yield line
    finally:
        await line.cut()
