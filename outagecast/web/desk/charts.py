"""Charts as server-side SVG: bars in rows, stacked columns over time, steps. The words stay HTML around them, so that
they are as large on a phone as on a wide screen, and a table beside each says the same in numbers.

No series is told apart by colour alone: the first is solid, the second hatched, the third dotted. Colours come from
classes (desk.css), so that dark mode needs nothing here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH = 600
HEIGHT = 140
_FILLS = ("solid", "hatched", "dotted")
_THIN = 1.5
"""Of the box's units, between one column and the next."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One kind of thing in a chart: its key in the columns, and its word."""

    key: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    label: str
    parts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """From `at` on, the line stands at `value`; both from 0 to 1 of the box, to the right and upwards."""

    at: float
    value: float


def bar(share: float) -> Markup:
    """A bar for a table's cell, as wide as its share (0 to 1) of the cell; the cell says the number."""
    width = round(max(0.0, min(1.0, share)) * WIDTH, 1)
    # The number stands beside it: a screen reader would only hear it twice.
    return Markup(
        '<svg class="graph-bar" viewBox="0 0 {} 10" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<rect class="{}" x="0" y="0" width="{}" height="10"/></svg>'
    ).format(WIDTH, _CLASSES[0], width)


def columns(key: str, title: str, said: str, series: Sequence[Series], found: Sequence[Column]) -> Markup:
    """Stacked columns, the first series at the bottom. `key` is unlike any other chart's on the page; `said` tells in a
    sentence what is to be seen.
    """
    most = max((sum(column.parts.values()) for column in found), default=0) or 1
    wide = WIDTH / max(1, len(found))
    gap = min(_THIN, wide / 4)
    shapes: list[Markup] = []
    for place, column in enumerate(found):
        foot = float(HEIGHT)
        for number, one in enumerate(series):
            tall = column.parts.get(one.key, 0) / most * HEIGHT
            if tall:
                foot -= tall
                shapes.append(_rect(key, number, place * wide + gap, foot, max(wide - 2 * gap, 0.5), max(tall, 0.5)))
    used = range(len(series))
    body = Markup("").join([_patterns(key, used), _BASE, *shapes])
    labels = (
        [found[0].label, found[len(found) // 2].label, found[-1].label]
        if len(found) > 2
        else [column.label for column in found]
    )
    legend = [(_swatch(key, place), one.name) for place, one in enumerate(series)]
    return _figure(key, title, said, body, legend=legend, top=f"{most:,}", bottom="0", labels=labels)


def steps(
    key: str, title: str, said: str, line: Sequence[Step], *, level: float | None, top: str, bottom: str,
    labels: Sequence[str], names: Sequence[str],
) -> Markup:  # fmt: skip
    """A line that stands still between its steps, up to the right edge; `level` is a dashed line across.

    `names`: what the line and the dashed one are.
    """
    points: list[str] = []
    before: float | None = None
    for step in line:
        x, y = round(step.at * WIDTH, 1), round((1 - step.value) * HEIGHT, 1)
        points.append(f"M{x} {y}" if before is None else f"H{x}V{y}")
        before = step.value
    points.append(f"H{WIDTH}")
    shapes = [Markup('<path class="graph-line" d="{}" vector-effect="non-scaling-stroke"/>').format("".join(points))]
    if level is not None:
        y = round((1 - level) * HEIGHT, 1)
        shapes.append(
            Markup('<path class="graph-level" d="M0 {}H{}" vector-effect="non-scaling-stroke"/>').format(y, WIDTH)
        )
    drawn = ("graph-line", "graph-level")
    legend = [
        (_KEY.format(Markup('<path class="{}" d="M0 5H20"/>').format(k)), n) for k, n in zip(drawn, names, strict=False)
    ]
    return _figure(
        key, title, said, Markup("").join([_BASE, *shapes]), legend=legend, top=top, bottom=bottom, labels=labels
    )


# --- below ---

_BASE = Markup('<path class="graph-base" d="M0 {}H{}" vector-effect="non-scaling-stroke"/>').format(HEIGHT, WIDTH)
_KEY = Markup('<svg class="graph-key" viewBox="0 0 20 10" aria-hidden="true">{}</svg>')
_CLASSES = tuple(f"graph-fill {kind}" for kind in _FILLS)


def _figure(
    key: str,
    title: str,
    said: str,
    body: Markup,
    *,
    legend: Sequence[tuple[Markup, str]],
    top: str,
    bottom: str,
    labels: Sequence[str],
) -> Markup:
    keys = Markup("").join(Markup("<li>{} {}</li>").format(mark, name) for mark, name in legend)
    svg = Markup(
        '<svg class="graph-plot" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-labelledby="{}-t {}-d">'
        '<title id="{}-t">{}</title><desc id="{}-d">{}</desc>{}</svg>'
    ).format(WIDTH, HEIGHT, key, key, key, title, key, said, body)
    scale = Markup("").join(Markup("<span>{}</span>").format(label) for label in labels)
    return Markup(
        '<figure class="graph"><figcaption><strong>{}</strong><ul class="graph-keys">{}</ul></figcaption>'
        '<div class="graph-box"><div class="graph-y" aria-hidden="true"><span>{}</span><span>{}</span></div>{}'
        '<div class="graph-x" aria-hidden="true">{}</div></div></figure>'
    ).format(title, keys, top, bottom, svg, scale)


def _swatch(key: str, place: int) -> Markup:
    box = Markup('<rect class="{}" width="20" height="10"{}/>').format(_CLASSES[place], _fill(f"{key}-k{place}", place))
    return _KEY.format(_patterns(f"{key}-k{place}", [place]) + box)


def _rect(key: str, number: int, x: float, y: float, width: float, height: float) -> Markup:
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"{}/>').format(
        _CLASSES[number], round(x, 1), round(y, 1), round(width, 1), round(height, 1), _fill(key, number)
    )


def _fill(key: str, number: int) -> Markup:
    """Solid takes its colour from the class; the others are patterns, whose lines do."""
    return Markup("") if number == 0 else Markup(' fill="url(#{}-{})"').format(key, _FILLS[number])


def _patterns(key: str, numbers: Sequence[int] | range) -> Markup:
    drawn = {
        1: Markup(
            '<pattern id="{}-hatched" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            '<rect class="graph-ground" width="6" height="6"/><path class="graph-hatch" d="M1.5 0V6"/></pattern>'
        ),
        2: Markup(
            '<pattern id="{}-dotted" width="6" height="6" patternUnits="userSpaceOnUse">'
            '<rect class="graph-ground" width="6" height="6"/>'
            '<circle class="graph-dot" cx="3" cy="3" r="1.6"/></pattern>'
        ),
    }
    found = [drawn[number].format(key) for number in numbers if number in drawn]
    return Markup("<defs>{}</defs>").format(Markup("").join(found)) if found else Markup("")
