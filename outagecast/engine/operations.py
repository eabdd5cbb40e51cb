"""The verbs, one transaction each, with their timeline line. Desk, API, hooks and commands all come through here.

A verb is committed as a revision. Without `undo_for` it takes effect in the same transaction; with it, it waits as
PENDING until the ticker lets it take effect, and can be undone until then.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from outagecast.domain.errors import Conflict, Invalid
from outagecast.domain.facts import to_micros
from outagecast.domain.outage import (
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
from outagecast.engine import intents, records
from outagecast.engine.brakes import Brake, Brakes
from outagecast.engine.crashpoints import Boundary, Crash, boundary, never
from outagecast.engine.declaring import Idempotency
from outagecast.engine.differences import Difference, Differences
from outagecast.engine.effects import Effects
from outagecast.engine.house import House
from outagecast.engine.intents import Intent
from outagecast.engine.planned import Said
from outagecast.engine.planner import Planner
from outagecast.engine.records import Told
from outagecast.engine.redelivery import Redelivery
from outagecast.engine.revising import ZERO, Revising
from outagecast.engine.scopes import check_scope
from outagecast.engine.words import WordSmith
from outagecast.storage import inventory, outages
from outagecast.storage.batches import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class MapChange:
    """Circuits and services that a new reckoning would touch beyond the present ones, and present ones it would not."""

    more: int
    fewer: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseCheck:
    """`refusal`: type_number, needs_approver, second_person (brakes.Refusal), "" if this person may release it."""

    customers: int
    held_because: str | None
    verb: str
    refusal: str


class Operations:
    """`words`: puts the samples of a look into words; without it a look has none."""

    def __init__(
        self,
        house: House,
        effects: Effects,
        brakes: Brakes,
        *,
        words: WordSmith | None = None,
        crash: Crash = never,
    ) -> None:
        self._house = house
        self._db = house.db
        self._crash = crash
        self._effects = effects
        self._brakes = brakes
        self._revising = Revising(house, effects, brakes, crash=crash)
        self._differences = Differences(house, effects, Planner(house), words)
        self.redelivery = Redelivery(house, Planner(house), crash=crash)

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

        Raises Invalid for what the scope names and nobody knows, and for a key used with another body.
        """
        async with self._revising.verbs:
            existing = await self._revising.existing(declaration, actor, idempotency)
            if existing is not None:
                return existing
            await check_scope(self._db, declaration.scope)
            undo = self._revising.undo_for(undo_for, declaration.severity.value)
            return await self._revising.until_still(
                lambda: self._revising.declare(declaration, actor, undo, idempotency, monitor, held_because)
            )

    async def release(
        self, outage_id: str, *, actor: Actor, undo_for: timedelta | None = ZERO, customers: int | None = None
    ) -> Told:
        """A draft is declared, or the oldest revision that a brake held takes effect. `customers`: how many it reaches
        as the person typed it, None if he did not. Forbidden, Invalid: see `Brakes.may_release`.
        """
        async with self._revising.verbs:
            return await self._revising.until_still(
                lambda: self._revising.release(outage_id, actor, undo_for, customers)
            )

    async def release_check(self, outage_id: str, *, actor: Actor) -> ReleaseCheck | None:
        """Whom a release would reach, and what stands between this person and it; None where nothing waits."""
        step = await self._revising.waiting(outage_id, self._house.clock())
        if step is None:
            return None
        refusal = self._brakes.refusal(step, actor)
        return ReleaseCheck(
            customers=step.customers,
            held_because=step.held_because,
            verb=step.verb.value,
            refusal=refusal.value if refusal else "",
        )

    async def undo(self, outage_id: str, *, actor: Actor, revision: int | None = None) -> Told:
        """Take back the newest revision that has not taken effect. Conflict when there is none (any more), or when it
        is another one than `revision`, the one that was seen.
        """
        async with self._revising.verbs, boundary(self._db, self._crash, Boundary.UNDO) as conn:
            await records.outage_row(conn, outage_id)
            pending = await outages.revisions_in(conn, outage_id, RevisionState.PENDING)
            now = self._house.clock()
            if not pending or (pending[-1].effective_at is not None and pending[-1].effective_at <= now):
                raise Conflict("nothing can be undone: the last revision has taken effect")
            last = pending[-1]
            if revision is not None and revision != last.number:
                raise Conflict("a colleague has said something since: look at it, then undo that first")
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
            told = await records.told(conn, outage_id, last.number, created=False)
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
        return await self._revising.verb(
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
        return await self._revising.verb(
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
        return await self._revising.verb(
            outage_id, Verb.RESOLVE, intents.ending_json(ending), actor, undo_for, if_match
        )

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
        return await self._revising.verb(
            outage_id, Verb.RETRACT, intents.ending_json(ending), actor, undo_for, if_match
        )

    async def reopen(
        self,
        outage_id: str,
        ending: Ending,
        *,
        actor: Actor,
        undo_for: timedelta | None = ZERO,
        if_match: int | None = None,
    ) -> Told:
        return await self._revising.verb(outage_id, Verb.REOPEN, intents.ending_json(ending), actor, undo_for, if_match)

    async def merge(
        self, outage_id: str, into: str, *, actor: Actor, undo_for: timedelta | None = ZERO, if_match: int | None = None
    ) -> Told:
        """This outage's scope goes over to another open one, which leads from then on."""
        await self._mergeable(outage_id, into)
        return await self._revising.verb(outage_id, Verb.MERGE, {"into": into}, actor, undo_for, if_match)

    # --- among ourselves ---

    async def note(self, outage_id: str, text: str, *, actor: Actor) -> None:
        """A line for colleagues: it never leaves the house (rule 14). Invalid when it is empty."""
        if not text.strip():
            raise Invalid.one("note", "write something for your colleagues")
        async with boundary(self._db, self._crash, Boundary.VERB) as conn:
            row = await records.outage_row(conn, outage_id)
            await records.note(conn, outage_id, row.revision, actor, self._house.clock(), text.strip())
        self._house.changes.notify()

    async def own(self, outage_id: str, owner: str, *, actor: Actor) -> None:
        """Who answers for it from now on; "" for nobody. No revision: it is nobody's business outside."""
        async with boundary(self._db, self._crash, Boundary.VERB) as conn:
            row = await records.outage_row(conn, outage_id)
            if row.owner == owner.strip():
                return
            await outages.change(conn, outage_id, owner=owner.strip())
            await outages.record(
                conn,
                at=self._house.clock(),
                what=Happened.OWNED,
                actor=actor,
                outage_id=outage_id,
                data={"owner": owner.strip(), "before": row.owner},
            )
        self._house.changes.notify()

    async def take_due(self) -> int:
        """Let every revision take effect whose time has come; how many did."""
        async with self._db.read() as conn:
            due = await outages.due_revisions(conn, self._house.clock())
        done = 0
        for item in due:
            async with self._revising.verbs:
                done += await self._revising.until_still(partial(self._revising.take_due, item.outage_id, item.number))
        return done

    async def speak(self, outage_id: str, intent: Intent, take: Callable[..., Awaitable[Said]]) -> Said | None:
        """The daemon's own revision (a holding notice): `take` is given (conn, number, prepared, now) in the
        transaction.
        """
        async with self._revising.verbs:
            return await self._revising.until_still(lambda: self._revising.speak(outage_id, intent, take))

    async def map_change(self, outage_id: str) -> MapChange | None:
        """What the inventory's change since the last reckoning would change here (rule 7): nothing is applied. None
        where the inventory is the same; an update that names the scope again applies it.
        """
        async with self._db.read() as conn:
            row = await records.outage_row(conn, outage_id)
            version = await inventory.inventory_version(conn)
        if OutageStatus(row.status) not in OPEN or not row.public or row.inventory == version:
            return None
        prepared = await self._effects.prepare(
            row, intents.update(row, {"scope": row.scope}, self._house.cadence(row.severity))
        )
        reckoned = prepared.reckoned
        kept = {new.key for new in reckoned.open if new.outage_id == outage_id and not new.fresh}
        more = sum(1 for new in reckoned.open if new.outage_id == outage_id and new.fresh)
        fewer = len(reckoned.closed - kept)
        return MapChange(more=more, fewer=fewer) if more or fewer else None

    # --- looking before saying ---

    async def look_at(
        self, outage_id: str, asked: Change | Restoration | Ending, *, actor: Actor, verb: Verb | None = None
    ) -> Difference:
        """Who would hear what of a change; nothing is stored. `verb` tells an Ending's meaning, RESOLVE without it.

        Invalid and Conflict as the verb itself raises them.
        """
        match asked:
            case Change():
                await check_scope(self._db, (*(asked.scope or ()), *asked.scope_add))
                wanted, change = Verb.UPDATE, intents.change_json(asked)
            case Restoration():
                await check_scope(self._db, asked.scope)
                wanted, change = Verb.RESTORE, intents.restoration_json(asked)
            case Ending():
                wanted, change = verb or Verb.RESOLVE, intents.ending_json(asked)
        looked = await self._differences.look(outage_id, wanted, change)
        held = None
        if not looked.prepared.intent.ends:
            async with self._db.read() as conn:
                held = await self._revising.brake(conn, looked.prepared, actor, self._house.clock())
        return await self._differences.difference(outage_id, looked, held.value if held else None)

    async def look_at_merge(self, outage_id: str, into: str, *, actor: Actor) -> Difference:
        """Who would hear what if this outage became part of another open one."""
        await self._mergeable(outage_id, into)
        looked = await self._differences.look(outage_id, Verb.MERGE, {"into": into})
        return await self._differences.difference(outage_id, looked)

    # --- for monitors ---

    async def customers_of_draft(self, row: Record) -> set[str]:
        """Whom a draft would touch as things are."""
        prepared = await self._effects.prepare(row, intents.declare(row, {}))
        return {key.customer_id for key in prepared.reckoned.touched}

    async def brake_for_draft(self, row: Record, actor: Actor) -> str | None:
        """The brake a draft would meet if it were released now by this actor."""
        prepared = await self._effects.prepare(row, intents.declare(row, {}))
        async with self._db.read() as conn:
            brake = await self._revising.brake(conn, prepared, actor, self._house.clock())
        return brake.value if brake else None

    async def propose_end(self, outage_id: str, ending: Ending, *, actor: Actor) -> None:
        """A resolution for a person to release; nothing where one waits already."""
        now = self._house.clock()
        async with self._revising.verbs, boundary(self._db, self._crash, Boundary.VERB) as conn:
            row = await records.outage_row(conn, outage_id)
            waiting = await outages.revisions_in(conn, outage_id, RevisionState.HELD)
            if any(revision.verb == Verb.RESOLVE.value for revision in waiting):
                return
            number = row.revision + 1
            change = intents.ending_json(ending)
            await records.add_revision(
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
            await records.record(conn, Verb.RESOLVE, outage_id, number, actor, now, change, Brake.ON_CLEAR.value)
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
            await outages.put_meta(conn, "paused_at", str(to_micros(self._house.clock())))
            await outages.record(conn, at=self._house.clock(), what=Happened.PAUSED, actor=actor, why=reason)
        self._house.changes.notify()

    async def resume(self, *, actor: Actor) -> None:
        async with boundary(self._db, self._crash, Boundary.VERB) as conn:
            await outages.put_meta(conn, "paused", None)
            await outages.put_meta(conn, "paused_by", None)
            await outages.put_meta(conn, "paused_at", None)
            await outages.record(conn, at=self._house.clock(), what=Happened.RESUMED, actor=actor)
        self._house.changes.notify()

    async def _freeze(self, outage_id: str, reason: str | None, actor: Actor, what: Happened) -> None:
        async with boundary(self._db, self._crash, Boundary.VERB) as conn:
            row = await records.outage_row(conn, outage_id)
            if OutageStatus(row.status) not in OPEN:
                raise Conflict(f"{outage_id} is {row.status}: only an open outage can be held")
            await outages.change(conn, outage_id, hold_reason=reason)
            await outages.record(
                conn, at=self._house.clock(), what=what, actor=actor, outage_id=outage_id, why=reason or ""
            )
        self._house.changes.notify()

    # --- inside ---

    async def _mergeable(self, outage_id: str, into: str) -> None:
        async with self._db.read() as conn:
            other = await outages.get(conn, into)
        if other is None or OutageStatus(other.status) not in OPEN or not other.public or into == outage_id:
            raise Invalid.one("into", f"{into} is not another open outage")


__all__ = ["Idempotency", "MapChange", "Operations", "Told"]
