"""Lines by their place. Circuits behind the same need, service and site, and the subscriptions to a service, are
equally badly off: what touches very many is judged once for each place, and their impacts are written where they lie,
so that nothing of it passes through this process line by line.

Lines that something sets apart are judged one by one instead: those a scope names, and those with an impact already.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Insert,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    literal,
    not_,
    null,
    or_,
    select,
    union,
    union_all,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.message import ChannelName
from outagecast.domain.notices import ThingKey
from outagecast.storage.batches import among, listed, within
from outagecast.storage.driver import execute_many
from outagecast.storage.planning_hearers import contact_column
from outagecast.storage.planning_things import ACTIVE, Touchable
from outagecast.storage.reached import hearing
from outagecast.storage.tables import circuits, customers, impacts, subscriptions
from outagecast.storage.types import Json, compact


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """`kind` circuit or service. `site_id` only where a scope names the site."""

    kind: str
    need_id: int | None
    service_id: str | None
    site_id: str | None

    @property
    def line(self) -> Touchable:
        """Any line of this place."""
        key = ThingKey(self.kind, self.service_id or "" if self.kind == "service" else "", "")
        return Touchable(key=key, need_id=self.need_id, service_id=self.service_id, site_id=self.site_id)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """The lines that a change may touch by their needs, services or sites. `circuits` and `customers` are named by some
    scope: theirs are judged one by one, as is what an outage of `beside` touches already. `sites`: all that are named.
    """

    need_ids: Sequence[int]
    service_ids: Sequence[str]
    site_ids: Sequence[str]
    circuits: Collection[str]
    customers: Collection[str]
    sites: Collection[str]
    beside: Collection[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """Impacts to open for all lines of a place that have none yet."""

    place: Place
    outage_id: str
    episode: int
    level: int
    from_at: datetime
    because: tuple[str, ...]


async def places(conn: AsyncConnection, bounds: Bounds) -> list[Place]:
    """Where there are active circuits and subscriptions, whatever their customers' state."""
    found: dict[Place, None] = {}
    site = case((among(circuits.c.site_id, bounds.sites), circuits.c.site_id)) if bounds.sites else null()
    for arm in _circuit_arms(bounds):
        # DISTINCT remembers the places, where GROUP BY would sort all lines in memory.
        query = select(circuits.c.need_id, circuits.c.service_id, site.label("named")).where(
            arm, circuits.c.status == ACTIVE
        )
        for need_id, service_id, site_id in await conn.execute(query.distinct()):
            found[Place(kind="circuit", need_id=need_id, service_id=service_id, site_id=site_id)] = None
    if bounds.service_ids:
        subscribed = select(subscriptions.c.service_id).where(
            among(subscriptions.c.service_id, bounds.service_ids), subscriptions.c.status == ACTIVE
        )
        for (service_id,) in await conn.execute(subscribed.distinct()):
            found[Place(kind="service", need_id=None, service_id=service_id, site_id=None)] = None
    return list(found)


async def are_many(conn: AsyncConnection, bounds: Bounds, how_many: int) -> bool:
    """Whether there are at least so many circuits and subscriptions within reach, some perhaps counted twice."""
    arms = [select(literal(1)).select_from(circuits).where(arm) for arm in _circuit_arms(bounds)]
    if bounds.service_ids:
        within_reach = among(subscriptions.c.service_id, bounds.service_ids)
        arms.append(select(literal(1)).select_from(subscriptions).where(within_reach))
    if not arms:
        return False
    some = union_all(*arms).limit(how_many).subquery()
    return int((await conn.execute(select(func.count()).select_from(some))).scalar_one()) >= how_many


async def set_apart(conn: AsyncConnection, bounds: Bounds) -> dict[ThingKey, Touchable]:
    """The lines within reach that have an impact already: they are judged one by one."""
    found: dict[ThingKey, Touchable] = {}
    if not bounds.beside:
        return found
    held = and_(impacts.c.to_at.is_(None), among(impacts.c.outage_id, bounds.beside))
    for arm in _circuit_arms(bounds):
        query = (
            select(circuits.c.id, circuits.c.customer_id, circuits.c.need_id, circuits.c.service_id, circuits.c.site_id)
            .join(customers, customers.c.id == circuits.c.customer_id)
            .where(arm, circuits.c.status == ACTIVE, customers.c.status == ACTIVE, exists(_held_circuit(held)))
        )
        for row in await conn.execute(query):
            key = ThingKey("circuit", row.id, row.customer_id)
            found[key] = Touchable(key=key, need_id=row.need_id, service_id=row.service_id, site_id=row.site_id)
    if bounds.service_ids:
        subscribed = (
            select(subscriptions.c.service_id, subscriptions.c.customer_id)
            .join(customers, customers.c.id == subscriptions.c.customer_id)
            .where(
                among(subscriptions.c.service_id, bounds.service_ids),
                subscriptions.c.status == ACTIVE,
                customers.c.status == ACTIVE,
                exists(_held_subscription(held)),
            )
        )
        for one in await conn.execute(subscribed):
            key = ThingKey("service", one.service_id, one.customer_id)
            found[key] = Touchable(key=key, need_id=None, service_id=one.service_id, site_id=None)
    return found


async def customers_within(conn: AsyncConnection, bounds: Bounds, others: Iterable[str]) -> int:
    """How many customers have a line within reach that has no impact yet, these others included."""
    found = _customers_within(bounds, others).subquery()
    return int((await conn.execute(select(func.count()).select_from(found))).scalar_one())


async def addresses_within(conn: AsyncConnection, bounds: Bounds, others: Iterable[str], channel: ChannelName) -> int:
    """How many addresses of a channel hear for these customers."""
    found = _customers_within(bounds, others).subquery("found")
    its = customers.c.id == found.c.customer_id
    query = select(func.count()).select_from(union(*hearing(contact_column(channel), found, its)).subquery())
    return int((await conn.execute(query)).scalar_one())


def _customers_within(bounds: Bounds, others: Iterable[str]) -> Any:
    unheld = and_(impacts.c.to_at.is_(None), among(impacts.c.outage_id, bounds.beside)) if bounds.beside else None
    parts: list[Select[Any]] = []
    for arm in _circuit_arms(bounds):
        where = [arm, circuits.c.status == ACTIVE, customers.c.status == ACTIVE]
        where += [not_(among(circuits.c.id, bounds.circuits))] if bounds.circuits else []
        where += [not_(exists(_held_circuit(unheld)))] if unheld is not None else []
        parts.append(_of_customers(circuits, where, bounds))
    if bounds.service_ids:
        where = [
            among(subscriptions.c.service_id, bounds.service_ids),
            subscriptions.c.status == ACTIVE,
            customers.c.status == ACTIVE,
        ]
        where += [not_(exists(_held_subscription(unheld)))] if unheld is not None else []
        parts.append(_of_customers(subscriptions, where, bounds))
    parts.append(select(customers.c.id.label("customer_id")).where(among(customers.c.id, list(others))))
    return union(*parts)


async def open_impacts(conn: AsyncConnection, bounds: Bounds, openings: Sequence[Opening]) -> None:
    """Open them, each for every line of its place that is not set apart. To be called before anything else of the
    change is written, so that all that is set apart still is.
    """
    last = await last_impact(conn)
    apart = {
        "apart_circuits": listed(conn.dialect, bounds.circuits),
        "apart_customers": listed(conn.dialect, bounds.customers),
        "named_sites": listed(conn.dialect, bounds.sites),
        "beside": listed(conn.dialect, bounds.beside),
        "last": last,
    }
    by_statement: dict[Insert, list[dict[str, Any]]] = {}
    for opening in openings:
        place = opening.place
        known = tuple(value is not None for value in (place.need_id, place.service_id, place.site_id))
        statement = (
            _open_circuits(known, bool(bounds.sites), bool(bounds.beside))
            if place.kind == "circuit"
            else _open_subscriptions(bool(bounds.beside))
        )
        by_statement.setdefault(statement, []).append(
            apart
            | {
                "opened_outage": opening.outage_id,
                "opened_episode": opening.episode,
                "opened_level": opening.level,
                "since": opening.from_at,
                "causes": compact(list(opening.because)),
                "need": place.need_id,
                "service": place.service_id,
                "site": place.site_id,
            }
        )
    for statement, rows in by_statement.items():
        await execute_many(conn, statement, rows)


async def has_many_impacts(conn: AsyncConnection, outage_id: str, how_many: int) -> bool:
    """Whether an outage touches at least so many lines now."""
    some = select(impacts.c.id).where(impacts.c.outage_id == outage_id, impacts.c.to_at.is_(None)).limit(how_many)
    return int((await conn.execute(select(func.count()).select_from(some.subquery()))).scalar_one()) >= how_many


async def held_twice(conn: AsyncConnection, outage_id: str, others: Sequence[str]) -> set[ThingKey]:
    """The lines that an outage and one of these others touch now."""
    if not others:
        return set()
    other = impacts.alias()
    query = (
        select(impacts.c.thing_kind, impacts.c.thing_id, impacts.c.customer_id)
        .join(
            other,
            and_(
                other.c.thing_id == impacts.c.thing_id,
                other.c.thing_kind == impacts.c.thing_kind,
                other.c.customer_id == impacts.c.customer_id,
            ),
        )
        .where(
            impacts.c.outage_id == outage_id,
            impacts.c.to_at.is_(None),
            other.c.to_at.is_(None),
            among(other.c.outage_id, others),
        )
    )
    return {ThingKey(*row) for row in await conn.execute(query)}


async def close_all(conn: AsyncConnection, outage_id: str, *, back_at: datetime, now: datetime) -> None:
    """End whatever an outage still touches; not before it began."""
    back = literal(min(back_at, now), type_=impacts.c.to_at.type)
    to_at = case((impacts.c.from_at > back, impacts.c.from_at), else_=back)
    query = update(impacts).where(impacts.c.outage_id == outage_id, impacts.c.to_at.is_(None)).values(to_at=to_at)
    await conn.execute(query)


async def last_impact(conn: AsyncConnection) -> int:
    """The number of the newest impact."""
    return int((await conn.execute(select(func.coalesce(func.max(impacts.c.id), 0)))).scalar_one())


_OPENED = ("outage_id", "episode", "thing_kind", "thing_id", "customer_id", "level", "from_at", "because")


@lru_cache(maxsize=32)
def _open_circuits(known: tuple[bool, bool, bool], any_site: bool, beside: bool) -> Insert:
    """`known`: which of need, service and site the place has. `any_site`: some scope names sites."""
    columns = (circuits.c.need_id, circuits.c.service_id, circuits.c.site_id)
    where: list[ColumnElement[bool]] = []
    for column, name, given in zip(columns, ("need", "service", "site"), known, strict=True):
        if given:
            where.append(column == bindparam(name, type_=column.type))
        elif column is not circuits.c.site_id:
            where.append(column.is_(None))
        elif any_site:
            where.append(or_(column.is_(None), not_(within(column, "named_sites"))))
    where += [circuits.c.status == ACTIVE, not_(within(circuits.c.id, "apart_circuits"))]
    if beside:
        where.append(not_(exists(_held_circuit(_held_before()))))
    return _opening(circuits, "circuit", circuits.c.id, where)


@lru_cache(maxsize=2)
def _open_subscriptions(beside: bool) -> Insert:
    of_service = subscriptions.c.service_id == bindparam("service", type_=subscriptions.c.service_id.type)
    where = [of_service, subscriptions.c.status == ACTIVE]
    if beside:
        where.append(not_(exists(_held_subscription(_held_before()))))
    return _opening(subscriptions, "service", subscriptions.c.service_id, where)


def _opening(table: Any, kind: str, thing_id: ColumnElement[str], where: Sequence[ColumnElement[bool]]) -> Insert:
    lines = (
        select(
            bindparam("opened_outage", type_=impacts.c.outage_id.type),
            bindparam("opened_episode", type_=impacts.c.episode.type),
            literal(kind),
            thing_id,
            table.c.customer_id,
            bindparam("opened_level", type_=impacts.c.level.type),
            bindparam("since", type_=impacts.c.from_at.type),
            bindparam("causes", type_=Json),
        )
        .join_from(table, customers, customers.c.id == table.c.customer_id)
        .where(*where, customers.c.status == ACTIVE, not_(within(table.c.customer_id, "apart_customers")))
    )
    return insert(impacts).from_select(list(_OPENED), lines)


def _circuit_arms(bounds: Bounds) -> list[ColumnElement[bool]]:
    """By what circuits are within reach; one may be so in several ways."""
    arms: list[tuple[ColumnElement[Any], Sequence[Any]]] = [
        (circuits.c.need_id, bounds.need_ids),
        (circuits.c.service_id, bounds.service_ids),
        (circuits.c.site_id, bounds.site_ids),
    ]
    return [among(column, values) for column, values in arms if values]


def _of_customers(table: Any, where: Sequence[ColumnElement[bool]], bounds: Bounds) -> Select[Any]:
    apart = [not_(among(table.c.customer_id, bounds.customers))] if bounds.customers else []
    joined = select(table.c.customer_id).join_from(table, customers, customers.c.id == table.c.customer_id)
    return joined.where(*where, *apart)


def _held_before() -> ColumnElement[bool]:
    """Already before this change: what is being opened does not stand in its own way."""
    return and_(impacts.c.to_at.is_(None), within(impacts.c.outage_id, "beside"), impacts.c.id <= bindparam("last"))


def _held_circuit(held: ColumnElement[bool]) -> Select[Any]:
    return select(impacts.c.id).where(
        impacts.c.thing_id == circuits.c.id,
        impacts.c.thing_kind == "circuit",
        impacts.c.customer_id == circuits.c.customer_id,
        held,
    )


def _held_subscription(held: ColumnElement[bool]) -> Select[Any]:
    return select(impacts.c.id).where(
        impacts.c.thing_id == subscriptions.c.service_id,
        impacts.c.thing_kind == "service",
        impacts.c.customer_id == subscriptions.c.customer_id,
        held,
    )
