import asyncio
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests
from aiohttp import ClientSession
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from outagecast.sandbox import Sandbox

FROM, TO = "+18595550199", "+16065550142"


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[Client]:
    """Twilio's own client, blocking: use it in a thread."""
    transport = TwilioHttpClient(timeout=5)
    made = Client(sandbox.settings.account_sid, sandbox.settings.auth_token, http_client=transport)
    made.api.base_url = sandbox.sms_url
    yield made
    transport.session.close()


def create(client: Client, **words: Any) -> Any:
    return client.messages.create(**{"to": TO, "from_": FROM, "body": "Hello", **words})


async def test_a_message_is_made_fetched_and_listed(sandbox: Sandbox, client: Client) -> None:
    made = await asyncio.to_thread(
        create, client, body="€" * 80 + "x", validity_period=600, status_callback="http://127.0.0.1:9/cb?attempt=a1"
    )
    assert re.fullmatch(r"SM[0-9a-f]{32}", made.sid)
    assert (made.status, made.to, made.from_, made.num_segments) == ("queued", TO, FROM, "2")
    assert abs(made.date_created - datetime.now(UTC)) < timedelta(seconds=5)
    assert (await asyncio.to_thread(client.messages(made.sid).fetch)).body == made.body
    [listed] = await asyncio.to_thread(client.messages.list, to=TO)
    assert listed.sid == made.sid
    [record] = sandbox.records("sms")
    assert record["sid"] == made.sid
    assert (record["to"], record["from"], record["body"]) == (TO, FROM, made.body)
    assert (record["validity"], record["attempt"]) == (600, "attempt=a1")
    assert (record["callback"], record["encoding"], record["segments"]) == (
        "http://127.0.0.1:9/cb?attempt=a1",
        "GSM-7",
        2,
    )


async def test_a_messaging_service_accepts_and_then_names_its_number(
    sandbox: Sandbox, client: Client, until: Callable[..., Any]
) -> None:
    made = await asyncio.to_thread(create, client, from_=None, messaging_service_sid="MG" + "0" * 32)
    assert (made.status, made.from_) == ("accepted", None)
    await until(lambda: sandbox.store.texts[made.sid].status == "delivered")
    later = await asyncio.to_thread(client.messages(made.sid).fetch)
    assert (later.status, later.from_) == ("delivered", sandbox.settings.service_number)
    assert later.date_sent is not None


async def test_the_list_is_filtered_by_day_and_second_and_comes_in_pages(sandbox: Sandbox, client: Client) -> None:
    for number in range(7):
        await asyncio.to_thread(create, client, body=f"no {number}")
    await asyncio.to_thread(create, client, to="+15025550100")
    now = datetime.now(UTC)

    def found(**words: Any) -> list[str]:
        return [each.body for each in client.messages.list(**words)]

    assert await asyncio.to_thread(found, to=TO, page_size=3) == [f"no {number}" for number in range(6, -1, -1)]
    assert len(await asyncio.to_thread(found, date_sent_after=now - timedelta(seconds=60))) == 8
    assert len(await asyncio.to_thread(found, date_sent_before=now + timedelta(seconds=60))) == 8
    assert await asyncio.to_thread(found, date_sent_after=now + timedelta(seconds=60)) == []
    assert await asyncio.to_thread(found, date_sent_before=now - timedelta(seconds=60)) == []


async def test_the_account_is_there(sandbox: Sandbox, client: Client) -> None:
    account = await asyncio.to_thread(client.api.v2010.accounts(sandbox.settings.account_sid).fetch)
    assert (account.status, account.sid) == ("active", sandbox.settings.account_sid)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ({"to": ""}, 21604),
        ({"to": "859"}, 21211),
        ({"body": ""}, 21602),
        ({"body": "x" * 1601}, 21617),
        ({"from_": ""}, 21603),
        ({"validity_period": 36001}, 21624),
    ],
)
async def test_a_wrong_message_gets_twilios_code(
    sandbox: Sandbox, client: Client, words: dict[str, Any], code: int
) -> None:
    with pytest.raises(TwilioRestException) as refused:
        await asyncio.to_thread(create, client, **words)
    assert (refused.value.status, refused.value.code) == (400, code)
    assert sandbox.records("sms") == []


async def test_nobody_gets_in_without_the_token(sandbox: Sandbox, http: ClientSession) -> None:
    url = f"{sandbox.url}/2010-04-01/Accounts/{sandbox.settings.account_sid}/Messages.json"
    for auth in ({}, {"Authorization": "Basic bm9ib2R5Om5vdGhpbmc="}, {"Authorization": "Basic %%%"}):
        async with http.post(url, data={"To": TO, "From": FROM, "Body": "x"}, headers=auth) as answer:
            assert answer.status == 401
            assert (await answer.json())["code"] == 20003
    assert sandbox.records("sms") == []


async def test_dates_on_the_wire_are_rfc_2822(sandbox: Sandbox, http: ClientSession) -> None:
    async with post(sandbox, http) as answer:
        body = await answer.json()
    assert answer.status == 201
    assert parsedate_to_datetime(body["date_created"]).tzinfo is not None
    assert body["num_segments"] == "1"
    assert body["uri"].endswith(f"/Messages/{body['sid']}.json")


def post(sandbox: Sandbox, http: ClientSession, *, to: str = TO) -> Any:
    url = f"{sandbox.sms_url}/2010-04-01/Accounts/{sandbox.settings.account_sid}/Messages.json"
    token = requests.auth._basic_auth_str(sandbox.settings.account_sid, sandbox.settings.auth_token)
    return http.post(url, data={"To": to, "From": FROM, "Body": "x"}, headers={"Authorization": token})


@pytest.mark.parametrize(
    ("fault", "status", "code", "taken"),
    [
        ({"mode": "429", "retry_after": 3}, 429, 20429, 0),
        ({"mode": "500"}, 500, 20500, 0),
        ({"mode": "500", "record": True}, 500, 20500, 1),
        ({"mode": "503"}, 503, 20503, 0),
        ({"mode": "400", "error": 21614}, 400, 21614, 0),
        ({"mode": "slow", "ms": 20}, 201, None, 1),
    ],
)
async def test_answers_on_demand(
    sandbox: Sandbox, http: ClientSession, fault: dict[str, Any], status: int, code: int | None, taken: int
) -> None:
    sandbox.faults.add(channel="sms", count=1, **fault)
    async with post(sandbox, http) as answer:
        assert answer.status == status
        assert (await answer.json()).get("code") == code
        assert answer.headers.get("Retry-After") == ("3" if status == 429 else None)
    assert len(sandbox.records("sms")) == taken
    async with post(sandbox, http) as answer:
        assert answer.status == 201


@pytest.mark.parametrize(
    ("mode", "taken"),
    [("reset_before_record", 0), ("reset_after_record", 1), ("reset", 0), ("close", 0), ("refuse", 0)],
)
async def test_no_answer_on_demand(sandbox: Sandbox, http: ClientSession, mode: str, taken: int) -> None:
    sandbox.faults.add(channel="sms", mode=mode)
    await sandbox.apply_faults()
    with pytest.raises((OSError, EOFError)):
        await raw_post(sandbox)
    assert len(sandbox.records("sms")) == taken
    sandbox.faults.clear()
    await sandbox.apply_faults()
    async with post(sandbox, http) as answer:
        assert answer.status == 201


async def raw_post(sandbox: Sandbox) -> bytes:
    """A POST without a client library, because those try again by themselves."""
    reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.sms_port or 0)
    token = requests.auth._basic_auth_str(sandbox.settings.account_sid, sandbox.settings.auth_token)
    form = "To=%2B16065550142&From=%2B18595550199&Body=x"
    path = f"/2010-04-01/Accounts/{sandbox.settings.account_sid}/Messages.json"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Length: {len(form)}\r\n"
    try:
        writer.write(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}".encode())
        answer = await reader.read(1)
    finally:
        writer.close()
    if not answer:
        raise EOFError
    return answer


async def test_a_hanging_answer_never_comes_but_the_sandbox_still_stops(sandbox: Sandbox) -> None:
    sandbox.faults.add(channel="sms", mode="hang", record=True)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.15):
            await raw_post(sandbox)
    assert len(sandbox.records("sms")) == 1


async def test_a_fault_falls_on_the_numbers_it_names(sandbox: Sandbox, http: ClientSession) -> None:
    sandbox.faults.add(channel="sms", mode="500", match=r"^\+1502")
    async with post(sandbox, http) as answer:
        assert answer.status == 201
    async with post(sandbox, http, to="+15025550100") as answer:
        assert answer.status == 500
