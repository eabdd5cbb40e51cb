"""What a person may have said again, what stands against it, and that nothing is doubled without his name beside it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from outagecast.domain.delivery import DeliveryState as S
from outagecast.domain.errors import Conflict, Invalid, NotFound, StaleRevision
from outagecast.domain.levels import Effect
from outagecast.domain.outage import Change, Ending, Restoration, ScopeEntry
from outagecast.engine.verify import verify
from outagecast.storage import tables
from tests.support.healthy import ANN, BEA, MINUTE, Built, build, declaration


@pytest.fixture
async def built(tmp_path: Path) -> AsyncIterator[Built]:
    found = await build(tmp_path, wave_limit=1000)
    yield found
    broken = await verify(found.db, now=found.clock.now)
    await found.db.close()
    assert broken == [], "whatever people have said again, every invariant holds"


async def rows(built: Built, sql: str, **values: Any) -> list[Any]:
    async with built.db.read() as conn:
        return list((await conn.execute(text(sql), values)).all())


async def one(built: Built, to: str, state: str = "") -> Any:
    """The newest delivery to an address."""
    found = await rows(built, 'SELECT * FROM deliveries WHERE "to" = :to ORDER BY id DESC', to=to)
    assert not state or found[0].state == state, found[0]
    return found[0]


def failing(address: str) -> Any:
    return lambda row: S.FAILED if row.to == address else S.ACCEPTED


async def test_a_failed_message_is_tried_again_word_for_word_under_a_revision_of_its_own(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-A", message="A crew is on its way."), actor=ANN)
    sent = {row.to: row for row in await built.post.send(failing("one@example.org"))}
    failed = await one(built, "one@example.org", "failed")
    built.clock.pass_(MINUTE)
    again = await built.operations.redelivery.retry(failed.id, actor=BEA, reason="the mailbox was full")
    assert (again.outage_id, again.revision, len(again.planned)) == (told.outage_id, 2, 1)
    now_sent = await built.post.send()
    assert [(row.to, row.kind, row.revision) for row in now_sent] == [("one@example.org", "acknowledgement", 2)]
    assert now_sent[0].facts == sent["one@example.org"].facts
    assert now_sent[0].expires_at == sent["one@example.org"].expires_at
    joined = await rows(built, "SELECT customer_id FROM notices WHERE delivery_id = :id", id=again.planned[0])
    assert sorted(row.customer_id for row in joined) == ["A1", "A2"]
    line = (await rows(built, "SELECT t.*, x.text FROM timeline t JOIN texts x ON x.id = t.text_id"
                              " WHERE t.what = 'retried'"))[0]  # fmt: skip
    assert (line.actor, line.revision, line.text) == ("bea", 2, "the mailbox was full")
    assert (await one(built, "one@example.org")).state == "accepted"
    assert (await rows(built, "SELECT state FROM deliveries WHERE id = :id", id=failed.id))[0].state == "failed"
    with pytest.raises(Conflict, match="newer message"):
        await built.operations.redelivery.retry(failed.id, actor=BEA)


async def test_what_arrived_is_resent_as_a_mail_of_its_own_and_not_retried(built: Built) -> None:
    await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.post.send()
    arrived = await one(built, "one@example.org", "accepted")
    with pytest.raises(Conflict, match="resend it instead"):
        await built.operations.redelivery.retry(arrived.id, actor=ANN)
    await built.operations.redelivery.resend(arrived.id, actor=ANN, reason="lost in a filter")
    sent = await built.post.send()
    assert [(row.to, row.facts.get("first", False)) for row in sent] == [("one@example.org", False)]


async def test_the_next_word_supersedes_a_repeat_that_has_not_left(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.post.send(failing("one@example.org"))
    again = await built.operations.redelivery.retry((await one(built, "one@example.org")).id, actor=ANN)
    await built.operations.update(told.outage_id, Change(message="Splicing."), actor=ANN)
    sent = [row for row in await built.post.send() if row.to == "one@example.org"]
    assert [row.kind for row in sent] == ["acknowledgement"], "it has heard nothing so far"
    assert (await rows(built, "SELECT state FROM deliveries WHERE id = :i", i=again.planned[0]))[0].state == (
        "superseded"
    )


async def test_when_the_promise_has_passed_it_is_said_with_present_facts(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.post.send(failing("one@example.org"))
    failed = await one(built, "one@example.org", "failed")
    built.clock.pass_(61 * MINUTE)
    with pytest.raises(Conflict, match="its promise has passed"):
        await built.operations.redelivery.retry(failed.id, actor=ANN)
    only = Restoration(scope=(ScopeEntry(kind="circuit", id="CIR-A3", effect=Effect.OUTAGE),))
    await built.operations.restore(told.outage_id, only, actor=ANN)
    async with built.db.write() as conn:
        later = built.clock.now + 20 * MINUTE
        await conn.execute(update(tables.outages).values(next_update_by=later, eta=later, look_again_at=later))
    await built.operations.redelivery.retry(failed.id, actor=ANN)
    sent = await built.post.send()
    assert [(row.to, row.kind) for row in sent] == [("one@example.org", "acknowledgement")]
    async with built.db.read() as conn:
        row = (await conn.execute(select(tables.deliveries).where(tables.deliveries.c.id == sent[0].id))).one()
    assert (row.promise, row.eta) == (later, later)


async def test_a_step_that_can_be_undone_has_its_say_first(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.post.send(failing("one@example.org"))
    failed = await one(built, "one@example.org", "failed")
    await built.operations.update(told.outage_id, Change(message="x"), actor=ANN, undo_for=MINUTE)
    with pytest.raises(Conflict, match="about to take effect"):
        await built.operations.redelivery.retry(failed.id, actor=ANN)
    await built.operations.undo(told.outage_id, actor=ANN)
    await built.operations.redelivery.retry(failed.id, actor=ANN)
    await built.post.send()


async def test_what_stands_against_an_address_stands_against_a_person_too(built: Built) -> None:
    await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.post.send(lambda row: S.FAILED)
    text_message = await one(built, "+18595550101", "failed")
    mail = await one(built, "both@example.org", "failed")
    await built.receipts.stop("+18595550101", "stop", "sms")
    with pytest.raises(Conflict, match="must not be written to: opted out"):
        await built.operations.redelivery.retry(text_message.id, actor=ANN)
    async with built.db.write() as conn:
        await conn.execute(text("UPDATE contacts SET channels = 'sms' WHERE id = 'K-AB'"))
    with pytest.raises(Conflict, match="no active contact"):
        await built.operations.redelivery.retry(mail.id, actor=ANN)
    done = await built.operations.redelivery.retry_failed(mail.outage_id, actor=ANN)
    assert len(done.planned) == 1, "the one that may be written to"
    assert sum(done.refused.values()) == 2
    assert [row.to for row in await built.post.send()] == ["one@example.org"]
    with pytest.raises(Conflict, match="none of them"):
        await built.operations.redelivery.retry_failed(mail.outage_id, actor=ANN)


async def test_after_the_end_only_the_end_is_said_again(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.post.send()
    acknowledgement = await one(built, "both@example.org", "accepted")
    built.clock.pass_(MINUTE)
    await built.operations.resolve(told.outage_id, Ending(), actor=ANN)
    await built.post.send(failing("one@example.org"))
    end = await one(built, "one@example.org", "failed")
    await built.operations.redelivery.retry(end.id, actor=ANN)
    assert [(row.to, row.kind) for row in await built.post.send()] == [("one@example.org", "resolution")]
    with pytest.raises(Conflict, match="newer message"):
        await built.operations.redelivery.resend(acknowledgement.id, actor=ANN)
    built.clock.pass_(MINUTE)
    await built.operations.reopen(told.outage_id, Ending(), actor=ANN)
    await built.post.send()
    with pytest.raises(Conflict, match=r"earlier episode|newer message"):
        await built.operations.redelivery.resend(end.id, actor=ANN)


async def test_all_that_failed_is_tried_again_at_once_each_with_its_own_words(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-E"), actor=ANN)
    await built.post.send(failing("eve@example.org"))
    await built.operations.update(told.outage_id, Change(message="Splicing."), actor=ANN)
    await built.post.send(failing("+18595550106"))
    assert (await one(built, "eve@example.org")).state == "accepted", "the word after it has told it anew"
    done = await built.operations.redelivery.retry_failed(told.outage_id, actor=ANN)
    assert (len(done.planned), done.refused) == (1, {})
    assert [(row.to, row.kind) for row in await built.post.send()] == [("+18595550106", "update")]


async def test_quiet_hours_hold_a_repeated_text(built: Built) -> None:
    await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.post.send(failing("+18595550101"))
    async with built.db.write() as conn:
        values = {"quiet_hours": "09:00-10:00", "timezone": "America/New_York", "wake_for": "degraded"}
        await conn.execute(update(tables.contacts).where(tables.contacts.c.id == "K-A1").values(**values))
    failed = await one(built, "+18595550101", "failed")
    again = await built.operations.redelivery.retry(failed.id, actor=ANN)
    assert await built.post.send() == []
    due = (await rows(built, "SELECT due_at FROM deliveries WHERE id = :i", i=again.planned[0]))[0].due_at
    assert due == int(built.clock.now.replace(hour=15, minute=0).timestamp() * 1_000_000), "ten in New York"


async def test_seen_to_by_other_means_it_has_failed_no_more(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.post.send(failing("one@example.org"))
    failed = await one(built, "one@example.org", "failed")
    with pytest.raises(Invalid, match="how the customer was told"):
        await built.operations.redelivery.handle(failed.id, "  ", actor=ANN)
    await built.operations.redelivery.handle(failed.id, "rang Mrs Ito", actor=ANN)
    with pytest.raises(Conflict, match="already"):
        await built.operations.redelivery.handle(failed.id, "rang again", actor=BEA)
    with pytest.raises(Conflict, match="waits for somebody"):
        await built.operations.redelivery.retry_failed(told.outage_id, actor=ANN)
    lines = await rows(built, "SELECT x.text FROM timeline t JOIN texts x ON x.id = t.text_id WHERE what = 'handled'")
    assert lines == [("rang Mrs Ito",)]
    with pytest.raises(NotFound):
        await built.operations.redelivery.handle(999, "x", actor=ANN)


async def test_a_confirmed_address_is_told_what_was_held_back(built: Built) -> None:
    async with built.db.write() as conn:
        shared = update(tables.addresses).where(tables.addresses.c.value == "one@example.org")
        await conn.execute(shared.values(shared=True))
    address = (await rows(built, "SELECT id FROM addresses WHERE value = 'one@example.org'"))[0].id
    told = await built.operations.declare(declaration("POP-A"), actor=ANN)
    assert "one@example.org" not in {row.to for row in await built.post.send()}
    await built.operations.update(told.outage_id, Change(message="A crew is on site."), actor=ANN)
    assert "one@example.org" not in {row.to for row in await built.post.send()}
    done = await built.operations.redelivery.confirm(address, actor=BEA, reason="the reseller's own NOC")
    assert len(done.planned) == 1
    sent = await built.post.send()
    assert [(row.to, row.kind) for row in sent] == [("one@example.org", "acknowledgement")]
    facts = (await rows(built, "SELECT facts FROM revisions WHERE number = :n", n=sent[0].revision))[0].facts
    assert "A crew is on site." in str(facts)
    assert (await rows(built, "SELECT confirmed_by FROM addresses WHERE id = :i", i=address))[0].confirmed_by == "bea"
    with pytest.raises(Conflict, match="confirmed by bea"):
        await built.operations.redelivery.confirm(address, actor=ANN)
    await built.operations.resolve(told.outage_id, Ending(), actor=ANN)
    assert "one@example.org" in {row.to for row in await built.post.send()}
    with pytest.raises(Conflict, match="few enough"):
        await built.operations.redelivery.confirm(address + 1, actor=ANN)


async def test_notes_and_owners_are_no_revision(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.operations.note(told.outage_id, "the carrier's ticket is 4711", actor=ANN)
    await built.operations.own(told.outage_id, "bea", actor=ANN)
    await built.operations.own(told.outage_id, "bea", actor=ANN)
    found = await rows(built, "SELECT what, actor FROM timeline WHERE what IN ('note', 'owned')")
    assert [tuple(row) for row in found] == [("note", "ann"), ("owned", "ann")]
    row = (await rows(built, "SELECT owner, revision FROM outages"))[0]
    assert (row.owner, row.revision) == ("bea", 1)
    with pytest.raises(Invalid):
        await built.operations.note(told.outage_id, " ", actor=ANN)
    await built.post.send()
    built.clock.pass_(timedelta(0))
    with pytest.raises(StaleRevision):
        await built.operations.update(told.outage_id, Change(message="x"), actor=ANN, if_match=7)
