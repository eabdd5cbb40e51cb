"""Attempts without an answer, found again in the provider's list."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from outagecast.channels.base import RouteDown
from outagecast.domain.delivery import Deferred, FailureScope, Receipt, ReceiptState, Rejected
from tests.channels.sms.test_channel import PHONE, channel, text
from tests.support.twilio_gateway import Fault, Step, gateway

AT = datetime(2026, 1, 14, 0, 0, 20, tzinfo=UTC)


@dataclass
class Try:
    key: str
    to: str = PHONE
    body: str = "Your line is down."
    started_at: datetime = AT


def accepted(key: str, sid: str) -> Receipt:
    return Receipt(key=key, provider_id=sid, state=ReceiptState.ACCEPTED, code="queued")


async def test_what_was_taken_before_a_reset_is_found_and_what_was_not_is_not() -> None:
    async with gateway() as twilio, channel(twilio.url) as sms:
        twilio.script.extend([Step(fault=Fault.RESET, record=True), Step(status=500, record=False)])
        started = datetime.now(UTC)
        await sms.send(text("taken", key="k1"))
        await sms.send(text("lost", key="k2"))
        found = await sms.find(
            [Try("k1", body="taken", started_at=started), Try("k2", body="lost", started_at=started)]
        )
    assert found == {"k1": accepted("k1", str(twilio.records[0]["sid"]))}


async def test_each_message_explains_one_attempt_only() -> None:
    async with gateway() as twilio, channel(twilio.url) as sms:
        sid = twilio.take(PHONE, "Your line is down.", at=AT)
        found = await sms.find([Try("k2", started_at=AT + timedelta(seconds=30)), Try("k1")])
        assert found == {"k1": accepted("k1", sid)}
        other = twilio.take(PHONE, "Your line is down.", at=AT + timedelta(seconds=31))
        found = await sms.find([Try("k2", started_at=AT + timedelta(seconds=30)), Try("k1")])
        assert found == {"k1": accepted("k1", sid), "k2": accepted("k2", other)}


async def test_other_words_numbers_times_and_directions_explain_nothing() -> None:
    async with gateway() as twilio, channel(twilio.url) as sms:
        twilio.take(PHONE, "Your line is up.", at=AT)
        twilio.take("+18595550999", "Your line is down.", at=AT)
        twilio.take(PHONE, "Your line is down.", at=AT - timedelta(minutes=3))
        twilio.take(PHONE, "Your line is down.", at=AT + timedelta(minutes=9))
        twilio.take(PHONE, "Your line is down.", at=AT, direction="inbound")
        twilio.take(PHONE, "Your line is down.", at=AT, status="huh")
        twilio.take(PHONE, "Your line is down.", at=AT, date_created=None)
        assert await sms.find([Try("k1")]) == {}


async def test_many_pages_and_many_numbers_are_read() -> None:
    async with gateway() as twilio, channel(twilio.url) as sms:
        twilio.page = 3
        phones = [f"+1859555{n:04}" for n in range(12)]
        sids = {phone: twilio.take(phone, "Your line is down.", at=AT, date_sent="x") for phone in phones}
        for phone in phones:
            for n in range(7):
                twilio.take(phone, f"other {n}", at=AT, date_sent="x")
        found = await sms.find([Try(f"k{phone}", to=phone) for phone in phones])
    assert {key: r.provider_id for key, r in found.items()} == {f"k{p}": sid for p, sid in sids.items()}
    # All of them had been sent: the cheaper list, from the day before midnight, was enough, three pages each.
    assert len(twilio.queries) == 36
    assert all(q["DateSent>"] == "2026-01-13" for q in twilio.queries)


async def test_what_still_queues_is_found_without_the_date() -> None:
    async with gateway() as twilio, channel(twilio.url) as sms:
        sid = twilio.take(PHONE, "Your line is down.", at=AT, date_sent=None)
        assert await sms.find([Try("k1")]) == {"k1": accepted("k1", sid)}
    assert ["DateSent>" in q for q in twilio.queries] == [True, False]


async def test_the_list_says_how_it_ended() -> None:
    async with gateway() as twilio, channel(twilio.url) as sms:
        twilio.take(PHONE, "one", at=AT, status="delivered")
        twilio.take(PHONE, "two", at=AT, status="undelivered", error_code=30005)
        found = await sms.find([Try("k1", body="one"), Try("k2", body="two")])
    assert found["k1"].state is ReceiptState.DELIVERED
    assert (found["k2"].state, found["k2"].code, found["k2"].suppress_as) == (
        ReceiptState.UNDELIVERED,
        "30005",
        "dead_address",
    )


async def test_a_trial_accounts_preface_is_overlooked() -> None:
    async with gateway() as twilio, channel(twilio.url) as sms:
        sid = twilio.take(PHONE, "Sent from your Twilio trial account - Your line is down.", at=AT)
        assert await sms.find([Try("k1")]) == {"k1": accepted("k1", sid)}


@pytest.mark.parametrize(
    ("step", "kind", "code"),
    [
        (Step(status=429, code=20429, headers={"Retry-After": "9"}), Deferred, "http_429"),
        (Step(status=500), Deferred, "http_500"),
        (Step(status=401, code=20003), Rejected, "20003"),
        (Step(status=200, text="<html>"), Deferred, "unreadable"),
        (Step(status=200, text="[]"), Deferred, "unreadable"),
        (Step(status=302, headers={"Location": "/elsewhere"}), Deferred, "http_302"),
        (Step(fault=Fault.HANG), Deferred, "timeout"),
    ],
)
async def test_a_list_that_cannot_be_had_is_a_route_that_is_down(
    step: Step, kind: type[Deferred | Rejected], code: str
) -> None:
    async with gateway() as twilio, channel(twilio.url, timeout=timedelta(seconds=0.4)) as sms:
        twilio.lists.extend([step] * 2)
        with pytest.raises(RouteDown) as down:
            await sms.find([Try("k1"), Try("k2", to="+18595550999")])
    assert isinstance(down.value.outcome, kind)
    assert (down.value.outcome.scope, down.value.outcome.code) == (FailureScope.ROUTE, code)
    if code == "http_429":
        assert isinstance(down.value.outcome, Deferred)
        assert down.value.outcome.retry_after == timedelta(seconds=9)
    assert twilio.elsewhere == []


async def test_the_next_page_never_takes_the_token_to_another_host() -> None:
    async with gateway() as twilio, gateway() as stranger, channel(twilio.url) as sms:
        away = f'{{"messages": [], "meta": {{"key": "messages", "next_page_url": "{stranger.url}/x"}}}}'
        twilio.lists.append(Step(status=200, text=away))
        with pytest.raises(RouteDown) as down:
            await sms.find([Try("k1")])
    assert down.value.outcome.code == "address"
    assert stranger.elsewhere == []


async def test_nothing_to_find_asks_nothing() -> None:
    async with gateway() as twilio, channel(twilio.url) as sms:
        assert await sms.find([]) == {}
    assert twilio.queries == []
