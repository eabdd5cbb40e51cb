"""Several routes of one channel: real mail servers and gateways that die in the middle of a wave and come back, and
channels that answer as told where a single row has to be counted.
"""

import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client import generate_latest
from sqlalchemy import insert, update

from outagecast.channels.base import RouteDown
from outagecast.channels.email import EmailChannel
from outagecast.channels.sms.channel import SmsChannel
from outagecast.domain.cadence import Ask
from outagecast.domain.delivery import Ambiguous, Deferred, FailureScope
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import Change
from outagecast.domain.routes import Carries, Passage
from outagecast.engine.alerts import Alerts
from outagecast.engine.house import House
from outagecast.engine.metrics import Metrics
from outagecast.engine.recovery import Recovery
from outagecast.engine.route_watch import RouteWatch
from outagecast.engine.routes import MOST_DOUBTS, Accounts
from outagecast.engine.settings import DeliverySettings, StaffAlertSettings
from outagecast.storage import claims, deliveries, outages, tables, wire
from outagecast.storage.engine import Connection
from outagecast.storage.wire import Mark
from tests.support.routes import ordered, sending_by
from tests.support.smtp_server import At, Drop, ScriptedServer, serving
from tests.support.tiny_provider import ANN, EMAIL, SMS, ScriptedChannel, TinyProvider, mail_of, phone_of, tiny_provider
from tests.support.twilio_gateway import ACCOUNT, SENDER, TOKEN, Fault, Gateway, Step, gateway

QUICK = DeliverySettings(
    probe_after=timedelta(seconds=0.2),
    fail_over_after=timedelta(seconds=0.1),
    retry_after=(timedelta(minutes=1),),
    reconcile_after=(timedelta(seconds=0.1),),
    ambiguous_retry_after=timedelta(seconds=1),
)
NO_ROUTE = RouteDown(Deferred(scope=FailureScope.ROUTE, code="connect_failed", reason="nobody answers"))
MANY = 60
NOC = StaffAlertSettings(email="noc@example.net", phone="+18595559111")


@pytest.fixture
async def tiny(tmp_path: Path) -> AsyncIterator[TinyProvider]:
    async with tiny_provider(tmp_path, MANY, delivery=QUICK) as provider:
        yield provider


@pytest.fixture
async def few(tmp_path: Path) -> AsyncIterator[TinyProvider]:
    async with tiny_provider(tmp_path, 4, delivery=QUICK) as provider:
        yield provider


# --- the first dies in the middle, the second takes over, the first comes back ---


async def test_mails_go_by_the_second_server_and_by_the_first_again_when_it_is_back(tiny: TinyProvider) -> None:
    async with (
        serving(ScriptedServer()) as first,
        serving(ScriptedServer()) as second,
        sending_by(tiny, ordered(EMAIL, mail_server(first), mail_server(second))) as senders,
    ):
        outage = await tiny.declare()
        await tiny.until(lambda: first.acknowledged >= 10)
        first.faults[At.CONNECT] = Drop()
        await first.hang_up_on_all()
        await tiny.until(lambda: _gone(tiny, EMAIL), 20)
        heard, by_first, by_second = read_by(first) + read_by(second), read_by(first), read_by(second)
        unknown = {row.to for row in await tiny.rows(EMAIL, state="ambiguous")}
        assert by_first and by_second
        assert set(heard) >= {mail_of(n) for n in range(1, MANY + 1)} - unknown
        assert max(heard.values()) == 1, "nobody reads anything twice"
        assert await _routes(tiny, EMAIL, revision=1) == {"a", "b"}
        first.faults.clear()
        await tiny.operations.update(outage, Change(message="Found it"), actor=ANN)  # a row to try the first with
        await tiny.until(lambda: senders.senders[0].passage() is Passage.UP, 20)
        await tiny.until(lambda: _gone(tiny, EMAIL), 20)
        assert senders.turn(senders.senders[1].route) is Carries.NOTHING
        await tiny.operations.update(outage, Change(message="Splicing"), actor=ANN)
        await tiny.until(lambda: _gone(tiny, EMAIL, revision=3), 20)
        assert await _routes(tiny, EMAIL, revision=3) == {"a"}, "all traffic has returned"


async def test_texts_go_by_the_second_account_and_the_first_is_asked_about_its_own(tiny: TinyProvider) -> None:
    async with AsyncExitStack() as second_life, gateway() as second:
        async with gateway() as first:
            port = urlsplit(first.url).port or 0
            first.script.append(Step(fault=Fault.RESET, record=True))  # taken, and the answer is lost
            routes = ordered(SMS, account(first, tiny), account(second, tiny))
            senders = await second_life.enter_async_context(sending_by(tiny, routes))
            outage = await tiny.declare()
            await tiny.until(lambda: len(first.records) >= 10)
        await tiny.until(lambda: _gone(tiny, SMS), 20)  # its port is shut by now
        taken = Counter(record["to"] for record in [*first.records, *second.records])
        unknown = {row.to for row in await tiny.rows(SMS, state="ambiguous")}
        assert phone_of(1) in unknown and len(unknown) <= 4, "the lost answer, and what was on the wire when it died"
        assert set(taken) >= {phone_of(n) for n in range(1, MANY + 1)} - unknown
        assert max(taken.values()) == 1, "never both"
        assert second.records
        assert not (first.elsewhere or second.elsewhere)
        first_again = await second_life.enter_async_context(gateway(port))
        first_again.records = first.records
        accounts = Accounts({route.name: route.carrier for route in routes})  # type: ignore[misc]
        recovery = Recovery(tiny.house, tiny.receipts, tiny.words, {SMS: accounts}, owner="here")  # type: ignore[arg-type]
        tiny.clock.pass_(1)
        await recovery.look()
        assert {row.to for row in await tiny.rows(SMS, state="ambiguous")} == set()
        assert first_again.queries and not second.queries, "only the account of the attempt is asked"
        await tiny.operations.update(outage, Change(message="Found it"), actor=ANN)
        await tiny.until(lambda: senders.senders[0].passage() is Passage.UP, 20)
        await tiny.until(lambda: _gone(tiny, SMS, revision=2), 20)
        assert "a" in await _routes(tiny, SMS, revision=2)


async def test_an_account_that_cannot_be_asked_keeps_the_retry_waiting_and_nobody_else(few: TinyProvider) -> None:
    lost, fine = ScriptedChannel(down=NO_ROUTE), ScriptedChannel()
    await few.declare()
    rows = await few.rows(SMS)
    async with few.db.write() as conn:
        for row, route in zip(rows, ("a", "b", "gone", ""), strict=True):
            await _make_ambiguous(few, conn, row, route)
    fine.found = {}
    recovery = Recovery(few.house, few.receipts, few.words, {SMS: Accounts({"a": lost, "b": fine})}, owner="here")  # type: ignore[arg-type]
    few.clock.pass_(5)
    await recovery.look()
    assert {to for _, to, _ in fine.asked} == {phone_of(2)}
    assert await few.states(SMS) == ["ambiguous", "planned", "planned", "ambiguous"], (
        "unnamed ones may be the lost one's"
    )
    lost.down = None
    await recovery.look()
    assert {to for _, to, _ in lost.asked} == {phone_of(1), phone_of(4)}
    await recovery.look()
    assert await few.states(SMS) == ["planned"] * 4


# --- who takes what ---


async def test_a_route_that_is_down_is_probed_by_one_row_while_the_next_carries(tiny: TinyProvider) -> None:
    dead, alive = ScriptedChannel(connections=4, down=NO_ROUTE), ScriptedChannel(connections=1, rate_per_second=20.0)
    async with sending_by(tiny, ordered(EMAIL, dead, alive)) as senders:
        await tiny.declare()
        await tiny.until(lambda: alive.begun.is_set())
        at_first, began = dead.asked_for_lane, monotonic()
        assert at_first <= 4
        opened = senders.senders[0].breaker
        await tiny.until(lambda: dead.asked_for_lane >= at_first + 2)
        assert monotonic() - began >= 0.2, "no sooner than it is due"
        assert senders.senders[0].breaker.opened == 1 and senders.senders[0].breaker.since == opened.since
        await tiny.until(lambda: _gone(tiny, EMAIL), 20)
    assert not dead.sent
    assert Counter(alive.to) == Counter({mail_of(n): 1 for n in range(1, MANY + 1)})


async def test_nothing_fails_over_before_its_time(tmp_path: Path) -> None:
    patient = QUICK.model_copy(update={"fail_over_after": timedelta(hours=1)})
    async with tiny_provider(tmp_path, 4, delivery=patient) as tiny:
        dead, alive = ScriptedChannel(down=NO_ROUTE), ScriptedChannel()
        async with sending_by(tiny, ordered(EMAIL, dead, alive)):
            await tiny.declare()
            await tiny.until(lambda: dead.asked_for_lane >= 4)
            assert not alive.sent
            dead.down = None
            await tiny.until(lambda: _gone(tiny, EMAIL))
        assert len(dead.sent) == 4 and not alive.sent


async def test_what_the_second_has_not_begun_with_goes_back_to_the_first(tiny: TinyProvider) -> None:
    first, second = ScriptedChannel(connections=1, down=NO_ROUTE), ScriptedChannel(connections=1)
    second.gate.clear()
    async with sending_by(tiny, ordered(EMAIL, first, second)) as senders:
        outage = await tiny.declare()
        await tiny.until(lambda: second.begun.is_set())
        first.down = None
        await tiny.operations.update(outage, Change(message="Found it"), actor=ANN)  # something to try the first with
        await tiny.until(lambda: len(first.sent) >= MANY - 1, 20)
        second.gate.set()
        await tiny.until(lambda: _gone(tiny, EMAIL))
        assert senders.senders[0].passage() is Passage.UP
    assert len(second.sent) == 1


async def test_a_route_that_never_answers_is_left_after_a_few(tiny: TinyProvider) -> None:
    """Each of them is a message that nobody knows of: not sixty, and none of them is sent by the other at once."""
    mute = ScriptedChannel(connections=1, script=lambda _: Ambiguous(code="timeout", reason="no answer"))
    alive = ScriptedChannel()
    async with sending_by(tiny, ordered(EMAIL, mute, alive)) as senders:
        await tiny.declare()
        await tiny.until(lambda: _gone(tiny, EMAIL), 20)
        assert senders.senders[0].breaker.code == "timeout"
    unknown = {row.to for row in await tiny.rows(EMAIL, state="ambiguous")}
    assert MOST_DOUBTS <= len(mute.sent) == len(unknown) < MANY / 2
    assert not unknown & set(alive.to)


async def test_a_message_that_met_a_dead_route_waits_for_the_next_one_only(tmp_path: Path) -> None:
    rare = QUICK.model_copy(update={"probe_after": timedelta(hours=1)})
    async with tiny_provider(tmp_path, 4, delivery=rare) as tiny:
        down = Deferred(scope=FailureScope.ROUTE, code="421", reason="closing")
        closing, alive = ScriptedChannel(connections=2, script=lambda _: down), ScriptedChannel()
        async with sending_by(tiny, ordered(EMAIL, closing, alive)):
            await tiny.declare()
            await tiny.until(lambda: _gone(tiny, EMAIL))
        assert closing.sent and len(alive.sent) == 4


async def test_a_route_alone_goes_on_through_doubts(few: TinyProvider) -> None:
    mute = ScriptedChannel(connections=1, script=lambda _: Ambiguous(code="http_500", reason="recorded, perhaps"))
    async with sending_by(few, ordered(SMS, mute)) as senders:
        await few.declare()
        await few.until(lambda: _gone(few, SMS))
        assert senders.senders[0].breaker.since is None
    assert len(mute.sent) == 4


# --- the staff's own route ---


async def test_staff_are_told_by_their_own_route_while_the_customers_is_cut(few: TinyProvider) -> None:
    cut, own = ScriptedChannel(down=NO_ROUTE), ScriptedChannel()
    async with sending_by(few, ordered(EMAIL, cut, staff=own)):
        outage = await few.declare()
        await few.until(lambda: cut.asked_for_lane >= 2)
        await _ask(few, outage, Ask.PROMISE)
        await few.until(lambda: own.sent)
        assert own.to == ["noc@example.net"]
        cut.down = None
        await few.until(lambda: len(cut.sent) == 4)
    assert sorted(cut.to) == [mail_of(n) for n in range(1, 5)]
    assert own.to == ["noc@example.net"], "customers never go that way"


async def test_staff_go_the_customers_way_while_their_own_is_down(few: TinyProvider) -> None:
    fine, own = ScriptedChannel(), ScriptedChannel(down=NO_ROUTE)
    async with sending_by(few, ordered(EMAIL, fine, staff=own)) as senders:
        outage = await few.declare()
        await few.until(lambda: len(fine.sent) == 4)
        await _ask(few, outage, Ask.PROMISE)
        await few.until(lambda: "noc@example.net" in fine.to)
        own.down = None
        await _ask(few, outage, Ask.ETA)
        await few.until(lambda: senders.senders[1].passage() is Passage.UP or fine.to.count("noc@example.net") == 2)
        await _ask(few, outage, Ask.ESCALATION)
        await few.until(lambda: len(own.to) + fine.to.count("noc@example.net") == 3)
    assert (await few.rows(EMAIL, audience="staff", kind="promise"))[0].state == "accepted"


async def test_without_a_route_of_their_own_staff_go_with_all(few: TinyProvider) -> None:
    fine = ScriptedChannel()
    async with sending_by(few, ordered(EMAIL, fine)):
        outage = await few.declare()
        await _ask(few, outage, Ask.PROMISE)
        await few.until(lambda: len(fine.sent) == 5)
    assert "noc@example.net" in fine.to


# --- what is known of them, and the alarm ---


async def test_the_routes_are_written_down_and_read_by_every_daemon(few: TinyProvider) -> None:
    dead, alive = ScriptedChannel(down=NO_ROUTE), ScriptedChannel()
    watch = RouteWatch(few.house)
    await watch.refresh()
    assert not watch.seen and not watch.cut
    async with sending_by(few, ordered(EMAIL, dead, alive)) as senders:
        await senders.report()
        await watch.refresh()
        assert [(v.name, v.passage, v.carries) for v in watch.seen] == [
            ("a", Passage.UP, Carries.ALL), ("b", Passage.UP, Carries.NOTHING),
        ]  # fmt: skip
        outage = await few.declare()
        await few.until(lambda: _gone(few, EMAIL))
        await senders.report()
        await watch.refresh()
        a, b = watch.seen
        assert (a.passage is not Passage.UP, a.code, a.reason, a.opened) == (
            True, "connect_failed", "nobody answers", 1,
        )  # fmt: skip
        assert a.since is not None and b.last_left_at is not None
        assert (b.passage, b.carries, b.sent) == (Passage.UP, Carries.ALL, 4)
        assert EMAIL not in watch.cut and few.house.flow.present[EMAIL] == b.rate
        dead.down = None
        await few.operations.update(outage, Change(message="Found it"), actor=ANN)
        await few.until(lambda: senders.senders[0].passage() is Passage.UP)
        await senders.report()
    lines = [(line.what, line.data) for line in await few.timeline("route_down", "route_back")]
    assert lines == [(what, {"channel": "email", "route": "a"}) for what in ("route_down", "route_back")]
    few.clock.pass_(61)
    await watch.refresh()
    assert not watch.seen, "who has written nothing for a minute does not send"


async def test_another_daemon_that_gets_through_counts(few: TinyProvider) -> None:
    dead, alive = ScriptedChannel(down=NO_ROUTE), ScriptedChannel()
    watch = RouteWatch(few.house)
    async with sending_by(few, ordered(EMAIL, dead), "one") as one:
        await few.declare()
        await few.until(lambda: one.senders[0].breaker.since is not None)
        await one.report()
        await watch.refresh()
        assert watch.cut["email"].reason == "nobody answers"
        async with sending_by(few, ordered(EMAIL, alive), "two") as two:
            await two.report()
            await watch.refresh()
            assert watch.cut == {}
            assert (watch.seen[0].senders, watch.seen[0].stuck, watch.seen[0].passage) == (2, 1, Passage.UP)


async def test_that_nothing_leaves_is_told_once_and_by_the_staffs_own_route(few: TinyProvider) -> None:
    cut, own = ScriptedChannel(down=NO_ROUTE), ScriptedChannel()
    house = _with_staff(few)
    watch, alerts = RouteWatch(house), Alerts(house)
    async with sending_by(few, ordered(EMAIL, cut, staff=own)) as senders:
        outage = await few.declare()
        at = few.clock()
        await few.until(lambda: senders.senders[0].breaker.since is not None)
        await senders.report()
        await watch.refresh()
        await watch.alarm(alerts)
        assert not await few.rows(EMAIL, audience="staff"), "it may be back in a moment"
        few.clock.pass_(61)
        for _ in range(3):
            await senders.report()
            await watch.refresh()
            await watch.alarm(alerts)
        await few.until(lambda: own.sent)
        assert own.to == ["noc@example.net"]
        await few.ledger.settled()
        (row,) = await few.rows(EMAIL, audience="staff")
        assert (row.kind, row.outage_id, row.state) == ("silence", outage, "accepted")
        assert row.facts["channel"] == "E-mail" and row.facts["detail"] == "nobody answers"
        assert abs(row.facts["since"] - at.timestamp() * 1e6) < 5e6

        async def four_wait() -> bool:  # a probe may have one of them in its hands
            await watch.refresh()
            return watch.cut["email"].messages == 4

        await few.until(four_wait)
        cut.down = None
        await few.until(lambda: len(cut.sent) == 4)
        await senders.report()
        await watch.refresh()
        assert watch.cut == {}


async def test_messages_that_hang_on_the_wire_are_a_silence_too(few: TinyProvider) -> None:
    """The route is up by its own account; what nobody answers has not left."""
    hanging = ScriptedChannel(connections=2)
    hanging.gate.clear()
    watch = RouteWatch(few.house, sure_after=0.0)
    async with sending_by(few, ordered(EMAIL, hanging)) as senders:
        await few.declare()
        await few.until(lambda: hanging.begun.is_set())
        await senders.report()
        await watch.refresh()
        assert watch.cut == {}
        few.clock.pass_(59 + 2)
        await senders.report()
        await watch.refresh()
        assert watch.cut["email"].code == "silent"
        hanging.gate.set()
        await few.until(lambda: len(hanging.sent) == 4)
        await few.ledger.settled()
        await senders.report()
        await watch.refresh()
        assert "email" not in watch.cut
        assert watch.cut["sms"].reason == "no daemon sends"


async def test_what_a_pause_keeps_back_is_no_silence(few: TinyProvider) -> None:
    watch = RouteWatch(few.house, sure_after=0.0)
    async with sending_by(few, ordered(EMAIL, ScriptedChannel())) as senders:
        await few.operations.pause("a look first", actor=ANN)
        await few.declare()
        few.clock.pass_(300)
        await senders.report()
        await watch.refresh()
        assert "email" not in watch.cut and watch.waiting["email"].messages == 4


# --- support ---


def mail_server(server: ScriptedServer) -> EmailChannel:
    return EmailChannel(
        host=server.host, port=server.port, sender="status@example.net", connections=3, ehlo_name="us.example.net"
    )


def account(at: Gateway, tiny: TinyProvider) -> SmsChannel:
    return SmsChannel(
        account_sid=ACCOUNT,
        auth_token=TOKEN,
        sender=SENDER,
        messaging_service_sid=None,
        api_url=at.url,
        rate_per_second=0.0,
        connections=3,
        allowed_countries=frozenset({"US"}),
        public_url="https://status.example.net",
        clock=tiny.clock,
    )


def read_by(server: ScriptedServer) -> Counter[str]:
    """Whom the mails are to whose final dot arrived there."""
    found = [re.search(rb"^To: <?([^>\r\n]+)", dot, re.MULTILINE) for dot in server.dots]
    return Counter(match[1].decode() for match in found if match)


async def _gone(tiny: TinyProvider, channel: ChannelName, **which: Any) -> bool:
    """Everything is with a provider, or nobody can know."""
    rows = await tiny.rows(channel, **which)
    return bool(rows) and all(row.state in ("accepted", "ambiguous", "superseded") for row in rows)


async def _routes(tiny: TinyProvider, channel: ChannelName, **which: Any) -> set[str]:
    """By what these rows were taken."""
    ids = {row.id for row in await tiny.rows(channel, **which)}
    return {a.route for a in await tiny.attempts() if a.delivery_id in ids and a.outcome == "accepted"}


def _with_staff(tiny: TinyProvider) -> House:
    return replace(tiny.house, staff_alerts=(StaffAlertSettings(email="noc@example.net"),))


async def _ask(tiny: TinyProvider, outage: str, what: Ask) -> None:
    async with tiny.db.write() as conn:
        await Alerts(_with_staff(tiny)).ask(conn, await outages.get(conn, outage), what, tiny.clock())
    tiny.house.changes.notify()


async def _make_ambiguous(tiny: TinyProvider, conn: Connection, row: Any, route: str) -> None:
    until = tiny.clock() + timedelta(minutes=2)
    (claimed,) = await claims.claim(conn, channel=SMS, owner="here", now=tiny.clock(), until=until, count=1)
    assert claimed.id == row.id
    mark = Mark(id=row.id, fence=claimed.fence, key=f"key-of-{row.id}", number=1, at=tiny.clock(), route=route)
    assert await wire.mark(conn, [mark], tiny.clock()) == {row.id}
    await deliveries.make_ambiguous(conn, [claimed], tiny.clock(), "crash", "nobody knows")


async def test_metrics_of_every_route(few: TinyProvider) -> None:
    dead, alive = ScriptedChannel(down=NO_ROUTE), ScriptedChannel()
    watch = RouteWatch(few.house)
    async with sending_by(few, ordered(EMAIL, dead, alive, staff=ScriptedChannel())) as senders:
        await few.declare()
        await few.until(lambda: _gone(few, EMAIL))
        metrics = Metrics(few.db, few.clock, senders, watch, few.ledger, few.receipts)
        await senders.report()
        await watch.refresh()
        await metrics.refresh()
        said = generate_latest(metrics.registry).decode()
        for line in (
            'outagecast_route_up{channel="email"} 1.0',
            'outagecast_route_state{channel="email",route="a",state="up"} 0.0',
            'outagecast_route_state{channel="email",route="b",state="up"} 1.0',
            'outagecast_route_carries{audience="customer",channel="email",route="b"} 1.0',
            'outagecast_route_carries{audience="staff",channel="email",route="staff"} 1.0',
            'outagecast_route_carries{audience="customer",channel="email",route="staff"} 0.0',
            'outagecast_route_breaker_opened_total{channel="email",route="a"} 1.0',
            'outagecast_route_outcomes_total{channel="email",outcome="accepted",route="b"} 4.0',
            'outagecast_outcomes_total{channel="email",outcome="accepted"} 4.0',
            'outagecast_nothing_left_seconds{channel="email"} 0.0',
        ):
            assert line in said.splitlines(), line
        alive.down = NO_ROUTE
        senders.senders[1].dispatcher._route_down(NO_ROUTE.outcome)
        await senders.report()
        await watch.refresh()
        few.clock.pass_(30)
        later = generate_latest(metrics.registry).decode().splitlines()
        assert 'outagecast_route_up{channel="email"} 0.0' in later
        assert not any(line == 'outagecast_nothing_left_seconds{channel="email"} 0.0' for line in later)


async def test_the_most_needed_go_first_where_the_rate_is_the_limit(few: TinyProvider) -> None:
    """Gold before all; then who has no other way; then the one with most lines."""
    async with few.db.write() as conn:
        await conn.execute(update(tables.customers).where(tables.customers.c.id == "C4").values(tier="gold"))
        await conn.execute(update(tables.contacts).where(tables.contacts.c.id == "K3").values(phone_id=None))
        more = {"id": "L2-b", "customer_id": "C2", "label": "Line 2, second", "need_id": 1}
        await conn.execute(insert(tables.circuits).values(more))
    slow = ScriptedChannel(connections=1, rate_per_second=50.0)
    async with sending_by(few, ordered(EMAIL, slow)):
        await few.declare()
        await few.until(lambda: len(slow.sent) == 4)
    assert slow.to == [mail_of(n) for n in (4, 3, 2, 1)]
