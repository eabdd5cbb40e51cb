"""What is down for whom, on the union of all open outages (rules 1 to 7).

A reckoning looks at one outage that changes. Only things it touches before or after can change their level, so only
those are looked at, for every open outage. The heavy part runs in a worker thread; the caller commits the differences
in a transaction that first checks that the world has not moved meanwhile (`World.generation`).
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from outagecast.domain.impact import (
    assess,
)
from outagecast.domain.levels import Effect, Level
from outagecast.domain.needs import ThingKind, ref_of
from outagecast.domain.network import Network
from outagecast.domain.notices import ThingKey
from outagecast.domain.outage import ScopeEntry
from outagecast.engine.judge import Judge, level_of
from outagecast.engine.reckoned import Extent, Mass, NewImpact, Reckoned, World
from outagecast.storage import inventory, outages, places, planning_things
from outagecast.storage.engine import Connection, Database
from outagecast.storage.places import Bounds
from outagecast.storage.planning_things import Touchable

MASS_FROM = 5_000
"""Lines. Below that the list is quick, and what it is needed for is written in the same breath."""


class Reckoner:
    """Reads the world and reckons; keeps the built network as long as the inventory stays the same.

    `mass_from`: so many lines are reckoned by their places, where the caller allows it.
    """

    def __init__(self, db: Database, *, mass_from: int = MASS_FROM) -> None:
        self._db = db
        self.mass_from = mass_from
        self._network: tuple[int, Network] | None = None
        self._building = asyncio.Lock()

    async def world(self) -> World:
        async with self._db.read() as conn:
            generation = await outages.reckoning(conn)
            rows = await outages.open_ones(conn)
            extents = {row.id: await self.extent(conn, row.scope, row.restored) for row in rows}
        network = await self.network()
        version = self._network[0] if self._network else 0
        return World(
            generation=generation,
            inventory=version,
            network=network,
            extents=extents,
            episodes={row.id: row.episode for row in rows},
        )

    async def network(self) -> Network:
        """The network of the present inventory, built off the event loop."""
        async with self._building, self._db.read() as conn:
            version = await inventory.inventory_version(conn)
            if self._network is None or self._network[0] != version:
                rows = await inventory.network_rows(conn)
                network = await asyncio.to_thread(
                    Network.build,
                    elements=rows.elements,
                    services=rows.services,
                    needs=rows.needs,
                    pinned_circuits=rows.pinned_circuits,
                )
                self._network = (version, network)
            return self._network[1]

    async def extent(self, conn: Any, scope: list[dict[str, str]], restored: list[dict[str, str]]) -> Extent:
        """An extent from the JSON kept on an outage."""
        entries = [ScopeEntry(kind=e["kind"], id=e["id"], effect=Effect(e["effect"])) for e in scope]
        declared: dict[str, Level] = {}
        for entry in entries:
            for kind, thing_id in await _resolve(conn, entry):
                ref = ref_of(ThingKind(kind), thing_id)
                declared[ref] = max(declared.get(ref, Level.NO_IMPACT), entry.effect.level)
        back: set[tuple[str, str]] = set()
        for item in restored:
            entry = ScopeEntry(kind=item["kind"], id=item["id"], effect=Effect.OUTAGE)
            back.update(await _resolve(conn, entry))
        return Extent(scope=declared, back=frozenset(back))

    async def holds_down(self, network: Network, extent: Extent, named: Sequence[Mapping[str, str]]) -> bool:
        """Whether this extent alone puts everything named at OUTAGE."""
        circuits = [ThingKey("circuit", item["id"], "") for item in named if item["kind"] == "circuit"]
        async with self._db.read() as conn:
            rows = await planning_things.touchables(conn, circuits)
        assessment = await asyncio.to_thread(assess, network, extent.scope)
        by_id = {key.id: level_of(assessment, thing) for key, thing in rows.items()}
        parts = {
            "element": assessment.elements,
            "service": assessment.services,
            "site": assessment.sites,
            "customer": assessment.customers,
            "circuit": by_id,
        }
        return all(parts.get(item["kind"], {}).get(item["id"], Level.NO_IMPACT) is Level.OUTAGE for item in named)

    async def reckon(self, world: World, outage_id: str, extent: Extent | None, *, in_mass: bool = False) -> Reckoned:
        """What changes when this outage's extent becomes `extent`; None: it ends. `in_mass`: what is newly touched
        need not be listed where it is very much.
        """
        extents = {o: e for o, e in world.extents.items() if o != outage_id}
        if extent is not None:
            extents[outage_id] = extent
        judge = Judge(world.network, extents)
        if in_mass and extent is None and await self._ends_in_mass(outage_id, judge):
            return await self._end(world, outage_id, judge)
        parts = await asyncio.to_thread(judge.parts_touched_by, outage_id)
        async with self._db.read() as conn:
            mass = await self._mass(conn, world, outage_id, judge, parts) if in_mass and extent is not None else None
            if mass is None:
                found = await planning_things.candidates(conn, **parts)
            else:
                found = await _one_by_one(conn, mass.bounds, parts)
            now_open = {_key(row): row for row in await outages.open_impacts(conn, outage_id)}
            gone = [key for key in now_open if key not in found]
            found |= await planning_things.touchables(conn, gone)
            rows = await outages.open_impacts_of_things(conn, {key.id for key in found})
        before = {(row.outage_id, _key(row)): row for row in rows if _key(row) in found}
        answer = await asyncio.to_thread(_difference, world, judge, outage_id, found, before)
        return answer if mass is None else replace(answer, mass=mass)

    async def _ends_in_mass(self, outage_id: str, judge: Judge) -> bool:
        """Whether very much ends, and nothing becomes another outage's that is not already: that takes two others."""
        if len(judge.outages) > 1:
            return False
        async with self._db.read() as conn:
            return await places.has_many_impacts(conn, outage_id, self.mass_from)

    async def _end(self, world: World, outage_id: str, judge: Judge) -> Reckoned:
        """Lists only what another outage touches as well."""
        async with self._db.read() as conn:
            held = await places.held_twice(conn, outage_id, judge.outages)
            found = await planning_things.touchables(conn, held)
            rows = await outages.open_impacts_of_things(conn, {key.id for key in found})
        before = {(row.outage_id, _key(row)): row for row in rows if _key(row) in found}
        answer = await asyncio.to_thread(_difference, world, judge, outage_id, found, before)
        return replace(answer, all_end=True)

    async def _mass(
        self, conn: Connection, world: World, outage_id: str, judge: Judge, parts: Mapping[str, list[Any]]
    ) -> Mass | None:
        """None where it is little, or where places do not tell who is touched."""
        bounds = judge.bounds(parts, beside=tuple(world.extents))
        if bounds is None or not await places.are_many(conn, bounds, self.mass_from):
            return None
        found = await places.places(conn, bounds)
        opened = await asyncio.to_thread(judge.places, found, outage_id)
        return None if opened is None else Mass(bounds=bounds, open=opened)


async def _one_by_one(conn: Connection, bounds: Bounds, parts: Mapping[str, list[Any]]) -> dict[ThingKey, Touchable]:
    """What is within reach and set apart from its place."""
    needs, services, sites = set(bounds.need_ids), set(bounds.service_ids), set(bounds.site_ids)
    circuits, customers = set(parts["circuit_ids"]), set(parts["customer_ids"])
    named = await planning_things.candidates(
        conn, need_ids=[], service_ids=[], site_ids=[], circuit_ids=bounds.circuits, customer_ids=bounds.customers
    )
    within = {
        key: thing
        for key, thing in named.items()
        if thing.need_id in needs
        or thing.service_id in services
        or thing.site_id in sites
        or (key.kind == "circuit" and key.id in circuits)
        or key.customer_id in customers
    }
    return within | await places.set_apart(conn, bounds)


def _difference(
    world: World,
    judge: Judge,
    outage_id: str,
    found: Mapping[ThingKey, Touchable],
    before: Mapping[tuple[str, ThingKey], Any],
) -> Reckoned:
    close: dict[int, None] = {}
    opened: list[NewImpact] = []
    touched_now: dict[ThingKey, Level] = {}
    touching: dict[ThingKey, tuple[str, ...]] = {}
    customers: set[str] = set()
    closed: set[ThingKey] = set()
    for key, thing in found.items():
        level = judge.level(thing)
        by = judge.touched_by(thing, level)
        if by:
            touching[key] = by
        if outage_id in by:
            touched_now[key] = level
        for other in judge.outages:
            row = before.get((other, key))
            if other in by:
                if row is None or row.level != level:
                    because = judge.because(thing, other)
                    opened.append(NewImpact(outage_id=other, key=key, level=level, because=because, fresh=row is None))
                    customers.add(key.customer_id)
                    if row is not None:
                        close[row.id] = None
            elif row is not None:
                close[row.id] = None
                customers.add(key.customer_id)
        row = before.get((outage_id, key))
        if row is not None and row.id in close:
            closed.add(key)
        if row is not None and outage_id not in judge.outages:
            close[row.id] = None
            customers.add(key.customer_id)
    return Reckoned(
        generation=world.generation,
        close=tuple(close),
        open=tuple(opened),
        closed=frozenset(closed),
        touched=touched_now,
        touching=touching,
        customers=frozenset(customers),
    )


def _key(row: Any) -> ThingKey:
    return ThingKey(row.thing_kind, row.thing_id, row.customer_id)


async def _resolve(conn: Any, entry: ScopeEntry) -> Iterable[tuple[str, str]]:
    """An area stands for its sites; everything else for itself."""
    if entry.kind != "area":
        return [(entry.kind, entry.id)]
    return [("site", site_id) for site_id in await inventory.sites_of_area(conn, entry.id)]
