"""A provider of a few customers on a real database, with the real engine around a channel that answers as a test wants.

POP-1 carries every customer; customer C<n> has one circuit, and one contact with a mail address and a phone.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update

from outagecast.channels.base import Attempt, RouteDown
from outagecast.domain.delivery import Accepted, Outcome, Receipt
from outagecast.domain.levels import Effect
from outagecast.domain.message import ChannelName, Message, SmsMessage
from outagecast.domain.outage import Actor, ActorKind, Declaration, Role, ScopeEntry
from outagecast.engine.brakes import Brakes
from outagecast.engine.changes import Changes
from outagecast.engine.crashpoints import Crash, never
from outagecast.engine.dispatcher import Dispatcher
from outagecast.engine.effects import Effects
from outagecast.engine.house import House
from outagecast.engine.ledger import Ledger
from outagecast.engine.operations import Operations
from outagecast.engine.planner import Planner
from outagecast.engine.receipts import Receipts
from outagecast.engine.reckoning import Reckoner
from outagecast.engine.recovery import Recovery
from outagecast.engine.settings import (
    CadenceTables,
    DefaultsSettings,
    DeliverySettings,
    NoticesSettings,
    SafetySettings,
)
from outagecast.engine.waves import Waves
from outagecast.storage import tables
from outagecast.storage.engine import Database
from tests.support.databases import opened

START = datetime(2026, 3, 3, 14, 14, tzinfo=UTC)
ANN = Actor(kind=ActorKind.STAFF, name="ann", role=Role.OPERATOR)
EMAIL, SMS = ChannelName.EMAIL, ChannelName.SMS
Script = Callable[[Any], Outcome]


def accept(_message: Any) -> Outcome:
    return Accepted(provider_id="", code="250")


@dataclass
class ScriptedChannel:
    """A Channel whose lanes answer what `script` says. `sent` is what was written to the wire, in order.

    While `gate` is shut, messages hang on the wire. `down` is why no lane is to be had.
    """

    script: Script = accept
    connections: int = 2
    rate_per_second: float = 0.0
    looks_ahead: bool = False
    down: RouteDown | None = None
    sent: list[Any] = field(default_factory=list)
    foreseen: list[Any] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked_for_lane: int = 0
    found: dict[str, Receipt] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    writing: int = 0
    most: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    def prepared(self, message: Any) -> Any:
        return message

    @asynccontextmanager
    async def lane(self) -> AsyncIterator["ScriptedChannel"]:
        self.asked_for_lane += 1
        if self.down is not None:
            raise self.down
        yield self

    async def send(self, message: Any, following: Any = None) -> Outcome:
        self.writing += 1
        self.foreseen.append(following)
        self.most = max(self.most, self.writing)
        self.begun.set()
        try:
            await self.gate.wait()
            self.sent.append(message)
            return self.script(message)
        finally:
            self.writing -= 1

    async def find(self, attempts: Sequence[Attempt]) -> dict[str, Receipt]:
        if self.down is not None:
            raise self.down
        self.asked += [(a.key, a.to, a.body) for a in attempts]
        return {a.key: self.found[a.key] for a in attempts if a.key in self.found}

    async def close(self) -> None: ...

    @property
    def to(self) -> list[str]:
        return [message.to for message in self.sent]


class PlainWords:
    """Words plain enough for tests: every row becomes one text that names the outage, the revision and the kind."""

    def __init__(self) -> None:
        self.poisoned: set[str] = set()
        """Addresses whose words fail; "*" fails the whole batch with an exception."""

    def render(
        self, rows: Sequence[Any], revisions: Mapping[tuple[str, int], Any], keys: Sequence[str]
    ) -> list[Message | str]:
        if len(rows) > 1 and any("*" + row.to in self.poisoned for row in rows):
            raise ValueError("a poisoned batch")
        return [
            "no words" if {row.to, "*" + row.to} & self.poisoned else self.message(row, {}, key)
            for row, key in zip(rows, keys, strict=True)
        ]

    def message(self, row: Any, _facts: Mapping[str, Any], key: str = "") -> Message:
        return SmsMessage(to=row.to, body=f"{row.outage_id} {row.revision} {row.kind}", key=key)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class TinyProvider:
    """The engine on one database file; `channel(name)` and `start()` bring the sending to life."""

    def __init__(self, db: Database, delivery: DeliverySettings, safety: SafetySettings, crash: Crash) -> None:
        self.db = db
        self.clock = Clock()
        cadences = CadenceTables()
        self.house = House(
            db=db,
            clock=self.clock,
            cadences={name: getattr(cadences, name) for name in ("critical", "major", "minor")},
            delivery=delivery,
            notices=NoticesSettings(),
            safety=safety,
            defaults=DefaultsSettings(),
            staff_alerts=(),
            public_host="status.example.net",
            provider_zone="UTC",
            provider_language="en",
            channels=(EMAIL, SMS),
            rates={},
            changes=Changes(),
        )
        planner = Planner(self.house)
        self.waves = Waves(self.house, planner, crash=crash)
        effects = Effects(self.house, Reckoner(db), planner, self.waves)
        self.operations = Operations(self.house, effects, Brakes(self.house), crash=crash)
        self.failures: list[tuple[str, str]] = []
        self.receipts = Receipts(self.house, lambda outage_id, code: self.failures.append((outage_id, code)))
        self.ledger = Ledger(db, self.clock, crash=crash)
        self.words = PlainWords()
        self._crash = crash
        self._keys = itertools.count(1)

    # --- what happens ---

    async def declare(self, **more: Any) -> str:
        """POP-1 is down: everybody is told. The outage's number."""
        told = await self.operations.declare(
            Declaration(
                title="POP-1 down", scope=(ScopeEntry(kind="element", id="POP-1", effect=Effect.OUTAGE),), **more
            ),
            actor=ANN,
        )
        return told.outage_id

    def dispatcher(self, name: ChannelName, channel: ScriptedChannel, owner: str = "here") -> Dispatcher:
        return Dispatcher(
            self.house,
            name,
            channel,
            self.words,
            self.ledger,
            owner=owner,
            new_key=self.new_key,
            jitter=lambda: 0.0,
            crash=self._crash,
            on_failure=lambda outage_id, code: self.failures.append((outage_id, code)),
        )

    def recovery(
        self,
        channel: ScriptedChannel | None = None,
        owner: str = "here",
        gone: Callable[[], Awaitable[Collection[str]]] | None = None,
    ) -> Recovery:
        """Only SMS can be asked about, as in life."""
        reconcilers = {SMS: channel} if channel is not None else {}
        return Recovery(self.house, self.receipts, self.words, reconcilers, owner=owner, gone=gone)  # type: ignore[arg-type]

    def new_key(self) -> str:
        return f"key-{next(self._keys)}"

    @asynccontextmanager
    async def sending(self, name: ChannelName, channel: ScriptedChannel) -> AsyncIterator[Dispatcher]:
        """The ledger and one dispatcher, running; stopped in order at the end."""
        dispatcher = self.dispatcher(name, channel)
        self.ledger.start()
        dispatcher.start()
        try:
            yield dispatcher
        finally:
            channel.gate.set()
            await dispatcher.stop(timedelta(seconds=5))
            await self.ledger.stop()

    # --- what is ---

    async def rows(self, name: ChannelName | None = None, **wanted: Any) -> list[Any]:
        d = tables.deliveries
        query = select(d).order_by(d.c.id)
        if name is not None:
            query = query.where(d.c.channel == name.value)
        for column, value in wanted.items():
            query = query.where(d.c[column] == value)
        async with self.db.read() as conn:
            return list((await conn.execute(query)).all())

    async def states(self, name: ChannelName) -> list[str]:
        return [row.state for row in await self.rows(name)]

    async def attempts(self, delivery_id: int | None = None) -> list[Any]:
        a = tables.attempts
        query = select(a).order_by(a.c.delivery_id, a.c.number)
        if delivery_id is not None:
            query = query.where(a.c.delivery_id == delivery_id)
        async with self.db.read() as conn:
            return list((await conn.execute(query)).all())

    async def timeline(self, *what: str) -> list[Any]:
        t = tables.timeline
        async with self.db.read() as conn:
            rows = (await conn.execute(select(t).order_by(t.c.id))).all()
        return [row for row in rows if not what or row.what in what]

    async def change(self, delivery_id: int, **values: Any) -> None:
        async with self.db.write() as conn:
            await conn.execute(update(tables.deliveries).where(tables.deliveries.c.id == delivery_id).values(**values))

    async def until(self, true: Callable[[], Any], seconds: float = 8.0) -> None:
        """Wait until something is true (a plain or an awaitable answer)."""
        async with asyncio.timeout(seconds):
            while True:
                answer = true()
                if await answer if asyncio.iscoroutine(answer) else answer:
                    return
                await asyncio.sleep(0.01)

    async def until_states(self, name: ChannelName, *states: str) -> None:
        async def there() -> bool:
            return await self.states(name) == list(states)

        await self.until(there)


@asynccontextmanager
async def tiny_provider(
    folder: Path,
    customers: int = 3,
    *,
    delivery: DeliverySettings | None = None,
    safety: SafetySettings | None = None,
    crash: Crash = never,
    fill: bool = True,
) -> AsyncIterator[TinyProvider]:
    """`fill`: False for another engine on the database of one that is there."""
    async with AsyncExitStack() as stack:
        db = opened("tiny.db", folder)
        stack.push_async_callback(db.close)
        await db.migrate()
        if fill:
            await _fill(db, customers)
        yield TinyProvider(db, delivery or DeliverySettings(), safety or SafetySettings(), crash)


def mail_of(n: int) -> str:
    return f"c{n}@example.org"


def phone_of(n: int) -> str:
    return f"+1859555{n:04d}"


async def _fill(db: Database, customers: int) -> None:
    numbers = range(1, customers + 1)
    async with db.write() as conn:
        await conn.execute(insert(tables.elements), [{"id": "POP-1", "kind": "pop"}])
        await conn.execute(insert(tables.needs), [{"id": 1, "text": "POP-1"}])
        await conn.execute(
            insert(tables.addresses),
            [{"id": n, "channel": "email", "value": mail_of(n)} for n in numbers]
            + [{"id": 1000 + n, "channel": "sms", "value": phone_of(n)} for n in numbers],
        )
        await conn.execute(insert(tables.customers), [{"id": f"C{n}", "name": f"Customer {n}"} for n in numbers])
        await conn.execute(
            insert(tables.circuits),
            [{"id": f"L{n}", "customer_id": f"C{n}", "label": f"Line {n}", "need_id": 1} for n in numbers],
        )
        await conn.execute(
            insert(tables.contacts),
            [
                {"id": f"K{n}", "customer_id": f"C{n}", "name": f"Contact {n}", "email_id": n, "phone_id": 1000 + n}
                for n in numbers
            ],
        )
