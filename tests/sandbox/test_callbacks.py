import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import requests
from aiohttp import ClientSession
from twilio.request_validator import RequestValidator

from outagecast.sandbox import Sandbox
from outagecast.sandbox.signature import sign

FROM, TO = "+18595550199", "+16065550142"


async def text(sandbox: Sandbox, http: ClientSession, **words: str) -> dict[str, Any]:
    url = f"{sandbox.sms_url}/2010-04-01/Accounts/{sandbox.settings.account_sid}/Messages.json"
    token = requests.auth._basic_auth_str(sandbox.settings.account_sid, sandbox.settings.auth_token)
    form = {"To": TO, "From": FROM, "Body": "x", **words}
    async with http.post(url, data=form, headers={"Authorization": token}) as answer:
        body: dict[str, Any] = await answer.json()
        return body


async def test_sent_then_delivered_each_signed_as_twilio_signs(
    sandbox: Sandbox, http: ClientSession, daemon: Any, until: Callable[..., Any]
) -> None:
    made = await text(sandbox, http, StatusCallback=f"{daemon.url}/callbacks/twilio/status?attempt=k1")
    await until(lambda: len(daemon.calls) == 2)
    judge = RequestValidator(sandbox.settings.auth_token)
    for path, headers, form in daemon.calls:
        assert path == "/callbacks/twilio/status?attempt=k1"
        assert judge.validate(daemon.url + path, dict(form), headers["X-Twilio-Signature"])
        assert not judge.validate(daemon.url + path, {**dict(form), "To": "+1"}, headers["X-Twilio-Signature"])
        assert dict(form)["MessageSid"] == made["sid"]
        assert dict(form)["AccountSid"] == sandbox.settings.account_sid
        assert headers["I-Twilio-Idempotency-Token"]
    assert [dict(form)["MessageStatus"] for _, _, form in daemon.calls] == ["sent", "delivered"]
    await until(lambda: len(sandbox.records("callback")) == 2)
    assert [record["answer"] for record in sandbox.records("callback")] == [200, 200]


async def test_a_message_may_end_undelivered(
    sandbox: Sandbox, http: ClientSession, daemon: Any, until: Callable[..., Any]
) -> None:
    sandbox.faults.add(channel="sms", mode="undelivered", error=30005)
    made = await text(sandbox, http, StatusCallback=daemon.url + "/cb")
    assert made["status"] == "queued"
    await until(lambda: bool(daemon.fields(MessageStatus="undelivered")))
    assert daemon.fields(MessageStatus="undelivered")[0]["ErrorCode"] == "30005"
    assert sandbox.store.texts[made["sid"]].error == 30005


async def test_callbacks_can_come_often_forged_or_not_at_all(
    sandbox: Sandbox, http: ClientSession, daemon: Any, until: Callable[..., Any]
) -> None:
    sandbox.callbacks.rules.change({"repeat": 3, "forge": 100, "shuffle": True})
    await text(sandbox, http, StatusCallback=daemon.url + "/cb")
    await until(lambda: len(daemon.calls) == 6)
    judge = RequestValidator(sandbox.settings.auth_token)
    assert not any(
        judge.validate(daemon.url + path, dict(form), headers["X-Twilio-Signature"])
        for path, headers, form in daemon.calls
    )
    sandbox.callbacks.rules.change({"repeat": 1, "drop": 100.0})
    before = len(sandbox.records("callback"))
    await text(sandbox, http, StatusCallback=daemon.url + "/cb")
    await until(lambda: len(sandbox.records("callback")) == before + 2)
    assert len(daemon.calls) == 6
    with pytest.raises(ValueError, match="unknown setting"):
        sandbox.callbacks.rules.change({"colour": 1})


async def test_a_daemon_that_is_away_is_called_again(
    sandbox: Sandbox, http: ClientSession, unused_port: int, until: Callable[..., Any]
) -> None:
    calls = 0

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        await reader.readuntil(b"\r\n\r\n")
        calls += 1
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    await text(sandbox, http, StatusCallback=f"http://127.0.0.1:{unused_port}/cb")
    await until(lambda: len(sandbox.records("sms_status")) == 2)
    async with await asyncio.start_server(listen, "127.0.0.1", unused_port):
        await until(lambda: calls == 2)
    await until(lambda: [record["answer"] for record in sandbox.records("callback")] == [204, 204])
    assert all(record["tries"] > 1 for record in sandbox.records("callback"))


@pytest.fixture
async def unused_port() -> int:
    async with await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0) as server:
        return int(server.sockets[0].getsockname()[1])


FORM = (
    ("CallSid", "CA1234567890ABCDE"),
    ("Digits", "1234"),
    ("From", "+14158675309"),
    ("To", "+18005551212"),
    ("Caller", "+14158675309"),
)


def test_the_published_signatures() -> None:
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert sign("12345", url, FORM) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    several = (("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234"))
    assert sign("12345", url, several) == "IK+Dwps556ElfBT0I3Rgjkr1wJU="


async def test_stop_start_and_help(
    sandbox: Sandbox, http: ClientSession, daemon: Any, until: Callable[..., Any]
) -> None:
    sandbox.callbacks.rules.inbound_url = f"{daemon.url}/callbacks/twilio/inbound"
    await text(sandbox, http)
    await sandbox.phones.answer(TO, " stop ")
    [(path, headers, form)] = daemon.calls
    assert RequestValidator(sandbox.settings.auth_token).validate(
        daemon.url + path, dict(form), headers["X-Twilio-Signature"]
    )
    assert {"From": TO, "To": FROM, "Body": " stop ", "OptOutType": "STOP"}.items() <= dict(form).items()
    refused = await text(sandbox, http)
    assert (refused["status"], refused["code"]) == (400, 21610)
    assert (await text(sandbox, http, From="+15025550111"))["status"] == "queued"
    assert [record["code"] for record in sandbox.records("refused")] == [21610]
    box = sandbox.store.box("phone", TO)
    assert box is not None
    assert "successfully been unsubscribed" in next(each.body for each in box.texts if each.automatic)


async def test_start_lets_texts_through_again(sandbox: Sandbox, http: ClientSession) -> None:
    await text(sandbox, http)
    for word, status in (("STOP", 400), ("HELP", 400), ("UNSTOP", "queued")):
        await sandbox.phones.answer(TO, word)
        assert (await text(sandbox, http))["status"] == status


async def test_what_the_daemon_answers_appears_on_the_phone(sandbox: Sandbox, http: ClientSession, daemon: Any) -> None:
    sandbox.callbacks.rules.inbound_url = f"{daemon.url}/in"
    daemon.twiml = "<Response><Message>Call us on 0100 &amp; ask.</Message></Response>"
    await text(sandbox, http)
    await sandbox.phones.answer(TO, "When?")
    assert [record["body"] for record in sandbox.records("sms_auto")] == ["Call us on 0100 & ask."]
    assert "OptOutType" not in dict(daemon.calls[0][2])
    daemon.twiml = '<!DOCTYPE x [<!ENTITY a "b">]><Response><Message>&a;</Message></Response>'
    await sandbox.phones.answer(TO, "And now?")
    assert len(sandbox.records("sms_auto")) == 1
