"""What `doctor` finds: one line for each thing it tried."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It works; somebody should know."""
    PROBLEM = "problem"
    UNKNOWN = "unknown"
    """It could not be found out, which says nothing about it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """`mend` says what to do about it."""

    what: str
    state: State
    detail: str
    mend: str = ""
