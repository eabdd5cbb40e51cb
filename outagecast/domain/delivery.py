"""A delivery's states, what a channel answers, and what follows from the answer.

The one table of transitions is `TRANSITIONS`; storage guards every change of state with it.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class DeliveryState(StrEnum):
    PLANNED = "planned"
    LEASED = "leased"
    TRANSMITTING = "transmitting"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    AMBIGUOUS = "ambiguous"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    CAPPED = "capped"


S = DeliveryState
UNSENT_ENDS = frozenset({S.SUPPRESSED, S.SUPERSEDED, S.EXPIRED, S.CANCELLED, S.CAPPED})
"""The ends without sending, each with its reason on the row."""
LEFT = frozenset({S.TRANSMITTING, S.ACCEPTED, S.DELIVERED, S.UNDELIVERED, S.AMBIGUOUS})
"""States in which the message has started to leave the house, so that the address may have read it."""
TRANSITIONS: dict[DeliveryState, frozenset[DeliveryState]] = {
    S.PLANNED: frozenset({S.LEASED}) | UNSENT_ENDS,
    S.LEASED: frozenset({S.TRANSMITTING, S.PLANNED, S.FAILED}) | UNSENT_ENDS,
    S.TRANSMITTING: frozenset({S.ACCEPTED, S.PLANNED, S.FAILED, S.AMBIGUOUS}),
    S.ACCEPTED: frozenset({S.DELIVERED, S.UNDELIVERED}),
    S.AMBIGUOUS: frozenset({S.ACCEPTED, S.DELIVERED, S.UNDELIVERED, S.PLANNED, S.FAILED}),
    S.DELIVERED: frozenset(),
    S.UNDELIVERED: frozenset(),
    S.FAILED: frozenset(),
    S.SUPPRESSED: frozenset(),
    S.SUPERSEDED: frozenset(),
    S.EXPIRED: frozenset(),
    S.CANCELLED: frozenset(),
    S.CAPPED: frozenset(),
}


class FailureScope(StrEnum):
    """How far a refusal reaches: this message, this address for good, or the whole way out."""

    MESSAGE = "message"
    ADDRESS = "address"
    ROUTE = "route"


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """The next hop has taken responsibility (SMTP 250 after the final dot, Twilio 201)."""

    provider_id: str
    code: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Deferred:
    """Not taken, may be tried again. ROUTE: nobody gets through (connect, login, 429); else this message or address
    only.

    `retry_after` is the provider's own word (Retry-After), when it gave one.
    """

    scope: FailureScope
    code: str
    reason: str
    retry_after: timedelta | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """Refused for good. ADDRESS: dead or opted out, to be suppressed. ROUTE: our account or sender is wrong: staff
    must act.

    `suppress_as` names the SuppressReason when scope is ADDRESS (`opted_out`, `dead_address`).
    """

    scope: FailureScope
    code: str
    reason: str
    suppress_as: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ambiguous:
    """Nobody can know whether it was taken: the final dot or the POST was written and no answer came."""

    code: str
    reason: str


Outcome = Accepted | Deferred | Rejected | Ambiguous


class ReceiptState(StrEnum):
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """The provider's later word on one attempt. `key` is our attempt's id; `provider_id` theirs; either may be
    missing.
    """

    key: str | None
    provider_id: str | None
    state: ReceiptState
    code: str
    suppress_as: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """`delays` from try to try, the last repeats (the long ones also outlast greylisting, RFC 6647 §2.4: 1 to 15
    minutes).

    `probe`: a route that is down is tried this often at the most. `give_up_after` counts from when the row was due.
    """

    delays: tuple[timedelta, ...]
    probe: timedelta
    give_up_after: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class After:
    """The row's next state, and for a retry how long to wait."""

    state: DeliveryState
    wait: timedelta = timedelta(0)


_DONE = After(state=S.ACCEPTED)


def after(
    outcome: Outcome, *, attempt: int, age: timedelta, endless: bool, jitter: float, policy: RetryPolicy
) -> After:
    """What follows from an outcome: done, retry, give up or unknown.

    `attempt` counts tries so far (1 after the first); `age` is the time since the row was first due; `endless` rows (an
    acknowledgement of an open outage) are never given up; `jitter` lies in [0, 1).
    """
    match outcome:
        case Accepted():
            return _DONE
        case Ambiguous():
            return After(state=S.AMBIGUOUS)
        case Rejected(scope=FailureScope.ROUTE) | Deferred(scope=FailureScope.ROUTE):
            delay = policy.probe
        case Rejected():
            return After(state=S.FAILED)
        case Deferred():
            delay = policy.delays[min(attempt, len(policy.delays)) - 1]
    if isinstance(outcome, Deferred):
        delay = max(delay, outcome.retry_after or timedelta(0))
    if not endless and age + delay > policy.give_up_after:
        return After(state=S.FAILED)
    return After(state=S.PLANNED, wait=delay * (1 + jitter / 4))
