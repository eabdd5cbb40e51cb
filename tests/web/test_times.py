"""Clock times as people type and read them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from outagecast.web.times import clock, distance, duration, read_moment, read_past

ZONE = ZoneInfo("America/New_York")
NOW = datetime(2026, 3, 3, 14, 14, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("14:30", datetime(2026, 3, 3, 19, 30, tzinfo=UTC)),
        ("9.15", datetime(2026, 3, 3, 14, 15, tzinfo=UTC)),
        ("09:14", datetime(2026, 3, 3, 14, 14, tzinfo=UTC)),
        ("06:00", datetime(2026, 3, 4, 11, 0, tzinfo=UTC)),
        ("+90", NOW + timedelta(minutes=90)),
        ("+90 min", NOW + timedelta(minutes=90)),
        ("+2h", NOW + timedelta(hours=2)),
        ("+1h30", NOW + timedelta(minutes=90)),
        ("+1d", NOW + timedelta(days=1)),
        ("2026-03-08 06:00", datetime(2026, 3, 8, 10, 0, tzinfo=UTC)),
        ("  ", None),
    ],
)
def test_a_coming_moment(text: str, expected: datetime | None) -> None:
    assert read_moment(text, zone=ZONE, now=NOW) == expected


@pytest.mark.parametrize("text", ["soon", "25:00", "+", "12:60", "2026-02-30 06:00", "-5", "90", "14:30 EST"])
def test_what_is_no_moment_says_how_to_write_it(text: str) -> None:
    with pytest.raises(ValueError, match="write 14:30"):
        read_moment(text, zone=ZONE, now=NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("09:00", datetime(2026, 3, 3, 14, 0, tzinfo=UTC)),
        ("23:50", datetime(2026, 3, 3, 4, 50, tzinfo=UTC)),
        ("-20", NOW - timedelta(minutes=20)),
        ("", None),
    ],
)
def test_a_past_moment(text: str, expected: datetime | None) -> None:
    assert read_past(text, zone=ZONE, now=NOW) == expected


def test_clock_times_name_their_zone_and_the_day_when_it_is_another() -> None:
    assert clock(NOW, ZONE, NOW) == "09:14 EST"
    assert clock(NOW + timedelta(days=1), ZONE, NOW) == "4 Mar 09:14 EST"
    assert clock(NOW - timedelta(days=365), ZONE, NOW) == "3 Mar 2025 09:14 EST"
    assert clock(NOW + timedelta(days=30), ZONE, NOW) == "2 Apr 10:14 EDT"
    assert clock(NOW, ZoneInfo("America/Sao_Paulo"), NOW) == "11:14 UTC-03"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "in 0 s"),
        (59.9, "in 59 s"),
        (60, "in 1 min"),
        (3599, "in 59 min"),
        (7500, "in 2 h 05 min"),
        (187200, "in 2 d 4 h"),
        (-240, "4 min ago"),
    ],
)
def test_distances_round_down(seconds: float, words: str) -> None:
    assert distance(NOW + timedelta(seconds=seconds), NOW) == words


def test_durations() -> None:
    assert duration(timedelta(hours=1, minutes=12, seconds=59)) == "1 h 12 min"
