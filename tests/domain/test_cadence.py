from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outagecast.domain.cadence import Ask, Cadence, Look, Say, Standing, hold_at, look, next_promise

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
TEN = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
CADENCE = Cadence(update_every=(HOUR,), remind_before=10 * MINUTE, holding_notices=2, hold_slow=4 * HOUR)


def standing(**changes: object) -> Standing:
    """The desk spoke at ten and promised eleven; a wave takes two minutes."""
    said = Standing(
        next_update_by=TEN + HOUR,
        promised_at=TEN,
        last_word_at=TEN,
        strikes=0,
        eta=None,
        eta_passed_told=False,
        reminded_promise=None,
        reminded_eta=None,
        wave=2 * MINUTE,
    )
    return replace(said, **changes)  # type: ignore[arg-type]


def at(minutes: float, said: Standing | None = None, cadence: Cadence = CADENCE) -> Look:
    return look(cadence, said or standing(), TEN + minutes * MINUTE)


# --- the intervals (rule 18) ---


def test_a_list_of_intervals_is_used_in_order_and_its_last_repeats() -> None:
    cadence = replace(CADENCE, update_every=(15 * MINUTE, 30 * MINUTE, HOUR))
    assert [cadence.interval(words) for words in range(5)] == [15 * MINUTE, 30 * MINUTE, HOUR, HOUR, HOUR]


def test_the_daemon_speaks_early_enough_for_the_wave_to_have_left() -> None:
    assert hold_at(CADENCE, standing()) == TEN + 58 * MINUTE


def test_but_at_the_most_a_quarter_of_the_interval_early() -> None:
    assert hold_at(CADENCE, standing(wave=3 * HOUR)) == TEN + 45 * MINUTE
    assert hold_at(CADENCE, standing(next_update_by=TEN + 4 * MINUTE)) == TEN + 3 * MINUTE


def test_nothing_is_said_while_the_promise_is_far() -> None:
    assert at(0) == Look(say=Say.NOTHING, ask=(), look_again_at=TEN + 50 * MINUTE)


# --- reminders (rule 20) ---


def test_staff_are_asked_before_a_promise_and_only_once() -> None:
    assert at(50) == Look(say=Say.NOTHING, ask=(Ask.PROMISE,), look_again_at=TEN + 58 * MINUTE)
    assert at(51, standing(reminded_promise=TEN + HOUR)).ask == ()


def test_a_new_promise_is_asked_for_again() -> None:
    assert at(110, standing(next_update_by=TEN + 2 * HOUR, reminded_promise=TEN + HOUR)).ask == (Ask.PROMISE,)


def test_half_of_a_short_promise_is_left_in_peace() -> None:
    short = standing(next_update_by=TEN + 12 * MINUTE)
    assert at(5, short) == Look(say=Say.NOTHING, ask=(), look_again_at=TEN + 6 * MINUTE)
    assert at(6, short).ask == (Ask.PROMISE,)


def test_a_slow_wave_does_not_overtake_the_reminder() -> None:
    slow = standing(wave=14 * MINUTE)
    assert hold_at(CADENCE, slow) == TEN + 46 * MINUTE
    assert at(0, slow).look_again_at == TEN + 36 * MINUTE
    assert at(36, slow) == Look(say=Say.NOTHING, ask=(Ask.PROMISE,), look_again_at=TEN + 46 * MINUTE)


def test_staff_are_asked_before_an_eta_and_only_once() -> None:
    repaired = standing(eta=TEN + 40 * MINUTE)
    assert at(0, repaired).look_again_at == TEN + 30 * MINUTE
    assert at(30, repaired) == Look(say=Say.NOTHING, ask=(Ask.ETA,), look_again_at=TEN + 40 * MINUTE)
    assert at(31, replace(repaired, reminded_eta=repaired.eta)).ask == ()


def test_who_has_just_given_an_eta_is_not_asked_for_it_at_once() -> None:
    assert at(0, standing(eta=TEN + 8 * MINUTE)).ask == ()
    assert at(4, standing(eta=TEN + 8 * MINUTE)).ask == (Ask.ETA,)


# --- strikes (rule 19) ---


def test_the_promise_is_kept_by_a_holding_notice_with_a_new_promise() -> None:
    late = at(58, standing(reminded_promise=TEN + HOUR))
    assert late == Look(say=Say.HOLDING, ask=(), look_again_at=None)
    promise = next_promise(CADENCE, Say.HOLDING, words=1, now=TEN + 58 * MINUTE, standing=standing())
    assert promise == TEN + 118 * MINUTE


def test_a_holding_notice_never_gives_the_promise_again_that_it_keeps() -> None:
    cadence = replace(CADENCE, update_every=(HOUR, 15 * MINUTE))
    early = standing(wave=15 * MINUTE)
    assert at(45, early, cadence).say is Say.HOLDING
    promise = next_promise(cadence, Say.HOLDING, words=1, now=TEN + 45 * MINUTE, standing=early)
    assert promise == TEN + 75 * MINUTE


def test_after_so_many_holding_notices_no_clock_time_is_named_and_staff_are_escalated() -> None:
    silent = standing(strikes=2)
    assert at(58, standing(strikes=1)).say is Say.HOLDING
    assert at(58, silent) == Look(say=Say.HOLDING_SLOW, ask=(Ask.ESCALATION,), look_again_at=None)
    assert next_promise(CADENCE, Say.HOLDING_SLOW, words=3, now=TEN, standing=silent) is None


def test_without_a_clock_time_the_notice_repeats_slowly() -> None:
    silent = standing(next_update_by=None, strikes=3)
    assert at(1, silent) == Look(say=Say.NOTHING, ask=(), look_again_at=TEN + 4 * HOUR)
    assert at(239, silent).say is Say.NOTHING
    assert at(240, silent) == Look(say=Say.HOLDING_SLOW, ask=(Ask.ESCALATION,), look_again_at=None)


def test_no_holding_notice_at_all_may_be_wanted() -> None:
    assert at(58, cadence=replace(CADENCE, holding_notices=0)).say is Say.HOLDING_SLOW


# --- the ETA passes (rule 20) ---


def test_an_eta_that_passes_is_said_once_and_keeps_the_promise() -> None:
    passed = standing(eta=TEN + 30 * MINUTE, reminded_eta=TEN + 30 * MINUTE)
    assert at(29, passed).say is Say.NOTHING
    assert at(30, passed).say is Say.ETA_PASSED
    assert next_promise(CADENCE, Say.ETA_PASSED, words=1, now=TEN, standing=passed) == passed.next_update_by
    assert at(31, replace(passed, eta_passed_told=True)).say is Say.NOTHING


def test_an_eta_that_passes_within_the_promises_lead_replaces_it() -> None:
    both = standing(eta=TEN + 59 * MINUTE, reminded_promise=TEN + HOUR)
    assert at(57, both).say is Say.NOTHING
    # The promise comes first by its lead and the ETA a minute later: only at 59 both are due.
    assert at(59, both).say is Say.ETA_PASSED_AND_HOLDING
    promise = next_promise(CADENCE, Say.ETA_PASSED_AND_HOLDING, words=1, now=TEN + 59 * MINUTE, standing=both)
    assert promise == TEN + 119 * MINUTE


def test_an_eta_that_passes_is_no_strike_even_for_a_silent_desk() -> None:
    both = standing(eta=TEN + 58 * MINUTE, strikes=2, reminded_promise=TEN + HOUR)
    assert at(58, both).say is Say.ETA_PASSED_AND_HOLDING


def test_an_eta_that_passes_without_a_promise_names_no_clock_time_either() -> None:
    slow = standing(next_update_by=None, strikes=3, eta=TEN + HOUR)
    assert at(60, slow).say is Say.ETA_PASSED
    assert at(999, slow).say is Say.ETA_PASSED
    assert next_promise(CADENCE, Say.ETA_PASSED, words=3, now=TEN, standing=slow) is None


# --- a ticker on a fake clock ---


@dataclass(kw_only=True)
class Desk:
    """An open outage with its cadence: the ticker's and the desk's doings, and what customers were told when."""

    cadence: Cadence
    standing: Standing
    now: datetime = TEN
    words: int = 1
    said: list[tuple[datetime, Say | None]] = field(default_factory=list)
    kept: list[tuple[datetime, datetime]] = field(default_factory=list)
    """(promise, when something was said in its stead)."""
    asked: list[tuple[Ask, datetime | None]] = field(default_factory=list)

    def word(self, eta: datetime | None) -> None:
        self._said(None)
        fresh = eta != self.standing.eta
        self._promise(self.now + self.cadence.interval(self.words))
        self.standing = replace(
            self.standing,
            strikes=0,
            last_word_at=self.now,
            eta=eta,
            eta_passed_told=self.standing.eta_passed_told and not fresh,
            reminded_eta=None if fresh else self.standing.reminded_eta,
        )

    def tick(self) -> Look:
        """What the ticker does with a look: asks, says, notes."""
        found = look(self.cadence, self.standing, self.now)
        for ask in found.ask:
            self._asked(ask)
        if found.say is not Say.NOTHING:
            promise = next_promise(self.cadence, found.say, words=self.words, now=self.now, standing=self.standing)
            self._said(found.say)
            if promise != self.standing.next_update_by:
                self._promise(promise)
            self.standing = replace(
                self.standing,
                last_word_at=self.now,
                strikes=self.standing.strikes + (found.say in (Say.HOLDING, Say.HOLDING_SLOW)),
                eta_passed_told=self.standing.eta_passed_told or found.say.name.startswith("ETA"),
            )
        return found

    def _promise(self, promise: datetime | None) -> None:
        self.standing = replace(self.standing, next_update_by=promise, promised_at=self.now)
        self.words += 1

    def _said(self, say: Say | None) -> None:
        if self.standing.next_update_by is not None and say is not Say.ETA_PASSED:
            self.kept.append((self.standing.next_update_by, self.now))
        self.said.append((self.now, say))

    def _asked(self, ask: Ask) -> None:
        match ask:
            case Ask.PROMISE:
                self.asked.append((ask, self.standing.next_update_by))
                self.standing = replace(self.standing, reminded_promise=self.standing.next_update_by)
            case Ask.ETA:
                self.asked.append((ask, self.standing.eta))
                self.standing = replace(self.standing, reminded_eta=self.standing.eta)
            case _:
                self.asked.append((ask, None))

    def run(self, until: datetime) -> None:
        """Look whenever a look is due, up to `until`."""
        for _ in range(10_000):
            found = self.tick()
            if found.look_again_at is None:
                assert found.say is not Say.NOTHING
                continue
            assert found.look_again_at > self.now, "a look that is due at once again never ends"
            if found.look_again_at >= until:
                self.now = until
                return
            self.now = found.look_again_at
        raise AssertionError("the ticker never comes to rest")


CADENCES = st.builds(
    Cadence,
    update_every=st.lists(st.sampled_from([15, 30, 60, 120]).map(lambda m: m * MINUTE), min_size=1, max_size=3).map(
        tuple
    ),
    remind_before=st.sampled_from([5 * MINUTE, 10 * MINUTE, 45 * MINUTE]),
    holding_notices=st.integers(0, 4),
    hold_slow=st.sampled_from([HOUR, 4 * HOUR]),
)
WAVES = st.sampled_from([2 * timedelta(seconds=1), 3 * MINUTE, 40 * MINUTE])
WORDS = st.lists(
    st.tuples(st.integers(1, 600), st.none() | st.integers(-30, 400)).map(
        lambda w: (w[0] * MINUTE, None if w[1] is None else w[1] * MINUTE)
    ),
    max_size=12,
)


def desk(cadence: Cadence, wave: timedelta) -> Desk:
    return Desk(cadence=cadence, standing=standing(next_update_by=TEN + cadence.interval(0), wave=wave))


@settings(max_examples=300, deadline=None)
@given(CADENCES, WAVES, WORDS)
def test_for_days_every_promise_is_kept_in_time_and_by_one_notice(
    cadence: Cadence, wave: timedelta, words: list[tuple[timedelta, timedelta | None]]
) -> None:
    one = desk(cadence, wave)
    for pause, eta in words:
        one.run(one.now + pause)
        one.word(None if eta is None else one.now + eta)
    one.run(one.now + timedelta(days=3))
    assert all(when <= promise for promise, when in one.kept)
    promises = [promise for promise, when in one.kept if (when, None) not in one.said]
    assert len(promises) == len(set(promises))
    daemon = [at for at, say in one.said if say is not None]
    assert len(daemon) == len(set(daemon)), "two notices in one breath"
    asked = [a for a in one.asked if a[0] is Ask.PROMISE]
    assert len(asked) == len(set(asked))
    slow = [at for at, say in one.said if say is Say.HOLDING_SLOW]
    assert len(slow) == sum(1 for ask, _ in one.asked if ask is Ask.ESCALATION)
    assert slow, "three silent days lead to an escalation"


@settings(max_examples=200, deadline=None)
@given(CADENCES, WAVES, st.integers(0, 300))
def test_staff_are_asked_before_the_daemon_speaks_in_their_stead(cadence: Cadence, wave: timedelta, pause: int) -> None:
    one = desk(cadence, wave)
    one.run(TEN + pause * MINUTE)
    one.word(None)
    one.run(one.now + timedelta(days=1))
    held = [promise for promise, when in one.kept if (when, Say.HOLDING) in one.said]
    assert {promise for ask, promise in one.asked if ask is Ask.PROMISE} >= set(held)


@settings(max_examples=300, deadline=None)
@given(CADENCES, WAVES, st.none() | st.integers(1, 3000), st.integers(0, 300), st.integers(61, 20_000))
def test_after_a_downtime_there_is_one_catch_up(
    cadence: Cadence, wave: timedelta, eta: int | None, before: int, away: int
) -> None:
    one = desk(cadence, wave)
    one.word(None if eta is None else TEN + eta * MINUTE)
    one.run(TEN + before * MINUTE)
    one.now += away * MINUTE
    told = len(one.said)
    back = one.now
    one.run(back + timedelta(seconds=1))
    catch_up = one.said[told:]
    assert len(catch_up) <= 1
    assert all(when == back for when, _ in catch_up)
    if one.kept and one.kept[-1][0] < back and catch_up:
        assert len([1 for promise, when in one.kept if when == back]) <= 1


def test_whoever_was_away_for_a_day_says_it_once() -> None:
    one = desk(CADENCE, 2 * MINUTE)
    one.standing = replace(one.standing, eta=TEN + 2 * HOUR)
    one.now = TEN + timedelta(days=1)
    one.run(one.now + MINUTE)
    assert one.said == [(TEN + timedelta(days=1), Say.ETA_PASSED_AND_HOLDING)]
    assert one.standing.strikes == 0
    assert one.standing.next_update_by == TEN + timedelta(days=1) + HOUR
    assert one.asked == []


@pytest.mark.parametrize("say", list(Say))
def test_a_new_promise_always_lies_ahead(say: Say) -> None:
    now = TEN + 58 * MINUTE
    promise = next_promise(CADENCE, say, words=1, now=now, standing=standing())
    assert promise is None or promise > now
