"""Durations: what people write, and the way back."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagecast.domain.duration import format_duration, parse_duration

LENGTHS = st.integers(min_value=0, max_value=3650 * 86_400_000).map(lambda ms: timedelta(milliseconds=ms))


@given(LENGTHS)
def test_what_is_written_is_read_back(length: timedelta) -> None:
    assert parse_duration(format_duration(length)) == length


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("0s", timedelta(0)),
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("1h30m", timedelta(minutes=90)),
        ("2d", timedelta(days=2)),
        (" 4h ", timedelta(hours=4)),
        ("1d2h3m4s5ms", timedelta(days=1, hours=2, minutes=3, seconds=4, milliseconds=5)),
        ("250ms", timedelta(milliseconds=250)),
    ],
)
def test_examples(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("30", 'has no unit (write "30s", "30m" or "30h")'),
        ("", 'is not a duration (write "90s", "30m", "1h30m" or "2d")'),
        ("half an hour", 'is not a duration (write "90s", "30m", "1h30m" or "2d")'),
        ("-5m", 'is not a duration (write "90s", "30m", "1h30m" or "2d")'),
        ("30m1h", 'is not a duration (write "90s", "30m", "1h30m" or "2d")'),
        ("1.5h", 'is not a duration (write "90s", "30m", "1h30m" or "2d")'),
        ("٣m", 'is not a duration (write "90s", "30m", "1h30m" or "2d")'),
        ("4000d", 'is longer than ten years (write "90s", "30m", "1h30m" or "2d")'),
        ("999999999d999999999d", 'is not a duration (write "90s", "30m", "1h30m" or "2d")'),
        ("999999999d999999999h", 'is longer than ten years (write "90s", "30m", "1h30m" or "2d")'),
    ],
)
def test_what_is_no_duration_says_why(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_duration(text)
    assert str(caught.value) == reason


def test_the_shortest_text() -> None:
    assert format_duration(timedelta(minutes=90)) == "1h30m"
    assert format_duration(timedelta(0)) == "0s"
    assert format_duration(timedelta(microseconds=1_500)) == "1ms"
    with pytest.raises(ValueError, match="never negative"):
        format_duration(timedelta(seconds=-1))
