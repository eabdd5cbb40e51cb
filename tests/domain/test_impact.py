"""The rules of who is touched, one by one, by hand."""

from itertools import pairwise

import pytest

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
from outagecast.domain.network import ElementRow, Network, PinnedCircuitRow, ServiceRow

OUTAGE, DEGRADED, REDUCED, NONE = Level.OUTAGE, Level.DEGRADED, Level.REDUCED_REDUNDANCY, Level.NO_IMPACT


def node(name: str, *, need: str | None = None, site: str | None = None) -> ElementRow:
    return ElementRow(id=name, kind="pop", need=need, site=site)


def gateway(name: str) -> ElementRow:
    return ElementRow(id=name, kind="router", gateway=True)


def link(a: str, z: str, *, name: str | None = None, need: str | None = None) -> ElementRow:
    return ElementRow(id=name or f"{a}-{z}", kind="link", a=a, z=z, need=need)


def network(
    *elements: ElementRow,
    services: dict[str, str | None] | None = None,
    needs: dict[int, str] | None = None,
    circuits: tuple[PinnedCircuitRow, ...] = (),
) -> Network:
    return Network.build(
        elements=elements,
        services=(ServiceRow(id=name, need=need) for name, need in (services or {}).items()),
        needs=(needs or {}).items(),
        pinned_circuits=circuits,
    )


def down(*names: str, level: Level = OUTAGE) -> Scope:
    return {name if ":" in name else f"element:{name}": level for name in names}


def chain(*, length: int) -> Network:
    """GW - N0 - N1 - …"""
    names = ["GW", *(f"N{i}" for i in range(length))]
    return network(gateway("GW"), *(node(n) for n in names[1:]), *(link(a, z) for a, z in pairwise(names)))


def ring() -> Network:
    """GW - A - B - C - GW, with a spur D behind B and a service on C."""
    return network(
        gateway("GW"),
        *(node(name) for name in "ABCD"),
        *(link(*ends.split("-")) for ends in ("GW-A", "A-B", "B-C", "C-GW", "B-D")),
        services={"voice": "C"},
    )


# Rule 1: levels are declared


@pytest.mark.parametrize(
    ("effect", "level"), [(Effect.OUTAGE, OUTAGE), (Effect.DEGRADED, DEGRADED), (Effect.AT_RISK, REDUCED)]
)
def test_what_a_scope_names_has_its_declared_effect(effect: Effect, level: Level) -> None:
    assessment = assess(network(node("A"), needs={1: "A"}), {"element:A": effect.level})
    assert assessment.elements == {"A": level}
    assert assessment.needs == {1: level}


def test_an_empty_scope_touches_nobody() -> None:
    for scope in ({}, down("A", level=NONE)):
        assessment = assess(ring(), scope)
        assert not any(
            (
                assessment.elements,
                assessment.services,
                assessment.sites,
                assessment.circuits,
                assessment.customers,
                assessment.needs,
            )
        )


def test_a_scope_cannot_name_a_need() -> None:
    with pytest.raises(ValueError, match="need:1"):
        assess(network(node("A"), needs={1: "A"}), down("need:1"))


# Rule 2: needs


def test_a_thing_is_as_badly_off_as_the_worst_of_its_needs() -> None:
    both = network(node("A"), node("B"), node("X", need="A;B"), services={"voice": "X"})
    assessment = assess(both, {"element:A": DEGRADED, "element:B": OUTAGE})
    assert assessment.elements["X"] == OUTAGE
    assert assessment.services == {"voice": OUTAGE}
    assert assessment.because("service:voice") == ("element:X", "element:B")


@pytest.mark.parametrize(
    ("a", "b", "level"),
    [
        (NONE, NONE, NONE),
        (OUTAGE, NONE, REDUCED),
        (NONE, REDUCED, REDUCED),
        (OUTAGE, DEGRADED, DEGRADED),
        (REDUCED, OUTAGE, REDUCED),
        (OUTAGE, OUTAGE, OUTAGE),
    ],
)
def test_alternatives_are_as_good_as_the_best_but_redundancy_is_lost_with_any(a: Level, b: Level, level: Level) -> None:
    assessment = assess(network(node("A"), node("B"), needs={7: "A|B"}), {"element:A": a, "element:B": b})
    assert assessment.needs.get(7, NONE) == level


def test_the_cause_of_lost_redundancy_is_the_alternative_that_went() -> None:
    assessment = assess(network(node("A"), node("B"), node("P"), needs={7: "A|B;P"}), down("B"))
    assert assessment.because("need:7") == ("element:B",)


def test_needs_reach_through_services_sites_and_circuits_of_others() -> None:
    carried = network(
        node("SBC-1"),
        services={"voice": "SBC-1"},
        circuits=(PinnedCircuitRow(id="C1", customer_id="carrier", service_id="voice", site="LEX", need=None),),
        needs={1: "circuit:C1", 2: "site:LEX"},
    )
    by_element = assess(carried, down("SBC-1"))
    assert (by_element.circuits, by_element.needs) == ({"C1": OUTAGE}, {1: OUTAGE})
    assert by_element.because("need:1") == ("circuit:C1", "service:voice", "element:SBC-1")
    by_site = assess(carried, down("site:LEX", level=DEGRADED))
    assert (by_site.sites, by_site.needs) == ({"LEX": DEGRADED}, {1: DEGRADED, 2: DEGRADED})
    assert assess(carried, down("customer:carrier")).needs == {1: OUTAGE}
    assert assess(carried, down("circuit:C1")).because("need:1") == ("circuit:C1",)


def test_a_site_gives_its_level_to_its_elements_and_circuits() -> None:
    assessment = assess(network(node("A", site="LEX"), node("B"), needs={1: "A"}), down("site:LEX"))
    assert assessment.elements == {"A": OUTAGE}
    assert assessment.because("need:1") == ("element:A", "site:LEX")

    def at(site_id: str) -> Level:
        return circuit_level(
            assessment, circuit_id="C9", customer_id="K", need_id=None, service_id=None, site_id=site_id
        )

    assert (at("LEX"), at("CVG")) == (OUTAGE, NONE)


def test_a_circuit_is_the_worst_of_itself_its_customer_site_need_and_service() -> None:
    served = network(node("A"), node("S"), services={"voice": "S"}, needs={1: "A"})

    def of(scope: Scope) -> tuple[Level, tuple[str, ...]]:
        assessment = assess(served, scope)
        return (
            circuit_level(assessment, circuit_id="C1", customer_id="K1", need_id=1, service_id="voice", site_id="LEX"),
            circuit_because(
                assessment, circuit_id="C1", customer_id="K1", need_id=1, service_id="voice", site_id="LEX"
            ),
        )

    assert of({}) == (NONE, ())
    assert of(down("A")) == (OUTAGE, ("element:A",))
    assert of(down("S", level=DEGRADED)) == (DEGRADED, ("service:voice", "element:S"))
    assert of(down("service:voice")) == (OUTAGE, ("service:voice",))
    assert of(down("circuit:C1")) == (OUTAGE, ("circuit:C1",))
    assert of(down("customer:K1")) == (OUTAGE, ("customer:K1",))
    assert of(down("site:LEX")) == (OUTAGE, ("site:LEX",))
    assert of({"circuit:C1": DEGRADED, "element:A": OUTAGE}) == (OUTAGE, ("element:A",))


def test_a_subscription_is_the_worse_of_its_customer_and_its_service() -> None:
    assessment = assess(network(node("S"), services={"voice": "S"}), {"element:S": DEGRADED, "customer:K1": OUTAGE})
    assert subscription_level(assessment, customer_id="K1", service_id="voice") == OUTAGE
    assert subscription_because(assessment, customer_id="K1", service_id="voice") == ("customer:K1",)
    assert subscription_level(assessment, customer_id="K2", service_id="voice") == DEGRADED
    assert subscription_because(assessment, customer_id="K2", service_id="voice") == ("service:voice", "element:S")
    assert subscription_level(assessment, customer_id="K2", service_id="tv") == NONE
    assert subscription_because(assessment, customer_id="K2", service_id="tv") == ()


def test_a_link_is_down_when_named_when_a_need_is_or_when_an_end_is() -> None:
    plain = network(node("A"), node("B"), node("DUCT"), link("A", "B", name="L", need="DUCT"), needs={1: "L"})
    for name, because in (
        ("L", ("element:L",)),
        ("DUCT", ("element:L", "element:DUCT")),
        ("B", ("element:L", "element:B")),
    ):
        assessment = assess(plain, down(name))
        assert assessment.elements["L"] == OUTAGE
        assert assessment.because("need:1") == because


def test_a_degraded_end_does_not_degrade_the_link_but_a_degraded_need_does() -> None:
    plain = network(node("A"), node("B"), node("DUCT"), link("A", "B", name="L", need="DUCT"))
    assert assess(plain, down("A", level=DEGRADED)).elements == {"A": DEGRADED}
    assert assess(plain, down("DUCT", level=DEGRADED)).elements == {"DUCT": DEGRADED, "L": DEGRADED}


def test_a_link_that_ends_at_another_link_needs_it() -> None:
    assert assess(
        network(node("A"), node("B"), link("A", "B"), link("A", "A-B", name="wave")), down("A-B")
    ).elements == {
        "A-B": OUTAGE,
        "wave": OUTAGE,
    }


# Rule 3: reachability


def test_a_node_without_a_path_left_is_down_because_of_what_cut_it() -> None:
    assessment = assess(chain(length=3), down("N0-N1"))
    assert assessment.elements == {"N0-N1": OUTAGE, "N1": OUTAGE, "N1-N2": OUTAGE, "N2": OUTAGE}
    assert assessment.because("element:N2") == ("element:N0-N1",)
    assert assessment.because("element:N1-N2") == ("element:N1", "element:N0-N1")


def test_a_ring_cut_once_loses_its_redundancy_and_what_hangs_on_it_had_none() -> None:
    assessment = assess(ring(), down("A-B"))
    assert assessment.elements == {"A-B": OUTAGE, "A": REDUCED, "B": REDUCED, "C": REDUCED}
    assert assessment.because("element:C") == ("element:A-B",)
    assert assessment.because("service:voice") == ("element:C", "element:A-B")


def test_a_ring_cut_twice_is_cut_off_between_the_cuts() -> None:
    assessment = assess(ring(), down("GW-A", "B-C"))
    assert {name: assessment.elements[name] for name in "ABCD"} == {"A": OUTAGE, "B": OUTAGE, "C": REDUCED, "D": OUTAGE}
    assert assessment.because("element:D") in [("element:GW-A",), ("element:B-C",)]
    assert assessment.because("element:C") == ("element:B-C",)


def test_a_node_down_in_the_ring_takes_its_links_along_and_leaves_one_way_round() -> None:
    assessment = assess(ring(), down("A"))
    assert assessment.elements == {"A": OUTAGE, "GW-A": OUTAGE, "A-B": OUTAGE, "B": REDUCED, "C": REDUCED}
    assert assessment.because("element:B") in [("element:GW-A", "element:A"), ("element:A-B", "element:A")]


def test_a_node_is_degraded_when_every_path_left_passes_something_degraded() -> None:
    one_way = assess(ring(), down("A-B", level=DEGRADED))
    assert one_way.elements == {"A-B": DEGRADED}
    both_ways = assess(ring(), {"element:A-B": OUTAGE, "element:C-GW": DEGRADED})
    assert both_ways.elements == {
        "A-B": OUTAGE, "C-GW": DEGRADED, "A": REDUCED, "B": DEGRADED, "C": DEGRADED, "D": DEGRADED,
    }  # fmt: skip
    for name in "BCD":
        assert both_ways.because(f"element:{name}") == ("element:C-GW",)


def test_a_degraded_gateway_degrades_those_who_have_no_other() -> None:
    two = network(gateway("G1"), gateway("G2"), node("A"), node("B"), link("A", "G1"), link("B", "G1"), link("B", "G2"))
    assessment = assess(two, down("G1", level=DEGRADED))
    assert assessment.elements == {"G1": DEGRADED, "A": DEGRADED}
    assert assessment.because("element:A") == ("element:G1",)


def test_a_gateway_that_is_down_is_no_gateway() -> None:
    two = network(gateway("G1"), gateway("G2"), node("A"), node("B"), link("A", "G1"), link("B", "G1"), link("B", "G2"))
    assert assess(two, down("G1")).elements == {
        "G1": OUTAGE, "A-G1": OUTAGE, "B-G1": OUTAGE, "A": OUTAGE, "B": REDUCED,
    }  # fmt: skip


def test_gateways_count_as_one_place_and_do_not_need_each_other() -> None:
    two = network(gateway("G1"), gateway("G2"), node("A"), link("G1", "G2"), link("A", "G1"), link("A", "G2"))
    assert assess(two, down("G1-G2")).elements == {"G1-G2": OUTAGE}
    assert assess(two, down("A-G2")).elements == {"A-G2": OUTAGE, "A": REDUCED}


def test_parallel_links_are_two_ways() -> None:
    pair = network(gateway("GW"), node("A"), link("GW", "A", name="L1"), link("GW", "A", name="L2"))
    assert assess(pair, down("L1")).elements == {"L1": OUTAGE, "A": REDUCED}
    assert assess(pair, down("L1", "L2")).elements == {"L1": OUTAGE, "L2": OUTAGE, "A": OUTAGE}


def test_what_is_at_risk_still_carries_everyone() -> None:
    assert assess(ring(), down("A", level=REDUCED)).elements == {"A": REDUCED}


def test_a_node_that_had_no_path_is_judged_by_its_needs_alone_and_listed() -> None:
    island = network(
        gateway("GW"), node("A"), link("GW", "A"), node("X", need="A"), node("Y"), link("X", "Y"), node("Z")
    )
    assert sorted(island.isolated()) == ["X", "Y"]
    assert assess(island, down("X-Y")).elements == {"X-Y": OUTAGE}
    assert assess(island, down("A")).elements == {"A": OUTAGE, "GW-A": OUTAGE, "X": OUTAGE, "X-Y": OUTAGE}


def test_nothing_is_isolated_without_gateways_or_without_links() -> None:
    assert network(node("A"), node("B"), link("A", "B")).isolated() == ()
    assert network(gateway("GW"), node("A")).isolated() == ()
    assert network().isolated() == ()


def test_without_a_gateway_paths_say_nothing() -> None:
    assert assess(network(node("A"), node("B"), link("A", "B")), down("A-B")).elements == {"A-B": OUTAGE}


def test_needs_and_paths_feed_each_other() -> None:
    """The cut of A stops the power plant's remote control, which B needs, behind which C is cut off."""
    fed = network(
        gateway("GW"), node("A"), node("B", need="PLANT"), node("C"), node("PLANT", need="A"),
        link("GW", "A"), link("GW", "B"), link("B", "C"), needs={1: "C"},
    )  # fmt: skip
    assessment = assess(fed, down("GW-A"))
    assert assessment.needs == {1: OUTAGE}
    assert assessment.because("need:1") == (
        "element:C", "element:B", "element:PLANT", "element:A", "element:GW-A",
    )  # fmt: skip


def test_needs_in_a_circle_hold_each_other_up_until_one_is_named() -> None:
    circle = network(node("A", need="B"), node("B", need="A"))
    assert assess(circle, {}).elements == {}
    assessment = assess(circle, down("A"))
    assert assessment.elements == {"A": OUTAGE, "B": OUTAGE}
    assert assessment.because("element:B") == ("element:A",)


def test_a_chain_deeper_than_the_recursion_limit() -> None:
    long = chain(length=5_000)
    assert len(assess(long, down("GW-N0")).elements) == 10_000
    assert assess(long, down("N2499-N2500")).because("element:N4999") == ("element:N2499-N2500",)


def test_a_name_that_no_row_has_counts_only_when_a_scope_names_it() -> None:
    loose = network(node("A", need="GONE"))
    assert assess(loose, {}).elements == {}
    assert assess(loose, down("GONE")).elements == {"GONE": OUTAGE, "A": OUTAGE}
    assert assess(loose, down("circuit:C7")).circuits == {"C7": OUTAGE}
    assert assess(loose, down("circuit:C7")).because("circuit:C7") == ("circuit:C7",)


def test_a_malformed_need_in_a_row_is_refused() -> None:
    with pytest.raises(ValueError, match="empty alternative"):
        network(node("A", need="B|"))


# Causes


def test_what_is_named_is_its_own_cause_and_what_is_well_has_none() -> None:
    assessment = assess(ring(), down("A"))
    assert assessment.because("element:A") == ("element:A",)
    assert assessment.because("element:D") == ()
    assert assessment.because("element:unheard-of") == ()
    assert assessment.because("need:404") == ()


def test_what_is_named_but_worse_off_for_another_reason_says_that_reason() -> None:
    assessment = assess(chain(length=2), {"element:N1": DEGRADED, "element:N0": OUTAGE})
    assert assessment.elements["N1"] == OUTAGE
    assert assessment.because("element:N1") == ("element:N0",)


# Rule 4: all open outages together


def test_the_union_takes_the_worst_of_each() -> None:
    assert union([]) == {}
    assert union([down("A", level=DEGRADED), {"element:A": OUTAGE, "site:S": DEGRADED}, down("A")]) == {
        "element:A": OUTAGE,
        "site:S": DEGRADED,
    }


def test_two_cuts_that_harm_nobody_alone_touch_together() -> None:
    """Each cut alone takes the redundancy; together they cut off, so both touch B with an OUTAGE."""
    one, other = down("GW-A"), down("B-C")

    def of(assessment: Assessment) -> Level:
        return assessment.elements.get("D", NONE)

    alone, together, without = (of(assess(ring(), s)) for s in (one, union([one, other]), other))
    assert (alone, together, without) == (NONE, OUTAGE, NONE)
    assert touched(alone=alone, together=together, without=without)
    assert touched(alone=OUTAGE, together=OUTAGE, without=OUTAGE)
    assert not touched(alone=NONE, together=OUTAGE, without=OUTAGE)
