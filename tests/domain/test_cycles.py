"""Cycles, against networkx."""

from itertools import pairwise

import networkx
from hypothesis import given
from hypothesis import strategies as st

from outagecast.domain.cycles import find_cycles

NODES = st.sampled_from("abcdefgh")


@given(st.dictionaries(NODES, st.lists(NODES, max_size=4)))
def test_one_true_cycle_for_each_knot(edges: dict[str, list[str]]) -> None:
    found = find_cycles(edges)
    for cycle in found:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert all(after in edges[before] for before, after in pairwise(cycle))
    graph = networkx.DiGraph((a, b) for a, ends in edges.items() for b in ends)
    knots = [
        knot for knot in networkx.strongly_connected_components(graph)
        if len(knot) > 1 or any(graph.has_edge(node, node) for node in knot)
    ]  # fmt: skip
    assert sorted(min(knot) for knot in knots) == sorted(cycle[0] for cycle in found)


def test_a_chain_longer_than_the_stack_is_no_trouble() -> None:
    edges = {str(n): [str(n + 1)] for n in range(50_000)} | {"50000": ["0"]}
    (cycle,) = find_cycles(edges)
    assert len(cycle) == 50_002
