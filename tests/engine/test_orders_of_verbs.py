"""Verbs in orders that nobody plans: what was decided before and has no place any more, ends that had not left."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.errors import Conflict, Invalid
from outagecast.domain.levels import Effect
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import Change, Ending, ScopeEntry
from outagecast.engine.recovery import Recovery
from outagecast.engine.verify import verify
from tests.support.healthy import ANN, MINUTE, Built, build, declaration


@pytest.fixture
async def built(tmp_path: Path) -> AsyncIterator[Built]:
    found = await build(tmp_path, wave_limit=1000)
    yield found
    assert await verify(found.db, now=found.clock.now) == []
    await found.db.close()


async def revisions(built: Built, outage_id: str) -> list[tuple[str, str]]:
    async with built.db.read() as conn:
        rows = await conn.execute(
            text("SELECT verb, state FROM revisions WHERE outage_id = :o ORDER BY number"), {"o": outage_id}
        )
        return [(row.verb, row.state) for row in rows]


async def test_what_customers_have_not_heard_of_yet_can_be_merged_neither_way(built: Built) -> None:
    pending = (await built.operations.declare(declaration("POP-A"), actor=ANN, undo_for=MINUTE)).outage_id
    open_one = (await built.operations.declare(declaration("POP-B"), actor=ANN)).outage_id
    with pytest.raises(Invalid, match="is not another open outage"):
        await built.operations.merge(open_one, pending, actor=ANN)
    with pytest.raises(Conflict, match="not open to customers"):
        await built.operations.merge(pending, open_one, actor=ANN)


async def test_a_merge_that_waits_is_dropped_when_the_other_ends_first(built: Built) -> None:
    one = (await built.operations.declare(declaration("POP-A"), actor=ANN)).outage_id
    other = (await built.operations.declare(declaration("POP-B"), actor=ANN)).outage_id
    await built.operations.merge(one, other, actor=ANN, undo_for=MINUTE)
    await built.operations.resolve(other, Ending(), actor=ANN)
    built.clock.pass_(2 * MINUTE)
    await built.operations.take_due()
    assert await revisions(built, one) == [("declare", "effective"), ("merge", "undone")]
    await built.operations.update(one, Change(message="We are on it."), actor=ANN)
    await built.post.send()


async def test_an_update_that_waits_behind_the_end_is_never_said(built: Built) -> None:
    one = (await built.operations.declare(declaration("POP-A"), actor=ANN, undo_for=MINUTE)).outage_id
    await built.operations.retract(one, Ending(), actor=ANN)
    removed = (ScopeEntry(kind="element", id="POP-B", effect=Effect.OUTAGE),)
    await built.operations.update(one, Change(scope_remove=removed), actor=ANN)
    built.clock.pass_(2 * MINUTE)
    for _ in range(3):
        await built.operations.take_due()
    assert await revisions(built, one) == [("declare", "effective"), ("retract", "effective"), ("update", "undone")]
    async with built.db.read() as conn:
        still = await conn.execute(text("SELECT count(*) FROM impacts WHERE to_at IS NULL"))
        assert still.scalar() == 0


async def test_an_end_that_had_not_left_is_not_said_once_it_is_open_again(built: Built) -> None:
    one = (await built.operations.declare(declaration("POP-D"), actor=ANN)).outage_id
    await built.post.send()
    await built.operations.resolve(one, Ending(), actor=ANN)
    await built.operations.reopen(one, Ending(), actor=ANN)
    sent = [row for row in await built.post.send() if row.audience == "customer"]
    assert {row.kind for row in sent} == {"acknowledgement"}
    async with built.db.read() as conn:
        ends = await conn.execute(text("SELECT DISTINCT state FROM deliveries WHERE kind = 'resolution'"))
        assert ends.scalars().all() == [DeliveryState.SUPERSEDED.value]


async def test_whom_nobody_can_write_to_counts_with_the_outage_that_takes_over(built: Built) -> None:
    one = (await built.operations.declare(declaration("POP-A"), actor=ANN)).outage_id
    other = (await built.operations.declare(declaration("POP-D"), actor=ANN)).outage_id
    await built.post.send()
    await built.operations.merge(one, other, actor=ANN)
    await built.post.send()
    async with built.db.read() as conn:
        rows = await conn.execute(
            text("SELECT customer_id FROM deliveries WHERE outage_id = :o AND reason = 'no_address'"), {"o": other}
        )
        assert rows.scalars().all() == ["A3"]


@pytest.mark.parametrize("fate", [DeliveryState.AMBIGUOUS, DeliveryState.PLANNED], ids=["unknown", "put off"])
async def test_nobody_hears_back_late_whose_line_another_outage_has_taken_down(
    built: Built, fate: DeliveryState
) -> None:
    """The end was on the wire when the second outage was declared, and would be tried again after its word."""
    one = (await built.operations.declare(declaration("POP-D"), actor=ANN)).outage_id
    await built.post.send()
    await built.operations.resolve(one, Ending(), actor=ANN)
    rows = await built.post.claim(ChannelName.EMAIL)
    [(row, mark)] = await built.post.mark(rows)
    await built.operations.declare(declaration("POP-D"), actor=ANN)
    await built.post._finish(row, mark, fate)
    built.clock.pass_(11 * MINUTE)
    recovery = Recovery(built.house, built.receipts, None, {}, owner="post")  # type: ignore[arg-type]
    await recovery.look()
    mails = [row for row in await built.post.send() if row.channel == "email" and row.audience == "customer"]
    assert [row.kind for row in mails] == ["acknowledgement"]


async def test_whoever_heard_of_the_first_episode_only_still_hears_the_end(built: Built) -> None:
    one = (await built.operations.declare(declaration("POP-D"), actor=ANN)).outage_id
    await built.post.send()
    await built.operations.resolve(one, Ending(), actor=ANN)
    await built.operations.reopen(one, Ending(), actor=ANN)
    await built.operations.retract(one, Ending(), actor=ANN)
    sent = [row for row in await built.post.send() if row.audience == "customer"]
    assert {(row.kind, row.facts["lines"][0]["level"]) for row in sent} == {("retraction", 0)}
    assert {row.to for row in sent} == {"dee@example.org", "+18595550104"}
