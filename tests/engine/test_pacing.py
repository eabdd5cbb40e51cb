"""A route's rate is one for all daemons: each claim takes its own moments, no two the same, none too far ahead."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from time import monotonic

import pytest
from sqlalchemy import select

from outagecast.engine.pacing import Pace
from outagecast.storage import rates, tables
from outagecast.storage.engine import Connection, Database
from tests.support import databases


@dataclass(frozen=True)
class Row:
    id: int


class Queue:
    """Rows without end, claimed by one daemon after the other."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.next = 0
        self.asked: list[int] = []

    async def claim(self, pace: Pace, most: int = 400, there: int | None = None) -> Sequence[Row]:
        async def take(count: int) -> Sequence[Row]:
            self.asked.append(count)
            count = count if there is None else min(count, there)
            self.next += count
            return [Row(n) for n in range(self.next - count, self.next)]

        async def work(conn: Connection) -> Sequence[Row]:
            return await pace.claim(conn, most, take)

        return await self.db.transact(work, "beside")


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[Queue]:
    db = databases.opened("paced.db", tmp_path)
    await db.migrate()
    yield Queue(db)
    await db.close()


async def test_two_daemons_get_moments_that_are_one_rate_together(queue: Queue) -> None:
    one, two = Pace("email a", 20), Pace("email a", 20)
    began = monotonic()
    moments = []
    for pace in (one, two):
        moments.append([pace.moment(row) for row in await queue.claim(pace)])
    assert queue.asked == [20, 20], "a second's worth each, not a batch of four hundred"
    for each in moments:
        assert [after - before for before, after in pairwise(each)] == pytest.approx([0.05] * 19)
    assert moments[0][0] >= began
    # What it took to ask for them is in the way: the server's clock is asked, and then one's own.
    assert moments[1][0] - moments[0][0] == pytest.approx(1.0, abs=0.4)
    assert await queue.claim(one) == (), "two seconds ahead is as far as it goes"
    assert one.is_taken()


async def test_another_route_has_moments_of_its_own(queue: Queue) -> None:
    for name in ("email a", "email b", "sms a"):
        pace = Pace(name, 10)
        [first, *_] = await queue.claim(pace)
        assert pace.moment(first) <= monotonic() + 0.02


async def test_only_what_is_claimed_uses_moments_up(queue: Queue) -> None:
    pace = Pace("email a", 10)
    assert await queue.claim(pace, there=0) == []
    rows = await queue.claim(pace, there=3)
    after = await queue.claim(Pace("email a", 10))
    assert (len(rows), len(after)) == (3, 10)


async def test_a_slow_rate_lets_one_leave_at_a_time(queue: Queue) -> None:
    one, two = Pace("email a", 0.2), Pace("email a", 0.2)
    assert len(await queue.claim(one)) == 1
    assert await queue.claim(two) == ()


async def test_without_a_limit_nothing_is_asked_of_the_database(queue: Queue) -> None:
    pace = Pace("email a", 0)
    rows = await queue.claim(pace)
    assert len(rows) == 400
    assert {pace.moment(row) for row in rows} == {0.0}
    assert not pace.is_taken()
    async with queue.db.read() as conn:
        assert (await conn.execute(select(tables.rates))).all() == []


async def test_moments_given_out_before_the_clock_was_put_back_count_for_nothing(queue: Queue) -> None:
    pace = Pace("email a", 10)
    await queue.claim(pace)
    async with queue.db.write() as conn:
        await rates.take(conn, "email a", datetime.now(UTC) + timedelta(hours=1))
    [first, *_] = await queue.claim(Pace("email a", 10))
    assert first.id == 10
