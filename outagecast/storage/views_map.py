"""What a map of the network shows: sites where they lie, the links between them, and how badly off each is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from outagecast.storage.batches import chunks
from outagecast.storage.tables import elements, sites

MOST_SITES = 500
"""Dots that a map can hold; what is touched comes first."""
WORST_FIRST = ("outage", "degraded", "reduced_redundancy")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A site: its worst level ("" if nothing there is touched), and the touched elements there, worst first."""

    id: str
    name: str
    latitude: float
    longitude: float
    level: str
    elements: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """The links between two sites as one line: their ids, and the worst level of any."""

    a: str
    z: str
    level: str
    links: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkMap:
    """`unplaced`: touched elements and sites that have no coordinates; `left_out`: untouched sites beyond the most."""

    places: tuple[Place, ...]
    ways: tuple[Way, ...]
    unplaced: int = 0
    left_out: int = 0


async def network_map(conn: AsyncConnection, levels: Mapping[str, str]) -> NetworkMap:
    """The whole network with these levels: words by `element:ID` or `site:ID`, as a preview's `reached` gives them."""
    touched = await _touched_by_site(conn, levels)
    rows = [
        row
        for row in await conn.execute(
            select(sites.c.id, sites.c.name, sites.c.latitude, sites.c.longitude).where(
                sites.c.latitude.is_not(None), sites.c.longitude.is_not(None), sites.c.status != "ended"
            )
        )
    ]
    located = {row.id for row in rows}
    ways = [way for way in await _ways(conn, levels) if way.a in located and way.z in located]
    joined: dict[str, int] = {}
    for way in ways:
        for end in (way.a, way.z):
            joined[end] = joined.get(end, 0) + 1
    rows.sort(key=lambda row: (row.id not in touched, -joined.get(row.id, 0), row.id))
    shown = rows[:MOST_SITES]
    kept = {row.id for row in shown}
    return NetworkMap(
        places=tuple(_place(row, touched.get(row.id, {})) for row in shown),
        ways=tuple(way for way in ways if way.a in kept and way.z in kept),
        unplaced=sum(len(found) for site_id, found in touched.items() if site_id not in located),
        left_out=len(rows) - len(shown),
    )


async def _touched_by_site(conn: AsyncConnection, levels: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The touched elements at each site, with the site itself; "" holds what is at no site. Links lie between."""
    found: dict[str, dict[str, str]] = {}
    for ref, level in levels.items():
        kind, _, site_id = ref.partition(":")
        if kind == "site":
            found.setdefault(site_id, {})[ref] = level
    ids = [ref.partition(":")[2] for ref in levels if ref.startswith("element:")]
    for part in chunks(ids):
        query = select(elements.c.id, elements.c.site_id).where(elements.c.id.in_(part), elements.c.kind != "link")
        for element_id, site_id in await conn.execute(query):
            found.setdefault(site_id or "", {})[f"element:{element_id}"] = levels[f"element:{element_id}"]
    return found


async def _ways(conn: AsyncConnection, levels: Mapping[str, str]) -> list[Way]:
    a, z = aliased(elements), aliased(elements)
    # A link inside one site would be a dot.
    query: Any = (
        select(elements.c.id, a.c.site_id, z.c.site_id)
        .join(a, a.c.id == elements.c.a)
        .join(z, z.c.id == elements.c.z)
        .where(
            elements.c.status != "ended",
            func.coalesce(a.c.site_id, "") != func.coalesce(z.c.site_id, ""),
            or_(elements.c.a.is_not(None), elements.c.z.is_not(None)),
        )
        .order_by(elements.c.id)
    )
    found: dict[tuple[str, str], dict[str, str]] = {}
    for link_id, one, other in await conn.execute(query):
        if one and other:
            ends = (min(one, other), max(one, other))
            found.setdefault(ends, {})[link_id] = levels.get(f"element:{link_id}", "")
    return [
        Way(a=one, z=other, level=_worst(links.values()), links=tuple(links)) for (one, other), links in found.items()
    ]


def _place(row: Any, touched: Mapping[str, str]) -> Place:
    refs = sorted(touched, key=lambda ref: (WORST_FIRST.index(touched[ref]) if touched[ref] in WORST_FIRST else 9, ref))
    return Place(
        id=row.id,
        name=row.name or row.id,
        latitude=row.latitude,
        longitude=row.longitude,
        level=_worst(touched.values()),
        elements=tuple(ref.partition(":")[2] for ref in refs if ref.startswith("element:")),
    )


def _worst(levels: Iterable[str]) -> str:
    have = set(levels)
    return next((level for level in WORST_FIRST if level in have), "")
