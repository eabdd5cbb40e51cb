"""The database and the verbs, without loops, channels or a web server: what every command needs."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from outagecast.config import Config
from outagecast.engine.backup import RestoreHold
from outagecast.engine.brakes import Brakes
from outagecast.engine.crashpoints import Crash, never
from outagecast.engine.effects import Effects
from outagecast.engine.erasure import Erasure
from outagecast.engine.house import House
from outagecast.engine.inventory import Inventory
from outagecast.engine.links import Links
from outagecast.engine.operations import Operations
from outagecast.engine.people import People
from outagecast.engine.phrases import Phrases
from outagecast.engine.planner import Planner
from outagecast.engine.preview import Previewer
from outagecast.engine.reckoning import Reckoner
from outagecast.engine.rehearsal import Rehearsals
from outagecast.engine.reports import Reports
from outagecast.engine.sent_words import SentWords
from outagecast.engine.waves import Waves
from outagecast.engine.words import WordSmith
from outagecast.parts import make_house, make_words
from outagecast.storage import outages
from outagecast.storage.engine import Database


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
    reports: Reports
    phrases: Phrases
    rehearsals: Rehearsals
    restored: RestoreHold
    erasure: Erasure

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
    patience: timedelta = timedelta(minutes=1),
) -> AsyncIterator[Core]:
    """Open and migrate the database, compile the templates. DatabaseRefused, BrokenTemplates say what is wrong.

    `patience`: a command waits for a colleague's import; a daemon says sooner that it cannot write.
    """
    clock = clock or make_clock(speed)
    db = Database.open(config.database.url.get_secret_value(), folder=config.folder, patience=patience)
    try:
        await db.migrate()
        links = Links(await _secret(db), config.provider.public_url, _mail_domain(config))
        house = make_house(config, db, clock, speed)
        reckoner, planner = Reckoner(db), Planner(house)
        waves = Waves(house, planner, crash=crash, **({"limit": wave_limit} if wave_limit else {}))
        effects, brakes = Effects(house, reckoner, planner, waves), Brakes(house)
        words = make_words(config, links, clock)
        price = (config.sms.price_per_segment, config.sms.currency) if config.sms else None
        price = price if price and price[0] else None
        previewer = Previewer(house, reckoner, planner, brakes, words, price=price)
        operations = Operations(house, effects, brakes, words=words, crash=crash)
        yield Core(
            config=config,
            house=house,
            links=links,
            reckoner=reckoner,
            planner=planner,
            effects=effects,
            waves=waves,
            brakes=brakes,
            operations=operations,
            inventory=Inventory(db, clock=clock, region=config.provider.region or None),
            people=People(db, clock=clock, secret=lambda: secrets.token_urlsafe(32), rules=config.staff),
            previews=previewer,
            words=words,
            phrases=Phrases(db, clock=clock),
            rehearsals=Rehearsals(house, words, new_id=lambda: secrets.token_urlsafe(9), price=price),
            reports=Reports(db, SentWords(db, words), clock=clock, price=price),
            restored=RestoreHold(house, operations, waves, new_name=lambda: secrets.token_hex(8)),
            erasure=Erasure(db, clock=clock, changes=house.changes, region=config.provider.region or None),
        )
    finally:
        await db.close()


def make_clock(speed: float = 1.0, epoch: datetime | None = None) -> Callable[[], datetime]:
    """The house's one clock: aware UTC. With `speed` it runs faster from the moment `epoch` (now, without one)."""
    if speed == 1.0:
        return lambda: datetime.now(UTC)
    start = epoch or datetime.now(UTC)

    def clock() -> datetime:
        return start + (datetime.now(UTC) - start) * speed

    return clock


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
