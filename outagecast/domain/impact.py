"""Who is how badly off when things are down: pure, from a network and a scope to levels with their causes.

The levels are the least ones that satisfy every rule at once, so the order in which things are named or found does not
matter, and naming more never makes anything better. `circuit_level` tells any circuit's level from its row.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from outagecast.domain.levels import Level
from outagecast.domain.needs import Ref, ThingKind, ref_of, split_ref
from outagecast.domain.network import Network

# What a declaration names, each with its declared level. A level of NO_IMPACT names nothing.
Scope: TypeAlias = Mapping[Ref, Level]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Assessment:
    """What is worse than NO_IMPACT, by id; `sites` and `customers` hold what the scope declares, `circuits` the pinned
    and the declared ones, `needs` the shared expressions by their number.
    """

    elements: dict[str, Level]
    services: dict[str, Level]
    sites: dict[str, Level]
    circuits: dict[str, Level]
    customers: dict[str, Level]
    needs: dict[int, Level]
    network: Network = field(repr=False)
    scope: Scope = field(repr=False)
    causes: Mapping[int, int] = field(repr=False)
    """The number of each affected thing's cause; its own number if the scope names it."""
    need_numbers: Mapping[int, int] = field(repr=False)

    def because(self, ref: Ref) -> tuple[Ref, ...]:
        """The causes of a thing's level, nearest first; the last one is named in the scope. `need:17` asks for a need.

        A thing named itself has itself; what is not affected has none. For a node that lost its paths the cause is what
        cut it, for lost redundancy what took the second path or the alternative away.
        """
        kind, thing_id = split_ref(ref)
        number = self.need_numbers.get(int(thing_id)) if kind is ThingKind.NEED else self.network.index.get(ref)
        if number is None:
            return (ref,) if self.scope.get(ref, Level.NO_IMPACT) else ()
        return self._chain(number)

    def _chain(self, number: int) -> tuple[Ref, ...]:
        cause = self.causes.get(number)
        chain: list[Ref] = []
        while cause is not None:
            label = self.network.labels[cause]
            if isinstance(label, str):  # needs and alternatives only lead from thing to thing
                chain.append(label)
            number, cause = cause, self.causes[cause] if cause != number else None
        return tuple(dict.fromkeys(chain))


def union(scopes: Iterable[Scope]) -> Scope:
    """All of the scopes together: of each thing the worst that any of them says."""
    together: dict[Ref, Level] = {}
    for scope in scopes:
        for ref, level in scope.items():
            together[ref] = max(level, together.get(ref, Level.NO_IMPACT))
    return together


def touched(*, alone: Level, together: Level, without: Level) -> bool:
    """Does an outage touch a thing? `alone`: its level by this outage's scope only; `together`: by the union of all
    open scopes; `without`: by the union of the others.
    """
    return alone > Level.NO_IMPACT or together > without


def assess(network: Network, scope: Scope) -> Assessment:
    """What the scope does, every named thing at its declared level at the least. ValueError if it names a need."""
    spread = _Spread(network, scope)
    # An effect is never worse than its cause, so that each level is complete before the next milder one begins.
    for level in (Level.OUTAGE, Level.DEGRADED, Level.REDUCED_REDUNDANCY):
        spread.settle(level)
    return spread.result()


def circuit_level(
    assessment: Assessment,
    *,
    circuit_id: str,
    customer_id: str,
    need_id: int | None,
    service_id: str | None,
    site_id: str | None,
) -> Level:
    """A circuit's level: the worst of what is declared on it, its customer and site, of its need and its service."""
    none = Level.NO_IMPACT
    return max(
        assessment.circuits.get(circuit_id, none),
        assessment.customers.get(customer_id, none),
        none if site_id is None else assessment.sites.get(site_id, none),
        none if need_id is None else assessment.needs.get(need_id, none),
        none if service_id is None else assessment.services.get(service_id, none),
    )


def circuit_because(
    assessment: Assessment,
    *,
    circuit_id: str,
    customer_id: str,
    need_id: int | None,
    service_id: str | None,
    site_id: str | None,
) -> tuple[Ref, ...]:
    """The causes of a circuit's level, nearest first, the last one named in the scope; none if it is not affected."""
    level = circuit_level(
        assessment,
        circuit_id=circuit_id,
        customer_id=customer_id,
        need_id=need_id,
        service_id=service_id,
        site_id=site_id,
    )
    if not level:
        return ()
    if assessment.circuits.get(circuit_id) == level:
        return assessment.because(ref_of(ThingKind.CIRCUIT, circuit_id))
    if assessment.customers.get(customer_id) == level:
        return (ref_of(ThingKind.CUSTOMER, customer_id),)
    if site_id is not None and assessment.sites.get(site_id) == level:
        return (ref_of(ThingKind.SITE, site_id),)
    if need_id is not None and assessment.needs.get(need_id) == level:
        return assessment.because(ref_of(ThingKind.NEED, str(need_id)))
    return _through_service(assessment, str(service_id))


def subscription_level(assessment: Assessment, *, customer_id: str, service_id: str) -> Level:
    """The level of a service without a circuit of its own, for one customer."""
    return max(
        assessment.customers.get(customer_id, Level.NO_IMPACT), assessment.services.get(service_id, Level.NO_IMPACT)
    )


def subscription_because(assessment: Assessment, *, customer_id: str, service_id: str) -> tuple[Ref, ...]:
    """The causes of a subscription's level, as `circuit_because` gives them."""
    level = subscription_level(assessment, customer_id=customer_id, service_id=service_id)
    if not level:
        return ()
    if assessment.customers.get(customer_id) == level:
        return (ref_of(ThingKind.CUSTOMER, customer_id),)
    return _through_service(assessment, service_id)


def _through_service(assessment: Assessment, service_id: str) -> tuple[Ref, ...]:
    service = ref_of(ThingKind.SERVICE, service_id)
    return tuple(dict.fromkeys((service, *assessment.because(service))))


class _Spread:
    """One assessment under way: levels by number, and the cause of each, itself for what the scope names."""

    def __init__(self, network: Network, scope: Scope) -> None:
        self._network, self._scope = network, scope
        self._levels = bytearray(len(network.labels))
        self._causes: dict[int, int] = {}
        self._blocking: list[int] = []  # nodes and links affected by name, site or need: these cut others off
        self._judged = 0  # how many of `_blocking` reachability has seen
        self._half_lost: list[tuple[int, int]] = []  # alternatives of which some are worse, and which one
        self._named = sorted((ref, int(level)) for ref, level in scope.items())  # the order must not show in causes

    def settle(self, level: int) -> None:
        """Finds everything that is at `level`; worse levels must be settled by then."""
        queue: list[int] = []
        for ref, declared in self._named:
            number = self._network.index.get(ref)
            if declared == level and number is not None:
                self._raise(number, level, number, queue, blocks=True)
        if level == Level.REDUCED_REDUNDANCY:
            self._lose_redundancy(queue)
        self._follow(level, queue)
        # Needs cut nodes off, and nodes cut off fail needs, until nothing is added. Lost redundancy cuts nothing.
        while level > Level.REDUCED_REDUNDANCY and self._judged < len(self._blocking):
            self._judged = len(self._blocking)
            queue = []
            for node, why in self._network.links.cut_off(self._blocking, self._levels, level).items():
                self._raise(node, level, why, queue, blocks=False)
            self._follow(level, queue)

    def result(self) -> Assessment:
        by_kind: dict[ThingKind, dict[str, Level]] = {kind: {} for kind in ThingKind}
        needs: dict[int, Level] = {}
        need_numbers: dict[int, int] = {}
        for number in self._causes:
            label, level = self._network.labels[number], Level(self._levels[number])
            if isinstance(label, str):
                kind, thing_id = split_ref(label)
                by_kind[kind][thing_id] = level
            elif label is not None:
                needs[label], need_numbers[label] = level, number
        for ref, declared in self._named:
            kind, thing_id = split_ref(ref)
            if kind is ThingKind.NEED:
                raise ValueError(f"a scope names things, not needs: {ref}")
            if declared and ref not in self._network.index:
                by_kind[kind][thing_id] = Level(declared)
        return Assessment(
            elements=by_kind[ThingKind.ELEMENT],
            services=by_kind[ThingKind.SERVICE],
            sites=by_kind[ThingKind.SITE],
            circuits=by_kind[ThingKind.CIRCUIT],
            customers=by_kind[ThingKind.CUSTOMER],
            needs=needs,
            network=self._network,
            scope=self._scope,
            causes=self._causes,
            need_numbers=need_numbers,
        )

    def _raise(self, number: int, level: int, cause: int, queue: list[int], *, blocks: bool) -> None:
        if self._levels[number] >= level:
            return
        self._levels[number] = level
        self._causes[number] = cause
        queue.append(number)
        if blocks and number < self._network.links.size:
            self._blocking.append(number)

    def _follow(self, level: int, queue: list[int]) -> None:
        """Raises all that depends on what is queued, nearest first."""
        start, dependants, either = self._network.start, self._network.dependants, self._network.either
        links, levels = self._network.links, self._levels
        spares = level > Level.REDUCED_REDUNDANCY  # one alternative that stands spares a thing all but this
        for number in queue:  # grows while it is read
            for dependant in dependants[start[number] : start[number + 1]]:
                if levels[dependant] >= level:
                    continue
                if spares and dependant in either and any(levels[member] < level for member in either[dependant]):
                    self._half_lost.append((dependant, number))
                else:
                    self._raise(dependant, level, number, queue, blocks=True)
            if level == Level.OUTAGE and number < links.size:
                # They block no more than their end does, which is why they need not be looked at again.
                for link in links.links_of(number):
                    self._raise(link, level, number, queue, blocks=False)

    def _lose_redundancy(self, queue: list[int]) -> None:
        level = Level.REDUCED_REDUNDANCY
        for alternatives, lost in self._half_lost:
            self._raise(alternatives, level, lost, queue, blocks=False)
        down = [thing for thing in self._blocking if self._levels[thing] == Level.OUTAGE]
        for node, link in self._network.links.lost_second_path(down, self._levels).items():
            self._raise(node, level, link, queue, blocks=False)
