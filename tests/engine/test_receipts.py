"""Receipts: states only rise, whatever comes early, late, twice or about nothing of ours; and people who opt out."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outagecast.domain.delivery import Ambiguous, Outcome, Receipt, ReceiptState
from outagecast.engine.settings import DeliverySettings
from outagecast.storage import claims, wire
from tests.support.tiny_provider import SMS, ScriptedChannel, TinyProvider, phone_of, tiny_provider

QUICK = DeliverySettings(ambiguous_retry_after="1m", reconcile_after=["10s"])  # type: ignore[arg-type]
RANK = {"planned": 0, "leased": 0, "transmitting": 0, "ambiguous": 0, "accepted": 1, "delivered": 2, "undelivered": 2}


@pytest.fixture
async def tiny(tmp_path: Path) -> AsyncIterator[TinyProvider]:
    async with tiny_provider(tmp_path, 1, delivery=QUICK) as provider:
        yield provider


def receipt(key: str | None, state: ReceiptState, code: str = "", **more: Any) -> Receipt:
    return Receipt(key=key, provider_id=more.pop("provider_id", None), state=state, code=code, **more)


async def sent(tiny: TinyProvider, state: str = "accepted") -> str:
    """One text has been written, and the row is in this state: the attempt's key."""
    outcomes: dict[str, Outcome] = {"ambiguous": Ambiguous(code="timed_out", reason="no answer")}
    channel = ScriptedChannel(connections=1)
    if state in outcomes:
        channel.script = lambda _: outcomes[state]
    await tiny.declare()
    async with tiny.sending(SMS, channel):
        await tiny.until_states(SMS, state)
    return str((await tiny.attempts())[0].key)


async def row(tiny: TinyProvider) -> Any:
    return (await tiny.rows(SMS))[0]


async def retry_planned(tiny: TinyProvider) -> str:
    key = await sent(tiny, "ambiguous")
    recovery = tiny.recovery(ScriptedChannel())
    tiny.clock.pass_(61)
    await recovery.look()
    await recovery.look()
    assert (await row(tiny)).state == "planned"
    return key


async def test_a_receipt_raises_and_nothing_takes_down(tiny: TinyProvider) -> None:
    key = await sent(tiny)
    assert await tiny.receipts.record(receipt(key, ReceiptState.ACCEPTED))
    assert (await row(tiny)).state == "accepted"
    assert await tiny.receipts.record(receipt(key, ReceiptState.DELIVERED))
    for late in (ReceiptState.ACCEPTED, ReceiptState.UNDELIVERED, ReceiptState.DELIVERED):
        assert await tiny.receipts.record(receipt(key, late, "30003"))
    assert (await row(tiny)).state == "delivered"
    assert tiny.failures == []


async def test_undelivered_is_told_with_its_reason(tiny: TinyProvider) -> None:
    key = await sent(tiny)
    await tiny.receipts.record(receipt(key, ReceiptState.UNDELIVERED, "30005", suppress_as="dead_address"))
    found = await row(tiny)
    assert (found.state, found.reason, found.code) == ("undelivered", "undelivered", "30005")
    assert tiny.failures == [(found.outage_id, "30005")]
    await tiny.declare()
    async with tiny.sending(SMS, channel := ScriptedChannel()):
        await tiny.ledger.settled()
    assert channel.sent == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.lists(st.sampled_from(ReceiptState), min_size=1, max_size=6),
    start=st.sampled_from(["accepted", "ambiguous"]),
)
async def test_in_any_order_states_only_rise(
    tmp_path_factory: pytest.TempPathFactory, order: list[ReceiptState], start: str
) -> None:
    async with tiny_provider(tmp_path_factory.mktemp("r"), 1) as tiny:
        key = await sent(tiny, start)
        before = (await row(tiny)).state
        for state in order:
            await tiny.receipts.record(receipt(key, state))
            after = (await row(tiny)).state
            assert RANK[after] >= RANK[before]
            assert RANK[before] < 2 or after == before
            before = after


async def test_a_receipt_may_be_quicker_than_our_own_commit(tiny: TinyProvider) -> None:
    channel = ScriptedChannel(connections=1)
    channel.gate.clear()
    await tiny.declare()
    async with tiny.sending(SMS, channel):
        await tiny.until_states(SMS, "transmitting")
        [attempt] = await tiny.attempts()
        assert await tiny.receipts.record(receipt(attempt.key, ReceiptState.DELIVERED, provider_id="SM1"))
        assert (await row(tiny)).state == "transmitting"
        for _ in range(50):  # however long the answer takes, the receipt is not forgotten
            assert await tiny.receipts.apply_early() == 0
        channel.gate.set()
        await tiny.until_states(SMS, "accepted")
    assert await tiny.receipts.apply_early() == 1
    assert (await row(tiny)).state == "delivered"
    assert await tiny.receipts.apply_early() == 0


async def test_a_receipt_before_a_crash_settles_what_the_crash_left_unknown(tiny: TinyProvider) -> None:
    """The callback was committed, our own outcome was not: no second callback will come, and no retry may leave."""
    channel = ScriptedChannel(connections=1)
    channel.gate.clear()
    await tiny.declare()
    dispatcher = tiny.dispatcher(SMS, channel, owner="dead")
    tiny.ledger.start()
    dispatcher.start()
    await tiny.until_states(SMS, "transmitting")
    [attempt] = await tiny.attempts()
    await tiny.receipts.record(receipt(attempt.key, ReceiptState.DELIVERED))
    recovery = tiny.recovery(ScriptedChannel(), owner="alive")
    await recovery.at_start()
    assert (await row(tiny)).state == "ambiguous"
    await tiny.receipts.apply_early()
    assert (await row(tiny)).state == "delivered"
    assert [line.data["attempt"] for line in await tiny.timeline("reconciled")] == [attempt.key]
    channel.gate.set()
    await dispatcher.stop(tiny.house.delivery.lease)
    await tiny.ledger.stop()
    assert (await row(tiny)).state == "delivered"


@pytest.mark.parametrize("state", [ReceiptState.ACCEPTED, ReceiptState.DELIVERED])
async def test_a_retry_is_called_off_when_the_first_attempt_proves_to_have_arrived(
    tiny: TinyProvider, state: ReceiptState
) -> None:
    key = await retry_planned(tiny)
    await tiny.receipts.record(receipt(key, state))
    assert (await row(tiny)).state == state.value
    async with tiny.sending(SMS, channel := ScriptedChannel()) as dispatcher:
        dispatcher.wake()
        await tiny.ledger.settled()
    assert channel.sent == []
    assert len(await tiny.attempts()) == 1


async def test_a_retry_that_was_claimed_already_is_called_off_at_its_mark(tiny: TinyProvider) -> None:
    key = await retry_planned(tiny)
    now = tiny.clock()
    async with tiny.db.write() as conn:
        until = now + tiny.house.delivery.lease
        [claimed] = await claims.claim(conn, channel=SMS, owner="here", now=now, until=until, count=1)
    await tiny.receipts.record(receipt(key, ReceiptState.DELIVERED))
    mark = wire.Mark(id=claimed.id, fence=claimed.fence, key="second", number=2, at=now)
    async with tiny.db.write() as conn:
        assert await wire.mark(conn, [mark], now) == set()
    assert (await row(tiny)).state == "delivered"


async def test_that_the_first_attempt_was_not_delivered_says_nothing_about_the_second(tiny: TinyProvider) -> None:
    first = await retry_planned(tiny)
    async with tiny.sending(SMS, ScriptedChannel()):
        await tiny.until_states(SMS, "accepted")
    await tiny.receipts.record(receipt(first, ReceiptState.UNDELIVERED, "30003"))
    await tiny.receipts.apply_early()
    assert (await row(tiny)).state == "accepted"
    second = (await tiny.attempts())[1].key
    await tiny.receipts.record(receipt(second, ReceiptState.DELIVERED))
    assert (await row(tiny)).state == "delivered"


async def test_what_names_nothing_of_ours_is_counted_and_changes_nothing(tiny: TinyProvider) -> None:
    await sent(tiny)
    before = await tiny.rows()
    assert not await tiny.receipts.record(receipt("forged", ReceiptState.DELIVERED))
    assert not await tiny.receipts.record(receipt(None, ReceiptState.DELIVERED, provider_id="SM404"))
    assert tiny.receipts.unknown == 2
    assert await tiny.rows() == before


async def test_a_stop_between_claim_and_send_is_kept(tiny: TinyProvider) -> None:
    await tiny.declare()
    now = tiny.clock()
    async with tiny.db.write() as conn:
        until = now + tiny.house.delivery.lease
        [claimed] = await claims.claim(conn, channel=SMS, owner="here", now=now, until=until, count=1)
    assert await tiny.receipts.stop(phone_of(1), "stop", "sms")
    mark = wire.Mark(id=claimed.id, fence=claimed.fence, key="k", number=1, at=now)
    async with tiny.db.write() as conn:
        assert await wire.mark(conn, [mark], now) == set()
    found = await row(tiny)
    assert (found.state, found.reason) == ("suppressed", "opted_out")
    assert [line.why for line in await tiny.timeline("suppressed")] == ["sms"]
    assert await tiny.receipts.stop(phone_of(1), "stop", "sms")
    assert len(await tiny.timeline("suppressed")) == 1
    assert await tiny.receipts.stop(phone_of(1), "start", "sms")
    assert len(await tiny.timeline("unsuppressed")) == 1
    assert not await tiny.receipts.stop("+18595559999", "stop", "sms")
