"""Recovery: leases that lapsed, rows that nobody knows of, asking the provider, and the one retry."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from outagecast.channels.base import RouteDown
from outagecast.domain.delivery import Ambiguous, Deferred, FailureScope, Outcome, Receipt, ReceiptState
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import Change, Ending
from outagecast.engine.settings import DeliverySettings
from outagecast.storage import claims, wire
from outagecast.storage.wire import Mark
from tests.support.tiny_provider import ANN, EMAIL, SMS, ScriptedChannel, TinyProvider, tiny_provider

TIMES = DeliverySettings(ambiguous_retry_after="10m", reconcile_after=["30s", "2m"])  # type: ignore[arg-type]


@pytest.fixture
async def tiny(tmp_path: Path) -> AsyncIterator[TinyProvider]:
    async with tiny_provider(tmp_path, 2, delivery=TIMES) as provider:
        yield provider


async def crash_while_sending(
    tiny: TinyProvider, name: ChannelName, *, marked: int = 1, owner: str = "dead"
) -> list[Any]:
    """A daemon claims everything of a channel, marks some of it, and is gone."""
    now = tiny.clock()
    async with tiny.db.write() as conn:
        until = now + tiny.house.delivery.lease
        rows = list(await claims.claim(conn, channel=name, owner=owner, now=now, until=until, count=100))
        marks = [
            Mark(id=row.id, fence=row.fence, key=tiny.new_key(), number=row.attempt + 1, at=now)
            for row in rows[:marked]
        ]
        assert len(await wire.mark(conn, marks, now)) == marked
    return rows[:marked]


async def send_all(tiny: TinyProvider, name: ChannelName, channel: ScriptedChannel) -> None:
    async with tiny.sending(name, channel) as dispatcher:
        dispatcher.wake()

        async def none_due() -> bool:
            moving = ("planned", "leased", "transmitting")
            return not any(row.state in moving and row.due_at <= tiny.clock() for row in await tiny.rows(name))

        await tiny.until(none_due)


async def test_a_start_frees_what_others_leased_and_calls_ambiguous_what_they_were_writing(tiny: TinyProvider) -> None:
    outage = await tiny.declare()
    [row] = await crash_while_sending(tiny, EMAIL)
    await tiny.recovery().at_start()
    first, second = await tiny.rows(EMAIL)
    assert (first.state, first.ambiguous, first.lease_owner) == ("ambiguous", 1, None)
    assert (second.state, second.lease_owner) == ("planned", None)
    assert first.fence > row.fence
    [attempt] = await tiny.attempts()
    assert (attempt.ambiguous, attempt.outcome, attempt.code) == (True, "ambiguous", "crash")
    [line] = await tiny.timeline("ambiguous")
    assert (line.outage_id, line.why, line.data["delivery"]) == (outage, "crash", row.id)
    await tiny.recovery().at_start()  # a second crash during recovery finds nothing more to do
    assert len(await tiny.timeline("ambiguous")) == 1
    assert (await tiny.rows(EMAIL))[0].ambiguous == 1


async def test_another_daemons_lease_counts_until_it_runs_out(tiny: TinyProvider) -> None:
    await tiny.declare()
    await crash_while_sending(tiny, EMAIL)
    recovery = tiny.recovery()
    tiny.clock.pass_(119)
    await recovery.look()
    assert await tiny.states(EMAIL) == ["transmitting", "leased"]
    tiny.clock.pass_(2)
    await recovery.look()
    assert await tiny.states(EMAIL) == ["ambiguous", "planned"]
    assert [line.why for line in await tiny.timeline("ambiguous")] == ["lease_ran_out"]


async def test_the_heartbeat_keeps_a_lease(tiny: TinyProvider) -> None:
    await tiny.declare()
    await crash_while_sending(tiny, EMAIL, owner="there")
    for _ in range(10):
        tiny.clock.pass_(60)
        await tiny.recovery(owner="there").heartbeat()
        await tiny.recovery(owner="here").look()
    assert await tiny.states(EMAIL) == ["transmitting", "leased"]


async def test_a_jump_of_the_clock_takes_nothing_out_of_our_own_hands(tiny: TinyProvider) -> None:
    """I20: an hour forward between two heartbeats, while messages are on the wire."""
    channel = ScriptedChannel(connections=2)
    channel.gate.clear()
    await tiny.declare()
    async with tiny.sending(EMAIL, channel):
        await tiny.until_states(EMAIL, "transmitting", "transmitting")
        tiny.clock.pass_(3500)
        await tiny.recovery(owner="here").look()
        assert await tiny.states(EMAIL) == ["transmitting", "transmitting"]
        channel.gate.set()
        await tiny.until_states(EMAIL, "accepted", "accepted")
    assert not any(a.ambiguous for a in await tiny.attempts())


async def test_the_provider_is_asked_at_the_set_times_and_what_it_knows_is_settled(tiny: TinyProvider) -> None:
    await tiny.declare()
    [row] = await crash_while_sending(tiny, SMS)
    channel = ScriptedChannel()
    recovery = tiny.recovery(channel)
    await recovery.at_start()
    await recovery.look()
    assert channel.asked == []
    tiny.clock.pass_(31)
    await recovery.look()
    [attempt] = await tiny.attempts()
    assert channel.asked == [(attempt.key, row.to, f"{row.outage_id} 1 acknowledgement")]
    await recovery.look()
    assert len(channel.asked) == 1
    channel.found = {
        attempt.key: Receipt(key=attempt.key, provider_id="SM1", state=ReceiptState.ACCEPTED, code="queued")
    }
    tiny.clock.pass_(90)
    await recovery.look()
    assert (await tiny.rows(SMS))[0].state == "accepted"
    assert [line.data["attempt"] for line in await tiny.timeline("reconciled")] == [attempt.key]
    tiny.clock.pass_(900)
    await recovery.look()
    assert (await tiny.rows(SMS))[0].state == "accepted"
    assert await tiny.timeline("retried") == []


async def test_what_is_not_found_is_tried_once_more_and_never_again(tiny: TinyProvider) -> None:
    def lost(_message: Any) -> Outcome:
        return Ambiguous(code="timed_out", reason="no answer")

    await tiny.declare()
    channel = ScriptedChannel(script=lost)
    await send_all(tiny, SMS, channel)
    recovery = tiny.recovery(channel)
    for seconds in (31, 90):
        tiny.clock.pass_(seconds)
        await recovery.look()
    assert await tiny.states(SMS) == ["ambiguous"] * 2
    assert len(channel.asked) == 4
    tiny.clock.pass_(480)
    await recovery.look()
    assert await tiny.states(SMS) == ["planned"] * 2
    assert len(await tiny.timeline("retried")) == 2
    await send_all(tiny, SMS, channel)
    for _ in range(6):
        tiny.clock.pass_(600)
        await recovery.look()
    assert [(row.state, row.ambiguous, row.attempt) for row in await tiny.rows(SMS)] == [("ambiguous", 2, 2)] * 2
    assert len(channel.sent) == 4
    assert [a.ambiguous for a in await tiny.attempts()] == [True] * 4


async def test_a_mail_cannot_be_asked_about_and_is_tried_once_after_the_set_time(tiny: TinyProvider) -> None:
    await tiny.declare()
    await crash_while_sending(tiny, EMAIL, marked=2)
    recovery = tiny.recovery(ScriptedChannel())
    await recovery.at_start()
    tiny.clock.pass_(599)
    await recovery.look()
    assert await tiny.states(EMAIL) == ["ambiguous"] * 2
    tiny.clock.pass_(2)
    await recovery.look()
    assert await tiny.states(EMAIL) == ["planned"] * 2
    channel = ScriptedChannel()
    await send_all(tiny, EMAIL, channel)
    assert [(row.state, row.attempt) for row in await tiny.rows(EMAIL)] == [("accepted", 2)] * 2


async def test_while_the_provider_cannot_be_asked_nothing_is_tried_again(tiny: TinyProvider) -> None:
    await tiny.declare()
    await crash_while_sending(tiny, SMS, marked=2)
    channel = ScriptedChannel(down=RouteDown(Deferred(scope=FailureScope.ROUTE, code="timed_out", reason="dead")))
    recovery = tiny.recovery(channel)
    await recovery.at_start()
    for _ in range(5):
        tiny.clock.pass_(600)
        await recovery.look()
    assert await tiny.states(SMS) == ["ambiguous"] * 2
    channel.down = None
    for _ in range(3):
        await recovery.look()
    assert await tiny.states(SMS) == ["planned"] * 2


async def test_with_hold_a_person_decides(tmp_path: Path) -> None:
    async with tiny_provider(tmp_path, 1, delivery=DeliverySettings(on_ambiguous="hold")) as tiny:
        await tiny.declare()
        await crash_while_sending(tiny, EMAIL)
        recovery = tiny.recovery()
        await recovery.at_start()
        for _ in range(5):
            tiny.clock.pass_(600)
            await recovery.look()
        assert await tiny.states(EMAIL) == ["ambiguous"]


@pytest.mark.parametrize("what", ["expired", "newer", "ended", "end_itself"])
async def test_words_that_no_longer_hold_are_not_said_again(tiny: TinyProvider, what: str) -> None:
    outage = await tiny.declare()
    if what == "end_itself":
        await send_all(tiny, EMAIL, ScriptedChannel())
        await tiny.operations.resolve(outage, Ending(), actor=ANN)
    rows = await crash_while_sending(tiny, EMAIL, marked=2)
    recovery = tiny.recovery()
    await recovery.at_start()
    match what:
        case "expired":
            for row in rows:
                await tiny.change(row.id, expires_at=tiny.clock() + timedelta(minutes=5))
        case "newer":
            await tiny.operations.update(outage, Change(message="A crew is on its way."), actor=ANN)
        case "ended":
            await tiny.operations.resolve(outage, Ending(), actor=ANN)
    tiny.clock.pass_(601)
    await recovery.look()
    states = {row.id: row.state for row in await tiny.rows(EMAIL)}
    expected = "planned" if what == "end_itself" else "ambiguous"
    assert [states[row.id] for row in rows] == [expected] * 2


async def test_an_acknowledgement_that_may_have_arrived_is_followed_by_news_not_by_another(tiny: TinyProvider) -> None:
    """Its retry is planned when an update supersedes it. A second one would bear the first one's Message-ID,
    and mail programs would throw it away as the same mail."""
    outage = await tiny.declare()
    await crash_while_sending(tiny, EMAIL, marked=2)
    recovery = tiny.recovery()
    await recovery.at_start()
    tiny.clock.pass_(601)
    await recovery.look()
    assert await tiny.states(EMAIL) == ["planned"] * 2
    await tiny.operations.update(outage, Change(message="A crew is on its way."), actor=ANN)
    rows = await tiny.rows(EMAIL)
    assert [(row.revision, row.kind, row.state) for row in rows] == [
        *[(1, "acknowledgement", "superseded")] * 2,
        *[(2, "update", "planned")] * 2,
    ]
