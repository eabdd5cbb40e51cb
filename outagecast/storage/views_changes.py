"""What happened to one outage: since somebody looked, by whom, beside which other outages; a timeline with filters."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.levels import Level
from outagecast.domain.notices import Role
from outagecast.storage.tables import (
    circuits,
    elements,
    impacts,
    leads,
    outages,
    revisions,
    sites,
    staff,
    texts,
    timeline,
)
from outagecast.storage.views import TimelineView


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """Another open outage that touches things of this one. `theirs`: customers here whom it leads, `ours`: customers of
    both whom this one leads.
    """

    outage_id: str
    title: str
    theirs: int
    ours: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Branch:
    """What is down at one site: circuits and customers, and how badly off the worst of them is."""

    site_id: str
    name: str
    level: Level
    circuits: int
    customers: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Which lines of a timeline are wanted; "" is all. `actor` is a name."""

    what: str = ""
    actor: str = ""


async def since(conn: AsyncConnection, outage_id: str, revision: int) -> list[TimelineView]:
    """The lines of every revision after this one, the oldest first."""
    return await _lines(
        conn, [timeline.c.outage_id == outage_id, timeline.c.revision > revision], timeline.c.id.asc(), 50
    )


async def verbs_since(conn: AsyncConnection, outage_id: str, revision: int) -> list[str]:
    query = select(revisions.c.verb).where(revisions.c.outage_id == outage_id, revisions.c.number > revision)
    return [row.verb for row in await conn.execute(query)]


async def lines(
    conn: AsyncConnection, outage_id: str, asked: Asked, *, before: int | None = None, limit: int
) -> list[TimelineView]:
    """The newest first, down from before a line's number."""
    where = [timeline.c.outage_id == outage_id]
    if asked.what:
        where.append(timeline.c.what == asked.what)
    if asked.actor:
        where.append(timeline.c.actor == asked.actor)
    if before is not None:
        where.append(timeline.c.id < before)
    return await _lines(conn, where, timeline.c.id.desc(), limit)


async def words_of(conn: AsyncConnection, outage_id: str) -> tuple[list[str], list[str]]:
    """What ever happened to it, and who did something: the choices of the filters."""
    found: list[list[str]] = []
    for column in (timeline.c.what, timeline.c.actor):
        query = select(column).where(timeline.c.outage_id == outage_id).distinct().order_by(column)
        found.append([value for (value,) in await conn.execute(query)])
    return found[0], found[1]


async def overlaps(conn: AsyncConnection, outage_id: str) -> list[Overlap]:
    """Open outages that touch the same things as this one, and who speaks of them to whom."""
    mine, other = leads.alias("mine"), leads.alias("other")
    joined = and_(
        other.c.address_id == mine.c.address_id,
        other.c.thing_kind == mine.c.thing_kind,
        other.c.thing_id == mine.c.thing_id,
        other.c.customer_id == mine.c.customer_id,
        other.c.outage_id != mine.c.outage_id,
        other.c.role != Role.ENDED.value,
    )
    query = (
        select(other.c.outage_id, outages.c.title, other.c.role, func.count(mine.c.customer_id.distinct()).label("n"))
        .select_from(mine)
        .join(other, joined)
        .join(outages, and_(outages.c.id == other.c.outage_id, outages.c.episode == other.c.episode))
        .where(
            mine.c.outage_id == outage_id,
            mine.c.episode == select(outages.c.episode).where(outages.c.id == outage_id).scalar_subquery(),
            mine.c.role != Role.ENDED.value,
        )
        .group_by(other.c.outage_id, outages.c.title, other.c.role)
    )
    found: dict[str, dict[str, int]] = {}
    titles: dict[str, str] = {}
    for row in await conn.execute(query):
        found.setdefault(row.outage_id, {})[row.role] = row.n
        titles[row.outage_id] = row.title
    return [
        Overlap(
            outage_id=other_id,
            title=titles[other_id],
            theirs=counts.get(Role.LEADS.value, 0),
            ours=counts.get(Role.COVERED.value, 0),
        )
        for other_id, counts in sorted(found.items())
    ]


async def branches(conn: AsyncConnection, outage_id: str, *, limit: int = 200) -> list[Branch]:
    """The sites with something down because of this outage, the largest first; circuits without a site are left out."""
    query = (
        select(
            circuits.c.site_id,
            sites.c.name,
            func.count(impacts.c.thing_id.distinct()).label("circuits"),
            func.count(impacts.c.customer_id.distinct()).label("customers"),
            func.max(impacts.c.level).label("level"),
        )
        .select_from(impacts)
        .join(circuits, and_(impacts.c.thing_kind == "circuit", circuits.c.id == impacts.c.thing_id))
        .join(sites, sites.c.id == circuits.c.site_id)
        .where(impacts.c.outage_id == outage_id, impacts.c.to_at.is_(None), impacts.c.level > int(Level.NO_IMPACT))
        .group_by(circuits.c.site_id, sites.c.name)
        .order_by(func.count(impacts.c.thing_id.distinct()).desc(), circuits.c.site_id)
        .limit(limit)
    )
    return [
        Branch(
            site_id=row.site_id,
            name=row.name or row.site_id,
            level=Level(row.level),
            circuits=row.circuits,
            customers=row.customers,
        )
        for row in await conn.execute(query)
    ]


async def sites_of(conn: AsyncConnection, element_ids: Sequence[str]) -> dict[str, str]:
    """By element, the site it stands at; those without one are left out."""
    query = select(elements.c.id, elements.c.site_id).where(elements.c.id.in_(element_ids), elements.c.site_id != "")
    return {row.id: row.site_id for row in await conn.execute(query)}


async def zones(conn: AsyncConnection) -> list[str]:
    """The time zones of the sites: those in which the network's people think. Any other is typed behind the time."""
    query = select(sites.c.timezone).where(sites.c.timezone != "").distinct().order_by(sites.c.timezone)
    return [value for (value,) in await conn.execute(query)]


async def colleagues(conn: AsyncConnection) -> list[str]:
    """Staff who may sign in, by name."""
    query = select(staff.c.name).where(staff.c.disabled_at.is_(None)).order_by(staff.c.name)
    return [name for (name,) in await conn.execute(query)]


async def _lines(
    conn: AsyncConnection, where: Sequence[ColumnElement[bool]], order: ColumnElement[int], limit: int
) -> list[TimelineView]:
    query = (
        select(timeline, texts.c.text)
        .outerjoin(texts, texts.c.id == timeline.c.text_id)
        .where(*where)
        .order_by(order)
        .limit(limit)
    )
    names = TimelineView.__dataclass_fields__
    return [TimelineView(**{name: row[name] for name in names}) for row in (await conn.execute(query)).mappings()]
