"""The ledger: group commit, what is durable before what, and a database that refuses."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from outagecast.domain.delivery import DeliveryState
from outagecast.engine.crashpoints import CrashPoint
from outagecast.engine.ledger import Ledger
from outagecast.storage import claims
from outagecast.storage.claims import Claim
from outagecast.storage.wire import Finish, Mark
from tests.support.tiny_provider import EMAIL, ScriptedChannel, TinyProvider, tiny_provider

S = DeliveryState


@pytest.fixture
async def tiny(tmp_path: Path) -> AsyncIterator[TinyProvider]:
    async with tiny_provider(tmp_path, 4) as provider:
        yield provider


async def claimed(tiny: TinyProvider, owner: str = "here") -> list[Any]:
    now = tiny.clock()
    async with tiny.db.write() as conn:
        until = now + tiny.house.delivery.lease
        return list(await claims.claim(conn, channel=EMAIL, owner=owner, now=now, until=until, count=10))


def mark_of(tiny: TinyProvider, row: Any) -> Mark:
    return Mark(id=row.id, fence=row.fence, key=tiny.new_key(), number=row.attempt + 1, at=tiny.clock())


def outcome(tiny: TinyProvider, mark: Mark, state: S = S.ACCEPTED) -> Finish:
    return Finish(
        id=mark.id,
        fence=mark.fence,
        key=mark.key,
        state=state,
        at=tiny.clock(),
        outcome=state.value,
        code="250",
        detail="",
    )


@contextmanager
def locked(tiny: TinyProvider) -> Iterator[None]:
    """Another process holds the database."""
    other = sqlite3.connect(str(tiny.db.path), isolation_level=None)
    other.execute("PRAGMA busy_timeout=5000")
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.close()


async def test_marks_of_many_lanes_are_one_transaction(tiny: TinyProvider) -> None:
    commits: list[str] = []
    ledger = Ledger(tiny.db, tiny.clock, crash=commits.append)
    await tiny.declare()
    rows = await claimed(tiny)
    ledger.start()
    for _ in rows:
        ledger.lane_opened()
    allowed = await asyncio.gather(*(ledger.mark(mark_of(tiny, row)) for row in rows))
    await ledger.stop()
    assert allowed == [True] * 4
    assert commits == [CrashPoint.BEFORE_LEDGER, CrashPoint.AFTER_LEDGER]
    assert await tiny.states(EMAIL) == ["transmitting"] * 4
    assert [(a.number, a.outcome) for a in await tiny.attempts()] == [(1, None)] * 4


async def test_an_outcome_is_durable_before_the_next_mark_of_its_lane(tiny: TinyProvider) -> None:
    await tiny.declare()
    first, second, *_ = await claimed(tiny)
    tiny.ledger.start()
    mark = mark_of(tiny, first)
    assert await tiny.ledger.mark(mark)
    tiny.ledger.finish(outcome(tiny, mark), first.outage_id)
    assert await tiny.ledger.mark(mark_of(tiny, second))
    assert await tiny.states(EMAIL) == ["accepted", "transmitting", "leased", "leased"]
    await tiny.ledger.stop()


async def test_what_nobody_can_know_and_what_failed_stand_in_the_timeline(tiny: TinyProvider) -> None:
    outage = await tiny.declare()
    rows = await claimed(tiny)
    tiny.ledger.start()
    for row, state in zip(rows, (S.AMBIGUOUS, S.FAILED, S.ACCEPTED, S.PLANNED), strict=True):
        mark = mark_of(tiny, row)
        assert await tiny.ledger.mark(mark)
        tiny.ledger.finish(outcome(tiny, mark, state), row.outage_id)
    await tiny.ledger.stop()
    lines = await tiny.timeline("ambiguous", "failed")
    assert [(line.what, line.outage_id, line.data["delivery"]) for line in lines] == [
        ("ambiguous", outage, rows[0].id),
        ("failed", outage, rows[1].id),
    ]
    first = (await tiny.attempts())[0]
    assert (first.outcome, first.ambiguous) == ("ambiguous", True)
    assert [row.ambiguous for row in await tiny.rows(EMAIL)] == [1, 0, 0, 0]


async def test_a_late_outcome_does_not_wipe_out_that_nobody_knew(tiny: TinyProvider) -> None:
    """Another daemon took the row over while its answer was on its way."""
    await tiny.declare()
    row, *_ = await claimed(tiny, owner="there")
    mark = mark_of(tiny, row)
    tiny.ledger.start()
    assert await tiny.ledger.mark(mark)
    tiny.clock.pass_(121)
    await tiny.recovery(ScriptedChannel(), owner="here").look()
    tiny.ledger.finish(outcome(tiny, mark), row.outage_id)
    await tiny.ledger.stop()
    [attempt] = await tiny.attempts()
    assert attempt.ambiguous
    assert (await tiny.rows(EMAIL))[0].state == "ambiguous"


@pytest.mark.parametrize("change", ["superseded", "suppressed", "other_lease"])
async def test_what_changed_since_the_claim_is_not_marked(tiny: TinyProvider, change: str) -> None:
    await tiny.declare()
    row, *_ = await claimed(tiny)
    tiny.ledger.start()
    if change == "superseded":
        await tiny.change(row.id, state="superseded", reason="newer_revision")
    elif change == "suppressed":
        await tiny.receipts.unsubscribe(row.address_id, "list-unsubscribe")
    else:
        await tiny.change(row.id, fence=row.fence + 1)
    assert not await tiny.ledger.mark(mark_of(tiny, row))
    tiny.ledger.refuse(Claim(id=row.id, fence=row.fence))
    await tiny.ledger.stop()
    expected = {"superseded": "superseded", "suppressed": "suppressed", "other_lease": "leased"}[change]
    assert (await tiny.rows(EMAIL))[0].state == expected
    assert await tiny.attempts() == []


async def test_a_mark_that_nobody_waits_for_any_more_is_taken_back(tiny: TinyProvider) -> None:
    """The daemon stops while a mark is being written: nothing was sent, so nothing is ambiguous."""
    await tiny.declare()
    row, *_ = await claimed(tiny)
    committed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def crash(point: str) -> None:
        if point == CrashPoint.BEFORE_LEDGER and not committed.is_set():
            loop.call_soon_threadsafe(lane.cancel)
            loop.call_soon_threadsafe(committed.set)

    ledger = Ledger(tiny.db, tiny.clock, crash=crash)
    ledger.start()
    lane = ledger.mark(mark_of(tiny, row))
    with pytest.raises(asyncio.CancelledError):
        await lane
    await committed.wait()
    await ledger.stop()
    assert (await tiny.rows(EMAIL))[0].state in ("planned", "leased")
    assert all(a.outcome == "cancelled" for a in await tiny.attempts())


@pytest.mark.databases("sqlite")
async def test_a_locked_database_lets_nothing_be_marked_and_keeps_outcomes(tiny: TinyProvider) -> None:
    await tiny.declare()
    first, second, *_ = await claimed(tiny)
    tiny.ledger.start()
    mark = mark_of(tiny, first)
    assert await tiny.ledger.mark(mark)
    with locked(tiny):
        tiny.ledger.finish(outcome(tiny, mark), first.outage_id)
        assert not await tiny.ledger.mark(mark_of(tiny, second))
        assert tiny.ledger.faults == 1
    await tiny.ledger.settled()
    assert await tiny.states(EMAIL) == ["accepted", "leased", "leased", "leased"]
    assert await tiny.ledger.mark(mark_of(tiny, second))
    await tiny.ledger.stop()


@pytest.mark.databases("sqlite")
async def test_a_full_disk_lets_nothing_be_marked_and_keeps_outcomes(tiny: TinyProvider) -> None:
    await tiny.declare()
    rows = await claimed(tiny)
    tiny.ledger.start()
    mark = mark_of(tiny, rows[0])
    assert await tiny.ledger.mark(mark)
    full = _FullDisk(tiny)
    await full.fill()
    long = Finish(
        id=mark.id, fence=mark.fence, key=mark.key, state=S.AMBIGUOUS, at=tiny.clock(), outcome="ambiguous",
        code="timed_out", detail="x" * 100_000,
    )  # fmt: skip
    tiny.ledger.finish(long, rows[0].outage_id)
    assert not await tiny.ledger.mark(mark_of(tiny, rows[1]))
    assert tiny.ledger.faults >= 1
    assert await tiny.states(EMAIL) == ["transmitting", "leased", "leased", "leased"]
    await full.free()
    await tiny.ledger.settled()
    assert (await tiny.states(EMAIL))[0] == "ambiguous"
    assert await tiny.ledger.mark(mark_of(tiny, rows[1]))
    await tiny.ledger.stop()


async def test_it_is_at_rest_when_two_transactions_end_in_the_same_moment(tiny: TinyProvider) -> None:
    await tiny.declare()
    rows = await claimed(tiny)
    both = _Both()
    ledger = Ledger(both, tiny.clock)  # type: ignore[arg-type]
    ledger.start()
    marks = []
    for row in rows[:2]:
        marks.append(ledger.mark(mark_of(tiny, row)))
        await tiny.until(lambda: both.begun == len(marks))
    both.go_on.set()
    async with asyncio.timeout(2):
        assert await asyncio.gather(*marks) == [False, False]
        await ledger.settled()
    await ledger.stop()


class _Both:
    """A database with two writers whose transactions end together."""

    writers_at_once = 2

    def __init__(self) -> None:
        self.begun = 0
        self.go_on = asyncio.Event()

    def writer(self) -> "_Both":
        return self

    async def transact(self, work: Any, access: str) -> set[int]:
        self.begun += 1
        await self.go_on.wait()
        return set()

    async def close(self) -> None: ...


class _FullDisk:
    """`max_page_count` on every connection there is: SQLite says "database or disk is full" as it would for ENOSPC."""

    def __init__(self, tiny: TinyProvider) -> None:
        self._tiny = tiny
        self._writer = tiny.ledger._writers[0]

    async def fill(self) -> None:
        async with self._tiny.db.read() as conn:
            pages = int((await conn.execute(text("PRAGMA page_count"))).scalar_one())
        await self._limit(pages)

    async def free(self) -> None:
        await self._limit(1_000_000)

    async def _limit(self, pages: int) -> None:
        async def work(conn: Any) -> None:
            await conn.execute(text(f"PRAGMA max_page_count={pages}"))

        await self._writer.transact(work)
        await self._tiny.db.transact(work)
        async with self._tiny.db.write() as conn:
            await conn.execute(text(f"PRAGMA max_page_count={pages}"))
