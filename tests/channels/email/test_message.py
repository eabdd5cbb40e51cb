"""The stdlib's parser is the judge: what it reads from our bytes is what was to be said."""

import base64
import email
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.headerregistry import DateHeader, UniqueAddressHeader, UniqueSingleAddressHeader
from email.message import EmailMessage as StdlibMessage
from email.policy import SMTP, SMTPUTF8, default
from time import process_time
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outagecast.channels.email.message import MAX_LINE, MessageWriter, mailbox, sender_mailbox, stuffed
from outagecast.domain.message import Attachment, EmailMessage
from tests.support.mails import MAIL, mail

WRITER = MessageWriter(sender_mailbox("Bluegrass Fiber <status@example.net>"))

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
header_text = st.text(characters.filter(lambda c: c not in "\r\n"), max_size=200)
prose = st.one_of(
    st.text(characters, max_size=400),
    st.lists(st.sampled_from([".", "..", "", ".x", "From x", "--", "=_a_", " ", "a" * 3000, "Grüße 🚧", "\t"])).map(
        "\n".join
    ),
    st.integers(min_value=1, max_value=4000).map(lambda n: "🚧" * n),
    st.integers(min_value=50, max_value=2000).map(lambda n: "ä" + "plain " * n),
)
tokens = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=30)
attachments = st.lists(
    st.builds(
        Attachment,
        filename=st.text(characters.filter(str.isprintable), min_size=1, max_size=40).map(str.strip).filter(bool),
        content_type=st.sampled_from(["text/csv; charset=utf-8", "application/pdf", "text/calendar"]),
        content=st.binary(max_size=500),
    ),
    max_size=2,
).map(tuple)


def written(message: EmailMessage) -> bytes:
    return WRITER.write(message, mailbox(message.to, message.to_name))


def read(octets: bytes) -> StdlibMessage:
    return email.message_from_bytes(octets, policy=default)


def lines_of(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def part(parsed: StdlibMessage, kind: str) -> str:
    """The text of a part, exactly: `get_content` of an absent part is an error."""
    body = parsed.get_body((kind,))
    assert body is not None
    payload = body.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


@settings(max_examples=60, deadline=None)
@given(
    subject=header_text,
    name=header_text,
    text=prose,
    html=prose.filter(bool),
    reference=tokens,
    attachments=attachments,
)
def test_the_stdlib_reads_what_was_to_be_said(
    subject: str, name: str, text: str, html: str, reference: str, attachments: tuple[Attachment, ...]
) -> None:
    references = (f"{reference}@example.net", "second@example.net")
    message = mail(subject=subject, to_name=name, text=text, html=html, references=references, attachments=attachments)
    octets = written(message)
    parsed = read(octets)

    assert unfolded(parsed, "Subject") == subject
    assert same_words(parsed["Subject"], subject)
    to = cast(UniqueAddressHeader, parsed["To"])
    assert [a.addr_spec for a in to.addresses] == ["ada@example.net"]
    assert same_words(to.addresses[0].display_name, name)
    assert lines_of(part(parsed, "plain")) == lines_of(text)
    assert lines_of(part(parsed, "html")) == lines_of(html)
    assert parsed["References"].split() == [f"<{one}>" for one in references]
    assert parsed["In-Reply-To"] == "<second@example.net>"
    found = [(a.get_filename(), a.get_content_type(), a.get_payload(decode=True)) for a in parsed.iter_attachments()]
    assert found == [(a.filename, a.content_type.split(";")[0], a.content) for a in attachments]
    assert not any(p.defects for p in parsed.walk())


@settings(max_examples=50, deadline=None)
@given(subject=header_text, name=header_text, text=prose, html=prose, attachments=attachments)
def test_every_line_is_ascii_short_and_ended_by_crlf(
    subject: str, name: str, text: str, html: str, attachments: tuple[Attachment, ...]
) -> None:
    octets = written(mail(subject=subject, to_name=name, text=text, html=html, attachments=attachments))
    assert octets.isascii()
    assert b"\0" not in octets
    assert octets.endswith(b"\r\n")
    lines = octets.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert max(map(len, lines)) <= MAX_LINE
    for word in re.findall(rb"=\?utf-8\?b\?([^?]*)\?=", octets[: octets.index(b"Date:")]):
        base64.b64decode(word, validate=True).decode()  # RFC 2047 §5: each holds whole characters
    headers = octets[: octets.index(b"\r\n\r\n")].split(b"\r\n")
    assert max(map(len, headers)) <= 78 + len("Content-Disposition")


@settings(max_examples=50, deadline=None)
@given(text=prose)
def test_what_a_server_unstuffs_is_what_was_written(text: str) -> None:
    octets = written(mail(text=text))
    sent = stuffed(octets)
    assert sent.endswith(b"\r\n.\r\n")
    lines = sent.removesuffix(b".\r\n").split(b"\r\n")
    assert b"." not in lines
    assert b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines) == octets


def unfolded(parsed: StdlibMessage, name: str) -> str:
    """A header's text by RFC 2047 alone: the structured parsers of the stdlib also squeeze white space."""
    raw = next(value for header, value in parsed.raw_items() if header == name)
    pieces = email.header.decode_header(str(raw).replace("\r\n", ""))
    return "".join(p if isinstance(p, str) else p.decode(charset or "ascii") for p, charset in pieces)


def same_words(seen: str, meant: str) -> bool:
    return "".join(seen.split()) == "".join(meant.split())


@settings(max_examples=50, deadline=None)
@given(subject=header_text, name=header_text, text=prose, html=prose.filter(bool))
def test_it_reads_like_the_stdlibs_own_message(subject: str, name: str, text: str, html: str) -> None:
    reference = StdlibMessage(policy=SMTPUTF8)
    reference.set_content(lines_of(text))
    reference.add_alternative(lines_of(html), subtype="html")
    ours, theirs = read(written(mail(subject=subject, to_name=name, text=text, html=html))), reference
    assert [p.get_content_type() for p in ours.walk()] == [p.get_content_type() for p in theirs.walk()]
    for kind in ("plain", "html"):
        ending = "" if part(ours, kind).endswith("\r\n") else "\n"
        assert lines_of(part(ours, kind)) + ending == lines_of(part(theirs, kind))


def test_the_headers_of_a_notice() -> None:
    parsed = read(written(mail(references=("first@example.net",))))
    assert parsed.items() == [
        ("From", "Bluegrass Fiber <status@example.net>"),
        ("MIME-Version", "1.0"),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),
        ("To", "Ada Byron <ada@example.net>"),
        ("Subject", "Your line is down"),
        ("Date", "Sun, 22 Nov 2026 04:05:06 +0000"),
        ("Message-ID", "<oc.1.1.ack.0123456789abcdef@status.example.net>"),
        ("In-Reply-To", "<first@example.net>"),
        ("References", "<first@example.net>"),
        ("List-Id", "<outages.status.example.net>"),
        ("List-Unsubscribe", "<https://status.example.net/unsubscribe/0123456789abcdef>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("Content-Language", "en"),
        ("Feedback-ID", "acknowledgement:example.net:outagecast:5a654f71be"),
        ("Content-Type", 'multipart/alternative; boundary="=_a_f4d58a8062e760bc6121a149"'),
    ]


def test_a_mailbox_that_takes_unsubscriptions_is_named_beside_the_link() -> None:
    writer = MessageWriter(sender_mailbox("status@example.net"), unsubscribe_mailto="leave@example.net")
    parsed = read(writer.write(MAIL, mailbox(MAIL.to)))
    assert parsed["List-Unsubscribe"] == f"<{MAIL.unsubscribe_url}>, <mailto:leave@example.net>"


def test_without_a_link_there_is_no_one_click_either() -> None:
    parsed = read(written(mail(unsubscribe_url="")))
    assert parsed["List-Unsubscribe"] is None
    assert parsed["List-Unsubscribe-Post"] is None


@given(st.datetimes(min_value=datetime(1990, 1, 1), timezones=st.just(timezone(timedelta(hours=-5)))))
def test_the_date_keeps_its_instant(date: datetime) -> None:
    parsed = cast(DateHeader, read(written(mail(date=date)))["Date"])
    assert parsed.datetime == date.replace(microsecond=0)


@pytest.mark.parametrize("evil", ["\r", "\n", "\0", "x\r\nBcc: victim@example.net"])
@pytest.mark.parametrize(
    "field", ["to", "to_name", "subject", "message_id", "list_id", "unsubscribe_url", "kind", "language"]
)
def test_no_field_can_begin_another_header(field: str, evil: str) -> None:
    with pytest.raises(ValueError):
        written(mail(**{field: f"{getattr(MAIL, field)}{evil}"}))
    with pytest.raises(ValueError):
        written(mail(references=(f"a@b{evil}",)))
    with pytest.raises(ValueError):
        written(mail(attachments=(Attachment(filename=f"a{evil}", content_type="text/csv", content=b""),)))
    with pytest.raises(ValueError):
        written(mail(attachments=(Attachment(filename="a", content_type=f"text/csv{evil}", content=b""),)))
    with pytest.raises(ValueError):
        sender_mailbox(f"Bluegrass{evil} <status@example.net>")


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "\ud800"},
        {"text": "\udfff"},
        {"to_name": "\ud800"},
        {"date": datetime(2026, 1, 1)},
        {"message_id": "a b@c"},
        {"message_id": "a>@c"},
        {"unsubscribe_url": "https://x> <y"},
        {"language": ""},
        {"kind": "a:b"},
        {"message_id": "x" * 2000},
        {"attachments": (Attachment(filename="a\tb", content_type="text/csv", content=b""),)},
        {"attachments": (Attachment(filename="", content_type="text/csv", content=b""),)},
        {"attachments": (Attachment(filename="🚧" * 200, content_type="text/csv", content=b""),)},
    ],
    ids=str,
)
def test_what_cannot_be_said_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        written(mail(**changes))


@pytest.mark.parametrize(
    "address",
    (
        "|ada|@example.net|ada@|a b@example.net|ada@exa mple.net|<ada@example.net>|a@b>x|a,b@c.net|ä b@x.net"
        '|ada@example.net SIZE=1|ada"@example.net|ada@-x.net|ada..b@example.net|' + "a" * 250 + "@b.net"
    ).split("|"),
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="e-mail address"):
        mailbox(address)


@pytest.mark.parametrize(
    ("address", "wire", "needs_utf8"),
    [
        ("ada@example.net", "ada@example.net", False),
        ("ada+noc@sub.example.net", "ada+noc@sub.example.net", False),
        ('"ada b"@example.net', '"ada b"@example.net', False),
        ("ada@[192.0.2.1]", "ada@[192.0.2.1]", False),
        ("ada@bücher.example", "ada@xn--bcher-kva.example", False),
        ("ada@straße.example", "ada@xn--strae-oqa.example", False),
        ("jürgen@bücher.example", "jürgen@xn--bcher-kva.example", True),
    ],
)
def test_an_address_as_it_goes_onto_the_wire(address: str, wire: str, needs_utf8: bool) -> None:
    box = mailbox(address)
    assert (box.address, box.needs_utf8) == (wire, needs_utf8)


@pytest.mark.parametrize(
    ("sender", "name", "address"),
    [
        ("Bluegrass Fiber <status@example.net>", "Bluegrass Fiber", "status@example.net"),
        ("Acme, Inc. (NOC) <status@example.net>", "Acme, Inc. (NOC)", "status@example.net"),
        ('"Störungsdienst" <status@example.net>', "Störungsdienst", "status@example.net"),
        ("status@example.net", "", "status@example.net"),
        ("<status@example.net>", "", "status@example.net"),
    ],
)
def test_a_sender_is_read_and_written(sender: str, name: str, address: str) -> None:
    box = sender_mailbox(sender)
    assert (box.name, box.address) == (name, address)
    parsed = read(MessageWriter(box).write(MAIL, mailbox(MAIL.to)))
    header = cast(UniqueSingleAddressHeader, parsed["From"])
    assert [(a.display_name, a.addr_spec) for a in header.addresses] == [(name, address)]


@pytest.mark.parametrize("sender", ["Bluegrass", "A <b@c.net", "jürgen@example.net", "", "a@b.net, c@d.net"])
def test_what_is_no_sender_is_refused(sender: str) -> None:
    with pytest.raises(ValueError):
        sender_mailbox(sender)


def test_a_boundary_is_stable_and_never_stands_in_the_body() -> None:
    first = written(MAIL)
    assert first == written(MAIL)
    boundary = read(first).get_boundary()
    assert boundary is not None
    clash = read(written(mail(text=f"--{boundary}\nstill the text\n", html=f"<p>--{boundary}--</p>")))
    assert clash.get_boundary() != boundary
    assert part(clash, "plain") == f"--{boundary}\r\nstill the text\r\n"


def test_an_address_that_needs_utf8_is_written_raw() -> None:
    message = mail(to="jürgen@example.net", to_name="")
    assert "\r\nTo: jürgen@example.net\r\n".encode() in written(message)


def test_a_long_ascii_subject_stays_readable_and_folds() -> None:
    subject = (
        "Outage OUT-2026-0001 at Lexington POP: your lines LEX-1, LEX-2 and LEX-3 are down, next update by 06:00 EST"
    )
    octets = written(mail(subject=subject))
    assert b"=?" not in octets[: octets.index(b"Date:")]
    assert read(octets)["Subject"] == subject
    assert max(map(len, octets[: octets.index(b"Date:")].split(b"\r\n"))) <= 78


@pytest.mark.parametrize("shape", [mail(html=""), mail(html="", text=""), mail(html="", text="no line end")], ids=str)
def test_a_mail_of_text_alone_has_no_parts(shape: EmailMessage) -> None:
    parsed = read(written(shape))
    assert parsed.get_content_type() == "text/plain"
    assert part(parsed, "plain").removesuffix("\r\n") == lines_of(shape.text).replace("\n", "\r\n").removesuffix("\r\n")


def test_it_costs_a_small_part_of_the_stdlibs_price() -> None:
    """Not a benchmark, only a guard: the stdlib needs some hundred times as long."""

    def theirs() -> None:
        message = StdlibMessage(policy=SMTP)
        message["Subject"], message["To"], message["From"] = MAIL.subject, MAIL.to, "status@example.net"
        message.set_content(MAIL.text)
        message.add_alternative(MAIL.html, subtype="html")
        message.as_bytes()

    def cost(build: Callable[[], object]) -> float:
        started = process_time()
        for _ in range(200):
            build()
        return process_time() - started

    assert cost(lambda: stuffed(written(MAIL))) * 5 < cost(theirs)
