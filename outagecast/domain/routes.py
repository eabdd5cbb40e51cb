"""Several ways out of one channel: whether each gets through (its breaker), and which of them may take what.

A breaker is shut while its route gets through. A failure of the whole route opens it: nothing is taken until `try_at`.
Then it is half open: one message at a time goes as a probe, and its answer shuts the breaker or opens it again. A later
route takes messages only while every one before it has been down for a while, so at most one of them carries at any
moment, and every message is claimed by one route alone.

Times named `at` are seconds of the monotonic clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class Passage(StrEnum):
    """Whether a route gets through. PROBING: it was down, and one message at a time tries it."""

    UP = "up"
    DOWN = "down"
    PROBING = "probing"


class Admission(StrEnum):
    """How many messages a route may take now, and why no more."""

    ALL = "all"
    ONE = "one"
    WAITS = "waits"
    """It was told to wait, or is down and not due to be tried."""
    PROBE_UNDER_WAY = "probe_under_way"


class Duty(StrEnum):
    """Whether it is a route's turn, by its place in the order."""

    FIRST = "first"
    TAKES_OVER = "takes_over"
    """Every route before it has been down for long enough."""
    STANDS_BY = "stands_by"
    """One before it gets through."""
    HOLDS_BACK = "holds_back"
    """One before it went down only just now: it may be back in a moment."""


CARRYING = frozenset({Duty.FIRST, Duty.TAKES_OVER})


class Carries(StrEnum):
    """Whose messages a route takes by its turn."""

    NOTHING = "nothing"
    CUSTOMERS = "customer"
    STAFF = "staff"
    ALL = "all"


@dataclass(frozen=True, kw_only=True, slots=True)
class Breaker:
    """`since`: when it went down, None while it gets through. `try_at`: nothing is taken before.

    `opened` counts how often it went down, `doubts` the messages in a row that were written and never answered.
    """

    since: datetime | None = None
    down_at: float = 0.0
    try_at: float = 0.0
    code: str = ""
    reason: str = ""
    opened: int = 0
    doubts: int = 0


def fell(breaker: Breaker, *, at: float, now: datetime, wait: timedelta, code: str, reason: str) -> Breaker:
    """The whole route failed at monotonic second `at` (`now` on the clock): it is tried again after `wait`."""
    first = breaker.since is None
    return Breaker(
        since=now if first else breaker.since,
        down_at=at if first else breaker.down_at,
        try_at=max(breaker.try_at, at + wait.total_seconds()),
        code=code,
        reason=reason,
        opened=breaker.opened + first,
        doubts=0,
    )


def rose(breaker: Breaker) -> Breaker:
    """A message went through. What the provider asked to wait for is waited for all the same (a storm of 429)."""
    if breaker.since is None and not breaker.doubts:
        return breaker
    return replace(breaker, since=None, down_at=0.0, code="", reason="", doubts=0)


def doubted(breaker: Breaker) -> Breaker:
    """A message was written and never answered."""
    return replace(breaker, doubts=breaker.doubts + 1)


def is_silent(breaker: Breaker, limit: int) -> bool:
    """Whether so many messages went unanswered in a row that the route counts as down; 0 is never. A route that was
    down is taken for silent at its first unanswered probe.
    """
    return limit > 0 and (breaker.doubts >= limit or (breaker.since is not None and breaker.doubts > 0))


def passage(breaker: Breaker, at: float) -> Passage:
    if breaker.since is None:
        return Passage.UP
    return Passage.DOWN if at < breaker.try_at else Passage.PROBING


def admission(breaker: Breaker, at: float, under_way: int) -> Admission:
    """How many messages may be taken now; `under_way` are taken and not answered yet."""
    if at < breaker.try_at:
        return Admission.WAITS
    if breaker.since is None:
        return Admission.ALL
    return Admission.PROBE_UNDER_WAY if under_way else Admission.ONE


def duty(before: Sequence[Breaker], at: float, fail_over_after: timedelta) -> Duty:
    """Whose turn it is: that of a route with these `before` it in the order."""
    if not before:
        return Duty.FIRST
    if any(breaker.since is None for breaker in before):
        return Duty.STANDS_BY
    youngest = max(breaker.down_at for breaker in before)
    return Duty.TAKES_OVER if at - youngest >= fail_over_after.total_seconds() else Duty.HOLDS_BACK


def carries(customers: Duty | None, staff: Duty | None) -> Carries:
    """Whose messages a route takes by its duties; None where it is no way out for them."""
    match customers in CARRYING, staff in CARRYING:
        case True, True:
            return Carries.ALL
        case True, False:
            return Carries.CUSTOMERS
        case False, True:
            return Carries.STAFF
        case _:
            return Carries.NOTHING


def silent_since(
    *, due_since: datetime | None, last_left_at: datetime | None, now: datetime, patience: timedelta
) -> datetime | None:
    """Since when nothing has left although something was due; None while messages leave, or none was due for so long.

    `due_since`: when the oldest message that may go and has not gone fell due.
    """
    if due_since is None:
        return None
    since = due_since if last_left_at is None else max(due_since, last_left_at)
    return since if now - since >= patience else None
