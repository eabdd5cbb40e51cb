"""Laws for whatever people type: no message fails, leaks, breaks its header or its HTML, or costs a third segment."""

import html
import string
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outagecast.domain.facts import EtaState, Line, OwnFacts, RevisionFacts
from outagecast.domain.levels import Level
from outagecast.domain.message import EmailMessage, SmsMessage
from outagecast.domain.notices import NoticeKind
from outagecast.domain.sms import encode_info
from outagecast.rendering import Renderer
from outagecast.rendering.check import balanced
from outagecast.rendering.trim import cut, one_line
from tests.rendering.cases import renderer

ODD = st.text(alphabet=st.one_of(st.characters(), st.sampled_from("<>&\"'{}%#\r\n\t\u202e\u2028=+@`\x00")), max_size=60)
PLAIN = st.text(alphabet=string.ascii_letters + string.digits + " -./'()", min_size=1, max_size=30).filter(str.strip)
FEW = st.integers(0, 14)
TIMES = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))
ZONES = st.sampled_from(["America/New_York", "Europe/Berlin", "Asia/Kolkata", "America/Sao_Paulo", "Nowhere/Else", ""])
LANGUAGES = st.sampled_from(["en", "en-GB", "xx", ""])


@st.composite
def lines(draw: st.DrawFn, names: st.SearchStrategy[str], count: st.SearchStrategy[int]) -> tuple[Line, ...]:
    start = draw(TIMES)
    later = st.timedeltas(timedelta(0), timedelta(days=3))
    return tuple(
        Line(
            customer_id=draw(st.sampled_from(["C-1", "C-2"])),
            customer=draw(names),
            kind=draw(st.sampled_from(["circuit", "service"])),
            id=f"CIR-{n}",
            label=draw(names),
            place=draw(names),
            service=draw(names),
            level=draw(st.sampled_from(list(Level))),
            was=draw(st.sampled_from([None, *Level])),
            since=start,
            back_at=draw(st.none() | later.map(lambda length: start + length)),
        )
        for n in range(draw(count))
    )


@st.composite
def facts(
    draw: st.DrawFn, names: st.SearchStrategy[str] = ODD, count: st.SearchStrategy[int] = FEW
) -> tuple[RevisionFacts, OwnFacts]:
    said = draw(TIMES)
    soon = st.none() | st.timedeltas(timedelta(hours=-2), timedelta(days=2)).map(lambda length: said + length)
    revision = RevisionFacts(
        outage_id="OUT-2026-0001",
        episode=1,
        revision=1,
        said_at=said,
        title="SECRET-TITLE",
        severity="major",
        status=draw(st.sampled_from(["investigating", "identified", "monitoring", "resolved", "retracted"])),
        effect=draw(st.sampled_from(["outage", "degraded", "at_risk"])),
        cause=draw(names),
        message=draw(names),
        started_at=said,
        eta=draw(soon),
        at_risk_until=draw(soon),
        reopened=draw(st.booleans()),
        retract_reason=draw(st.sampled_from(["", "false_alarm", "not_affected"])),
    )
    own = OwnFacts(
        kind=draw(st.sampled_from(list(NoticeKind))),
        name=draw(names),
        language=draw(LANGUAGES),
        zone=draw(ZONES),
        lines=draw(lines(names, count)),
        eta_state=draw(st.sampled_from(list(EtaState))),
        was_eta=draw(soon),
        promise=draw(soon),
        first=draw(st.booleans()),
        combined=draw(st.booleans()),
        slow=draw(st.booleans()),
        eta_passed=draw(st.booleans()),
        repaired_at=draw(soon),
        address_ref=draw(st.integers(0, 10**9)),
    )
    return revision, own


@pytest.fixture(scope="module")
def shipped() -> Renderer:
    return renderer()


def _both(shipped: Renderer, revision: RevisionFacts, own: OwnFacts) -> tuple[EmailMessage, SmsMessage]:
    mail = shipped.email(
        revision, own, to="a@example.org", message_id="m", references=(), list_id="l", date=revision.said_at
    )
    return mail, shipped.sms(revision, own, to="+18595550123", key="k", expires_at=None)


@settings(max_examples=150, deadline=None)
@given(told=facts())
def test_anything_can_be_said(shipped: Renderer, told: tuple[RevisionFacts, OwnFacts]) -> None:
    mail, text = _both(shipped, *told)
    assert mail.subject
    assert not set("\r\n\x00") & set(mail.subject + mail.to_name + text.body)
    assert len(mail.subject.splitlines()) == 1
    assert balanced(mail.html) == ""
    assert len(mail.html.encode()) < 20_000
    for line in told[1].lines:
        label = cut(one_line(line.label), 80, "…")
        if len(told[1].lines) <= 10:
            assert label in mail.text
            assert label in html.unescape(mail.html)


@settings(max_examples=150, deadline=None)
@given(told=facts(PLAIN, st.integers(1, 7)))
def test_common_names_fit_two_segments(shipped: Renderer, told: tuple[RevisionFacts, OwnFacts]) -> None:
    revision, own = told
    mail, text = _both(shipped, revision, own)
    assert encode_info(text.body).segments <= 2
    assert text.body.startswith("Bluegrass Fiber")
    assert f"/m/{own.address_ref:022d}" in text.body
    assert any(one_line(line.label)[:17] in text.body for line in own.lines)
    assert "{{" not in mail.text + mail.html + text.body
    assert "SECRET-TITLE" not in mail.text + mail.html + text.body


@settings(max_examples=60, deadline=None)
@given(told=facts(PLAIN, st.integers(1, 10)))
def test_the_promise_is_in_every_message_before_the_end(
    shipped: Renderer, told: tuple[RevisionFacts, OwnFacts]
) -> None:
    revision, own = told
    mail, text = _both(shipped, revision, own)
    ended = own.kind in (NoticeKind.RESOLUTION, NoticeKind.RETRACTION, NoticeKind.FOLLOW_UP)
    assert ("Next update:" in mail.text) is not ended
    if ended:
        return
    if own.promise is None or own.slow:
        assert "as soon as we know more" in mail.text
        assert "as soon as we know more" in text.body
    else:
        zone = "America/New_York" if own.zone in ("", "Nowhere/Else") else own.zone
        clock = own.promise.astimezone(ZoneInfo(zone)).strftime("by %H:%M ")
        assert all(clock in said for said in (mail.text, mail.html, text.body))


def test_only_what_is_in_the_lines_is_said(shipped: Renderer) -> None:
    """The same revision for two addresses: nothing of one is in the message of the other."""
    mail, text = _both(shipped, *facts_of("Alder Clinics", "Ward 3"))
    other, other_text = _both(shipped, *facts_of("Birch & Sons", "Shop"))
    assert "Birch" not in mail.text + mail.html + text.body
    assert "Alder" not in other.text + other.html + other_text.body


def facts_of(customer: str, label: str) -> tuple[RevisionFacts, OwnFacts]:
    at = datetime(2026, 7, 14, 13, 14, tzinfo=UTC)
    line = Line(
        customer_id=customer, customer=customer, kind="circuit", id=label, label=label, level=Level.OUTAGE, since=at
    )
    revision = RevisionFacts(
        outage_id="OUT-2026-0001",
        episode=1,
        revision=1,
        said_at=at,
        title="",
        severity="major",
        status="identified",
        effect="outage",
        started_at=at,
    )
    return revision, OwnFacts(kind="acknowledgement", name="", language="en", zone="UTC", lines=(line,))
