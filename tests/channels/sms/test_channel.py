"""One POST, one outcome: each thing a gateway or a network can do, on real sockets."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from outagecast.channels.base import RouteDown
from outagecast.channels.sms.channel import SmsChannel
from outagecast.domain.delivery import Accepted, Ambiguous, Deferred, FailureScope, Outcome, Rejected
from outagecast.domain.message import SmsMessage
from tests.support.twilio_gateway import ACCOUNT, SENDER, TOKEN, Fault, Gateway, Step, gateway

NOW = datetime(2026, 1, 14, 9, 14, tzinfo=UTC)
PHONE = "+18595550123"


@asynccontextmanager
async def channel(url: str, **changed: object) -> AsyncIterator[SmsChannel]:
    settings: dict[str, object] = {
        "account_sid": ACCOUNT,
        "auth_token": TOKEN,
        "sender": SENDER,
        "messaging_service_sid": None,
        "api_url": url,
        "rate_per_second": 0.0,
        "connections": 4,
        "allowed_countries": frozenset({"US"}),
        "public_url": "https://status.example.net/",
        "clock": lambda: NOW,
        "timeout": timedelta(seconds=5),
    }
    it = SmsChannel(**(settings | changed))  # type: ignore[arg-type]
    try:
        yield it
    finally:
        await it.close()


def text(body: str = "Your line is down.", to: str = PHONE, key: str = "k1", at: datetime | None = None) -> SmsMessage:
    return SmsMessage(to=to, body=body, key=key, expires_at=at)


async def outcome(step: Step, seconds: float = 5.0) -> tuple[Outcome, Gateway]:
    async with gateway() as twilio, channel(twilio.url, timeout=timedelta(seconds=seconds)) as sms:
        twilio.script.append(step)
        async with sms.lane() as lane:
            return await lane.send(text()), twilio


async def hear_of_closing() -> None:
    """Let the event loop read what has already arrived: the other side's FIN."""
    for _ in range(10):
        await asyncio.sleep(0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_message_is_posted_whole_and_accepted() -> None:
    async with gateway() as twilio, channel(twilio.url) as sms, sms.lane() as lane:
        body = "Bluegrass: “Łódź & Co” = 100 %+\n€ 😀"
        result = await lane.send(text(body, key="a b/é?&", at=NOW + timedelta(hours=1, milliseconds=900)))
        form = twilio.posts[0]
    assert result == Accepted(provider_id=str(twilio.records[0]["sid"]), code="queued")
    callback = urlsplit(form.pop("StatusCallback"))
    assert (callback.scheme, callback.netloc, callback.path) == (
        "https",
        "status.example.net",
        "/callbacks/twilio/status",
    )
    assert parse_qs(callback.query) == {"attempt": ["a b/é?&"]}
    assert form == {"To": PHONE, "From": SENDER, "Body": body, "ValidityPeriod": "3600"}
    assert twilio.authorizations == ["Basic QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMTpjYW5hcnktdG9rZW4tN2YzYQ=="]


async def test_a_messaging_service_takes_the_place_of_the_number() -> None:
    async with gateway() as twilio, channel(twilio.url, sender=None, messaging_service_sid="MG1") as sms:
        await sms.send(text())
    assert twilio.posts[0]["MessagingServiceSid"] == "MG1"
    assert "From" not in twilio.posts[0]
    assert "ValidityPeriod" not in twilio.posts[0]


@pytest.mark.parametrize("both", [(None, None), ("", ""), (SENDER, "MG1")])
async def test_there_is_exactly_one_sender(both: tuple[str | None, str | None]) -> None:
    with pytest.raises(ValueError, match="either"):
        async with channel("http://127.0.0.1:1", sender=both[0], messaging_service_sid=both[1]):
            pass


@pytest.mark.parametrize(("left", "period"), [(-5.0, 1), (0.2, 1), (90.9, 90), (36_000.0, 36_000), (999_999.0, 36_000)])
async def test_validity_stays_between_a_second_and_ten_hours(left: float, period: int) -> None:
    async with gateway() as twilio, channel(twilio.url) as sms:
        await sms.send(text(at=NOW + timedelta(seconds=left)))
    assert twilio.posts[0]["ValidityPeriod"] == str(period)


async def test_half_a_surrogate_pair_does_not_stop_the_sending() -> None:
    async with gateway() as twilio, channel(twilio.url) as sms:
        assert isinstance(await sms.send(text("broken \ud83d")), Accepted)
    assert twilio.posts[0]["Body"] == "broken ?"


@pytest.mark.parametrize(
    ("to", "code", "says"),
    [
        ("+4915112345678", "country", "DE"),
        ("+14165550123", "country", "CA"),
        ("+18765550123", "country", "JM"),
        ("+88213300000", "country", "001"),
        ("+19002345678", "premium", "US"),
        ("8595550123", "not_a_number", "E.164"),
    ],
)
async def test_other_countries_and_premium_numbers_are_refused_unsent(to: str, code: str, says: str) -> None:
    async with gateway() as twilio, channel(twilio.url) as sms:
        result = await sms.send(text(to=to))
    assert isinstance(result, Rejected)
    assert (result.scope, result.code, result.suppress_as) == (FailureScope.MESSAGE, code, None)
    assert says in result.reason and to not in result.reason
    assert twilio.posts == []


async def test_an_allowed_country_is_written_to() -> None:
    async with gateway() as twilio, channel(twilio.url, allowed_countries=frozenset({"US", "DE"})) as sms:
        assert isinstance(await sms.send(text(to="+4915112345678")), Accepted)


async def test_429_waits_as_long_as_it_is_told() -> None:
    result, _ = await outcome(Step(status=429, code=20429, message="Too Many Requests", headers={"Retry-After": "17"}))
    assert result == Deferred(
        scope=FailureScope.ROUTE, code="20429", reason="Too Many Requests", retry_after=timedelta(seconds=17)
    )


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("Wed, 14 Jan 2026 09:15:30 GMT", timedelta(seconds=90)),
        ("Wed, 14 Jan 2026 09:00:00 GMT", timedelta(0)),
        ("soon", None),
        ("-3", None),
        ("9" * 5000, None),
        ("9999999999", timedelta(hours=24)),
    ],
)
async def test_retry_after_in_every_shape(header: str, wait: timedelta | None) -> None:
    result, _ = await outcome(Step(status=429, headers={"Retry-After": header}))
    assert isinstance(result, Deferred)
    assert (result.scope, result.retry_after) == (FailureScope.ROUTE, wait)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("record", [True, False])
async def test_5xx_is_ambiguous_whether_taken_or_not(status: int, record: bool) -> None:
    result, twilio = await outcome(Step(status=status, code=20500, record=record))
    assert isinstance(result, Ambiguous)
    assert result.code == f"http_{status}"
    assert len(twilio.posts) == 1


@pytest.mark.parametrize("record", [True, False])
async def test_a_reset_instead_of_an_answer_is_ambiguous_and_never_repeated(record: bool) -> None:
    result, twilio = await outcome(Step(fault=Fault.RESET, record=record))
    assert isinstance(result, Ambiguous)
    assert result.code == "reset"
    assert len(twilio.posts) == 1


async def test_a_reset_of_a_kept_connection_is_ambiguous_and_never_repeated() -> None:
    async with gateway() as twilio, channel(twilio.url) as sms:
        twilio.script.extend([Step(), Step(fault=Fault.RESET)])
        assert isinstance(await sms.send(text()), Accepted)
        assert isinstance(await sms.send(text()), Ambiguous)
        assert len(twilio.posts) == 2
        assert isinstance(await sms.send(text()), Accepted)


async def test_no_answer_in_time_is_ambiguous() -> None:
    result, twilio = await outcome(Step(fault=Fault.HANG), seconds=0.3)
    assert result == Ambiguous(code="timeout", reason="no answer in time")
    assert len(twilio.posts) == 1


async def test_a_body_that_breaks_off_after_201_is_ambiguous_and_after_400_is_not() -> None:
    taken, _ = await outcome(Step(fault=Fault.SLOW), seconds=0.3)
    assert isinstance(taken, Ambiguous)
    refused, _ = await outcome(Step(status=400, code=21610, fault=Fault.SLOW), seconds=0.3)
    assert isinstance(refused, Rejected)
    assert (refused.scope, refused.code) == (FailureScope.MESSAGE, "http_400")


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '{"sid": null}', '{"sid": 5}', "<html>", "[" * 100_000])
async def test_201_that_names_no_message_is_ambiguous(body: str) -> None:
    result, _ = await outcome(Step(text=body, record=True))
    assert isinstance(result, Ambiguous)


async def test_a_message_that_failed_at_once_is_judged_by_its_code() -> None:
    result, _ = await outcome(Step(text='{"sid": "SM1", "status": "failed", "error_code": 21610}'))
    assert result == Rejected(
        scope=FailureScope.ADDRESS, code="21610", reason="Twilio error 21610", suppress_as="opted_out"
    )


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_never_followed(status: int) -> None:
    result, twilio = await outcome(Step(status=status, headers={"Location": "/elsewhere"}))
    assert isinstance(result, Deferred)
    assert (result.scope, result.code) == (FailureScope.ROUTE, f"http_{status}")
    assert twilio.elsewhere == []


async def test_a_number_in_the_providers_words_is_masked() -> None:
    result, _ = await outcome(Step(status=400, code=21211, message=f"Invalid 'To' Phone Number: {PHONE}"))
    assert result == Rejected(
        scope=FailureScope.ADDRESS,
        code="21211",
        reason="Invalid 'To' Phone Number: +18***123",
        suppress_as="dead_address",
    )


async def test_nobody_listening_means_no_lane_and_nothing_written() -> None:
    async with channel(f"http://127.0.0.1:{free_port()}") as sms:
        with pytest.raises(RouteDown) as down:
            async with sms.lane():
                pass
        assert isinstance(down.value.outcome, Deferred)
        assert (down.value.outcome.scope, down.value.outcome.code) == (FailureScope.ROUTE, "connect")


async def test_a_name_that_does_not_resolve_is_deferred() -> None:
    async with channel("http://nowhere.invalid") as sms:
        result = await sms.send(text())
    assert isinstance(result, Deferred)
    assert (result.scope, result.code) == (FailureScope.ROUTE, "connect")


async def test_tls_that_fails_is_deferred() -> None:
    async with gateway() as twilio, channel(twilio.url.replace("http:", "https:")) as sms:
        result = await sms.send(text())
        assert isinstance(result, Deferred)
        assert (result.scope, result.code) == (FailureScope.ROUTE, "tls")
        with pytest.raises(RouteDown):
            async with sms.lane():
                pass
    assert twilio.posts == []


async def test_a_server_that_never_shakes_hands_is_deferred() -> None:
    """TLS that hangs: the connection stands, but nothing of the request was written."""
    hung_up = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        hung_up.set()

    silent = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with silent, channel(f"https://127.0.0.1:{port}", timeout=timedelta(seconds=0.4)) as sms:
        result = await sms.send(text())
        await hung_up.wait()
    assert isinstance(result, Deferred)
    assert (result.scope, result.reason) == (FailureScope.ROUTE, "no connection in time")


async def test_a_route_that_went_down_is_tried_before_the_next_lane_and_comes_back() -> None:
    port = free_port()
    async with channel(f"http://127.0.0.1:{port}") as sms:
        async with gateway(port), sms.lane() as lane:
            assert isinstance(await lane.send(text()), Accepted)
        await hear_of_closing()
        async with sms.lane() as lane:
            result = await lane.send(text())
            assert isinstance(result, Deferred)
            assert (result.scope, result.code) == (FailureScope.ROUTE, "connect")
        with pytest.raises(RouteDown):
            async with sms.lane():
                pass
        async with gateway(port), sms.lane() as lane:
            assert isinstance(await lane.send(text()), Accepted)


async def test_a_kept_connection_found_closed_costs_nothing_and_sends_once() -> None:
    port = free_port()
    async with channel(f"http://127.0.0.1:{port}") as sms:
        async with gateway(port):
            assert isinstance(await sms.send(text()), Accepted)
        await hear_of_closing()
        async with gateway(port) as restarted:
            assert isinstance(await sms.send(text()), Accepted)
            assert len(restarted.posts) == 1


async def test_a_connection_that_closes_in_the_moment_of_writing_is_sent_once_or_unknown() -> None:
    """Which of the two depends on whether the end is heard before the write (Python 3.11) or after it (3.12 on)."""
    port = free_port()
    async with channel(f"http://127.0.0.1:{port}") as sms:
        async with gateway(port):
            assert isinstance(await sms.send(text()), Accepted)
        async with gateway(port) as restarted:
            result = await sms.send(text())
            assert isinstance(result, Accepted | Ambiguous)
            assert len(restarted.posts) == isinstance(result, Accepted)


async def test_those_who_wait_for_a_dead_route_share_one_try() -> None:
    tries = 0

    async def count(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        writer.transport.abort()

    server = await asyncio.start_server(count, "127.0.0.1", 0)
    async with server, channel(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", connections=8) as sms:

        async def take() -> str:
            try:
                async with sms.lane():
                    return "up"
            except RouteDown:
                return "down"

        assert await asyncio.gather(*(take() for _ in range(8))) == ["down"] * 8
    assert tries == 1


async def test_no_more_calls_at_once_than_allowed() -> None:
    async with gateway() as twilio, channel(twilio.url, connections=3) as sms:
        inside = most = 0

        async def one(n: int) -> Outcome:
            nonlocal inside, most
            async with sms.lane() as lane:
                inside += 1
                most = max(most, inside)
                result = await lane.send(text(key=str(n)))
                inside -= 1
                return result

        results = await asyncio.gather(*(one(n) for n in range(40)))
    assert most == 3
    assert len({r.provider_id for r in results if isinstance(r, Accepted)}) == 40


async def test_the_token_is_in_no_repr_log_or_exception(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[object] = []
    async with gateway() as twilio, channel(twilio.url, timeout=timedelta(seconds=0.3)) as sms:
        for step in (Step(), Step(status=401, code=20003), Step(fault=Fault.RESET), Step(fault=Fault.HANG)):
            twilio.script.append(step)
            seen.append(await sms.send(text()))
        twilio.lists.extend([Step(status=401, code=20003), Step(fault=Fault.RESET)])
        seen.append(await sms.check())
        seen += [sms, sms._client, sms._transport, str(sms.__class__)]
    async with channel(f"https://127.0.0.1:{free_port()}") as sms:
        with pytest.raises(RouteDown) as down:
            async with sms.lane():
                pass
        seen += [down.value, str(down.value), down.value.outcome]
    everything = "\n".join([*map(repr, seen), *map(str, seen), caplog.text])
    assert TOKEN not in everything
    assert "Y2FuYXJ5LXRva2Vu" not in everything and "Basic " not in everything
    assert PHONE not in everything


async def test_the_account_is_fetched_for_doctor() -> None:
    async with gateway() as twilio, channel(twilio.url) as sms:
        good = await sms.check()
        twilio.account_status = "suspended"
        suspended = await sms.check()
        twilio.lists.append(Step(status=401, code=20003, message="Authenticate"))
        refused = await sms.check()
        twilio.lists.append(Step(status=200, text="<html>"))
        strange = await sms.check()
        assert twilio.posts == []
    async with channel(f"http://127.0.0.1:{free_port()}") as sms:
        away = await sms.check()
    assert (good.ok, suspended.ok, refused.ok, strange.ok, away.ok) == (True, False, False, False, False)
    assert "Bluegrass is active" in good.detail
    assert "suspended" in suspended.detail
    assert "Authenticate" in refused.detail
    assert "api_url" in strange.detail
    assert "no way" in away.detail
