"""What happened to one customer: the outages that touch or touched him and why, and what was said about them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.levels import Level
from outagecast.domain.needs import split_ref
from outagecast.domain.outage import OPEN
from outagecast.storage.tables import (
    contacts,
    customers,
    deliveries,
    elements,
    impacts,
    notices,
    outages,
    services,
    sites,
)

_LEFT = ("transmitting", "accepted", "delivered", "ambiguous")
"""States of messages that left, or may have: what a person may already have read."""
_NAMED = {"element": elements, "site": sites, "service": services, "customer": customers}


@dataclass(frozen=True, kw_only=True, slots=True)
class Touching:
    """One open outage and what it does to one customer: his worst level, since when, the causes of that, nearest
    first.
    """

    id: str
    title: str
    status: str
    level: Level
    since: datetime
    eta: datetime | None
    next_update_by: datetime | None
    things: int
    because: tuple[str, ...]
    hold_reason: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """One outage that touches or touched a customer; `to_at` None while it lasts."""

    id: str
    title: str
    status: str
    level: Level
    from_at: datetime
    to_at: datetime | None
    things: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """One message to one address that speaks of a customer. `at`: when it left, or was to leave."""

    id: int
    outage_id: str
    kind: str
    channel: str
    to: str
    name: str
    state: str
    reason: str | None
    code: str | None
    detail: str | None
    at: datetime
    left: bool
    eta: datetime | None
    promise: datetime | None


async def touching(conn: AsyncConnection, customer_id: str) -> list[Touching]:
    """The open outages that touch a customer now and have taken effect, the worst first."""
    query = (
        select(
            impacts.c.outage_id, impacts.c.level, impacts.c.from_at, impacts.c.because, outages.c.title,
            outages.c.status, outages.c.eta, outages.c.next_update_by, outages.c.hold_reason,
        )
        .join(outages, and_(outages.c.id == impacts.c.outage_id, outages.c.episode == impacts.c.episode))
        .where(
            impacts.c.customer_id == customer_id, impacts.c.to_at.is_(None), impacts.c.level > int(Level.NO_IMPACT),
            outages.c.public, outages.c.status.in_([str(status) for status in OPEN]),
        )
        .order_by(impacts.c.level.desc(), impacts.c.from_at, impacts.c.id)
    )  # fmt: skip
    rows = (await conn.execute(query)).all()
    worst: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for row in rows:
        worst.setdefault(row.outage_id, row)
        counts[row.outage_id] = counts.get(row.outage_id, 0) + 1
    return [
        Touching(
            id=id, title=row.title, status=row.status, level=Level(row.level), since=row.from_at, eta=row.eta,
            next_update_by=row.next_update_by, things=counts[id], because=tuple(row.because or ()),
            hold_reason=row.hold_reason,
        )
        for id, row in worst.items()
    ]  # fmt: skip


async def past_outages(conn: AsyncConnection, customer_id: str, *, limit: int = 20) -> list[Past]:
    """The outages that touch or touched a customer, the newest first, each at his worst."""
    # One that never was is none of his past; one that lasts has an interval without an end.
    lasts = func.max(case((impacts.c.to_at.is_(None), 1), else_=0)).label("lasts")
    query = (
        select(
            outages.c.id, outages.c.title, outages.c.status, func.max(impacts.c.level).label("level"),
            func.min(impacts.c.from_at).label("from_at"), func.max(impacts.c.to_at).label("to_at"), lasts,
            func.count(impacts.c.thing_id.distinct()).label("things"),
        )
        .join(outages, outages.c.id == impacts.c.outage_id)
        .where(impacts.c.customer_id == customer_id, outages.c.status != "retracted")
        .group_by(outages.c.id, outages.c.title, outages.c.status)
        .order_by(func.min(impacts.c.from_at).desc())
        .limit(limit)
    )  # fmt: skip
    return [
        Past(
            id=row.id, title=row.title, status=row.status, level=Level(row.level), from_at=row.from_at,
            to_at=None if row.lasts else row.to_at, things=row.things,
        )
        for row in await conn.execute(query)
    ]  # fmt: skip


async def said_about(
    conn: AsyncConnection, customer_id: str, *, before: int | None = None, limit: int = 10
) -> tuple[list[Said], int | None]:
    """What was said, or was to be said, about a customer to whomever it concerned, the newest first; and the number
    to go on from.
    """
    query = (
        _said()
        .join(notices, notices.c.delivery_id == deliveries.c.id)
        .where(notices.c.customer_id == customer_id, deliveries.c.audience == "customer")
        .order_by(notices.c.delivery_id.desc())
        .limit(limit + 1)
    )
    if before is not None:
        query = query.where(notices.c.delivery_id < before)
    rows = (await conn.execute(query)).mappings().all()
    found = [_one_said(row) for row in rows[:limit]]
    return found, found[-1].id if len(rows) > limit else None


async def last_told(conn: AsyncConnection, customer_id: str, outage_ids: Iterable[str]) -> dict[str, Said]:
    """By outage the last message of its present episode that left and speaks of this customer."""
    query = (
        select(func.max(deliveries.c.id))
        .join(notices, notices.c.delivery_id == deliveries.c.id)
        .join(outages, and_(outages.c.id == deliveries.c.outage_id, outages.c.episode == deliveries.c.episode))
        .where(
            notices.c.customer_id == customer_id, deliveries.c.outage_id.in_(list(outage_ids)),
            deliveries.c.audience == "customer", deliveries.c.state.in_(_LEFT),
        )
        .group_by(deliveries.c.outage_id)
    )  # fmt: skip
    last = list((await conn.execute(query)).scalars())
    rows = (await conn.execute(_said().where(deliveries.c.id.in_(last)))).mappings()
    return {said.outage_id: said for said in map(_one_said, rows)}


async def names_of(conn: AsyncConnection, refs: Iterable[str]) -> dict[str, str]:
    """The names of things by their refs (`element:POP-LEX`); what has none, or is no ref, is left out."""
    ids: dict[str, dict[str, str]] = {}
    for ref in refs:
        kind, thing_id = _split(ref)
        if kind in _NAMED:
            ids.setdefault(kind, {})[thing_id] = ref
    found: dict[str, str] = {}
    for kind, some in ids.items():
        table = _NAMED[kind]
        for id, name in await conn.execute(select(table.c.id, table.c.name).where(table.c.id.in_(list(some)))):
            if name:
                found[some[id]] = name
    return found


def _said() -> Select[Any]:
    return select(deliveries, contacts.c.name.label("contact")).outerjoin(
        contacts, contacts.c.id == deliveries.c.contact_id
    )


def _one_said(row: Any) -> Said:
    same = set(Said.__dataclass_fields__) & set(deliveries.c.keys())
    return Said(
        **{name: row[name] for name in same},
        name=row["contact"] or "",
        at=row["transmitting_at"] or row["ended_at"] or row["due_at"],
        left=row["transmitting_at"] is not None,
    )


def _split(ref: str) -> tuple[str, str]:
    try:
        kind, thing_id = split_ref(ref)
    except ValueError:
        return "element", ref
    return kind.value, thing_id
