"""What the other outage names, and what of it is back, once one outage has been merged into it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from outagecast.domain.errors import Conflict
from outagecast.domain.levels import Effect
from outagecast.domain.notices import ThingKey
from outagecast.engine.reckoned import World
from outagecast.engine.reckoning import Reckoner
from outagecast.storage import outages, planning_things
from outagecast.storage.batches import Record
from outagecast.storage.engine import Connection

Entries = list[dict[str, str]]


async def absorbed(conn: Connection, reckoner: Reckoner, row: Record, into: str) -> dict[str, Any]:
    """The values of the outage `into` that takes over what `row` names: the worse effect where both name a thing, and
    as back what neither holds down.
    """
    other = await outages.get(conn, into)
    if other is None:
        raise Conflict(f"{into} is gone: nothing can be merged with it")
    scope = _worst((*other.scope, *row.scope))
    back = [
        *await _still_back(conn, reckoner, other.restored, row.id),
        *await _still_back(conn, reckoner, row.restored, into),
    ]
    named = {_key(entry) for entry in scope}
    return {"scope": scope, "restored": list({_key(e): e for e in back if _key(e) not in named}.values())}


async def merged(
    conn: Connection, reckoner: Reckoner, world: World, outage_id: str, into: str, values: Mapping[str, Any]
) -> World:
    """The world in which `into` has these values. Conflict unless both are open to customers."""
    for one in (outage_id, into):
        if one not in world.extents:
            raise Conflict(f"{one} is not open to customers (any more): nothing can be merged with it")
    joined = await reckoner.extent(conn, values["scope"], values["restored"])
    return replace(world, extents=dict(world.extents) | {into: joined})


def _worst(entries: Iterable[dict[str, str]]) -> Entries:
    found: dict[tuple[str, str], dict[str, str]] = {}
    for entry in entries:
        known = found.get(_key(entry))
        if known is None or Effect(entry["effect"]).level > Effect(known["effect"]).level:
            found[_key(entry)] = entry
    return list(found.values())


async def _still_back(conn: Connection, reckoner: Reckoner, restored: Sequence[dict[str, str]], by: str) -> Entries:
    """Those of one outage's restored parts that the other outage, `by`, does not hold down itself."""
    if not restored:
        return []
    held = {ThingKey(i.thing_kind, i.thing_id, i.customer_id) for i in await outages.open_impacts(conn, by)}
    things = (await planning_things.touchables(conn, held)).values()
    extents = [await reckoner.extent(conn, [], [entry]) for entry in restored]
    return [e for e, extent in zip(restored, extents, strict=True) if not any(extent.spares(t) for t in things)]


def _key(entry: Mapping[str, str]) -> tuple[str, str]:
    return entry["kind"], entry["id"]
