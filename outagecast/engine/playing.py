"""Playing a whole outage on a private copy of the database: the real verbs, cadence and outbox on a clock that jumps
from one due moment to the next, and channels that only count.

What leaves goes through the outbox's own claim, mark and finish, at the configured rate; nothing is put into words but
the samples, and there is no wire.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.errors import OutageCastError
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import (
    OPEN,
    Actor,
    ActorKind,
    Change,
    Declaration,
    Ending,
    OutageStatus,
    Restoration,
    Role,
)
from outagecast.domain.script import Act, Step
from outagecast.engine.alerts import Alerts
from outagecast.engine.brakes import Brakes
from outagecast.engine.effects import Effects
from outagecast.engine.house import REACTION, UNLIMITED, House
from outagecast.engine.operations import Operations
from outagecast.engine.planner import Planner
from outagecast.engine.promises import Promises
from outagecast.engine.reckoning import Reckoner
from outagecast.engine.settings import SafetySettings
from outagecast.engine.waves import Waves
from outagecast.storage import claims, outages, rehearsing, wire
from outagecast.storage.engine import Connection
from outagecast.storage.wire import Finish, Mark

SILENT_FOR = timedelta(hours=24)
"""How long a script without an end is played on at the most: by then the slow holding notice has come round."""
QUIET_FOR = timedelta(hours=24)
"""How long after the end what quiet hours hold is waited for."""
MOST_LOOKS = 1500
MOST_MESSAGES = 300_000
"""Some 13,000 a second go through the outbox: half a minute."""
BATCH = 8000
SECOND = timedelta(seconds=1)
SECOND_PERSON = Actor(kind=ActorKind.STAFF, name="a second person", role=Role.ADMIN)


@dataclass(kw_only=True, slots=True)
class PlayedClock:
    """The house's clock in a rehearsal."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


@dataclass(kw_only=True, slots=True)
class Played:
    """What is to be known afterwards besides the rows. `troubles`: steps that could not be done, and why."""

    outage_id: str
    started_at: datetime
    ended_at: datetime
    """What the played clock showed at the end."""
    held_because: str | None = None
    marker: int = 0
    messages: int = 0
    troubles: list[tuple[datetime, str]] = field(default_factory=list)
    stopped: str = ""
    """Why it was not played to its end; "" if it was."""


class Player:
    """One rehearsal in one copy. `house` is the copy's own: its database, its clock. `tell` hears how far it is."""

    def __init__(self, house: House, clock: PlayedClock, tell: Callable[[str], None]) -> None:
        self._house = house
        self._clock = clock
        self._tell = tell
        planner = Planner(house)
        self._reckoner = Reckoner(house.db)
        self._waves = Waves(house, planner)
        effects = Effects(house, self._reckoner, planner, self._waves)
        self._braked = Operations(house, effects, Brakes(house))
        free = replace(house, safety=SafetySettings())
        self._operations = Operations(free, effects, Brakes(free))
        self._promises = Promises(house, self._operations, effects, Alerts(house))
        self._room = {channel: 0.0 for channel in house.channels}
        self._keys = 0

    async def play(self, declaration: Declaration, script: Sequence[Step], *, actor: Actor) -> Played:
        """From the declaration to the end, or as far as the limits allow."""
        house = self._house
        async with house.db.write() as conn:
            marker = await rehearsing.settle(conn)
        start = self._clock.now
        told = await self._braked.declare(replace(declaration, external_ref=""), actor=actor, undo_for=None)
        played = Played(
            outage_id=told.outage_id, started_at=start, ended_at=start, held_because=told.held_because, marker=marker
        )
        if told.state == "draft":
            await self._operations.release(told.outage_id, actor=SECOND_PERSON, undo_for=None)
        await self._play_on(played, list(script), actor)
        played.ended_at = self._clock.now
        return played

    # --- parts ---

    async def _play_on(self, played: Played, steps: list[Step], actor: Actor) -> None:
        start = played.started_at
        ends = any(step.act is Act.RESOLVE for step in steps)
        until = start + (steps[-1].after if steps else timedelta(0)) + (QUIET_FOR if ends else SILENT_FOR)
        for _ in range(MOST_LOOKS):
            await self._tick(played)
            while steps and start + steps[0].after <= self._clock.now:
                await self._act(played, steps.pop(0), actor)
                await self._tick(played)
            if await self._is_over(played, steps):
                return
            if played.messages >= MOST_MESSAGES:
                played.stopped = f"after {played.messages:,} messages, more than are played"
                return
            following = await self._next(played, start + steps[0].after if steps else None)
            if following is None or following > until:
                await self._leave(played, until)
                played.stopped = "" if ends else f"after {SILENT_FOR // timedelta(hours=1)} hours; it was still open"
                return
            await self._leave(played, following)
        played.stopped = f"after {MOST_LOOKS:,} looks at the clock"

    async def _tick(self, played: Played) -> None:
        """As the daemon's (daemon.py), then the first seconds of sending."""
        await self._operations.take_due()
        while await self._waves.advance():
            self._say(played)
        await self._promises.keep()
        async with self._house.db.read() as conn:
            stale = await claims.stale(conn, self._clock.now)
        if stale:
            async with self._house.db.write() as conn:
                await claims.expire(conn, self._clock.now)
        self._say(played)

    async def _act(self, played: Played, step: Step, actor: Actor) -> None:
        now, ops, outage_id = self._clock.now, self._operations, played.outage_id
        try:
            match step.act:
                case Act.SAY:
                    await ops.update(outage_id, Change(message=step.message), actor=actor, undo_for=None)
                case Act.ETA:
                    eta = now + step.eta_in if step.eta_in is not None else None
                    change = Change(message=step.message, eta=eta)
                    await ops.update(outage_id, change, actor=actor, undo_for=None)
                case Act.RESTORE:
                    back = Restoration(scope=step.scope, message=step.message)
                    await ops.restore(outage_id, back, actor=actor, undo_for=None)
                case Act.RESOLVE:
                    await ops.resolve(outage_id, Ending(message=step.message), actor=actor, undo_for=None)
        except OutageCastError as error:
            played.troubles.append((now, f"{step.act}: {error}"))

    async def _is_over(self, played: Played, steps: Sequence[Step]) -> bool:
        if steps:
            return False
        async with self._house.db.read() as conn:
            row = await outages.get(conn, played.outage_id)
            assert row is not None
            if OutageStatus(row.status) in OPEN or row.pending_until is not None:
                return False
            return not await rehearsing.unsaid(conn, played.outage_id)

    async def _next(self, played: Played, scripted: datetime | None) -> datetime | None:
        """The next moment at which anything can change; always later than now."""
        now = self._clock.now
        async with self._house.db.read() as conn:
            due = await rehearsing.next_due(conn, played.outage_id, now)
            backlog = await rehearsing.backlog(conn, now)
        empty = [
            now + REACTION + timedelta(seconds=count / self._rate(ChannelName(channel)))
            for channel, count in backlog.items()
            if ChannelName(channel) in self._room
        ]
        found = [at for at in (due, scripted, *empty) if at is not None]
        return max(min(found), now + SECOND) if found else None

    async def _leave(self, played: Played, until: datetime) -> None:
        """Time passes to `until`; as much leaves meanwhile as the rates allow."""
        now = self._clock.now
        # The first messages leave at once, and "first word" measures that: so the stretch has a short beginning.
        for at in (now + SECOND, until):
            if at > self._clock.now and at <= until:
                seconds = (at - self._clock.now).total_seconds()
                self._clock.now = at
                for channel in self._room:
                    self._room[channel] += seconds * self._rate(channel)
                    await self._send(played, channel)

    async def _send(self, played: Played, channel: ChannelName) -> None:
        while (room := int(self._room[channel])) > 0:
            count = min(room, BATCH)

            async def work(conn: Connection, count: int = count) -> int:
                return await self._one_batch(conn, channel, count)

            sent = await self._house.db.transact(work)
            self._room[channel] -= sent
            played.messages += sent
            self._say(played)
            if sent < count:
                self._room[channel] = 0.0  # what was not needed is not saved up
                return

    async def _one_batch(self, conn: Connection, channel: ChannelName, count: int) -> int:
        now = self._clock.now
        rows = await claims.claim(
            conn, channel=channel, owner="rehearsal", now=now, until=now + timedelta(minutes=5), count=count
        )
        marks = [
            Mark(id=row.id, fence=row.fence, key=f"rehearsal-{self._keys + place}", number=row.attempt + 1, at=now)
            for place, row in enumerate(rows)
        ]
        self._keys += len(marks)
        allowed = await wire.mark(conn, marks, now) if marks else set()
        refused = [claims.Claim(id=mark.id, fence=mark.fence) for mark in marks if mark.id not in allowed]
        await claims.suppress_leased(conn, refused, now)
        await claims.give_back(conn, refused, now + SECOND)
        await wire.finish(conn, [_taken(mark, now) for mark in marks if mark.id in allowed])
        return len(allowed)

    def _rate(self, channel: ChannelName) -> float:
        return self._house.rates.get(channel, 0) or UNLIMITED[channel]

    def _say(self, played: Played) -> None:
        self._tell(f"{_length(self._clock.now - played.started_at)} into the outage, {played.messages:,} messages")


def _taken(mark: Mark, now: datetime) -> Finish:
    return Finish(
        id=mark.id, fence=mark.fence, key=mark.key, state=DeliveryState.ACCEPTED, at=now, outcome="accepted", code="",
        detail="", provider_id=mark.key,
    )  # fmt: skip


def _length(length: timedelta) -> str:
    minutes = length // timedelta(minutes=1)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"
