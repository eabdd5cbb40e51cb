"""Charts as SVG that stands inside a page: no script, no font, nothing loaded; colours come from the page's classes."""

from html import escape
from math import ceil, floor, log10

from tests.bench.sections import Bar, Bars, Curves, Series, shown

WIDTH = 480
"""Narrow, so that the words can still be read when a phone shows all of it."""
_BAR, _LABEL = 40, 16
_LEFT, _RIGHT, _TOP, _BOTTOM, _HEIGHT = 58, 34, 12, 40, 300
_KEY = 20
COLOURS = 6
"""Classes c0 … c5 of the page."""


def draw(chart: Bars | Curves) -> str:
    """The chart as one `<svg>` element; its title is its name for those who do not see it."""
    return _bars(chart) if isinstance(chart, Bars) else _curves(chart)


def _svg(title: str, height: float, inner: list[str]) -> str:
    name = escape(title)
    head = f'<svg class="chart" viewBox="0 0 {WIDTH} {height:.0f}" role="img" xmlns="http://www.w3.org/2000/svg">'
    return "\n".join([head, f"<title>{name}</title>", *inner, "</svg>"])


# --- bars: a line of words, and below it the length ---


def _bars(chart: Bars) -> str:
    longest = max((max(bar.value, bar.high) for bar in chart.bars), default=1.0) or 1.0
    inner = [part for place, bar in enumerate(chart.bars) for part in _bar(bar, place * _BAR, longest, chart.unit)]
    return _svg(chart.title, len(chart.bars) * _BAR + 4, inner)


def _bar(bar: Bar, top: int, longest: float, unit: str) -> list[str]:
    scale = (WIDTH - 8) / longest
    middle = top + _LABEL + 10
    kind = "ours" if bar.ours else "theirs"
    value = f"{shown(bar.value)} {unit}".strip()
    parts = [
        f'<text x="0" y="{top + _LABEL}">{escape(bar.label)}</text>',
        f'<text class="value" x="{WIDTH}" y="{top + _LABEL}" text-anchor="end">{escape(value)}</text>',
        f'<rect class="{kind}" x="0" y="{middle - 5}" width="{max(1.0, bar.value * scale):.1f}" height="10" rx="2"/>',
    ]
    if bar.high > bar.low:
        low, high = bar.low * scale, bar.high * scale
        ends = f"M{low:.1f} {middle - 4}v8M{high:.1f} {middle - 4}v8"
        parts.append(f'<path class="whisker" d="M{low:.1f} {middle}H{high:.1f}{ends}"/>')
    return parts


# --- curves on logarithmic axes ---


def _curves(chart: Curves) -> str:
    points = [point for one in chart.series for point in one.points]
    x_from, x_to = _decades([x for x, _ in points])
    y_from, y_to = _decades([y for _, y in points])
    right, bottom = WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        across = (log10(x) - x_from) / (x_to - x_from)
        up = (log10(y) - y_from) / (y_to - y_from)
        return _LEFT + across * (right - _LEFT), bottom - up * (bottom - _TOP)

    inner = []
    for decade in range(x_from, x_to + 1):
        across, _ = place(10.0**decade, 10.0**y_from)
        inner.append(f'<path class="grid" d="M{across:.1f} {_TOP}V{bottom}"/>')
        inner.append(f'<text x="{across:.1f}" y="{bottom + 16}" text-anchor="middle">{_power(decade)}</text>')
    for decade in range(y_from, y_to + 1):
        _, up = place(10.0**x_from, 10.0**decade)
        inner.append(f'<path class="grid" d="M{_LEFT} {up:.1f}H{right}"/>')
        inner.append(f'<text x="{_LEFT - 6}" y="{up + 4:.1f}" text-anchor="end">{_power(decade)}</text>')
    inner.append(f'<text x="{right}" y="{_HEIGHT - 6}" text-anchor="end">{escape(chart.x)}</text>')
    inner.append(f'<text x="0" y="{_HEIGHT - 6}">↑ {escape(chart.y)}</text>')
    for number, one in enumerate(chart.series):
        dots = [place(x, y) for x, y in one.points]
        colour = f"c{number % COLOURS}"
        line = " ".join(f"{across:.1f},{up:.1f}" for across, up in dots)
        inner.append(f'<polyline class="line {colour}" points="{line}"/>')
        inner += [f'<circle class="dot {colour}" cx="{across:.1f}" cy="{up:.1f}" r="3.5"/>' for across, up in dots]
    inner += [part for number, one in enumerate(chart.series) for part in _key(number, one)]
    return _svg(chart.title, _HEIGHT + len(chart.series) * _KEY + 4, inner)


def _key(number: int, one: Series) -> list[str]:
    up = _HEIGHT + number * _KEY + 12
    return [
        f'<circle class="dot c{number % COLOURS}" cx="8" cy="{up - 4}" r="5"/>',
        f'<text x="20" y="{up}">{escape(one.label)}</text>',
    ]


def _decades(values: list[float]) -> tuple[int, int]:
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    return low, max(high, low + 1)


def _power(decade: int) -> str:
    return f"{10**decade:,}" if decade >= 0 else f"{10.0**decade:g}"
