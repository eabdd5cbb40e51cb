"""Wires the rooms together, starts and stops them. The only place with a clock, randomness and ids.

`Core` is what every command needs: the database and the verbs. `Daemon` adds the channels, the loops and the web
server."""

import asyncio
import fcntl
import gc
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import structlog

from outagecast.channels.email.channel import EmailChannel
from outagecast.channels.sms.channel import SmsChannel
from outagecast.channels.sms.receipts import from_account, parse_inbound, parse_status, verify_signature
from outagecast.config import Config
from outagecast.domain.cadence import Ask
from outagecast.domain.message import ChannelName
from outagecast.engine.alerts import Alerts
from outagecast.engine.brakes import Brakes
from outagecast.engine.changes import Changes
from outagecast.engine.crashpoints import Boundary, Crash, CrashPoint, boundary, never
from outagecast.engine.dispatcher import Dispatcher
from outagecast.engine.effects import Effects
from outagecast.engine.house import House
from outagecast.engine.intake import Intake
from outagecast.engine.inventory import Inventory
from outagecast.engine.ledger import Ledger
from outagecast.engine.links import Links
from outagecast.engine.metrics import Metrics
from outagecast.engine.operations import Operations
from outagecast.engine.people import People
from outagecast.engine.planner import Planner
from outagecast.engine.preview import Previewer
from outagecast.engine.promises import Promises
from outagecast.engine.receipts import Receipts
from outagecast.engine.reckoning import Reckoner
from outagecast.engine.recovery import Recovery
from outagecast.engine.scheduler import Scheduler
from outagecast.engine.sent_words import SentWords
from outagecast.engine.waves import Waves
from outagecast.engine.words import WordSmith
from outagecast.monitors import FORMATS
from outagecast.monitors.settings import MonitorSettings
from outagecast.rendering import Provider, Renderer
from outagecast.rendering.staff import StaffRenderer
from outagecast.resources import templates_folder
from outagecast.storage import deliveries, outages
from outagecast.storage.engine import Database, DatabaseRefused
from outagecast.web.server import make_app, serve
from outagecast.web.services import Hook, Services, TwilioCallbacks
from outagecast.web.services import Provider as WebProvider

log = structlog.get_logger(__name__)
TICK = timedelta(seconds=0.5)
"""How often due rows are looked for: a promise is a matter of minutes, a command's row should be noticed within a
second."""
SLOW_TICK = timedelta(seconds=2)
HEARTBEAT = timedelta(seconds=20)
PATIENCE = timedelta(seconds=25)
"""How long SIGTERM waits for answers that are on their way (rules, "States")."""
STALE_TICK_SECONDS = 15.0
ROUTE_ALARM_AFTER = timedelta(minutes=1)


def make_clock(speed: float = 1.0, epoch: datetime | None = None) -> Callable[[], datetime]:
    """The house's one clock: aware UTC. With `speed` it runs faster from the moment `epoch` (now, without one)."""
    if speed == 1.0:
        return lambda: datetime.now(UTC)
    start = epoch or datetime.now(UTC)

    def clock() -> datetime:
        return start + (datetime.now(UTC) - start) * speed

    return clock


def crash_points(environ: Mapping[str, str]) -> Crash:
    """For fault tests: `OUTAGECAST_CRASHPOINT=name:n` ends the process, as SIGKILL would, at the n-th passage of a
    named point (engine/crashpoints.py). ValueError for a name that no point has."""
    wanted, _, number = environ.get("OUTAGECAST_CRASHPOINT", "").partition(":")
    if not wanted:
        return never
    left: dict[str, int] = {CrashPoint(wanted): int(number or "1")}

    def passage(name: str) -> None:
        if name in left:
            left[name] -= 1
            if left[name] == 0:
                os._exit(137)

    return passage


@dataclass(frozen=True, kw_only=True)
class Core:
    """The database and the verbs, without loops, channels or a web server: what the commands use."""

    config: Config
    house: House
    links: Links
    reckoner: Reckoner
    planner: Planner
    effects: Effects
    waves: Waves
    brakes: Brakes
    operations: Operations
    inventory: Inventory
    people: People
    previews: Previewer
    words: WordSmith

    @property
    def db(self) -> Database:
        return self.house.db


@asynccontextmanager
async def open_core(
    config: Config,
    *,
    clock: Callable[[], datetime] | None = None,
    speed: float = 1.0,
    wave_limit: int | None = None,
    crash: Crash = never,
) -> AsyncIterator[Core]:
    """Open and migrate the database, compile the templates. DatabaseRefused, BrokenTemplates say what is wrong."""
    clock = clock or make_clock(speed)
    db = Database.open(config.database.url.get_secret_value(), folder=config.folder)
    try:
        await db.migrate()
        links = Links(await _secret(db), config.provider.public_url, _mail_domain(config))
        house = _house(config, db, clock, speed)
        reckoner, planner = Reckoner(db), Planner(house)
        waves = Waves(house, planner, crash=crash, **({"limit": wave_limit} if wave_limit else {}))
        effects, brakes = Effects(house, reckoner, planner, waves), Brakes(house)
        words = _words(config, links, clock)
        price = (config.sms.price_per_segment, config.sms.currency) if config.sms else None
        previewer = Previewer(house, effects, planner, brakes, words, price=price if price and price[0] else None)
        yield Core(
            config=config,
            house=house,
            links=links,
            reckoner=reckoner,
            planner=planner,
            effects=effects,
            waves=waves,
            brakes=brakes,
            operations=Operations(house, effects, brakes, crash=crash),
            inventory=Inventory(db, clock=clock, region=config.provider.region or None),
            people=People(db, clock=clock, secret=lambda: secrets.token_urlsafe(32)),
            previews=previewer,
            words=words,
        )
    finally:
        await db.close()


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
        self.channels = _channels(config, house)
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
        self.scheduler = Scheduler()
        self.metrics = Metrics(
            house.db, house.clock, {n.value: d for n, d in self.dispatchers.items()}, self.ledger, self.receipts
        )
        self._waker: asyncio.Task[None] | None = None
        self._lock: Any = None

    async def start(self) -> None:
        """Take the database for ourselves, recover what a crash left, start the loops."""
        self._lock = _take_lock(self.core.db.path)
        await self.recovery.at_start()
        await self.core.reckoner.network()
        self.ledger.start()
        for dispatcher in self.dispatchers.values():
            dispatcher.start()
        self._waker = asyncio.create_task(self._wake_on_change(), name="waker")
        self.scheduler.every(TICK, "tick", self._tick)
        self.scheduler.every(SLOW_TICK, "slow_tick", self._slow_tick)
        self.scheduler.every(HEARTBEAT, "heartbeat", self.recovery.heartbeat)
        self.scheduler.start()
        await self._tick()
        await self._slow_tick()
        self.scheduler.last_tick.update({"tick": monotonic(), "slow_tick": monotonic()})
        _calm_the_collector()

    async def stop(self) -> None:
        """No new claims; what is on the wire is waited for; nothing becomes ambiguous while providers answer."""
        self.scheduler.stop()
        self.core.house.changes.close()
        await asyncio.gather(*(d.stop(PATIENCE) for d in self.dispatchers.values()))
        await self.ledger.stop()
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
            words=SentWords(core.db, core.words),
            hooks={m.name: _hook(m) for m in config.monitors},
            twilio=_twilio(config),
            registry=self.metrics.registry,
            ready=self.missing,
            clock=core.house.clock,
            new_id=lambda: secrets.token_urlsafe(16),
            templates=templates_folder(),
            trusted_proxies=config.server.trusted_proxies,
        )

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
        await core.operations.take_due()
        while await core.waves.advance():
            pass
        await self.intake.act()
        await self.promises.keep()
        async with core.db.read() as conn:
            stale = await deliveries.stale(conn, core.house.clock())
        if stale:
            async with boundary(core.db, self._crash, Boundary.EXPIRE) as conn:
                await deliveries.expire(conn, core.house.clock())
        await self._alarm()

    async def _slow_tick(self) -> None:
        await self.recovery.look()
        await self.receipts.apply_early()
        await self.metrics.refresh()
        self._note_dead_routes()

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


async def run(
    config: Config,
    *,
    speed: float = 1.0,
    epoch: datetime | None = None,
    wave_limit: int | None = None,
    on_ready: Callable[[int], None],
) -> None:
    """`serve`: until SIGTERM or SIGINT. `on_ready` gets the port once everything listens."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        crash, clock = crash_points(os.environ), make_clock(speed, epoch)
        core = await stack.enter_async_context(
            open_core(config, clock=clock, speed=speed, wave_limit=wave_limit, crash=crash)
        )
        daemon = Daemon(core, crash=crash)
        stack.push_async_callback(daemon.stop)
        await daemon.start()
        app = make_app(daemon.services())
        port = await stack.enter_async_context(serve(app, host=config.server.host, port=config.server.port))
        on_ready(port)
        await stop.wait()
        core.house.changes.close()


def _calm_the_collector() -> None:
    """What is loaded by now stays, and planning makes hundreds of thousands of objects that are no garbage: with
    Python's own thresholds the collector took a quarter of a wave's time, tens of milliseconds of lag at once."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _house(config: Config, db: Database, clock: Callable[[], datetime], speed: float) -> House:
    rates = {}
    if config.email is not None:
        rates[ChannelName.EMAIL] = config.email.rate_per_second
    if config.sms is not None:
        rates[ChannelName.SMS] = config.sms.rate_per_second
    return House(
        db=db,
        clock=clock,
        cadences=config.cadence,
        delivery=config.delivery,
        notices=config.notices,
        safety=config.safety,
        defaults=config.defaults,
        staff_alerts=config.staff_alerts,
        public_host=urlsplit(config.provider.public_url).hostname or "",
        provider_zone=config.provider.timezone,
        provider_language=config.provider.language,
        channels=tuple(rates),
        rates=rates,
        changes=Changes(),
        speed=speed,
    )


def _words(config: Config, links: Links, clock: Callable[[], datetime]) -> WordSmith:
    p = config.provider
    provider = Provider(
        name=p.name,
        url=p.public_url,
        phone=p.support_phone,
        email=p.support_email,
        zone=p.timezone,
        language=p.language,
        sms_name=p.sms_name,
    )
    own = [config.notices.templates] if config.notices.templates else []
    renderer = Renderer(provider, [*own, templates_folder()], links)
    if own:
        renderer.check_templates()
    staff = StaffRenderer(p.name, f"{p.public_url}/desk", templates_folder())
    return WordSmith(renderer, staff, links, list_domain=urlsplit(p.public_url).hostname or "localhost", clock=clock)


def _channels(config: Config, house: House) -> dict[ChannelName, Any]:
    channels: dict[ChannelName, Any] = {}
    if (email := config.email) is not None:
        channels[ChannelName.EMAIL] = EmailChannel(
            host=email.host,
            port=email.port,
            sender=email.sender,
            security=email.security,
            username=email.username,
            password=email.password.get_secret_value(),
            connections=email.connections,
            rate_per_second=email.rate_per_second,
            ehlo_name=email.helo,
            connect_timeout=email.timeout,
            command_timeout=email.timeout,
            data_timeout=email.timeout * 10,
            ca_file=email.ca_file,
        )
    if (sms := config.sms) is not None:
        channels[ChannelName.SMS] = SmsChannel(
            account_sid=sms.account_sid,
            auth_token=sms.auth_token.get_secret_value(),
            sender=sms.sender,
            messaging_service_sid=sms.messaging_service_sid,
            api_url=sms.api_url,
            rate_per_second=sms.rate_per_second,
            connections=sms.connections,
            allowed_countries=frozenset(sms.allowed_countries),
            public_url=config.provider.public_url,
            clock=house.clock,
            timeout=sms.timeout,
        )
    return channels


def _hook(settings: MonitorSettings) -> Hook:
    read, places = FORMATS[settings.format], settings.map.places()
    return Hook(token=settings.token.get_secret_value(), read=lambda payload: read(payload, places), places=places)


def _twilio(config: Config) -> TwilioCallbacks | None:
    sms = config.sms
    if sms is None:
        return None
    token = sms.auth_token.get_secret_value()
    account = sms.account_sid

    def verify(url: str, form: Mapping[str, object], signature: str | None) -> bool:
        return verify_signature(token, url, form, signature) and from_account(form, account)

    def inbound(form: Mapping[str, object]) -> tuple[str, str] | None:
        found = parse_inbound(form)
        return (found.from_, found.opt_out.value) if found.opt_out in ("stop", "start") else None

    return TwilioCallbacks(verify=verify, status=parse_status, inbound=inbound)


async def _secret(db: Database) -> bytes:
    """The database's own secret, made on first use: links and Message-IDs stay the same over restarts and hosts."""
    async with db.read() as conn:
        known = await outages.get_meta(conn, "secret")
    if known is None:
        async with db.write() as conn:
            known = await outages.get_meta(conn, "secret")
            if known is None:
                known = secrets.token_hex(32)
                await outages.put_meta(conn, "secret", known)
    return bytes.fromhex(known)


def _mail_domain(config: Config) -> str:
    if config.email is not None:
        return config.email.sender_address.rpartition("@")[2]
    return urlsplit(config.provider.public_url).hostname or "localhost"


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
