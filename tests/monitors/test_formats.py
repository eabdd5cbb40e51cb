"""What monitoring systems send, as the documents of each describe it, and as they really do."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagecast.domain.errors import Invalid
from outagecast.domain.event import Event, EventAction
from outagecast.domain.outage import Severity
from outagecast.monitors import FORMATS
from outagecast.monitors.mapping import Payload, Places, read_link, read_time

NOWHERE = Places()


def read(format: str, value: object, places: Places = NOWHERE, content_type: str = "application/json") -> list[Event]:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return FORMATS[format](Payload(body=body, content_type=content_type), places)


def group(*alerts: Mapping[str, object], **more: object) -> dict[str, object]:
    return {"version": "4", "groupKey": "{}:{}", "status": "firing", "receiver": "oc", "alerts": list(alerts), **more}


FIRING = {
    "status": "firing",
    "labels": {"alertname": "LinkDown", "severity": "critical", "circuit": "C-1042", "instance": "r1:9100"},
    "annotations": {"summary": "C-1042 lost light"},
    "startsAt": "2026-03-03T14:14:00.123456789Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus.example/graph?g0=1",
    "fingerprint": "f404ecabc8dd5cd7",
}


def test_alertmanager_gives_one_event_for_each_alert_of_a_group() -> None:
    resolved = {**FIRING, "status": "resolved", "endsAt": "2026-03-03T15:00:00Z", "fingerprint": "f8"}
    first, second = read("alertmanager", group(FIRING, resolved))
    assert first.dedup_key == "f404ecabc8dd5cd7"
    assert first.action is EventAction.TRIGGER
    assert first.occurred_at == datetime(2026, 3, 3, 14, 14, 0, 123456, tzinfo=UTC)
    assert first.summary == "C-1042 lost light"
    assert first.severity is Severity.CRITICAL
    assert first.hints == {"circuit": ("C-1042",)}
    assert first.link == "http://prometheus.example/graph?g0=1"
    assert second.action is EventAction.RESOLVE
    assert second.occurred_at == datetime(2026, 3, 3, 15, tzinfo=UTC)


def test_alertmanager_looks_where_the_settings_point() -> None:
    (event,) = read("alertmanager", group(FIRING), Places(paths={"element": ("labels.instance",)}))
    assert event.hints == {"circuit": ("C-1042",), "element": ("r1:9100",)}


def test_alertmanager_takes_trimmed_and_old_payloads() -> None:
    bare = {"labels": {"circuit": "C-1"}, "startsAt": "", "endsAt": "", "annotations": None}
    again, other = {**bare}, {"labels": {"circuit": "C-2"}}
    first, same, different = read(
        "alertmanager",
        group(
            bare, again, other, groupLabels={"alertname": "Down"}, commonLabels={"severity": "warning", "site": "LEX"}
        ),
    )
    assert first.summary == "Down"
    assert first.severity is Severity.MINOR
    assert first.occurred_at is None
    assert first.hints == {"circuit": ("C-1",), "site": ("LEX",)}
    assert first.dedup_key == same.dedup_key != different.dedup_key


def test_alertmanager_refuses_what_is_something_else() -> None:
    with pytest.raises(Invalid, match="alerts"):
        read("alertmanager", {"heartbeat": {}})
    assert read("alertmanager", group()) == []


def test_generic_in_its_own_words() -> None:
    (event,) = read(
        "generic",
        {
            "key": "pop-lex-power", "action": "trigger", "summary": "POP-LEX lost power", "element": "POP-LEX",
            "severity": "critical", "time": "2026-03-01T09:14:00Z", "link": "https://monitor.example/a/1",
        },
    )  # fmt: skip
    assert event == Event(
        dedup_key="pop-lex-power",
        action=EventAction.TRIGGER,
        occurred_at=datetime(2026, 3, 1, 9, 14, tzinfo=UTC),
        summary="POP-LEX lost power",
        severity=Severity.CRITICAL,
        hints={"element": ("POP-LEX",)},
        link="https://monitor.example/a/1",
    )


@pytest.mark.parametrize(
    ("word", "action"),
    [
        ("PROBLEM", EventAction.TRIGGER),
        ("Down", EventAction.TRIGGER),
        ("", EventAction.TRIGGER),
        ("OK", EventAction.RESOLVE),
        ("recovered", EventAction.RESOLVE),
        ("acknowledged", EventAction.ACK),
        ("note", EventAction.NOTE),
    ],
)
def test_generic_knows_the_usual_words(word: str, action: EventAction) -> None:
    assert read("generic", {"id": 9007199254740993, "status": word})[0].action is action


def test_generic_takes_a_form_and_keeps_large_numbers_whole() -> None:
    body = b"alert_id=900719925474099312345&state=down&circuits=C-1%3B+C-2&title=Line+down"
    (event,) = read("generic", body, content_type="application/x-www-form-urlencoded")
    assert event.dedup_key == "900719925474099312345"
    assert event.hints == {"circuit": ("C-1", "C-2")}
    assert event.summary == "Line down"


def test_generic_without_a_key_is_known_by_what_it_names() -> None:
    down = read("generic", {"action": "down", "circuit": ["C-1", "C-2"]})[0]
    up = read("generic", {"action": "up", "circuit": ["C-2", "C-1"]})[0]
    assert down.dedup_key == up.dedup_key


def test_generic_lists_every_mistake_and_takes_nothing() -> None:
    with pytest.raises(Invalid) as caught:
        read("generic", {"events": [{"action": "explode", "key": "1"}, {"action": "down"}, 7]})
    assert [error.field for error in caught.value.errors] == ["events[0].action", "events[1].key", "events[2]"]


def test_text_of_strangers_is_one_harmless_line() -> None:
    event = read("generic", {"key": "k", "summary": "a\r\nBcc: x\u202egnp.exe\u0000", "link": "javascript:alert(1)"})[0]
    assert event.summary == "a Bcc: xgnp.exe"
    assert event.link == ""


def test_macros_that_nobody_filled_in_are_missing() -> None:
    event = read("generic", {"key": "k", "summary": "$ALERT_TITLE", "circuit": "%circuit%", "site": "{HOST.SITE}"})[0]
    assert event.summary == ""
    assert event.hints == {}


def test_latin_bytes_are_read() -> None:
    assert read("generic", '{"key": "k", "summary": "Störung"}'.encode("latin-1"))[0].summary == "Störung"


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-03T14:14:00Z", "2026-03-03T16:14:00+0200", "2026-03-03 14:14:00", "1772547240", "1772547240000",
        "1772547240000000000", 1772547240, "2026-03-03T14:14:00.0Z",
    ],
)  # fmt: skip
def test_times_in_every_spelling(text: object) -> None:
    assert read_time(text) == datetime(2026, 3, 3, 14, 14, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", None, "0001-01-01T00:00:00Z", "soon", "$DATE", [], "99999999999999999999"])
def test_times_that_are_none(text: object) -> None:
    assert read_time(text) is None


@pytest.mark.parametrize("text", ["/graph", "ftp://x/y", "http://", "http://[", None, "data:text/html,x"])
def test_links_that_are_none(text: object) -> None:
    assert read_link(text) == ""


@given(
    st.sampled_from(sorted(FORMATS)),
    st.binary(max_size=200),
    st.sampled_from(["", "application/x-www-form-urlencoded"]),
)
def test_any_bytes_are_events_or_a_clear_refusal(format: str, body: bytes, content_type: str) -> None:
    try:
        events = FORMATS[format](Payload(body=body, content_type=content_type), NOWHERE)
    except Invalid as error:
        assert str(error)
    else:
        assert all(event.dedup_key for event in events)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["alerts", "labels", "status", "key", "action", "circuit", "startsAt", "annotations", "x"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from(sorted(FORMATS)), ANYTHING)
def test_any_json_is_events_or_a_clear_refusal(format: str, value: object) -> None:
    try:
        events = read(format, value)
    except Invalid as error:
        assert str(error)
    else:
        for event in events:
            assert event.dedup_key and len(event.dedup_key) <= 255
            assert "\n" not in event.summary
