"""Promises and estimates judged from what was said."""

from datetime import UTC, datetime, timedelta

from outagecast.domain.outage import Verb
from outagecast.domain.report import Said, etas, middle, promises

T0 = datetime(2026, 3, 3, 14, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def said(number: int, verb: Verb, minutes: float, promise: float | None, **more: float | int | None) -> Said:
    eta = more.get("eta")
    return Said(
        number=number, episode=int(more.get("episode") or 1), verb=verb, at=at(minutes), actor="ann",
        promise=None if promise is None else at(promise), eta=None if eta is None else at(eta),
    )  # fmt: skip


def judged(*words: Said, now: float = 1000) -> list[tuple[str, str | None, int | None]]:
    return [(p.state.value, p.by.value if p.by else None, p.answer) for p in promises(words, at(now))]


def test_a_promise_is_kept_by_the_next_word_in_time_whosever_it_is() -> None:
    assert judged(
        said(1, Verb.DECLARE, 0, 30),
        said(2, Verb.HOLDING, 29, 60),
        said(3, Verb.UPDATE, 60, 90),  # to the very moment
        said(4, Verb.RESOLVE, 91, None),
    ) == [("kept", "holding", 2), ("kept", "desk", 3), ("broken", "desk", 4)]


def test_a_word_that_leaves_the_promise_as_it_is_answers_nothing() -> None:
    """An ETA that passed is told between two promises; a change for a few says nothing to the others."""
    assert judged(
        said(1, Verb.DECLARE, 0, 60),
        said(2, Verb.HOLDING, 30, 60),
        said(3, Verb.UPDATE, 40, 60),
        said(4, Verb.HOLDING, 59, 120),
        now=100,
    ) == [("kept", "holding", 4), ("waiting", None, None)]


def test_after_the_slow_holding_notice_nothing_is_promised() -> None:
    slow = said(2, Verb.HOLDING, 29, None)
    assert judged(said(1, Verb.DECLARE, 0, 30), slow) == [("kept", "holding", 2)]
    assert judged(said(1, Verb.DECLARE, 0, 30), slow, said(3, Verb.UPDATE, 300, 330), now=310) == [
        ("kept", "holding", 2),
        ("waiting", None, None),
    ]


def test_silence_past_the_promise_is_broken_and_an_end_by_any_verb_answers() -> None:
    assert judged(said(1, Verb.DECLARE, 0, 30), now=31) == [("broken", None, None)]
    for verb in (Verb.RETRACT, Verb.MERGE, Verb.RESOLVE):
        assert judged(said(1, Verb.DECLARE, 0, 30), said(2, verb, 10, None)) == [("kept", "desk", 2)]


def test_a_new_episode_begins_with_a_promise_of_its_own() -> None:
    assert judged(
        said(1, Verb.DECLARE, 0, 30),
        said(2, Verb.RESOLVE, 10, None),
        said(3, Verb.REOPEN, 50, 80, episode=2),
        said(4, Verb.RESOLVE, 90, None, episode=2),
    ) == [("kept", "desk", 2), ("broken", "desk", 4)]


def test_an_eta_counts_when_it_was_first_said_and_slips_when_it_moves_back() -> None:
    words = [
        said(1, Verb.DECLARE, 0, 30),
        said(2, Verb.UPDATE, 10, 40, eta=60),
        said(3, Verb.HOLDING, 39, 70, eta=60),
        said(4, Verb.UPDATE, 50, 80, eta=120),
        said(5, Verb.UPDATE, 60, 90, eta=100),
        said(6, Verb.RESOLVE, 110, None, eta=100),
    ]
    found = etas(words, {1: at(110)})
    assert [(e.revision, e.slipped, e.error and e.error // timedelta(minutes=1)) for e in found] == [
        (2, False, 50),
        (4, True, -10),
        (5, False, 10),
    ]
    assert [e.error for e in etas(words[:-1], {})] == [None, None, None]


def test_an_eta_withdrawn_and_said_again_is_a_new_one_and_episodes_are_apart() -> None:
    words = [
        said(1, Verb.UPDATE, 0, 30, eta=60),
        said(2, Verb.UPDATE, 10, 40),
        said(3, Verb.UPDATE, 20, 50, eta=60),
        said(4, Verb.RESOLVE, 70, None, eta=60),
        said(5, Verb.REOPEN, 90, 120, episode=2),
        said(6, Verb.UPDATE, 100, 130, episode=2, eta=200),
    ]
    found = etas(words, {1: at(70), 2: at(150)})
    assert [(e.revision, e.episode, e.slipped, e.error) for e in found] == [
        (1, 1, False, timedelta(minutes=10)),
        (3, 1, False, timedelta(minutes=10)),
        (6, 2, False, timedelta(minutes=-50)),
    ]


def test_the_middle_of_many() -> None:
    minutes = [timedelta(minutes=n) for n in (9, 1, 5)]
    assert middle([]) is None
    assert middle(minutes) == timedelta(minutes=5)
    assert middle([*minutes, timedelta(minutes=7)]) == timedelta(minutes=6)
