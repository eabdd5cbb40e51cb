"""A database that the real engine has filled: outages declared, changed, covered, merged, resolved and reopened, with
what was sent and what came back. Nothing in it breaks an invariant; tests plant one fault at a time.

The wire is played by `Post`: it claims, marks and finishes rows as lanes do, with the outcome a test wants.
"""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, text

from outagecast.domain.delivery import DeliveryState, Receipt, ReceiptState
from outagecast.domain.levels import Effect
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import (
    Actor,
    ActorKind,
    Change,
    Declaration,
    Ending,
    Restoration,
    Role,
    ScopeEntry,
    Severity,
)
from outagecast.engine.alerts import Alerts
from outagecast.engine.brakes import Brakes
from outagecast.engine.changes import Changes
from outagecast.engine.effects import Effects
from outagecast.engine.house import House
from outagecast.engine.operations import Operations
from outagecast.engine.planner import Planner
from outagecast.engine.promises import Promises
from outagecast.engine.receipts import Receipts
from outagecast.engine.reckoning import Reckoner
from outagecast.engine.settings import (
    CadenceTables,
    DefaultsSettings,
    DeliverySettings,
    NoticesSettings,
    SafetySettings,
    StaffAlertSettings,
)
from outagecast.engine.waves import Waves
from outagecast.storage import claims, deliveries, outages, tables, wire
from outagecast.storage.claims import Claim
from outagecast.storage.engine import Database
from outagecast.storage.wire import Finish, Mark
from tests.support.databases import numbers_go_on, opened

START = datetime(2026, 3, 3, 14, 14, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ANN = Actor(kind=ActorKind.STAFF, name="ann", role=Role.OPERATOR)
BEA = Actor(kind=ActorKind.STAFF, name="bea", role=Role.APPROVER)
S = DeliveryState


class Clock:
    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, time: timedelta) -> None:
        self.now += time


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """The engine on one database."""

    db: Database
    clock: Clock
    house: House
    operations: Operations
    promises: Promises
    receipts: Receipts
    waves: Waves
    post: "Post"


class Post:
    """Plays the lanes: every due row is claimed, marked and finished with what `outcome` says of it."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._keys = (f"key-{n}" for n in itertools.count(1))
        self.owner = "post"

    async def send(self, outcome: Callable[[Any], S] = lambda row: S.ACCEPTED) -> list[Any]:
        """Until nothing is due. `outcome` says what becomes of a row; what is put off is due in a minute."""
        done: list[Any] = []
        for channel in ChannelName:
            while rows := await self.claim(channel):
                for row, mark in await self.mark(rows):
                    await self._finish(row, mark, outcome(row))
                    done.append(row)
        return done

    async def claim(self, channel: ChannelName, count: int = 100) -> list[Any]:
        now = self._clock()
        async with self._db.write() as conn:
            found = await claims.claim(
                conn, channel=channel, owner=self.owner, now=now, until=now + 2 * MINUTE, count=count
            )
            # Whole rows: sending itself reads less of them than tests look at.
            whole = select(tables.deliveries).where(tables.deliveries.c.id.in_([row.id for row in found]))
            by_id = {row.id: row for row in await conn.execute(whole)}
        return [by_id[row.id] for row in found]

    async def mark(self, rows: list[Any]) -> list[tuple[Any, Mark]]:
        now = self._clock()
        marks = [Mark(id=r.id, fence=r.fence, key=next(self._keys), number=r.attempt + 1, at=now) for r in rows]
        async with self._db.write() as conn:
            allowed = await wire.mark(conn, marks, now)
            refused = [Claim(id=m.id, fence=m.fence) for m in marks if m.id not in allowed]
            await claims.suppress_leased(conn, refused, now)
            await claims.give_back(conn, refused, now + MINUTE)
        return [(row, mark) for row, mark in zip(rows, marks, strict=True) if mark.id in allowed]

    async def _finish(self, row: Any, mark: Mark, state: S) -> None:
        now = self._clock()
        said = {S.ACCEPTED: "accepted", S.PLANNED: "deferred", S.FAILED: "rejected", S.AMBIGUOUS: "ambiguous"}[state]
        finish = Finish(
            id=row.id, fence=row.fence, key=mark.key, state=state, at=now, outcome=said, code="250", detail="",
            provider_id=f"provider-{mark.key}" if state is S.ACCEPTED else None,
            reason="rejected" if state is S.FAILED else None, due_at=now + MINUTE if state is S.PLANNED else None,
        )  # fmt: skip
        async with self._db.write() as conn:
            await wire.finish(conn, [finish])
            if state is S.AMBIGUOUS:
                line = {
                    "at": now, "what": "ambiguous", "outage_id": row.outage_id, "why": "250", "actor_kind": "daemon",
                    "actor": "outagecast", "data": {"delivery": row.id},
                }  # fmt: skip
                await outages.record_many(conn, [line])

    async def lose_and_retry(self) -> None:
        """What was on its way at a crash is ambiguous, and tried once more."""
        now = self._clock()
        async with self._db.write() as conn:
            for row in await deliveries.ambiguous_ones(conn):
                await deliveries.settle_ambiguous(conn, row.id, row.fence, S.PLANNED, due_at=now, transmitting_at=None)


async def build(
    folder: Path, *, wave_limit: int = 5, safety: SafetySettings | None = None, filled: bool = False
) -> Built:
    """An engine on a new file `outagecast.db` in this folder, with a small inventory and no outage; `filled`: on the
    file as it is.
    """
    db = opened("outagecast.db", folder)
    if not filled:
        await db.migrate()
        await _fill(db)
    clock = Clock()
    cadences = CadenceTables()
    house = House(
        db=db,
        clock=clock,
        cadences={name: getattr(cadences, name) for name in ("critical", "major", "minor")},
        delivery=DeliverySettings(),
        notices=NoticesSettings(),
        safety=safety or SafetySettings(approve_above=5),
        defaults=DefaultsSettings(),
        staff_alerts=(StaffAlertSettings(email="noc@example.net"),),
        public_host="status.example.net",
        provider_zone="America/New_York",
        provider_language="en",
        channels=(ChannelName.EMAIL, ChannelName.SMS),
        rates={},
        changes=Changes(),
    )
    planner = Planner(house)
    waves = Waves(house, planner, limit=wave_limit, chunk=3)
    effects = Effects(house, Reckoner(db), planner, waves)
    operations = Operations(house, effects, Brakes(house))
    return Built(
        db=db,
        clock=clock,
        house=house,
        operations=operations,
        promises=Promises(house, operations, effects, Alerts(house)),
        receipts=Receipts(house),
        waves=waves,
        post=Post(db, clock),
    )


def make(folder: Path) -> datetime:
    """Build and live through it all; the database's file lies in the folder afterwards. Answers the time it is then."""

    async def work() -> datetime:
        built = await build(folder)
        await live(built)
        if not built.db.is_postgresql:
            async with built.db.read() as conn:
                await conn.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        await built.db.close()
        return built.clock.now

    return asyncio.run(work())


async def live(built: Built) -> None:
    """Everything that can happen, once."""
    ops, clock, post = built.operations, built.clock, built.post
    first = (await ops.declare(declaration("POP-A", external_ref="INC-1"), actor=ANN)).outage_id
    await _all_chunks(built)
    await post.send(lambda row: {"one@example.org": S.PLANNED, "+18595550101": S.AMBIGUOUS}.get(row.to, S.ACCEPTED))
    clock.pass_(2 * MINUTE)
    await post.lose_and_retry()
    texts = [row for row in await post.send() if row.channel == "sms"]
    await _receive(built, texts)
    second = (await ops.declare(declaration("POP-B"), actor=ANN)).outage_id
    await post.send()
    clock.pass_(MINUTE)
    await built.receipts.stop("+18595550103", "stop", "sms")
    await ops.update(first, Change(message="A crew is on its way.", eta=clock.now + 90 * MINUTE), actor=BEA)
    await _all_chunks(built)
    await ops.update(first, Change(message="The crew is on site."), actor=BEA)
    await _all_chunks(built)
    await post.send()
    clock.pass_(MINUTE)
    await ops.update(second, Change(message="We have found the cause."), actor=BEA)
    await post.send()
    await _held_and_released(built)
    await ops.resolve(first, Ending(cause="fibre cut"), actor=ANN)
    await _all_chunks(built)
    await post.send()
    clock.pass_(30 * MINUTE)
    await ops.reopen(first, Ending(), actor=ANN)
    await _all_chunks(built)
    await post.send()
    for _ in range(15):
        clock.pass_(5 * MINUTE)
        await built.promises.keep()
        await _all_chunks(built)
        await post.send()
    await _small_ones(built, second)
    await _in_flight(built)


def declaration(element: str, *, kind: str = "element", **more: Any) -> Declaration:
    scope = (ScopeEntry(kind=kind, id=element, effect=Effect.OUTAGE),)
    return Declaration(title=f"{element} down", scope=scope, severity=Severity.MAJOR, **more)


async def _held_and_released(built: Built) -> None:
    """More customers than one person may tell: held, released by another, planned in a wave, restored in parts."""
    held = (await built.operations.declare(declaration("POP-C"), actor=ANN)).outage_id
    await built.operations.release(held, actor=BEA)
    await _all_chunks(built)
    await built.post.send(lambda row: S.FAILED if row.to == "c3@example.org" else S.ACCEPTED)
    built.clock.pass_(20 * MINUTE)
    back = Restoration(scope=(ScopeEntry(kind="circuit", id="CIR-C1", effect=Effect.OUTAGE),))
    await built.operations.restore(held, back, actor=ANN)
    await _all_chunks(built)
    await built.post.send()
    built.clock.pass_(MINUTE)
    await built.operations.resolve(held, Ending(), actor=ANN)
    await _all_chunks(built)
    await built.post.send()


async def _small_ones(built: Built, into: str) -> None:
    """Undone, retracted, merged."""
    ops = built.operations
    undone = (await ops.declare(declaration("POP-D"), actor=ANN, undo_for=MINUTE)).outage_id
    await ops.undo(undone, actor=ANN)
    never = (await ops.declare(declaration("POP-D"), actor=ANN)).outage_id
    await built.post.send()
    built.clock.pass_(MINUTE)
    await ops.retract(never, Ending(), actor=ANN)
    await built.post.send()
    part = (await ops.declare(declaration("POP-D"), actor=ANN)).outage_id
    await built.post.send()
    built.clock.pass_(MINUTE)
    await ops.merge(part, into, actor=ANN)
    await built.post.send()
    built.clock.pass_(MINUTE)


async def _in_flight(built: Built) -> None:
    """One row leased, one on the wire, the rest due."""
    late = (await built.operations.declare(declaration("POP-E", external_ref="INC-9"), actor=ANN)).outage_id
    assert late
    mails = await built.post.claim(ChannelName.EMAIL, count=1)
    await built.post.mark(mails)
    await built.post.claim(ChannelName.SMS, count=1)


async def _all_chunks(built: Built) -> None:
    while await built.waves.advance():
        pass


async def _receive(built: Built, rows: list[Any]) -> None:
    for place, row in enumerate(rows):
        async with built.db.read() as conn:
            attempt = (
                await conn.execute(tables.attempts.select().where(tables.attempts.c.delivery_id == row.id))
            ).all()[-1]
        state = ReceiptState.DELIVERED if place % 2 == 0 else ReceiptState.UNDELIVERED
        await built.receipts.record(Receipt(key=attempt.key, provider_id=None, state=state, code=""))


CUSTOMERS = {
    "A1": ("POP-A", "one@example.org", "+18595550101"),
    "A2": ("POP-A", "one@example.org", None),
    "A3": ("POP-A", None, None),
    "AB": ("POP-A;POP-B", "both@example.org", None),
    "B1": ("POP-B", "bee@example.org", "+18595550103"),
    **{f"C{n}": ("POP-C", f"c{n}@example.org", None) for n in range(1, 8)},
    "D1": ("POP-D", "dee@example.org", "+18595550104"),
    "E1": ("POP-E", "eve@example.org", "+18595550105"),
    "E2": ("POP-E", "ede@example.org", "+18595550106"),
}
"""By customer: what its one circuit needs, its contact's mail address and phone."""


async def _fill(db: Database) -> None:
    needs = {need: n for n, need in enumerate(sorted({need for need, _, _ in CUSTOMERS.values()}), 1)}
    values = {(c, v) for _, mail, phone in CUSTOMERS.values() for c, v in (("email", mail), ("sms", phone)) if v}
    addresses = {key: n for n, key in enumerate(sorted(values), 1)}
    async with db.write() as conn:
        elements = [{"id": f"POP-{letter}", "kind": "pop"} for letter in "ABCDE"]
        await conn.execute(insert(tables.elements), elements)
        await conn.execute(insert(tables.needs), [{"id": n, "text": need} for need, n in needs.items()])
        rows = [{"id": n, "channel": channel, "value": value} for (channel, value), n in addresses.items()]
        await conn.execute(insert(tables.addresses), rows)
        await numbers_go_on(conn, "needs", "addresses")
        await conn.execute(insert(tables.customers), [{"id": c, "name": f"Customer {c}"} for c in CUSTOMERS])
        circuits = [
            {"id": f"CIR-{c}", "customer_id": c, "label": f"Line {c}", "need_id": needs[need]}
            for c, (need, _, _) in CUSTOMERS.items()
        ]
        await conn.execute(insert(tables.circuits), circuits)
        contacts = [
            {
                "id": f"K-{c}", "customer_id": c, "name": f"Contact {c}",
                "email_id": addresses.get(("email", mail or "")), "phone_id": addresses.get(("sms", phone or "")),
            }
            for c, (_, mail, phone) in CUSTOMERS.items() if mail or phone
        ]  # fmt: skip
        await conn.execute(insert(tables.contacts), contacts)
