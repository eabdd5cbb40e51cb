"""A figure and what it is measured against, in the same run."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """`at_least` and `at_most` are the limits it has to keep; None where it is only shown."""

    name: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def holds(self) -> bool:
        low = self.at_least is None or self.value >= self.at_least
        return low and (self.at_most is None or self.value <= self.at_most)

    def line(self) -> str:
        limit = ""
        if self.at_least is not None:
            limit = f"at least {self.at_least:g}"
        if self.at_most is not None:
            limit = f"at most {self.at_most:g}"
        mark = " " if self.holds else "✗"
        return f"{mark} {self.name:<62} {self.value:>12,.3f} {self.unit:<8} {limit:<16} {self.note}"


def spread(values: Iterable[float]) -> str:
    """Lowest to highest, for the note beside a median."""
    found = sorted(values)
    return f"{found[0]:.3g}–{found[-1]:.3g} over {len(found)} rounds"


def middle(values: Iterable[float]) -> float:
    return median(values)
