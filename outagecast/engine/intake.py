"""From a monitor's event to a draft, an outage, or a note (rule 25).

An alarm is what a monitor holds up under one key. It opens a draft at once; with `action = "declare"` the draft is
released when the alarm has lasted `hold_down`, unless it would reach too many. Storms and flapping end here: what an
open outage or draft already holds down is noted there, and an alarm that clears before its hold-down takes its draft
back in silence.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from outagecast.domain.errors import OutageCastError
from outagecast.domain.event import Event, EventAction
from outagecast.domain.facts import to_micros
from outagecast.domain.levels import Effect
from outagecast.domain.outage import (
    OPEN,
    Actor,
    ActorKind,
    Declaration,
    Ending,
    OutageStatus,
    RetractReason,
    Role,
    ScopeEntry,
    Severity,
)
from outagecast.domain.timeline import Happened
from outagecast.engine.brakes import Brake
from outagecast.engine.declaring import Idempotency
from outagecast.engine.house import House
from outagecast.engine.operations import Operations
from outagecast.engine.reckoning import Reckoner
from outagecast.monitors.settings import MonitorSettings
from outagecast.storage import alarms, inventory, outages
from outagecast.storage.batches import Record
from outagecast.storage.engine import Connection, DatabaseFault

log = structlog.get_logger(__name__)
TAKEN_AT_ONCE = 100
"""Calls of monitors committed together: a storm costs a tenth of a second for as many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    settings: MonitorSettings
    events: Sequence[Event]
    raw: bytes
    done: "asyncio.Future[None]"


class Intake:
    def __init__(
        self, house: House, operations: Operations, reckoner: Reckoner, monitors: Mapping[str, MonitorSettings]
    ) -> None:
        self._house = house
        self._operations = operations
        self._reckoner = reckoner
        self._monitors = monitors
        self._acting = asyncio.Lock()
        self._calls: list[_Call] = []
        self._taking: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._is_due = False
        self._extents: dict[tuple[str, int], Any] = {}
        """What drafts hold down, by (id, revision), reckoned once for all that is due at a moment."""

    async def take(self, monitor: str, events: Sequence[Event], raw: bytes) -> None:
        """Returns when what a monitor said is committed; what follows from it is done right after, by itself. Saying it
        twice changes nothing.
        """
        call = _Call(
            settings=self._monitors[monitor], events=events, raw=raw, done=asyncio.get_running_loop().create_future()
        )
        self._calls.append(call)
        if self._taking is None or self._taking.done():
            self._taking = asyncio.create_task(self._take_all(), name="intake")
        await call.done

    async def act(self) -> int:
        """Everything that is due: new alarms, hold-downs that are over, alarms that have been clear long enough.

        One at a time: what a storm of calls says of one alarm must not be followed by each of them.
        """
        async with self._acting:
            async with self._house.db.read() as conn:
                due = await alarms.due(conn, self._house.clock())
            self._extents.clear()
            for alarm in due:
                settings = self._monitors.get(alarm.monitor)
                if settings is not None:
                    await self._act_on(settings, alarm)
            return len(due)

    async def settled(self) -> None:
        """Until all that was taken is committed and followed."""
        while tasks := [task for task in (self._taking, self._following) if task is not None and not task.done()]:
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """What was taken is committed; what would follow is due at the next start."""
        if self._taking is not None:
            await asyncio.gather(self._taking, return_exceptions=True)
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    # --- taking: the calls of one moment are one transaction ---

    async def _take_all(self) -> None:
        while self._calls:
            calls, self._calls = self._calls[:TAKEN_AT_ONCE], self._calls[TAKEN_AT_ONCE:]
            if not await self._commit(calls) and len(calls) > 1:
                for call in calls:  # one of them cannot be taken: it must not hold up the others
                    await self._commit([call])
        self._is_due = True
        if self._following is None or self._following.done():
            self._following = asyncio.create_task(self._follow(), name="intake-follows")

    async def _commit(self, calls: Sequence["_Call"]) -> bool:
        now = self._house.clock()

        async def work(conn: Connection) -> None:
            for call in calls:
                for place, event in enumerate(call.events):
                    scope = await self._scope(conn, event)
                    raw = call.raw if place == 0 else b""
                    await alarms.add_event(conn, call.settings.name, event, scope, raw, now)
                    await self._note_alarm(conn, call.settings, event, scope, now)

        try:
            await self._house.db.transact(work)
        except Exception as fault:
            if len(calls) == 1 and not calls[0].done.done():
                calls[0].done.set_exception(fault)
            return False
        for call in calls:
            if not call.done.done():
                call.done.set_result(None)
        return True

    async def _follow(self) -> None:
        try:
            while self._is_due:  # also what is taken while this goes on
                self._is_due = False
                await self.act()
        except (DatabaseFault, OSError) as fault:  # it stays due: the next tick follows
            log.warning("alarms_wait", error=str(fault.__cause__ or fault)[:200])

    async def _note_alarm(
        self, conn: Connection, settings: MonitorSettings, event: Event, scope: list[dict[str, str]], now: datetime
    ) -> None:
        alarm = await alarms.get(conn, settings.name, event.dedup_key)
        match event.action:
            case EventAction.TRIGGER:
                if alarm is None or (alarm.state == alarms.CLEARED and alarm.outage_id is None):
                    if not _older(event, alarm):
                        await alarms.raise_new(conn, settings.name, event, scope, now)
                elif alarm.state == alarms.CLEARED and not _older(event, alarm):
                    hold_down = self._house.stretch(settings.hold_down) if settings.action == "declare" else None
                    await alarms.raise_again(conn, alarm, now, due_at=now + hold_down if hold_down else None)
            case EventAction.RESOLVE:
                if alarm is None:
                    await alarms.remember_clear(conn, settings.name, event, now)
                elif alarm.state == alarms.FIRING:
                    await alarms.clear(conn, alarm, now, due_at=now + self._house.stretch(settings.clear_after))
            case EventAction.ACK | EventAction.NOTE:
                if alarm is not None and alarm.outage_id:
                    await self._line(conn, settings, alarm.outage_id, event.action.value, event.summary, now)

    async def _act_on(self, settings: MonitorSettings, alarm: Record) -> None:
        try:
            if alarm.state == alarms.FIRING:
                await self._firing(settings, alarm)
            else:
                await self._cleared(settings, alarm)
        except OutageCastError as error:
            log.warning("alarm_not_followed", monitor=settings.name, error=str(error))
            async with self._house.db.write() as conn:
                await alarms.settle(conn, alarm)

    # --- firing ---

    async def _firing(self, settings: MonitorSettings, alarm: Record) -> None:
        if alarm.outage_id is None:
            await self._open(settings, alarm)
        else:
            await self._release(settings, alarm)

    async def _open(self, settings: MonitorSettings, alarm: Record) -> None:
        holder = await self._held_by(alarm.scope)
        now = self._house.clock()
        if holder is not None:
            async with self._house.db.write() as conn:
                await alarms.attach(conn, alarm, holder, due_at=None)
                await self._line(conn, settings, holder, "trigger", alarm.summary, now)
            return
        scope = tuple(ScopeEntry(kind=e["kind"], id=e["id"], effect=Effect.OUTAGE) for e in alarm.scope)
        declaration = Declaration(
            title=alarm.summary or f"{settings.name}: {alarm.dedup_key}",
            scope=scope,
            severity=Severity.MAJOR,
            started_at=alarm.since_at,
            release=False,
        )
        held = None if scope else Brake.NO_SCOPE.value
        told = await self._operations.declare(
            declaration, actor=_actor(settings), idempotency=_once(alarm), monitor=settings.name, held_because=held
        )
        waits = settings.action == "declare" and scope
        due_at = alarm.since_at + self._house.stretch(settings.hold_down) if waits else None
        async with self._house.db.write() as conn:
            await alarms.attach(conn, alarm, told.outage_id, due_at=due_at)
        fresh = await self._fresh(alarm)
        if due_at is not None and due_at <= now and (fresh.state, fresh.changed_at) == (alarm.state, alarm.changed_at):
            await self._release(settings, fresh)

    async def _release(self, settings: MonitorSettings, alarm: Record) -> None:
        """The hold-down is over: customers are told, unless the monitor's outages together would reach too many."""
        async with self._house.db.write() as conn:
            if not await alarms.settle(conn, alarm):
                return  # it has cleared meanwhile, or come up anew: what is due then is in its row
            row = await outages.get(conn, alarm.outage_id)
        if row is None or row.status != OutageStatus.DRAFT.value or row.held_because:
            return
        touched = await self._touched_with(settings, row)
        brake: str | None = None
        if settings.max_customers and touched > settings.max_customers:
            brake = Brake.MAX_CUSTOMERS.value
        if brake is None:
            brake = await self._operations.brake_for_draft(row, _actor(settings))
        if brake is not None:
            async with self._house.db.write() as conn:
                await outages.change(conn, row.id, held_because=brake)
                await outages.record(
                    conn,
                    at=self._house.clock(),
                    what=Happened.HELD_BACK,
                    actor=_actor(settings),
                    outage_id=row.id,
                    why=brake,
                )
            self._house.changes.notify()
            return
        await self._operations.release(row.id, actor=_actor(settings))

    async def _touched_with(self, settings: MonitorSettings, row: Record) -> int:
        """Customers that the monitor's open outages and this draft touch together."""
        async with self._house.db.read() as conn:
            customers = await alarms.customers_of_monitor(conn, settings.name)
        return len(customers | await self._operations.customers_of_draft(row))

    async def _held_by(self, scope: Sequence[Mapping[str, str]]) -> str | None:
        """The open outage or draft that already holds all of this down, the first one."""
        if not scope:
            return None
        async with self._house.db.read() as conn:
            drafts = await alarms.drafts(conn)
            for row in drafts:
                if (row.id, row.revision) not in self._extents:
                    found = await self._reckoner.extent(conn, row.scope, row.restored)
                    self._extents[row.id, row.revision] = found
        extents = {row.id: self._extents[row.id, row.revision] for row in drafts}
        world = await self._reckoner.world()
        for outage_id, extent in {**world.extents, **extents}.items():
            if await self._reckoner.holds_down(world.network, extent, scope):
                return str(outage_id)
        return None

    # --- cleared ---

    async def _cleared(self, settings: MonitorSettings, alarm: Record) -> None:
        now = self._house.clock()
        async with self._house.db.write() as conn:
            if not await alarms.settle(conn, alarm):
                return  # it is up again
            row = await outages.get(conn, alarm.outage_id) if alarm.outage_id else None
            if row is None:
                return
            await self._line(conn, settings, row.id, "resolve", alarm.summary, now)
            others = await alarms.firing_on(conn, row.id)
        if others:
            return
        if row.status == OutageStatus.DRAFT.value and row.monitor == settings.name:
            ending = Ending(reason=RetractReason.FALSE_ALARM)
            await self._operations.retract(row.id, ending, actor=_actor(settings))
            return
        if OutageStatus(row.status) not in OPEN or row.monitor != settings.name:
            return
        match settings.on_clear:
            case "note":
                return
            case "draft":
                await self._operations.propose_end(row.id, Ending(), actor=_actor(settings))
            case "resolve":
                await self._operations.resolve(row.id, Ending(resolved_at=alarm.changed_at), actor=_actor(settings))

    # --- small things ---

    async def _fresh(self, alarm: Record) -> Record:
        async with self._house.db.read() as conn:
            return await alarms.get(conn, alarm.monitor, alarm.dedup_key)

    async def _scope(self, conn: Connection, event: Event) -> list[dict[str, str]]:
        """What the event names and the inventory knows."""
        found: list[dict[str, str]] = []
        for kind, names in event.hints.items():
            known = await inventory.exists(conn, kind, names)
            found += [{"kind": kind, "id": name, "effect": "outage"} for name in names if name in known]
        return found

    async def _line(
        self, conn: Connection, settings: MonitorSettings, outage_id: str, why: str, text: str, now: datetime
    ) -> None:
        await outages.record(
            conn, at=now, what=Happened.MONITOR, actor=_actor(settings), outage_id=outage_id, why=why, text=text
        )


def _once(alarm: Record) -> Idempotency:
    """An alarm that has come up opens one outage, whichever daemons see it, and however often one of them dies over
    it.
    """
    key = hashlib.sha256(f"{alarm.monitor}|{alarm.dedup_key}|{to_micros(alarm.changed_at)}".encode()).hexdigest()
    return Idempotency(key=key, body_hash=key)


def _actor(settings: MonitorSettings) -> Actor:
    return Actor(kind=ActorKind.MONITOR, name=settings.name, role=Role.OPERATOR)


def _older(event: Event, alarm: Record | None) -> bool:
    """A trigger that is late: it began no later than what is over by now (delivered out of order, or replayed)."""
    return alarm is not None and event.occurred_at is not None and bool(event.occurred_at <= alarm.since_at)
