"""What everybody may see: public services, and the outages that touch one, once they are effective.

No names of customers, no ids of things.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.levels import Level
from outagecast.domain.outage import ENDED, OPEN, OutageStatus, RevisionState
from outagecast.storage.tables import circuits, impacts, outages, revisions, services, sites, subscriptions
from outagecast.storage.views import in_force, scope_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """One public service in one outage: how badly, how many of its lines of how many, and where."""

    service_id: str
    name: str
    level: Level
    lines: int
    of: int
    areas: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicOutage:
    id: str
    title: str
    status: OutageStatus
    severity: str
    cause: str
    started_at: datetime
    ended_at: datetime | None
    eta: datetime | None
    next_update_by: datetime | None
    shares: tuple[Share, ...]

    @property
    def level(self) -> Level:
        return max((share.level for share in self.shares), default=Level.NO_IMPACT)


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicService:
    id: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicWord:
    """One effective revision: what was said to everybody, and when."""

    number: int
    verb: str
    said_at: datetime
    message: str
    facts: Mapping[str, Any]


async def service_list(conn: AsyncConnection) -> list[PublicService]:
    query = select(services.c.id, services.c.name).where(services.c.public, services.c.status != "ended")
    rows = await conn.execute(query.order_by(services.c.position, services.c.name))
    return [PublicService(id=row.id, name=row.name) for row in rows]


async def open_outages(conn: AsyncConnection) -> list[PublicOutage]:
    """Those that touch a public service, the longest lasting first."""
    live = [str(status) for status in OPEN]
    return await _public(conn, and_(outages.c.status.in_(live)), outages.c.started_at)


async def ended_outages(conn: AsyncConnection, *, since: datetime, limit: int = 100) -> list[PublicOutage]:
    """Those that ended since then, newest first."""
    over = [str(status) for status in ENDED]
    return await _public(
        conn, and_(outages.c.status.in_(over), outages.c.ended_at >= since), outages.c.ended_at.desc(), limit
    )


async def outage(conn: AsyncConnection, outage_id: str) -> PublicOutage | None:
    """None unless it is effective and touches a public service."""
    found = await _public(conn, outages.c.id == outage_id, outages.c.started_at)
    return found[0] if found else None


async def words(conn: AsyncConnection, outage_id: str) -> list[PublicWord]:
    """What was said, newest first. The daemon's own revisions are left out where they say nothing."""
    query = (
        select(revisions)
        .where(revisions.c.outage_id == outage_id, revisions.c.state == str(RevisionState.EFFECTIVE))
        .order_by(revisions.c.number.desc())
    )
    return [
        PublicWord(
            number=row["number"],
            verb=row["verb"],
            said_at=row["effective_at"] or row["created_at"],
            message=row["message"],
            facts=row["facts"] or {},
        )
        for row in (await conn.execute(query)).mappings()
    ]


async def _public(
    conn: AsyncConnection, which: ColumnElement[bool], order: Any, limit: int = 200
) -> list[PublicOutage]:
    query = select(outages).where(outages.c.public, which).order_by(order, outages.c.id).limit(limit)
    rows = (await conn.execute(query)).mappings().all()
    named = {row["id"]: _named_services(row) for row in rows}
    shares = await _shares(conn, [row["id"] for row in rows], named)
    return [
        PublicOutage(
            id=row["id"],
            title=row["title"],
            status=OutageStatus(row["status"]),
            severity=row["severity"],
            cause=row["cause"],
            started_at=row["started_at"],
            ended_at=row["ended_at"],
            eta=row["eta"],
            next_update_by=row["next_update_by"],
            shares=tuple(shares[row["id"]]),
        )
        for row in rows
        if shares.get(row["id"])
    ]


def _named_services(row: Mapping[Any, Any]) -> dict[str, Level]:
    """Services that the scope names: what is down now; once it is over, also what was restored before the end."""
    before = [{**item, "effect": row["effect"]} for item in row["restored"]] if row["ended_at"] is not None else []
    return {entry.id: entry.effect.level for entry in scope_of([*before, *row["scope"]]) if entry.kind == "service"}


async def _shares(
    conn: AsyncConnection, ids: Sequence[str], named: Mapping[str, Mapping[str, Level]]
) -> dict[str, list[Share]]:
    public = {row.id: row for row in await conn.execute(select(services).where(services.c.public))}
    if not public:
        return {}
    lines = await _lines(conn, ids)
    areas = await _areas(conn, ids)
    totals = await _totals(conn, {service for _, service in lines} | {s for ss in named.values() for s in ss})
    out: dict[str, list[Share]] = {}
    for outage_id in ids:
        touched = {service for found, service in lines if found == outage_id} | set(named[outage_id])
        for service_id in sorted(touched & set(public), key=lambda id: (public[id].position, public[id].name)):
            level, n = lines.get((outage_id, service_id), (named[outage_id].get(service_id, Level.OUTAGE), 0))
            share = Share(
                service_id=service_id,
                name=public[service_id].name,
                level=level,
                lines=n,
                of=totals.get(service_id, 0),
                areas=tuple(areas.get((outage_id, service_id), ())),
            )
            out.setdefault(outage_id, []).append(share)
    return out


_SERVICE_OF: ColumnElement[Any] = case(
    (impacts.c.thing_kind == "service", impacts.c.thing_id), else_=circuits.c.service_id
)
"""Once: PostgreSQL knows an expression again in GROUP BY only by the same parameters."""


def _impacts_with_service(*columns: Any, ids: Sequence[str]) -> Any:
    return (
        select(impacts.c.outage_id, _SERVICE_OF.label("service_id"), *columns)
        .join(outages, outages.c.id == impacts.c.outage_id)
        .outerjoin(circuits, and_(impacts.c.thing_kind == "circuit", circuits.c.id == impacts.c.thing_id))
        .join(services, and_(services.c.id == _SERVICE_OF, services.c.public))
        .where(impacts.c.outage_id.in_(ids), in_force(), impacts.c.level >= int(Level.DEGRADED))
    )


async def _lines(conn: AsyncConnection, ids: Sequence[str]) -> dict[tuple[str, str], tuple[Level, int]]:
    thing = impacts.c.thing_kind + ":" + impacts.c.thing_id + ":" + impacts.c.customer_id
    query = _impacts_with_service(
        func.max(impacts.c.level).label("level"), func.count(thing.distinct()).label("n"), ids=ids
    ).group_by(impacts.c.outage_id, _SERVICE_OF)
    return {(row.outage_id, row.service_id): (Level(row.level), row.n) for row in await conn.execute(query)}


async def _areas(conn: AsyncConnection, ids: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    query = (
        _impacts_with_service(sites.c.area, ids=ids)
        .join(sites, sites.c.id == circuits.c.site_id)
        .where(sites.c.area != "")
        .distinct()
        .order_by(sites.c.area)
    )
    out: dict[tuple[str, str], list[str]] = {}
    for row in await conn.execute(query):
        out.setdefault((row.outage_id, row.service_id), []).append(row.area)
    return out


async def _totals(conn: AsyncConnection, ids: Iterable[str]) -> dict[str, int]:
    """How many lines each service has altogether."""
    wanted = sorted(ids)
    out: dict[str, int] = {}
    for table in (circuits, subscriptions):
        query = select(table.c.service_id, func.count()).where(
            table.c.service_id.in_(wanted), table.c.status == "active"
        )
        for service_id, n in await conn.execute(query.group_by(table.c.service_id)):
            out[service_id] = out.get(service_id, 0) + n
    return out
