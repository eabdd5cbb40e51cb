from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagecast.domain.delivery import (
    LEFT,
    TRANSITIONS,
    UNSENT_ENDS,
    Accepted,
    After,
    Ambiguous,
    Deferred,
    DeliveryState,
    FailureScope,
    Outcome,
    Rejected,
    RetryPolicy,
    after,
)

S = DeliveryState
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
POLICY = RetryPolicy(delays=(30 * SECOND, 2 * MINUTE, 15 * MINUTE), probe=20 * SECOND, give_up_after=4 * HOUR)
ACCEPTED = Accepted(provider_id="SM1", code="201")
AMBIGUOUS = Ambiguous(code="", reason="no answer after the final dot")
TERMINAL = {state for state, following in TRANSITIONS.items() if not following}


def deferred(scope: FailureScope = FailureScope.MESSAGE, retry_after: timedelta | None = None) -> Deferred:
    return Deferred(scope=scope, code="451", reason="greylisted", retry_after=retry_after)


def rejected(scope: FailureScope) -> Rejected:
    return Rejected(scope=scope, code="550", reason="no such user")


def so(
    outcome: Outcome, *, attempt: int = 1, age: timedelta = timedelta(0), endless: bool = False, jitter: float = 0.0
) -> After:
    return after(outcome, attempt=attempt, age=age, endless=endless, jitter=jitter, policy=POLICY)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (ACCEPTED, S.ACCEPTED),
        (AMBIGUOUS, S.AMBIGUOUS),
        (deferred(FailureScope.MESSAGE), S.PLANNED),
        (deferred(FailureScope.ADDRESS), S.PLANNED),
        (deferred(FailureScope.ROUTE), S.PLANNED),
        (rejected(FailureScope.MESSAGE), S.FAILED),
        (rejected(FailureScope.ADDRESS), S.FAILED),
        (rejected(FailureScope.ROUTE), S.PLANNED),
    ],
)
def test_what_follows_from_each_outcome(outcome: Outcome, state: DeliveryState) -> None:
    assert so(outcome).state is state
    assert state in TRANSITIONS[S.TRANSMITTING]


@pytest.mark.parametrize(
    ("attempt", "wait"), [(1, 30 * SECOND), (2, 2 * MINUTE), (3, 15 * MINUTE), (4, 15 * MINUTE), (99, 15 * MINUTE)]
)
def test_each_try_waits_longer_and_the_last_delay_repeats(attempt: int, wait: timedelta) -> None:
    assert so(deferred(), attempt=attempt).wait == wait


def test_a_route_that_is_down_is_probed_however_often_it_failed() -> None:
    assert so(deferred(FailureScope.ROUTE), attempt=50).wait == POLICY.probe
    assert so(rejected(FailureScope.ROUTE), attempt=50).wait == POLICY.probe


def test_the_providers_own_word_can_only_lengthen_the_wait() -> None:
    assert so(deferred(retry_after=5 * MINUTE)).wait == 5 * MINUTE
    assert so(deferred(retry_after=SECOND)).wait == 30 * SECOND
    assert so(deferred(FailureScope.ROUTE, retry_after=HOUR)).wait == HOUR


def test_jitter_adds_up_to_a_quarter() -> None:
    assert so(deferred(), jitter=0.8).wait == 36 * SECOND


def test_what_would_be_tried_after_its_time_is_given_up_at_once() -> None:
    assert so(deferred(), age=4 * HOUR - 30 * SECOND).state is S.PLANNED
    assert so(deferred(), age=4 * HOUR - 29 * SECOND).state is S.FAILED
    assert so(deferred(FailureScope.ROUTE), age=5 * HOUR).state is S.FAILED


def test_an_acknowledgement_of_an_open_outage_is_never_given_up() -> None:
    assert so(deferred(), age=999 * HOUR, attempt=5, endless=True) == After(state=S.PLANNED, wait=15 * MINUTE)
    assert so(rejected(FailureScope.MESSAGE), endless=True).state is S.FAILED


@given(st.integers(1, 100), st.timedeltas(timedelta(0), 9 * HOUR), st.booleans(), st.floats(0, 1, exclude_max=True))
def test_a_retry_never_spins(attempt: int, age: timedelta, endless: bool, jitter: float) -> None:
    answer = so(deferred(), attempt=attempt, age=age, endless=endless, jitter=jitter)
    assert answer.state is S.FAILED or POLICY.delays[0] <= answer.wait <= POLICY.delays[-1] * 1.25


def test_the_table_knows_every_state_and_leads_everywhere_from_planned() -> None:
    assert set(TRANSITIONS) == set(S)
    reached, todo = {S.PLANNED}, [S.PLANNED]
    while todo:
        new = TRANSITIONS[todo.pop()] - reached
        reached |= new
        todo += new
    assert reached == set(S)


def test_what_has_ended_stays_as_it_is() -> None:
    assert {*UNSENT_ENDS, S.FAILED, S.DELIVERED, S.UNDELIVERED} == TERMINAL


def test_only_what_was_marked_as_transmitting_can_have_left() -> None:
    for state in (S.PLANNED, S.LEASED):
        assert TRANSITIONS[state] & LEFT <= {S.TRANSMITTING}
    assert not UNSENT_ENDS & LEFT


def test_what_may_have_been_taken_never_ends_as_not_sent() -> None:
    for state in LEFT:
        assert not TRANSITIONS[state] & UNSENT_ENDS


def test_a_providers_word_never_goes_back() -> None:
    assert TRANSITIONS[S.ACCEPTED] == {S.DELIVERED, S.UNDELIVERED}
