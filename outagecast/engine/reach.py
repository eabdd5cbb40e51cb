"""How far a supposed outage reaches, for a preview of any size: the same rules as engine/reckoning.py, without the
intervals and the objects that a real one needs.

Circuits behind the same need, service and site are equally badly off: a level is reckoned once for all of them.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from outagecast.domain.impact import (
    Assessment,
    circuit_because,
    circuit_level,
    subscription_because,
    subscription_level,
    touched,
)
from outagecast.domain.levels import Level
from outagecast.domain.network import Network
from outagecast.domain.notices import ThingKey
from outagecast.engine.judge import Unions, worse
from outagecast.engine.reckoned import Extent, World
from outagecast.storage import views_reach
from outagecast.storage.engine import Database
from outagecast.storage.views_reach import Line

Answer: TypeAlias = tuple[Level, tuple[str, ...]]
"""A line's level on the union, and the outages that touch it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """`by_customer`: what of each customer is touched, `levels` how badly, in the same order. `alone`: what the
    supposed outage does by itself.
    """

    by_customer: Mapping[str, tuple[Line, ...]]
    levels: Mapping[str, tuple[Level, ...]]
    alone: Assessment
    together: Assessment
    places: Mapping[tuple[Any, ...], Answer]
    own: Mapping[Line, Answer]

    def answer(self, line: Line) -> Answer:
        return (self.own.get(line) if self.own else None) or self.places[line[3:]]

    def because(self, line: Line) -> tuple[str, ...]:
        """The chain from the line's nearest cause to what the scope names."""
        return _because(self.alone, line) or _because(self.together, line)


def key_of(line: Line) -> ThingKey:
    return ThingKey("circuit" if line[0] else "service", line[1], line[2])


async def reach(db: Database, world: World, outage_id: str, extent: Extent) -> Reach:
    """What this extent touches beside all open outages."""
    levels = Levels(world.network, dict(world.extents) | {outage_id: extent}, outage_id)
    parts = await asyncio.to_thread(levels.parts)
    async with db.read() as conn:
        lines = await views_reach.lines_behind(conn, **parts)
    return await asyncio.to_thread(levels.reach, lines)


class Levels:
    """Levels of lines on the union of the open outages and the supposed one (rules 3 to 6)."""

    def __init__(self, network: Network, extents: Mapping[str, Extent], outage_id: str) -> None:
        self._unions = Unions(network, extents)
        self._extents = extents
        self._outage_id = outage_id
        self.alone = self._unions.of(frozenset({outage_id}))
        self.together = self._unions.of(self._unions.all)

    def parts(self) -> dict[str, list[Any]]:
        """Through what the outage may touch lines: as `views_reach.lines_behind` takes it."""
        without = self._unions.of(self._unions.all - {self._outage_id})
        return {
            f"{kind}_ids": worse(getattr(self.alone, f"{kind}s"), getattr(self.together, f"{kind}s"),
                                  getattr(without, f"{kind}s"))
            for kind in ("need", "service", "site", "circuit", "customer")
        }  # fmt: skip

    def reach(self, lines: Collection[Line]) -> Reach:
        found: dict[str, tuple[Line, ...]] = {}
        levels: dict[str, tuple[Level, ...]] = {}
        places: dict[tuple[Any, ...], Answer] = {}
        alone: dict[Line, Answer] = {}
        circuits, customers = self.together.circuits, self.together.customers
        for line in lines:
            # Whatever is named or restored by itself has a level of its own; a subscription has no place.
            if (
                not line[0]
                or line[1] in circuits
                or line[2] in customers
                or (self._unions.sparing and self._spared(line))
            ):
                answer = alone[line] = self._judge(line)
            else:
                known = places.get(line[3:])
                answer = places[line[3:]] = self._judge(line) if known is None else known
            if self._outage_id in answer[1]:
                found[line[2]] = (*found.get(line[2], ()), line)
                levels[line[2]] = (*levels.get(line[2], ()), answer[0])
        return Reach(
            by_customer=found, levels=levels, alone=self.alone, together=self.together, places=places, own=alone
        )

    def _judge(self, line: Line) -> Answer:
        bearing = self._bearing(line)
        level = _level(self._unions.of(bearing), line)
        if level is Level.NO_IMPACT:
            return level, ()
        touching = tuple(
            outage_id
            for outage_id in self._extents
            if outage_id in bearing
            and touched(
                alone=_level(self._unions.of(frozenset({outage_id})), line),
                together=level,
                without=_level(self._unions.of(bearing - {outage_id}), line),
            )
        )
        return level, touching

    def _spared(self, line: Line) -> bool:
        return self._bearing(line) != self._unions.all

    def _bearing(self, line: Line) -> frozenset[str]:
        return self._unions.bearing(lambda extent: _is_back(extent, line))


def _is_back(extent: Extent, line: Line) -> bool:
    """As `Extent.spares`, of a line."""
    _, thing_id, customer_id, _, _, site_id = line
    return (
        ("circuit", thing_id) in extent.back
        or ("customer", customer_id) in extent.back
        or (site_id is not None and ("site", site_id) in extent.back)
    )


def _level(assessment: Assessment, line: Line) -> Level:
    circuit, thing_id, customer_id, need_id, service_id, site_id = line
    if not circuit:
        return subscription_level(assessment, customer_id=customer_id, service_id=thing_id)
    return circuit_level(
        assessment, circuit_id=thing_id, customer_id=customer_id, need_id=need_id, service_id=service_id,
        site_id=site_id,
    )  # fmt: skip


def _because(assessment: Assessment, line: Line) -> tuple[str, ...]:
    circuit, thing_id, customer_id, need_id, service_id, site_id = line
    if not circuit:
        return subscription_because(assessment, customer_id=customer_id, service_id=thing_id)
    return circuit_because(
        assessment, circuit_id=thing_id, customer_id=customer_id, need_id=need_id, service_id=service_id,
        site_id=site_id,
    )  # fmt: skip
