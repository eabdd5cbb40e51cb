"""What guards a row between its claim and its end: the fence of whoever holds it, and the state of its address."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from outagecast.domain.delivery import DeliveryState
from outagecast.storage import deliveries, tables
from outagecast.storage.deliveries import Finish, Mark
from tests.support.tiny_provider import EMAIL, TinyProvider, tiny_provider


@pytest.fixture
async def tiny(tmp_path: Path) -> AsyncIterator[TinyProvider]:
    async with tiny_provider(tmp_path, 1) as provider:
        await provider.declare()
        yield provider


async def claim(tiny: TinyProvider, owner: str) -> Any:
    now = tiny.clock()
    async with tiny.db.write() as conn:
        [row] = await deliveries.claim(
            conn, channel=EMAIL, owner=owner, now=now, until=now + timedelta(minutes=2), count=1
        )
    return row


async def mark(tiny: TinyProvider, row: Any) -> Mark | None:
    """The mark, None where it was refused."""
    wanted = Mark(id=row.id, fence=row.fence, key=tiny.new_key(), number=row.attempt + 1, at=tiny.clock())
    async with tiny.db.write() as conn:
        allowed = await deliveries.mark(conn, [wanted], tiny.clock())
    return wanted if row.id in allowed else None


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
    late = Finish(
        id=old.id, fence=old.fence, key=old.key, state=DeliveryState.ACCEPTED, at=tiny.clock(), outcome="accepted",
        code="250", detail="",
    )  # fmt: skip
    async with tiny.db.write() as conn:
        await deliveries.finish(conn, [late])
    assert await tiny.states(EMAIL) == ["transmitting"]


async def test_an_address_that_is_suppressed_after_the_claim_is_not_written_to(tiny: TinyProvider) -> None:
    """By whatever way it came to be so: also one that leaves the rows of the outbox alone."""
    row = await claim(tiny, "here")
    async with tiny.db.write() as conn:
        changed = update(tables.addresses).where(tables.addresses.c.id == row.address_id)
        await conn.execute(changed.values(suppressed="opted_out"))
    assert await mark(tiny, row) is None
    assert await tiny.attempts() == []
