"""What a part of the benchmark hands back: figures beside their limits, tables, charts, and what was not measured."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.bench.report import Figure


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """`rows` are cells ready to be shown; all columns but the first are aligned as numbers."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One length in a chart of bars, with the lowest and highest round; `ours`: the product's own."""

    label: str
    value: float
    low: float
    high: float
    ours: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Bars:
    title: str
    unit: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """Points (size, cost), and what was fitted to them in words."""

    label: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Curves:
    """Both axes are logarithmic."""

    title: str
    x: str
    y: str
    series: tuple[Series, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """Something that was not measured, and why."""

    what: str
    why: str


@dataclass(kw_only=True, slots=True)
class Section:
    """One part. `about`: what was measured against what, in sentences; `is_whole`: whether it came to its end."""

    name: str
    title: str
    about: str = ""
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    charts: list[Bars | Curves] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    seconds: float = 0.0
    is_whole: bool = True


def broken(sections: Iterable[Section]) -> list[Figure]:
    """The figures that do not keep their limit."""
    return [figure for section in sections for figure in section.figures if not figure.holds]


def shown(value: float) -> str:
    """A figure as people read it: three digits that mean something, and no more."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"
