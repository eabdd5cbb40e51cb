"""What reports read of outages: which there were, what took effect, whom they touched and for how long. Set-based, in
SQL that every database knows; what was told is in views_told.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, case, func, literal, or_, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.facts import from_micros, to_micros
from outagecast.domain.levels import Level
from outagecast.domain.outage import END_VERBS, OutageStatus, RevisionState, Severity, Verb
from outagecast.domain.report import Said
from outagecast.storage.batches import chunks
from outagecast.storage.tables import impacts, outages, revisions, timeline


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """An outage as a report names it. `declared_at`: when its declaration took effect."""

    id: str
    title: str
    status: OutageStatus
    severity: Severity
    cause: str
    cause_code: str
    episode: int
    started_at: datetime
    declared_at: datetime
    ended_at: datetime | None
    eta_slips: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Suffered:
    """Whom an outage touched and for how long. `customer_time` adds up each customer's time with something out or
    degraded, hours that two of his lines share counted once; REDUCED_REDUNDANCY is no time lost.
    """

    customers: int = 0
    things: int = 0
    customer_time: timedelta = timedelta(0)


async def heads(conn: AsyncConnection, ids: Sequence[str]) -> list[Head]:
    """Those of these outages whose declaration took effect, the first declared first."""
    found: list[Head] = []
    for part in chunks(ids):
        found += await _heads(conn, outages.c.id.in_(part))
    return sorted(found, key=lambda head: (head.declared_at, head.id))


async def declared_between(conn: AsyncConnection, start: datetime, end: datetime) -> list[Head]:
    """The outages whose declaration took effect in [start, end), the first declared first."""
    # From the revisions' index on effective_at: months of quiet cost nothing.
    declared = select(revisions.c.outage_id).where(
        revisions.c.verb == Verb.DECLARE.value,
        revisions.c.state == RevisionState.EFFECTIVE.value,
        revisions.c.effective_at >= start,
        revisions.c.effective_at < end,
    )
    found = await _heads(conn, outages.c.id.in_(declared))
    return sorted(found, key=lambda head: (head.declared_at, head.id))


async def first_declared(conn: AsyncConnection) -> datetime | None:
    """When the very first declaration took effect: where the months begin."""
    query = select(func.min(revisions.c.effective_at)).where(
        revisions.c.verb == Verb.DECLARE.value, revisions.c.state == RevisionState.EFFECTIVE.value
    )
    found: datetime | None = (await conn.execute(query)).scalar()
    return found


async def said(
    conn: AsyncConnection, ids: Sequence[str]
) -> tuple[dict[str, list[Said]], dict[str, dict[int, datetime]]]:
    """What took effect, by outage in order; and by outage and episode when it was over."""
    words: dict[str, list[Said]] = {}
    ends: dict[str, dict[int, datetime]] = {}
    for part in chunks(ids):
        r = revisions.c
        query = (
            select(r.outage_id, r.number, r.episode, r.verb, r.effective_at, r.actor, r.next_update_by, r.facts)
            .where(r.outage_id.in_(part), r.state == RevisionState.EFFECTIVE.value, r.facts.is_not(None))
            .order_by(r.outage_id, r.number)
        )
        for row in await conn.execute(query):
            words.setdefault(row.outage_id, []).append(_said(row))
            if Verb(row.verb) in END_VERBS:
                over = row.facts.get("ended_at")
                ends.setdefault(row.outage_id, {})[row.episode] = from_micros(over) if over else row.effective_at
    return words, ends


async def suffered(conn: AsyncConnection, ids: Sequence[str], now: datetime) -> dict[str, Suffered]:
    """By outage, over all its episodes; what lasts is counted up to `now`. Nobody touched: left out."""
    found: dict[str, Suffered] = {}
    for part in chunks(ids):
        lost = await _lost_time(conn, part, now)
        query = (
            select(
                impacts.c.outage_id,
                func.count(impacts.c.customer_id.distinct()).label("customers"),
                func.count((impacts.c.thing_kind + ":" + impacts.c.thing_id).distinct()).label("things"),
            )
            .where(impacts.c.outage_id.in_(part), impacts.c.level > int(Level.NO_IMPACT))
            .group_by(impacts.c.outage_id)
        )
        for row in await conn.execute(query):
            found[row.outage_id] = Suffered(
                customers=row.customers, things=row.things, customer_time=lost.get(row.outage_id, timedelta(0))
            )
    return found


async def asked(conn: AsyncConnection, ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """How often staff were asked or alarmed, by outage and by what for."""
    query = (
        select(timeline.c.outage_id, timeline.c.why, func.count().label("n"))
        .where(timeline.c.outage_id.in_(ids), timeline.c.what == "asked")
        .group_by(timeline.c.outage_id, timeline.c.why)
    )
    out: dict[str, dict[str, int]] = {}
    for row in await conn.execute(query):
        out.setdefault(row.outage_id, {})[row.why] = row.n
    return out


# --- below ---


async def _heads(conn: AsyncConnection, which: ColumnElement[bool]) -> list[Head]:
    r = revisions.c
    declared = (
        select(r.outage_id, func.min(r.effective_at).label("declared_at"))
        .where(r.verb == Verb.DECLARE.value, r.state == RevisionState.EFFECTIVE.value)
        .group_by(r.outage_id)
        .subquery()
    )
    names = [name for name in Head.__dataclass_fields__ if name != "declared_at"]
    query = (
        select(*(outages.c[name] for name in names), declared.c.declared_at)
        .join(declared, declared.c.outage_id == outages.c.id)
        .where(which, outages.c.public)
    )
    return [
        Head(**dict(row) | {"status": OutageStatus(row["status"]), "severity": Severity(row["severity"])})
        for row in (await conn.execute(query)).mappings()
    ]


def _said(row: Any) -> Said:
    eta = row.facts.get("eta")
    return Said(
        number=row.number,
        episode=row.episode,
        verb=Verb(row.verb),
        at=row.effective_at,
        actor=row.actor,
        promise=row.next_update_by,
        eta=from_micros(eta) if eta is not None else None,
    )


async def _lost_time(conn: AsyncConnection, ids: Sequence[str], now: datetime) -> dict[str, timedelta]:
    """Each customer's intervals joined: an interval adds only what lies after all that began before it."""
    i = impacts.c
    began = type_coerce(i.from_at, BigInteger)
    ended = func.coalesce(type_coerce(i.to_at, BigInteger), literal(to_micros(now), BigInteger))
    spans = (
        select(
            i.outage_id, began.label("began"), ended.label("ended"),
            func.max(ended)
            .over(partition_by=(i.outage_id, i.customer_id), order_by=(began, i.id), rows=(None, -1))
            .label("covered"),
        )
        .where(i.outage_id.in_(ids), i.level >= int(Level.DEGRADED))
        .subquery()
    )  # fmt: skip
    s = spans.c
    adds = case(
        (or_(s.covered.is_(None), s.began >= s.covered), s.ended - s.began),
        (s.ended > s.covered, s.ended - s.covered),
        else_=0,
    )
    query = select(s.outage_id, func.sum(adds).label("micros")).group_by(s.outage_id)
    return {row.outage_id: timedelta(microseconds=int(row.micros or 0)) for row in await conn.execute(query)}
