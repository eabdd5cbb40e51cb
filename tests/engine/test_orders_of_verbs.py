"""Verbs in orders that nobody plans: what was decided before and has no place any more, ends that had not left."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text, update

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.errors import Conflict, Invalid
from outagecast.domain.levels import Effect, Level
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import Change, Ending, Restoration, ScopeEntry
from outagecast.engine.brakes import Brakes
from outagecast.engine.effects import Effects
from outagecast.engine.operations import Operations
from outagecast.engine.planner import Planner
from outagecast.engine.reckoned import Reckoned
from outagecast.engine.reckoning import Reckoner
from outagecast.engine.recovery import Recovery
from outagecast.engine.verify import verify
from outagecast.engine.waves import Waves
from outagecast.storage import tables
from tests.support.healthy import ANN, MINUTE, Built, build, declaration


@pytest.fixture
async def built(tmp_path: Path) -> AsyncIterator[Built]:
    found = await build(tmp_path, wave_limit=1000)
    yield found
    assert await verify(found.db, now=found.clock.now) == []
    await found.db.close()


@pytest.fixture
async def waving(tmp_path: Path) -> AsyncIterator[Built]:
    """Words for more than four addresses are planned in chunks."""
    found = await build(tmp_path, wave_limit=4)
    yield found
    assert await verify(found.db, now=found.clock.now) == []
    await found.db.close()


async def all_chunks(built: Built) -> None:
    while await built.waves.advance():
        pass


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


async def test_what_both_name_is_as_badly_off_after_a_merge_as_before(built: Built) -> None:
    slow = ScopeEntry(kind="element", id="POP-D", effect=Effect.DEGRADED)
    into = (await built.operations.declare(replace(declaration("POP-D"), scope=(slow,)), actor=ANN)).outage_id
    one = (await built.operations.declare(declaration("POP-D"), actor=ANN)).outage_id
    await built.post.send()
    await built.operations.merge(one, into, actor=ANN)
    said = [row for row in await built.post.send() if row.to == "dee@example.org"]
    assert [line["level"] for row in said for line in row.facts["lines"]] == [Level.OUTAGE]
    added = (ScopeEntry(kind="element", id="POP-E", effect=Effect.OUTAGE),)
    await built.operations.update(into, Change(scope_add=added), actor=ANN)
    assert [row.to for row in await built.post.send() if row.to == "dee@example.org"] == []


async def test_a_line_that_is_back_stays_back_after_a_merge(built: Built) -> None:
    one = (await built.operations.declare(declaration("POP-A"), actor=ANN)).outage_id
    other = (await built.operations.declare(declaration("POP-D"), actor=ANN)).outage_id
    await built.post.send()
    back = Restoration(scope=(ScopeEntry(kind="circuit", id="CIR-AB", effect=Effect.OUTAGE),))
    await built.operations.restore(one, back, actor=ANN)
    assert {row.to for row in await built.post.send() if row.audience == "customer"} == {"both@example.org"}
    await built.operations.merge(one, other, actor=ANN)
    added = (ScopeEntry(kind="element", id="POP-E", effect=Effect.OUTAGE),)
    await built.operations.update(other, Change(scope_add=added), actor=ANN)
    assert "both@example.org" not in {row.to for row in await built.post.send()}


async def test_a_line_is_not_back_by_a_merge_that_the_other_outage_holds_down(built: Built) -> None:
    one = (await built.operations.declare(declaration("POP-A"), actor=ANN)).outage_id
    other = (await built.operations.declare(declaration("POP-B"), actor=ANN)).outage_id
    await built.post.send()
    back = Restoration(scope=(ScopeEntry(kind="circuit", id="CIR-AB", effect=Effect.OUTAGE),))
    await built.operations.restore(other, back, actor=ANN)
    await built.operations.merge(one, other, actor=ANN)
    said = [row for row in await built.post.send() if row.to == "both@example.org"]
    assert {line["level"] for row in said for line in row.facts["lines"]} == {Level.OUTAGE}


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


@pytest.mark.parametrize("ends", [False, True], ids=["a word for all", "the end"])
async def test_back_that_may_not_have_arrived_is_said_once_more_whatever_comes_between(
    built: Built, ends: bool
) -> None:
    """The words for all are for those who are still down; nothing else would ever tell him."""
    one = (await built.operations.declare(declaration("POP-B"), actor=ANN)).outage_id
    await built.post.send()
    back = Restoration(scope=(ScopeEntry(kind="circuit", id="CIR-AB", effect=Effect.OUTAGE),))
    await built.operations.restore(one, back, actor=ANN)
    [(row, mark)] = await built.post.mark(await built.post.claim(ChannelName.EMAIL))
    await built.post._finish(row, mark, DeliveryState.AMBIGUOUS)
    built.clock.pass_(11 * MINUTE)
    await Recovery(built.house, built.receipts, None, {}, owner="post").look()  # type: ignore[arg-type]
    if ends:
        await built.operations.resolve(one, Ending(), actor=ANN)
    else:
        await built.operations.update(one, Change(message="We are on it."), actor=ANN)
    assert ("both@example.org", "resolution") in {(row.to, row.kind) for row in await built.post.send()}


async def test_whoever_heard_of_the_first_episode_only_still_hears_the_end(built: Built) -> None:
    one = (await built.operations.declare(declaration("POP-D"), actor=ANN)).outage_id
    await built.post.send()
    await built.operations.resolve(one, Ending(), actor=ANN)
    await built.operations.reopen(one, Ending(), actor=ANN)
    await built.operations.retract(one, Ending(), actor=ANN)
    sent = [row for row in await built.post.send() if row.audience == "customer"]
    assert {(row.kind, row.facts["lines"][0]["level"]) for row in sent} == {("retraction", 0)}
    assert {row.to for row in sent} == {"dee@example.org", "+18595550104"}


async def test_a_line_that_another_outage_told_while_a_wave_was_planned_is_told_once(waving: Built) -> None:
    scope = (*declaration("POP-A").scope, *declaration("POP-B").scope)
    await waving.operations.declare(replace(declaration("POP-A"), scope=scope), actor=ANN)
    await waving.operations.declare(declaration("CIR-AB", kind="circuit"), actor=ANN)
    await all_chunks(waving)
    assert [row.kind for row in await waving.post.send() if row.to == "both@example.org"] == ["acknowledgement"]


async def _new_address(built: Built) -> None:
    async with built.db.write() as conn:
        await conn.execute(insert(tables.addresses), [{"id": 500, "channel": "email", "value": "new@example.org"}])
        await conn.execute(update(tables.contacts).where(tables.contacts.c.id == "K-D1").values(email_id=500))


async def _told_via_parent(built: Built) -> None:
    customer = update(tables.customers).where(tables.customers.c.id == "D1")
    async with built.db.write() as conn:
        await conn.execute(customer.values(parent_id="E1", told_via="parent"))


@pytest.mark.parametrize("change", [_new_address, _told_via_parent])
async def test_an_address_that_is_nobodys_any_more_hears_the_end_and_nothing_else(
    built: Built, change: Callable[[Built], Awaitable[None]]
) -> None:
    one = (await built.operations.declare(declaration("POP-D"), actor=ANN)).outage_id
    await built.post.send()
    await change(built)
    await built.operations.update(one, Change(message="We are on it."), actor=ANN)
    await built.post.send()
    await built.operations.resolve(one, Ending(), actor=ANN)
    await built.post.send()
    async with built.db.read() as conn:
        said = await conn.execute(
            text("SELECT kind, state, reason FROM deliveries WHERE \"to\" = 'dee@example.org' ORDER BY id")
        )
        assert said.all() == [
            ("acknowledgement", "accepted", None),
            ("update", "suppressed", "contact_removed"),
            ("resolution", "accepted", None),
        ]


async def test_back_that_has_not_left_is_not_lost_with_the_address(built: Built) -> None:
    """The word after it takes its place, and says it as well."""
    one = (await built.operations.declare(declaration("POP-D"), actor=ANN)).outage_id
    await built.post.send()
    await built.operations.restore(one, Restoration(scope=declaration("POP-D").scope), actor=ANN)
    await _new_address(built)
    await built.operations.resolve(one, Ending(), actor=ANN)
    assert ("dee@example.org", "resolution") in {(row.to, row.kind) for row in await built.post.send()}


async def test_a_contact_who_is_gone_hears_nothing_any_more(built: Built) -> None:
    one = (await built.operations.declare(declaration("POP-D"), actor=ANN)).outage_id
    await built.post.send()
    async with built.db.write() as conn:
        await conn.execute(update(tables.contacts).where(tables.contacts.c.id == "K-D1").values(status="removed"))
    await built.operations.resolve(one, Ending(), actor=ANN)
    assert [row for row in await built.post.send() if row.audience == "customer"] == []


class _Interrupted(Reckoner):
    """Another process commits something between the reckoning and the commit; once."""

    def __init__(self, built: Built, meanwhile: Callable[[], Awaitable[object]]) -> None:
        super().__init__(built.db)
        self._meanwhile: Callable[[], Awaitable[object]] | None = meanwhile

    async def reckon(self, *args: Any, **more: Any) -> Reckoned:
        reckoned = await super().reckon(*args, **more)
        if (work := self._meanwhile) is not None:
            self._meanwhile = None
            await work()
        return reckoned


async def test_what_another_process_changed_meanwhile_is_reckoned_again(built: Built) -> None:
    """Either way alone leaves the line up; nobody but the two together takes it down."""
    async with built.db.write() as conn:
        await conn.execute(insert(tables.needs), [{"id": 900, "text": "POP-D|POP-E"}])
        await conn.execute(update(tables.circuits).where(tables.circuits.c.id == "CIR-D1").values(need_id=900))
    planner = Planner(built.house)
    reckoner = _Interrupted(built, lambda: built.operations.declare(declaration("POP-E"), actor=ANN))
    effects = Effects(built.house, reckoner, planner, Waves(built.house, planner))
    slower = Operations(built.house, effects, Brakes(built.house))
    await slower.declare(declaration("POP-D"), actor=ANN)
    told = {row.to: row.facts["lines"] for row in await built.post.send() if row.audience == "customer"}
    assert [line["level"] for line in told["dee@example.org"]] == [Level.OUTAGE]


async def test_an_address_hears_of_the_lines_of_its_own_customers_only(built: Built) -> None:
    """Both by the short way of those to whom nothing was said before, and by the long one."""
    one = (await built.operations.declare(declaration("POP-A"), actor=ANN)).outage_id
    for _ in range(2):
        told = {
            row.to: {line["customer_id"] for line in row.facts["lines"]}
            for row in await built.post.send()
            if row.audience == "customer"
        }
        assert told == {"one@example.org": {"A1", "A2"}, "+18595550101": {"A1"}, "both@example.org": {"AB"}}
        await built.operations.update(one, Change(message="A crew is on its way."), actor=ANN)
    await built.post.send()
