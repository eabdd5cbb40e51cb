"""Sample facts that walk through every branch of the templates, for the check at start."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from outagecast.domain.facts import EtaState, Line, OwnFacts, RevisionFacts
from outagecast.domain.levels import Level
from outagecast.domain.notices import NoticeKind

_START = datetime(2026, 11, 20, 14, 14, tzinfo=UTC)
_SAID = _START + timedelta(minutes=50)
_ETA = _START + timedelta(hours=6)
_WORDS = "The crew is on site and has found the damaged cable. We lay a new one."
_ENDS = (NoticeKind.RESOLUTION, NoticeKind.RETRACTION, NoticeKind.FOLLOW_UP)
_REVISION = RevisionFacts(
    outage_id="OUT-2026-0001", episode=1, revision=2, said_at=_SAID, title="Fibre cut", severity="major",
    status="identified",    effect="outage", cause="fibre cut", started_at=_START, eta=_ETA,
)  # fmt: skip

Sample = tuple[RevisionFacts, OwnFacts]


def samples() -> Iterator[Sample]:
    """Every kind, with every state of the ETA, one line, several and many, every level, and the rarer turns."""
    for kind in NoticeKind:
        own = _own(kind, _lines(1, kind))
        for eta in EtaState:
            yield _REVISION, replace(own, eta_state=eta, was_eta=_ETA - timedelta(hours=1))
        yield from _by_level(kind)
        for count in (2, 7, 200):
            yield _REVISION, _own(kind, _lines(count, kind))
            yield replace(_REVISION, message=_WORDS), _own(kind, _uneven(count, kind))
        yield replace(_REVISION, message=_WORDS, cause="", status="investigating"), replace(own, name="", first=True)
        yield (
            replace(_REVISION, status="monitoring", message=_WORDS + "\n\n" + _WORDS),
            replace(own, promise=None, slow=True),
        )
        yield replace(_REVISION, reopened=True), replace(own, first=True)
        yield _REVISION, replace(own, repaired_at=_SAID)
        yield _REVISION, replace(own, combined=kind in _ENDS, first=True)
        for reason in ("false_alarm", "not_affected"):
            yield replace(_REVISION, retract_reason=reason), own


def _by_level(kind: NoticeKind) -> Iterator[Sample]:
    for effect, level in (
        ("outage", Level.OUTAGE),
        ("degraded", Level.DEGRADED),
        ("at_risk", Level.REDUCED_REDUNDANCY),
    ):
        for was in (None, *Level):
            line = replace(_lines(1, kind)[0], was=was)
            line = line if kind in _ENDS else replace(line, level=level)
            yield replace(_REVISION, effect=effect, at_risk_until=_ETA), _own(kind, (line,))
    reduced = replace(_lines(1, kind)[0], level=Level.REDUCED_REDUNDANCY, was=None)
    if kind not in _ENDS:
        yield _REVISION, _own(kind, (reduced,))


def _own(kind: NoticeKind, lines: tuple[Line, ...]) -> OwnFacts:
    return OwnFacts(
        kind=kind, name="Maria Gonzales", language="en", zone="America/New_York", lines=lines, eta_state=EtaState.SET,
        promise=_SAID + timedelta(minutes=30), address_ref=1,
    )  # fmt: skip


def _lines(count: int, kind: NoticeKind) -> tuple[Line, ...]:
    over = kind in _ENDS
    return tuple(
        Line(
            customer_id=f"C{n % 3}", customer=f"Customer {n % 3}", kind="circuit", id=f"CIR-{n:04}",
            label=f"Office {n}",            place=f"{n // 4} Mill Street", service="Fiber Internet", since=_START,
            level=Level.NO_IMPACT if over else Level.OUTAGE,
            was=Level.OUTAGE, back_at=_SAID if over and kind is not NoticeKind.RETRACTION else None,
        )
        for n in range(count)
    )  # fmt: skip


def _uneven(count: int, kind: NoticeKind) -> tuple[Line, ...]:
    """Lines of different fates: back, never touched, better, newly touched; without a place; services among them."""
    lines = list(_lines(count, kind))
    lines[0] = replace(lines[0], level=Level.NO_IMPACT, back_at=_SAID - timedelta(minutes=7), place="")
    lines[1] = replace(lines[1], since=_START + timedelta(minutes=3), kind="service")
    if count > 2 and kind not in _ENDS:
        lines[2] = replace(lines[2], level=Level.DEGRADED)
        lines[3] = replace(lines[3], was=None)
        lines[4] = replace(lines[4], level=Level.NO_IMPACT, back_at=None)
    return tuple(lines)
