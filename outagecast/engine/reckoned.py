"""What a reckoning looks at, and the difference it finds: the values between reckoning and effect."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from outagecast.domain.impact import (
    Scope,
)
from outagecast.domain.levels import Level
from outagecast.domain.network import Network
from outagecast.domain.notices import ThingKey
from outagecast.storage import outages
from outagecast.storage.places import Bounds, Opening, Place
from outagecast.storage.planning_things import Touchable


@dataclass(frozen=True, kw_only=True, slots=True)
class Extent:
    """How far one outage reaches: its scope with areas resolved, and what is back although the scope still names its
    cause.
    """

    scope: Scope
    back: frozenset[tuple[str, str]] = frozenset()
    """(kind, id) of circuits, sites and customers."""

    def spares(self, thing: Touchable) -> bool:
        return bool(self.back) and (
            ("circuit", thing.key.id) in self.back
            or ("customer", thing.key.customer_id) in self.back
            or (thing.site_id is not None and ("site", thing.site_id) in self.back)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """The open outages and the network as read at one moment."""

    generation: int
    inventory: int
    """The version of the inventory the network was built from."""
    network: Network
    extents: Mapping[str, Extent]
    """By outage, the first declared first."""
    episodes: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class NewImpact:
    outage_id: str
    key: ThingKey
    level: Level
    because: tuple[str, ...]
    fresh: bool
    """False where the interval only changes its level."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewPlace:
    """What an outage newly does to all lines of a place that nothing sets apart."""

    place: Place
    outage_id: str
    level: Level
    because: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mass:
    """What is too much to be listed line by line: all of it is newly touched."""

    bounds: Bounds
    open: tuple[NewPlace, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reckoned:
    """The difference that one outage's change makes: impact intervals to close and to open."""

    generation: int
    close: tuple[int, ...] = ()
    open: tuple[NewImpact, ...] = ()
    closed: frozenset[ThingKey] = frozenset()
    """Things whose present interval of the outage itself ends (perhaps for one of another level)."""
    touched: Mapping[ThingKey, Level] = field(default_factory=dict)
    """What the outage touches afterwards, at the union's level."""
    touching: Mapping[ThingKey, tuple[str, ...]] = field(default_factory=dict)
    """All open outages that touch each thing looked at."""
    customers: frozenset[str] = frozenset()
    """Whose impacts change."""
    mass: Mass | None = None
    """What comes on top of all this, where the caller can do without a list of it."""
    all_end: bool = False
    """Every impact of the outage itself ends, listed or not."""

    @property
    def is_listed(self) -> bool:
        return self.mass is None and not self.all_end


def impact_rows(
    reckoned: Reckoned, episodes: Mapping[str, int], *, outage_id: str, from_at: datetime, at: datetime
) -> list[outages.ImpactRow]:
    """The intervals to open as rows: what the outage newly touches lasts since `from_at`, everything else changes
    `at` now.
    """
    return [
        outages.ImpactRow(
            outage_id=new.outage_id,
            episode=episodes[new.outage_id],
            thing_kind=new.key.kind,
            thing_id=new.key.id,
            customer_id=new.key.customer_id,
            level=int(new.level),
            from_at=from_at if new.fresh and new.outage_id == outage_id else at,
            because=new.because,
        )
        for new in reckoned.open
    ]


def opening_rows(
    mass: Mass, episodes: Mapping[str, int], *, outage_id: str, from_at: datetime, at: datetime
) -> list[Opening]:
    """`impact_rows` of the places."""
    return [
        Opening(
            place=new.place,
            outage_id=new.outage_id,
            episode=episodes[new.outage_id],
            level=int(new.level),
            from_at=from_at if new.outage_id == outage_id else at,
            because=new.because,
        )
        for new in mass.open
    ]


def touched_counts(touched: Mapping[ThingKey, Level]) -> dict[str, dict[str, int]]:
    """Customers and things by level, each customer at its worst."""
    worst: dict[str, Level] = {}
    things: dict[Level, int] = {}
    for key, level in touched.items():
        worst[key.customer_id] = max(level, worst.get(key.customer_id, Level.NO_IMPACT))
        things[level] = things.get(level, 0) + 1
    counts: dict[str, dict[str, int]] = {}
    for level in sorted(things, reverse=True):
        customers = sum(1 for value in worst.values() if value is level)
        counts[level.word] = {"customers": customers, "circuits": things[level]}
    return counts
