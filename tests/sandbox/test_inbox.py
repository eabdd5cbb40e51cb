"""The inbox page, as it comes over HTTP."""

import re
from email.message import EmailMessage
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from outagecast.sandbox import Sandbox, SandboxSettings, start
from outagecast.sandbox.provider import write_provider
from outagecast.sandbox.smtp_door import ReceivedMail

PHONE = "+16065550142"


def deliver(
    sandbox: Sandbox, to: str, subject: str, *, id: str = "1", after: str = "", html: str = "<b>Rich</b>"
) -> None:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "Provider <status@p.example>", f"Bo <{to}>", subject
    made["Message-ID"], made["Date"] = f"<{id}@p.example>", "Sun, 22 Nov 2026 10:00:00 +0000"
    made["List-Unsubscribe"] = "<mailto:x@p.example>, <http://127.0.0.1:9/unsubscribe/tok>"
    made["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    if after:
        made["References"] = f"<{after}@p.example>"
    made.set_content("See https://p.example/my/abc.\n<script>alert(1)</script>\n")
    made.add_alternative(f"<html><head></head><body>{html}</body></html>", subtype="html")
    raw = made.as_bytes(policy=made.policy.clone(linesep="\r\n"))
    sandbox.take_mail(ReceivedMail(session=1, mail_from="status@p.example", rcpt=to, parameters="", raw=raw))


def text(sandbox: Sandbox, body: str, *, to: str = PHONE) -> None:
    fields = {"sid": "SM1", "to": to, "from": "+18595550100", "service": "", "body": body, "status": "queued"}
    cost = {"segments": 2, "encoding": "UCS-2", "units": 99, "validity": 3600, "callback": "", "attempt": ""}
    sandbox.write("sms", {**fields, **cost})


async def get(sandbox: Sandbox, http: ClientSession, path: str) -> str:
    async with http.get(sandbox.url + path) as answer:
        assert answer.status == 200
        return unescape(await answer.text())


async def test_the_empty_inbox_says_what_will_be_here(sandbox: Sandbox, http: ClientSession) -> None:
    page = await get(sandbox, http, "/")
    assert "Nothing has arrived yet" in page
    assert "Declare an outage on the desk" in page


async def test_addresses_are_listed_the_latest_first_with_counts(sandbox: Sandbox, http: ClientSession) -> None:
    deliver(sandbox, "b@y.example", "One")
    deliver(sandbox, "c@y.example", "Two")
    text(sandbox, "Three")
    deliver(sandbox, "B@y.example", "Four")
    page = await get(sandbox, http, "/")
    headline = re.sub(r"<[^>]*>|\s+", " ", page[page.index('id="headline"') :])
    assert re.search(r"3\s+mails and\s+1\s+text to\s+3\s+addresses, the last at\s+\d\d:\d\d:\d\d UTC", headline)
    rows = re.findall(r'<li id="b-\w+-([^"]+)" data-rev="(\d+)', page)
    assert rows == [("b@y.example", "2"), (PHONE, "1"), ("c@y.example", "1")]
    assert "Four" in page
    assert re.findall(r'<li id="b-\w+-([^"]+)"', await get(sandbox, http, "/?kind=phone")) == [PHONE]
    assert re.findall(r'<li id="b-\w+-([^"]+)"', await get(sandbox, http, "/?q=TWO")) == ["c@y.example"]
    assert "No address matches" in await get(sandbox, http, "/?q=nobody")


async def test_a_mailbox_shows_threads_parts_and_headers(sandbox: Sandbox, http: ClientSession) -> None:
    deliver(sandbox, "b@y.example", "OUTAGE: Home", id="a")
    deliver(sandbox, "b@y.example", "Other matter", id="x")
    deliver(sandbox, "b@y.example", "RESTORED: Home", id="b", after="a")
    page = await get(sandbox, http, "/mailbox/b@y.example")
    subjects = re.findall(r"<summary><strong>([^<]*)", page)
    assert subjects == ["OUTAGE: Home", "RESTORED: Home", "Other matter"]
    assert page.count("mails in one thread") == 1
    assert page.count("<details open>") == 2
    assert '<a href="https://p.example/my/abc" target="_blank">' in page
    assert "Message-ID: <b@p.example>" in page
    assert "Unsubscribe this address" in page
    async with http.get(f"{sandbox.url}/mailbox/b@y.example") as answer:
        assert (await answer.text()).count("<script") == 1  # the page's own


async def test_a_mail_cannot_do_anything_on_the_page(sandbox: Sandbox, http: ClientSession) -> None:
    deliver(sandbox, "b@y.example", "Hi", html="<script>alert(1)</script><a href='https://p.example'>x</a>")
    page = await get(sandbox, http, "/mailbox/b@y.example")
    frame = re.search(r"<iframe [^>]*>", page)
    assert frame is not None
    sandboxed = re.search(r'sandbox="([^"]*)"', frame.group())
    assert sandboxed is not None
    assert "allow-scripts" not in sandboxed.group(1)
    async with http.get(f"{sandbox.url}/mail/1/html") as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "allow-scripts" not in policy
        assert "script-src" not in policy
        assert '<base target="_blank">' in await answer.text()
    async with http.get(f"{sandbox.url}/mail/1/raw") as answer:
        assert answer.content_type == "text/plain"
        assert (await answer.read()).startswith(b"From: Provider")
    async with http.get(f"{sandbox.url}/mail/2/html") as answer:
        assert answer.status == 404


async def test_pages_load_nothing_from_elsewhere(sandbox: Sandbox, http: ClientSession) -> None:
    async with http.get(sandbox.url) as answer:
        page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'")
    assert "unsafe" not in policy
    assert " style=" not in page
    for address in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert address.startswith(("/", "#", "data:,"))
    for path in ("/static/inbox.css", "/static/inbox.js"):
        source = await get(sandbox, http, path)
        assert "http" not in source
        assert len(source) > 1000
    async with http.get(f"{sandbox.url}/static/base.html") as answer:
        assert answer.status == 404


async def test_a_phone_shows_bubbles_and_takes_an_answer(sandbox: Sandbox, http: ClientSession, daemon: Any) -> None:
    sandbox.callbacks.rules.inbound_url = f"{daemon.url}/in"
    text(sandbox, "Down since 09:14. https://p.example/s/1")
    page = await get(sandbox, http, f"/phone/{PHONE}")
    assert "2 segments, UCS-2, 99 units" in page
    assert "valid 3,600 s" in page
    async with http.post(f"{sandbox.url}/phone/{PHONE}/answer", data={"word": "STOP"}, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, f"/phone/{PHONE}#answer")
    page = await get(sandbox, http, f"/phone/{PHONE}")
    assert "This phone said STOP" in page
    assert "from the network" in page
    assert dict(daemon.calls[0][2])["Body"] == "STOP"


async def test_another_site_cannot_answer_for_a_phone(sandbox: Sandbox, http: ClientSession) -> None:
    url, own = f"{sandbox.url}/phone/{PHONE}/answer", sandbox.url
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        async with http.post(url, data={"body": "STOP"}, headers=headers) as answer:
            assert answer.status == 403
    assert sandbox.records("sms_in") == []
    headers = {"Origin": own, "Sec-Fetch-Site": "same-origin"}
    async with http.post(url, data={"body": "Hello"}, headers=headers, allow_redirects=False) as answer:
        assert answer.status == 303


async def test_one_click_unsubscribes_as_a_mail_program_does(
    sandbox: Sandbox, http: ClientSession, daemon: Any
) -> None:
    deliver(sandbox, "b@y.example", "Hi")
    record = sandbox.journal.read(1)
    record["raw"], headers = "", {**record["headers"], "list-unsubscribe": f"<{daemon.url}/unsubscribe/tok>"}
    sandbox.write("mail", {key: record[key] for key in ("rcpt", "raw", "subject", "complaints")} | {"headers": headers})
    async with http.post(f"{sandbox.url}/mail/2/unsubscribe") as answer:
        assert "the answer was <strong>200</strong>" in await answer.text()
    [(path, _, form)] = daemon.calls
    assert (path, form) == ("/unsubscribe/tok", [("List-Unsubscribe", "One-Click")])


async def test_the_page_is_told_when_something_arrives(sandbox: Sandbox, http: ClientSession) -> None:
    async with http.get(f"{sandbox.url}/events") as stream:
        assert stream.content_type == "text/event-stream"
        first = await stream.content.readuntil(b"\n\n")
        deliver(sandbox, "b@y.example", "Hi")
        assert await stream.content.readuntil(b"\n\n") != first


async def test_names_come_from_the_providers_own_files(tmp_path: Path, http: ClientSession) -> None:
    write_provider(tmp_path, customers=30)
    sandbox = await start(SandboxSettings(people=tmp_path, timezone="America/New_York"))
    try:
        people = (tmp_path / "contacts.csv").read_text().splitlines()
        _, _, name, _, mail, phone, *_ = people[1].split(",")
        deliver(sandbox, mail, "Hi")
        page = await get(sandbox, http, f"/mailbox/{mail}")
        assert f"<h2>{name}</h2>" in page
        assert "Appalachian Connect" in page
        assert f'href="/phone/{phone}#answer"' in page
        assert re.search(r"\d\d:\d\d:\d\d E[DS]T", page)
        assert "b-mail-" in await get(sandbox, http, "/?q=appalachian")
    finally:
        await sandbox.close()


@pytest.mark.parametrize(
    "path", ["/mailbox/nobody@y.example", "/phone/+1", "/?list=999", "/mailbox/b@y.example?page=99"]
)
async def test_what_is_not_there_says_so(sandbox: Sandbox, http: ClientSession, path: str) -> None:
    assert "empty" in await get(sandbox, http, path)


async def test_it_stays_quick_with_twenty_thousand_messages(sandbox: Sandbox, http: ClientSession) -> None:
    """No clock here: what a page holds is bounded, whatever has arrived."""
    for number in range(20_000):
        text(sandbox, f"Text {number}", to=f"+1606{number % 4000:07d}")
    pages = [await get(sandbox, http, path) for path in ("/", "/?q=text", "/?list=80", "/phone/+16060000001")]
    assert max(map(len, pages)) < 60_000
    assert "20,000" in pages[0]
