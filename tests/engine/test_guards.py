"""What guards a row between its claim and its end: the fence of whoever holds it, and the state of its address."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import Change
from outagecast.storage import backup, claims, deliveries, tables, wire
from outagecast.storage.wire import Finish, Mark
from tests.support.tiny_provider import ANN, EMAIL, SMS, TinyProvider, tiny_provider


@pytest.fixture
async def tiny(tmp_path: Path) -> AsyncIterator[TinyProvider]:
    async with tiny_provider(tmp_path, 1) as provider:
        await provider.declare()
        yield provider


async def claim_all(tiny: TinyProvider, owner: str, channel: ChannelName = EMAIL) -> list[Any]:
    now = tiny.clock()
    async with tiny.db.write() as conn:
        rows = await claims.claim(
            conn, channel=channel, owner=owner, now=now, until=now + timedelta(minutes=2), count=10
        )
    return list(rows)


async def claim(tiny: TinyProvider, owner: str) -> Any:
    [row] = await claim_all(tiny, owner)
    return row


async def mark(tiny: TinyProvider, row: Any) -> Mark | None:
    """The mark, None where it was refused."""
    wanted = Mark(id=row.id, fence=row.fence, key=tiny.new_key(), number=row.attempt + 1, at=tiny.clock())
    async with tiny.db.write() as conn:
        allowed = await wire.mark(conn, [wanted], tiny.clock())
    return wanted if row.id in allowed else None


async def finish(tiny: TinyProvider, mark: Mark, state: DeliveryState, due_at: datetime | None = None) -> None:
    done = Finish(
        id=mark.id, fence=mark.fence, key=mark.key, state=state, at=tiny.clock(), outcome=state.value, code="",
        detail="", due_at=due_at,
    )  # fmt: skip
    async with tiny.db.write() as conn:
        await wire.finish(conn, [done])


async def say(tiny: TinyProvider, outage: str) -> None:
    await tiny.operations.update(outage, Change(message="A crew is on its way."), actor=ANN)


async def test_whoever_lost_his_lease_writes_down_nothing_even_while_another_is_on_the_wire(tiny: TinyProvider) -> None:
    first = await claim(tiny, "paused")
    old = await mark(tiny, first)
    assert old is not None
    tiny.clock.pass_(121)
    await tiny.recovery(owner="other").look()
    [row] = await tiny.rows(EMAIL)
    async with tiny.db.write() as conn:
        now = tiny.clock()
        settled = await deliveries.settle_ambiguous(
            conn, row.id, row.fence, DeliveryState.PLANNED, due_at=now, transmitting_at=None
        )
    assert settled
    assert await mark(tiny, await claim(tiny, "other")) is not None
    await finish(tiny, old, DeliveryState.ACCEPTED)
    assert await tiny.states(EMAIL) == ["transmitting"]


async def test_an_address_that_is_suppressed_after_the_claim_is_not_written_to(tiny: TinyProvider) -> None:
    """By whatever way it came to be so: also one that leaves the rows of the outbox alone."""
    row = await claim(tiny, "here")
    async with tiny.db.write() as conn:
        changed = update(tables.addresses).where(tables.addresses.c.id == row.address_id)
        await conn.execute(changed.values(suppressed="opted_out"))
    assert await mark(tiny, row) is None
    assert await tiny.attempts() == []


async def test_nothing_overtakes_what_is_on_its_way_to_the_same_address(tiny: TinyProvider) -> None:
    first = await claim(tiny, "here")
    begun = await mark(tiny, first)
    assert begun is not None
    await say(tiny, first.outage_id)
    assert await claim_all(tiny, "there") == []
    await finish(tiny, begun, DeliveryState.ACCEPTED)
    assert [row.kind for row in await claim_all(tiny, "there")] == ["update"]


async def test_what_comes_back_from_the_wire_after_a_newer_word_is_not_said_any_more(tiny: TinyProvider) -> None:
    first = await claim(tiny, "here")
    begun = await mark(tiny, first)
    assert begun is not None
    await say(tiny, first.outage_id)
    await finish(tiny, begun, DeliveryState.PLANNED, due_at=tiny.clock())
    assert await tiny.states(EMAIL) == ["superseded", "planned"]


async def test_words_are_stale_after_the_time_that_they_promise(tiny: TinyProvider) -> None:
    """Also before anybody has written down that they are."""
    [row] = await tiny.rows(EMAIL)
    tiny.clock.now = row.expires_at
    assert await claim_all(tiny, "here") == []
    tiny.clock.pass_(-1)
    claimed = await claim(tiny, "here")
    tiny.clock.pass_(1)
    assert await mark(tiny, claimed) is None


async def test_after_a_restore_nothing_leaves_not_even_what_was_claimed(tiny: TinyProvider) -> None:
    """Nor does what staff are told."""
    claimed = await claim(tiny, "here")
    [row] = await tiny.rows(SMS)
    await tiny.change(row.id, audience="staff")
    async with tiny.db.write() as conn:
        await backup.set_restored(conn, "an older database")
    assert await mark(tiny, claimed) is None
    assert await claim_all(tiny, "here", SMS) == []
    async with tiny.db.write() as conn:
        await backup.clear_restored(conn)
    assert await mark(tiny, claimed) is not None
    assert len(await claim_all(tiny, "here", SMS)) == 1
