"""Everything that runs: the channels, the loops and what the web server is given."""

import asyncio
import contextlib
import fcntl
import gc
import os
import secrets
import socket
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import structlog

from outagecast.channels.sms.channel import SmsChannel
from outagecast.core import Core
from outagecast.domain.cadence import Ask
from outagecast.engine.addresses import Addresses
from outagecast.engine.alerts import Alerts
from outagecast.engine.backup import HoldGauge
from outagecast.engine.blast import Blast
from outagecast.engine.crashpoints import Boundary, Crash, boundary, never
from outagecast.engine.dispatcher import Dispatcher, RouteState
from outagecast.engine.housekeeping import LOOK_EVERY, Housekeeping
from outagecast.engine.imports import Imports
from outagecast.engine.intake import Intake
from outagecast.engine.ledger import Ledger
from outagecast.engine.metrics import Metrics
from outagecast.engine.promises import Promises
from outagecast.engine.receipts import Receipts
from outagecast.engine.recovery import Recovery
from outagecast.engine.scheduler import Scheduler
from outagecast.engine.seals import SEAL_EVERY, Seals
from outagecast.engine.sent_words import SentWords
from outagecast.parts import make_channels, make_hook, make_oidc, make_twilio
from outagecast.resources import templates_folder
from outagecast.storage import deliveries, outages
from outagecast.storage.engine import DatabaseFault, DatabaseRefused
from outagecast.web.services import Provider as WebProvider
from outagecast.web.services import Services

log = structlog.get_logger(__name__)
TICK = timedelta(seconds=0.5)
"""How often due rows are looked for: a promise is a matter of minutes, a command's row should be noticed within a
second.
"""
SLOW_TICK = timedelta(seconds=2)
HEARTBEAT = timedelta(seconds=20)
COUNT_EVERY = timedelta(seconds=15)
"""How often the metrics are counted from rows: about what Prometheus scrapes."""
PATIENCE = timedelta(seconds=25)
"""How long SIGTERM waits for answers that are on their way (rules, "States")."""
STALE_TICK_SECONDS = 15.0
ROUTE_ALARM_AFTER = timedelta(minutes=1)
EVERYTHING = "All sending"
"""What the desk calls the hold after a restore among the ways out."""


class Daemon:
    """Everything that runs: start it, wait, stop it."""

    def __init__(self, core: Core, *, crash: Crash = never) -> None:
        self.core = core
        self._crash = crash
        house, config = core.house, core.config
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._random = Random(secrets.randbits(64))
        self._failed: dict[str, str] = {}
        self.alerts = Alerts(house)
        self.receipts = Receipts(house, self._note_failure, crash=crash)
        self.ledger = Ledger(house.db, house.clock, crash=crash, on_change=house.changes.notify)
        self.channels = make_channels(config, house)
        self.dispatchers = {
            name: Dispatcher(
                house,
                name,
                channel,
                core.words,
                self.ledger,
                owner=self._owner,
                new_key=lambda: secrets.token_urlsafe(16),
                jitter=self._random.random,
                crash=crash,
                on_failure=self._note_failure,
            )
            for name, channel in self.channels.items()
        }
        reconcilers = {name: c for name, c in self.channels.items() if isinstance(c, SmsChannel)}
        self.recovery = Recovery(house, self.receipts, core.words, reconcilers, owner=self._owner, crash=crash)
        self.promises = Promises(house, core.operations, core.effects, self.alerts)
        self.intake = Intake(house, core.operations, core.reckoner, {m.name: m for m in config.monitors})
        self.imports = Imports(
            core.inventory,
            folder=core.db.path.parent if core.db.path is not None else Path(tempfile.gettempdir()),
            clock=house.clock,
            new_id=lambda: secrets.token_urlsafe(16),
            changes=house.changes,
            mapping=config.imports,
        )
        self.scheduler = Scheduler()
        self.metrics = Metrics(
            house.db, house.clock, {n.value: d for n, d in self.dispatchers.items()}, self.ledger, self.receipts
        )
        self._waker: asyncio.Task[None] | None = None
        self._lock: Any = None
        self.housekeeping = Housekeeping(house, config.retention, core.erasure)
        self._sending = False
        self.metrics.registry.register(HoldGauge(core.restored))

    async def start(self) -> None:
        """Take the database for ourselves, recover what a crash left, start the loops."""
        self._lock = _take_lock(self.core.db.path)
        held = await self.core.restored.at_start()
        await self.recovery.at_start()
        await self.core.reckoner.network()
        self.ledger.start()
        if held is None:
            self._start_sending()
        else:
            log.warning("restored", found=held.found.value, undecided=held.undecided, why=held.reason)
        self._waker = asyncio.create_task(self._wake_on_change(), name="waker")
        self.scheduler.every(TICK, "tick", self._tick)
        self.scheduler.every(SLOW_TICK, "slow_tick", self._slow_tick)
        self.scheduler.every(COUNT_EVERY, "metrics", self.metrics.refresh)
        self.scheduler.every(HEARTBEAT, "heartbeat", self.recovery.heartbeat)
        self.scheduler.every(SEAL_EVERY, "seals", Seals(self.core.house.db, self.core.house.clock).seal)
        self.scheduler.every(SLOW_TICK, "watermark", self._note_how_far)
        self.scheduler.every(COUNT_EVERY, "undecided", self._count_undecided)
        self.scheduler.every(LOOK_EVERY, "housekeeping", self.housekeeping.look)
        self.scheduler.start()
        await self._tick()
        await self._slow_tick()
        await self.metrics.refresh()
        self.scheduler.last_tick.update({"tick": monotonic(), "slow_tick": monotonic()})
        _calm_the_collector()

    async def stop(self) -> None:
        """No new claims; what is on the wire is waited for; nothing becomes ambiguous while providers answer."""
        await self.imports.close()
        await self.core.rehearsals.close()
        self.scheduler.stop()
        self.core.house.changes.close()
        await asyncio.gather(*(d.stop(PATIENCE) for d in self.dispatchers.values()))
        await self.ledger.stop()
        if self._sending:
            with contextlib.suppress(DatabaseFault, OSError):  # the last words of this life; the start writes it anew
                await self.core.restored.note()
        if self._waker is not None:
            self._waker.cancel()
            await asyncio.gather(self._waker, return_exceptions=True)
        for channel in self.channels.values():
            await channel.close()
        if self._lock is not None:
            self._lock.close()

    def services(self) -> Services:
        """What the web server is given."""
        core, config = self.core, self.core.config
        return Services(
            provider=WebProvider(
                name=config.provider.name,
                public_url=config.provider.public_url,
                support_phone=config.provider.support_phone,
                support_email=config.provider.support_email,
                timezone=config.provider.timezone,
                language=config.provider.language,
                region=config.provider.region,
            ),
            database=core.db,
            operations=core.operations,
            previews=core.previews,
            people=core.people,
            intake=self.intake,
            receipts=self.receipts,
            links=core.links,
            changes=core.house.changes,
            inventory=core.inventory,
            addresses=Addresses(core.db, clock=core.house.clock, changes=core.house.changes),
            blast=Blast(core.db, core.reckoner),
            imports=self.imports,
            default_wishes=core.house.default_wishes,
            words=SentWords(core.db, core.words),
            reports=core.reports,
            phrases=core.phrases,
            rehearsals=core.rehearsals,
            hooks={m.name: make_hook(m) for m in config.monitors},
            twilio=make_twilio(config),
            registry=self.metrics.registry,
            ready=self.missing,
            clock=core.house.clock,
            new_id=lambda: secrets.token_urlsafe(16),
            templates=templates_folder(),
            trusted_proxies=config.server.trusted_proxies,
            oidc=make_oidc(config, core.house.clock),
            routes=self.routes,
            restored=core.restored,
        )

    def routes(self) -> dict[str, RouteState]:
        """The channels' ways out, and what stops all of them."""
        found = {name.value: dispatcher.route for name, dispatcher in self.dispatchers.items()}
        held = self.core.restored.last
        if held is not None:
            found[EVERYTHING] = RouteState(since=held.found_at, code="restored", reason=held.reason)
        return found

    async def missing(self) -> Sequence[str]:
        """What is not ready, in words; nothing when all is well, whatever the backlog."""
        found = []
        if not await self.core.db.schema_is_current():
            found.append("the database is not migrated")
        for name in ("tick", "slow_tick"):
            if monotonic() - self.scheduler.last_tick.get(name, 0.0) > STALE_TICK_SECONDS:
                found.append(f"the loop {name} stands still")
        return found

    # --- the loops ---

    async def _tick(self) -> None:
        core = self.core
        may_send = await self._may_send()
        await core.operations.take_due()
        while await core.waves.advance():
            pass
        await self.intake.act()
        if not may_send:
            return  # what it would say or let lapse by itself, the lost daemon may have said
        await self.promises.keep()
        async with core.db.read() as conn:
            stale = await deliveries.stale(conn, core.house.clock())
        if stale:
            async with boundary(core.db, self._crash, Boundary.EXPIRE) as conn:
                await deliveries.expire(conn, core.house.clock())
        await self._alarm()

    async def _slow_tick(self) -> None:
        if self._sending:
            await self.recovery.look()
        await self.receipts.apply_early()
        await self.imports.sweep()
        self._note_dead_routes()

    def _start_sending(self) -> None:
        self._sending = True
        for dispatcher in self.dispatchers.values():
            dispatcher.start()

    async def _may_send(self) -> bool:
        """Not while an older database waits for a person's word; sending begins with the first tick after it."""
        if not self._sending and not await self.core.restored.is_held():
            log.info("released")
            self._start_sending()
        return self._sending

    async def _note_how_far(self) -> None:
        if self._sending:
            await self.core.restored.beat(sum(sum(d.counts.values()) for d in self.dispatchers.values()))

    async def _count_undecided(self) -> None:
        if not self._sending:
            await self.core.restored.look()

    async def _wake_on_change(self) -> None:
        async for _ in self.core.house.changes.subscribe():
            for dispatcher in self.dispatchers.values():
                dispatcher.wake()

    def _note_failure(self, outage_id: str, code: str) -> None:
        self._failed.setdefault(outage_id, code)

    def _note_dead_routes(self) -> None:
        now = self.core.house.clock()
        for name, dispatcher in self.dispatchers.items():
            since = dispatcher.route.since
            if since is not None and now - since > self.core.house.stretch(ROUTE_ALARM_AFTER):
                self._failed.setdefault(
                    "", f"{name.value}: nothing has left since {since:%H:%M} UTC: {dispatcher.route.reason}"
                )

    async def _alarm(self) -> None:
        """What failed for good is told to a human: once per outage and revision."""
        if not self._failed:
            return
        failed, self._failed = self._failed, {}
        now = self.core.house.clock()
        async with self.core.db.write() as conn:
            open_rows = await outages.open_ones(conn)
            for outage_id, detail in failed.items():
                rows = open_rows if not outage_id else [await outages.get(conn, outage_id)]
                for row in rows:
                    if row is not None and not await deliveries.alarmed(conn, row.id, row.revision):
                        await self.alerts.ask(conn, row, Ask.FAILURE, now, detail)


def _calm_the_collector() -> None:
    """What is loaded by now stays, and planning makes hundreds of thousands of objects that are no garbage: with
    Python's own thresholds the collector took a quarter of a wave's time, tens of milliseconds of lag at once.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _take_lock(database: Path | None) -> Any:
    """SQLite serves one daemon: a file lock that our death frees, even by SIGKILL."""
    if database is None:
        return None
    path = database.with_name(database.name + ".lock")
    lock = path.open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise DatabaseRefused(
            f"{database}: another OutageCast daemon is running on this database; stop it first"
        ) from None
    return lock
