"""The promise ledger on a real database and a fake clock: what the desk forgets, the daemon says in time."""

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from outagecast.domain.outage import Change, Ending
from tests.support.healthy import ANN, MINUTE, Built, build, declaration


@pytest.fixture
async def built(tmp_path: Path) -> AsyncIterator[Built]:
    found = await build(tmp_path, wave_limit=1000)
    yield found
    await found.db.close()


async def outage(built: Built) -> Any:
    async with built.db.read() as conn:
        return (await conn.execute(text("SELECT * FROM outages"))).one()


async def play(built: Built, time: timedelta, step: timedelta = MINUTE) -> list[Any]:
    """Let time pass as a daemon would; what was sent on the way, staff messages left out."""
    sent: list[Any] = []
    until = built.clock.now + time
    while built.clock.now < until:
        built.clock.pass_(step)
        await built.promises.keep()
        sent += [(built.clock.now, row) for row in await built.post.send() if row.audience == "customer"]
    return sent


async def staff_asked(built: Built) -> list[str]:
    async with built.db.read() as conn:
        rows = await conn.execute(text("SELECT kind FROM deliveries WHERE audience = 'staff' ORDER BY id"))
        return [row.kind for row in rows]


async def test_if_the_desk_is_silent_the_daemon_speaks_before_the_promise_is_due(built: Built) -> None:
    await built.operations.declare(declaration("POP-B"), actor=ANN)
    first = await built.post.send()
    promise = first[0].promise
    sent = await play(built, timedelta(minutes=61))
    assert {row.kind for _, row in sent} == {"holding"}
    assert all(at <= promise for at, _ in sent)
    assert len(sent) == len(first)
    assert all(row.promise > promise for _, row in sent)
    assert await staff_asked(built) == ["promise"]


async def test_a_word_from_the_desk_keeps_the_promise_and_sets_the_count_back(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-B"), actor=ANN)
    await built.post.send()
    await play(built, timedelta(minutes=65))
    assert (await column(built, "strikes")) == 1
    await built.operations.update(told.outage_id, Change(message="A crew is on its way."), actor=ANN)
    assert (await column(built, "strikes")) == 0
    sent = await play(built, timedelta(minutes=50))
    assert {row.kind for _, row in sent} == {"update"}


async def test_after_four_in_a_row_no_clock_time_is_named_and_staff_are_rung_up(built: Built) -> None:
    await built.operations.declare(declaration("POP-B"), actor=ANN)
    people = len(await built.post.send())
    sent = await play(built, timedelta(hours=14), step=5 * MINUTE)
    notices = [row for _, row in sent]
    assert [row.promise is None for row in notices[::people]] == [False] * 4 + [True] * 3
    slow = [at for at, row in sent if row.promise is None][::people]
    assert [b - a for a, b in pairwise(slow)] == [timedelta(hours=4)] * 2
    assert all(row.facts["slow"] for row in notices[4 * people :])
    assert (await staff_asked(built)).count("escalation") == 3


async def test_an_eta_that_passes_is_told_once_and_is_no_strike(built: Built) -> None:
    eta = built.clock.now + 30 * MINUTE
    await built.operations.declare(declaration("POP-B", eta=eta), actor=ANN)
    people = len(await built.post.send())
    sent = await play(built, timedelta(minutes=45))
    assert len(sent) == people
    assert {(row.kind, row.facts["eta_state"], row.facts.get("eta_passed")) for _, row in sent} == {
        ("holding", "passed", True)
    }
    assert await column(built, "strikes") == 0
    assert (await staff_asked(built))[0] == "eta"
    # The promise of the declaration still stands and is kept.
    assert len(await play(built, timedelta(minutes=15))) == people


async def test_after_a_downtime_each_address_hears_one_catch_up(built: Built) -> None:
    eta = built.clock.now + 30 * MINUTE
    await built.operations.declare(declaration("POP-B", eta=eta), actor=ANN)
    people = len(await built.post.send())
    built.clock.pass_(timedelta(hours=9))
    assert len(await play(built, timedelta(minutes=20))) == people
    async with built.db.read() as conn:
        broken = await conn.execute(text("SELECT count(*) FROM timeline WHERE what = 'promise_broken'"))
        assert broken.scalar() == 1


async def test_what_had_not_left_by_its_promise_is_said_with_present_facts(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-B"), actor=ANN)
    await built.operations.hold(told.outage_id, "route down", actor=ANN)
    built.clock.pass_(timedelta(hours=3))
    await built.promises.keep()
    await built.operations.unhold(told.outage_id, actor=ANN)
    await built.promises.keep()
    sent = await built.post.send()
    customers = [row for row in sent if row.audience == "customer"]
    assert {row.kind for row in customers} == {"acknowledgement"}
    assert all(row.promise > built.clock.now for row in customers)


async def test_nothing_is_promised_any_more_once_it_is_over(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-B"), actor=ANN)
    await built.post.send()
    await built.operations.resolve(told.outage_id, Ending(), actor=ANN)
    await built.post.send()
    assert await play(built, timedelta(hours=5), step=10 * MINUTE) == []


async def column(built: Built, name: str) -> Any:
    return getattr(await outage(built), name)
