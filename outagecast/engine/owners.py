"""Several daemons on one database: who is there, who is gone with rows in his hands, who ticks."""

import os
import socket
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from outagecast.engine.house import House
from outagecast.storage import owners, seats
from outagecast.storage.batches import Record
from outagecast.storage.engine import Connection, Database
from outagecast.storage.owners import Newcomer
from outagecast.storage.presence import Presence
from outagecast.storage.refused import DatabaseRefused
from outagecast.storage.seats import Holder

log = structlog.get_logger(__name__)
BEAT = timedelta(seconds=20)
"""At the latest; a shorter lease is renewed four times."""
REMEMBERED = timedelta(days=1)
"""How long a daemon that was lost stays on the list."""
FRESH = 3
"""Beats without which a daemon is called silent."""


class Role(StrEnum):
    """What a daemon does."""

    ALL = "all"
    WEB = "web"
    """Pages, API, hooks, callbacks, ticking: everything but sending."""
    SENDER = "sender"
    """Sending alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """One daemon, for people. `state`: running, silent (not seen for a while) or lost."""

    owner: str
    role: str
    seat: str
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    state: str
    leads: bool


class Owners:
    """One daemon among those on its database. `owner` is its name in the leases, never used twice."""

    def __init__(self, house: House, presence: Presence, *, owner: str, role: Role, version: str) -> None:
        self._house = house
        self._presence = presence
        self._role = role
        self._version = version
        self._missed: frozenset[str] = frozenset()
        self._nobody_leads = False
        self.owner = owner
        self.lost = 0
        """Daemons that this one found to be gone."""
        self.latest: Sequence[Running] = ()
        """The list as it was last looked at."""

    @property
    def seat(self) -> str:
        return self._presence.seat

    @property
    def every(self) -> timedelta:
        """How often to call `beat`, in real time."""
        return min(BEAT, self._house.delivery.lease / 4)

    async def start(self) -> None:
        """Take our place. DatabaseRefused where another daemon has it, or another machine uses the file."""
        await self._presence.take()
        now = self._house.clock()
        elsewhere = _of_other_machines(self._presence.before)
        async with self._house.db.write() as conn:
            since = now - self._house.stretch(self._house.delivery.lease)
            other = await owners.in_use_elsewhere(conn, elsewhere, since=since) if elsewhere else None
            if other is None:
                await owners.register(conn, self._newcomer(), now)
        if other is not None:
            await self._presence.leave()
            left = (other.seen_at - since) / self._house.speed
            raise DatabaseRefused(
                f"the database is in use on another machine ({other.host}, process {other.pid}): SQLite serves one "
                f"machine. If that one is gone for good, start again in {left.total_seconds():.0f} s"
            )
        await self.beat()

    async def beat(self) -> None:
        """Say that we live, note who does not any more, and look who is there."""
        now = self._house.clock()
        leads = await self._presence.leads()
        dead: frozenset[str] = frozenset()
        if self._role is not Role.SENDER:
            async with self._house.db.read() as conn:
                rows = await owners.everyone(conn)
            dead = await self._dead([row for row in rows if row.lost_at is None and row.owner != self.owner], now)

        async def work(conn: Connection) -> int:
            if not await owners.beat(conn, self.owner, now, leads=leads):
                await owners.register(conn, self._newcomer(), now)
            if self._role is not Role.SENDER:
                await owners.forget(conn, lost_before=now - REMEMBERED)
            return await owners.lost(conn, dead, now) if dead else 0

        self.lost += await self._house.db.transact(work, "beside")
        await self.look()

    async def look(self) -> Sequence[Running]:
        """Who serves this database, those that live first."""
        now = self._house.clock()
        async with self._house.db.read() as conn:
            rows = await owners.everyone(conn)
        since = now - self._house.stretch(self._house.delivery.lease)
        others = [row.leads_at for row in rows if row.owner != self.owner and row.lost_at is None]
        self._nobody_leads = not any(at is not None and at > since for at in others)
        self.latest = [_running(row, now, self._house.stretch(self.every) * FRESH) for row in rows]
        return self.latest

    async def tell(self) -> None:
        """A hint to the other daemons that something was sent."""
        await self._presence.tell()

    async def leads(self) -> bool:
        """Whether to tick. Two that do so at once do no harm, nobody would: so who leads and has not been heard of for
        a lease (it stands still, with its lock in its hands) is stepped in for.
        """
        if self._role is Role.SENDER:
            await self._presence.keep()
            return False
        return await self._presence.leads() or self._nobody_leads

    async def gone(self) -> frozenset[str]:
        """Daemons that are dead and have rows in their hands: found so twice where once may be an accident."""
        async with self._house.db.read() as conn:
            busy = {owner for owner in await owners.with_rows_in_hand(conn, self.owner) if owner is not None}
        if not busy:
            self._missed = frozenset()
            return frozenset()
        dead = frozenset(busy) - await self._presence.living(busy)
        if self._presence.certain:
            return dead
        twice, self._missed = dead & self._missed, dead
        return twice

    async def stop(self) -> None:
        """An orderly end: nobody has to miss us."""
        async with self._house.db.write() as conn:
            await owners.leave(conn, self.owner)

    async def leave(self) -> None:
        """Free our place: the very last."""
        await self._presence.leave()

    async def _dead(self, rows: Sequence[Record], now: datetime) -> frozenset[str]:
        others = [row.owner for row in rows]
        dead = frozenset(others) - await self._presence.living(others)
        if self._presence.certain:
            return dead
        since = now - self._house.stretch(self.every) * FRESH
        return dead & {row.owner for row in rows if row.seen_at < since}

    def _newcomer(self) -> Newcomer:
        return Newcomer(
            owner=self.owner,
            role=self._role.value,
            seat=self.seat,
            host=socket.gethostname(),
            boot=seats.boot_id(),
            pid=os.getpid(),
            version=self._version,
        )


class OwnersGauge(Collector):
    """For Prometheus: how many daemons serve this database, by role and state, and whether this one ticks."""

    def __init__(self, owners: Owners) -> None:
        self._owners = owners

    def collect(self) -> Iterable[Metric]:
        daemons = GaugeMetricFamily(
            "outagecast_daemons",
            "Daemons on this database: running, silent (not seen for a while) or lost within a day.",
            labels=["role", "state"],
        )
        for (role, state), count in sorted(Counter((one.role, one.state) for one in self._owners.latest).items()):
            daemons.add_metric([role, state], count)
        yield daemons
        ticking = any(one.leads and one.owner == self._owners.owner for one in self._owners.latest)
        yield GaugeMetricFamily("outagecast_leads", "1 while this daemon keeps the promises.", value=float(ticking))
        yield CounterMetricFamily("outagecast_daemons_lost", "Daemons found to be gone.", value=self._owners.lost)


async def running(db: Database, now: datetime) -> Sequence[Running]:
    """Everybody on the list, for whoever is no daemon himself."""
    async with db.read() as conn:
        return [_running(row, now, BEAT * FRESH) for row in await owners.everyone(conn)]


def _running(row: Record, now: datetime, fresh: timedelta) -> Running:
    seen = row.seen_at >= now - fresh
    return Running(
        owner=row.owner,
        role=row.role,
        seat=row.seat,
        host=row.host,
        pid=row.pid,
        version=row.version,
        started_at=row.started_at,
        seen_at=row.seen_at,
        state="lost" if row.lost_at is not None else "running" if seen else "silent",
        leads=row.lost_at is None and row.leads_at is not None and row.leads_at >= now - fresh,
    )


def holder(owner: str) -> Holder:
    """This process, as its lock file will name it."""
    return Holder(owner=owner, host=socket.gethostname(), boot=seats.boot_id(), pid=os.getpid())


def _of_other_machines(before: Collection[Holder]) -> list[str]:
    """Owners in the lock files that no run of this machine has made: another host, under another name, in another
    boot. (A container has its own name and shares the boot; a restarted host keeps its name.)
    """
    here, boot = socket.gethostname(), seats.boot_id()
    return [one.owner for one in before if one.host != here and one.boot != boot]
