"""The README's pictures, taken of the real product: `python -m tests.browser.pictures [FOLDER]`.

Plays an hour at Bluegrass Fiber, with the clock put forward between the steps, and looks at it through a browser.
"""

import asyncio
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from playwright.async_api import Browser, Page

from outagecast.domain.levels import Effect
from outagecast.domain.outage import (
    Actor,
    ActorKind,
    Change,
    Declaration,
    Ending,
    OutageStatus,
    Restoration,
    Role,
    ScopeEntry,
    Severity,
)
from outagecast.sandbox.provider import PROVIDER_TIMEZONE
from tests.browser.house import (
    PASSWORD,
    REPOSITORY,
    STAFF,
    ForwardClock,
    SampleHouse,
    chromium,
    find_chromium,
    sample_house,
)

ANNA = Actor(kind=ActorKind.STAFF, name=STAFF, role=Role.ADMIN)
SIZE = {"width": 1280, "height": 800}


async def main(folder: Path) -> None:
    path = find_chromium()
    if path is None:
        raise SystemExit("there is no chromium here: install it, or name one in $OUTAGECAST_CHROMIUM")
    clock = ForwardClock(ahead=_morning() - datetime.now(UTC) - timedelta(minutes=76))
    with tempfile.TemporaryDirectory(prefix="outagecast-pictures-") as scratch:
        async with sample_house(Path(scratch), customers=2000, clock=clock) as house, chromium(path) as browser:
            await _play(house)
            await _take(house, browser, folder)


def _morning() -> datetime:
    """Half past ten at Bluegrass Fiber, today: when the pictures are taken."""
    here = datetime.now(ZoneInfo(PROVIDER_TIMEZONE))
    return here.replace(hour=10, minute=30, second=0, microsecond=0).astimezone(UTC)


async def _play(house: SampleHouse) -> None:
    """Two outages open, one of them back in part; one over; a draft that waits."""
    verbs, clock = house.core.operations, house.clock
    card = await verbs.declare(
        _declaration("Line card failed in Frankfort", "element", "POP-FRA", severity=Severity.MAJOR), actor=ANNA
    )
    await _pass(house, minutes=14)
    await verbs.resolve(card.outage_id, Ending(message="The card was replaced.", cause="a failed card"), actor=ANNA)
    await _pass(house, minutes=4)
    cut = await verbs.declare(
        Declaration(
            title="Fibre cut near Hazard",
            scope=(_entry("element", "POP-HAZ"), _entry("element", "POP-PIK")),
            severity=Severity.CRITICAL,
            message="A crew is on its way.",
        ),
        actor=ANNA,
    )
    await _pass(house, minutes=16)
    await verbs.update(
        cut.outage_id,
        Change(
            message="The cable was torn at a road works south of town.",
            status=OutageStatus.IDENTIFIED,
            eta=clock() + timedelta(hours=2),
            cause="a torn cable",
        ),
        actor=ANNA,
    )
    await _pass(house, minutes=13)
    await verbs.declare(
        _declaration(
            "Some television channels freeze", "service", "iptv", effect=Effect.DEGRADED, severity=Severity.MINOR
        ),
        actor=ANNA,
    )
    await _pass(house, minutes=9)
    await verbs.update(
        cut.outage_id,
        Change(message="The second splice takes longer.", eta=clock() + timedelta(hours=3)),
        actor=ANNA,
    )
    await _pass(house, minutes=8)
    await verbs.declare(
        _declaration("Battery low at Berea tower", "element", "POP-BER", effect=Effect.AT_RISK, release=False),
        actor=ANNA,
    )
    await verbs.restore(
        cut.outage_id,
        Restoration(scope=(_entry("element", "POP-HAZ"),), message="Hazard runs over a spare fibre."),
        actor=ANNA,
    )
    await _pass(house, minutes=12)


async def _take(house: SampleHouse, browser: Browser, folder: Path) -> None:
    page = await browser.new_page(viewport=SIZE, color_scheme="light", base_url=house.url)  # type: ignore[arg-type]
    await page.goto("/desk")
    await page.get_by_label("Name").fill(STAFF)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.locator("table.board").wait_for()
    verbs = house.core.operations
    sent = await verbs.declare(
        _declaration("Power lost in Winchester", "element", "POP-WIN"), actor=ANNA, undo_for=None
    )
    await page.locator("#ways-back section").wait_for()
    await _shoot(page, folder / "desk.png")
    await page.emulate_media(color_scheme="dark")
    await _shoot(page, folder / "desk-dark.png")
    await page.emulate_media(color_scheme="light")
    await verbs.undo(sent.outage_id, actor=ANNA)
    await verbs.retract(sent.outage_id, Ending(), actor=ANNA)
    await page.get_by_role("link", name="Fibre cut near Hazard").click()
    await page.locator("#update").wait_for()
    await _shoot(page, folder / "outage.png")
    await page.goto("/desk/declare")
    await page.get_by_label("What is down").fill("POP-LON\nLNK-RIC-BER")
    await page.get_by_label("Title, as customers may read it").fill("Power lost in London")
    await page.get_by_label("Severity").select_option("critical")
    await page.get_by_label("Expected back").fill("+90")
    await page.get_by_label("Message to customers").fill("The grid is down in town; a generator is on its way.")
    await page.get_by_role("button", name="Preview").last.click()
    await page.get_by_role("heading", name="It touches").wait_for()
    await page.evaluate("window.scrollTo(0, 0)")
    await _shoot(page, folder / "declare.png")
    await page.goto("/")
    await _shoot(page, folder / "status.png")
    await page.goto(f"{house.sandbox.url}/mailbox/{_talkative(house)}")
    await page.locator("iframe:visible").first.wait_for()
    await asyncio.sleep(1)  # a frame's own page says nothing when it is painted
    await _shoot(page, folder / "inbox.png")


async def _shoot(page: Page, path: Path) -> None:
    await page.screenshot(path=path, animations="disabled")
    print(path)


async def _pass(house: SampleHouse, **length: float) -> None:
    """Let everything leave, then let time pass."""
    await house.rest()
    house.clock.put_forward(**length)


def _talkative(house: SampleHouse) -> str:
    """The mailbox with the most to show: one person's, told of the cut from its beginning to its end."""
    told: dict[str, int] = {}
    for mail in house.mails():
        told[mail["to"]] = told.get(mail["to"], 0) + 1
    return max(told, key=lambda address: (told[address] == 4, told[address]))


def _entry(kind: str, id: str, effect: Effect = Effect.OUTAGE) -> ScopeEntry:
    return ScopeEntry(kind=kind, id=id, effect=effect)


def _declaration(
    title: str,
    kind: str,
    id: str,
    *,
    effect: Effect = Effect.OUTAGE,
    severity: Severity = Severity.MAJOR,
    release: bool = True,
) -> Declaration:
    return Declaration(
        title=title, scope=(_entry(kind, id, effect),), effect=effect, severity=severity, release=release
    )


if __name__ == "__main__":
    goal = Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "docs" / "pictures"
    goal.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(goal))
