"""From monitors to drafts and outages: hold-down, flapping, storms, and what a clear does (rule 25)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from outagecast.domain.event import Event, EventAction
from outagecast.engine.intake import Intake
from outagecast.engine.operations import Operations
from outagecast.engine.reckoning import Reckoner
from outagecast.monitors.settings import MonitorSettings
from tests.support.healthy import ANN, MINUTE, Built, build, declaration


@dataclass(frozen=True, kw_only=True, slots=True)
class House:
    built: Built
    intake: Intake

    async def event(self, key: str, action: str = "trigger", element: str = "POP-B", monitor: str = "careful") -> None:
        hints = {"element": (element,)} if element else {}
        found = Event(
            dedup_key=key,
            action=EventAction(action),
            occurred_at=self.built.clock.now,
            summary=f"{element} unreachable",
            hints=hints,
        )
        await self.intake.take(monitor, [found], b"{}")
        await self.intake.settled()

    async def outages(self) -> list[tuple[str, str | None]]:
        async with self.built.db.read() as conn:
            rows = await conn.execute(text("SELECT status, held_because FROM outages ORDER BY number"))
            return [(row.status, row.held_because) for row in rows]

    async def later(self, time: timedelta) -> None:
        self.built.clock.pass_(time)
        await self.intake.act()


def monitor(name: str, **more: Any) -> MonitorSettings:
    return MonitorSettings(name=name, format="generic", token=SecretStr("x" * 20), **more)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    built = await build(tmp_path, wave_limit=1000)
    monitors = [
        monitor("careful"),
        monitor("bold", action="declare", on_clear="resolve"),
        monitor("proposing", action="declare", hold_down=timedelta(0), on_clear="draft"),
        monitor("small", action="declare", hold_down=timedelta(0), max_customers=1),
    ]
    by_name = {m.name: m for m in monitors}
    intake = Intake(built.house, built.operations, Reckoner(built.db), by_name)
    yield House(built=built, intake=intake)
    await intake.close()
    await built.db.close()


async def test_an_alert_opens_a_draft_that_tells_nobody(house: House) -> None:
    await house.event("a1")
    assert await house.outages() == [("draft", None)]
    await house.later(timedelta(hours=1))
    assert await house.outages() == [("draft", None)]
    assert await house.built.post.send() == []


async def test_repeating_an_alert_changes_nothing(house: House) -> None:
    for _ in range(20):
        await house.event("a1")
    assert len(await house.outages()) == 1


async def test_a_storm_of_the_same_alert_opens_one_draft(house: House) -> None:
    await asyncio.gather(*(house.event("a1") for _ in range(30)))
    assert await house.outages() == [("draft", None)]


async def test_a_call_that_cannot_be_kept_fails_alone(house: House) -> None:
    """Those of one moment are one transaction."""
    broken = Event(dedup_key="b", action=EventAction.TRIGGER, summary="\ud800", hints={})
    calls = [house.event("a1"), house.intake.take("careful", [broken], b"{}"), house.event("a2", element="POP-A")]
    first, refused, last = await asyncio.gather(*calls, return_exceptions=True)
    assert (first, last) == (None, None)
    assert isinstance(refused, Exception)
    await house.intake.settled()
    assert await house.outages() == [("draft", None), ("draft", None)]


async def test_two_daemons_that_see_the_same_alert_open_one_draft(house: House) -> None:
    """Also for what names nothing we know, so that nothing tells the second daemon of the first one's draft."""
    other = Intake(house.built.house, house.built.operations, Reckoner(house.built.db), {"careful": monitor("careful")})
    await asyncio.gather(
        *(House(built=house.built, intake=intake).event("a1", element="") for intake in (house.intake, other) * 5)
    )
    assert await house.outages() == [("draft", "no_scope")]


async def test_a_declaring_monitor_waits_its_hold_down(house: House) -> None:
    await house.event("a1", monitor="bold")
    assert await house.outages() == [("draft", None)]
    await house.later(MINUTE)
    assert await house.outages() == [("draft", None)]
    await house.later(MINUTE)
    assert await house.outages() == [("investigating", None)]
    assert {row.kind for row in await house.built.post.send()} == {"acknowledgement"}


async def test_what_clears_before_its_hold_down_is_never_told(house: House) -> None:
    await house.event("a1", monitor="bold")
    await house.later(MINUTE)
    await house.event("a1", "resolve", monitor="bold")
    await house.later(timedelta(minutes=30))
    assert await house.outages() == [("retracted", None)]
    assert await house.built.post.send() == []


async def test_flapping_gives_one_acknowledgement_and_one_resolution(house: House) -> None:
    await house.event("a1", monitor="bold")
    await house.later(2 * MINUTE)
    for _ in range(10):
        await house.event("a1", "resolve", monitor="bold")
        await house.later(timedelta(seconds=30))
        await house.event("a1", monitor="bold")
        await house.later(timedelta(seconds=30))
    await house.event("a1", "resolve", monitor="bold")
    sent = await house.built.post.send()
    assert {row.kind for row in sent} == {"acknowledgement"}
    await house.later(timedelta(minutes=11))
    assert await house.outages() == [("resolved", None)]
    ends = await house.built.post.send()
    assert {row.kind for row in ends} == {"resolution"}
    assert len(ends) == len(sent)


async def test_what_an_open_outage_already_holds_down_is_noted_there(house: House) -> None:
    told = await house.built.operations.declare(declaration("POP-B"), actor=ANN)
    await house.event("a1", monitor="bold")
    await house.later(timedelta(hours=1))
    assert len(await house.outages()) == 1
    async with house.built.db.read() as conn:
        noted = await conn.execute(text("SELECT outage_id FROM timeline WHERE what = 'monitor'"))
        assert noted.scalars().all() == [told.outage_id]


async def test_too_many_customers_wait_for_a_person(house: House) -> None:
    await house.event("a1", element="POP-A", monitor="small")
    assert await house.outages() == [("draft", "max_customers")]
    assert await house.built.post.send() == []


async def test_the_brakes_of_the_desk_hold_for_monitors_too(house: House) -> None:
    await house.event("a1", element="POP-C", monitor="proposing")  # seven customers, approve_above is five
    assert await house.outages() == [("draft", "approve_above")]


async def test_a_clear_may_propose_the_end_for_a_person_to_release(house: House) -> None:
    await house.event("a1", monitor="proposing")
    assert await house.outages() == [("investigating", None)]
    await house.built.post.send()
    await house.event("a1", "resolve", monitor="proposing")
    await house.later(timedelta(minutes=11))
    assert await house.outages() == [("investigating", None)]
    await house.built.operations.release("OUT-2026-0001", actor=ANN)
    assert await house.outages() == [("resolved", None)]
    assert {row.kind for row in await house.built.post.send()} == {"resolution"}


async def test_an_alert_that_names_nothing_known_is_a_draft_that_says_so(house: House) -> None:
    await house.event("a1", element="ROUTER-UNKNOWN", monitor="bold")
    await house.later(timedelta(hours=1))
    assert await house.outages() == [("draft", "no_scope")]


async def test_a_beginning_that_comes_after_its_end_opens_nothing(house: House) -> None:
    began = house.built.clock.now
    house.built.clock.pass_(MINUTE)
    await house.event("a1", "resolve", monitor="bold")
    late = Event(dedup_key="a1", action=EventAction.TRIGGER, occurred_at=began, hints={"element": ("POP-B",)})
    await house.intake.take("bold", [late], b"{}")
    assert await house.outages() == []


async def test_what_clears_while_its_outage_is_being_opened_is_still_cleared(house: House) -> None:
    """The answer to the first call does not wait for what follows from it, so the next one comes in between."""
    now = house.built.clock.now
    up = Event(dedup_key="a1", action=EventAction.TRIGGER, occurred_at=now, hints={"element": ("POP-B",)})
    down = replace(up, action=EventAction.RESOLVE)

    class Meanwhile:
        """The verbs; while an outage is being declared, the monitor calls again."""

        def __getattr__(self, name: str) -> Any:
            return getattr(house.built.operations, name)

        async def declare(self, *args: Any, **values: Any) -> Any:
            told = await house.built.operations.declare(*args, **values)
            await asyncio.create_task(house.intake.take("proposing", [down], b"{}"))
            return told

    by_name = {"proposing": monitor("proposing", action="declare", hold_down=timedelta(0), on_clear="draft")}
    intake = Intake(house.built.house, cast(Operations, Meanwhile()), Reckoner(house.built.db), by_name)
    await intake.take("proposing", [up], b"{}")
    await intake.settled()
    await house.intake.settled()
    assert await house.outages() == [("draft", None)], "it is told to nobody"
    await house.later(timedelta(hours=1))
    assert await house.outages() == [("retracted", None)]
    await intake.close()
