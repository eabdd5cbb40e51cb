"""Which messages of the provider's list are the ones whose POST was never answered."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from outagecast.channels.base import Attempt
from outagecast.channels.sms.receipts import receipt_of
from outagecast.domain.delivery import Receipt

# A record is made while its POST is open. The list's times are whole seconds of another clock; a minute either way
# forgives that, and stays far below the ten minutes after which the same words may be sent once more.
EARLIER = timedelta(seconds=60)
LATER = timedelta(seconds=120)
_TRIAL = "Sent from your Twilio trial account - "


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One outgoing message of the provider's list."""

    sid: str
    body: str
    status: str
    error_code: object
    created_at: datetime


def explain(attempts: Iterable[Attempt], listed: Sequence[Listed]) -> dict[str, Receipt]:
    """Receipts by attempt key, for attempts to one number; every message explains one attempt at most.

    Attempts and messages of the same words are paired in the order of time.
    """
    left = sorted((m for m in listed if receipt_of(None, m.sid, m.status, m.error_code)), key=lambda m: m.created_at)
    found: dict[str, Receipt] = {}
    for attempt in sorted(attempts, key=lambda a: a.started_at):
        match = next((m for m in left if _fits(attempt, m)), None)
        receipt = match and receipt_of(attempt.key, match.sid, match.status, match.error_code)
        if match and receipt:
            found[attempt.key] = receipt
            left.remove(match)
    return found


def _fits(attempt: Attempt, message: Listed) -> bool:
    in_time = attempt.started_at - EARLIER <= message.created_at <= attempt.started_at + LATER
    return in_time and message.body.removeprefix(_TRIAL).strip() == attempt.body.strip()
