"""What a report judges, from what was said alone: promises kept and broken, estimates against what came true."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from outagecast.domain.outage import END_VERBS, Verb


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """One revision that took effect. `promise` is the "next update by" that held after it, `eta` the ETA after it."""

    number: int
    episode: int
    verb: Verb
    at: datetime
    actor: str
    promise: datetime | None
    eta: datetime | None


class PromiseState(StrEnum):
    KEPT = "kept"
    BROKEN = "broken"
    WAITING = "waiting"
    """Its time has not come, and nothing has been said since."""


class Keeper(StrEnum):
    """Whose word kept a promise."""

    DESK = "desk"
    HOLDING = "holding"


@dataclass(frozen=True, kw_only=True, slots=True)
class Promise:
    """A promise given by a revision, and the word that answered it (None while nothing has).

    `by` is whose that word was, in time or late.
    """

    revision: int
    given_at: datetime
    due_at: datetime
    state: PromiseState
    by: Keeper | None = None
    answer: int | None = None
    answered_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EtaSaid:
    """An ETA when it was first said. `error`: how much later than the ETA (earlier: negative) it was over; None while
    it is not. `slipped`: it replaced an earlier ETA.
    """

    revision: int
    episode: int
    said_at: datetime
    eta: datetime
    slipped: bool
    error: timedelta | None


def promises(said: Sequence[Said], now: datetime) -> tuple[Promise, ...]:
    """Every promise in the order given. `said` is ordered by number.

    The engine's own measure (engine/promises.py): a promise is kept by a word that took effect by its time. A word that
    leaves the promise as it stands (an ETA that passed, a change for a few) answers nothing; an end answers it.
    """
    found: list[Promise] = []
    waiting: Promise | None = None
    for item in said:
        ends = item.verb in END_VERBS
        if waiting is not None and (ends or item.promise != waiting.due_at):
            found.append(_answered(waiting, item))
            waiting = None
        if waiting is None and item.promise is not None and not ends:
            waiting = Promise(revision=item.number, given_at=item.at, due_at=item.promise, state=PromiseState.WAITING)
    if waiting is not None:
        late = waiting.due_at < now
        found.append(replace(waiting, state=PromiseState.BROKEN) if late else waiting)
    return tuple(found)


def etas(said: Sequence[Said], ends: Mapping[int, datetime]) -> tuple[EtaSaid, ...]:
    """Every ETA once, when it was first said. `ends`: by episode, when it was over."""
    found: list[EtaSaid] = []
    before: Said | None = None
    for item in said:
        same = before is not None and before.episode == item.episode and before.eta == item.eta
        if item.eta is not None and not same and item.verb not in END_VERBS:
            earlier = [each.eta for each in found if each.episode == item.episode]
            over = ends.get(item.episode)
            found.append(
                EtaSaid(
                    revision=item.number,
                    episode=item.episode,
                    said_at=item.at,
                    eta=item.eta,
                    slipped=bool(earlier) and item.eta > earlier[-1],
                    error=over - item.eta if over else None,
                )
            )
        before = item
    return tuple(found)


def middle(values: Sequence[timedelta]) -> timedelta | None:
    """The median, the usual case without its worst outliers; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low + (high - low) / 2


def _answered(promise: Promise, word: Said) -> Promise:
    by = Keeper.HOLDING if word.verb is Verb.HOLDING else Keeper.DESK
    state = PromiseState.KEPT if word.at <= promise.due_at else PromiseState.BROKEN
    return replace(promise, state=state, by=by, answer=word.number, answered_at=word.at)
