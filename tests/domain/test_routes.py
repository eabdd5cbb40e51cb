"""Breakers and turns: at no moment do two routes carry, and there is always one that carries or is tried."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagecast.domain.routes import (
    CARRYING,
    Admission,
    Breaker,
    Carries,
    Duty,
    Passage,
    admission,
    carries,
    doubted,
    duty,
    fell,
    is_silent,
    passage,
    rose,
    silent_since,
)

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
PROBE = timedelta(seconds=30)
AFTER = timedelta(seconds=20)


def down(at: float = 100.0, breaker: Breaker | None = None) -> Breaker:
    now = NOON + timedelta(seconds=at)
    return fell(breaker or Breaker(), at=at, now=now, wait=PROBE, code="421", reason="closing")


def test_a_shut_breaker_lets_all_pass() -> None:
    assert admission(Breaker(), 5.0, under_way=1000) is Admission.ALL
    assert passage(Breaker(), 5.0) is Passage.UP


def test_an_open_one_lets_nothing_pass_and_then_one_at_a_time() -> None:
    breaker = down(100.0)
    assert breaker.since == NOON + timedelta(seconds=100)
    assert admission(breaker, 129.9, 0) is Admission.WAITS and passage(breaker, 129.9) is Passage.DOWN
    assert admission(breaker, 130.0, 0) is Admission.ONE and passage(breaker, 130.0) is Passage.PROBING
    assert admission(breaker, 130.0, 1) is Admission.PROBE_UNDER_WAY


def test_a_failed_probe_opens_it_again_and_keeps_since_when() -> None:
    first = down(100.0)
    again = fell(first, at=131.0, now=NOON + timedelta(seconds=131), wait=PROBE, code="connect_failed", reason="no")
    assert (again.since, again.down_at, again.try_at, again.opened) == (first.since, 100.0, 161.0, 1)
    assert (again.code, again.reason) == ("connect_failed", "no")


def test_an_answer_shuts_it_and_the_next_fall_counts_anew() -> None:
    back = rose(down(100.0))
    assert back.since is None and back.opened == 1
    assert down(200.0, back).opened == 2
    assert down(200.0, back).since == NOON + timedelta(seconds=200)


def test_what_the_provider_asked_to_wait_for_is_waited_for_although_another_message_went_through() -> None:
    back = rose(down(100.0))
    assert admission(back, 110.0, 0) is Admission.WAITS
    assert passage(back, 110.0) is Passage.UP


def test_a_few_unanswered_messages_in_a_row_count_as_down_where_the_limit_says_so() -> None:
    breaker = Breaker()
    for n in range(1, 5):
        breaker = doubted(breaker)
        assert not is_silent(breaker, 5), n
    assert is_silent(doubted(breaker), 5)
    assert not is_silent(doubted(breaker), 0)
    assert not is_silent(doubted(rose(breaker)), 5), "one answer, and it counts anew"
    assert is_silent(doubted(down()), 5), "the first probe that is not answered is enough"


def test_the_next_takes_over_when_every_one_before_has_been_down_for_long_enough() -> None:
    assert duty([], 0.0, AFTER) is Duty.FIRST
    assert duty([Breaker()], 0.0, AFTER) is Duty.STANDS_BY
    assert duty([down(100.0)], 119.9, AFTER) is Duty.HOLDS_BACK
    assert duty([down(100.0)], 120.0, AFTER) is Duty.TAKES_OVER
    assert duty([down(100.0), Breaker()], 500.0, AFTER) is Duty.STANDS_BY
    assert duty([down(100.0), down(115.0)], 134.0, AFTER) is Duty.HOLDS_BACK
    assert duty([down(100.0), down(115.0)], 135.0, AFTER) is Duty.TAKES_OVER


@pytest.mark.parametrize(
    ("customers", "staff", "whose"),
    [
        (Duty.FIRST, Duty.STANDS_BY, Carries.CUSTOMERS),
        (Duty.FIRST, Duty.TAKES_OVER, Carries.ALL),
        (Duty.FIRST, Duty.FIRST, Carries.ALL),
        (None, Duty.FIRST, Carries.STAFF),
        (Duty.STANDS_BY, Duty.STANDS_BY, Carries.NOTHING),
        (Duty.HOLDS_BACK, Duty.STANDS_BY, Carries.NOTHING),
    ],
)
def test_whose_messages_a_route_takes(customers: Duty | None, staff: Duty | None, whose: Carries) -> None:
    assert carries(customers, staff) is whose


breakers = st.builds(
    lambda is_down, at, wait, opened, doubts: (
        replace(
            fell(Breaker(opened=opened), at=at, now=NOON, wait=timedelta(seconds=wait), code="x", reason=""),
            doubts=doubts,
        )
        if is_down
        else Breaker(try_at=at + wait if wait > 50 else 0.0, opened=opened, doubts=doubts)
    ),
    st.booleans(),
    st.floats(0, 1000),
    st.floats(0, 100),
    st.integers(0, 3),
    st.integers(0, 9),
)


@given(
    order=st.lists(breakers, min_size=1, max_size=5), at=st.floats(0, 2000), after=st.floats(0, 60), taken=st.booleans()
)
def test_never_two_at_once_and_always_one_that_is_tried(
    order: list[Breaker], at: float, after: float, taken: bool
) -> None:
    """Whatever the routes have been through: at most one takes all it can get, besides single probes; the first is
    always at it, so that whatever came back is found out; and in time one takes all if any gets through.
    """
    wait = timedelta(seconds=after)
    duties = [duty(order[:n], at, wait) for n in range(len(order))]
    let = [admission(breaker, at, int(taken)) for breaker in order]
    carrying = [n for n, (d, a) in enumerate(zip(duties, let, strict=True)) if d in CARRYING and a is Admission.ALL]
    assert len(carrying) <= 1
    assert duties[0] is Duty.FIRST
    for n, breaker in enumerate(order):
        if duties[n] in CARRYING and breaker.since is not None and at >= breaker.try_at:
            assert let[n] is (Admission.PROBE_UNDER_WAY if taken else Admission.ONE)
        if n and duties[n] is Duty.TAKES_OVER:
            assert all(before.since is not None and at - before.down_at >= after for before in order[:n])
    late = max([at, *(breaker.try_at for breaker in order), *(b.down_at + after for b in order)]) + 1
    working = [n for n, breaker in enumerate(order) if breaker.since is None]
    taking = [
        n
        for n, breaker in enumerate(order)
        if duty(order[:n], late, wait) in CARRYING and admission(breaker, late, 0) in (Admission.ALL, Admission.ONE)
    ]
    assert taking == list(range(len(order)))[: working[0] + 1] if working else len(taking) == len(order)


@pytest.mark.parametrize(
    ("due", "left", "said"),
    [
        (None, None, None),
        (-30, None, None),
        (-90, None, -90),
        (-90, -10, None),
        (-9000, -120, -120),
        (-90, -9000, -90),
    ],
)
def test_since_when_nothing_has_left(due: int | None, left: int | None, said: int | None) -> None:
    def at(seconds: int | None) -> datetime | None:
        return None if seconds is None else NOON + timedelta(seconds=seconds)

    found = silent_since(due_since=at(due), last_left_at=at(left), now=NOON, patience=timedelta(minutes=1))
    assert found == at(said)
