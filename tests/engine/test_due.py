"""What a tick would do, asked in one look."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest_asyncio
from sqlalchemy import insert, update

from outagecast.storage import tables
from outagecast.storage.due import Due, what_is_due
from tests.support.tiny_provider import TinyProvider, tiny_provider

NOTHING = Due(steps=False, waves=False, alarms=False, cadence=False, stale=False)
HOUR = timedelta(hours=1)


@pytest_asyncio.fixture
async def tiny(tmp_path: Path) -> AsyncIterator[TinyProvider]:
    async with tiny_provider(tmp_path, 4) as provider:
        yield provider


async def look(tiny: TinyProvider, later: timedelta = timedelta(0)) -> Due:
    return await tiny.db.look(lambda conn: what_is_due(conn, tiny.clock() + later))


async def test_nothing_is_due_in_an_empty_house(tiny: TinyProvider) -> None:
    assert await look(tiny, HOUR) == NOTHING


async def test_an_open_outage_is_looked_at_and_its_promise_passes(tiny: TinyProvider) -> None:
    outage = await tiny.declare()
    assert await look(tiny) == NOTHING
    later = await look(tiny, timedelta(days=1))
    assert (later.cadence, later.stale, later.steps, later.waves, later.alarms) == (True, True, False, False, False)
    async with tiny.db.write() as conn:
        await conn.execute(update(tables.deliveries).values(audience="staff"))
    assert not (await look(tiny, timedelta(days=1))).stale, "what staff are told does not lapse"
    async with tiny.db.write() as conn:
        await conn.execute(update(tables.outages).where(tables.outages.c.id == outage).values(status="resolved"))
    assert not (await look(tiny, timedelta(days=1))).cadence


async def test_steps_waves_and_alarms_are_due_at_their_times(tiny: TinyProvider) -> None:
    outage = await tiny.declare()
    now = tiny.clock()
    async with tiny.db.write() as conn:
        await conn.execute(update(tables.revisions).values(state="pending", effective_at=now + HOUR))
        await conn.execute(
            insert(tables.waves).values(outage_id=outage, revision=1, context={}, total=1, created_at=now)
        )
        await conn.execute(
            insert(tables.alarms).values(
                monitor="m",
                dedup_key="k",
                state="firing",
                scope=[],
                since_at=now,
                changed_at=now,
                due_at=now + 2 * HOUR,
            )
        )
    before, between, after = [await look(tiny, hours * HOUR) for hours in (0.5, 1.5, 2.5)]
    assert [(d.steps, d.alarms, d.waves) for d in (before, between, after)] == [
        (False, False, True),
        (True, False, True),
        (True, True, True),
    ]
