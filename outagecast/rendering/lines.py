"""What became of each line, seen from one address, and the lines of one fate together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from outagecast.domain.facts import Line, OwnFacts, RevisionFacts
from outagecast.domain.levels import Effect, Level
from outagecast.domain.notices import NoticeKind
from outagecast.rendering.times import minute_of, minutes_between


class Turn(StrEnum):
    """What is new about a line for this address."""

    WORSE = "worse"
    NEW = "new"
    AGAIN = "again"
    SAME = "same"
    BETTER = "better"
    BACK = "back"
    NEVER = "never"
    """It was taken for touched and was not."""


_ORDER = {turn: place for place, turn in enumerate(Turn)}
_OVER = (Turn.BACK, Turn.NEVER)
_AFTER = (NoticeKind.RESOLUTION, NoticeKind.FOLLOW_UP)


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """One line with its turn and its styles: sections of `words.toml`, what it is now and what it was."""

    line: Line
    turn: Turn
    style: str
    was_style: str
    back_at: datetime | None
    minutes: int

    @property
    def open(self) -> bool:
        return self.turn not in _OVER


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Lines of one fate. `since` is the earliest; `back_at` is None where it differs or is yet to come."""

    told: tuple[Told, ...]
    since: datetime
    since_differs: bool
    back_at: datetime | None
    shortest: int
    longest: int

    @property
    def sample(self) -> Told:
        return self.told[0]


def tell(revision: RevisionFacts, own: OwnFacts) -> list[Told]:
    """The lines of one message in their own order."""
    return [_told(line, revision, own) for line in own.lines]


def groups_of(told: Iterable[Told]) -> list[Group]:
    """The lines by fate: what is open first, the worst first."""
    by_fate: dict[tuple[bool, int, Turn, str, str], list[Told]] = {}
    for one in told:
        key = (not one.open, -one.line.level, one.turn, one.style, one.was_style)
        by_fate.setdefault(key, []).append(one)
    keys = sorted(by_fate, key=lambda k: (k[0], k[1], _ORDER[k[2]], k[3], k[4])) if len(by_fate) > 1 else by_fate
    return [group(by_fate[key]) for key in keys]


def group(told: Sequence[Told]) -> Group:
    """These lines as one group, whatever their fates."""
    since = told[0].line.since
    if len(told) == 1:
        only = told[0]
        return Group(
            told=(only,),
            since=since,
            since_differs=False,
            back_at=only.back_at,
            shortest=only.minutes,
            longest=only.minutes,
        )
    starts = {minute_of(one.line.since) for one in told}
    ends = {minute_of(one.back_at) if one.back_at else None for one in told}
    return Group(
        told=tuple(told),
        since=min(one.line.since for one in told),
        since_differs=len(starts) > 1,
        back_at=told[0].back_at if len(ends) == 1 else None,
        shortest=min(one.minutes for one in told),
        longest=max(one.minutes for one in told),
    )


def _told(line: Line, revision: RevisionFacts, own: OwnFacts) -> Told:
    turn = _turn(line, revision, own)
    was = line.was
    if was is None or was is Level.NO_IMPACT:
        was = Effect(revision.effect).level if turn is Turn.BACK else line.level
    back_at, minutes = None, 0
    if turn is Turn.BACK:
        back_at = line.back_at or revision.ended_at or revision.said_at
        minutes = minutes_between(line.since, back_at)
    return Told(
        line=line,
        turn=turn,
        style=_style(line.level, revision),
        was_style=_style(was, revision),
        back_at=back_at,
        minutes=minutes,
    )


def _turn(line: Line, revision: RevisionFacts, own: OwnFacts) -> Turn:
    if own.kind == NoticeKind.RETRACTION:
        return Turn.NEVER
    if line.level is Level.NO_IMPACT:
        return Turn.BACK if line.back_at or own.combined or own.kind in _AFTER else Turn.NEVER
    if line.was is None or line.was is Level.NO_IMPACT or (own.first and line.was is line.level):
        return Turn.AGAIN if revision.reopened and own.kind == NoticeKind.ACKNOWLEDGEMENT else Turn.NEW
    if line.level is line.was:
        return Turn.SAME
    return Turn.WORSE if line.level > line.was else Turn.BETTER


def _style(level: Level, revision: RevisionFacts) -> str:
    if level is Level.REDUCED_REDUNDANCY and revision.effect == Effect.AT_RISK:
        return "at_risk"
    return level.word
