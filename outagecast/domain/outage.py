"""The outage, its revisions, and the one table of its transitions."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from outagecast.domain.errors import Conflict
from outagecast.domain.levels import Effect


class OutageStatus(StrEnum):
    DRAFT = "draft"
    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"
    RETRACTED = "retracted"


OPEN = frozenset({OutageStatus.INVESTIGATING, OutageStatus.IDENTIFIED, OutageStatus.MONITORING})
ENDED = frozenset({OutageStatus.RESOLVED, OutageStatus.RETRACTED})
TRANSITIONS: dict[OutageStatus, frozenset[OutageStatus]] = {
    OutageStatus.DRAFT: OPEN | {OutageStatus.RETRACTED},
    **{status: (OPEN - {status}) | ENDED for status in OPEN},
    OutageStatus.RESOLVED: OPEN,
    OutageStatus.RETRACTED: frozenset(),
}


class Severity(StrEnum):
    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"


class Verb(StrEnum):
    """What a revision did. HOLDING and PASS_LEAD are the daemon's own."""

    DECLARE = "declare"
    UPDATE = "update"
    RESTORE = "restore"
    RESOLVE = "resolve"
    REOPEN = "reopen"
    RETRACT = "retract"
    MERGE = "merge"
    HOLDING = "holding"
    PASS_LEAD = "pass_lead"
    """Another outage's change made this one speak: the lead passed here, or its line is better off."""
    REDELIVER = "redeliver"
    """A person had something said (again) to single addresses: a failed message, a shared address once confirmed."""


END_VERBS = frozenset({Verb.RESOLVE, Verb.RETRACT, Verb.MERGE})


class RevisionState(StrEnum):
    PENDING = "pending"
    """Committed, not yet effective: it can be undone."""
    HELD = "held"
    """A brake held it back: a person releases it."""
    EFFECTIVE = "effective"
    UNDONE = "undone"


class RetractReason(StrEnum):
    FALSE_ALARM = "false_alarm"
    NOT_AFFECTED = "not_affected"


class ActorKind(StrEnum):
    STAFF = "staff"
    TOKEN = "token"
    MONITOR = "monitor"
    CLI = "cli"
    DAEMON = "daemon"
    CUSTOMER = "customer"
    PROVIDER = "provider"


class Role(StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"
    INVENTORY = "inventory"


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """Who does it: the name goes to the timeline, the role decides what is allowed.

    `source`: the address it came from, "" where there is none; the same person from elsewhere is the same actor.
    """

    kind: ActorKind
    name: str
    role: Role
    source: str = field(default="", compare=False)


DAEMON = Actor(kind=ActorKind.DAEMON, name="outagecast", role=Role.ADMIN)
"""Who acts when the daemon keeps a promise or lets a revision take effect."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScopeEntry:
    """One thing named in a declaration: kind is element, circuit, service, site, area or customer."""

    kind: str
    id: str
    effect: Effect


SCOPE_KINDS = ("element", "circuit", "service", "site", "area", "customer")
"""In the API and on the desk the plural: `scope.elements` …"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Declaration:
    """What a person or program declares, validated in shape; `undo_for` None takes the cadence's."""

    title: str
    scope: tuple[ScopeEntry, ...]
    effect: Effect = Effect.OUTAGE
    at_risk_until: datetime | None = None
    severity: Severity = Severity.MAJOR
    status: OutageStatus = OutageStatus.INVESTIGATING
    cause: str = ""
    cause_code: str = ""
    message: str = ""
    note: str = ""
    eta: datetime | None = None
    eta_from: datetime | None = None
    next_update_in: float | None = None
    """Seconds; None takes the cadence's."""
    started_at: datetime | None = None
    estimated_customers: int | None = None
    external_ref: str = ""
    owner: str = ""
    release: bool = True


class Keep(StrEnum):
    """Stands for "not mentioned" where None would mean "take it away"."""

    KEEP = "keep"


KEEP = Keep.KEEP


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One update. `eta=None` withdraws the ETA, KEEP leaves it. At most one of scope / scope_add+scope_remove."""

    message: str = ""
    note: str = ""
    status: OutageStatus | None = None
    eta: datetime | Keep | None = KEEP
    eta_from: datetime | Keep | None = KEEP
    cause: str | None = None
    cause_code: str | None = None
    scope: tuple[ScopeEntry, ...] | None = None
    scope_add: tuple[ScopeEntry, ...] = ()
    scope_remove: tuple[ScopeEntry, ...] = ()
    next_update_in: float | None = None
    tell: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Restoration:
    """What is back, and since when."""

    scope: tuple[ScopeEntry, ...]
    restored_at: datetime | None = None
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """Resolve: the cause as known now, when it ended. Retract: why it never was."""

    message: str = ""
    cause: str | None = None
    resolved_at: datetime | None = None
    reason: RetractReason | None = None


def move(current: OutageStatus, to: OutageStatus) -> OutageStatus:
    """The new status if the table allows it; Conflict if not. Staying where one is is always allowed for open
    states.
    """
    if current is to and current in OPEN:
        return to
    if to not in TRANSITIONS[current]:
        raise Conflict(f"an outage that is {current} cannot become {to}")
    return to
