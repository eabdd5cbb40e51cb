"""Who is written to first: tier before voice before the only way before the largest, and why."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagecast.domain.need import Need, NeedReason, NeedRules, need

RULES = NeedRules(tiers=("medical", "gold"), voice=("voice", "phone"))


def rank(tier: str = "", service: str = "Fiber", lines: int = 1, only_way: bool = False) -> int:
    return need(RULES, tiers=[tier], services=[service] * lines, lines=lines, only_way=only_way).rank


def test_the_order_of_need() -> None:
    order = [
        rank("medical", "Fiber"),
        rank("gold", "Hosted Voice", only_way=True),
        rank("gold", "Hosted Voice"),
        rank("gold", only_way=True),
        rank("gold", lines=40),
        rank("gold"),
        rank("bronze", "Phone"),
        rank("", only_way=True),
        rank("", lines=9000),
        rank("", lines=5),
        rank(""),
    ]
    assert order == sorted(order) and len(set(order)) == len(order)


def test_why() -> None:
    every = need(RULES, tiers=["", "gold"], services=["Voice", "phone line"], lines=2, only_way=True)
    assert every.because == (NeedReason.TIER, NeedReason.VOICE, NeedReason.ONLY_WAY, NeedReason.LARGE)
    assert need(RULES, tiers=[], services=[], lines=0, only_way=False).because == ()


@pytest.mark.parametrize(
    ("services", "told"),
    [(["Voice"], True), (["SIP-Voice 2"], True), (["Voice", "Fiber"], False), (["Invoices"], False), ([""], False)],
)
def test_voice_is_all_of_what_is_down(services: list[str], told: bool) -> None:
    found = need(RULES, tiers=[""], services=services, lines=len(services), only_way=False)
    assert (NeedReason.VOICE in found.because) is told


@given(st.sampled_from(["medical", "gold", "silver", ""]), st.booleans(), st.booleans(), st.integers(0, 10**6))
def test_a_rank_is_small_and_never_the_staffs(tier: str, voice: bool, only: bool, lines: int) -> None:
    found: Need = need(RULES, tiers=[tier], services=["voice" if voice else "x"], lines=lines, only_way=only)
    assert 0 <= found.rank < 3 * 4 * 16


def test_each_step_counts_for_more_than_all_below_it() -> None:
    cases = list(product(("medical", "gold", ""), (True, False), (True, False), (50_000, 300, 2, 1)))
    ranks = [rank(tier, "voice" if voice else "x", lines, only) for tier, voice, only, lines in cases]
    assert ranks == sorted(ranks)
