import pytest

from outagecast.domain.errors import Conflict
from outagecast.domain.outage import ENDED, OPEN, TRANSITIONS, OutageStatus, move

S = OutageStatus


def test_every_status_has_its_place_in_the_table() -> None:
    assert set(TRANSITIONS) == set(S)
    assert OPEN | ENDED | {S.DRAFT} == set(S)


@pytest.mark.parametrize("one", sorted(OPEN))
@pytest.mark.parametrize("other", sorted(OPEN))
def test_open_states_reach_each_other(one: OutageStatus, other: OutageStatus) -> None:
    assert move(one, other) is other


@pytest.mark.parametrize("status", sorted(OPEN))
def test_what_is_open_can_end_either_way_and_never_becomes_a_draft(status: OutageStatus) -> None:
    assert move(status, S.RESOLVED) is S.RESOLVED
    assert move(status, S.RETRACTED) is S.RETRACTED
    with pytest.raises(Conflict, match=f"is {status.value} cannot become draft"):
        move(status, S.DRAFT)


def test_a_draft_opens_or_is_dropped_in_silence() -> None:
    assert TRANSITIONS[S.DRAFT] == OPEN | {S.RETRACTED}
    with pytest.raises(Conflict):
        move(S.DRAFT, S.RESOLVED)


def test_what_is_resolved_can_only_be_opened_again() -> None:
    assert TRANSITIONS[S.RESOLVED] == OPEN


@pytest.mark.parametrize("to", sorted(S))
def test_what_was_retracted_never_was(to: OutageStatus) -> None:
    with pytest.raises(Conflict):
        move(S.RETRACTED, to)


@pytest.mark.parametrize("status", [S.DRAFT, S.RESOLVED])
def test_only_open_states_may_stay_where_they_are(status: OutageStatus) -> None:
    with pytest.raises(Conflict):
        move(status, status)
