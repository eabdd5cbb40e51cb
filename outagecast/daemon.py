"""Everything that runs: the channels, the loops and what the web server is given."""

import asyncio
import contextlib
import gc
import os
import secrets
import socket
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import structlog

from outagecast import __version__
from outagecast.core import Core
from outagecast.domain.cadence import Ask
from outagecast.engine.addresses import Addresses
from outagecast.engine.alerts import Alerts
from outagecast.engine.attempt_keys import attempt_key
from outagecast.engine.backup import HoldGauge
from outagecast.engine.blast import Blast
from outagecast.engine.crashpoints import Boundary, Crash, boundary, never
from outagecast.engine.dispatcher import Dispatcher
from outagecast.engine.housekeeping import LOOK_EVERY, Housekeeping
from outagecast.engine.imports import Imports
from outagecast.engine.intake import Intake
from outagecast.engine.ledger import Ledger
from outagecast.engine.metrics import Metrics
from outagecast.engine.owners import Owners, OwnersGauge, Role, holder
from outagecast.engine.promises import Promises
from outagecast.engine.receipts import Receipts
from outagecast.engine.recovery import Recovery
from outagecast.engine.route_watch import CutOff, RouteWatch
from outagecast.engine.routes import Route, Routes
from outagecast.engine.scheduler import Scheduler
from outagecast.engine.seals import SEAL_EVERY, Seals
from outagecast.engine.sent_words import SentWords
from outagecast.parts import make_hook, make_oidc, make_reconcilers, make_routes, make_twilio
from outagecast.resources import templates_folder
from outagecast.storage import claims, deliveries, outages
from outagecast.storage.due import what_is_due
from outagecast.storage.engine import DatabaseFault
from outagecast.storage.presence import make_presence
from outagecast.storage.watch import FileWatch
from outagecast.web.services import Provider as WebProvider
from outagecast.web.services import Services

log = structlog.get_logger(__name__)
TICK = timedelta(seconds=0.5)
"""How often due rows are looked for: a promise is a matter of minutes, a command's row should be noticed within a
second.
"""
PLANNING = 2.0
"""Seconds of a tick for large waves, after which all else that is due has its turn: one over a million addresses takes
minutes, and promises, undo times and /readyz wait for nobody.
"""
SLOW_TICK = timedelta(seconds=2)
COUNT_EVERY = timedelta(seconds=15)
"""How often the metrics are counted from rows: about what Prometheus scrapes."""
PATIENCE = timedelta(seconds=25)
"""How long SIGTERM waits for answers that are on their way (rules, "States")."""
STALE_TICK_SECONDS = 15.0
EVERYTHING = "All sending"
"""What the desk calls the hold after a restore among the ways out."""


class Daemon:
    """Everything that runs: start it, wait, stop it. `role`: what of it."""

    def __init__(self, core: Core, *, role: Role = Role.ALL, crash: Crash = never) -> None:
        self.core = core
        self.role = role
        self._crash = crash
        house, config = core.house, core.config
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        presence = make_presence(house.db, holder(self._owner), sends_only=role is Role.SENDER)
        self.owners = Owners(house, presence, owner=self._owner, role=role, version=__version__)
        self._random = Random(secrets.randbits(64))
        self._failed: dict[str, str] = {}
        self.alerts = Alerts(house)
        self.receipts = Receipts(house, self._note_failure, crash=crash)
        self.ledger = Ledger(house.db, house.clock, crash=crash, on_change=self._wrote)
        self.routes = make_routes(config, house)
        self.senders = Routes(
            house, self.routes if role is not Role.WEB else (), self._make_dispatcher, owner=self._owner
        )
        self.dispatchers = self.senders.first()
        self.route_watch = RouteWatch(house)
        reconcilers = make_reconcilers(self.routes)
        self.recovery = Recovery(
            house, self.receipts, core.words, reconcilers, owner=self._owner, gone=self.owners.gone, crash=crash
        )
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
        self.metrics = Metrics(house.db, house.clock, self.senders, self.route_watch, self.ledger, self.receipts)
        self._waker: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[None] | None = None
        self._watch: FileWatch | None = None
        self._told = True
        self._lost = 0
        self.housekeeping = Housekeeping(house, config.retention, core.erasure)
        self._sending = False
        self.metrics.registry.register(HoldGauge(core.restored))
        self.metrics.registry.register(OwnersGauge(self.owners))

    def _make_dispatcher(self, route: Route, **turns: Any) -> Dispatcher:
        """`turns`: what the routes tell each other (engine/routes.py)."""
        return Dispatcher(
            self.core.house,
            route.channel,
            route.carrier,
            self.core.words,
            self.ledger,
            owner=self._owner,
            new_key=lambda: attempt_key(self.core.house.clock(), secrets.token_urlsafe(12)),
            jitter=self._random.random,
            crash=self._crash,
            on_failure=self._note_failure,
            route_name=route.name,
            **turns,
        )

    async def start(self) -> None:
        """Take our place at the database, recover what a crash left, start the loops."""
        await self.owners.start()
        held = await self.core.restored.at_start()
        if self.role is not Role.SENDER:
            await self.recovery.at_start()
            await self.core.reckoner.network()
        self.ledger.start()
        if held is None:
            self._start_sending()
        else:
            log.warning("restored", found=held.found.value, undecided=held.undecided, why=held.reason)
        self._waker = asyncio.create_task(self._wake_on_change(), name="waker")
        self._listener = asyncio.create_task(self._listen(), name="listener")
        if self.core.db.path is not None:
            self._watch = FileWatch(self.core.db.path)
        self._add_jobs()
        self.scheduler.start()
        await self._tick()
        await self._slow_tick()
        await self.metrics.refresh()
        self.scheduler.last_tick.update({"tick": monotonic(), "slow_tick": monotonic()})
        _calm_the_collector()

    def _add_jobs(self) -> None:
        every, house = self.scheduler.every, self.core.house
        every(TICK, "tick", self._tick)
        every(TICK, "elsewhere", self._look_elsewhere)
        every(SLOW_TICK, "slow_tick", self._slow_tick)
        every(COUNT_EVERY, "metrics", self.metrics.refresh)
        every(self.owners.every, "heartbeat", self.recovery.heartbeat)
        every(self.owners.every, "beat", self.owners.beat)
        every(SLOW_TICK, "watermark", self._note_how_far)
        every(COUNT_EVERY, "undecided", self._count_undecided)
        if self.role is not Role.SENDER:
            every(SEAL_EVERY, "seals", self._if_leading(Seals(house.db, house.clock).seal))
            every(LOOK_EVERY, "housekeeping", self._if_leading(self.housekeeping.look))

    async def stop(self) -> None:
        """No new claims; what is on the wire is waited for; nothing becomes ambiguous while providers answer."""
        await self.imports.close()
        await self.intake.close()
        await self.core.rehearsals.close()
        self.scheduler.stop()
        self.core.house.changes.close()
        await self.senders.stop(PATIENCE)
        await self.ledger.stop()
        if self._sending:
            with contextlib.suppress(DatabaseFault, OSError):  # the last words of this life; the start writes it anew
                await self.core.restored.note()
        for task in (self._waker, self._listener):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._watch is not None:
            self._watch.close()
        for route in self.routes:
            await route.carrier.close()
        with contextlib.suppress(DatabaseFault, OSError):  # whoever finds our place empty takes us off the list
            await self.owners.stop()
        await self.owners.leave()

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
            routes=self.cut_off,
            route_views=lambda: self.route_watch.seen,
            waiting=lambda: {channel: found.messages for channel, found in self.route_watch.waiting.items()},
            rate_of=self.route_watch.rate_of,
            restored=core.restored,
            daemons=lambda: self.owners.latest,
        )

    def cut_off(self) -> dict[str, CutOff]:
        """The channels by which nothing leaves, and what stops all of them."""
        found = dict(self.route_watch.cut)
        held = self.core.restored.last
        if held is not None:
            found[EVERYTHING] = CutOff(since=held.found_at, code="restored", reason=held.reason)
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
        may_send = await self._may_send()
        if await self.owners.leads():
            await self._lead(may_send=may_send)
        if may_send:
            await self._alarm()

    async def _lead(self, *, may_send: bool) -> None:
        """What happens once, however many daemons there are. Each step is guarded, so that two at once do no harm."""
        core, until = self.core, monotonic() + PLANNING
        due = await core.db.look(lambda conn: what_is_due(conn, core.house.clock()))
        begun = due.steps and await core.operations.take_due() > 0
        while (due.waves or begun) and await core.waves.advance() and monotonic() < until:
            pass
        if due.alarms:
            await self.intake.act()
        if not may_send:
            return  # what it would say or let lapse by itself, the lost daemon may have said
        if due.cadence:
            await self.promises.keep()
        if due.stale:
            async with boundary(core.db, self._crash, Boundary.EXPIRE) as conn:
                await claims.expire(conn, core.house.clock())

    async def _slow_tick(self) -> None:
        if self.role is not Role.SENDER:
            if self._sending and await self.owners.leads():
                await self.recovery.look()
            if self.owners.lost > self._lost:
                self._lost = self.owners.lost
                self.receipts.look_again()
            await self.receipts.apply_early()
            await self.imports.sweep()
        await self._look_at_routes()

    async def _look_at_routes(self) -> None:
        if self._sending:
            await self.senders.report()
        await self.route_watch.refresh()
        if self._sending and await self.owners.leads():
            await self.route_watch.alarm(self.alerts)

    def _start_sending(self) -> None:
        self._sending = True
        self.senders.start()

    async def _may_send(self) -> bool:
        """Not while an older database waits for a person's word; sending begins with the first tick after it."""
        if not self._sending and not await self.core.restored.is_held():
            log.info("released")
            self._start_sending()
        return self._sending

    async def _note_how_far(self) -> None:
        if self._sending:
            await self.core.restored.beat(self.senders.sent)

    async def _count_undecided(self) -> None:
        if not self._sending:
            await self.core.restored.look()

    def _if_leading(self, job: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[object]]:
        async def led() -> None:
            if await self.owners.leads():
                await job()

        return led

    def _wrote(self) -> None:
        """The ledger has written something: our own pages hear of it at once, other daemons' with the next tick."""
        self._told = False
        self.core.house.changes.notify()

    async def _look_elsewhere(self) -> None:
        """What other processes have done: a hint in both directions, which may get lost."""
        if self._watch is not None and await asyncio.to_thread(self._watch.changed):
            self.core.house.changes.notify()
        if not self._told:
            self._told = True
            await self.owners.tell()

    async def _listen(self) -> None:
        async for _ in self.core.db.hints():
            self.core.house.changes.notify()

    async def _wake_on_change(self) -> None:
        async for _ in self.core.house.changes.subscribe():
            self.senders.wake()

    def _note_failure(self, outage_id: str, code: str) -> None:
        self._failed.setdefault(outage_id, code)

    async def _alarm(self) -> None:
        """What failed for good is told to a human: once per outage and revision."""
        if not self._failed:
            return
        failed, self._failed = self._failed, {}
        now = self.core.house.clock()
        async with self.core.db.write() as conn:
            for outage_id, detail in failed.items():
                row = await outages.get(conn, outage_id)
                if row is not None and not await deliveries.alarmed(conn, row.id, row.revision):
                    await self.alerts.ask(conn, row, Ask.FAILURE, now, detail)


def _calm_the_collector() -> None:
    """What is loaded by now stays, and planning makes hundreds of thousands of objects that are no garbage: with
    Python's own thresholds the collector took a quarter of a wave's time, tens of milliseconds of lag at once.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
