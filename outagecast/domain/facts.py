"""The facts a message is made of, frozen when its revision takes effect.

What a revision says to all is `RevisionFacts`, kept once; what it says to one address is `OwnFacts`, kept on the
delivery's row. The words are a function of these two alone, so a retry says what was planned. Both go to the database
as compact JSON: times as integer microseconds since 1970 UTC, absent values left out.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import Any

from outagecast.domain.levels import Level

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class EtaState(StrEnum):
    """What there is to say about the time of repair, seen from one address."""

    NONE = "none"
    SET = "set"
    CHANGED = "changed"
    WITHDRAWN = "withdrawn"
    PASSED = "passed"
    """The time has passed unresolved: "we expected …"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One circuit or service of one customer, in the customer's own words.

    `level` is the level now (NO_IMPACT: back); `was` what this address was last told, None if it hears of it first now.
    `since` is when it was first touched; `back_at` when it was restored. `service_name` names what runs over a circuit.
    `because_still` names nothing internal: True when another event keeps a line down whose first cause is repaired.
    """

    customer_id: str
    customer: str
    kind: str
    id: str
    label: str
    place: str = ""
    service: str = ""
    level: Level
    was: Level | None = None
    since: datetime
    back_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RevisionFacts:
    """What one revision says to all. `said_at` is its effective_at; `message` the desk's words to customers, "" if
    none.
    """

    outage_id: str
    episode: int
    revision: int
    said_at: datetime
    title: str
    severity: str
    status: str
    effect: str
    cause: str = ""
    message: str = ""
    started_at: datetime
    eta: datetime | None = None
    at_risk_until: datetime | None = None
    ended_at: datetime | None = None
    reopened: bool = False
    retract_reason: str = ""
    """`false_alarm` or `not_affected`, for a RETRACTION."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnFacts:
    """What one delivery says to one address.

    `was_eta` is the ETA this address was last sent. `promise` is when it hears next, None when no clock time is named.
    `first`: nothing of this outage has left to it before (it starts the e-mail thread). `combined`: acknowledgement and
    end in one. `slow`: the holding notice that names no clock time. `repaired_at`: another cause was repaired then, the
    line is still down. `carried` are earlier words of the desk that had not left to this address yet. `address_ref` is
    the address's number (for its page and its way out); `lines` are ordered by customer, place, label.
    """

    kind: str
    name: str
    language: str
    zone: str
    lines: tuple[Line, ...]
    eta_state: EtaState = EtaState.NONE
    was_eta: datetime | None = None
    promise: datetime | None = None
    first: bool = False
    combined: bool = False
    slow: bool = False
    eta_passed: bool = False
    repaired_at: datetime | None = None
    carried: str = ""
    address_ref: int = 0


def to_micros(at: datetime) -> int:
    """Microseconds since 1970 UTC of an aware time."""
    return (at - EPOCH) // _MICROSECOND


@lru_cache(maxsize=4096)
def from_micros(value: int) -> datetime:
    """The moment; mostly the same object for the same number: a wave speaks of few, and each is hashed often."""
    return EPOCH + timedelta(microseconds=value)


def freeze(facts: RevisionFacts | OwnFacts | Line) -> dict[str, Any]:
    """As JSON-ready values, defaults left out."""
    plan = _PLANS[type(facts)]
    return {
        name: value if convert is None or value is None else convert(value)
        for (name, default, convert), value in zip(plan.fields, plan.read(facts), strict=True)
        if value is not default and value != default
    }


def thaw_revision(data: dict[str, Any]) -> RevisionFacts:
    return RevisionFacts(**_timed(data, _REVISION_TIMES))


def thaw_own(data: dict[str, Any]) -> OwnFacts:
    own = _timed(data, _OWN_TIMES)
    own["lines"] = tuple(_thaw_line(line) for line in own["lines"])
    own["eta_state"] = EtaState(own.get("eta_state", EtaState.NONE))
    return OwnFacts(**own)


_REVISION_TIMES = frozenset({"said_at", "started_at", "eta", "at_risk_until", "ended_at"})
_OWN_TIMES = frozenset({"was_eta", "promise", "repaired_at"})
_LINE_TIMES = frozenset({"since", "back_at"})


def _thaw_line(data: dict[str, Any]) -> Line:
    line = _timed(data, _LINE_TIMES)
    line["level"] = Level(line["level"])
    if "was" in line:
        line["was"] = Level(line["was"])
    return Line(**line)


def _freeze_lines(lines: tuple[Line, ...]) -> list[dict[str, Any]]:
    return [freeze(line) for line in lines]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """How one kind of facts is frozen, found out once: a wave freezes each row, and asking each value costs more."""

    read: Callable[[Any], tuple[Any, ...]]
    fields: tuple[tuple[str, Any, Callable[[Any], Any] | None], ...]


def _plan(kind: type[Any], times: frozenset[str], **others: Callable[[Any], Any]) -> _Plan:
    names = [f.name for f in fields(kind)]
    converters = dict.fromkeys(times, to_micros) | others
    return _Plan(
        read=attrgetter(*names), fields=tuple((f.name, f.default, converters.get(f.name)) for f in fields(kind))
    )


_PLANS = {
    RevisionFacts: _plan(RevisionFacts, _REVISION_TIMES),
    OwnFacts: _plan(OwnFacts, _OWN_TIMES, lines=_freeze_lines, eta_state=str),
    Line: _plan(Line, _LINE_TIMES, level=int, was=int),
}


def _timed(data: dict[str, Any], times: frozenset[str]) -> dict[str, Any]:
    return {k: from_micros(v) if k in times else v for k, v in data.items()}
