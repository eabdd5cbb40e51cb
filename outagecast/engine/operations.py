"""The verbs, one transaction each, with their timeline line. Desk, API, hooks and commands all come through here.

A verb is committed as a revision. Without `undo_for` it takes effect in the same transaction; with it, it waits as
PENDING until the ticker lets it take effect, and can be undone until then."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, TypeVar

from outagecast.domain.cadence import Cadence
from outagecast.domain.errors import Conflict, Invalid, NotFound, StaleRevision
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import (
    DAEMON,
    OPEN,
    Actor,
    Change,
    Declaration,
    Ending,
    OutageStatus,
    Restoration,
    RevisionState,
    Verb,
)
from outagecast.domain.timeline import Happened
from outagecast.engine import intents
from outagecast.engine.brakes import Brake, Brakes
from outagecast.engine.crashpoints import Boundary, Crash, boundary, never, transact
from outagecast.engine.effects import Effects, Prepared, WorldMoved
from outagecast.engine.house import House
from outagecast.engine.intents import Intent
from outagecast.engine.planner import Said
from outagecast.engine.scopes import check_scope
from outagecast.storage import inventory, outages, planning
from outagecast.storage.batches import Record
from outagecast.storage.engine import Connection

TRIES = 5
"""How often a verb reckons again because another process was quicker; in one process verbs queue up."""
ZERO = timedelta(0)
T = TypeVar("T")
NEW = "(new)"
HAPPENED = {
    Verb.DECLARE: Happened.DECLARED,
    Verb.UPDATE: Happened.UPDATED,
    Verb.RESTORE: Happened.RESTORED,
    Verb.RESOLVE: Happened.RESOLVED,
    Verb.REOPEN: Happened.REOPENED,
    Verb.RETRACT: Happened.RETRACTED,
    Verb.MERGE: Happened.MERGED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Idempotency:
    """The caller's key for one request, and the hash of its body."""

    key: str
    body_hash: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a verb answers. `state`: effective, pending (can be undone until `effective_at`), held or draft.

    `planned`: messages by channel, and under `suppressed` the rows that say nothing; empty until it takes effect.
    """

    outage_id: str
    revision: int
    created: bool
    status: str
    state: str
    effective_at: datetime | None
    held_because: str | None
    planned: dict[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class MapChange:
    """Circuits and services that a new reckoning would touch beyond the present ones, and present ones it would not."""

    more: int
    fewer: int


class Operations:
    def __init__(self, house: House, effects: Effects, brakes: Brakes, *, crash: Crash = never) -> None:
        self._house = house
        self._db = house.db
        self._crash = crash
        self._effects = effects
        self._brakes = brakes
        self._verbs = asyncio.Lock()

    # --- declaring ---

    async def declare(
        self,
        declaration: Declaration,
        *,
        actor: Actor,
        undo_for: timedelta | None = ZERO,
        idempotency: Idempotency | None = None,
        monitor: str = "",
        held_because: str | None = None,
    ) -> Told:
        """A new outage, or the one that the same key or external number already made. `undo_for` None takes the
        cadence's.

        Raises Invalid for what the scope names and nobody knows, and for a key used with another body."""
        async with self._verbs:
            existing = await self._existing(declaration, actor, idempotency)
            if existing is not None:
                return existing
            await check_scope(self._db, declaration.scope)
            undo = self._undo_for(undo_for, declaration.severity.value)
            return await self._until_still(
                lambda: self._declare(declaration, actor, undo, idempotency, monitor, held_because)
            )

    async def release(self, outage_id: str, *, actor: Actor, undo_for: timedelta | None = ZERO) -> Told:
        """A draft is declared, or the oldest revision that a brake held takes effect."""
        async with self._verbs:
            return await self._until_still(lambda: self._release(outage_id, actor, undo_for))

    async def undo(self, outage_id: str, *, actor: Actor) -> Told:
        """Take back the newest revision that has not taken effect. Conflict when there is none (any more)."""
        async with self._verbs, boundary(self._db, self._crash, Boundary.UNDO) as conn:
            await self._row(conn, outage_id)
            pending = await outages.revisions_in(conn, outage_id, RevisionState.PENDING)
            now = self._house.clock()
            if not pending or (pending[-1].effective_at is not None and pending[-1].effective_at <= now):
                raise Conflict("nothing can be undone: the last revision has taken effect")
            last = pending[-1]
            await outages.change_revision(
                conn, outage_id, last.number, RevisionState.PENDING, state=RevisionState.UNDONE.value
            )
            values: dict[str, Any] = {"pending_until": pending[-2].effective_at if len(pending) > 1 else None}
            if last.verb == Verb.DECLARE.value:
                values |= {"status": OutageStatus.DRAFT.value, "held_because": None}
            await outages.change(conn, outage_id, **values)
            await outages.record(
                conn,
                at=now,
                what=Happened.UNDONE,
                actor=actor,
                outage_id=outage_id,
                revision=last.number,
                why=last.verb,
            )
            told = await self._told(conn, outage_id, last.number, created=False)
        self._house.changes.notify()
        return told

    # --- changing ---

    async def update(
        self,
        outage_id: str,
        change: Change,
        *,
        actor: Actor,
        undo_for: timedelta | None = ZERO,
        if_match: int | None = None,
    ) -> Told:
        """One word from the desk: message, ETA, status, cause, scope. A draft is changed in silence."""
        await check_scope(self._db, (*(change.scope or ()), *change.scope_add))
        return await self._verb(
            outage_id, Verb.UPDATE, intents.change_json(change), actor, undo_for, if_match, note=change.note
        )

    async def restore(
        self,
        outage_id: str,
        restoration: Restoration,
        *,
        actor: Actor,
        undo_for: timedelta | None = ZERO,
        if_match: int | None = None,
    ) -> Told:
        """What is named is back; whoever is better off hears so with his own duration."""
        await check_scope(self._db, restoration.scope)
        return await self._verb(
            outage_id, Verb.RESTORE, intents.restoration_json(restoration), actor, undo_for, if_match
        )

    async def resolve(
        self,
        outage_id: str,
        ending: Ending,
        *,
        actor: Actor,
        undo_for: timedelta | None = ZERO,
        if_match: int | None = None,
    ) -> Told:
        return await self._verb(outage_id, Verb.RESOLVE, intents.ending_json(ending), actor, undo_for, if_match)

    async def retract(
        self,
        outage_id: str,
        ending: Ending,
        *,
        actor: Actor,
        undo_for: timedelta | None = ZERO,
        if_match: int | None = None,
    ) -> Told:
        """It never was. A draft goes in silence."""
        return await self._verb(outage_id, Verb.RETRACT, intents.ending_json(ending), actor, undo_for, if_match)

    async def reopen(
        self,
        outage_id: str,
        ending: Ending,
        *,
        actor: Actor,
        undo_for: timedelta | None = ZERO,
        if_match: int | None = None,
    ) -> Told:
        return await self._verb(outage_id, Verb.REOPEN, intents.ending_json(ending), actor, undo_for, if_match)

    async def merge(
        self, outage_id: str, into: str, *, actor: Actor, undo_for: timedelta | None = ZERO, if_match: int | None = None
    ) -> Told:
        """This outage's scope goes over to another open one, which leads from then on."""
        async with self._db.read() as conn:
            other = await outages.get(conn, into)
        if other is None or OutageStatus(other.status) not in OPEN or not other.public or into == outage_id:
            raise Invalid.one("into", f"{into} is not another open outage")
        return await self._verb(outage_id, Verb.MERGE, {"into": into}, actor, undo_for, if_match)

    async def take_due(self) -> int:
        """Let every revision take effect whose time has come; how many did."""
        async with self._db.read() as conn:
            due = await outages.due_revisions(conn, self._house.clock())
        done = 0
        for item in due:
            async with self._verbs:
                done += await self._until_still(lambda i=item: self._take_due(i.outage_id, i.number))  # type: ignore[misc]
        return done

    async def speak(self, outage_id: str, intent: Intent, take: Callable[..., Awaitable[Said]]) -> Said | None:
        """The daemon's own revision (a holding notice): `take` is given (conn, number, prepared, now) in the
        transaction."""
        async with self._verbs:
            return await self._until_still(lambda: self._speak(outage_id, intent, take))

    async def map_change(self, outage_id: str) -> MapChange | None:
        """What the inventory's change since the last reckoning would change here (rule 7): nothing is applied. None
        where the inventory is the same; an update that names the scope again applies it."""
        async with self._db.read() as conn:
            row = await self._row(conn, outage_id)
            version = await inventory.inventory_version(conn)
        if OutageStatus(row.status) not in OPEN or not row.public or row.inventory == version:
            return None
        prepared = await self._effects.prepare(row, intents.update(row, {"scope": row.scope}, self._cadence(row)))
        reckoned = prepared.reckoned
        kept = {new.key for new in reckoned.open if new.outage_id == outage_id and not new.fresh}
        more = sum(1 for new in reckoned.open if new.outage_id == outage_id and new.fresh)
        fewer = len(reckoned.closed - kept)
        return MapChange(more=more, fewer=fewer) if more or fewer else None

    def _cadence(self, row: Record) -> Cadence:
        return self._house.cadence(row.severity)

    # --- for monitors ---

    async def customers_of_draft(self, row: Record) -> set[str]:
        """Whom a draft would touch as things are."""
        prepared = await self._effects.prepare(row, intents.declare(row, {}))
        return {key.customer_id for key in prepared.reckoned.touched}

    async def brake_for_draft(self, row: Record, actor: Actor) -> str | None:
        """The brake a draft would meet if it were released now by this actor."""
        prepared = await self._effects.prepare(row, intents.declare(row, {}))
        async with self._db.read() as conn:
            brake = await self._brake(conn, prepared, actor, self._house.clock())
        return brake.value if brake else None

    async def propose_end(self, outage_id: str, ending: Ending, *, actor: Actor) -> None:
        """A resolution for a person to release; nothing where one waits already."""
        now = self._house.clock()
        async with self._verbs, boundary(self._db, self._crash, Boundary.VERB) as conn:
            row = await self._row(conn, outage_id)
            waiting = await outages.revisions_in(conn, outage_id, RevisionState.HELD)
            if any(revision.verb == Verb.RESOLVE.value for revision in waiting):
                return
            number = row.revision + 1
            change = intents.ending_json(ending)
            await self._add_revision(
                conn,
                outage_id,
                number,
                row.episode,
                Verb.RESOLVE,
                change,
                actor,
                now,
                effective_at=now,
                brake=Brake.ON_CLEAR,
            )
            await outages.change(conn, outage_id, revision=number)
            await self._record(conn, Verb.RESOLVE, outage_id, number, actor, now, change, Brake.ON_CLEAR.value)
        self._house.changes.notify()

    # --- brakes by hand ---

    async def hold(self, outage_id: str, reason: str, *, actor: Actor) -> None:
        """Freeze one outage's unsent messages; the reason shows to everyone."""
        await self._freeze(outage_id, reason.strip() or "held by hand", actor, Happened.HELD)

    async def unhold(self, outage_id: str, *, actor: Actor) -> None:
        await self._freeze(outage_id, None, actor, Happened.UNHELD)

    async def pause(self, reason: str, *, actor: Actor) -> None:
        """Stop all sending; the reason shows to everyone."""
        async with boundary(self._db, self._crash, Boundary.VERB) as conn:
            await outages.put_meta(conn, "paused", reason.strip() or "paused by hand")
            await outages.put_meta(conn, "paused_by", actor.name)
            await outages.record(conn, at=self._house.clock(), what=Happened.PAUSED, actor=actor, why=reason)
        self._house.changes.notify()

    async def resume(self, *, actor: Actor) -> None:
        async with boundary(self._db, self._crash, Boundary.VERB) as conn:
            await outages.put_meta(conn, "paused", None)
            await outages.put_meta(conn, "paused_by", None)
            await outages.record(conn, at=self._house.clock(), what=Happened.RESUMED, actor=actor)
        self._house.changes.notify()

    async def _freeze(self, outage_id: str, reason: str | None, actor: Actor, what: Happened) -> None:
        async with boundary(self._db, self._crash, Boundary.VERB) as conn:
            row = await self._row(conn, outage_id)
            if OutageStatus(row.status) not in OPEN:
                raise Conflict(f"{outage_id} is {row.status}: only an open outage can be held")
            await outages.change(conn, outage_id, hold_reason=reason)
            await outages.record(
                conn, at=self._house.clock(), what=what, actor=actor, outage_id=outage_id, why=reason or ""
            )
        self._house.changes.notify()

    # --- inside ---

    async def _until_still(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Reckon and commit; again where another process changed what is down meanwhile."""
        for _ in range(TRIES):
            try:
                answer = await attempt()
            except WorldMoved:
                continue
            self._house.changes.notify()
            return answer
        raise Conflict("what is down keeps changing; try again")

    async def _existing(self, declaration: Declaration, actor: Actor, idempotency: Idempotency | None) -> Told | None:
        async with self._db.read() as conn:
            if idempotency is not None:
                known = await outages.idempotent(conn, actor.name, idempotency.key)
                if known is not None and known.body_hash != idempotency.body_hash:
                    raise Invalid.one("Idempotency-Key", "this key was used with another body; take a new one")
                if known is not None:
                    row = await self._row(conn, known.outage_id)
                    return await self._told(conn, row.id, row.revision, created=False)
            if declaration.external_ref:
                row = await outages.by_external_ref(conn, declaration.external_ref)
                if row is not None:
                    return await self._told(conn, row.id, row.revision, created=False)
        return None

    def _undo_for(self, undo_for: timedelta | None, severity: str) -> timedelta:
        return self._house.cadences[severity].undo_for if undo_for is None else undo_for

    async def _row(self, conn: Connection, outage_id: str) -> Record:
        row = await outages.get(conn, outage_id)
        if row is None:
            raise NotFound(f"no outage {outage_id}")
        return row

    async def _told(self, conn: Connection, outage_id: str, number: int, *, created: bool) -> Told:
        row = await self._row(conn, outage_id)
        revision = await outages.revision(conn, outage_id, number)
        state = "draft" if row.status == OutageStatus.DRAFT.value else revision.state if revision else "effective"
        return Told(
            outage_id=outage_id,
            revision=number,
            created=created,
            status=row.status,
            state=state,
            effective_at=revision.effective_at if revision else None,
            held_because=(revision.held_because if revision else None) or row.held_because,
            planned=await planning.planned_counts(conn, outage_id, number),
        )

    async def _declare(
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
        values = _new_row(declaration, now, actor, monitor)
        provisional = SimpleNamespace(**values, id=NEW)
        prepared = await self._effects.prepare(provisional, intents.declare(provisional, change))

        async def work(conn: Connection) -> Told:
            brake = held_because or (None if declaration.release else Brake.DRAFT.value)
            if brake is None:
                brake = await self._brake(conn, prepared, actor, now)
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
            await self._add_revision(
                conn, outage_id, 1, 1, Verb.DECLARE, change, actor, now, effective_at=pending_until or now, brake=brake
            )
            if idempotency is not None:
                await outages.remember_key(conn, actor.name, idempotency.key, idempotency.body_hash, outage_id, now)
            await self._record(conn, Verb.DECLARE if not brake else None, outage_id, 1, actor, now, change, brake)
            if declaration.note:
                await self._note(conn, outage_id, 1, actor, now, declaration.note)
            if not brake and pending_until is None:
                await self._effects.take(conn, outage_id, 1, _renamed(prepared, outage_id), now)
            return await self._told(conn, outage_id, 1, created=True)

        return await transact(self._db, self._crash, Boundary.DECLARE, work)

    async def _release(self, outage_id: str, actor: Actor, undo_for: timedelta | None) -> Told:
        now = self._house.clock()
        async with self._db.read() as conn:
            row = await self._row(conn, outage_id)
            held = await outages.revisions_in(conn, outage_id, RevisionState.HELD)
            first = await outages.revision(conn, outage_id, 1)
        assert first is not None
        undo = self._undo_for(undo_for, row.severity)
        if row.status == OutageStatus.DRAFT.value:
            change = dict(first.change)
            prepared = await self._effects.prepare(row, intents.declare(row, change))
            self._brakes.may_release(
                actor=actor,
                declared_by=first.actor,
                declared_kind=first.actor_kind,
                customers=_customers(prepared),
                held_because=row.held_because,
            )
            waiting = first.number if first.state == RevisionState.HELD.value else None
            return await self._start(
                row, Verb.DECLARE, change, actor, undo, now, prepared, what=Happened.RELEASED, held=waiting
            )
        if not held:
            raise Conflict(f"{outage_id} is {row.status} and nothing of it is held: there is nothing to release")
        revision = held[0]
        verb = Verb(revision.verb)
        prepared = await self._effects.prepare(row, self._intend(row, verb, dict(revision.change), now))
        if not prepared.intent.ends:
            self._brakes.may_release(
                actor=actor,
                declared_by=revision.actor,
                declared_kind=revision.actor_kind,
                customers=_customers(prepared),
                held_because=revision.held_because,
            )
        return await self._start(
            row, verb, dict(revision.change), actor, undo, now, prepared, what=Happened.RELEASED, held=revision.number
        )

    async def _verb(
        self,
        outage_id: str,
        verb: Verb,
        change: dict[str, Any],
        actor: Actor,
        undo_for: timedelta | None,
        if_match: int | None,
        note: str = "",
    ) -> Told:
        async with self._verbs:
            return await self._until_still(
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
            row = await self._row(conn, outage_id)
        if if_match is not None and if_match != row.revision:
            raise StaleRevision(row.revision)
        intents.check_status(OutageStatus(row.status), verb)
        if row.status == OutageStatus.DRAFT.value:
            return await self._change_draft(row, verb, change, actor, now, note)
        prepared = await self._effects.prepare(row, self._intend(row, verb, change, now))
        undo = self._undo_for(undo_for, row.severity)
        return await self._start(row, verb, change, actor, undo, now, prepared, what=HAPPENED[verb], note=note)

    async def _start(
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
    ) -> Told:
        """Commit a revision: at once, pending, or held by a brake. `held`: the held one whose place it takes."""

        async def work(conn: Connection) -> Told:
            current = await self._row(conn, row.id)
            if current.revision != row.revision or current.status != row.status:
                raise WorldMoved
            if held is not None and not await outages.change_revision(
                conn, row.id, held, RevisionState.HELD, state=RevisionState.UNDONE.value
            ):
                raise Conflict("somebody else has released it")
            released = what is Happened.RELEASED
            brake = None if released or prepared.intent.ends else await self._brake(conn, prepared, actor, now)
            number = row.revision + 1
            episode = prepared.intent.values.get("episode", row.episode)
            queue = row.pending_until is not None or await outages.has_open_work(conn, row.id)
            effective_at = max(now + undo, row.pending_until or now)
            await self._add_revision(
                conn, row.id, number, episode, verb, change, actor, now, effective_at=effective_at, brake=brake
            )
            waits = brake is None and (undo > ZERO or queue)
            values: dict[str, Any] = {"revision": number}
            if waits:
                values["pending_until"] = effective_at
                if verb is Verb.DECLARE:
                    values["status"] = prepared.intent.values["status"]
            await outages.change(conn, row.id, **values)
            await self._record(
                conn, verb, row.id, number, actor, now, change, brake.value if brake else None, what=what
            )
            if note:
                await self._note(conn, row.id, number, actor, now, note)
            if brake is None and not waits:
                await self._effects.take(conn, row.id, number, prepared, now)
            return await self._told(conn, row.id, number, created=verb is Verb.DECLARE)

        return await transact(self._db, self._crash, Boundary.VERB, work)

    async def _take_due(self, outage_id: str, number: int) -> int:
        now = self._house.clock()
        async with self._db.read() as conn:
            row = await self._row(conn, outage_id)
            revision = await outages.revision(conn, outage_id, number)
            busy = await outages.has_open_work(conn, outage_id)
        if revision is None or revision.state != RevisionState.PENDING.value or busy:
            return 0
        verb = Verb(revision.verb)
        try:
            intent = self._intend(row, verb, dict(revision.change), now)
        except (Conflict, Invalid) as error:
            await self._drop(row, revision, str(error), now)
            return 0
        prepared = await self._effects.prepare(row, intent)

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

    async def _speak(self, outage_id: str, intent: Intent, take: Callable[..., Awaitable[Said]]) -> Said | None:
        now = self._house.clock()
        async with self._db.read() as conn:
            row = await self._row(conn, outage_id)
            busy = await outages.has_open_work(conn, outage_id)
        if OutageStatus(row.status) not in OPEN or row.pending_until is not None or busy:
            return None
        prepared = await self._effects.prepare(row, intent)

        async def work(conn: Connection) -> Said:
            current = await self._row(conn, outage_id)
            if current.revision != row.revision:
                raise WorldMoved
            number = row.revision + 1
            await self._add_revision(
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
            await self._add_revision(
                conn, row.id, number, row.episode, verb, change, actor, now, effective_at=now, brake=None
            )
            await outages.change_revision(
                conn, row.id, number, RevisionState.PENDING, state=RevisionState.EFFECTIVE.value
            )
            await outages.change(conn, row.id, revision=number)
            await self._record(conn, verb, row.id, number, actor, now, change, None)
            if note:
                await self._note(conn, row.id, number, actor, now, note)
            return await self._told(conn, row.id, number, created=False)

    async def _drop(self, row: Record, revision: Record, why: str, now: datetime) -> None:
        """What was decided before has no place any more (it was resolved meanwhile): it is never said, and that is
        on record."""
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
            case Verb.HOLDING | Verb.PASS_LEAD | Verb.PLAN_ANEW:
                raise AssertionError(f"{verb} is the daemon's own and never waits")

    async def _brake(self, conn: Connection, prepared: Prepared, actor: Actor, now: datetime) -> Brake | None:
        customers = {new.key.customer_id for new in prepared.reckoned.open if new.fresh}
        texts = 0
        if self._house.safety.sms_per_day and ChannelName.SMS in self._house.channels:
            told = {key.customer_id for key in prepared.reckoned.touched} | customers
            texts = len(await planning.addresses_hearing(conn, told, [ChannelName.SMS]))
        return await self._brakes.check(
            conn, actor=actor, customers=len(customers), texts=texts, message=prepared.intent.message, now=now
        )

    async def _add_revision(
        self,
        conn: Connection,
        outage_id: str,
        number: int,
        episode: int,
        verb: Verb,
        change: Mapping[str, Any],
        actor: Actor,
        now: datetime,
        *,
        effective_at: datetime,
        brake: Brake | str | None,
    ) -> None:
        await outages.add_revision(
            conn,
            {
                "outage_id": outage_id,
                "number": number,
                "episode": episode,
                "verb": verb.value,
                "state": (RevisionState.HELD if brake else RevisionState.PENDING).value,
                "held_because": str(brake) if brake else None,
                "actor_kind": actor.kind.value,
                "actor": actor.name,
                "created_at": now,
                "effective_at": None if brake else effective_at,
                "change": dict(change),
                "message": str(change.get("message") or ""),
            },
        )

    async def _record(
        self,
        conn: Connection,
        verb: Verb | None,
        outage_id: str,
        number: int,
        actor: Actor,
        now: datetime,
        change: Mapping[str, Any],
        brake: str | None,
        *,
        what: Happened | None = None,
    ) -> None:
        happened = what or (HAPPENED[verb] if verb else Happened.DRAFTED)
        if brake and brake != Brake.DRAFT.value:
            happened = Happened.HELD_BACK
        shown = {k: v for k, v in change.items() if k not in ("message", "note")}
        await outages.record(
            conn,
            at=now,
            what=happened,
            actor=actor,
            outage_id=outage_id,
            revision=number,
            why=brake or "",
            data=shown,
            text=str(change.get("message") or ""),
        )

    async def _note(
        self, conn: Connection, outage_id: str, number: int, actor: Actor, now: datetime, note: str
    ) -> None:
        await outages.record(
            conn, at=now, what=Happened.NOTE, actor=actor, outage_id=outage_id, revision=number, text=note
        )


def _new_row(declaration: Declaration, now: datetime, actor: Actor, monitor: str) -> dict[str, Any]:
    return {
        "kind": "outage",
        "title": declaration.title,
        "severity": declaration.severity.value,
        "effect": declaration.effect.value,
        "cause": declaration.cause,
        "cause_code": declaration.cause_code,
        "eta": declaration.eta,
        "eta_from": declaration.eta_from,
        "eta_slips": 0,
        "at_risk_until": declaration.at_risk_until,
        "started_at": min(declaration.started_at or now, now),
        "created_at": now,
        "created_by": actor.name,
        "owner": declaration.owner,
        "external_ref": declaration.external_ref,
        "monitor": monitor,
        "estimated_customers": declaration.estimated_customers,
        "scope": [intents.scope_json(entry) for entry in declaration.scope],
        "restored": [],
        "episode": 1,
        "revision": 1,
    }


def _renamed(prepared: Prepared, outage_id: str) -> Prepared:
    """A declaration is reckoned before its number is drawn; give the impacts their outage's real name."""
    reckoned = prepared.reckoned
    opened = tuple(replace(new, outage_id=outage_id) if new.outage_id == NEW else new for new in reckoned.open)
    return replace(prepared, reckoned=replace(reckoned, open=opened))


def _customers(prepared: Prepared) -> int:
    return len({key.customer_id for key in prepared.reckoned.touched})
