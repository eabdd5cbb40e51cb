"""Backups of the running database, and the hold after an old one was put back (I26).

A restored database takes for unsent what has been sent since it was copied. So its daemon sends nothing, to customers
or staff, and plans nothing by itself, until a person has looked and says what is to become of those messages. How an
older database is known: storage/backup.py. While it is held, steps that were decided before still take effect and
waves are planned to their end, so that all that may have been said has its row when the person decides.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from time import monotonic
from typing import Protocol

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from outagecast.domain.errors import Conflict, Invalid
from outagecast.domain.facts import from_micros, to_micros
from outagecast.domain.outage import DAEMON, Actor
from outagecast.domain.timeline import Happened
from outagecast.engine.house import House
from outagecast.storage import backup, health, outages, restored
from outagecast.storage.backup import Beside, Copied, Progress, Standing
from outagecast.storage.engine import Connection, Database

BEAT_SECONDS = 20.0
"""At the latest so often the epoch goes up, even where another process sends."""
CHUNK = 2_000
"""Messages decided about in one transaction: a fraction of a second each."""


class Found(StrEnum):
    """How the database was known to be an old one."""

    BACKUP = "backup"
    """It is a copy made by `outagecast backup`."""
    OLDER = "older"
    """The file beside it knows that it had come further."""
    OTHER = "other"
    """The file beside it belongs to another database."""
    BY_HAND = "by_hand"
    """A person said so."""


class Choice(StrEnum):
    """What becomes of the messages that may have been sent already."""

    SAID = "said"
    """They count as sent; whoever is told next is told with present facts."""
    SEND = "send"
    """They are sent, some of them for the second time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """Why sending is held. `as_of` is when the copy was made, or the last thing it remembers."""

    found: Found
    found_at: datetime
    as_of: datetime | None
    undecided: int
    """Messages that may have been sent already."""

    @property
    def reason(self) -> str:
        """In one line, for whoever reads it anywhere."""
        when = f"{self.as_of:%Y-%m-%d %H:%M} UTC" if self.as_of is not None else "an unknown time"
        what = {
            Found.BACKUP: f"restored from the backup of {when}",
            Found.OLDER: f"an older database was put back, which ends at {when}",
            Found.OTHER: f"another database was put in place, which ends at {when}",
            Found.BY_HAND: f"said to be restored, to the state of {when}",
        }[self.found]
        some = "1 message" if self.undecided == 1 else f"{self.undecided:,} messages"
        return f"{what}; {some} planned before it may have been sent already"


@dataclass(frozen=True, kw_only=True, slots=True)
class Released:
    """`decided`: messages that count as sent now, or that are going to be sent."""

    choice: Choice
    decided: int


class Steps(Protocol):
    """What was decided and has not taken effect (engine/operations.py)."""

    async def take_due(self) -> int: ...


class OpenWaves(Protocol):
    """Revisions that are not planned to their end (engine/waves.py)."""

    async def advance(self) -> int: ...


async def back_up(
    database: Database, target: Path, *, now: datetime, replace: bool = False, progress: Progress
) -> Copied:
    """A sound copy of the database as it is, marked as what it is; of whichever schema, so that one can be made before
    an upgrade. Conflict where the target must not be written, and for a database that is no file.
    """
    path = database.path
    if path is None:
        raise Conflict(
            "only SQLite's file can be copied here: use pg_dump for PostgreSQL, and `outagecast restored hold` before "
            "the first start on what it brings back"
        )
    async with database.read() as conn:
        was = await backup.standing(conn)
    mark = json.dumps({"instance": was.instance, "epoch": was.epoch, "taken_at": to_micros(now)})
    return await asyncio.to_thread(backup.copy, path, target, mark=mark, replace=replace, progress=progress)


class RestoreHold:
    """The hold: recognised at the start, shown while it stands, released by a person. `new_name` names a database."""

    def __init__(self, house: House, steps: Steps, waves: OpenWaves, *, new_name: Callable[[], str]) -> None:
        self._house = house
        self._db = house.db
        self._steps = steps
        self._waves = waves
        self._new_name = new_name
        self._seen = 0
        self._beaten = monotonic()
        self.last: Held | None = None
        """The hold as it was last looked at."""

    async def at_start(self) -> Held | None:
        """Before anything is sent: is this database older than what ran here? From then on it is the present one."""
        known = await asyncio.to_thread(backup.beside, self._db.path) if self._db.path is not None else None
        now = self._house.clock()
        async with self._db.write() as conn:
            was = await backup.standing(conn)
            found = _recognise(was, known, sent=await backup.has_sent(conn))
            if found is not None:
                as_of = _taken_at(was.backup) if found is Found.BACKUP else await health.newest_time(conn)
                await backup.set_restored(conn, _keep(found, now, as_of))
                data = {"found": found.value, "epoch": was.epoch, "beside": known.epoch if known else None}
                await outages.record(
                    conn, at=now, what=Happened.RESTORE_FOUND, actor=DAEMON, why=found.value, data=data
                )
            here = await backup.advance(conn, self._new_name(), beyond=known.epoch if known else 0)
        await self._put_beside(here)
        return await self.look()

    async def look(self) -> Held | None:
        """The hold as it stands, with a fresh count; None when there is none."""
        async with self._db.read() as conn:
            kept = await backup.restored(conn)
            held = _read(kept) if kept else None
            if held is not None:
                count = await restored.undecided(conn, held.found_at)
                held = Held(found=held.found, found_at=held.found_at, as_of=held.as_of, undecided=count)
        self.last = held
        return held

    async def is_held(self) -> bool:
        """Asked at every tick while it is: one row is read, nothing is counted."""
        async with self._db.read() as conn:
            kept = await backup.restored(conn)
        if not kept:
            self.last = None
        return bool(kept)

    async def beat(self, sent: int) -> None:
        """Often: while messages leave (`sent` counts them), the file beside the database says how far it has come."""
        if sent == self._seen and monotonic() - self._beaten < BEAT_SECONDS:
            return
        await self.note()
        self._seen, self._beaten = sent, monotonic()

    async def note(self) -> None:
        """Whatever is copied before this moment is an older database from now on."""
        async with self._db.write() as conn:
            here = await backup.advance(conn, self._new_name())
        await self._put_beside(here)

    async def hold(self, *, actor: Actor) -> Held:
        """A person says that this database is an old one (a snapshot of the whole machine, PostgreSQL's own backup).
        Conflict if it is held already.
        """
        now = self._house.clock()
        async with self._db.write() as conn:
            if await backup.restored(conn):
                raise Conflict("sending is held already after a restore")
            as_of = await health.newest_time(conn)
            await backup.set_restored(conn, _keep(Found.BY_HAND, now, as_of))
            await outages.record(
                conn, at=now, what=Happened.RESTORE_FOUND, actor=actor, why=Found.BY_HAND.value, data={}
            )
        self._house.changes.notify()
        held = await self.look()
        assert held is not None
        return held

    async def release(self, choice: Choice, *, actor: Actor, reason: str = "") -> Released:
        """Send again. Conflict when nothing is held, Invalid for a word that is no choice."""
        held = await self.look()
        if held is None:
            raise Conflict("sending is not held after a restore (any more)")
        # Only what has its row can be decided about.
        await self._steps.take_due()
        while await self._waves.advance():
            pass
        async with self._db.write() as conn:
            await restored.free_leases(conn, self._house.clock(), actor)
            decided = await restored.undecided(conn, held.found_at)
        if choice is Choice.SAID:
            decided = await self._take_as_said(held, actor)
        async with self._db.write() as conn:
            if not await backup.restored(conn):
                raise Conflict("a colleague has released it meanwhile")
            await backup.clear_restored(conn)
            await outages.record(
                conn,
                at=self._house.clock(),
                what=Happened.RESTORE_RELEASED,
                actor=actor,
                why=choice.value,
                data={"messages": decided},
                text=reason.strip(),
            )
        self.last = None
        self._house.changes.notify()
        return Released(choice=choice, decided=decided)

    async def _take_as_said(self, held: Held, actor: Actor) -> int:
        """In transactions short enough for others; the hold stands until the last of them."""
        now, after, total = self._house.clock(), 0, 0

        async def some(conn: Connection) -> list[int]:
            return await restored.take_as_said(conn, held.found_at, now, actor, after=after, most=CHUNK)

        while done := await self._db.transact(some):
            after, total = done[-1], total + len(done)
        return total

    async def _put_beside(self, here: Beside) -> None:
        if self._db.path is not None:
            await asyncio.to_thread(backup.put_beside, self._db.path, here)


class HoldGauge(Collector):
    """For Prometheus: whether sending is held after a restore, and how many messages wait for a decision."""

    def __init__(self, hold: RestoreHold) -> None:
        self._hold = hold

    def collect(self) -> Iterable[Metric]:
        held = self._hold.last
        yield GaugeMetricFamily(
            "outagecast_restore_hold", "1 while sending is held after a restore.", value=1 if held else 0
        )
        yield GaugeMetricFamily(
            "outagecast_restore_undecided",
            "Messages that may have been sent before the restore and wait for a person's decision.",
            value=held.undecided if held else 0,
        )


def choice_of(word: str) -> Choice:
    """Invalid, with what there is to choose from."""
    try:
        return Choice(word)
    except ValueError:
        raise Invalid.one("choice", 'is "said" (they count as sent) or "send" (they are sent)') from None


def _recognise(was: Standing, known: Beside | None, *, sent: bool) -> Found | None:
    if was.restored:
        return None  # it is held already, for the reason that was found first
    if was.backup:
        return Found.BACKUP
    if known is None or not sent:
        return None  # nothing to compare with, or nothing that could be said twice
    if known.instance != was.instance:
        return Found.OTHER
    return Found.OLDER if known.epoch > was.epoch else None


def _keep(found: Found, now: datetime, as_of: datetime | None) -> str:
    kept = {"found": found.value, "found_at": to_micros(now), "as_of": None if as_of is None else to_micros(as_of)}
    return json.dumps(kept)


def _read(kept: str) -> Held:
    found = json.loads(kept)
    as_of = found["as_of"]
    return Held(
        found=Found(found["found"]),
        found_at=from_micros(found["found_at"]),
        as_of=None if as_of is None else from_micros(as_of),
        undecided=0,
    )


def _taken_at(mark: str) -> datetime | None:
    try:
        return from_micros(int(json.loads(mark)["taken_at"]))
    except (ValueError, KeyError, TypeError):
        return None
