"""The few sums behind the figures: medians of ratios, percentiles, and how a cost grows."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp, log
from statistics import median


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """The median of some rounds, with the lowest and the highest."""

    middle: float
    low: float
    high: float
    rounds: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Power:
    """cost = factor · size ** exponent: 1 grows as the size does, below 1 slower, above 1 faster."""

    factor: float
    exponent: float

    def at(self, size: float) -> float:
        return float(self.factor * size**self.exponent)


def spread_of(values: Sequence[float]) -> Spread:
    """ValueError for no values."""
    return Spread(middle=median(values), low=min(values), high=max(values), rounds=len(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Round by round, then their median: a slow minute of the machine slows both sides of one ratio."""
    return spread_of([one / other for one, other in zip(ours, theirs, strict=True)])


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of all stay at or below: nearest rank, so always one that was measured."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, ceil(share * len(ordered) - 1e-9) - 1))]


def fit_power(points: Sequence[tuple[float, float]]) -> Power:
    """Least squares on the logarithms of (size, cost). ValueError for fewer than two sizes or a cost of nothing."""
    if len({size for size, _ in points}) < 2 or any(size <= 0 or cost <= 0 for size, cost in points):
        raise ValueError(f"nothing can be fitted to {points!r}")
    logs = [(log(size), log(cost)) for size, cost in points]
    mean_x = sum(x for x, _ in logs) / len(logs)
    mean_y = sum(y for _, y in logs) / len(logs)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)
    return Power(factor=exp(mean_y - slope * mean_x), exponent=slope)
