"""How a verb becomes a revision: reckoned, braked, committed at once, pending or held, and said when it takes effect.

The machinery under `operations.py`; one transaction a verb.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, TypeVar

from outagecast.domain.errors import Conflict, Invalid, StaleRevision
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import (
    DAEMON,
    OPEN,
    Actor,
    ActorKind,
    Declaration,
    OutageStatus,
    RevisionState,
    Verb,
)
from outagecast.domain.timeline import Happened
from outagecast.engine import declaring, intents, records
from outagecast.engine.brakes import Brake, Brakes
from outagecast.engine.crashpoints import Boundary, Crash, boundary, never, transact
from outagecast.engine.declaring import Idempotency
from outagecast.engine.effects import Effects, Prepared, WorldMoved
from outagecast.engine.house import House
from outagecast.engine.intents import Intent
from outagecast.engine.planned import Said
from outagecast.engine.records import HAPPENED, Told
from outagecast.storage import outages, places, planning_hearers
from outagecast.storage.batches import Record
from outagecast.storage.engine import Connection

TRIES = 5
"""How often a verb reckons again because another process was quicker; in one process verbs queue up."""
ZERO = timedelta(0)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingStep:
    """What waits for a person's release. `authors`: whose own work it is (whoever said it, and who last changed a
    draft's scope), none for a monitor's; `customers`: how many it touches as things are; `held`: its held revision.
    """

    row: Record
    verb: Verb
    change: dict[str, Any]
    prepared: Prepared
    held: int | None
    held_because: str | None
    authors: frozenset[str]
    customers: int
    ends: bool


class Revising:
    """Commits revisions. `verbs` lets one verb at a time through: they queue up instead of reckoning in vain."""

    def __init__(self, house: House, effects: Effects, brakes: Brakes, *, crash: Crash = never) -> None:
        self._house = house
        self._db = house.db
        self._crash = crash
        self._effects = effects
        self._brakes = brakes
        self.verbs = asyncio.Lock()

    async def until_still(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Reckon and commit; again where another process changed what is down meanwhile."""
        for _ in range(TRIES):
            try:
                answer = await attempt()
            except WorldMoved:
                continue
            self._house.changes.notify()
            return answer
        raise Conflict("what is down keeps changing; try again")

    async def existing(self, declaration: Declaration, actor: Actor, idempotency: Idempotency | None) -> Told | None:
        async with self._db.read() as conn:
            return await declaring.existing(conn, declaration, actor, idempotency)

    def undo_for(self, undo_for: timedelta | None, severity: str) -> timedelta:
        return self._house.cadences[severity].undo_for if undo_for is None else undo_for

    async def declare(
        self,
        declaration: Declaration,
        actor: Actor,
        undo: timedelta,
        idempotency: Idempotency | None,
        monitor: str,
        held_because: str | None,
    ) -> Told:
        now = self._house.clock()
        change = intents.declaration_json(declaration)
        values = declaring.new_row(declaration, now, actor, monitor)
        provisional = SimpleNamespace(**values, id=declaring.NEW)
        prepared = await self._effects.prepare(provisional, intents.declare(provisional, change), in_mass=True)

        async def work(conn: Connection) -> Told:
            # Once more, now that nobody else can: another daemon may have got the same call meanwhile.
            existing = await declaring.existing(conn, declaration, actor, idempotency)
            if existing is not None:
                return existing
            brake = held_because or (None if declaration.release else Brake.DRAFT.value)
            if brake is None:
                brake = await self.brake(conn, prepared, actor, now)
            number = await outages.next_number(conn)
            outage_id = f"OUT-{now.year}-{number:04d}"
            status = OutageStatus.DRAFT if brake else declaration.status
            pending_until = now + undo if not brake and undo > ZERO else None
            await outages.add(
                conn,
                values
                | {
                    "id": outage_id,
                    "number": number,
                    "status": status.value,
                    "held_because": brake if brake != Brake.DRAFT.value else None,
                    "pending_until": pending_until,
                },
            )
            await records.add_revision(
                conn, outage_id, 1, 1, Verb.DECLARE, change, actor, now, effective_at=pending_until or now, brake=brake
            )
            if idempotency is not None:
                await outages.remember_key(conn, actor.name, idempotency.key, idempotency.body_hash, outage_id, now)
            await records.record(conn, Verb.DECLARE if not brake else None, outage_id, 1, actor, now, change, brake)
            if declaration.note:
                await records.note(conn, outage_id, 1, actor, now, declaration.note)
            if not brake and pending_until is None:
                await self._effects.take(conn, outage_id, 1, declaring.renamed(prepared, outage_id), now)
            return await records.told(conn, outage_id, 1, created=True)

        return await transact(self._db, self._crash, Boundary.DECLARE, work)

    async def release(self, outage_id: str, actor: Actor, undo_for: timedelta | None, typed: int | None) -> Told:
        now = self._house.clock()
        step = await self.waiting(outage_id, now)
        if step is None:
            raise Conflict(f"nothing of {outage_id} is a draft or held: there is nothing to release")
        self._brakes.may_release(step, actor, typed)
        return await self.start(
            step.row,
            step.verb,
            step.change,
            actor,
            self.undo_for(undo_for, step.row.severity),
            now,
            step.prepared,
            what=Happened.RELEASED,
            held=step.held,
            why="typed_number" if typed is not None else "",
        )

    async def waiting(self, outage_id: str, now: datetime) -> "WaitingStep | None":
        """What a release would let go: the draft, or the oldest revision that a brake held. None without either."""
        async with self._db.read() as conn:
            row = await records.outage_row(conn, outage_id)
            held = await outages.revisions_in(conn, outage_id, RevisionState.HELD)
            first = await outages.revision(conn, outage_id, 1)
            changed = await outages.last_scope_change(conn, outage_id)
        assert first is not None
        draft = row.status == OutageStatus.DRAFT.value
        if not draft and not held:
            return None
        revision = first if draft else held[0]
        verb, change = (Verb.DECLARE if draft else Verb(revision.verb)), dict(revision.change)
        intent = intents.declare(row, change) if draft else self._intend(row, verb, change, now)
        prepared = await self._effects.prepare(row, intent, in_mass=True)
        async with self._db.read() as conn:
            customers = await _customers(conn, prepared)
        authors = {revision.actor} if revision.actor_kind != ActorKind.MONITOR.value else set()
        return WaitingStep(
            row=row,
            verb=verb,
            change=change,
            prepared=prepared,
            held=revision.number if revision.state == RevisionState.HELD.value else None,
            held_because=row.held_because if draft else revision.held_because,
            authors=frozenset(authors | ({changed} if draft and changed else set())),
            customers=customers,
            ends=prepared.intent.ends,
        )

    async def verb(
        self,
        outage_id: str,
        verb: Verb,
        change: dict[str, Any],
        actor: Actor,
        undo_for: timedelta | None,
        if_match: int | None,
        note: str = "",
    ) -> Told:
        async with self.verbs:
            return await self.until_still(
                lambda: self._verb_once(outage_id, verb, change, actor, undo_for, if_match, note)
            )

    async def _verb_once(
        self,
        outage_id: str,
        verb: Verb,
        change: dict[str, Any],
        actor: Actor,
        undo_for: timedelta | None,
        if_match: int | None,
        note: str,
    ) -> Told:
        now = self._house.clock()
        async with self._db.read() as conn:
            row = await records.outage_row(conn, outage_id)
        if if_match is not None and if_match != row.revision:
            raise StaleRevision(row.revision)
        intents.check_status(OutageStatus(row.status), verb)
        if row.status == OutageStatus.DRAFT.value:
            return await self._change_draft(row, verb, change, actor, now, note)
        prepared = await self._effects.prepare(row, self._intend(row, verb, change, now), in_mass=True)
        undo = self.undo_for(undo_for, row.severity)
        return await self.start(row, verb, change, actor, undo, now, prepared, what=HAPPENED[verb], note=note)

    async def start(
        self,
        row: Record,
        verb: Verb,
        change: dict[str, Any],
        actor: Actor,
        undo: timedelta,
        now: datetime,
        prepared: Prepared,
        *,
        what: Happened,
        note: str = "",
        held: int | None = None,
        why: str = "",
    ) -> Told:
        """Commit a revision: at once, pending, or held by a brake. `held`: the held one whose place it takes."""

        async def work(conn: Connection) -> Told:
            current = await records.outage_row(conn, row.id)
            if current.revision != row.revision or current.status != row.status:
                raise WorldMoved
            if held is not None and not await outages.change_revision(
                conn, row.id, held, RevisionState.HELD, state=RevisionState.UNDONE.value
            ):
                raise Conflict("somebody else has released it")
            released = what is Happened.RELEASED
            brake = None if released or prepared.intent.ends else await self.brake(conn, prepared, actor, now)
            number = row.revision + 1
            episode = prepared.intent.values.get("episode", row.episode)
            queue = row.pending_until is not None or await outages.has_open_work(conn, row.id)
            effective_at = max(now + undo, row.pending_until or now)
            await records.add_revision(
                conn, row.id, number, episode, verb, change, actor, now, effective_at=effective_at, brake=brake
            )
            waits = brake is None and (undo > ZERO or queue)
            values: dict[str, Any] = {"revision": number}
            if waits:
                values["pending_until"] = effective_at
                if verb is Verb.DECLARE:
                    values["status"] = prepared.intent.values["status"]
            await outages.change(conn, row.id, **values)
            await records.record(
                conn, verb, row.id, number, actor, now, change, brake.value if brake else None, what=what, why=why
            )
            if note:
                await records.note(conn, row.id, number, actor, now, note)
            if brake is None and not waits:
                await self._effects.take(conn, row.id, number, prepared, now)
            return await records.told(conn, row.id, number, created=verb is Verb.DECLARE)

        return await transact(self._db, self._crash, Boundary.VERB, work)

    async def take_due(self, outage_id: str, number: int) -> int:
        now = self._house.clock()
        async with self._db.read() as conn:
            row = await records.outage_row(conn, outage_id)
            revision = await outages.revision(conn, outage_id, number)
            busy = await outages.has_open_work(conn, outage_id)
        if revision is None or revision.state != RevisionState.PENDING.value or busy:
            return 0
        verb = Verb(revision.verb)
        try:
            if verb is not Verb.DECLARE:  # it may have ended since this was decided
                intents.check_status(OutageStatus(row.status), verb)
            intent = self._intend(row, verb, dict(revision.change), now)
            prepared = await self._effects.prepare(row, intent, in_mass=True)
        except (Conflict, Invalid) as error:
            await self._drop(row, revision, str(error), now)
            return 0

        async def work(conn: Connection) -> None:
            await outages.change(conn, outage_id, pending_until=None)
            later = [r for r in await outages.revisions_in(conn, outage_id, RevisionState.PENDING) if r.number > number]
            if later:
                await outages.change(conn, outage_id, pending_until=later[-1].effective_at)
            await self._effects.take(conn, outage_id, number, prepared, now)
            await outages.record(
                conn,
                at=now,
                what=Happened.TOOK_EFFECT,
                actor=DAEMON,
                outage_id=outage_id,
                revision=number,
                why=verb.value,
            )

        await transact(self._db, self._crash, Boundary.TAKE_EFFECT, work)
        return 1

    async def speak(self, outage_id: str, intent: Intent, take: Callable[..., Awaitable[Said]]) -> Said | None:
        now = self._house.clock()
        async with self._db.read() as conn:
            row = await records.outage_row(conn, outage_id)
            busy = await outages.has_open_work(conn, outage_id)
        if OutageStatus(row.status) not in OPEN or row.pending_until is not None or busy:
            return None
        prepared = await self._effects.prepare(row, intent)

        async def work(conn: Connection) -> Said:
            current = await records.outage_row(conn, outage_id)
            if current.revision != row.revision:
                raise WorldMoved
            number = row.revision + 1
            await records.add_revision(
                conn, outage_id, number, row.episode, intent.verb, {}, DAEMON, now, effective_at=now, brake=None
            )
            await outages.change(conn, outage_id, revision=number)
            return await take(conn, number, prepared, now)

        return await transact(self._db, self._crash, Boundary.SPEAK, work)

    async def _change_draft(
        self, row: Record, verb: Verb, change: dict[str, Any], actor: Actor, now: datetime, note: str
    ) -> Told:
        """A draft has told nobody: it changes, or goes, in silence."""
        cadence = self._house.cadence(row.severity)
        async with boundary(self._db, self._crash, Boundary.VERB) as conn:
            first = await outages.revision(conn, row.id, 1)
            assert first is not None
            if verb is Verb.RETRACT:
                await outages.change(
                    conn, row.id, status=OutageStatus.RETRACTED.value, ended_at=now, pending_until=None
                )
            else:
                intent = intents.update(row, change, cadence)
                wanted = dict(first.change) | {name: change[name] for name in ("message", "status") if change.get(name)}
                await outages.change(conn, row.id, **{k: v for k, v in intent.values.items() if k != "status"})
                await outages.change_revision(conn, row.id, 1, RevisionState(first.state), change=wanted)
            number = row.revision + 1
            await records.add_revision(
                conn, row.id, number, row.episode, verb, change, actor, now, effective_at=now, brake=None
            )
            await outages.change_revision(
                conn, row.id, number, RevisionState.PENDING, state=RevisionState.EFFECTIVE.value
            )
            await outages.change(conn, row.id, revision=number)
            await records.record(conn, verb, row.id, number, actor, now, change, None)
            if note:
                await records.note(conn, row.id, number, actor, now, note)
            return await records.told(conn, row.id, number, created=False)

    async def _drop(self, row: Record, revision: Record, why: str, now: datetime) -> None:
        """What was decided before has no place any more (it was resolved meanwhile): it is never said, and that is
        on record.
        """
        async with boundary(self._db, self._crash, Boundary.TAKE_EFFECT) as conn:
            await outages.change_revision(
                conn, row.id, revision.number, RevisionState.PENDING, state=RevisionState.UNDONE.value
            )
            await outages.change(conn, row.id, pending_until=None)
            await outages.record(
                conn, at=now, what=Happened.UNDONE, actor=DAEMON, outage_id=row.id, revision=revision.number, why=why
            )

    def _intend(self, row: Record, verb: Verb, change: dict[str, Any], now: datetime) -> Intent:
        match verb:
            case Verb.DECLARE:
                return intents.declare(row, change)
            case Verb.UPDATE:
                return intents.update(row, change, self._house.cadence(row.severity))
            case Verb.RESTORE:
                return intents.restore(row, change)
            case Verb.RESOLVE | Verb.RETRACT | Verb.MERGE:
                return intents.end(row, verb, change, now)
            case Verb.REOPEN:
                return intents.reopen(row, change, now)
            case Verb.HOLDING | Verb.PASS_LEAD | Verb.REDELIVER:
                raise AssertionError(f"{verb} is said at once and never waits")

    async def brake(self, conn: Connection, prepared: Prepared, actor: Actor, now: datetime) -> Brake | None:
        safety, mass = self._house.safety, prepared.reckoned.mass
        fresh = {new.key.customer_id for new in prepared.reckoned.open if new.fresh}
        customers, texts = len(fresh), 0
        if mass is not None and (safety.approve_above or safety.customers_per_hour):
            customers = await places.customers_within(conn, mass.bounds, fresh)
        if safety.sms_per_day and ChannelName.SMS in self._house.channels:
            told = {key.customer_id for key in prepared.reckoned.touched} | fresh
            texts = (
                len(await planning_hearers.addresses_hearing(conn, told, [ChannelName.SMS]))
                if mass is None
                else await places.addresses_within(conn, mass.bounds, told, ChannelName.SMS)
            )
        return await self._brakes.check(
            conn, actor=actor, customers=customers, texts=texts, message=prepared.intent.message, now=now
        )


async def _customers(conn: Connection, prepared: Prepared) -> int:
    """How many a step touches."""
    touched = {key.customer_id for key in prepared.reckoned.touched}
    mass = prepared.reckoned.mass
    return len(touched) if mass is None else await places.customers_within(conn, mass.bounds, touched)
