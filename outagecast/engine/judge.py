"""How badly off things are under any of the open outages, and which of these touch them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from outagecast.domain.impact import (
    Assessment,
    assess,
    circuit_because,
    circuit_level,
    subscription_because,
    subscription_level,
    touched,
    union,
)
from outagecast.domain.levels import Level
from outagecast.domain.network import Network
from outagecast.engine.reckoned import Extent, NewPlace
from outagecast.storage.places import Bounds, Place
from outagecast.storage.planning_things import Touchable


class Unions:
    """What any subset of some outages does; each subset is assessed once. `sparing`: those that have something back."""

    def __init__(self, network: Network, extents: Mapping[str, Extent]) -> None:
        self._network = network
        self._extents = extents
        self._assessed: dict[frozenset[str], Assessment] = {}
        self.all = frozenset(extents)
        self.sparing = frozenset(o for o, e in extents.items() if e.back)

    def of(self, which: frozenset[str]) -> Assessment:
        found = self._assessed.get(which)
        if found is None:
            scope = union(self._extents[o].scope for o in which)
            found = self._assessed[which] = assess(self._network, scope)
        return found

    def bearing(self, is_back: Callable[[Extent], bool]) -> frozenset[str]:
        """The outages that may bear on a thing: all but those that have it back."""
        if not self.sparing:
            return self.all
        return self.all - {o for o in self.sparing if is_back(self._extents[o])}


class Judge:
    """Levels of things under any subset of the open outages."""

    def __init__(self, network: Network, extents: Mapping[str, Extent]) -> None:
        self._unions = Unions(network, extents)
        self.outages = tuple(extents)

    def parts_touched_by(self, outage_id: str) -> dict[str, list[Any]]:
        """The needs, services, sites, circuits and customers through which an outage may touch things."""
        if outage_id not in self._unions.all:
            return {"need_ids": [], "service_ids": [], "site_ids": [], "circuit_ids": [], "customer_ids": []}
        alone = self._unions.of(frozenset({outage_id}))
        together, without = self._unions.of(self._unions.all), self._unions.of(self._unions.all - {outage_id})
        return {
            "need_ids": worse(alone.needs, together.needs, without.needs),
            "service_ids": worse(alone.services, together.services, without.services),
            "site_ids": worse(alone.sites, together.sites, without.sites),
            "circuit_ids": worse(alone.circuits, together.circuits, without.circuits),
            "customer_ids": worse(alone.customers, together.customers, without.customers),
        }

    def bounds(self, parts: Mapping[str, list[Any]], *, beside: tuple[str, ...]) -> Bounds | None:
        """What these parts reach by place; None where something is back although its place is not."""
        if self._unions.sparing:
            return None
        named = self._unions.of(self._unions.all)  # naming more spares nobody: what any scope names is in here
        return Bounds(
            need_ids=parts["need_ids"],
            service_ids=parts["service_ids"],
            site_ids=parts["site_ids"],
            circuits=list(named.circuits),
            customers=list(named.customers),
            sites=list(named.sites),
            beside=beside,
        )

    def places(self, found: Iterable[Place], outage_id: str) -> tuple[NewPlace, ...] | None:
        """What is new at each place, by every outage that touches it; None if this outage leaves one alone."""
        opened: list[NewPlace] = []
        for place in found:
            line = place.line
            level = self.level(line)
            by = self.touched_by(line, level)
            if outage_id not in by:
                return None
            opened += [
                NewPlace(place=place, outage_id=other, level=level, because=self.because(line, other)) for other in by
            ]
        return tuple(opened)

    def level(self, thing: Touchable) -> Level:
        return level_of(self._unions.of(self._bearing(thing)), thing)

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
                alone=level_of(self._unions.of(frozenset({o})), thing),
                together=level,
                without=level_of(self._unions.of(bearing - {o}), thing),
            )
        )

    def because(self, thing: Touchable, outage_id: str) -> tuple[str, ...]:
        alone = self._unions.of(frozenset({outage_id}))
        return because_of(alone, thing) or because_of(self._unions.of(self._bearing(thing)), thing)

    def _bearing(self, thing: Touchable) -> frozenset[str]:
        return self._unions.bearing(lambda extent: extent.spares(thing))


def level_of(assessment: Assessment, thing: Touchable) -> Level:
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


def because_of(assessment: Assessment, thing: Touchable) -> tuple[str, ...]:
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


def worse(alone: Mapping[Any, Level], together: Mapping[Any, Level], without: Mapping[Any, Level]) -> list[Any]:
    """The parts that one outage makes worse than they are without it."""
    more = (k for k, level in together.items() if k not in alone and level > without.get(k, Level.NO_IMPACT))
    return [*alone, *more]
