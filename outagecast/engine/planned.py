"""One revision about to be said, and what planning makes of it: the values that the rooms of planning pass on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from outagecast.domain.facts import RevisionFacts
from outagecast.domain.notices import NoticeKind, Speaking, Utterance


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherVoice:
    """Another open outage that may have to speak because of this revision."""

    outage_id: str
    episode: int
    severity: str
    eta: datetime | None
    promise: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Speech:
    """One revision about to be said, and what its messages promise."""

    speaking: Speaking
    episode: int
    revision: int
    severity: str
    promise: datetime | None
    slow: bool
    carried: str
    others: Mapping[str, OtherVoice]

    @property
    def episodes(self) -> dict[str, int]:
        return {self.speaking.outage_id: self.episode} | {o: v.episode for o, v in self.others.items()}


@dataclass(kw_only=True, slots=True)
class Said:
    """What a speech came to so far. `voices`: the revision number under which each other outage spoke."""

    voices: dict[str, int] = field(default_factory=dict)
    newly_told: set[str] = field(default_factory=set)
    rows: int = 0
    in_wave: bool = False
    """Too many for one transaction: chunks follow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRow:
    """An outbox row before its revision number is known (another outage's voice gets its own)."""

    outage_id: str
    values: dict[str, Any]
    customers: tuple[str, ...]
    utterance: Utterance

    @property
    def tells_newly(self) -> bool:
        return self.utterance.kind is NoticeKind.ACKNOWLEDGEMENT and not self.utterance.silent


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    rows: list[PlannedRow]
    leads: list[dict[str, Any]]


def other_voices(rows: Iterable[Any]) -> dict[str, OtherVoice]:
    """The voices of these open outages, by their rows."""
    return {
        row.id: OtherVoice(
            outage_id=row.id, episode=row.episode, severity=row.severity, eta=row.eta, promise=row.next_update_by
        )
        for row in rows
    }


def revision_facts(row: Any, number: int, *, said_at: datetime, **more: Any) -> RevisionFacts:
    """What a revision says to all, from the outage's row as it is now."""
    return RevisionFacts(
        outage_id=row.id,
        episode=row.episode,
        revision=number,
        said_at=said_at,
        title=row.title,
        severity=row.severity,
        status=row.status,
        effect=row.effect,
        cause=row.cause,
        started_at=row.started_at,
        eta=row.eta,
        at_risk_until=row.at_risk_until,
        reopened=row.episode > 1,
        **more,
    )
