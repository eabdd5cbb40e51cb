"""The network as a picture: an SVG of our own from the sites' coordinates, nothing loaded from elsewhere.

What is touched has a shape, a colour (by class) and words: squares are down, diamonds degraded, half-filled circles
have lost their second way, small dots are well. `draw` is all a page needs; the picture stands in `desk/map.html`,
which says the same as text.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from outagecast.storage.views_map import WORST_FIRST, NetworkMap, Place

WIDTH, LOWEST, HIGHEST = 720, 220, 520
_MARGIN = 28
_LEAST = 0.02
"""Degrees a map covers at the least: a village, where all is at one place."""
_LABELS = 14
_CHAR, _LINE = 6.6, 14
"""About what a letter of a label takes, for not writing one over another."""
Href = Callable[[str], str | None]
"""Where a click on `site:ID` or `link:ID` leads (the first link of a way); None: nowhere."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dot:
    """A site on the picture. `label` is "" where there is no room to write it; `says` is read out and on hovering."""

    id: str
    x: float
    y: float
    level: str
    label: str
    left: bool
    """The label stands to the left."""
    says: str
    href: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Stroke:
    x1: float
    y1: float
    x2: float
    y2: float
    level: str
    says: str
    href: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """What `desk/map.html` shows: `touched` sites by level for the text beside it, worst first."""

    width: int
    height: int
    strokes: tuple[Stroke, ...]
    dots: tuple[Dot, ...]
    touched: tuple[Place, ...]
    unplaced: int
    left_out: int
    linked: bool
    """Something on it can be clicked."""


def draw(network: NetworkMap, *, href: Href | None = None) -> Picture | None:
    """The picture of a network (storage/views_map.py `network_map`); None where no site has coordinates."""
    if not network.places:
        return None
    project, height = _projection(network.places)
    at = {place.id: project(place) for place in network.places}
    names = {place.id: place.name for place in network.places}
    lead = href or (lambda _ref: None)
    strokes = [
        Stroke(
            x1=at[way.a][0], y1=at[way.a][1], x2=at[way.z][0], y2=at[way.z][1], level=way.level,
            says=f"{names[way.a]} to {names[way.z]}: {_word(way.level)} ({_some(way.links)})",
            href=lead(f"link:{way.links[0]}") if way.level else None,
        )
        for way in sorted(network.ways, key=lambda way: -_order(way.level))
    ]  # fmt: skip
    touched = sorted((place for place in network.places if place.level), key=lambda p: (_order(p.level), p.name))
    labels = _labels(touched, at)
    dots = [
        Dot(
            id=place.id, x=at[place.id][0], y=at[place.id][1], level=place.level,
            label=place.name if place.id in labels else "", left=labels.get(place.id, False),
            says=f"{place.name}: {_word(place.level)}" + (f" ({_some(place.elements)})" if place.elements else ""),
            href=lead(f"site:{place.id}") if place.level else None,
        )
        for place in sorted(network.places, key=lambda place: -_order(place.level))
    ]  # fmt: skip
    return Picture(
        width=WIDTH,
        height=height,
        strokes=tuple(strokes),
        dots=tuple(dots),
        touched=tuple(touched),
        unplaced=network.unplaced,
        left_out=network.left_out,
        linked=href is not None,
    )


def _projection(places: Sequence[Place]) -> tuple[Callable[[Place], tuple[float, float]], int]:
    """Degrees to picture: equirectangular, shrunk eastwards as at the middle latitude; a lone site in the middle."""
    south, north = min(p.latitude for p in places), max(p.latitude for p in places)
    west, east = min(p.longitude for p in places), max(p.longitude for p in places)
    middle = ((south + north) / 2, (west + east) / 2)
    narrow = max(0.05, math.cos(math.radians(middle[0])))
    across, up = max((east - west) * narrow, _LEAST), max(north - south, _LEAST / 4)
    inner = WIDTH - 2 * _MARGIN
    height = round(min(HIGHEST, max(LOWEST, inner * up / across + 2 * _MARGIN)))
    scale = min(inner / across, (height - 2 * _MARGIN) / up)

    def project(place: Place) -> tuple[float, float]:
        x = WIDTH / 2 + (place.longitude - middle[1]) * narrow * scale
        return round(x, 1), round(height / 2 - (place.latitude - middle[0]) * scale, 1)

    return project, height


def _labels(touched: Sequence[Place], at: dict[str, tuple[float, float]]) -> dict[str, bool]:
    """The worst sites whose name has room, clear of the others' and of the edge: whether it stands on the left side."""
    found: dict[str, bool] = {}
    taken: list[tuple[float, float, float]] = []
    for place in touched:
        x, y = at[place.id]
        length = 10 + len(place.name) * _CHAR
        for left, begin, end in ((False, x - 6, x + length), (True, x - length, x + 6)):
            clear = all(abs(y - line) >= _LINE or end < from_x or begin > to_x for from_x, to_x, line in taken)
            if clear and begin > 0 and end < WIDTH and len(found) < _LABELS:
                found[place.id] = left
                taken.append((begin, end, y))
                break
    return found


def _order(level: str) -> int:
    return WORST_FIRST.index(level) if level else len(WORST_FIRST)


def _word(level: str) -> str:
    return {"outage": "down", "degraded": "degraded", "reduced_redundancy": "reduced redundancy"}.get(level, "well")


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:4]) + (f" and {len(ids) - 4} more" if len(ids) > 4 else "")
