"""Mails that were filled into a form: the stdlib reads from them, to the letter, what the message says."""

import email
import re
from collections.abc import Sequence
from dataclasses import replace
from email.message import EmailMessage as StdlibMessage
from email.policy import default
from html import escape
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outagecast.channels.email.message import MessageWriter, mailbox, sender_mailbox, stuffed
from outagecast.domain.message import Attachment, EmailMessage, Filled, MailForm, Pieces
from tests.rendering.cases import own as facts_of
from tests.rendering.cases import renderer, revision
from tests.rendering.test_skeletons import AT, _like
from tests.support.mails import MAIL

WRITER = MessageWriter(sender_mailbox("Bluegrass Fiber <status@example.net>"))
TO = mailbox(MAIL.to, MAIL.to_name)
QUOTED = b"Content-Transfer-Encoding: quoted-printable"

ODD = st.sampled_from([
    ".", "..", ".x", " ", "\t", "x ", "x\t", "=", "=3D", "=\n", "-- ", "--=_a_", "From x", "a" * 73, "b" * 76, "ä" * 30,
    "." * 80, ".\n.", "\n", "\n\n", " \n", "c" * 1000, "=C3=A4", "\x85", "\u2028", "\x0b\x0c\x1c", "🚧",
])  # fmt: skip
LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\r\0")
piece = st.one_of(ODD, st.text(LETTERS, max_size=90), st.lists(ODD, max_size=8).map("".join))
value = st.one_of(
    ODD, st.text(LETTERS, max_size=90), st.sampled_from(["", "\r", "\n", "a\r\nb", "https://a.example/?a=b"])
)
values = st.lists(value, min_size=3, max_size=3).map(tuple)


@st.composite
def pieces(draw: st.DrawFn, begin: str = "") -> Pieces:
    order = tuple(draw(st.lists(st.integers(min_value=0, max_value=2), max_size=6)))
    around = draw(st.lists(piece, min_size=len(order) + 1, max_size=len(order) + 1))
    around[0] = begin + around[0]
    # Enough plain words that quoted-printable is the thing to take.
    around[-1] += draw(st.sampled_from(["", "\n", "The rest of it is plain enough for all.\n" * 20]))
    return Pieces(around=tuple(around), order=order)


forms = st.builds(MailForm, text=pieces(), html=pieces(begin="<"))


def filled(form: MailForm, words: tuple[str, ...]) -> EmailMessage:
    escaped = tuple(escape(word) for word in words)
    return replace(
        MAIL,
        text=_woven(form.text, words),
        html=_woven(form.html, escaped),
        filled=Filled(form=form, values=words, html_values=escaped),
    )


def _woven(form: Pieces, words: Sequence[str]) -> str:
    return "".join(
        [piece + words[slot] for piece, slot in zip(form.around, form.order, strict=False)] + [form.around[-1]]
    )


def read(octets: bytes) -> StdlibMessage:
    return email.message_from_bytes(octets, policy=default)


def part(parsed: StdlibMessage, kind: str) -> str:
    body = parsed.get_body((kind,))
    assert body is not None
    payload = body.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


def lines_of(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def assert_reads_as(octets: bytes, message: EmailMessage) -> None:
    parsed = read(octets)
    assert lines_of(part(parsed, "plain")) == lines_of(message.text)
    if message.html:
        assert lines_of(part(parsed, "html")) == lines_of(message.html)
        assert [p.get_content_type() for p in parsed.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert not any(p.defects for p in parsed.walk())


@settings(max_examples=250, deadline=None)
@given(forms, st.lists(values, min_size=1, max_size=3))
def test_the_stdlib_reads_what_was_filled_in(form: MailForm, readers: list[tuple[str, ...]]) -> None:
    for words in readers:
        message = filled(form, words)
        octets = WRITER.write(message, TO)
        assert_reads_as(octets, message)
        assert octets.isascii()
        assert b"\0" not in octets


@settings(max_examples=250, deadline=None)
@given(forms, values)
def test_what_a_server_unstuffs_is_what_was_written(form: MailForm, words: tuple[str, ...]) -> None:
    message = filled(form, words)
    content, octets = WRITER.content(message, TO), WRITER.write(message, TO)
    assert content.octets.endswith(b"\r\n.\r\n")
    lines = content.octets.removesuffix(b".\r\n").split(b"\r\n")
    assert b"." not in lines
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    unstuffed = b"\r\n".join(line.removeprefix(b".") for line in lines)
    assert (unstuffed, content.size) == (octets, len(octets))
    if octets != WRITER.write(replace(message, filled=None), TO):  # it went by its form
        assert content.octets == stuffed(octets)
        assert not any(line.startswith(b".") for line in lines)
        assert max(map(len, octets[octets.index(QUOTED) :].split(b"\r\n"))) <= 76
        assert not re.search(rb"[ \t]\r\n", octets[octets.index(QUOTED) :])


@pytest.mark.parametrize("count", range(60, 160))
def test_a_line_of_any_length_before_a_hole_leaves_room_for_its_soft_break(count: int) -> None:
    around = ("x" * count, "y" * count + " ", "." + "z" * count, "The end.\n")
    form = MailForm(text=Pieces(around=around, order=(0, 1, 2)), html=Pieces(around=around, order=(2, 1, 0)))
    message = filled(form, ("a" * count, " ", "=" * (count // 2)))
    octets = WRITER.write(message, TO)
    assert octets.count(QUOTED) == 2
    assert max(map(len, octets[octets.index(QUOTED) :].split(b"\r\n"))) <= 76
    assert_reads_as(octets, message)


def test_what_is_common_is_encoded_once() -> None:
    form = MailForm(
        text=Pieces(around=("Hello ", ".\n"), order=(0,)), html=Pieces(around=("<p>Hello ", "</p>\n"), order=(0,))
    )
    octets = [WRITER.write(filled(form, (name,)), TO) for name in ("Ada", "Zoë")]
    bodies = [one[one.index(b"\r\n\r\n") :] for one in octets]
    assert bodies[0].replace(b"Ada", b"Zo=C3=AB") == bodies[1]
    assert read(octets[0]).get_boundary() == read(octets[1]).get_boundary()


def test_more_forms_than_are_remembered_are_all_written_right() -> None:
    forms = [
        MailForm(
            text=Pieces(around=(f"{n} ", "!\n"), order=(0,)), html=Pieces(around=("<p>", f"{n}</p>\n"), order=(0,))
        )
        for n in range(300)
    ]
    for form in (*forms, *forms):
        message = filled(form, ("Ada",))
        assert_reads_as(WRITER.write(message, TO), message)


@pytest.mark.parametrize(
    "form",
    [
        MailForm(text=Pieces(around=("Hello ", ""), order=(0,)), html=Pieces(around=("<p>\n",), order=())),
        MailForm(text=Pieces(around=("Hello\r", "x\n"), order=(0,)), html=Pieces(around=("<p>\n",), order=())),
        MailForm(text=Pieces(around=("Hello\n",), order=()), html=Pieces(around=("",), order=())),
        MailForm(text=Pieces(around=("Ω" * 90, "\n"), order=(0,)), html=Pieces(around=("<p>\n",), order=())),
    ],
    ids=["ends in a hole", "carriage return", "no HTML", "mostly odd"],
)
@pytest.mark.parametrize("word", ["Ada", "\n", ""])
def test_what_no_form_is_fit_for_is_encoded_as_a_whole(form: MailForm, word: str) -> None:
    message = filled(form, (word,))
    assert WRITER.write(message, TO) == WRITER.write(replace(message, filled=None), TO)


def test_a_reader_whose_words_break_lines_gets_them_as_they_are() -> None:
    form = MailForm(text=Pieces(around=("a\n", "b\n"), order=(0,)), html=Pieces(around=("<p>", "</p>\n"), order=(0,)))
    for word in ("\r", "\n", "x\r\n", "\r\r", "."):
        message = filled(form, (word,))
        assert_reads_as(WRITER.write(message, TO), message)
    with pytest.raises(ValueError):
        WRITER.write(filled(form, ("\ud800",)), TO)


def test_a_filled_mail_with_an_attachment_has_both() -> None:
    form = MailForm(text=Pieces(around=("a ", "\n"), order=(0,)), html=Pieces(around=("<p>", "</p>\n"), order=(0,))
    )  # fmt: skip
    attached = (Attachment(filename="list.csv", content_type="text/csv", content=b"x"),)
    parsed = read(WRITER.write(replace(filled(form, ("Ada",)), attachments=attached), TO))
    assert [one.get_filename() for one in parsed.iter_attachments()] == ["list.csv"]
    assert part(parsed, "plain") == "a Ada\r\n"


def test_two_moments_that_are_equal_are_each_written_in_their_own_zone() -> None:
    east = AT.astimezone()
    for date in (AT, east, AT):
        assert read(WRITER.write(replace(MAIL, date=date), TO))["Date"] == date.strftime("%a, %d %b %Y %H:%M:%S %z")


@pytest.mark.parametrize("kind", ["acknowledgement", "eta", "update", "holding", "resolution", "retraction"])
def test_a_waves_mails_say_what_their_messages_say(kind: str) -> None:
    by, short = renderer(), 0
    for number, name in enumerate(["Ann", "Bob", "Zoë", ".Net Ltd", "a=b", "M & <M>", "x" * 200, "", "Ωmega " * 5]):
        own = _like(facts_of(kind), name, f"Office {number}.", ". Main St", number)
        message = by.email(revision(), own, to="a@b.example", message_id="a@b", references=(), list_id="a.b", date=AT)
        short += message.filled is not None
        assert_reads_as(WRITER.write(message, TO), message)
        assert WRITER.content(message, TO).octets == stuffed(WRITER.write(message, TO))
    assert short >= 6


def test_it_costs_a_third_of_encoding_the_whole() -> None:
    """Not a benchmark, only a guard: a seventh was measured."""
    by = renderer()
    mails = [
        by.email(
            revision(), _like(facts_of("acknowledgement"), f"Ann {n}", f"Office {n}", "Main St", n),
            to="a@b.example", message_id="a@b", references=(), list_id="a.b", date=AT,
        )
        for n in range(300)
    ]  # fmt: skip

    def cost(messages: list[EmailMessage]) -> float:
        started = process_time()
        for message in messages:
            WRITER.content(message, TO)
        return process_time() - started

    cost(mails)
    assert cost(mails) * 3 < cost([replace(message, filled=None) for message in mails])
