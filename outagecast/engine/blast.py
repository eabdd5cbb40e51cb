"""What hangs on a thing: whom it would touch if it failed, and whether it is down now. Nothing is stored."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outagecast.domain.impact import (
    Assessment,
    Scope,
    assess,
    circuit_because,
    circuit_level,
    subscription_because,
    subscription_level,
    union,
)
from outagecast.domain.levels import Level
from outagecast.domain.needs import Ref, ThingKind, ref_of
from outagecast.domain.network import Network
from outagecast.engine.reckoning import Reckoner
from outagecast.storage import outages, planning_things
from outagecast.storage.engine import Database
from outagecast.storage.planning_things import Touchable

SHOWN = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One circuit or subscription that would be touched. `because`: the causes, nearest first."""

    kind: str
    id: str
    label: str
    customer_id: str
    customer: str
    level: Level
    because: tuple[Ref, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fallout:
    """Whom a failure would touch with nothing else down; a customer counts at his worst level.

    `by_level`: {level's word: {customers, circuits, services}}, the worst first; `elements`: by level's word those of
    the network that would go with it; `lines` are the first of the worst.
    """

    customers: int
    circuits: int
    services: int
    by_level: Mapping[str, Mapping[str, int]]
    elements: Mapping[str, int]
    lines: Sequence[Line]


@dataclass(frozen=True, kw_only=True, slots=True)
class Now:
    """How a thing is on the union of all open outages. `outages`: those that name the cause."""

    level: Level
    because: tuple[Ref, ...]
    outages: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Unapplied:
    """Lines that hang on what is down by today's map, though no outage counts them: it was reckoned on an older one.

    `lines`: how many; `outages`: the open ones whose map is to be applied.
    """

    lines: int
    outages: tuple[str, ...]


class Blast:
    """Asks the network that the reckoner keeps; the heavy part runs off the event loop."""

    def __init__(self, db: Database, reckoner: Reckoner) -> None:
        self._db = db
        self._reckoner = reckoner

    async def if_fails(self, kind: str, thing_id: str) -> Fallout:
        """Whom it would touch if this element, service, site, circuit or customer were down, and nothing else."""
        network = await self._reckoner.network()
        scope: Scope = {ref_of(ThingKind(kind), thing_id): Level.OUTAGE}
        assessment = await asyncio.to_thread(assess, network, scope)
        async with self._db.read() as conn:
            things = await planning_things.candidates(
                conn,
                need_ids=list(assessment.needs),
                service_ids=list(assessment.services),
                site_ids=list(assessment.sites),
                circuit_ids=list(assessment.circuits),
                customer_ids=list(assessment.customers),
            )
        levels = await asyncio.to_thread(_levels, assessment, list(things.values()))
        worst = sorted(levels, key=lambda item: (-item[1], item[0].key.customer_id, item[0].key.id))[:SHOWN]
        async with self._db.read() as conn:
            words = await planning_things.words_for(conn, [thing.key for thing, _ in worst])
        lines = [
            Line(
                kind=thing.key.kind,
                id=thing.key.id,
                label=words[thing.key].label if thing.key in words else thing.key.id,
                customer_id=thing.key.customer_id,
                customer=words[thing.key].customer if thing.key in words else thing.key.customer_id,
                level=level,
                because=_because(assessment, thing),
            )
            for thing, level in worst
        ]
        return _fallout(levels, lines, _count(assessment.elements.values()))

    async def now(self, kind: str, thing_id: str) -> Now:
        """How it is: NO_IMPACT where no open outage makes it worse."""
        world = await self._reckoner.world()
        scopes = {outage_id: extent.scope for outage_id, extent in world.extents.items()}
        ref = ref_of(ThingKind(kind), thing_id)
        if not scopes:
            return Now(level=Level.NO_IMPACT, because=(), outages=())
        level, because = await asyncio.to_thread(_level_of, world.network, union(scopes.values()), ref)
        causes = {ref, *because[-1:]}
        return Now(
            level=level,
            because=because,
            outages=tuple(outage_id for outage_id, scope in scopes.items() if causes & scope.keys()),
        )

    async def unapplied(self, customer_id: str) -> Unapplied | None:
        """What the map's change would add for one customer (rule 7); None where it adds nothing."""
        world = await self._reckoner.world()
        async with self._db.read() as conn:
            stale = [row.id for row in await outages.open_ones(conn) if row.inventory < world.inventory]
            if not stale:
                return None
            nothing: dict[str, list[Any]] = {"need_ids": [], "service_ids": [], "site_ids": [], "circuit_ids": []}
            things = await planning_things.candidates(conn, **nothing, customer_ids=[customer_id])
            counted = {(row.thing_kind, row.thing_id) for row in await planning_things.open_things(conn, [customer_id])}
        missing = [
            thing
            for key, thing in things.items()
            if (key.kind, key.id) not in counted and not any(each.spares(thing) for each in world.extents.values())
        ]
        scope = union(extent.scope for extent in world.extents.values())
        assessment = await asyncio.to_thread(assess, world.network, scope)
        lines = len(_levels(assessment, missing))
        return Unapplied(lines=lines, outages=tuple(stale)) if lines else None

    async def isolated(self) -> tuple[str, ...]:
        """Elements with links but, with nothing down, no path to a gateway (rule 3)."""
        network = await self._reckoner.network()
        return await asyncio.to_thread(network.isolated)


def _level_of(network: Network, scope: Scope, ref: Ref) -> tuple[Level, tuple[Ref, ...]]:
    found = assess(network, scope)
    kind, _, thing_id = ref.partition(":")
    levels = {"element": found.elements, "service": found.services, "site": found.sites, "circuit": found.circuits}
    level = levels.get(kind, {}).get(thing_id, Level.NO_IMPACT)
    return level, found.because(ref) if level else ()


def _levels(assessment: Assessment, things: Sequence[Touchable]) -> list[tuple[Touchable, Level]]:
    judged = [(thing, _level(assessment, thing)) for thing in things]
    return [(thing, level) for thing, level in judged if level]


def _level(assessment: Assessment, thing: Touchable) -> Level:
    key = thing.key
    if key.kind == "service":
        return subscription_level(assessment, customer_id=key.customer_id, service_id=key.id)
    return circuit_level(
        assessment, circuit_id=key.id, customer_id=key.customer_id,
        need_id=thing.need_id, service_id=thing.service_id, site_id=thing.site_id,
    )  # fmt: skip


def _because(assessment: Assessment, thing: Touchable) -> tuple[Ref, ...]:
    key = thing.key
    if key.kind == "service":
        return subscription_because(assessment, customer_id=key.customer_id, service_id=key.id)
    return circuit_because(
        assessment, circuit_id=key.id, customer_id=key.customer_id,
        need_id=thing.need_id, service_id=thing.service_id, site_id=thing.site_id,
    )  # fmt: skip


def _fallout(levels: Sequence[tuple[Touchable, Level]], lines: Sequence[Line], elements: Mapping[str, int]) -> Fallout:
    worst: dict[str, Level] = {}
    counts = {level: {"customers": 0, "circuits": 0, "services": 0} for level in sorted(Level, reverse=True) if level}
    for thing, level in levels:
        counts[level]["services" if thing.key.kind == "service" else "circuits"] += 1
        worst[thing.key.customer_id] = max(level, worst.get(thing.key.customer_id, level))
    for level in worst.values():
        counts[level]["customers"] += 1
    return Fallout(
        customers=len(worst),
        circuits=sum(each["circuits"] for each in counts.values()),
        services=sum(each["services"] for each in counts.values()),
        by_level={level.word: each for level, each in counts.items() if any(each.values())},
        elements=elements,
        lines=lines,
    )


def _count(levels: Iterable[Level]) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for level in sorted(levels, reverse=True):
        found[level.word] = found.get(level.word, 0) + 1
    return found
