"""Attempt keys sort by time, and never come twice."""

import re
from datetime import UTC, datetime, timedelta

from outagecast.engine.attempt_keys import attempt_key

NOW = datetime(2026, 3, 3, 14, 14, tzinfo=UTC)


def test_a_later_key_sorts_behind_an_earlier_one_whatever_its_random_part() -> None:
    keys = [attempt_key(NOW + timedelta(milliseconds=n), random) for n, random in enumerate("zZ_-09aA")]
    assert keys == sorted(keys)


def test_keys_of_one_moment_differ_and_need_no_quoting() -> None:
    assert attempt_key(NOW, "Ab-_") != attempt_key(NOW, "Ab-0")
    assert re.fullmatch(r"[0-9a-f]{12}[A-Za-z0-9_-]+", attempt_key(NOW, "Ab-_"))
