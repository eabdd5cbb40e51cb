"""What one revision must say to one address, and why: the heart of the product.

`plan()` compares what *is* (the open impacts of the things the address hears about) with what it *was told* (its leads)
and answers with utterances and the new leads. It holds rules 5, 6, 12, 14, 15 and 16: the first outage that tells an
address of a thing leads; a later one speaks only where it makes things worse; whoever leads says what got better, and
the end goes to whoever was acknowledged. Because it compares states, saying it twice says nothing new."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from outagecast.domain.facts import EtaState, Line
from outagecast.domain.levels import Level
from outagecast.domain.outage import END_VERBS, Verb


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

    `level` is the union's, NO_IMPACT when nothing touches it; `since` when the present trouble began."""

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
    combined end come without `was`, because that address was told nothing before."""

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


class _News(StrEnum):
    NEW = "new"
    WORSE = "worse"
    TAKEN_OVER = "taken_over"
    BETTER = "better"
    BACK = "back"
    PASSED = "passed"
    SAME = "same"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Said:
    """A line together with what is new about it. `known`: the address was sent before that this thing is in trouble."""

    news: _News
    line: Line
    known: bool


def plan(
    speaking: Speaking,
    heard: Iterable[tuple[ThingNow, Level]],
    told: Mapping[ThingKey, tuple[Lead, ...]],
    history: Mapping[str, AddressHistory],
) -> AddressPlan:
    """What to say to one address.

    `heard`: every thing it hears about or has leads for, with the level as this address hears it (NO_IMPACT where its
    contacts do not want to know). `told`: its leads that have not ended, by thing. `history`: by outage."""
    leads: list[Lead] = []
    said: dict[str, list[_Said]] = {}
    covered = False
    down: set[ThingKey] = set()
    stale: dict[str, set[_News]] = {}
    unsaid = {outage_id: {_key_of(line): line for line in past.unsaid} for outage_id, past in history.items()}
    for thing, level in heard:
        prior = told.get(thing.key, ())
        leader = next((lead for lead in prior if lead.role is Role.LEADS), None)
        speaker, news = _judge(speaking.outage_id, thing, level, leader)
        if speaker:
            sent = _last_sent(thing.key, leader, history, unsaid)
            said.setdefault(speaker, []).append(_said(speaking, thing, level, leader, news, sent))
        if level is not Level.NO_IMPACT:
            down.add(thing.key)
        if leader is not None and speaker != leader.outage_id and thing.key in unsaid.get(leader.outage_id, {}):
            stale.setdefault(leader.outage_id, set()).add(news)
        changes = _new_leads(speaking.outage_id, thing, level, leader, prior, speaker, news)
        leads.extend(changes)
        covered = covered or any(c.role is Role.COVERED and c.outage_id == speaking.outage_id for c in changes)
    ended_cover = speaking.verb in END_VERBS and any(
        lead.outage_id == speaking.outage_id and lead.role is Role.COVERED for prior in told.values() for lead in prior
    )
    for outage_id, lines in unsaid.items():
        if outage_id in stale or _replaces(speaking, outage_id, said.get(outage_id, [])):
            own = said.setdefault(outage_id, [])
            own.extend(_unsaid_ends(lines, own, down))
    utterances = [
        utterance
        for outage_id in sorted(said.keys() | stale.keys(), key=lambda o: (o != speaking.outage_id, o))
        if (
            utterance := _utter(
                speaking,
                outage_id,
                said.get(outage_id, []),
                history.get(outage_id, NO_HISTORY),
                stale.get(outage_id, set()),
            )
        )
    ]
    if not any(u.outage_id == speaking.outage_id for u in utterances):
        quiet = _covered_row(speaking, covered, ended_cover, history.get(speaking.outage_id, NO_HISTORY))
        utterances.extend(quiet)
    return AddressPlan(utterances=tuple(utterances), leads=tuple(leads))


def _judge(outage_id: str, thing: ThingNow, level: Level, leader: Lead | None) -> tuple[str, _News]:
    """Who speaks of this thing now ("" if nobody), and what is new about it."""
    if leader is None:
        if level is Level.NO_IMPACT or not thing.touching:
            return "", _News.SAME
        return (outage_id if outage_id in thing.touching else thing.touching[0]), _News.NEW
    if level is Level.NO_IMPACT:
        return leader.outage_id, _News.BACK
    if leader.outage_id not in thing.touching:
        return (thing.touching[0] if thing.touching else leader.outage_id), _News.PASSED
    if level > leader.level:
        if leader.outage_id != outage_id and outage_id in thing.touching:
            return outage_id, _News.TAKEN_OVER
        return leader.outage_id, _News.WORSE
    return leader.outage_id, (_News.BETTER if level < leader.level else _News.SAME)


def _new_leads(
    outage_id: str,
    thing: ThingNow,
    level: Level,
    leader: Lead | None,
    prior: tuple[Lead, ...],
    speaker: str,
    news: _News,
) -> list[Lead]:
    """The leads that change: only rows that differ from what is stored."""
    since = leader.since if leader else thing.since
    wanted: dict[str, tuple[Role, Level]] = {}
    for lead in prior:
        ended = level is Level.NO_IMPACT or lead.outage_id not in thing.touching
        wanted[lead.outage_id] = (Role.ENDED, lead.level) if ended else (Role.COVERED, lead.level)
    if level is not Level.NO_IMPACT:
        if outage_id in thing.touching:
            wanted.setdefault(outage_id, (Role.COVERED, level))
        if speaker:
            wanted[speaker] = (Role.LEADS, level)
    before = {lead.outage_id: (lead.role, lead.level) for lead in prior}
    return [
        Lead(outage_id=o, key=thing.key, role=role, level=lead_level, since=since)
        for o, (role, lead_level) in wanted.items()
        if before.get(o) != (role, lead_level)
    ]


def _last_sent(
    key: ThingKey,
    leader: Lead | None,
    history: Mapping[str, AddressHistory],
    unsaid: Mapping[str, Mapping[ThingKey, Line]],
) -> Level | None:
    """The level that this address was last *sent* for a thing, by whichever outage; None if it was sent none."""
    if leader is None:
        ends = (lines[key].was for lines in unsaid.values() if key in lines and lines[key].level is Level.NO_IMPACT)
        return next(ends, None)
    line = unsaid.get(leader.outage_id, {}).get(key)
    if line is not None and line.level is not Level.NO_IMPACT:
        return line.was
    return leader.level if history.get(leader.outage_id, NO_HISTORY).reached else None


def _replaces(speaking: Speaking, outage_id: str, said: list[_Said]) -> bool:
    """Whether what waits of this outage is about to be superseded."""
    own = outage_id == speaking.outage_id
    return (own and speaking.to_all) or any(s.news is not _News.SAME for s in said)


def _unsaid_ends(lines: Mapping[ThingKey, Line], said: list[_Said], down: set[ThingKey]) -> list[_Said]:
    """The ends that wait to leave and would be lost with the message that said them. What is down again has no end."""
    spoken = down | {_key_of(s.line) for s in said}
    return [
        _Said(news=_News.BACK, line=line, known=line.was is not None)
        for key, line in lines.items()
        if line.level is Level.NO_IMPACT and key not in spoken
    ]


def _key_of(line: Line) -> ThingKey:
    return ThingKey(line.kind, line.id, line.customer_id)


def _said(
    speaking: Speaking, thing: ThingNow, level: Level, leader: Lead | None, news: _News, sent: Level | None
) -> _Said:
    back = news is _News.BACK
    line = Line(
        customer_id=thing.key.customer_id,
        customer=thing.customer,
        kind=thing.key.kind,
        id=thing.key.id,
        label=thing.label,
        place=thing.place,
        service=thing.service,
        level=level,
        was=leader.level if leader and back and sent is None else sent,
        since=leader.since if leader else thing.since,
        back_at=speaking.back_at if back and not speaking.never else None,
    )
    return _Said(news=news, line=line, known=sent is not None)


def _utter(
    speaking: Speaking, outage_id: str, said: list[_Said], history: AddressHistory, stale: set[_News]
) -> Utterance | None:
    """`stale`: how others came by things that this outage's waiting message names: something must take its place."""
    own = outage_id == speaking.outage_id
    if not said:
        if not stale or (own and speaking.to_all):
            return None
        return _taken_back(speaking, outage_id, history, covered=_News.TAKEN_OVER in stale)
    news = {s.news for s in said}
    down = any(s.news is not _News.BACK for s in said)
    if not own and news == {_News.SAME} and not stale:
        return None
    if not history.reached:
        return _to_unacknowledged(speaking, outage_id, said, history, down)
    if down and news & {_News.NEW, _News.TAKEN_OVER}:
        reason = NoticeReason.NEWLY_TOUCHED if _News.NEW in news else NoticeReason.MADE_WORSE
        return _compose(speaking, outage_id, NoticeKind.ACKNOWLEDGEMENT, reason, said, history)
    if not stale and not _replaces(speaking, outage_id, said):
        return None
    if any(not s.known and s.news is not _News.BACK for s in said):
        return _compose(speaking, outage_id, NoticeKind.ACKNOWLEDGEMENT, NoticeReason.NOT_YET_TOLD, said, history)
    if not down:
        # Also where another outage led: a thing that never was down for it is not "back" in its thread either.
        never = all(s.line.back_at is None for s in said)
        kind = NoticeKind.RETRACTION if never else NoticeKind.RESOLUTION
        reason = NoticeReason.ENDED if own and speaking.verb in END_VERBS else NoticeReason.RESTORED
        return _compose(speaking, outage_id, kind, reason, said, history)
    return _to_acknowledged(speaking, outage_id, said, history, news, own)


def _to_unacknowledged(
    speaking: Speaking, outage_id: str, said: list[_Said], history: AddressHistory, down: bool
) -> Utterance | None:
    """This outage has told this address nothing yet: what is down is acknowledged with present facts; what ended first
    is told at once. What another outage had told it is down is told to be back, whatever else is to be said."""
    known_back = [s for s in said if s.news is _News.BACK and s.known]
    if down:
        if history.blocked and not history.waiting:
            return None
        still = [s for s in said if s.news is not _News.BACK or s.known]
        worse = any(s.news is _News.TAKEN_OVER and s.known for s in still)
        fresh = any(s.news in (_News.NEW, _News.TAKEN_OVER) and not s.known for s in still)
        reason = (
            NoticeReason.NEWLY_TOUCHED if fresh else NoticeReason.MADE_WORSE if worse else NoticeReason.NOT_YET_TOLD
        )
        return _compose(speaking, outage_id, NoticeKind.ACKNOWLEDGEMENT, reason, still, history)
    own = outage_id == speaking.outage_id
    if known_back:
        return _compose(speaking, outage_id, NoticeKind.RESOLUTION, NoticeReason.LATE, said, history)
    if not history.waiting or (own and speaking.never and speaking.to_all):
        return None
    if speaking.never:
        return _taken_back(speaking, outage_id, history)
    return _compose(
        speaking,
        outage_id,
        NoticeKind.RESOLUTION,
        NoticeReason.LATE,
        said,
        history,
        combined=True,
        silent=not speaking.combine_late,
    )


def _taken_back(speaking: Speaking, outage_id: str, history: AddressHistory, *, covered: bool = False) -> Utterance:
    """A row that says nothing: without it nothing would supersede the message that still waits."""
    kind, reason = NoticeKind.RETRACTION, NoticeReason.LATE
    if covered:
        kind = NoticeKind.UPDATE if history.acked else NoticeKind.ACKNOWLEDGEMENT
        reason = NoticeReason.COVERED
    return _compose(speaking, outage_id, kind, reason, [], history, silent=True)


def _to_acknowledged(
    speaking: Speaking, outage_id: str, said: list[_Said], history: AddressHistory, news: set[_News], own: bool
) -> Utterance | None:
    told_eta = history.eta if history.left else speaking.etas.get(outage_id)
    eta_changed = speaking.etas.get(outage_id) != told_eta
    if _News.PASSED in news:
        repaired = None if speaking.never or speaking.verb is Verb.MERGE else speaking.back_at
        return _compose(
            speaking, outage_id, NoticeKind.UPDATE, NoticeReason.LEAD_PASSED, said, history, repaired_at=repaired
        )
    if news != {_News.SAME}:
        reason = {_News.WORSE: NoticeReason.MADE_WORSE, _News.BACK: NoticeReason.RESTORED}.get(
            next(n for n in (_News.WORSE, _News.BACK, _News.BETTER) if n in news), NoticeReason.BETTER
        )
        kind = NoticeKind.ETA if own and speaking.to_all and eta_changed else NoticeKind.UPDATE
        return _compose(speaking, outage_id, kind, reason, said, history)
    if eta_changed:
        return _compose(speaking, outage_id, NoticeKind.ETA, NoticeReason.ETA_CHANGED, said, history)
    if speaking.verb is Verb.HOLDING:
        return _compose(speaking, outage_id, NoticeKind.HOLDING, NoticeReason.PROMISE_DUE, said, history)
    return _compose(speaking, outage_id, NoticeKind.UPDATE, NoticeReason.WORD_FROM_THE_DESK, said, history)


def _compose(
    speaking: Speaking,
    outage_id: str,
    kind: NoticeKind,
    reason: NoticeReason,
    said: list[_Said],
    history: AddressHistory,
    *,
    combined: bool = False,
    silent: bool = False,
    repaired_at: datetime | None = None,
) -> Utterance:
    # Outside a combined message nothing "was" that this address was never sent.
    told = (s.line if s.known or combined else replace(s.line, was=None) for s in said)
    lines = sorted(told, key=lambda x: (x.customer, x.customer_id, x.place, x.label, x.id))
    eta = speaking.etas.get(outage_id)
    was = history.eta if history.left else None
    return Utterance(
        outage_id=outage_id,
        kind=kind,
        reason=reason,
        lines=tuple(lines),
        eta_state=_eta_state(eta, was, speaking, history),
        was_eta=was if was != eta else None,
        first=not history.left,
        combined=combined,
        silent=silent,
        repaired_at=repaired_at,
    )


def _eta_state(eta: datetime | None, was: datetime | None, speaking: Speaking, history: AddressHistory) -> EtaState:
    if eta is None:
        return EtaState.WITHDRAWN if was is not None else EtaState.NONE
    if eta <= speaking.at:
        return EtaState.PASSED
    return EtaState.CHANGED if was is not None and was != eta else EtaState.SET


def _covered_row(speaking: Speaking, covered: bool, ended_cover: bool, history: AddressHistory) -> list[Utterance]:
    """The row that says nothing and counts as acknowledged (rule 5), or as the end of what was covered."""
    if covered and not history.acked and not history.blocked:
        kind = NoticeKind.ACKNOWLEDGEMENT
    elif ended_cover and history.acked:
        kind = NoticeKind.RETRACTION if speaking.never else NoticeKind.RESOLUTION
    else:
        return []
    row = Utterance(outage_id=speaking.outage_id, kind=kind, reason=NoticeReason.COVERED, lines=(), silent=True)
    return [row]
