"""The rules of impact said slowly and plainly, to judge the quick engine by: no code in common with it but the rows.

Every thing is reckoned anew from its definition until nothing changes; paths and disjoint paths are networkx's.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import networkx as nx
from networkx.algorithms.flow import edmonds_karp

from outagecast.domain.levels import Level
from outagecast.domain.network import ElementRow, Network, PinnedCircuitRow, ServiceRow

WAY_OUT = "*the way out*"


@dataclass(frozen=True, kw_only=True)
class Inventory:
    elements: list[ElementRow]
    services: list[ServiceRow] = field(default_factory=list)
    needs: list[tuple[int, str]] = field(default_factory=list)
    circuits: list[PinnedCircuitRow] = field(default_factory=list)

    def build(self) -> Network:
        return Network.build(
            elements=iter(self.elements),
            services=iter(self.services),
            needs=iter(self.needs),
            pinned_circuits=iter(self.circuits),
        )


class Reference:
    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._links = {e.id: e for e in inventory.elements if e.a and e.z}
        self._gateways = {e.id for e in inventory.elements if e.gateway} - set(self._links)
        self._nodes = {str(end) for link in self._links.values() for end in (link.a, link.z)} | self._gateways
        whole = self._graph(lambda _: True)
        self._ways_before = {node: self.ways(whole, node) for node in self._nodes}

    def levels(self, scope: dict[str, Level]) -> dict[str, Level]:
        """Every thing that is worse than NO_IMPACT, by ref; needs as `need:1`."""
        levels = {ref: level for ref, level in scope.items() if level}
        while True:
            reckoned = self._reckon(levels, scope)
            if reckoned == levels:
                return levels
            levels = reckoned

    def isolated(self) -> set[str]:
        if not self._gateways:
            return set()
        return {n for n, ways in self._ways_before.items() if not ways and n not in self._gateways}

    def ways(self, graph: nx.Graph, node: str) -> int:
        """How many edge-disjoint paths lead from the node to any gateway; 2 is two or more, or a gateway itself."""
        if node not in graph:
            return 0
        if node in self._gateways:
            return 2
        return min(2, int(nx.maximum_flow_value(graph, node, WAY_OUT, flow_func=edmonds_karp, cutoff=2)))

    def graph_left(self, levels: dict[str, Level], at_most: Level) -> nx.Graph:
        """What is no worse than `at_most`, all gateways as one; a gateway that stands is kept as a lone mark."""
        return self._graph(lambda element: levels.get(f"element:{element}", Level.NO_IMPACT) <= at_most)

    def _graph(self, stands: Callable[[str], bool]) -> nx.Graph:
        graph = nx.Graph()
        graph.add_nodes_from([WAY_OUT, *(node for node in self._nodes if stands(node))])
        for link in self._links.values():
            a, z = (WAY_OUT if end in self._gateways else end for end in (str(link.a), str(link.z)))
            if a != z and stands(link.id) and stands(str(link.a)) and stands(str(link.z)):
                graph.add_edge(a, z, capacity=graph.get_edge_data(a, z, {"capacity": 0})["capacity"] + 1)
        return graph

    def _reckon(self, levels: dict[str, Level], scope: dict[str, Level]) -> dict[str, Level]:
        def of(ref: str) -> Level:
            return levels.get(ref, Level.NO_IMPACT)

        def need(text: str | None) -> Level:
            return max((self._term(term, levels) for term in (text or "").split(";") if term), default=Level.NO_IMPACT)

        new: dict[str, Level] = dict(scope)

        def worsen(ref: str, *causes: Level) -> None:
            new[ref] = max(new.get(ref, Level.NO_IMPACT), *causes)

        for e in self._inventory.elements:
            worsen(f"element:{e.id}", need(e.need), of(f"site:{e.site}"))
        for link in self._links.values():
            if Level.OUTAGE in (of(f"element:{link.a}"), of(f"element:{link.z}")):
                worsen(f"element:{link.id}", Level.OUTAGE)
        standing = self.graph_left(levels, Level.DEGRADED)
        clean = self.graph_left(levels, Level.REDUCED_REDUNDANCY)
        for node, before in self._ways_before.items():
            worsen(f"element:{node}", self._by_paths(node, before, standing, clean))
        for service in self._inventory.services:
            worsen(f"service:{service.id}", need(service.need))
        for c in self._inventory.circuits:
            parts = (f"customer:{c.customer_id}", f"service:{c.service_id}", f"site:{c.site}")
            worsen(f"circuit:{c.id}", need(c.need), *(of(part) for part in parts))
        for need_id, text in self._inventory.needs:
            worsen(f"need:{need_id}", need(text))
        return {ref: level for ref, level in new.items() if level}

    def _by_paths(self, node: str, before: int, standing: nx.Graph, clean: nx.Graph) -> Level:
        if not before:
            return Level.NO_IMPACT
        now = self.ways(standing, node)
        if not now:
            return Level.OUTAGE
        if node not in clean or not (node in self._gateways or nx.has_path(clean, node, WAY_OUT)):
            return Level.DEGRADED
        return Level.REDUCED_REDUNDANCY if now < before else Level.NO_IMPACT

    @staticmethod
    def _term(term: str, levels: dict[str, Level]) -> Level:
        refs = {name if ":" in name else f"element:{name}" for name in term.split("|")}
        found = [levels.get(ref, Level.NO_IMPACT) for ref in refs]
        floor = Level.REDUCED_REDUNDANCY if len(found) > 1 and max(found) else Level.NO_IMPACT
        return max(min(found), floor)
