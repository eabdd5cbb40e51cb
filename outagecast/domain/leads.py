"""Who leads for an address and a thing, and what is new about it (rules 5 and 6)."""

from collections.abc import Mapping
from enum import StrEnum

from outagecast.domain.facts import Line
from outagecast.domain.levels import Level
from outagecast.domain.notices import NO_HISTORY, AddressHistory, Lead, Role, ThingKey, ThingNow


class News(StrEnum):
    NEW = "new"
    WORSE = "worse"
    TAKEN_OVER = "taken_over"
    BETTER = "better"
    BACK = "back"
    PASSED = "passed"
    SAME = "same"


def judge(outage_id: str, thing: ThingNow, level: Level, leader: Lead | None) -> tuple[str, News]:
    """Who speaks of this thing now ("" if nobody), and what is new about it."""
    if leader is None:
        if level is Level.NO_IMPACT or not thing.touching:
            return "", News.SAME
        return (outage_id if outage_id in thing.touching else thing.touching[0]), News.NEW
    if level is Level.NO_IMPACT:
        return leader.outage_id, News.BACK
    if leader.outage_id not in thing.touching:
        return (thing.touching[0] if thing.touching else leader.outage_id), News.PASSED
    if level > leader.level:
        if leader.outage_id != outage_id and outage_id in thing.touching:
            return outage_id, News.TAKEN_OVER
        return leader.outage_id, News.WORSE
    return leader.outage_id, (News.BETTER if level < leader.level else News.SAME)


def new_leads(
    outage_id: str,
    thing: ThingNow,
    level: Level,
    leader: Lead | None,
    prior: tuple[Lead, ...],
    speaker: str,
    news: News,
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


def last_sent(
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
