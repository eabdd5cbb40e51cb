"""What needs itself in the end."""

from collections import deque
from collections.abc import Mapping, Sequence


def find_cycles(edges: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """One cycle for each knot of things that need each other, as `[a, b, …, a]`, the least name first.

    Own stacks instead of recursion: chains of needs may be deeper than Python's limit.
    """
    return sorted(_shortest_round(min(knot), frozenset(knot), edges) for knot in _knots(edges))


def _knots(edges: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The strongly connected components that hold a cycle (Tarjan 1972)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    waiting: list[str] = []
    inside: set[str] = set()
    knots: list[list[str]] = []
    for root in edges:
        if root in order:
            continue
        path = [(root, iter(edges.get(root, ())))]
        _enter(root, order, lowest, waiting, inside)
        while path:
            node, ahead = path[-1]
            step = next(ahead, None)
            if step is None:
                path.pop()
                if path:
                    above = path[-1][0]
                    lowest[above] = min(lowest[above], lowest[node])
                if lowest[node] == order[node]:
                    knots.append(_take(node, waiting, inside))
            elif step not in order:
                _enter(step, order, lowest, waiting, inside)
                path.append((step, iter(edges.get(step, ()))))
            elif step in inside:
                lowest[node] = min(lowest[node], order[step])
    return [knot for knot in knots if len(knot) > 1 or knot[0] in edges.get(knot[0], ())]


def _enter(node: str, order: dict[str, int], lowest: dict[str, int], waiting: list[str], inside: set[str]) -> None:
    order[node] = lowest[node] = len(order)
    waiting.append(node)
    inside.add(node)


def _take(node: str, waiting: list[str], inside: set[str]) -> list[str]:
    knot = [waiting.pop()]
    while knot[-1] != node:
        knot.append(waiting.pop())
    inside.difference_update(knot)
    return knot


def _shortest_round(start: str, knot: frozenset[str], edges: Mapping[str, Sequence[str]]) -> list[str]:
    came: dict[str, str] = {}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        for step in edges.get(node, ()):
            if step == start:
                return [*_way(start, node, came), start]
            if step in knot and step not in came:
                came[step] = node
                queue.append(step)
    raise AssertionError(f"{start} is in a knot but on no cycle")


def _way(start: str, node: str, came: Mapping[str, str]) -> list[str]:
    way = [node]
    while way[-1] != start:
        way.append(came[way[-1]])
    return way[::-1]
