"""What the staff read, kept as files. After a wanted change write them anew:

pytest tests/rendering/test_staff.py --regenerate && git diff tests/rendering/golden_staff
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagecast.domain.cadence import Ask
from outagecast.domain.facts import to_micros
from outagecast.domain.sms import encode_info
from outagecast.engine.words import StaffWords
from outagecast.rendering.errors import BrokenTemplates
from outagecast.rendering.staff import FILES, StaffRenderer
from outagecast.resources import templates_folder

GOLDEN = Path(__file__).parent / "golden_staff"
SAID = datetime(2026, 7, 14, 18, 21, 20, tzinfo=UTC)
"""14:21 EDT."""
DESK = "https://status.example.net/desk"
STAFF = StaffRenderer("Bluegrass Fiber", DESK, templates_folder())


def facts(what: str, *, promise: timedelta | None = None, eta: timedelta | None = None, **more: Any) -> dict[str, Any]:
    """As engine/alerts.py freezes them; times from the moment of asking."""
    return {
        "what": what,
        "outage_id": "OUT-2026-0012",
        "title": "POP-LEX down",
        "severity": "major",
        "owner": "",
        "promise": None if promise is None else to_micros(SAID + promise),
        "eta": None if eta is None else to_micros(SAID + eta),
        "said_at": to_micros(SAID),
        "zone": "America/New_York",
        "strikes": 0,
        "detail": "",
    } | more


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


SINCE = to_micros(SAID - minutes(11))
CASES = {
    "promise": facts("promise", promise=minutes(9), owner="Ann Dole"),
    "promise-passed": facts("promise", promise=minutes(-12), eta=minutes(90)),
    "promise-tomorrow": facts("promise", promise=timedelta(hours=14)),
    "eta": facts("eta", eta=minutes(10), promise=minutes(25)),
    "eta-passed": facts("eta", eta=minutes(-3)),
    "eta-at-once": facts("eta", eta=timedelta(seconds=20)),
    "escalation": facts("escalation", strikes=4, eta=minutes(180)),
    "escalation-first": facts("escalation", strikes=0),
    "failure": facts("failure", detail="550 5.7.1", promise=minutes(30)),
    "failure-unsaid": facts("failure"),
    "silence": facts(
        "silence", channel="E-mail", since=SINCE, detail="connect_failed: nobody answers at mail.example.net:587"
    ),
    "silence-unsaid": facts("silence", channel="SMS", since=SINCE),
    "long-title": facts(
        "failure", title="Fibre between Lexington and Frankfort cut at Kiln Road, " * 3, detail="30007 " * 50
    ),
    "hostile": facts(
        "promise", promise=minutes(9), title="<b>北京</b> {{ 7 * 7 }}\r\nBcc: x@example.net", owner="\u202eEve"
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_words(name: str, request: pytest.FixtureRequest) -> None:
    mail = STAFF.email(CASES[name], to="noc@example.net", message_id="1@example.net", date=SAID)
    text = STAFF.sms(CASES[name], to="+18595550111", key="k", expires_at=None)
    info = encode_info(text.body)
    size = f"{info.segments} segment, {info.units} units of {info.encoding}"
    now = f"Subject: {mail.subject}\n\n{mail.text}--- SMS, {size}\n{text.body}\n--- HTML\n{mail.html}"
    path = GOLDEN / f"{name}.txt"
    if request.config.getoption("--regenerate", default=False):
        path.write_text(now, "utf-8", newline="\n")
    assert now == path.read_text("utf-8")


def test_no_file_is_left_over() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {f"{name}.txt" for name in CASES}


def test_every_word_of_ask_is_shown() -> None:
    assert {case["what"] for case in CASES.values()} == {what.value for what in Ask}


def test_what_is_due_by_when_and_where() -> None:
    staff: StaffWords = STAFF
    mail = staff.email(CASES["promise"], to="noc@example.net", message_id="1@example.net", date=SAID)
    wanted = (
        "Next update promised by 14:30 EDT, in 9 min; nobody has written one yet. "
        "If nobody does, OutageCast sends a holding notice."
    )
    assert wanted in mail.text
    assert f"{DESK}/outages/OUT-2026-0012" in mail.text
    assert (mail.to, mail.kind, mail.date) == ("noc@example.net", "promise", SAID)
    assert mail.list_id == "staff.status.example.net"
    text = staff.sms(CASES["promise"], to="+18595550111", key="k", expires_at=SAID)
    assert (text.to, text.key, text.expires_at) == ("+18595550111", "k", SAID)
    assert text.body.endswith(f"{DESK}/outages/OUT-2026-0012")


def test_a_hostile_title_stays_text() -> None:
    mail = STAFF.email(CASES["hostile"], to="noc@example.net", message_id="1@example.net", date=SAID)
    assert "\n" not in mail.subject
    assert "{{ 7 * 7 }}" in mail.text
    assert "<b>" not in mail.html
    assert "\u202e" not in mail.text


@given(
    what=st.sampled_from(list(Ask)),
    title=st.text(max_size=300),
    detail=st.text(max_size=300),
    promise=st.none() | st.integers(-100_000, 100_000),
    eta=st.none() | st.integers(-100_000, 100_000),
    strikes=st.integers(0, 9),
    zone=st.sampled_from(["America/New_York", "Europe/Berlin", "America/Sao_Paulo", "Nowhere/Land"]),
)
def test_a_text_is_one_segment(
    what: Ask, title: str, detail: str, promise: int | None, eta: int | None, strikes: int, zone: str
) -> None:
    said = facts(
        what.value,
        title=title,
        detail=detail,
        promise=None if promise is None else minutes(promise),
        eta=None if eta is None else minutes(eta),
        strikes=strikes,
        zone=zone,
    )
    body = STAFF.sms(said, to="+18595550111", key="k", expires_at=None).body
    assert encode_info(body).segments == 1
    assert body.endswith("/outages/OUT-2026-0012")


def test_broken_templates_are_named_with_file_and_line(tmp_path: Path) -> None:
    root = tmp_path / "templates"
    for path in (*templates_folder().glob("staff/**/*.*"), templates_folder() / "notices/en/words.toml"):
        copy = root / path.relative_to(templates_folder())
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text("utf-8"), "utf-8")
    StaffRenderer("Bluegrass Fiber", DESK, root)
    (root / "staff/en/eta/sms.txt").unlink()
    (root / "staff/en/promise/email.txt").write_text("fine\n{% if %}\n", "utf-8")
    with pytest.raises(BrokenTemplates) as broken:
        StaffRenderer("Bluegrass Fiber", DESK, root)
    missing, wrong = broken.value.problems
    assert missing == f"{root}/staff/en/eta/sms.txt: is missing"
    assert wrong.startswith(f"{root}/staff/en/promise/email.txt:2: ")


def test_each_ask_has_its_three_files() -> None:
    home = templates_folder() / "staff" / "en"
    found = {path.relative_to(home).as_posix() for path in home.glob("*/*")}
    assert found == {f"{what}/{name}" for what in Ask for name in FILES}
