"""Clock times in the reader's zone with the zone named, rounded down; durations that agree with the times shown."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from outagecast.rendering.times import Times, minutes_between, reader, zone_of
from outagecast.rendering.words import load_words
from tests.rendering.cases import TEMPLATES

AT = datetime(2026, 7, 14, 18, 30, 59, tzinfo=UTC)
ENGLISH = load_words("en", [TEMPLATES / "notices" / "en"])


def _said(at: datetime, zone: str, said_at: datetime = AT, *, sms: bool = False, dated: bool = False) -> str:
    return Times(ENGLISH).at(at, reader(ZoneInfo(zone), said_at, sms=sms), dated=dated)


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("America/New_York", "14:30 EDT"),
        ("Europe/Berlin", "20:30 CEST"),
        ("Europe/London", "19:30 BST"),
        ("UTC", "18:30 UTC"),
        ("America/Sao_Paulo", "15:30 Brasilia Standard Time"),
        ("Antarctica/Troll", "20:30 UTC+2"),
    ],
)
def test_the_zone_is_named(zone: str, said: str) -> None:
    assert _said(AT, zone) == said


def test_a_text_has_no_room_for_a_long_zone() -> None:
    assert _said(AT, "America/Sao_Paulo", sms=True) == "15:30 UTC-3"
    assert _said(AT, "Asia/Kathmandu", sms=True) == "00:15 UTC+5:45 on 15 Jul".replace(" on 15 Jul", "")


def test_another_day_of_the_reader_has_its_date() -> None:
    night = datetime(2026, 7, 15, 3, 30, tzinfo=UTC)
    assert _said(night, "America/New_York") == "23:30 EDT"
    assert _said(night, "Europe/Berlin") == "05:30 CEST on Wed 15 Jul"
    assert _said(night, "Europe/Berlin", sms=True) == "05:30 CEST on 15 Jul"
    assert _said(AT, "Europe/Berlin", dated=True) == "20:30 CEST on Tue 14 Jul 2026"
    assert _said(datetime(2027, 1, 2, 12, tzinfo=UTC), "UTC") == "12:00 UTC on Sat 2 Jan 2027"


def test_the_hour_that_comes_twice_is_told_apart() -> None:
    first = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert _said(first, "America/New_York", first) == "01:30 EDT"
    assert _said(first + timedelta(hours=1), "America/New_York", first) == "01:30 EST"


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        (0, "less than 1 min"),
        (1, "1 min"),
        (60, "1 h"),
        (221, "3 h 41 min"),
        (24 * 60, "1 d"),
        (52 * 60 + 5, "2 d 4 h 5 min"),
    ],
)
def test_durations(minutes: int, said: str) -> None:
    assert Times(ENGLISH).lasting(minutes) == said


def test_a_duration_agrees_with_the_times_shown() -> None:
    start, end = datetime(2026, 7, 14, 9, 14, 50, tzinfo=UTC), datetime(2026, 7, 14, 9, 16, 10, tzinfo=UTC)
    assert minutes_between(start, end) == 2
    assert minutes_between(end, start) == 0


def test_a_zone_nobody_knows_is_the_fallback() -> None:
    assert zone_of("Nowhere/Else", ZoneInfo("Europe/Berlin")).key == "Europe/Berlin"
    assert zone_of("../etc/passwd", UTC).key == "UTC"


def test_plural_forms_are_those_of_the_language(tmp_path: Path) -> None:
    text = (TEMPLATES / "notices" / "en" / "words.toml").read_text("utf-8")
    polish = text.replace("other =", 'few = "x", many = "linii", other =')
    (tmp_path / "words.toml").write_text(polish, "utf-8")
    words = load_words("pl", [tmp_path])
    assert [words.form(n) for n in (1, 2, 5, 22)] == ["one", "few", "many", "few"]
    assert words["nouns.circuit.many"] == "linii"
