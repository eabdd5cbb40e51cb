"""What is down for whom, on the union of all open outages (rules 1 to 7).

A reckoning looks at one outage that changes. Only things it touches before or after can change their level, so only
those are looked at, for every open outage. The heavy part runs in a worker thread; the caller commits the differences
in a transaction that first checks that the world has not moved meanwhile (`World.generation`).
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from outagecast.domain.impact import (
    Assessment,
    Scope,
    assess,
    circuit_because,
    circuit_level,
    subscription_because,
    subscription_level,
    touched,
    union,
)
from outagecast.domain.levels import Effect, Level
from outagecast.domain.needs import ThingKind, ref_of
from outagecast.domain.network import Network
from outagecast.domain.notices import ThingKey
from outagecast.domain.outage import ScopeEntry
from outagecast.storage import inventory, outages, planning
from outagecast.storage.engine import Database
from outagecast.storage.planning import Touchable


@dataclass(frozen=True, kw_only=True, slots=True)
class Extent:
    """How far one outage reaches: its scope with areas resolved, and what is back although the scope still names its
    cause.
    """

    scope: Scope
    back: frozenset[tuple[str, str]] = frozenset()
    """(kind, id) of circuits, sites and customers."""

    def spares(self, thing: Touchable) -> bool:
        return bool(self.back) and (
            ("circuit", thing.key.id) in self.back
            or ("customer", thing.key.customer_id) in self.back
            or (thing.site_id is not None and ("site", thing.site_id) in self.back)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """The open outages and the network as read at one moment."""

    generation: int
    inventory: int
    """The version of the inventory the network was built from."""
    network: Network
    extents: Mapping[str, Extent]
    """By outage, the first declared first."""
    episodes: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class NewImpact:
    outage_id: str
    key: ThingKey
    level: Level
    because: tuple[str, ...]
    fresh: bool
    """False where the interval only changes its level."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reckoned:
    """The difference that one outage's change makes: impact intervals to close and to open."""

    generation: int
    close: tuple[int, ...] = ()
    open: tuple[NewImpact, ...] = ()
    closed: frozenset[ThingKey] = frozenset()
    """Things whose present interval of the outage itself ends (perhaps for one of another level)."""
    touched: Mapping[ThingKey, Level] = field(default_factory=dict)
    """What the outage touches afterwards, at the union's level."""
    touching: Mapping[ThingKey, tuple[str, ...]] = field(default_factory=dict)
    """All open outages that touch each thing looked at."""
    customers: frozenset[str] = frozenset()
    """Whose impacts change."""


class Reckoner:
    """Reads the world and reckons; keeps the built network as long as the inventory stays the same."""

    def __init__(self, db: Database) -> None:
        self._db = db
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
            rows = await planning.touchables(conn, circuits)
        assessment = await asyncio.to_thread(assess, network, extent.scope)
        by_id = {key.id: _level(assessment, thing) for key, thing in rows.items()}
        parts = {
            "element": assessment.elements,
            "service": assessment.services,
            "site": assessment.sites,
            "customer": assessment.customers,
            "circuit": by_id,
        }
        return all(parts.get(item["kind"], {}).get(item["id"], Level.NO_IMPACT) is Level.OUTAGE for item in named)

    async def reckon(self, world: World, outage_id: str, extent: Extent | None) -> Reckoned:
        """What changes when this outage's extent becomes `extent`; None: it ends."""
        extents = {o: e for o, e in world.extents.items() if o != outage_id}
        if extent is not None:
            extents[outage_id] = extent
        judge = _Judge(world.network, extents)
        parts = await asyncio.to_thread(judge.parts_touched_by, outage_id)
        async with self._db.read() as conn:
            found = await planning.candidates(conn, **parts)
            now_open = {_key(row): row for row in await outages.open_impacts(conn, outage_id)}
            gone = [key for key in now_open if key not in found]
            found |= await planning.touchables(conn, gone)
            rows = await outages.open_impacts_of_things(conn, {key.id for key in found})
        before = {(row.outage_id, _key(row)): row for row in rows if _key(row) in found}
        return await asyncio.to_thread(_difference, world, judge, outage_id, found, before)


def _difference(
    world: World,
    judge: "_Judge",
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


class _Judge:
    """Levels of things under any subset of the open outages; each subset is assessed once."""

    def __init__(self, network: Network, extents: Mapping[str, Extent]) -> None:
        self._network = network
        self._extents = extents
        self._assessed: dict[frozenset[str], Assessment] = {}
        self._all = frozenset(extents)
        self._sparing = frozenset(o for o, e in extents.items() if e.back)
        self.outages = tuple(extents)

    def parts_touched_by(self, outage_id: str) -> dict[str, list[Any]]:
        """The needs, services, sites, circuits and customers through which an outage may touch things."""
        if outage_id not in self._all:
            return {"need_ids": [], "service_ids": [], "site_ids": [], "circuit_ids": [], "customer_ids": []}
        alone = self._assess(frozenset({outage_id}))
        together, without = self._assess(self._all), self._assess(self._all - {outage_id})
        return {
            "need_ids": _worse(alone.needs, together.needs, without.needs),
            "service_ids": _worse(alone.services, together.services, without.services),
            "site_ids": _worse(alone.sites, together.sites, without.sites),
            "circuit_ids": _worse(alone.circuits, together.circuits, without.circuits),
            "customer_ids": _worse(alone.customers, together.customers, without.customers),
        }

    def level(self, thing: Touchable) -> Level:
        return _level(self._assess(self._bearing(thing)), thing)

    def touched_by(self, thing: Touchable, level: Level) -> tuple[str, ...]:
        """The open outages that touch a thing, the first declared first."""
        if level is Level.NO_IMPACT:
            return ()
        bearing = self._bearing(thing)
        return tuple(
            o
            for o in self.outages
            if o in bearing
            and touched(
                alone=_level(self._assess(frozenset({o})), thing),
                together=level,
                without=_level(self._assess(bearing - {o}), thing),
            )
        )

    def because(self, thing: Touchable, outage_id: str) -> tuple[str, ...]:
        alone = self._assess(frozenset({outage_id}))
        return _because(alone, thing) or _because(self._assess(self._bearing(thing)), thing)

    def _bearing(self, thing: Touchable) -> frozenset[str]:
        """The outages that may bear on a thing: all but those that have it back."""
        if not self._sparing:
            return self._all
        return self._all - {o for o in self._sparing if self._extents[o].spares(thing)}

    def _assess(self, which: frozenset[str]) -> Assessment:
        found = self._assessed.get(which)
        if found is None:
            scope = union(self._extents[o].scope for o in which)
            found = self._assessed[which] = assess(self._network, scope)
        return found


def _level(assessment: Assessment, thing: Touchable) -> Level:
    if thing.key.kind == "service":
        return subscription_level(assessment, customer_id=thing.key.customer_id, service_id=thing.key.id)
    return circuit_level(
        assessment,
        circuit_id=thing.key.id,
        customer_id=thing.key.customer_id,
        need_id=thing.need_id,
        service_id=thing.service_id,
        site_id=thing.site_id,
    )


def _because(assessment: Assessment, thing: Touchable) -> tuple[str, ...]:
    if thing.key.kind == "service":
        return subscription_because(assessment, customer_id=thing.key.customer_id, service_id=thing.key.id)
    return circuit_because(
        assessment,
        circuit_id=thing.key.id,
        customer_id=thing.key.customer_id,
        need_id=thing.need_id,
        service_id=thing.service_id,
        site_id=thing.site_id,
    )


def _worse(alone: Mapping[Any, Level], together: Mapping[Any, Level], without: Mapping[Any, Level]) -> list[Any]:
    more = (k for k, level in together.items() if k not in alone and level > without.get(k, Level.NO_IMPACT))
    return [*alone, *more]


def _key(row: Any) -> ThingKey:
    return ThingKey(row.thing_kind, row.thing_id, row.customer_id)


async def _resolve(conn: Any, entry: ScopeEntry) -> Iterable[tuple[str, str]]:
    """An area stands for its sites; everything else for itself."""
    if entry.kind != "area":
        return [(entry.kind, entry.id)]
    return [("site", site_id) for site_id in await inventory.sites_of_area(conn, entry.id)]


def impact_rows(
    reckoned: Reckoned, episodes: Mapping[str, int], *, outage_id: str, from_at: datetime, at: datetime
) -> list[outages.ImpactRow]:
    """The intervals to open as rows: what the outage newly touches lasts since `from_at`, everything else changes
    `at` now.
    """
    return [
        outages.ImpactRow(
            outage_id=new.outage_id,
            episode=episodes[new.outage_id],
            thing_kind=new.key.kind,
            thing_id=new.key.id,
            customer_id=new.key.customer_id,
            level=int(new.level),
            from_at=from_at if new.fresh and new.outage_id == outage_id else at,
            because=new.because,
        )
        for new in reckoned.open
    ]
