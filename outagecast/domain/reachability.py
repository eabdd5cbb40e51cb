"""Which nodes still reach a gateway, and over how many ways: the graph of nodes and links.

Things are the small integers that `network.py` gives them. All gateways count as one place. Every walk is a loop with
its own stack, as real networks are deeper than the recursion limit.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TypeAlias

from outagecast.domain.levels import Level

# array[int] cannot be written out before Python 3.12.
Ints: TypeAlias = "array[int]"

_OUTAGE, _DEGRADED = int(Level.OUTAGE), int(Level.DEGRADED)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LinkGraph:
    """The undisturbed network.

    Around node v, the places start[v] to start[v + 1] of `far` and `via` are its neighbours and the links to them.
    `child[link]` is the node that hangs by this link in a tree of shortest paths from the gateways, else -1: only what
    is below a thing in that tree can lose its path when the thing goes down. `had_two` marks the nodes with two
    edge-disjoint paths, and the links between such nodes: the rest of the network has no redundancy to lose.
    """

    start: Ints
    far: Ints
    via: Ints
    gateways: tuple[int, ...]
    child: Ints
    had_path: bytes
    had_two: bytes

    @classmethod
    def build(cls, *, size: int, gateways: Sequence[int], links: Iterable[tuple[int, int, int]]) -> "LinkGraph":
        """`size`: one more than the largest thing; `links`: the link and its two ends. Parallel links are two ways."""
        rows = list(links)
        start, far, via = _adjacency(size, rows)
        child, had_path = _shortest_paths(size, gateways, start, far, via)
        bare = cls(
            start=start, far=far, via=via, gateways=tuple(gateways), child=child, had_path=had_path, had_two=had_path
        )
        walk = bare._walk(bytearray(size))
        had_two = bytearray(size)
        for node in gateways:
            had_two[node] = 1
        for node in walk.order:
            parent = walk.parent[node]
            had_two[node] = had_two[parent] and walk.low[node] <= walk.number[parent]
        for link, a, z in rows:
            had_two[link] = had_two[a] and had_two[z]
        return replace(bare, had_two=bytes(had_two))

    @property
    def size(self) -> int:
        """Nodes and links are numbered below this; other things, above it, are no part of the graph."""
        return len(self.had_two)

    def links_of(self, node: int) -> Ints:
        """The links that end at a node; a link whose ends are both there comes twice."""
        return self.via[self.start[node] : self.start[node + 1]]

    def without_path(self) -> list[int]:
        """Nodes that have links and reach no gateway with nothing down; none where there is no gateway at all."""
        if not self.gateways:
            return []
        start, had_path = self.start, self.had_path
        return [node for node in range(len(had_path)) if start[node] < start[node + 1] and not had_path[node]]

    def cut_off(self, blocking: Iterable[int], levels: bytearray, level: int) -> dict[int, int]:
        """The nodes better than `level` to which no path leads over what is better than `level`, and why.

        `blocking`: what is `level` or worse by name, site or need. `levels` must hold OUTAGE for the links of nodes
        that are OUTAGE. For OUTAGE the reason is a thing on the shortest path of old, for DEGRADED one that a path left
        passes.
        """
        below = self._below(blocking)
        clear = self._reattached(below, levels, level)
        cut = {node: why for node, why in below.items() if node not in clear and levels[node] < level}
        if level == _DEGRADED and cut:
            passed = self._first_degraded(below, clear, levels)
            return {node: passed[node] for node in cut}
        return cut

    def lost_second_path(self, down: Iterable[int], levels: bytearray) -> dict[int, int]:
        """The nodes that had two edge-disjoint paths to gateways and have one, and a link by which the other one went.

        `down`: what is OUTAGE by name, site or need; `levels` as for `cut_off`, whose nodes must be OUTAGE by now.
        """
        if not any(self.had_two[thing] for thing in down):
            return {}
        walk = self._walk(levels)
        bridge: dict[
            int, int
        ] = {}  # each lost node, and the node just below the nearest bridge on its way to a gateway
        for node in walk.order:
            parent = walk.parent[node]
            if walk.low[node] > walk.number[parent]:
                bridge[node] = node
            elif parent in bridge:
                bridge[node] = bridge[parent]
        return self._culprits(bridge, walk, levels) if bridge else {}

    def _below(self, blocking: Iterable[int]) -> dict[int, int]:
        """All that hangs below the blocking things in the tree, each with the first thing found above it."""
        start, far, via, child = self.start, self.far, self.via, self.child
        below: dict[int, int] = {}
        for thing in blocking:
            top = child[thing] if child[thing] >= 0 else thing
            if top in below or not self.had_path[top]:
                continue
            below[top] = thing
            stack = [top]
            while stack:
                node = stack.pop()
                for i in range(start[node], start[node + 1]):
                    other = far[i]
                    if child[via[i]] == other and other != node and other not in below:
                        below[other] = thing
                        stack.append(other)
        return below

    def _reattached(self, below: dict[int, int], levels: bytearray, level: int) -> set[int]:
        """Those of `below` that another way leads to: what is not below anything has kept its path."""
        start, far, via = self.start, self.far, self.via
        clear: set[int] = set()
        for node in below:
            if levels[node] < level and any(
                levels[via[i]] < level and far[i] not in below for i in range(start[node], start[node + 1])
            ):
                clear.add(node)
        stack = list(clear)
        while stack:
            node = stack.pop()
            for i in range(start[node], start[node + 1]):
                other = far[i]
                if other in below and other not in clear and levels[other] < level and levels[via[i]] < level:
                    clear.add(other)
                    stack.append(other)
        return clear

    def _first_degraded(self, below: dict[int, int], clear: set[int], levels: bytearray) -> dict[int, int]:
        """For each node without a clean path, the DEGRADED thing that a shortest path to it passes first."""
        start, far, via = self.start, self.far, self.via
        passed = {g: g for g in self.gateways if levels[g] == _DEGRADED}
        for node in below:
            if node in clear or node in passed or levels[node] == _OUTAGE:
                continue
            for i in range(start[node], start[node + 1]):
                if levels[via[i]] < _OUTAGE and (far[i] not in below or far[i] in clear):
                    passed[node] = via[i] if levels[via[i]] == _DEGRADED else node
                    break
        queue = list(passed)
        for node in queue:  # grows while it is read: first in, first out
            for i in range(start[node], start[node + 1]):
                other = far[i]
                if other in below and other not in clear and other not in passed and levels[via[i]] < _OUTAGE:
                    passed[other] = passed[node]
                    queue.append(other)
        return passed

    def _walk(self, levels: bytearray) -> "_Walk":
        """Depth first from the gateways (all numbered 0, so that they are one) over what is not OUTAGE, among the nodes
        that had two ways: a second path never leaves these. Tarjan's low numbers tell the bridges.
        """
        start, far, via, within = self.start, self.far, self.via, self.had_two
        size = len(within)
        number, low, parent, entry, order = [-1] * size, [0] * size, [-1] * size, [-1] * size, []
        place, count = start.tolist(), 0
        roots = [g for g in self.gateways if levels[g] < _OUTAGE]
        for root in roots:
            number[root] = 0
        for root in roots:
            stack = [root]
            while stack:
                node = stack[-1]
                i = place[node]
                if i == start[node + 1]:
                    stack.pop()
                    if stack and low[node] < low[stack[-1]]:
                        low[stack[-1]] = low[node]
                    continue
                place[node] = i + 1
                other, link = far[i], via[i]
                if not within[other] or link == entry[node] or levels[link] == _OUTAGE:
                    continue
                if number[other] < 0:
                    count += 1
                    number[other] = low[other] = count
                    parent[other], entry[other] = node, link
                    order.append(other)
                    stack.append(other)
                elif number[other] < low[node]:
                    low[node] = number[other]
        return _Walk(order=order, number=number, low=low, parent=parent)

    def _culprits(self, bridge: dict[int, int], walk: "_Walk", levels: bytearray) -> dict[int, int]:
        """What took the second way of each lost node: a link that is down and led out of the part behind its bridge.

        Such a part is a run of numbers, so of all its dead links the two that lead to the lowest and to the highest
        number are enough: one of them leads out of the run. A far end that is dead itself has -1: always out.
        """
        lowest: dict[int, tuple[int, int]] = {}
        highest: dict[int, tuple[int, int]] = {}
        last: dict[int, int] = {}
        for node in reversed(bridge):
            last.setdefault(node, walk.number[node])
            for i in range(self.start[node], self.start[node + 1]):
                if levels[self.via[i]] == _OUTAGE and self.had_two[self.far[i]]:
                    end = (walk.number[self.far[i]], self.via[i])
                    lowest[node] = min(lowest.get(node, end), end)
                    highest[node] = max(highest.get(node, end), end)
            parent = walk.parent[node]
            if parent in bridge:
                last[parent] = max(last.get(parent, 0), last[node])
                if node in lowest:
                    lowest[parent] = min(lowest.get(parent, lowest[node]), lowest[node])
                    highest[parent] = max(highest.get(parent, highest[node]), highest[node])
        return {
            node: lowest[top][1] if lowest[top][0] < walk.number[top] else highest[top][1]
            for node, top in bridge.items()
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Walk:
    order: list[int]  # as they were met, gateways left out
    number: list[int]  # -1: never met
    low: list[int]
    parent: list[int]


def _adjacency(size: int, links: list[tuple[int, int, int]]) -> tuple[Ints, Ints, Ints]:
    degree = array("i", bytes(4 * (size + 1)))
    for _, a, z in links:
        degree[a + 1] += 1
        degree[z + 1] += 1
    start = array("i", accumulate(degree))
    place = start[:]
    far, via = array("i", bytes(8 * len(links))), array("i", bytes(8 * len(links)))
    for link, a, z in links:
        far[place[a]], via[place[a]] = z, link
        place[a] += 1
        far[place[z]], via[place[z]] = a, link
        place[z] += 1
    return start, far, via


def _shortest_paths(size: int, gateways: Sequence[int], start: Ints, far: Ints, via: Ints) -> tuple[Ints, bytes]:
    child, had_path = array("i", [-1]) * size, bytearray(size)
    queue = list(gateways)
    for node in queue:
        had_path[node] = 1
    for node in queue:  # grows while it is read
        for i in range(start[node], start[node + 1]):
            if not had_path[far[i]]:
                had_path[far[i]] = 1
                child[via[i]] = far[i]
                queue.append(far[i])
    return child, bytes(had_path)
