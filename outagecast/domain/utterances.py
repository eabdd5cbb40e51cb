"""One outage's word to one address: which kind of notice says what is new, and why."""

from dataclasses import dataclass, replace
from datetime import datetime

from outagecast.domain.facts import EtaState, Line
from outagecast.domain.leads import News
from outagecast.domain.notices import AddressHistory, NoticeKind, NoticeReason, Speaking, Utterance
from outagecast.domain.outage import END_VERBS, Verb


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A line together with what is new about it. `known`: the address was sent before that this thing is in trouble."""

    news: News
    line: Line
    known: bool


def utter(
    speaking: Speaking, outage_id: str, said: list[Said], history: AddressHistory, stale: set[News]
) -> Utterance | None:
    """`stale`: how others came by things that this outage's waiting message names: something must take its place."""
    own = outage_id == speaking.outage_id
    if not said:
        if not stale or (own and speaking.to_all):
            return None
        return _taken_back(speaking, outage_id, history, covered=News.TAKEN_OVER in stale)
    news = {s.news for s in said}
    down = any(s.news is not News.BACK for s in said)
    if not own and news == {News.SAME} and not stale:
        return None
    if not history.reached:
        return _to_unacknowledged(speaking, outage_id, said, history, down)
    if down and news & {News.NEW, News.TAKEN_OVER}:
        reason = NoticeReason.NEWLY_TOUCHED if News.NEW in news else NoticeReason.MADE_WORSE
        return _compose(speaking, outage_id, NoticeKind.ACKNOWLEDGEMENT, reason, said, history)
    if not stale and not replaces(speaking, outage_id, said):
        return None
    if any(not s.known and s.news is not News.BACK for s in said):
        return _compose(speaking, outage_id, NoticeKind.ACKNOWLEDGEMENT, NoticeReason.NOT_YET_TOLD, said, history)
    if not down:
        # Also where another outage led: a thing that never was down for it is not "back" in its thread either.
        never = all(s.line.back_at is None for s in said)
        kind = NoticeKind.RETRACTION if never else NoticeKind.RESOLUTION
        reason = NoticeReason.ENDED if own and speaking.verb in END_VERBS else NoticeReason.RESTORED
        return _compose(speaking, outage_id, kind, reason, said, history)
    return _to_acknowledged(speaking, outage_id, said, history, news, own)


def replaces(speaking: Speaking, outage_id: str, said: list[Said]) -> bool:
    """Whether what waits of this outage is about to be superseded."""
    own = outage_id == speaking.outage_id
    return (own and speaking.to_all) or any(s.news is not News.SAME for s in said)


def _to_unacknowledged(
    speaking: Speaking, outage_id: str, said: list[Said], history: AddressHistory, down: bool
) -> Utterance | None:
    """This outage has told this address nothing yet: what is down is acknowledged with present facts; what ended first
    is told at once. What another outage had told it is down is told to be back, whatever else is to be said.
    """
    known_back = [s for s in said if s.news is News.BACK and s.known]
    if down:
        if history.blocked and not history.waiting:
            return None
        still = [s for s in said if s.news is not News.BACK or s.known]
        worse = any(s.news is News.TAKEN_OVER and s.known for s in still)
        fresh = any(s.news in (News.NEW, News.TAKEN_OVER) and not s.known for s in still)
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
    speaking: Speaking, outage_id: str, said: list[Said], history: AddressHistory, news: set[News], own: bool
) -> Utterance | None:
    told_eta = history.eta if history.left else speaking.etas.get(outage_id)
    eta_changed = speaking.etas.get(outage_id) != told_eta
    if News.PASSED in news:
        repaired = None if speaking.never or speaking.verb is Verb.MERGE else speaking.back_at
        return _compose(
            speaking, outage_id, NoticeKind.UPDATE, NoticeReason.LEAD_PASSED, said, history, repaired_at=repaired
        )
    if news != {News.SAME}:
        reason = {News.WORSE: NoticeReason.MADE_WORSE, News.BACK: NoticeReason.RESTORED}.get(
            next(n for n in (News.WORSE, News.BACK, News.BETTER) if n in news), NoticeReason.BETTER
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
    said: list[Said],
    history: AddressHistory,
    *,
    combined: bool = False,
    silent: bool = False,
    repaired_at: datetime | None = None,
) -> Utterance:
    # Outside a combined message nothing "was" that this address was never sent.
    told = (s.line if s.known or combined or s.line.was is None else replace(s.line, was=None) for s in said)
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
