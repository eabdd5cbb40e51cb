import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from pathlib import Path

import pytest

from outagecast.sandbox import Sandbox, SandboxSettings, start

MAIL = b"From: a@x.example\r\nTo: b@y.example\r\nSubject: Hi\r\nMessage-ID: <1@x>\r\nDate: x\r\n\r\nHello\r\n"


def send(port: int, message: EmailMessage, *, to: str = "b@y.example") -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
        client.send_message(message, "a@x.example", [to])


def message(subject: str = "Hi", text: str = "Hello\n") -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "A <a@x.example>", "B <b@y.example>", subject
    made["Message-ID"], made["Date"] = "<1@x.example>", "Sun, 22 Nov 2026 10:00:00 +0000"
    made.set_content(text)
    return made


async def test_a_mail_is_in_the_log_with_envelope_headers_and_octets(sandbox: Sandbox) -> None:
    await asyncio.to_thread(send, sandbox.smtp_port, message("Größe", ".dot\n..two\nend\n"))
    [record] = sandbox.records("mail")
    assert record["mail_from"] == "a@x.example"
    assert record["rcpt"] == "b@y.example"
    assert record["subject"] == "Größe"
    assert record["message_id"] == "<1@x.example>"
    assert record["headers"]["to"] == "B <b@y.example>"
    assert "\r\n\r\n.dot\r\n..two\r\nend\r\n" in record["raw"]
    assert record["complaints"] == []


async def test_each_recipient_of_one_transaction_is_a_record(sandbox: Sandbox) -> None:
    def both() -> None:
        with smtplib.SMTP("127.0.0.1", sandbox.smtp_port, timeout=5) as client:
            client.sendmail("a@x.example", ["b@y.example", "c@z.example"], MAIL)
            client.sendmail("a@x.example", ["d@z.example"], MAIL)

    await asyncio.to_thread(both)
    assert [record["rcpt"] for record in sandbox.records("mail")] == ["b@y.example", "c@z.example", "d@z.example"]
    assert sandbox.smtp.sessions == 1


async def test_whole_transactions_may_be_pipelined_in_one_write(sandbox: Sandbox) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.smtp_port)
    assert (await reader.readline()).startswith(b"220 ")
    writer.write(b"EHLO me\r\n")
    offers = b""
    while not offers.endswith(b"\r\n") or b"\n250 " not in offers:
        offers += await reader.readline()
    assert {b"250-PIPELINING", b"250-8BITMIME", b"250-SMTPUTF8"} <= set(offers.split(b"\r\n"))
    one = b"MAIL FROM:<a@x.example>\r\nRCPT TO:<b%d@y.example>\r\nDATA\r\n" + MAIL + b".\r\n"
    writer.write(b"".join(one.replace(b"%d", str(n).encode()) for n in range(50)) + b"QUIT\r\n")
    replies = (await reader.read()).split(b"\r\n")
    writer.close()
    assert [line[:3] for line in replies[:-1]] == [b"250", b"250", b"354", b"250"] * 50 + [b"221"]
    assert [record["rcpt"] for record in sandbox.records("mail")] == [f"b{n}@y.example" for n in range(50)]


async def test_it_takes_octets_one_by_one_and_an_empty_body(sandbox: Sandbox) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.smtp_port)
    script = b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n.\r\nQUIT\r\n"
    for octet in script:
        writer.write(bytes([octet]))
        await writer.drain()
        await asyncio.sleep(0)
    assert b"\r\n221 " in await reader.read()
    writer.close()
    [record] = sandbox.records("mail")
    assert (record["raw"], record["mail_from"]) == ("", "")
    assert record["complaints"] == ["no from", "no date", "no message-id"]


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (b"MAIL FROM:<a@x.example>", b"503"),
        (b"EHLO me\r\nRCPT TO:<b@y.example>", b"503"),
        (b"EHLO me\r\nMAIL FROM:<a@x.example>\r\nMAIL FROM:<a@x.example>", b"503"),
        (b"EHLO me\r\nMAIL FROM:<a@x.example>\r\nDATA", b"554"),
        (b"EHLO me\r\nMAIL FROM:<a@x.example> SIZE=99999999", b"552"),
        ("EHLO me\r\nMAIL FROM:<ä@x.example>".encode(), b"553"),
        (b"EHLO me\r\nMAIL FROM: nobody", b"501"),
        (b"EHLO me\r\nWHAT", b"500"),
        (b"EHLO", b"501"),
    ],
)
async def test_what_breaks_the_protocol_is_refused(sandbox: Sandbox, lines: bytes, code: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.smtp_port)
    writer.write(lines + b"\r\nQUIT\r\n")
    replies = (await reader.read()).split(b"\r\n")
    writer.close()
    assert replies[-3][:3] == code
    assert sandbox.records("mail") == []


async def test_it_complains_about_what_a_sender_should_not_write(sandbox: Sandbox) -> None:
    bad = b"From: \xc3\xa4@x\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\n" + b"x" * 1200 + b"\r\nbare\nLF \xc3\xa4\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.smtp_port)
    writer.write(b"EHLO me\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n" + bad + b".\r\nQUIT\r\n")
    await reader.read()
    writer.close()
    assert sandbox.records("mail")[0]["complaints"] == [
        "line longer than 998 octets",
        "bare CR or LF",
        "8-bit header without SMTPUTF8",
        "8-bit body without BODY=8BITMIME",
    ]


async def test_non_ascii_addresses_need_and_get_smtputf8(sandbox: Sandbox) -> None:
    def utf8() -> None:
        with smtplib.SMTP("127.0.0.1", sandbox.smtp_port, timeout=5) as client:
            client.sendmail("a@x.example", ["jörg@y.example"], MAIL, mail_options=["SMTPUTF8", "BODY=8BITMIME"])

    await asyncio.to_thread(utf8)
    assert sandbox.records("mail")[0]["rcpt"] == "jörg@y.example"


async def test_a_login_is_asked_for_when_there_is_one() -> None:
    sandbox = await start(SandboxSettings(smtp_user="noc", smtp_password="secret"))

    def try_it(password: str | None) -> int:
        with smtplib.SMTP("127.0.0.1", sandbox.smtp_port, timeout=5) as client:
            try:
                if password is not None:
                    client.login("noc", password)
                client.sendmail("a@x.example", ["b@y.example"], MAIL)
            except smtplib.SMTPResponseException as error:
                return error.smtp_code
        return 250

    try:
        assert [await asyncio.to_thread(try_it, word) for word in (None, "wrong", "secret")] == [530, 535, 250]
    finally:
        await sandbox.close()


async def test_starttls_forgets_what_came_before_it() -> None:
    data = Path(__file__).parents[1] / "data"
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(data / "smtp_server.pem")
    sandbox = await start(SandboxSettings(smtp_tls=server))

    def secure() -> bool:
        context = ssl.create_default_context(cafile=str(data / "smtp_server_ca.pem"))
        with smtplib.SMTP("localhost", sandbox.smtp_port, timeout=5) as client:
            client.ehlo()
            offered = client.has_extn("starttls")
            client.starttls(context=context)
            client.ehlo()
            client.sendmail("a@x.example", ["b@y.example"], MAIL)
            return offered and not client.has_extn("starttls")

    try:
        assert await asyncio.to_thread(secure)
        assert len(sandbox.records("mail")) == 1
    finally:
        await sandbox.close()
