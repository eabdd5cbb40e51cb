import json
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from outagecast.domain.facts import (
    EPOCH,
    EtaState,
    Line,
    OwnFacts,
    RevisionFacts,
    freeze,
    from_micros,
    thaw_own,
    thaw_revision,
    to_micros,
)
from outagecast.domain.levels import Level

TIMES = st.datetimes(datetime(1960, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
TEXT = st.text(max_size=12)
LINES = st.builds(
    Line,
    customer_id=TEXT,
    customer=TEXT,
    kind=TEXT,
    id=TEXT,
    label=TEXT,
    place=TEXT,
    service=TEXT,
    level=st.sampled_from(Level),
    was=st.none() | st.sampled_from(Level),
    since=TIMES,
    back_at=st.none() | TIMES,
)
OWN = st.builds(
    OwnFacts,
    kind=TEXT,
    name=TEXT,
    language=TEXT,
    zone=TEXT,
    lines=st.lists(LINES, max_size=3).map(tuple),
    eta_state=st.sampled_from(EtaState),
    was_eta=st.none() | TIMES,
    promise=st.none() | TIMES,
    first=st.booleans(),
    combined=st.booleans(),
    slow=st.booleans(),
    eta_passed=st.booleans(),
    repaired_at=st.none() | TIMES,
    carried=TEXT,
    address_ref=st.integers(0),
)
REVISION = st.builds(
    RevisionFacts,
    outage_id=TEXT,
    episode=st.integers(1),
    revision=st.integers(1),
    said_at=TIMES,
    title=TEXT,
    severity=TEXT,
    status=TEXT,
    effect=TEXT,
    cause=TEXT,
    message=TEXT,
    started_at=TIMES,
    eta=st.none() | TIMES,
    at_risk_until=st.none() | TIMES,
    ended_at=st.none() | TIMES,
    reopened=st.booleans(),
    retract_reason=TEXT,
)


@given(OWN)
def test_what_one_address_is_told_comes_back_from_the_database_as_it_was(own: OwnFacts) -> None:
    again = thaw_own(json.loads(json.dumps(freeze(own))))
    assert again == own
    assert isinstance(again.eta_state, EtaState)
    assert all(isinstance(line.level, Level) for line in again.lines)


@given(REVISION)
def test_what_all_are_told_comes_back_from_the_database_as_it_was(revision: RevisionFacts) -> None:
    assert thaw_revision(json.loads(json.dumps(freeze(revision)))) == revision


@given(TIMES)
def test_times_keep_every_microsecond(at: datetime) -> None:
    assert from_micros(to_micros(at)) == at


def test_a_time_in_another_zone_is_the_same_moment() -> None:
    there = datetime(2026, 10, 25, 2, 30, tzinfo=timezone(timedelta(hours=2)))
    assert from_micros(to_micros(there)) == there
    assert from_micros(0) == EPOCH


def test_what_is_absent_takes_no_room() -> None:
    line = Line(
        customer_id="K1", customer="Lee", kind="circuit", id="C1", label="Line 1", level=Level.OUTAGE, since=EPOCH
    )
    own = OwnFacts(kind="acknowledgement", name="Ann", language="en", zone="Europe/Berlin", lines=(line,))
    assert freeze(own) == {
        "kind": "acknowledgement",
        "name": "Ann",
        "language": "en",
        "zone": "Europe/Berlin",
        "lines": [
            {
                "customer_id": "K1",
                "customer": "Lee",
                "kind": "circuit",
                "id": "C1",
                "label": "Line 1",
                "level": 3,
                "since": 0,
            }
        ],
    }


def test_no_impact_is_not_absence() -> None:
    line = Line(
        customer_id="K1",
        customer="Lee",
        kind="circuit",
        id="C1",
        label="",
        level=Level.NO_IMPACT,
        was=Level.NO_IMPACT,
        since=EPOCH,
    )
    assert freeze(line)["was"] == 0
    assert freeze(line)["level"] == 0
