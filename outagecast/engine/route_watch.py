"""How the routes are, as every sending daemon wrote it down, and whether anything leaves: for the desk of whichever
daemon, the metrics, the estimates, and the alarm.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from time import monotonic

from outagecast.domain.cadence import Ask
from outagecast.domain.message import ChannelName
from outagecast.domain.routes import Carries, Passage, silent_since
from outagecast.engine.alerts import Alerts
from outagecast.engine.house import House
from outagecast.engine.routes import STAFF_PLACE
from outagecast.storage import outages, routes
from outagecast.storage.batches import Record
from outagecast.storage.engine import Connection

PATIENCE = timedelta(minutes=1)
"""So long may a message that is due wait for the first answer before it is said that nothing leaves."""
_BELIEVED = timedelta(minutes=1)
"""A daemon that has not written down its routes for so long no longer sends."""
_SURE = 10.0
"""Seconds for which nothing must have left in a row: after a pause, a hold or a start it takes a moment to begin."""
_SELDOM = 20
"""What waits is counted for a twentieth of the time at the most."""
_TAKES_CUSTOMERS = (Carries.CUSTOMERS.value, Carries.ALL.value)
WORDS: Mapping[str, str] = {ChannelName.EMAIL.value: "E-mail", ChannelName.SMS.value: "SMS"}


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteView:
    """One route over all daemons that send by it. `passage`: DOWN or PROBING where no daemon gets through.

    `senders` daemons send by it, `stuck` of them do not get through. `since` is the earliest of theirs.
    """

    channel: str
    name: str
    place: int
    passage: Passage
    carries: Carries
    since: datetime | None
    code: str
    reason: str
    opened: int
    sent: int
    rate: float
    last_left_at: datetime | None
    senders: int
    stuck: int

    @property
    def is_staff(self) -> bool:
        return self.place == STAFF_PLACE


@dataclass(frozen=True, kw_only=True, slots=True)
class CutOff:
    """A channel by which nothing leaves: `since` when, and why. `messages` are due and wait."""

    since: datetime
    code: str
    reason: str
    messages: int = 0


class RouteWatch:
    """`refresh` reads; what it found stays until the next. `sure_after`: seconds for which nothing must have left."""

    def __init__(self, house: House, *, sure_after: float = _SURE) -> None:
        self._house = house
        self._sure_after = sure_after
        self._suspected: dict[str, float] = {}
        self._told: set[str] = set()
        self._count_again_at = 0.0
        self.seen: tuple[RouteView, ...] = ()
        self.cut: Mapping[str, CutOff] = {}
        self.waiting: Mapping[str, routes.Waiting] = {}

    async def refresh(self) -> None:
        now = self._house.clock()
        async with self._house.db.read() as conn:
            rows = await routes.all_of(conn)
            await self._count(conn, now)
            self.seen = tuple(_views(rows, now - self._house.stretch(_BELIEVED)))
            self.cut = await self._cut_off(conn, rows, now)
        self._house.flow.present = {
            ChannelName(view.channel): view.rate
            for view in self.seen
            if view.carries.value in _TAKES_CUSTOMERS and view.passage is Passage.UP and view.rate > 0
        }
        self._house.flow.cut = frozenset(ChannelName(channel) for channel in self.cut)

    async def _count(self, conn: Connection, now: datetime) -> None:
        """How much waits; the longer counting takes, the more seldom it is done."""
        began = monotonic()
        if began >= self._count_again_at:
            self.waiting = await routes.waiting(conn, now)
            ended = monotonic()
            self._count_again_at = ended + _SELDOM * (ended - began)

    def rate_of(self, channel: str) -> float | None:
        """Messages a second of the house's clock, by a channel at present; None while nothing leaves by it."""
        return None if channel in self.cut else self._house.rate(ChannelName(channel)) / self._house.speed

    async def alarm(self, alerts: Alerts) -> None:
        """Tell staff of a channel by which nothing leaves: once as long as it lasts, by whichever route theirs is."""
        now = self._house.clock()
        self._told &= set(self.cut)
        for channel, cut in self.cut.items():
            if channel in self._told or now - cut.since < self._house.stretch(PATIENCE):
                continue
            async with self._house.db.write() as conn:
                await self._tell(conn, alerts, channel, cut, now)
            self._told.add(channel)

    async def _tell(self, conn: Connection, alerts: Alerts, channel: str, cut: CutOff, now: datetime) -> None:
        """The message needs an outage to stand in: the one whose message is next, else the oldest open one."""
        stuck = await routes.held_up(conn, channel, now)
        row = await outages.get(conn, stuck.outage_id) if stuck else next(iter(await outages.open_ones(conn)), None)
        if row is None or await routes.silence_told(conn, row.id, row.revision):
            return
        silent = WORDS.get(channel, channel), cut.since
        await alerts.ask(conn, row, Ask.SILENCE, now, cut.reason, silent=silent)

    async def _cut_off(self, conn: Connection, rows: Sequence[Record], now: datetime) -> dict[str, CutOff]:
        found: dict[str, CutOff] = {}
        for channel in self._house.channels:
            own = [view for view in self.seen if view.channel == channel.value and not view.is_staff]
            left = [row.last_left_at for row in rows if row.channel == channel.value and row.last_left_at is not None]
            silent = await self._silent(conn, channel.value, max(left, default=None), now)
            down = [view.since for view in own if view.since is not None and view.stuck == view.senders]
            if silent is not None and (not own or len(down) < len(own)):
                reason = "messages are due, and no answer comes" if own else "no daemon sends"
                found[channel.value] = CutOff(since=silent, code="silent", reason=reason, messages=self._due(channel))
            elif own and len(down) == len(own):
                first = own[0]
                since = min(max(down), silent) if silent is not None else max(down)
                found[channel.value] = CutOff(
                    since=since, code=first.code, reason=first.reason, messages=self._due(channel)
                )
        return found

    async def _silent(self, conn: Connection, channel: str, left: datetime | None, now: datetime) -> datetime | None:
        """Cheaply at first; only where it seems so, what a pause or a hold keeps back is told apart."""
        patience = self._house.stretch(PATIENCE)
        planned, begun = self.waiting.get(channel), await routes.oldest_on_the_way(conn, channel)
        seems = [at for at in (planned.due_since if planned else None, begun) if at is not None]
        since = silent_since(due_since=min(seems, default=None), last_left_at=left, now=now, patience=patience)
        if since is not None:
            stuck = await routes.held_up(conn, channel, now)
            due = stuck.due_since if stuck else None
            since = silent_since(due_since=due, last_left_at=left, now=now, patience=patience)
        if since is None:
            self._suspected.pop(channel, None)
            return None
        at = monotonic()
        return since if at - self._suspected.setdefault(channel, at) >= self._sure_after else None

    def _due(self, channel: ChannelName) -> int:
        found = self.waiting.get(channel.value)
        return found.messages if found else 0


def _views(rows: Iterable[Record], living_since: datetime) -> Iterable[RouteView]:
    living = [row for row in rows if row.seen_at > living_since]
    for (channel, place, name), group in groupby(living, key=lambda row: (row.channel, row.place, row.name)):
        each = list(group)
        stuck = [row for row in each if row.passage != Passage.UP.value]
        told = min(stuck, key=lambda row: row.since) if stuck else None
        up = next((row for row in each if row.passage == Passage.UP.value), None)
        yield RouteView(
            channel=channel,
            name=name,
            place=place,
            passage=Passage.UP if up is not None else Passage(each[0].passage),
            carries=_together([Carries(row.carries) for row in each]),
            since=told.since if told else None,
            code=told.code if told else "",
            reason=told.reason if told else "",
            opened=sum(row.opened for row in each),
            sent=sum(row.sent for row in each),
            rate=max(row.rate for row in each),
            last_left_at=max((row.last_left_at for row in each if row.last_left_at is not None), default=None),
            senders=len(each),
            stuck=len(stuck),
        )


def _together(carried: Sequence[Carries]) -> Carries:
    """Whose messages a route takes that each daemon judges by itself."""
    if Carries.ALL in carried or {Carries.CUSTOMERS, Carries.STAFF} <= set(carried):
        return Carries.ALL
    return next((each for each in carried if each is not Carries.NOTHING), Carries.NOTHING)
