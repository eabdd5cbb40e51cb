"""When to speak next, when to ask the desk, when the daemon keeps the promise itself.

Pure arithmetic on due times; the ticker only asks. A promise is kept by the desk's word or by a HOLDING notice that
starts early enough for its wave to have left.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


@dataclass(frozen=True, kw_only=True, slots=True)
class Cadence:
    """The settings of one severity. `update_every` is used in order, its last entry repeats."""

    update_every: tuple[timedelta, ...]
    remind_before: timedelta
    holding_notices: int
    hold_slow: timedelta

    def interval(self, words: int) -> timedelta:
        """The time to the next promise after `words` earlier words of this episode."""
        return self.update_every[min(words, len(self.update_every) - 1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How an open outage stands with its promises. `strikes`: holding notices in a row since the desk's last word.

    `next_update_by` None: no clock time is promised (the slow holding notice was said, at `last_word_at`).
    """

    next_update_by: datetime | None
    promised_at: datetime
    last_word_at: datetime
    strikes: int
    eta: datetime | None
    eta_passed_told: bool
    reminded_promise: datetime | None
    reminded_eta: datetime | None
    wave: timedelta
    """How long a wave to all its addresses takes, estimated."""


class Say(StrEnum):
    """What the daemon itself has to say now."""

    NOTHING = "nothing"
    HOLDING = "holding"
    HOLDING_SLOW = "holding_slow"
    ETA_PASSED = "eta_passed"
    ETA_PASSED_AND_HOLDING = "eta_passed_and_holding"
    """The ETA has passed and the promise is due as well: one notice, no strike, a new promise."""


class Ask(StrEnum):
    """What staff are asked or told."""

    PROMISE = "promise"
    ETA = "eta"
    ESCALATION = "escalation"
    FAILURE = "failure"
    SILENCE = "silence"
    """Nothing leaves by a channel although something is due."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """The answer: what to say, whom of the staff to ask, when to look again."""

    say: Say
    ask: tuple[Ask, ...]
    look_again_at: datetime | None


def look(cadence: Cadence, standing: Standing, now: datetime) -> Look:
    """What is due at `now` for an open outage."""
    say = _say(cadence, standing, now)
    ask = tuple(
        what
        for what, at in (
            (Ask.PROMISE, _remind_promise_at(cadence, standing)),
            (Ask.ETA, _remind_eta_at(cadence, standing)),
        )
        if at is not None and at <= now
    )
    if say not in (Say.NOTHING, Say.ETA_PASSED):
        # The promise is kept by this very notice: there is nothing left to ask for.
        ask = tuple(a for a in ask if a is not Ask.PROMISE)
    if say is Say.HOLDING_SLOW:
        ask = (*ask, Ask.ESCALATION)
    if say in (Say.ETA_PASSED, Say.ETA_PASSED_AND_HOLDING):
        ask = tuple(a for a in ask if a is not Ask.ETA)
    return Look(say=say, ask=ask, look_again_at=None if say is not Say.NOTHING else _next_look(cadence, standing, ask))


def hold_at(cadence: Cadence, standing: Standing) -> datetime:
    """When the daemon must speak if the desk does not: the promise less the smaller of a quarter of its interval and
    the wave.
    """
    if standing.next_update_by is None:
        return standing.last_word_at + cadence.hold_slow
    interval = standing.next_update_by - standing.promised_at
    return standing.next_update_by - min(interval / 4, standing.wave)


def next_promise(cadence: Cadence, say: Say, *, words: int, now: datetime, standing: Standing) -> datetime | None:
    """The promise that the daemon's own notice gives; None names no clock time."""
    match say:
        case Say.HOLDING | Say.ETA_PASSED_AND_HOLDING:
            interval = cadence.interval(words)
            kept = standing.next_update_by
            # A notice early for its promise must not give that very promise again, or one before it.
            return now + interval if kept is None or now + interval > kept else kept + interval
        case Say.ETA_PASSED | Say.NOTHING:
            return standing.next_update_by
        case Say.HOLDING_SLOW:
            return None


def _say(cadence: Cadence, standing: Standing, now: datetime) -> Say:
    hold_due = hold_at(cadence, standing) <= now
    eta_due = standing.eta is not None and not standing.eta_passed_told and standing.eta <= now
    if eta_due:
        return Say.ETA_PASSED_AND_HOLDING if hold_due and standing.next_update_by is not None else Say.ETA_PASSED
    if not hold_due:
        return Say.NOTHING
    return Say.HOLDING_SLOW if standing.strikes >= cadence.holding_notices else Say.HOLDING


def _remind_promise_at(cadence: Cadence, standing: Standing) -> datetime | None:
    promise = standing.next_update_by
    if promise is None or standing.reminded_promise == promise:
        return None
    # A wave that takes longer than the reminder's lead has the daemon speak first: then staff are asked before that.
    hold = hold_at(cadence, standing)
    before = promise if hold > promise - cadence.remind_before else hold
    # Where the promise is shorter than the reminder's lead, half of it is left in peace.
    return max(before - cadence.remind_before, standing.promised_at + (promise - standing.promised_at) / 2)


def _remind_eta_at(cadence: Cadence, standing: Standing) -> datetime | None:
    if standing.eta is None or standing.eta_passed_told or standing.reminded_eta == standing.eta:
        return None
    # As with the promise: whoever has just spoken is left in peace for half of the time.
    return max(standing.eta - cadence.remind_before, standing.last_word_at + (standing.eta - standing.last_word_at) / 2)


def _next_look(cadence: Cadence, standing: Standing, asked: tuple[Ask, ...]) -> datetime:
    due = [hold_at(cadence, standing)]
    if standing.eta is not None and not standing.eta_passed_told:
        due.append(standing.eta)
    if Ask.PROMISE not in asked and (at := _remind_promise_at(cadence, standing)) is not None:
        due.append(at)
    if Ask.ETA not in asked and (at := _remind_eta_at(cadence, standing)) is not None:
        due.append(at)
    return min(due)
