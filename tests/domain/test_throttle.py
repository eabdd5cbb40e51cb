from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagecast.domain.throttle import Bucket, admit, start_of_day, wave_time


def bucket(per_second: float, burst: float = 1.0) -> Bucket:
    return Bucket(per_second=per_second, burst=burst, tokens=burst, at=0.0)


def test_no_limit_means_no_wait() -> None:
    one = bucket(0)
    for _ in range(1000):
        one, wait = admit(one, 0.0)
        assert wait == 0.0


def test_the_burst_leaves_at_once_and_the_rest_in_step() -> None:
    one, waits = bucket(2, burst=3), []
    for _ in range(6):
        one, wait = admit(one, 0.0)
        waits.append(wait)
    assert waits == [0, 0, 0, 0.5, 1.0, 1.5]


def test_a_long_pause_saves_up_no_more_than_the_burst() -> None:
    one, _ = admit(bucket(10, burst=2), 0.0)
    waits = []
    for _ in range(3):
        one, wait = admit(one, 3600.0)
        waits.append(wait)
    assert waits == [0, 0, pytest.approx(0.1)]


@given(
    st.sampled_from([0.5, 1.0, 20.0, 200.0]),
    st.integers(1, 20),
    st.lists(st.floats(0, 3), min_size=1, max_size=60),
)
def test_no_span_of_time_sees_more_than_rate_and_burst(rate: float, burst: int, pauses: list[float]) -> None:
    one, at, starts = bucket(rate, float(burst)), 0.0, []
    for pause in pauses:
        at += pause
        one, wait = admit(one, at)
        starts.append(at + wait)
    assert starts == sorted(starts)
    for i, first in enumerate(starts):
        for j in range(i, len(starts)):
            assert j - i + 1 <= burst + (starts[j] - first) * rate + 1e-6


def test_a_wave_takes_as_long_as_its_rate_says() -> None:
    assert wave_time(600, 20) == timedelta(seconds=30)
    assert wave_time(600, 0) == timedelta(0)
    assert wave_time(0, 20) == timedelta(0)


def test_the_day_that_counts_begins_at_midnight_utc() -> None:
    assert start_of_day(datetime(2026, 3, 29, 23, 59, 59, 9, tzinfo=UTC)) == datetime(2026, 3, 29, tzinfo=UTC)
