"""Marks and outcomes by the batch, more of them than one statement takes, some of them refused."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from outagecast.domain.delivery import DeliveryState
from outagecast.storage import claims, wire
from outagecast.storage.engine import Connection, DatabaseFault
from outagecast.storage.wire import Finish, Mark
from tests.support.tiny_provider import EMAIL, TinyProvider, tiny_provider

S = DeliveryState
PART, MANY = 16, 35


@pytest.fixture
async def tiny(tmp_path: Path) -> AsyncIterator[TinyProvider]:
    async with tiny_provider(tmp_path, MANY) as provider:
        await provider.declare()
        yield provider


async def claim(tiny: TinyProvider) -> list[Any]:
    now = tiny.clock()

    async def work(conn: Connection) -> list[Any]:
        until = now + timedelta(minutes=2)
        return list(await claims.claim(conn, channel=EMAIL, owner="here", now=now, until=until, count=MANY))

    return await tiny.db.transact(work)


def marks_of(tiny: TinyProvider, rows: list[Any]) -> list[Mark]:
    now = tiny.clock()
    return [
        Mark(id=row.id, fence=row.fence, key=tiny.new_key(), number=row.attempt + 1, at=now, route="main")
        for row in rows
    ]


async def mark(tiny: TinyProvider, marks: list[Mark]) -> set[int]:
    return await tiny.db.transact(lambda conn: wire.mark(conn, marks, tiny.clock()))


def finish_of(tiny: TinyProvider, mark: Mark, state: S) -> Finish:
    due = tiny.clock() + timedelta(minutes=1) if state is S.PLANNED else None
    return Finish(
        id=mark.id, fence=mark.fence, key=mark.key, state=state, at=tiny.clock(), outcome=state.value, code="x",
        detail="", provider_id="P" if state is S.ACCEPTED else None, due_at=due,
    )  # fmt: skip


async def test_all_of_a_batch_are_marked_and_begun(tiny: TinyProvider) -> None:
    marks = marks_of(tiny, await claim(tiny))
    assert await mark(tiny, marks) == {m.id for m in marks}
    assert await tiny.states(EMAIL) == ["transmitting"] * MANY
    found = await tiny.attempts()
    assert [(a.key, a.delivery_id, a.number, a.started_at, a.route) for a in found] == [
        (m.key, m.id, 1, m.at, "main") for m in marks
    ]


async def test_those_that_may_not_go_are_told_apart_within_a_batch(tiny: TinyProvider) -> None:
    rows = await claim(tiny)
    await tiny.change(rows[0].id, state="superseded", reason="newer_revision")
    await tiny.change(rows[PART].id, fence=rows[PART].fence + 1)
    marks = marks_of(tiny, rows)
    refused = {rows[0].id, rows[PART].id}
    assert await mark(tiny, marks) == {m.id for m in marks} - refused
    states = await tiny.states(EMAIL)
    assert (states[0], states[PART], states.count("transmitting")) == ("superseded", "leased", MANY - 2)
    assert {a.delivery_id for a in await tiny.attempts()} == {m.id for m in marks} - refused


async def test_what_is_on_the_wire_already_is_not_marked_again(tiny: TinyProvider) -> None:
    marks = marks_of(tiny, await claim(tiny))
    await mark(tiny, marks[:1])
    again = marks_of(tiny, [row for row in await tiny.rows(EMAIL) if row.id == marks[0].id])
    assert await mark(tiny, again) == set()
    assert len(await tiny.attempts()) == 1


async def test_each_outcome_goes_to_its_own_row(tiny: TinyProvider) -> None:
    marks = marks_of(tiny, await claim(tiny))
    await mark(tiny, marks)
    ends = [S.ACCEPTED, S.AMBIGUOUS, S.FAILED, S.PLANNED]
    finishes = [finish_of(tiny, m, ends[n % 4]) for n, m in enumerate(marks)]
    await tiny.change(marks[-1].id, fence=99)  # another has taken it over meanwhile

    async def work(conn: Connection) -> None:
        await wire.finish(conn, finishes)

    await tiny.db.transact(work)
    rows = await tiny.rows(EMAIL)
    assert [row.state for row in rows[:-1]] == [f.state.value for f in finishes[:-1]]
    assert rows[-1].state == "transmitting"
    for row in rows[:4]:
        assert (row.lease_owner, row.lease_until) == (None, None)
    accepted, ambiguous, failed, planned = rows[:4]
    assert (accepted.provider_id, accepted.ended_at, accepted.ambiguous) == ("P", tiny.clock(), 0)
    assert (ambiguous.ambiguous, ambiguous.ended_at) == (1, None)
    assert (failed.ended_at, planned.due_at, planned.transmitting_at) == (tiny.clock(), finishes[3].due_at, None)
    assert [(a.outcome, a.ambiguous) for a in (await tiny.attempts())[:4]] == [
        ("accepted", False), ("ambiguous", True), ("failed", False), ("planned", False),
    ]  # fmt: skip


async def test_a_database_that_refuses_says_so_in_the_common_words(tiny: TinyProvider) -> None:
    marks = marks_of(tiny, await claim(tiny))

    async def work(conn: Connection) -> None:
        await conn.execute(text("DROP TABLE attempts"))
        await wire.mark(conn, marks, tiny.clock())

    with pytest.raises(DatabaseFault):
        await tiny.db.transact(work)
    assert await tiny.states(EMAIL) == ["leased"] * MANY
