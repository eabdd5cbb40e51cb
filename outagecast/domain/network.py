"""The network: things, what they need, and the links between them, as compact arrays built from the inventory's rows.

A network is built once per version of the inventory and never changes, so that several threads may ask it at once
(`impact.py` does the asking). Circuits number millions and are not in here, except those that something depends on
("pinned"): 100,000 elements and 150,000 distinct needs are some 60 MB.
"""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

from outagecast.domain.needs import Ref, ThingKind, parse_needs, ref_of, split_ref
from outagecast.domain.reachability import Ints, LinkGraph


@dataclass(frozen=True, kw_only=True, slots=True)
class ElementRow:
    """`need`: the expression of `depends_on`. An element with both ends `a` and `z` is a link, whatever its `kind`."""

    id: str
    kind: str
    site: str | None = None
    a: str | None = None
    z: str | None = None
    gateway: bool = False
    need: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceRow:
    id: str
    need: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PinnedCircuitRow:
    """A circuit that some need names."""

    id: str
    customer_id: str
    service_id: str | None = None
    site: str | None = None
    need: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Network:
    """Numbers for things, shared needs and alternatives, and who depends on whom.

    `labels[n]` is a thing's ref, a need's number in storage, or None for alternatives; `either[n]` are the members of
    alternatives. The dependants of n are `dependants[start[n]:start[n + 1]]`. Links and their ends are in `links`.
    """

    index: Mapping[Ref, int]
    labels: list[Ref | int | None]
    start: Ints
    dependants: Ints
    either: Mapping[int, tuple[int, ...]]
    links: LinkGraph

    @classmethod
    def build(
        cls,
        *,
        elements: Iterable[ElementRow],
        services: Iterable[ServiceRow],
        needs: Iterable[tuple[int, str]],
        pinned_circuits: Iterable[PinnedCircuitRow],
    ) -> "Network":
        """The network of an inventory; `needs` are the expressions that rows in storage share, with their numbers.

        Every iterable is read once. A name that no row has is a thing of which only a scope can say something.
        ValueError if an expression is malformed.
        """
        builder = _Builder()
        builder.add_elements(elements)
        for service in services:
            builder.attach(builder.number(ref_of(ThingKind.SERVICE, service.id)), service.need)
        for circuit in pinned_circuits:
            builder.add_circuit(circuit)
        for need_id, text in needs:
            builder.attach(builder.new_number(need_id), text)
        return builder.finish()

    def isolated(self) -> tuple[str, ...]:
        """The ids of nodes that have links but, with nothing down, no path to a gateway; none without any gateway."""
        return tuple(self._element_id(node) for node in self.links.without_path())

    def _element_id(self, node: int) -> str:
        return split_ref(str(self.labels[node]))[1]


class _Builder:
    """Numbers things as they are named; rows may name what comes later."""

    def __init__(self) -> None:
        self._index: dict[Ref, int] = {}
        self._labels: list[Ref | int | None] = []
        self._of, self._dependant = array("i"), array("i")
        self._either: dict[int, tuple[int, ...]] = {}
        self._alternatives: dict[tuple[Ref, ...], int] = {}
        self._links: list[tuple[int, int, int]] = []
        self._gateways: list[int] = []
        self._graph_size = 0

    def number(self, ref: Ref) -> int:
        found = self._index.get(ref)
        if found is None:
            found = self._index[ref] = self.new_number(ref)
        return found

    def new_number(self, label: Ref | int | None) -> int:
        self._labels.append(label)
        return len(self._labels) - 1

    def add_elements(self, rows: Iterable[ElementRow]) -> None:
        """Elements get the lowest numbers, so that the graph's arrays need not reach over needs and alternatives."""
        needs: list[tuple[int, str]] = []
        sites: list[tuple[int, str]] = []
        links: dict[int, tuple[int, int]] = {}
        gateways: list[int] = []
        for row in rows:
            number = self.number(ref_of(ThingKind.ELEMENT, row.id))
            if row.a and row.z:
                links[number] = self._end(row.a), self._end(row.z)
            elif row.gateway:
                gateways.append(number)
            if row.need:
                needs.append((number, row.need))
            if row.site:
                sites.append((number, row.site))
        self._graph_size = len(self._labels)
        self._gateways = gateways
        for number, (a, z) in links.items():
            if a in links or z in links:  # what rides on another link is no way of its own: it needs it
                self._depend(number, a)
                self._depend(number, z)
            else:
                self._links.append((number, a, z))
        for number, site in sites:
            self._depend(number, self.number(ref_of(ThingKind.SITE, site)))
        for number, text in needs:
            self.attach(number, text)

    def add_circuit(self, row: PinnedCircuitRow) -> None:
        number = self.number(ref_of(ThingKind.CIRCUIT, row.id))
        self._depend(number, self.number(ref_of(ThingKind.CUSTOMER, row.customer_id)))
        if row.service_id:
            self._depend(number, self.number(ref_of(ThingKind.SERVICE, row.service_id)))
        if row.site:
            self._depend(number, self.number(ref_of(ThingKind.SITE, row.site)))
        self.attach(number, row.need)

    def attach(self, number: int, text: str | None) -> None:
        for term in parse_needs(text).terms if text else ():
            self._depend(number, self.number(term[0]) if len(term) == 1 else self._one_of(term))

    def finish(self) -> Network:
        start, dependants = self._by_need()
        return Network(
            index=self._index,
            labels=self._labels,
            start=start,
            dependants=dependants,
            either=self._either,
            links=LinkGraph.build(size=self._graph_size, gateways=self._gateways, links=self._links),
        )

    def _end(self, element_id: str) -> int:
        return self.number(ref_of(ThingKind.ELEMENT, element_id))

    def _depend(self, dependant: int, of: int) -> None:
        self._of.append(of)
        self._dependant.append(dependant)

    def _one_of(self, term: tuple[Ref, ...]) -> int:
        found = self._alternatives.get(term)
        if found is None:
            found = self._alternatives[term] = self.new_number(None)
            self._either[found] = tuple(self.number(ref) for ref in term)
            for member in self._either[found]:
                self._depend(found, member)
        return found

    def _by_need(self) -> tuple[Ints, Ints]:
        """A counting sort of all pairs by what is needed: where each one's dependants begin, and the dependants."""
        counts = array("i", bytes(4 * (len(self._labels) + 1)))
        for of in self._of:
            counts[of + 1] += 1
        start = array("i", accumulate(counts))
        place, sorted_ = start[:], array("i", bytes(4 * len(self._dependant)))
        for of, dependant in zip(self._of, self._dependant, strict=True):
            sorted_[place[of]] = dependant
            place[of] += 1
        return start, sorted_
