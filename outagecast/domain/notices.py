"""The nouns of planning: what is, what was told, what is to be said; `plan.py` decides with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from outagecast.domain.facts import EtaState, Line
from outagecast.domain.levels import Level
from outagecast.domain.outage import Verb


class NoticeKind(StrEnum):
    ACKNOWLEDGEMENT = "acknowledgement"
    ETA = "eta"
    UPDATE = "update"
    HOLDING = "holding"
    RESOLUTION = "resolution"
    RETRACTION = "retraction"
    FOLLOW_UP = "follow_up"


END_KINDS = frozenset({NoticeKind.RESOLUTION, NoticeKind.RETRACTION})


class NoticeReason(StrEnum):
    """Why this address is told this."""

    NEWLY_TOUCHED = "newly_touched"
    NOT_YET_TOLD = "not_yet_told"
    MADE_WORSE = "made_worse"
    BETTER = "better"
    RESTORED = "restored"
    ENDED = "ended"
    LEAD_PASSED = "lead_passed"
    ETA_CHANGED = "eta_changed"
    WORD_FROM_THE_DESK = "word_from_the_desk"
    PROMISE_DUE = "promise_due"
    COVERED = "covered"
    LATE = "late"
    """The end comes before the acknowledgement left."""


class Role(StrEnum):
    """What an outage is for an address and a thing."""

    LEADS = "leads"
    COVERED = "covered"
    ENDED = "ended"


class ThingKey(NamedTuple):
    kind: str
    id: str
    customer_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ThingNow:
    """A circuit or service as it is after this revision. `touching`: the open outages that touch it, the first first.

    `level` is the union's, NO_IMPACT when nothing touches it; `since` when the present trouble began.
    """

    key: ThingKey
    customer: str
    label: str
    place: str
    service: str
    level: Level
    touching: tuple[str, ...]
    since: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Lead:
    """One outage's standing with one address about one thing; `level` is the last one told."""

    outage_id: str
    key: ThingKey
    role: Role
    level: Level
    since: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class AddressHistory:
    """What one outage's episode has sent to one address so far.

    `acked`: an acknowledgement has started to leave, or was COVERED. `left`: anything has started to leave. `waiting`:
    the kinds planned but not left, FAILED acknowledgements included; `blocked`: its acknowledgement is SUPPRESSED for a
    reason of the address. `eta` is the ETA last sent, meaningful when `left`. `unsaid`: the lines of what is planned
    and has not left, the newest for each thing: a newer message takes its place and has to say them as well. Those of a
    combined end come without `was`, because that address was told nothing before.
    """

    acked: bool = False
    left: bool = False
    waiting: frozenset[NoticeKind] = frozenset()
    blocked: bool = False
    eta: datetime | None = None
    unsaid: tuple[Line, ...] = ()

    @property
    def reached(self) -> bool:
        """The address knows of this outage: COVERED counts as long as nothing of its own waits."""
        return self.left or (self.acked and not self.waiting)


NO_HISTORY = AddressHistory()


@dataclass(frozen=True, kw_only=True, slots=True)
class Speaking:
    """The revision that is planned: whose, which verb, and whether it has a word for everybody it leads."""

    outage_id: str
    verb: Verb
    at: datetime
    to_all: bool
    never: bool = False
    """What is better was never down (retraction, scope taken back)."""
    back_at: datetime
    combine_late: bool = True
    etas: Mapping[str, datetime | None]
    """The present ETA of every open outage."""
    eta_passed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Utterance:
    """One thing to be said to the address. `covered` and `late` are rows that say nothing, with their reason."""

    outage_id: str
    kind: NoticeKind
    reason: NoticeReason
    lines: tuple[Line, ...]
    eta_state: EtaState = EtaState.NONE
    was_eta: datetime | None = None
    first: bool = False
    combined: bool = False
    repaired_at: datetime | None = None
    silent: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class AddressPlan:
    utterances: tuple[Utterance, ...]
    leads: tuple[Lead, ...]
