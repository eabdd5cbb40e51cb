"""What one revision must say to one address, and why: the heart of the product.

`plan()` compares what *is* (the open impacts of the things the address hears about) with what it *was told* (its leads)
and answers with utterances and the new leads. It holds rules 5, 6, 12, 14, 15 and 16: the first outage that tells an
address of a thing leads; a later one speaks only where it makes things worse; whoever leads says what got better, and
the end goes to whoever was acknowledged. Because it compares states, saying it twice says nothing new.
"""

from collections.abc import Iterable, Mapping

from outagecast.domain.facts import Line
from outagecast.domain.leads import News, judge, last_sent, new_leads
from outagecast.domain.levels import Level
from outagecast.domain.notices import (
    NO_HISTORY,
    AddressHistory,
    AddressPlan,
    Lead,
    NoticeKind,
    NoticeReason,
    Role,
    Speaking,
    ThingKey,
    ThingNow,
    Utterance,
)
from outagecast.domain.outage import END_VERBS
from outagecast.domain.utterances import Said, replaces, utter


def plan(
    speaking: Speaking,
    heard: Iterable[tuple[ThingNow, Level]],
    told: Mapping[ThingKey, tuple[Lead, ...]],
    history: Mapping[str, AddressHistory],
) -> AddressPlan:
    """What to say to one address.

    `heard`: every thing it hears about or has leads for, with the level as this address hears it (NO_IMPACT where its
    contacts do not want to know). `told`: its leads that have not ended, by thing. `history`: by outage.
    """
    leads: list[Lead] = []
    said: dict[str, list[Said]] = {}
    covered = False
    down: set[ThingKey] = set()
    stale: dict[str, set[News]] = {}
    unsaid = {outage_id: {_key_of(line): line for line in past.unsaid} for outage_id, past in history.items()}
    for thing, level in heard:
        prior = told.get(thing.key, ())
        leader = next((lead for lead in prior if lead.role is Role.LEADS), None)
        speaker, news = judge(speaking.outage_id, thing, level, leader)
        if speaker:
            sent = last_sent(thing.key, leader, history, unsaid)
            said.setdefault(speaker, []).append(_said(speaking, thing, level, leader, news, sent))
        if level is not Level.NO_IMPACT:
            down.add(thing.key)
        if leader is not None and speaker != leader.outage_id and thing.key in unsaid.get(leader.outage_id, {}):
            stale.setdefault(leader.outage_id, set()).add(news)
        changes = new_leads(speaking.outage_id, thing, level, leader, prior, speaker, news)
        leads.extend(changes)
        covered = covered or any(c.role is Role.COVERED and c.outage_id == speaking.outage_id for c in changes)
    ended_cover = speaking.verb in END_VERBS and any(
        lead.outage_id == speaking.outage_id and lead.role is Role.COVERED for prior in told.values() for lead in prior
    )
    for outage_id, lines in unsaid.items():
        if outage_id in stale or replaces(speaking, outage_id, said.get(outage_id, [])):
            own = said.setdefault(outage_id, [])
            own.extend(_unsaid_ends(lines, own, down))
    utterances = [
        utterance
        for outage_id in sorted(said.keys() | stale.keys(), key=lambda o: (o != speaking.outage_id, o))
        if (
            utterance := utter(
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


def _said(
    speaking: Speaking, thing: ThingNow, level: Level, leader: Lead | None, news: News, sent: Level | None
) -> Said:
    back = news is News.BACK
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
    return Said(news=news, line=line, known=sent is not None)


def _unsaid_ends(lines: Mapping[ThingKey, Line], said: list[Said], down: set[ThingKey]) -> list[Said]:
    """The ends that wait to leave and would be lost with the message that said them. What is down again has no end."""
    spoken = down | {_key_of(s.line) for s in said}
    return [
        Said(news=News.BACK, line=line, known=line.was is not None)
        for key, line in lines.items()
        if line.level is Level.NO_IMPACT and key not in spoken
    ]


def _key_of(line: Line) -> ThingKey:
    return ThingKey(line.kind, line.id, line.customer_id)


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
