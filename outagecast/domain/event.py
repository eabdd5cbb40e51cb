"""What a monitoring system said, in one shape whatever system it was."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from outagecast.domain.outage import Severity

HINT_KINDS = ("circuit", "element", "service", "site", "area", "customer")
"""What a payload may name; each is looked up in the inventory under this kind."""


class EventAction(StrEnum):
    TRIGGER = "trigger"
    ACK = "ack"
    RESOLVE = "resolve"
    NOTE = "note"


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One alert of one monitor. The same `dedup_key` means the same trouble, from its trigger to its resolve.

    `occurred_at` is None where the payload does not say. `hints`: what the payload names, by kind, as it spells it,
    matched against the inventory later. `link` is an http(s) address or "". All text is one line, without control or
    direction characters, and is never a customer's words by itself.
    """

    dedup_key: str
    action: EventAction
    occurred_at: datetime | None = None
    summary: str = ""
    severity: Severity | None = None
    hints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    link: str = ""
