"""A person's decision about single messages: said again, seen to by other means, a shared address confirmed.

The rule. A delivery that has ended stays as it ended. To say it again, a person makes a revision of its own
(`redeliver`), with his line of the timeline, and under it a fresh row for the same address: the key (revision) is new,
so nothing is doubled by the machine, and what is doubled has a name beside it.

- It repeats the frozen facts, word for word, while they hold: nothing newer speaks to that address, its promise has
  not passed, the outage is open or it is the end that is repeated. A promise that has passed is said with present
  facts instead.
- What stands against an address stands against this as well: opted out, dead, switched off, shared and not confirmed,
  contact gone. Quiet hours and the day's cap hold; so do a hold and a pause.
- While a step of the outage can be undone, or a wave is being planned, it is refused: that step has its say first.
- `retry` is for what did not arrive; `resend` also for what has, or may have: then it is a new mail, not the same
  Message-ID once more, which receivers drop.
"""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.errors import Conflict, Invalid, NotFound
from outagecast.domain.facts import freeze
from outagecast.domain.notices import Speaking
from outagecast.domain.outage import Actor, RevisionState, Verb
from outagecast.domain.timeline import Happened
from outagecast.engine.again import Again, How, choose, fresh_row
from outagecast.engine.crashpoints import Boundary, Crash, never, transact
from outagecast.engine.house import House
from outagecast.engine.planned import Said, Speech, revision_facts
from outagecast.engine.planner import Planner
from outagecast.engine.speeches import others_than
from outagecast.storage import outages, planning, redeliveries
from outagecast.storage.batches import Record
from outagecast.storage.engine import Connection

S = DeliveryState
T = TypeVar("T")
MOST = 5000
"""Deliveries repeated at once: above it the writer would be busy for seconds; the rest takes another press."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Redelivered:
    """`planned`: the new deliveries' numbers; `refused`: why others were not said again, with how many each."""

    outage_id: str
    revision: int
    planned: tuple[int, ...]
    refused: dict[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmed:
    """An address that may be written to now. `planned`: what it had held back, as new deliveries."""

    address_id: int
    planned: tuple[int, ...]


class Redelivery:
    def __init__(self, house: House, planner: Planner, *, crash: Crash = never) -> None:
        self._house = house
        self._planner = planner
        self._crash = crash

    async def retry(self, delivery_id: int, *, actor: Actor, reason: str = "") -> Redelivered:
        """Try again what failed. Conflict where it cannot be, with the reason."""
        return await self._one(delivery_id, How.RETRIED, actor, reason)

    async def resend(self, delivery_id: int, *, actor: Actor, reason: str = "") -> Redelivered:
        """Say once more what was said."""
        return await self._one(delivery_id, How.RESENT, actor, reason)

    async def retry_failed(self, outage_id: str, *, actor: Actor, reason: str = "") -> Redelivered:
        """Try again everything of an outage that did not arrive and that nobody has seen to, MOST at once."""

        async def work(conn: Connection) -> Redelivered:
            outage = await _outage(conn, outage_id)
            ids = await redeliveries.failed(conn, outage_id, limit=MOST)
            if not ids:
                raise Conflict(f"nothing of {outage_id} has failed and waits for somebody")
            return await self._again(conn, outage, ids, How.RETRIED, actor, reason, single=False)

        return await self._do(work)

    async def handle(self, delivery_id: int, reason: str, *, actor: Actor) -> None:
        """A person has seen to it by other means: it counts as failed no more. Invalid without saying how."""
        if not reason.strip():
            raise Invalid.one("reason", "say in a few words how the customer was told")

        async def work(conn: Connection) -> None:
            row = await _delivery(conn, delivery_id)
            if row.state not in {*redeliveries.NOT_ARRIVED, S.AMBIGUOUS.value}:
                raise Conflict(f"this message is {row.state}: there is nothing to see to")
            if not await redeliveries.note_handled(conn, row, actor, reason.strip(), self._house.clock()):
                raise Conflict("somebody has seen to it already")

        await self._do(work)

    async def confirm(self, address_id: int, *, actor: Actor, reason: str = "") -> Confirmed:
        """An address that many customers share may be written to; what it held back is planned with present facts."""

        async def work(conn: Connection) -> Confirmed:
            now = self._house.clock()
            address = await redeliveries.address(conn, address_id)
            if address is None:
                raise NotFound(f"no address {address_id}")
            if not await redeliveries.confirm(conn, address_id, actor.name):
                raise Conflict(
                    f"it was confirmed by {address.confirmed_by}" if address.shared else "few enough customers share it"
                )
            await outages.record(
                conn, at=now, what=Happened.CONFIRMED, actor=actor, data={"address": address_id}, text=reason.strip()
            )
            planned: list[int] = []
            for row in await redeliveries.held_back(conn, address_id):
                outage = await _outage(conn, row.outage_id)
                await _is_still(conn, outage)
                if address.suppressed is None:
                    planned += await self._anew(conn, outage, [row], How.CONFIRMED, actor, reason, now)
            return Confirmed(address_id=address_id, planned=tuple(planned))

        return await self._do(work)

    # --- one transaction ---

    async def _do(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        answer = await transact(self._house.db, self._crash, Boundary.VERB, work)
        self._house.changes.notify()
        return answer

    async def _one(self, delivery_id: int, how: How, actor: Actor, reason: str) -> Redelivered:
        async def work(conn: Connection) -> Redelivered:
            row = await _delivery(conn, delivery_id)
            outage = await _outage(conn, row.outage_id)
            return await self._again(conn, outage, [delivery_id], how, actor, reason, single=True)

        return await self._do(work)

    async def _again(
        self,
        conn: Connection,
        outage: Record,
        ids: Sequence[int],
        how: How,
        actor: Actor,
        reason: str,
        *,
        single: bool,
    ) -> Redelivered:
        now = self._house.clock()
        await _is_still(conn, outage)
        chosen, refused = await choose(conn, self._house, outage, ids, how, now)
        planned: list[int] = []
        frozen = [again for again in chosen if again.facts is not None]
        for revision in dict.fromkeys(again.row.revision for again in frozen):
            part = [again for again in frozen if again.row.revision == revision]
            planned += await self._repeat(conn, outage, revision, part, how, actor, reason, now)
        present = [again.row for again in chosen if again.facts is None]
        if present:
            planned += await self._anew(conn, outage, present, how, actor, reason, now)
        if not planned:
            why = next(iter(refused), "a newer message has said it, or says it next")
            raise Conflict(why if single else f"none of them can be said again: {why}")
        current = await _outage(conn, outage.id)
        return Redelivered(outage_id=outage.id, revision=current.revision, planned=tuple(planned), refused=refused)

    # --- the two ways of saying it again ---

    async def _repeat(
        self,
        conn: Connection,
        outage: Record,
        revision: int,
        group: Sequence[Again],
        how: How,
        actor: Actor,
        reason: str,
        now: datetime,
    ) -> list[int]:
        """Word for word: the frozen facts of one revision under a revision of their own."""
        original = await outages.revision(conn, outage.id, revision)
        assert original is not None
        ids = [again.row.id for again in group]
        number = await self._revision(conn, outage.id, actor, original.facts, {"how": how.value, "of": ids}, now)
        speaks_of = await redeliveries.customers_of(conn, ids)
        rows = [fresh_row(again, number, now) for again in group]
        await planning.add_deliveries(conn, rows, [speaks_of.get(delivery_id, ()) for delivery_id in ids])
        return await self._note(conn, outage.id, number, [again.row for again in group], how, actor, reason, now)

    async def _anew(
        self,
        conn: Connection,
        outage: Record,
        rows: Sequence[Record],
        how: How,
        actor: Actor,
        reason: str,
        now: datetime,
    ) -> list[int]:
        """With present facts: what these addresses would be told now, with the desk's last words."""
        row = await _outage(conn, outage.id)
        last = await outages.last_revision_of(conn, row.id, [Verb.DECLARE.value, Verb.UPDATE.value])
        facts = revision_facts(row, row.revision + 1, said_at=now, message=(last.message if last else "") or "")
        change = {"how": how.value, "of": [delivery.id for delivery in rows]}
        number = await self._revision(conn, row.id, actor, freeze(facts), change, now)
        speech = await _speech(conn, row, number, now)
        said = Said()
        await self._planner.speak(conn, speech, sorted({delivery.address_id for delivery in rows}), said, now)
        return await self._note(conn, row.id, number, rows, how, actor, reason, now)

    async def _revision(
        self, conn: Connection, outage_id: str, actor: Actor, facts: Any, change: dict[str, Any], now: datetime
    ) -> int:
        row = await _outage(conn, outage_id)
        number = int(row.revision) + 1
        await outages.add_revision(
            conn,
            {
                "outage_id": outage_id,
                "number": number,
                "episode": row.episode,
                "verb": Verb.REDELIVER.value,
                "state": RevisionState.EFFECTIVE.value,
                "actor_kind": actor.kind.value,
                "actor": actor.name,
                "created_at": now,
                "effective_at": now,
                "change": change,
                "facts": facts,
                "next_update_by": row.next_update_by,
            },
        )
        await outages.change(conn, outage_id, revision=number)
        return number

    async def _note(
        self,
        conn: Connection,
        outage_id: str,
        number: int,
        rows: Sequence[Record],
        how: How,
        actor: Actor,
        reason: str,
        now: datetime,
    ) -> list[int]:
        made = await redeliveries.of_revision(conn, outage_id, number)
        pairs = [(made[row.address_id], row.id) for row in rows if row.address_id in made]
        await redeliveries.note_again(conn, pairs, how.value, actor.name, now)
        data = {"delivery": pairs[0][1], "again": pairs[0][0]} if len(pairs) == 1 else {"deliveries": len(pairs)}
        await outages.record(
            conn,
            at=now,
            what=Happened(how.value),
            actor=actor,
            outage_id=outage_id,
            revision=number,
            data=data if pairs else {"deliveries": 0},
            text=reason.strip(),
        )
        return [new for new, _ in pairs]


async def _delivery(conn: Connection, delivery_id: int) -> Record:
    found = await redeliveries.rows(conn, [delivery_id])
    if not found or found[0].audience != "customer":
        raise NotFound(f"no delivery {delivery_id}")
    return found[0]


async def _outage(conn: Connection, outage_id: str) -> Record:
    row = await outages.get(conn, outage_id)
    if row is None:
        raise NotFound(f"no outage {outage_id}")
    return row


async def _is_still(conn: Connection, outage: Record) -> None:
    """Conflict while a step of the outage has not taken effect: its messages would be older than this one."""
    if outage.pending_until is not None or await outages.has_open_work(conn, outage.id):
        raise Conflict(f"a step of {outage.id} is about to take effect: do this afterwards")


async def _speech(conn: Connection, row: Record, number: int, now: datetime) -> Speech:
    """A word to single addresses that gives no new promise."""
    others = await others_than(conn, row.id)
    speaking = Speaking(
        outage_id=row.id,
        verb=Verb.REDELIVER,
        at=now,
        to_all=True,
        back_at=now,
        etas=dict(others.etas) | {row.id: row.eta},
    )
    return Speech(
        speaking=speaking,
        episode=row.episode,
        revision=number,
        severity=row.severity,
        promise=row.next_update_by,
        slow=row.next_update_by is None,
        carried="",
        others=others.voices,
    )
