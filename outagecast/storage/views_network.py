"""The network as the desk reads it: elements, services and sites page by page, and one of each with its neighbours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.storage.tables import circuits, elements, needs, services, sites, subscriptions

TABLES: Mapping[str, Any] = {"element": elements, "service": services, "site": sites}


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One element, service or site in a list. `detail`: an element's kind, a site's area."""

    kind: str
    id: str
    name: str
    detail: str
    site_id: str
    gateway: bool
    public: bool
    status: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A link between two elements, as seen from one of them: `other` is the far end."""

    id: str
    name: str
    kind: str
    other: str
    other_name: str
    status: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PartView:
    """One thing of the network. `needs`: its depends_on as written; `ends`: of a link, as (id, name).

    `circuits`: those that name it themselves (a service's, a site's); `subscriptions`: a service's without circuits.
    """

    kind: str
    id: str
    name: str
    detail: str
    status: str
    needs: str
    site: tuple[str, str] | None
    ends: tuple[tuple[str, str], ...]
    gateway: bool
    public: bool
    area: str
    place: tuple[float, float] | None
    attributes: Mapping[str, Any]
    links: tuple[Link, ...]
    links_count: int
    elements: tuple[Part, ...]
    elements_count: int
    circuits: int
    subscriptions: int


async def part_page(
    conn: AsyncConnection, kind: str, *, after: str = "", detail: str = "", limit: int = 50
) -> tuple[list[Part], str | None]:
    """Parts of one kind by id from after one, and the id to go on from; `detail`: an element's kind, a site's area."""
    table = TABLES[kind]
    query = _parts(kind).where(table.c.id > after, table.c.status != "ended")
    if detail and kind != "service":
        query = query.where((elements.c.kind if kind == "element" else sites.c.area) == detail)
    rows = (await conn.execute(query.order_by(table.c.id).limit(limit + 1))).all()
    return [_part(kind, row) for row in rows[:limit]], rows[limit - 1].id if len(rows) > limit else None


async def parts_by_id(conn: AsyncConnection, kind: str, ids: Sequence[str]) -> list[Part]:
    """Some parts of one kind, by id."""
    table = TABLES[kind]
    rows = await conn.execute(_parts(kind).where(table.c.id.in_(list(ids))).order_by(table.c.id))
    return [_part(kind, row) for row in rows]


async def element_kinds(conn: AsyncConnection) -> list[str]:
    rows = await conn.execute(select(elements.c.kind).distinct().order_by(elements.c.kind).limit(100))
    return [kind for kind in rows.scalars() if kind]


async def part(conn: AsyncConnection, kind: str, part_id: str, *, shown: int = 50) -> PartView | None:
    """One of them, ended or not; None if there is none."""
    table = TABLES[kind]
    row = (await conn.execute(select(table).where(table.c.id == part_id))).mappings().first()
    if row is None:
        return None
    found = dict(row)
    links, links_count = await _links(conn, part_id, shown) if kind == "element" else ([], 0)
    inside, inside_count = await _inside(conn, part_id, shown) if kind == "site" else ([], 0)
    ends = [end for end in (found.get("a"), found.get("z")) if end]
    names = await _names(conn, elements, ends)
    site = found.get("site_id")
    own = circuits.c.site_id if kind == "site" else circuits.c.service_id
    return PartView(
        kind=kind,
        id=part_id,
        name=found["name"],
        detail=found.get("kind") or found.get("area") or "",
        status=found["status"],
        needs=await _need(conn, found.get("need_id")),
        site=(site, (await _names(conn, sites, [site])).get(site, "")) if site else None,
        ends=tuple((end, names.get(end, "")) for end in ends),
        gateway=bool(found.get("gateway")),
        public=bool(found.get("public")),
        area=found.get("area") or "",
        place=_place(found),
        attributes=found.get("attributes") or {},
        links=tuple(links),
        links_count=links_count,
        elements=tuple(inside),
        elements_count=inside_count,
        circuits=0 if kind == "element" else await _count(conn, circuits, own == part_id, circuits.c.status != "ended"),
        subscriptions=await _count(
            conn, subscriptions, subscriptions.c.service_id == part_id, subscriptions.c.status != "ended"
        )
        if kind == "service"
        else 0,
    )


async def sizes(conn: AsyncConnection) -> dict[str, int]:
    """How many of each kind have not ended."""
    return {kind: await _count(conn, table, table.c.status != "ended") for kind, table in TABLES.items()}


def _parts(kind: str) -> Select[Any]:
    table = TABLES[kind]
    return select(table)


def _part(kind: str, row: Any) -> Part:
    return Part(
        kind=kind,
        id=row.id,
        name=row.name,
        detail=row.kind if kind == "element" else row.area if kind == "site" else "",
        site_id=(row.site_id or "") if kind == "element" else "",
        gateway=bool(row.gateway) if kind == "element" else False,
        public=bool(row.public) if kind == "service" else False,
        status=row.status,
    )


async def _links(conn: AsyncConnection, element_id: str, shown: int) -> tuple[list[Link], int]:
    """The links that end here. No index serves this: a hundred thousand elements are looked through in some 10 ms."""
    here = or_(elements.c.a == element_id, elements.c.z == element_id)
    query = select(elements).where(here, elements.c.status != "ended").order_by(elements.c.id)
    rows = (await conn.execute(query)).all()
    far = {row.id: row.z if row.a == element_id else row.a for row in rows[:shown]}
    names = await _names(conn, elements, [end for end in far.values() if end])
    links = [
        Link(
            id=row.id, name=row.name, kind=row.kind, other=far[row.id] or "", other_name=names.get(far[row.id], ""),
            status=row.status,
        )
        for row in rows[:shown]
    ]  # fmt: skip
    return links, len(rows)


async def _inside(conn: AsyncConnection, site_id: str, shown: int) -> tuple[list[Part], int]:
    here = (elements.c.site_id == site_id, elements.c.status != "ended")
    rows = (await conn.execute(select(elements).where(*here).order_by(elements.c.id))).all()
    return [_part("element", row) for row in rows[:shown]], len(rows)


async def _names(conn: AsyncConnection, table: Any, ids: Sequence[str]) -> dict[str, str]:
    rows = await conn.execute(select(table.c.id, table.c.name).where(table.c.id.in_(list(ids))))
    return {id: name for id, name in rows}


async def _need(conn: AsyncConnection, need_id: int | None) -> str:
    if need_id is None:
        return ""
    return str((await conn.execute(select(needs.c.text).where(needs.c.id == need_id))).scalar_one())


def _place(found: Mapping[str, Any]) -> tuple[float, float] | None:
    latitude, longitude = found.get("latitude"), found.get("longitude")
    return (latitude, longitude) if latitude is not None and longitude is not None else None


async def _count(conn: AsyncConnection, table: Any, *conditions: Any) -> int:
    return int((await conn.execute(select(func.count()).select_from(table).where(*conditions))).scalar_one())
