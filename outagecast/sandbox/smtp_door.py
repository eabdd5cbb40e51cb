"""What comes in through the SMTP port, and what its sessions have in common."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from outagecast.sandbox.faults import FaultBook
from outagecast.sandbox.settings import SandboxSettings
from outagecast.sandbox.wire import FaultyWire


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceivedMail:
    """One mail to one recipient as it came over the wire: `raw` without dot-stuffing, `session` counts connections."""

    session: int
    mail_from: str
    rcpt: str
    parameters: str
    raw: bytes


@dataclass(kw_only=True, slots=True)
class Door:
    """What all sessions of one port share. `taken` gets each mail before the 250 is written; `write` is the log's."""

    settings: SandboxSettings
    faults: FaultBook
    taken: Callable[[ReceivedMail], None]
    write: Callable[[str, Mapping[str, Any]], object]
    sessions: int = 0
    open: set[FaultyWire] = field(default_factory=set)
