"""The sums behind the figures."""

import pytest

from tests.bench.arithmetic import fit_power, percentile, ratios, spread_of


def test_a_power_is_found_in_what_was_made_from_it() -> None:
    found = fit_power([(size, 3e-4 * size**1.25) for size in (1e3, 1e4, 1e5, 1e6)])

    assert found.exponent == pytest.approx(1.25)
    assert found.factor == pytest.approx(3e-4)
    assert found.at(2e6) == pytest.approx(3e-4 * 2e6**1.25)


def test_an_exponent_lies_between_those_of_its_steps() -> None:
    found = fit_power([(10, 1.0), (100, 5.0), (1000, 100.0)])

    assert 0.69 < found.exponent < 1.31
    assert found.exponent == pytest.approx(1.0)


@pytest.mark.parametrize("points", [[], [(10, 1.0)], [(10, 1.0), (10, 2.0)], [(10, 1.0), (100, 0.0)]])
def test_nothing_is_fitted_where_nothing_can_be(points: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="nothing can be fitted"):
        fit_power(points)


def test_ratios_are_taken_round_by_round() -> None:
    # The second round ran on a machine half as fast: the medians alone would say 2.5 or 10.
    found = ratios([50, 25, 60], [10, 5, 10])

    assert (found.middle, found.low, found.high, found.rounds) == (5, 5, 6, 3)


def test_ratios_of_uneven_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        ratios([1, 2], [1])


def test_the_spread_is_that_of_the_rounds() -> None:
    found = spread_of([3.0, 9.0, 4.0])

    assert (found.middle, found.low, found.high) == (4.0, 3.0, 9.0)


@pytest.mark.parametrize(("share", "value"), [(0, 1), (0.5, 50), (0.95, 95), (0.99, 99), (1, 100)])
def test_a_percentile_is_a_value_that_was_measured(share: float, value: int) -> None:
    assert percentile(range(100, 0, -1), share) == value


def test_the_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 0.99) == 7.0
