"""The dispatcher with a channel that answers as told: routes that are down, storms, late changes of mind, stopping."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from outagecast.channels.base import RouteDown
from outagecast.domain.delivery import Accepted, Ambiguous, Deferred, FailureScope, Outcome, Rejected
from outagecast.domain.outage import Change, Ending
from outagecast.engine.ready import Ready
from outagecast.engine.settings import DeliverySettings, SafetySettings
from outagecast.storage import claims
from tests.support.tiny_provider import ANN, EMAIL, SMS, ScriptedChannel, TinyProvider, mail_of, phone_of, tiny_provider

QUICK = DeliverySettings(probe_after="100ms", retry_after=["1m"])  # type: ignore[arg-type]
NO_ROUTE = RouteDown(Deferred(scope=FailureScope.ROUTE, code="connect_failed", reason="nobody answers"))


@pytest.fixture
async def tiny(tmp_path: Path) -> AsyncIterator[TinyProvider]:
    async with tiny_provider(tmp_path, 6, delivery=QUICK) as provider:
        yield provider


class Answers:
    """A script: these answers first, then Accepted."""

    def __init__(self, *first: Outcome) -> None:
        self._left = list(first)

    def __call__(self, _message: Any) -> Outcome:
        return self._left.pop(0) if self._left else Accepted(provider_id="", code="250")


async def test_a_wave_leaves_once_and_is_written_down(tiny: TinyProvider) -> None:
    channel = ScriptedChannel(connections=3)
    await tiny.declare()
    async with tiny.sending(EMAIL, channel):
        await tiny.until_states(EMAIL, *["accepted"] * 6)
    assert sorted(channel.to) == [mail_of(n) for n in range(1, 7)]
    assert [(a.number, a.outcome, a.ambiguous) for a in await tiny.attempts()] == [(1, "accepted", False)] * 6
    assert len({message.key for message in channel.sent}) == 6


async def test_a_route_that_is_down_gives_everything_back_and_is_probed_one_by_one(tiny: TinyProvider) -> None:
    channel = ScriptedChannel(connections=4, down=NO_ROUTE)
    await tiny.declare()
    async with tiny.sending(EMAIL, channel) as dispatcher:
        await tiny.until(lambda: dispatcher.route.since is not None)
        assert dispatcher.route.code == "connect_failed"
        await tiny.ledger.settled()
        at_first = channel.asked_for_lane
        assert at_first <= 4
        assert await tiny.states(EMAIL) == ["planned"] * 6
        await tiny.until(lambda: channel.asked_for_lane >= at_first + 2)
        assert channel.asked_for_lane <= at_first + 3  # one row a probe, however many lanes and rows there are
        assert await tiny.attempts() == []
        channel.down = None
        await tiny.until_states(EMAIL, *["accepted"] * 6)
        assert dispatcher.route.since is None
    assert len(channel.sent) == 6


async def test_no_lane_counts_as_busy_without_a_message(tiny: TinyProvider) -> None:
    """A lane becomes free in the moment a new row goes to another one: it must not wait for work where a route that is
    down would wait for it before it is probed."""
    channel = ScriptedChannel(connections=2)
    channel.gate.clear()
    await tiny.declare()
    now = tiny.clock()
    async with tiny.db.write() as conn:
        until = now + timedelta(minutes=2)
        rows = await claims.claim(conn, channel=EMAIL, owner="here", now=now, until=until, count=2)
    ready = [
        Ready(row=row, message=tiny.words.message(row, {}, key), key=key) for row in rows if (key := tiny.new_key())
    ]
    dispatcher = tiny.dispatcher(EMAIL, channel)
    tiny.ledger.start()
    lanes = [asyncio.create_task(dispatcher._lane_worker()) for _ in range(2)]
    dispatcher._queue.put(ready[0])
    await channel.begun.wait()
    channel.gate.set()
    dispatcher._queue.put(ready[1])
    await tiny.until(lambda: len(channel.sent) == 2)
    await tiny.ledger.settled()
    assert dispatcher._busy == 0
    for lane in lanes:
        lane.cancel()
    await asyncio.gather(*lanes, return_exceptions=True)
    await tiny.ledger.stop()


async def test_a_storm_of_429_waits_as_long_as_the_provider_says(tiny: TinyProvider) -> None:
    storm = Deferred(scope=FailureScope.ROUTE, code="20429", reason="too many", retry_after=timedelta(seconds=0.7))
    channel = ScriptedChannel(connections=1, script=Answers(storm))
    await tiny.declare()
    async with tiny.sending(SMS, channel):
        await tiny.until(lambda: len(channel.sent) == 1)
        began = monotonic()
        await tiny.until(lambda: len(channel.sent) == 2)
        assert monotonic() - began >= 0.65
        tiny.clock.pass_(60)
        await tiny.until_states(SMS, *["accepted"] * 6)
    assert len(channel.sent) == 7
    assert sorted(a.outcome for a in await tiny.attempts()) == ["accepted"] * 6 + ["deferred"]


async def test_words_that_come_while_the_route_goes_down_do_not_run_into_it(tiny: TinyProvider) -> None:
    """What was being rendered when the route went down goes back as well, instead of trying it row by row."""
    down = Deferred(scope=FailureScope.ROUTE, code="421", reason="closing", retry_after=timedelta(seconds=30))
    channel = ScriptedChannel(connections=1, script=lambda _: down)
    dispatcher = tiny.dispatcher(EMAIL, channel)
    await tiny.declare()
    plain = tiny.words.render

    def slow(rows: Any, revisions: Any, keys: Any) -> Any:
        dispatcher._route_down(down)  # as another lane finds out in this very moment
        return plain(rows, revisions, keys)

    tiny.words.render = slow  # type: ignore[method-assign]
    tiny.ledger.start()
    dispatcher.start()
    await tiny.until(lambda: dispatcher.route.since is not None)
    await tiny.until_states(EMAIL, *["planned"] * 6)
    await dispatcher.stop(timedelta(seconds=5))
    await tiny.ledger.stop()
    assert channel.sent == []


@pytest.mark.parametrize("what", ["superseded", "opted_out", "held", "paused", "pending"])
async def test_what_changes_between_claim_and_mark_is_not_sent(tiny: TinyProvider, what: str) -> None:
    """One lane hangs on the first message; everything claimed behind it meets the change at its mark."""
    channel = ScriptedChannel(connections=1)
    channel.gate.clear()
    outage = await tiny.declare()
    async with tiny.sending(EMAIL, channel) as dispatcher:
        await tiny.until_states(EMAIL, "transmitting", *["leased"] * 5)
        match what:
            case "superseded":
                await tiny.operations.resolve(outage, Ending(), actor=ANN)
            case "opted_out":
                for n in range(2, 7):
                    await tiny.receipts.unsubscribe(n, "list-unsubscribe")
            case "held":
                await tiny.operations.hold(outage, "wait for the press office", actor=ANN)
            case "paused":
                await tiny.operations.pause("test", actor=ANN)
            case _:
                await tiny.operations.update(
                    outage, Change(message="Wrong words"), actor=ANN, undo_for=timedelta(minutes=1)
                )
        channel.gate.set()
        await tiny.until(lambda: len(channel.sent) >= 1)
        dispatcher.wake()
        states = {
            "superseded": ["accepted"] + ["superseded"] * 5,
            "opted_out": ["accepted"] + ["suppressed"] * 5,
            "held": ["accepted"] + ["planned"] * 5,
            "paused": ["accepted"] + ["planned"] * 5,
            "pending": ["accepted"] + ["planned"] * 5,
        }[what]

        async def there() -> bool:
            return [row.state for row in await tiny.rows(EMAIL, revision=1)] == states

        await tiny.until(there)
    acknowledged = [message.to for message in channel.sent if message.body.endswith("acknowledgement")]
    assert acknowledged == [mail_of(1)]


async def test_stopping_gives_the_queue_back_and_leaves_nothing_unknown(tiny: TinyProvider) -> None:
    channel = ScriptedChannel(connections=2)
    channel.gate.clear()
    await tiny.declare()
    dispatcher = tiny.dispatcher(EMAIL, channel)
    tiny.ledger.start()
    dispatcher.start()
    await tiny.until_states(EMAIL, "transmitting", "transmitting", *["leased"] * 4)
    stopping = asyncio.create_task(dispatcher.stop(timedelta(seconds=10)))
    await tiny.until_states(EMAIL, "transmitting", "transmitting", *["planned"] * 4)
    channel.gate.set()
    await stopping
    await tiny.ledger.stop()
    assert await tiny.states(EMAIL) == ["accepted"] * 2 + ["planned"] * 4
    assert len(channel.sent) == 2
    assert not any(a.ambiguous or a.outcome is None for a in await tiny.attempts())


async def test_stopping_while_the_rate_makes_a_lane_wait_sends_no_more(tiny: TinyProvider) -> None:
    channel = ScriptedChannel(connections=1, rate_per_second=1.0)
    await tiny.declare()
    async with tiny.sending(EMAIL, channel):
        await tiny.until(lambda: len(channel.sent) == 1)
    assert len(channel.sent) == 1
    assert await tiny.states(EMAIL) == ["accepted"] + ["planned"] * 5


async def test_stopping_gives_up_on_a_provider_that_does_not_answer(tiny: TinyProvider) -> None:
    channel = ScriptedChannel(connections=1)
    channel.gate.clear()
    await tiny.declare()
    dispatcher = tiny.dispatcher(EMAIL, channel)
    tiny.ledger.start()
    dispatcher.start()
    await tiny.until_states(EMAIL, "transmitting", *["leased"] * 5)
    await dispatcher.stop(timedelta(seconds=0.1))
    await tiny.ledger.stop()
    assert await tiny.states(EMAIL) == ["transmitting"] + ["planned"] * 5  # the next start calls the one ambiguous


async def test_the_rate_is_kept(tiny: TinyProvider) -> None:
    channel = ScriptedChannel(connections=4, rate_per_second=10.0)
    await tiny.declare()
    async with tiny.sending(EMAIL, channel):
        await tiny.until(lambda: len(channel.sent) == 1)
        began = monotonic()
        await tiny.until(lambda: len(channel.sent) == 6)
        assert monotonic() - began >= 0.4


async def test_texts_a_day_are_capped_and_the_end_is_exempt(tmp_path: Path) -> None:
    async with tiny_provider(tmp_path, 5, delivery=QUICK) as tiny:
        outage = await tiny.declare()
        tiny.house.safety.__dict__["sms_per_day"] = 3  # the verb's own brake would have made it a draft
        channel = ScriptedChannel(connections=1)
        async with tiny.sending(SMS, channel) as dispatcher:
            await tiny.until_states(SMS, *["accepted"] * 3, *["capped"] * 2)
            assert {row.reason for row in await tiny.rows(SMS, state="capped")} == {"sms_per_day"}
            await tiny.operations.resolve(outage, Ending(), actor=ANN)
            dispatcher.wake()
            await tiny.until(lambda: len(channel.sent) >= 6)
        assert channel.to[3:] == [phone_of(n) for n in (1, 2, 3)]


async def test_a_dead_address_is_suppressed_everywhere_and_a_refusal_is_told(tiny: TinyProvider) -> None:
    dead = Rejected(scope=FailureScope.ADDRESS, code="5.1.1", reason="no such user", suppress_as="dead_address")
    no = Rejected(scope=FailureScope.MESSAGE, code="5.7.1", reason="spam")
    channel = ScriptedChannel(connections=1, script=Answers(dead, no))
    await tiny.declare()
    async with tiny.sending(EMAIL, channel):
        await tiny.until_states(EMAIL, "failed", "failed", *["accepted"] * 4)
    assert [line.why for line in await tiny.timeline("suppressed")] == ["dead_address"]
    assert [code for _, code in tiny.failures] == ["5.7.1"]
    await tiny.declare()
    async with tiny.sending(EMAIL, channel):
        await tiny.until(lambda: len(channel.sent) >= 6)
    assert channel.to.count(mail_of(1)) == 1


async def test_later_is_tried_again_later_and_a_greylisted_row_does_not_keep_the_route_in_doubt(
    tiny: TinyProvider,
) -> None:
    down = Deferred(scope=FailureScope.ROUTE, code="421", reason="closing")
    grey = Deferred(scope=FailureScope.ADDRESS, code="451", reason="greylisted")
    channel = ScriptedChannel(connections=1, script=Answers(down, grey))
    await tiny.declare()
    async with tiny.sending(EMAIL, channel) as dispatcher:
        await tiny.until(lambda: len(channel.sent) == 6)
        await tiny.ledger.settled()
        assert dispatcher.route.since is None
        assert sorted(await tiny.states(EMAIL)) == ["accepted"] * 4 + ["planned"] * 2
        tiny.clock.pass_(61 * 1.25)
        dispatcher.wake()
        await tiny.until_states(EMAIL, *["accepted"] * 6)


async def test_a_channel_that_raises_leaves_its_message_unknown_and_the_lane_working(tiny: TinyProvider) -> None:
    def broken(message: Any) -> Outcome:
        if message.to == mail_of(2):
            raise RuntimeError("a bug")
        return Accepted(provider_id="", code="250")

    await tiny.declare()
    async with tiny.sending(EMAIL, ScriptedChannel(connections=1, script=broken)):
        await tiny.until_states(EMAIL, "accepted", "ambiguous", *["accepted"] * 4)
    assert [line.why for line in await tiny.timeline("ambiguous")] == ["bug"]


async def test_a_row_without_words_fails_and_a_poisoned_batch_is_taken_apart(tiny: TinyProvider) -> None:
    tiny.words.poisoned = {mail_of(1), "*" + mail_of(3)}
    await tiny.declare()
    channel = ScriptedChannel()
    async with tiny.sending(EMAIL, channel):
        await tiny.until_states(EMAIL, "failed", "accepted", "failed", *["accepted"] * 3)
    assert len(tiny.failures) == 2


@pytest.mark.databases("sqlite")
async def test_leases_are_given_back_when_the_database_refuses_after_the_claim(tmp_path: Path) -> None:
    """Our own heartbeat keeps our leases: a row that is leased and forgotten would never be sent."""
    async with tiny_provider(tmp_path, 3, delivery=QUICK, safety=SafetySettings()) as tiny:
        await tiny.declare()
        tiny.house.safety.__dict__["sms_per_day"] = 1
        other = sqlite3.connect(str(tiny.db.path), isolation_level=None, check_same_thread=False)
        held: list[str] = []

        def crash(point: str) -> None:
            if point == "after_claim" and not held:  # from here on another process has the database
                other.execute("BEGIN EXCLUSIVE")
                held.append(point)

        channel = ScriptedChannel(connections=1)
        dispatcher = tiny.dispatcher(SMS, channel)
        dispatcher._feeder._crash = crash
        tiny.ledger.start()
        dispatcher.start()
        await tiny.until(lambda: not tiny.ledger._idle.is_set(), 15)  # it wants to give them back
        assert await tiny.states(SMS) == ["leased"] * 3
        other.execute("ROLLBACK")
        other.close()
        await tiny.until_states(SMS, "accepted", "capped", "capped")
        await dispatcher.stop(timedelta(seconds=5))
        await tiny.ledger.stop()


@pytest.mark.databases("sqlite")
async def test_nothing_leaves_while_the_database_refuses_marks(tiny: TinyProvider) -> None:
    """I23: no transmission without a durable record, and it resumes by itself."""
    channel = ScriptedChannel(connections=2)
    channel.gate.clear()
    await tiny.declare()
    async with tiny.sending(EMAIL, channel) as dispatcher:
        await tiny.until_states(EMAIL, "transmitting", "transmitting", *["leased"] * 4)
        other = sqlite3.connect(str(tiny.db.path), isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        channel.gate.set()
        await tiny.until(lambda: tiny.ledger.faults >= 1, 10)
        assert len(channel.sent) == 2
        other.execute("ROLLBACK")
        other.close()
        dispatcher.wake()
        await tiny.until_states(EMAIL, *["accepted"] * 6)
    assert sorted(channel.to) == [mail_of(n) for n in range(1, 7)]


async def test_an_unknown_fate_is_not_tried_again_by_the_dispatcher(tiny: TinyProvider) -> None:
    channel = ScriptedChannel(connections=1, script=Answers(Ambiguous(code="dropped", reason="after the dot")))
    await tiny.declare()
    async with tiny.sending(EMAIL, channel):
        await tiny.until_states(EMAIL, "ambiguous", *["accepted"] * 5)
        tiny.clock.pass_(3600)
    assert channel.to.count(mail_of(1)) == 1


async def test_a_busy_lane_knows_what_follows(tiny: TinyProvider) -> None:
    channel = ScriptedChannel(connections=1, looks_ahead=True)
    await tiny.declare()
    async with tiny.sending(EMAIL, channel):
        await tiny.until_states(EMAIL, *["accepted"] * 6)
    assert channel.foreseen == [*channel.sent[1:], None]


async def test_nothing_is_foreseen_where_a_rate_sets_the_pace_or_a_lane_is_free(tiny: TinyProvider) -> None:
    await tiny.declare()
    channel = ScriptedChannel(connections=1, looks_ahead=True, rate_per_second=50.0)
    async with tiny.sending(EMAIL, channel):
        await tiny.until_states(EMAIL, *["accepted"] * 6)
    assert channel.foreseen == [None] * 6
    idle = ScriptedChannel(connections=20, looks_ahead=True)
    async with tiny.sending(SMS, idle):
        await tiny.until_states(SMS, *["accepted"] * 6)
    assert idle.foreseen == [None] * 6


class _HangsWithAnotherBehind(ScriptedChannel):
    """The first message that another one is to follow gets no answer while the gate is shut."""

    async def send(self, message: Any, following: Any = None) -> Outcome:
        self.foreseen.append(following)
        if following is not None and not self.begun.is_set():
            self.behind = following
            self.begun.set()
            await self.gate.wait()
        self.sent.append(message)
        return self.script(message)


async def test_no_message_hangs_behind_another_that_gets_no_answer(tiny: TinyProvider) -> None:
    channel = _HangsWithAnotherBehind(connections=2, looks_ahead=True)
    channel.gate.clear()
    await tiny.declare()
    async with tiny.sending(EMAIL, channel):
        await tiny.until(lambda: len(channel.sent) == 5)
        assert channel.behind in channel.sent
        channel.gate.set()
        await tiny.until_states(EMAIL, *["accepted"] * 6)
    assert sorted(channel.to) == [mail_of(n) for n in range(1, 7)]


async def test_stopping_gives_back_what_was_to_follow(tiny: TinyProvider) -> None:
    channel = ScriptedChannel(connections=2, looks_ahead=True)
    channel.gate.clear()
    await tiny.declare()
    dispatcher = tiny.dispatcher(EMAIL, channel)
    tiny.ledger.start()
    dispatcher.start()
    await tiny.until(lambda: channel.writing == 2)
    assert any(message is not None for message in channel.foreseen)
    await dispatcher.stop(timedelta(seconds=0.1))
    await tiny.ledger.stop()
    assert sorted(await tiny.states(EMAIL)) == ["planned"] * 4 + ["transmitting"] * 2


async def test_what_was_to_follow_goes_back_when_the_route_goes_down(tiny: TinyProvider) -> None:
    down = Deferred(scope=FailureScope.ROUTE, code="421", reason="closing", retry_after=timedelta(seconds=30))
    channel = ScriptedChannel(connections=1, looks_ahead=True, script=Answers(down))
    await tiny.declare()
    async with tiny.sending(EMAIL, channel) as dispatcher:
        await tiny.until(lambda: dispatcher.route.since is not None)
        await tiny.until_states(EMAIL, *["planned"] * 6)
        assert len(channel.sent) == 1
        assert channel.foreseen[0] is not None
