"""The mail server goes away, in a real browser: the desk says by what mails go instead, then that nothing leaves."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from outagecast.domain.levels import Effect
from outagecast.domain.outage import Change, Declaration, Ending, ScopeEntry
from outagecast.sandbox import Sandbox, SandboxSettings, start
from tests.browser.house import SETUP, SampleHouse, sample_house, until
from tests.browser.visits import BOTH_MANNERS, IN_A_BROWSER, Manner, desk, looks_well

pytestmark = IN_A_BROWSER
RELAY = """
[[email.relays]]
name = "backup"
host = "127.0.0.1"
port = {port}

[delivery]
probe_after = "1s"
fail_over_after = "1s"
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def second() -> AsyncIterator[Sandbox]:
    """The second mail server."""
    found = await start(SandboxSettings())
    yield found
    await found.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, second: Sandbox) -> AsyncIterator[SampleHouse]:
    more = RELAY.format(port=second.smtp_port)
    async with sample_house(tmp_path_factory.mktemp("house"), customers=120, more=more) as found:
        yield found


@BOTH_MANNERS
async def test_by_what_messages_leave(house: SampleHouse, second: Sandbox, browser: Browser, manner: Manner) -> None:
    scope = (ScopeEntry(kind="element", id="POP-HAZ", effect=Effect.OUTAGE),)
    told = await house.core.operations.declare(Declaration(title="Fibre cut near Hazard", scope=scope), actor=SETUP)
    await house.rest()
    async with desk(browser, house.url, manner) as page:
        await until(lambda: _says(page, "Everything gets out."), "all is as usual")
        await page.get_by_role("link", name="Sending").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Everything gets out.")
        await expect(page.get_by_text("Stands by")).to_be_visible()
        await looks_well(page, manner, "routes-fine")
        house.sandbox.faults.add(channel="smtp", mode="code", at="mail", code=421, text="closing for maintenance")
        await house.sandbox.apply_faults()
        before = len(second.records("mail"))
        await house.core.operations.update(told.outage_id, Change(message="A crew is on its way"), actor=SETUP)
        await until(lambda: _says(page, "Everything gets out, E-mail by backup."), "the second takes over")
        await expect(page.get_by_text("E-mail goes by backup: main is down since")).to_be_visible()
        assert len(second.records("mail")) > before
        await looks_well(page, manner, "routes-detour")
        second.faults.add(channel="smtp", mode="code", at="mail", code=421, text="closing for maintenance")
        await second.apply_faults()
        await house.core.operations.update(told.outage_id, Change(message="They have found it"), actor=SETUP)
        await until(lambda: _says(page, "E-mail: nothing has left since"), "nothing leaves")
        await looks_well(page, manner, "routes-cut")
        await page.goto(f"/desk/outages/{told.outage_id}")
        await expect(page.get_by_text("wait: nothing leaves at present")).to_be_visible()
        await _mend(house, second)
        await until(lambda: _back_to_normal(house, page, told.outage_id), "the first has it all again")
    await house.core.operations.resolve(told.outage_id, Ending(), actor=SETUP)


async def _mend(house: SampleHouse, second: Sandbox) -> None:
    for sandbox in (house.sandbox, second):
        sandbox.faults.clear()
        await sandbox.apply_faults()


async def _back_to_normal(house: SampleHouse, page: Page, outage_id: str) -> bool:
    """Whether it is so after one more message to each: the first server is tried with one of them."""
    await house.core.operations.update(outage_id, Change(message="Splicing"), actor=SETUP)
    await house.rest()
    return await _says(page, "Everything gets out.")


async def _says(page: Page, sentence: str) -> bool:
    await page.goto("/desk/routes")
    return sentence in await page.get_by_role("heading", level=1).inner_text()
