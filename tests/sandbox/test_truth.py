"""The log, and the sandbox's own reckoning: it must be right, because everything else is judged by it."""

import asyncio
import json
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest
import smsutil
from aiohttp import ClientSession
from hypothesis import given
from hypothesis import strategies as st

from outagecast.sandbox import Sandbox, SandboxClock, SandboxSettings, start
from outagecast.sandbox.journal import Journal, JournalBusy
from outagecast.sandbox.mail import headers_of, raw_of, read_mail, thread_of
from outagecast.sandbox.segments import BASIC, EXTENSION, segments
from outagecast.sandbox.smtp_door import ReceivedMail

GSM = st.text(st.sampled_from(sorted(BASIC | EXTENSION)), max_size=400)
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=250)


@given(GSM | ANY)
def test_segments_agree_with_smsutil(body: str) -> None:
    other = smsutil.split(body)
    mine = segments(body)
    assert mine.count == max(1, len(other.parts))
    assert not body or (mine.encoding == "GSM-7") == (other.encoding == "gsm0338")


@pytest.mark.parametrize(
    ("body", "encoding", "units", "count"),
    [
        ("", "GSM-7", 0, 1),
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("a" * 306, "GSM-7", 306, 2),
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 306, 3),  # the pair does not fit into the last septet of the first part
        ("\u201c" + "a" * 69, "UCS-2", 70, 1),
        ("\U0001f600" * 35, "UCS-2", 70, 1),
        ("\U0001f600" * 67, "UCS-2", 134, 3),  # 33 to a part: a surrogate pair is not split
    ],
)
def test_segments_at_the_edges(body: str, encoding: str, units: int, count: int) -> None:
    cost = segments(body)
    assert (cost.encoding, cost.units, cost.count) == (encoding, units, count)


def test_the_clock_runs_faster_from_its_epoch() -> None:
    epoch = datetime(2026, 11, 22, 10, tzinfo=UTC)
    clock = SandboxClock(epoch=epoch, speed=60, wall=lambda: epoch.timestamp() + 30)
    assert clock.now() == datetime(2026, 11, 22, 10, 30, tzinfo=UTC)


def test_the_log_is_in_order_appended_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = Journal(path, SandboxClock())
    for number in range(5):
        log.append("x", {"value": f"ü{number}\n\udc80"})
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["n"] for line in lines] == [1, 2, 3, 4, 5]
    assert [record["value"] for record in log.records(after=3)] == ["ü3\n\udc80", "ü4\n\udc80"]
    with pytest.raises(JournalBusy):
        Journal(path, SandboxClock())
    log.close()
    with path.open("a") as half:
        half.write('{"n": 6, "ty')
    again = Journal(path, SandboxClock())
    assert again.append("x", {})["n"] == 6
    assert again.read(5)["value"] == "ü4\n\udc80"
    assert len(path.read_text().splitlines()) == 6
    with pytest.raises(KeyError):
        again.read(7)
    again.close()


async def test_when_the_answer_comes_the_record_is_in_the_file(sandbox: Sandbox) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.smtp_port)
    for number in range(20):
        hello = b"EHLO me\r\n" if number == 0 else b""
        writer.write(hello + b"MAIL FROM:<>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n\r\nHi\r\n.\r\n")
        while b"taken" not in await reader.readline():
            continue
        assert sandbox.log_path.read_bytes().count(b'"type": "mail"') == number + 1
    writer.close()


async def test_a_sandbox_takes_up_where_its_log_ends(tmp_path: Path) -> None:
    settings = SandboxSettings(state_dir=tmp_path)
    first = await start(settings)
    mail = b"To: Bo <b@y.example>\r\nSubject: One\r\nMessage-ID: <1@x>\r\n\r\nHi\r\n"
    took = ReceivedMail(session=1, mail_from="", rcpt="b@y.example", parameters="", raw=mail)
    first.take_mail(took)
    await first.phones.answer("+16065550142", "STOP")
    await first.close()
    second = await start(settings)
    assert second.phones.opted_out(settings.service_number, "+16065550142")
    box = second.store.box("mail", "B@Y.example")
    assert box is not None
    assert (box.name, [item.subject for item in box.mails]) == ("Bo", ["One"])
    await second.reset()
    assert (len(second.store.boxes), second.store.counts) == (0, {})
    await second.close()
    third = await start(settings)
    assert third.records() == []
    assert third.store.boxes == {}
    await third.close()


def test_a_mail_is_read_whole() -> None:
    made = EmailMessage()
    made["From"], made["Subject"] = "Jörg <j@x.example>", "OUTAGE: " + "Größe " * 20
    made["References"] = "<first@x> <second@x>"
    made.set_content("Plain ü\n")
    made.add_alternative("<p>Rich ü</p>", subtype="html")
    made.add_attachment(b"a,b\n", maintype="text", subtype="csv", filename="circuits.csv")
    raw = made.as_bytes(policy=made.policy.clone(linesep="\r\n"))
    headers = headers_of(raw)
    assert headers["subject"] == ("OUTAGE: " + "Größe " * 20).strip()
    assert headers["from"] == "Jörg <j@x.example>"
    assert thread_of(headers) == "<first@x>"
    read = read_mail(raw)
    assert (read.text, read.html.strip()) == ("Plain ü\n", "<p>Rich ü</p>")
    assert read.attachments == (("circuits.csv", "text/csv", 4),)


@given(st.binary(max_size=300))
def test_no_mail_is_too_odd_to_be_read(octets: bytes) -> None:
    read_mail(octets)
    headers_of(octets)
    assert raw_of({"raw": octets.decode("utf-8", "surrogateescape")}) == octets


async def test_the_control_api(sandbox: Sandbox, http: ClientSession) -> None:
    url = sandbox.url + "/control"
    async with http.post(f"{url}/faults", json=[{"channel": "smtp", "mode": "451", "match": "b@"}]) as answer:
        assert answer.status == 201
        assert (await answer.json())[0]["at"] == "rcpt"
    for wrong in ([{"channel": "smtp", "mode": "451"}, {"mode": "x"}], "text", {"channel": "smtp", "mode": "x"}):
        async with http.post(f"{url}/faults", json=wrong) as answer:
            assert answer.status == 400
    async with http.get(f"{url}/faults") as answer:
        assert len(await answer.json()) == 1
    async with http.delete(f"{url}/faults") as answer:
        assert await answer.json() == []
    async with http.post(f"{url}/settings", json={"inbound_url": "http://127.0.0.1:9/in", "sent_after": 1}) as answer:
        assert (await answer.json())["inbound_url"] == "http://127.0.0.1:9/in"
    mail = b"Subject: S\r\nMessage-ID: <1@x>\r\n\r\nHello\r\n"
    for number in range(3):
        sandbox.take_mail(ReceivedMail(session=1, mail_from="", rcpt=f"b{number}@y.example", parameters="", raw=mail))
    async with http.post(f"{url}/answer", json={"from": "+16065550142", "body": "HELP"}) as answer:
        assert answer.status == 200
    async with http.get(f"{url}/log", params={"type": "mail", "after": "1", "limit": "1"}) as answer:
        [record] = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert (record["n"], record["rcpt"], record["text"], record["html"]) == (2, "b1@y.example", "Hello\n", "")
    async with http.get(f"{url}/counts") as answer:
        counts = await answer.json()
    assert (counts["mail"], counts["sms_in"], counts["boxes"]) == (3, 1, 4)
    async with http.post(f"{url}/reset") as answer:
        assert answer.status == 200
    async with http.get(f"{url}/counts") as answer:
        assert (await answer.json())["mail"] == 0
    assert sandbox.log_path.read_text().count("\n") == counts["records"] + 1
