"""The verbs on a real database: what takes effect when, what can be undone, what a brake holds, what a draft may."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from outagecast.domain.errors import Conflict, Forbidden, Invalid, NotFound, StaleRevision
from outagecast.domain.levels import Effect
from outagecast.domain.outage import Change, Ending, OutageStatus, Restoration, RetractReason, ScopeEntry
from outagecast.engine.operations import Idempotency
from tests.support.healthy import ANN, BEA, MINUTE, Built, build, declaration


@pytest.fixture
async def built(tmp_path: Path) -> AsyncIterator[Built]:
    found = await build(tmp_path, wave_limit=1000)
    yield found
    await found.db.close()


async def rows(built: Built, sql: str, **values: Any) -> list[Any]:
    async with built.db.read() as conn:
        return list((await conn.execute(text(sql), values)).all())


async def states(built: Built, outage_id: str) -> dict[tuple[str, str], int]:
    found = await rows(
        built, "SELECT kind, state, count(*) FROM deliveries WHERE outage_id = :o GROUP BY kind, state", o=outage_id
    )
    return {(kind, state): count for kind, state, count in found}


async def test_declaring_plans_one_message_an_address_and_a_row_for_whoever_has_none(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-A"), actor=ANN)
    assert (told.created, told.state, told.status) == (True, "effective", "investigating")
    # one@ stands for two customers and hears once; both@ needs POP-A as well; A3 has no address at all.
    assert told.planned == {"email": 2, "sms": 1, "suppressed": 1}
    missing = await rows(built, "SELECT customer_id, reason FROM deliveries WHERE state = 'suppressed'")
    assert missing == [("A3", "no_address")]
    joined = await rows(
        built,
        "SELECT n.customer_id FROM notices n JOIN deliveries d ON d.id = n.delivery_id"
        " WHERE d.\"to\" = 'one@example.org'",
    )
    assert sorted(customer for (customer,) in joined) == ["A1", "A2"]


async def test_until_undo_for_is_over_nothing_is_said_and_undo_makes_a_draft(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-A"), actor=ANN, undo_for=MINUTE)
    assert (told.state, told.status) == ("pending", "investigating")
    assert await states(built, told.outage_id) == {}
    assert await built.operations.take_due() == 0
    undone = await built.operations.undo(told.outage_id, actor=ANN)
    assert undone.status == OutageStatus.DRAFT
    built.clock.pass_(2 * MINUTE)
    assert await built.operations.take_due() == 0
    assert await states(built, told.outage_id) == {}
    released = await built.operations.release(told.outage_id, actor=ANN)
    assert released.state == "effective"
    assert ("acknowledgement", "planned") in await states(built, told.outage_id)


async def test_after_undo_for_it_takes_effect_and_undo_answers_conflict(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-A"), actor=ANN, undo_for=MINUTE)
    built.clock.pass_(MINUTE)
    assert await built.operations.take_due() == 1
    assert ("acknowledgement", "planned") in await states(built, told.outage_id)
    with pytest.raises(Conflict):
        await built.operations.undo(told.outage_id, actor=ANN)


async def test_an_undone_update_is_never_said_and_what_waited_goes_on(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.operations.update(told.outage_id, Change(message="Wrong."), actor=ANN, undo_for=MINUTE)
    assert await built.post.send() == []  # held while it can be undone
    await built.operations.undo(told.outage_id, actor=ANN)
    sent = await built.post.send()
    assert {row.kind for row in sent} == {"acknowledgement"}
    built.clock.pass_(5 * MINUTE)
    assert await built.operations.take_due() == 0


async def test_an_end_that_comes_before_the_acknowledgement_left_is_one_combined_message(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.operations.resolve(told.outage_id, Ending(), actor=ANN)
    sent = await built.post.send()
    assert {row.kind for row in sent} == {"resolution"}
    assert all(row.facts["combined"] for row in sent)
    assert (await states(built, told.outage_id))[("acknowledgement", "superseded")] == 3


async def test_a_false_alarm_that_nobody_has_heard_of_ends_in_silence(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.operations.retract(told.outage_id, Ending(reason=RetractReason.FALSE_ALARM), actor=ANN)
    assert await built.post.send() == []


async def test_the_same_external_number_or_key_makes_no_second_outage(built: Built) -> None:
    key = Idempotency(key="k1", body_hash="h1")
    one = await built.operations.declare(declaration("POP-A", external_ref="INC-7"), actor=ANN, idempotency=key)
    again = await built.operations.declare(declaration("POP-A", external_ref="INC-7"), actor=BEA)
    same_key = await built.operations.declare(declaration("POP-B"), actor=ANN, idempotency=key)
    assert (again.outage_id, again.created) == (one.outage_id, False)
    assert (same_key.outage_id, same_key.created) == (one.outage_id, False)
    with pytest.raises(Invalid, match="another body"):
        other = Idempotency(key="k1", body_hash="h2")
        await built.operations.declare(declaration("POP-B"), actor=ANN, idempotency=other)


async def test_what_nobody_knows_in_a_scope_is_named_with_its_neighbour(built: Built) -> None:
    with pytest.raises(Invalid, match=r"scope\.elements\[0\]: no element POP-AA \(did you mean POP-A\?\)"):
        await built.operations.declare(declaration("POP-AA"), actor=ANN)
    assert await rows(built, "SELECT id FROM outages") == []


async def test_above_the_limit_a_second_person_with_the_role_releases(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-C"), actor=BEA)  # seven customers, five are allowed
    assert (told.status, told.held_because) == ("draft", "approve_above")
    with pytest.raises(Forbidden, match="approver"):
        await built.operations.release(told.outage_id, actor=ANN)
    with pytest.raises(Forbidden, match="second person"):
        await built.operations.release(told.outage_id, actor=BEA)
    assert await states(built, told.outage_id) == {}


async def test_whoever_is_slower_learns_it_and_changes_nothing(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.operations.update(told.outage_id, Change(message="First."), actor=ANN, if_match=1)
    with pytest.raises(StaleRevision) as slow:
        await built.operations.update(told.outage_id, Change(message="Second."), actor=BEA, if_match=1)
    assert slow.value.current == 2
    with pytest.raises(NotFound):
        await built.operations.update("OUT-2000-0001", Change(message="x"), actor=ANN)


async def test_an_update_that_says_nothing_sends_nothing(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.post.send()
    for change in (Change(status=OutageStatus.IDENTIFIED), Change(message="Hush.", tell=False), Change(note="private")):
        answer = await built.operations.update(told.outage_id, change, actor=ANN)
        assert answer.planned == {}
    assert await built.post.send() == []
    notes = await rows(built, "SELECT x.text FROM timeline t JOIN texts x ON x.id = t.text_id WHERE t.what = 'note'")
    assert notes == [("private",)]


async def test_was_names_the_eta_this_address_was_last_sent(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.post.send()
    first, second = built.clock.now + 30 * MINUTE, built.clock.now + 60 * MINUTE
    await built.operations.update(told.outage_id, Change(eta=first), actor=ANN)
    # The first ETA never leaves: nobody may read "was" of what he was not sent.
    await built.operations.update(told.outage_id, Change(eta=second), actor=ANN)
    sent = await built.post.send()
    assert {row.facts["eta_state"] for row in sent} == {"set"}
    await built.operations.update(told.outage_id, Change(eta=None), actor=ANN)
    withdrawn = await built.post.send()
    assert {(row.kind, row.facts["eta_state"]) for row in withdrawn} == {("eta", "withdrawn")}


async def test_restoring_one_circuit_tells_its_customer_only(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-E"), actor=ANN)
    await built.post.send()
    built.clock.pass_(10 * MINUTE)
    back = Restoration(scope=(ScopeEntry(kind="circuit", id="CIR-E1", effect=Effect.OUTAGE),))
    await built.operations.restore(told.outage_id, back, actor=ANN)
    sent = await built.post.send()
    assert {(row.to, row.kind) for row in sent} == {("eve@example.org", "resolution"), ("+18595550105", "resolution")}
    with pytest.raises(Invalid, match="not in the scope"):
        strange = Restoration(scope=(ScopeEntry(kind="element", id="POP-A", effect=Effect.OUTAGE),))
        await built.operations.restore(told.outage_id, strange, actor=ANN)
    built.clock.pass_(10 * MINUTE)
    await built.operations.resolve(told.outage_id, Ending(), actor=ANN)
    assert {row.to for row in await built.post.send()} == {"ede@example.org", "+18595550106"}


async def test_two_outages_on_one_line_and_the_lead_passes(built: Built) -> None:
    first = await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.post.send()
    second = await built.operations.declare(declaration("POP-B"), actor=ANN)
    await built.post.send()
    covered = await rows(
        built, "SELECT \"to\", reason FROM deliveries WHERE outage_id = :o AND reason = 'covered'", o=second.outage_id
    )
    assert covered == [("both@example.org", "covered")]
    await built.operations.resolve(first.outage_id, Ending(), actor=ANN)
    sent = {(row.to, row.outage_id, row.kind) for row in await built.post.send()}
    assert ("both@example.org", second.outage_id, "update") in sent  # still down, for another reason
    assert ("one@example.org", first.outage_id, "resolution") in sent
    assert ("both@example.org", first.outage_id, "resolution") not in sent
    await built.operations.resolve(second.outage_id, Ending(), actor=ANN)
    assert ("both@example.org", second.outage_id, "resolution") in {
        (row.to, row.outage_id, row.kind) for row in await built.post.send()
    }


async def test_reopening_is_a_new_episode_with_new_acknowledgements(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-B", eta=built.clock.now + 30 * MINUTE), actor=ANN)
    await built.post.send()
    await built.operations.resolve(told.outage_id, Ending(), actor=ANN)
    await built.post.send()
    built.clock.pass_(5 * MINUTE)
    again = await built.operations.reopen(told.outage_id, Ending(), actor=ANN)
    sent = await built.post.send()
    assert {(row.kind, row.episode) for row in sent} == {("acknowledgement", 2)}
    (row,) = await rows(built, "SELECT episode, eta FROM outages WHERE id = :o", o=again.outage_id)
    assert row == (2, None)


async def test_hold_freezes_one_outage_and_pause_everything(built: Built) -> None:
    one = await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.operations.declare(declaration("POP-E"), actor=ANN)
    await built.operations.hold(one.outage_id, "wrong POP?", actor=ANN)
    assert {row.outage_id for row in await built.post.send()} == {"OUT-2026-0002"}
    await built.operations.unhold(one.outage_id, actor=ANN)
    await built.operations.pause("drill", actor=BEA)
    assert await built.post.send() == []
    await built.operations.resume(actor=BEA)
    assert {row.outage_id for row in await built.post.send()} == {one.outage_id}


async def test_a_message_may_link_to_the_provider_only(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-B", message="See https://evil.example/x"), actor=ANN)
    assert (told.status, told.held_because) == ("draft", "link_hosts")
    own = await built.operations.declare(declaration("POP-E", message="See https://status.example.net/x"), actor=ANN)
    assert own.status == "investigating"


async def test_merging_passes_everybody_to_the_other_outage(built: Built) -> None:
    one = await built.operations.declare(declaration("POP-D"), actor=ANN)
    other = await built.operations.declare(declaration("POP-E"), actor=ANN)
    await built.post.send()
    built.clock.pass_(MINUTE)
    await built.operations.merge(one.outage_id, other.outage_id, actor=ANN)
    await built.post.send()
    built.clock.pass_(MINUTE)
    await built.operations.resolve(other.outage_id, Ending(), actor=ANN)
    sent = {(row.to, row.outage_id, row.kind) for row in await built.post.send() if row.channel == "email"}
    assert ("dee@example.org", other.outage_id, "resolution") in sent
    assert not any(outage_id == one.outage_id for _, outage_id, _ in sent)


async def test_a_wave_in_chunks_gives_the_same_rows_as_one_transaction(tmp_path: Path) -> None:
    found = []
    for limit in (1000, 2):
        folder = tmp_path / str(limit)
        folder.mkdir()
        house = await build(folder, wave_limit=limit)
        told = await house.operations.declare(declaration("POP-C"), actor=ANN)
        await house.operations.release(told.outage_id, actor=BEA)
        while await house.waves.advance():
            pass
        await house.post.send()
        house.clock.pass_(MINUTE)
        await house.operations.resolve(told.outage_id, Ending(), actor=ANN)
        while await house.waves.advance():
            pass
        await house.operations.take_due()
        found.append(
            await rows(house, 'SELECT "to", kind, revision, state, facts FROM deliveries ORDER BY "to", revision')
        )
        assert await rows(house, "SELECT count(*) FROM wave_addresses") == [(0,)]
        await house.db.close()
    assert found[0] == found[1]
    assert len(found[0]) == 14


async def test_the_map_changed_is_shown_and_applied_by_hand(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-B"), actor=ANN)
    await built.post.send()
    assert await built.operations.map_change(told.outage_id) is None
    async with built.db.write() as conn:
        need = "SELECT id FROM needs WHERE text = 'POP-B'"
        await conn.execute(text(f"UPDATE circuits SET need_id = ({need}) WHERE id = 'CIR-D1'"))
        await conn.execute(
            text("INSERT INTO meta VALUES ('inventory_version', '2') ON CONFLICT (key) DO UPDATE SET value = '2'")
        )
    change = await built.operations.map_change(told.outage_id)
    assert change is not None
    assert (change.more, change.fewer) == (1, 0)
    assert await built.post.send() == []  # an import sends nothing
    same = Change(scope=(ScopeEntry(kind="element", id="POP-B", effect=Effect.OUTAGE),))
    await built.operations.update(told.outage_id, same, actor=ANN)
    assert {(row.to, row.kind) for row in await built.post.send()} == {
        ("dee@example.org", "acknowledgement"),
        ("+18595550104", "acknowledgement"),
    }
    assert await built.operations.map_change(told.outage_id) is None


async def test_effective_at_never_overtakes_a_revision_that_waits(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-B"), actor=ANN, undo_for=timedelta(minutes=2))
    resolved = await built.operations.resolve(told.outage_id, Ending(), actor=ANN)
    assert resolved.state == "pending"
    built.clock.pass_(2 * MINUTE)
    assert await built.operations.take_due() == 2
    sent = await built.post.send()
    assert {row.kind for row in sent} == {"resolution"}
