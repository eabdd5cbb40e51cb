"""The pages' templates: one Jinja environment for HTML, everything escaped, nothing undefined."""

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from outagecast.domain.levels import Level
from outagecast.web import times

MARKS: Mapping[str, tuple[str, str]] = {
    "outage": ("■", "Outage"),
    "degraded": ("◆", "Degraded"),
    "reduced_redundancy": ("◐", "Reduced redundancy"),
    "no_impact": ("●", "OK"),
    "maintenance": ("▲", "Maintenance"),
}
"""Each state has a shape and a word; its colour stands in the style sheet under the class of the same name."""


class Pages:
    """Renders pages by name from `templates/web`. Times are shown in the zone given, the distance from `clock()`."""

    def __init__(
        self, templates: Path, *, zone: tzinfo, clock: Callable[[], datetime], shared: Mapping[str, Any]
    ) -> None:
        self._clock = clock
        self._zone = zone
        self._environment = Environment(
            loader=FileSystemLoader(templates / "web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals.update(shared)
        self._environment.filters.update(
            count=count,
            mark=mark,
            word=word,
            plural=plural,
            duration=times.duration,
            reach=reach,
        )

    def render(self, name: str, /, *, zone: tzinfo | None = None, status: int = 200, **values: Any) -> web.Response:
        """A whole page as an answer."""
        return web.Response(text=self.text(name, zone=zone, **values), content_type="text/html", status=status)

    def text(self, name: str, /, *, zone: tzinfo | None = None, **values: Any) -> str:
        now, shown_in = self._clock(), zone or self._zone

        def clock(at: datetime, *, seconds: bool = False) -> Markup:
            # Digits and a zone's letters, nothing anybody wrote: put together without Markup.format, which takes
            # ten times as long, a fifth of a board with 50 outages.
            shown = times.clock(at, shown_in, now, seconds=seconds)
            return Markup(f'<time datetime="{at.isoformat(timespec="seconds")}">{shown}</time>')

        def distance(at: datetime) -> Markup:
            """Counts by itself where scripts run: `data-at` is in milliseconds since 1970."""
            return Markup(f'<span class="far" data-at="{int(at.timestamp() * 1000)}">{times.distance(at, now)}</span>')

        return self._environment.get_template(name).render(now=now, clock=clock, distance=distance, **values)


def count(number: int) -> str:
    """`1,204`."""
    return f"{number:,}"


def plural(number: int, one: str, many: str = "") -> str:
    """`1 customer`, `1,204 customers`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def reach(by_level: Mapping[str, Mapping[str, int]]) -> int:
    """How many customers hear by themselves: reduced redundancy is told to those only who asked for it."""
    return sum(counts.get("customers", 0) for level, counts in by_level.items() if level != "reduced_redundancy")


def mark(level: Level | str) -> Markup:
    """A level's shape and word, with its colour as a class."""
    name = level.word if isinstance(level, Level) else level
    shape, says = MARKS[name]
    return Markup('<span class="state {}"><span aria-hidden="true">{}</span> {}</span>').format(name, shape, says)


def word(name: str) -> str:
    """An enum's word as people read it: `held_back` is "held back"."""
    return name.replace("_", " ")
