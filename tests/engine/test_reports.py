"""Reports on what the real engine said: first word, promises, ETAs, outcomes, time lost, months."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.errors import NotFound
from outagecast.domain.levels import Effect
from outagecast.domain.outage import KEEP, Change, Ending, Restoration, ScopeEntry
from outagecast.domain.report import Keeper, PromiseState
from outagecast.engine.reports import Reports
from tests.support.healthy import ANN, MINUTE, START, Built, build, declaration

S = DeliveryState


@pytest.fixture
async def built(tmp_path: Path) -> AsyncIterator[Built]:
    found = await build(tmp_path, wave_limit=1000)
    yield found
    await found.db.close()


async def words(delivery_ids: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
    """Every text of two segments."""
    return {id: {"text": "Bluegrass Fiber: " + "your line is down. " * 10} for id in delivery_ids}


def reports(built: Built, price: tuple[float, str] | None = (0.01, "USD")) -> Reports:
    return Reports(built.db, words, clock=built.clock, price=price)


async def play(built: Built, time: timedelta) -> None:
    """As the daemon would, looking each minute."""
    until = built.clock.now + time
    while built.clock.now < until:
        built.clock.pass_(MINUTE)
        await built.promises.keep()
        await built.post.send()


async def test_one_outage_in_figures(built: Built) -> None:
    started = START - 5 * MINUTE
    told = await built.operations.declare(declaration("POP-A", started_at=started), actor=ANN)
    built.clock.pass_(timedelta(seconds=60))
    # one@ gets through; the text is never accepted.
    await built.post.send(lambda row: S.FAILED if row.channel == "sms" else S.ACCEPTED)
    await play(built, 65 * MINUTE)  # the desk is silent: a holding notice keeps the first promise
    await built.operations.update(told.outage_id, Change(eta=START + 100 * MINUTE, message="Found it."), actor=ANN)
    await built.post.send()
    await play(built, 20 * MINUTE)
    await built.operations.update(told.outage_id, Change(eta=START + 150 * MINUTE, message="Longer."), actor=ANN)
    await built.post.send()
    await play(built, 34 * MINUTE)
    await built.operations.resolve(told.outage_id, Ending(resolved_at=START + 120 * MINUTE), actor=ANN)
    await built.post.send()

    report = await reports(built).outage(told.outage_id)
    judged = report.judged
    assert judged.to_first == timedelta(seconds=60)
    assert judged.until_told == timedelta(seconds=360)
    assert [(p.state, p.by) for p in judged.promises] == [
        (PromiseState.KEPT, Keeper.HOLDING),
        (PromiseState.KEPT, Keeper.DESK),
        (PromiseState.KEPT, Keeper.DESK),
        (PromiseState.KEPT, Keeper.DESK),
    ]
    assert [(eta.eta - START, eta.slipped, eta.error) for eta in judged.etas] == [
        (100 * MINUTE, False, 20 * MINUTE),
        (150 * MINUTE, True, -30 * MINUTE),
    ]
    assert (judged.slips, judged.eta_error) == (1, -30 * MINUTE)
    by_channel = {each.channel: each for each in judged.channels}
    assert by_channel["sms"].failed == 1
    texts = by_channel["sms"].left
    assert texts >= 3
    assert (by_channel["sms"].segments, by_channel["sms"].about) == (2 * texts, False)
    assert by_channel["sms"].cost is not None
    assert by_channel["sms"].cost.amount == pytest.approx(0.02 * texts)
    # A3 has no address; the phone that refused the first text took the later ones.
    assert [(each.customer_id, each.why) for each in report.unreached] == [("A3", "no_address")]
    assert report.asked == {"promise": 1}
    # A1, A2, A3 and AB (it needs POP-A as well) were out from the beginning to the end.
    assert judged.suffered.customers == 4
    assert judged.suffered.customer_time == 4 * (120 + 5) * MINUTE
    assert judged.longest is not None
    assert judged.longest.took == timedelta(seconds=60)
    assert sum(n for _, _, n in report.over_time) == sum(each.taken for each in judged.channels)


async def test_a_promise_that_nobody_kept_is_broken_and_its_late_messages_are_counted(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-B"), actor=ANN)
    await built.post.send()
    built.clock.pass_(timedelta(minutes=75))  # the daemon stood still
    one = (await reports(built).outage(told.outage_id)).judged
    assert [(p.state, p.by) for p in one.promises] == [(PromiseState.BROKEN, None)]
    await built.promises.keep()
    await built.post.send()
    report = await reports(built).outage(told.outage_id)
    first, waiting = report.judged.promises
    assert (first.state, first.by) == (PromiseState.BROKEN, Keeper.HOLDING)
    assert waiting.state is PromiseState.WAITING
    holding = report.judged.words[-1]
    assert (holding.verb, holding.late) == ("holding", holding.left)
    assert holding.late > 0


async def test_time_that_two_lines_of_a_customer_share_counts_once(built: Built) -> None:
    """AB hangs on POP-A and POP-B: two outages, one after the other began; within one outage nothing counts twice."""
    both = ScopeEntry(kind="element", id="POP-B", effect=Effect.OUTAGE)
    told = await built.operations.declare(declaration("POP-A"), actor=ANN)
    built.clock.pass_(10 * MINUTE)
    await built.operations.update(told.outage_id, Change(scope_add=(both,), eta=KEEP), actor=ANN)
    built.clock.pass_(10 * MINUTE)
    back = Restoration(scope=(ScopeEntry(kind="element", id="POP-A", effect=Effect.OUTAGE),))
    await built.operations.restore(told.outage_id, back, actor=ANN)
    built.clock.pass_(10 * MINUTE)
    await built.operations.resolve(told.outage_id, Ending(), actor=ANN)
    found = (await reports(built).outage(told.outage_id)).judged.suffered
    # A1, A2, A3: 20 min; B1: 20 min; AB: 30 min.
    assert (found.customers, found.customer_time) == (5, (3 * 20 + 20 + 30) * MINUTE)


async def test_a_month_is_the_outages_declared_in_it(built: Built) -> None:
    first = await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.post.send()
    built.clock.pass_(timedelta(days=40))
    second = await built.operations.declare(declaration("POP-D"), actor=ANN)
    await built.post.send()
    await built.operations.declare(declaration("POP-E", release=False), actor=ANN)
    march = await reports(built).month(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    april = await reports(built).month(datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC))
    assert [each.head.id for each in march.outages] == [first.outage_id]
    assert [each.head.id for each in april.outages] == [second.outage_id]  # a draft told nobody
    assert (april.to_first, april.suffered.customers) == (timedelta(0), 1)
    assert [each.customer_id for each in march.unreached] == ["A3"]
    assert sum(channel.left for channel in march.channels) == march.outages[0].left
    assert await reports(built).first_declared() == START


async def test_without_a_price_there_is_no_cost_and_a_draft_has_no_report(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.post.send()
    channels = (await reports(built, price=None).outage(told.outage_id)).judged.channels
    assert {each.channel: each.cost for each in channels if each.left} == {"email": None, "sms": None}
    draft = await built.operations.declare(declaration("POP-E", release=False), actor=ANN)
    for outage_id in (draft.outage_id, "OUT-2026-0999"):
        with pytest.raises(NotFound):
            await reports(built).outage(outage_id)
