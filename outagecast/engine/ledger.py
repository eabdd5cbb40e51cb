"""Group commit for the outbox: what all lanes want written at one moment is one transaction.

A lane that is about to write asks for its mark and waits until it is durable; the outcome of its message before goes
into the same transaction at the latest. So a crash leaves at most one message a lane whose fate nobody knows.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.timeline import Happened
from outagecast.engine.crashpoints import Boundary, Crash, never, transact
from outagecast.storage import claims, deliveries, outages, wire
from outagecast.storage.claims import Claim
from outagecast.storage.engine import Connection, Database, DatabaseFault
from outagecast.storage.wire import Finish, Mark
from outagecast.storage.writer import Writer

log = structlog.get_logger(__name__)
GATHER = 0.004
"""Seconds a transaction waits for the other lanes' marks: a commit costs about as much, and one for ten beats ten
for one.
"""

PAUSE_AFTER_FAULT = 0.5
"""Seconds between tries while the database refuses to write (full, locked, gone)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suppression:
    """An address that must not be written to again, as an outcome said."""

    address_id: int
    reason: str
    code: str
    outage_id: str


@dataclass(kw_only=True, slots=True)
class _Batch:
    marks: list[tuple[Mark, asyncio.Future[bool]]] = field(default_factory=list)
    finishes: list[tuple[Finish, str]] = field(default_factory=list)
    refused: list[Claim] = field(default_factory=list)
    returned: list[tuple[Claim, datetime | None]] = field(default_factory=list)
    suppressions: list[Suppression] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.marks or self.finishes or self.refused or self.returned or self.suppressions)


class Ledger:
    """The only writer of what happens between PLANNED and the provider's answer. `crash` is a named point for fault
    tests.
    """

    def __init__(
        self,
        db: Database,
        clock: Callable[[], datetime],
        *,
        crash: Crash = never,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._at_once = db.writers_at_once
        self._writers = [db.writer() for _ in range(self._at_once)]
        """Those that have nothing to write."""
        self._clock = clock
        self._crash = crash
        self._on_change = on_change
        self._next = _Batch()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self._writes: set[asyncio.Task[None]] = set()
        self._full = asyncio.Event()
        self._lanes = 0
        self._marking = 0
        """Lanes whose marks are being written."""
        self.faults = 0
        """Transactions the database refused since the start."""

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="ledger")

    async def stop(self) -> None:
        """Write down everything that is still open, then end; gives up where the database does not take it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timedelta(seconds=10).total_seconds()):
                await self.settled()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await asyncio.gather(*self._writes, return_exceptions=True)
        for writer in self._writers:
            await writer.close()

    async def settled(self) -> None:
        """Until everything handed in so far is durable."""
        await self._idle.wait()

    def lane_opened(self) -> None:
        """One more lane that will ask for marks: a transaction waits a little for all of them."""
        self._lanes += 1

    def lane_closed(self) -> None:
        self._lanes -= 1
        self._look_if_full()

    def mark(self, mark: Mark) -> asyncio.Future[bool]:
        """True once it is durable that this row is about to be written; False if it may not be (any more)."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._next.marks.append((mark, future))
        self._ring()
        self._look_if_full()
        return future

    def finish(self, finish: Finish, outage_id: str) -> None:
        """Hand in an outcome. It is in one transaction with this lane's next mark where that follows at once; where a
        rate comes between and there are two writers, it may be durable a moment after it.
        """
        self._next.finishes.append((finish, outage_id))
        self._ring()

    def refuse(self, claim: Claim) -> None:
        """A row whose mark was refused: ended with its address's reason, or given back."""
        self._next.refused.append(claim)
        self._ring()

    def give_back(self, claim: Claim, due_at: datetime | None = None) -> None:
        self._next.returned.append((claim, due_at))
        self._ring()

    def suppress(self, suppression: Suppression) -> None:
        self._next.suppressions.append(suppression)
        self._ring()

    def _ring(self) -> None:
        self._idle.clear()
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await self._gather()
            while not self._writers:
                await asyncio.wait(self._writes, return_when=asyncio.FIRST_COMPLETED)
            self._wake.clear()
            batch, self._next = self._next, _Batch()
            self._marking += len(batch.marks)
            write = asyncio.create_task(self._write(self._writers.pop(), batch), name="ledger-write")
            self._writes.add(write)
            write.add_done_callback(self._writes.discard)

    def _look_if_full(self) -> None:
        if len(self._next.marks) >= (self._lanes - self._marking):
            self._full.set()

    async def _gather(self) -> None:
        self._full.clear()
        self._look_if_full()
        if not self._full.is_set():
            enough = asyncio.get_running_loop().call_later(GATHER, self._full.set)
            try:
                await self._full.wait()
            finally:
                enough.cancel()

    async def _write(self, writer: Writer, batch: _Batch) -> None:
        try:
            await self._write_by(writer, batch)
        finally:
            self._writers.append(writer)
            self._marking -= len(batch.marks)
            if not self._next and len(self._writers) == self._at_once:
                self._idle.set()

    async def _write_by(self, writer: Writer, batch: _Batch) -> None:
        try:
            allowed = await self._commit(writer, batch)
        except (DatabaseFault, OSError) as fault:
            self.faults += 1
            log.error("ledger_refused", error=str(fault.__cause__ or fault)[:200])
            self._retry_later(batch)
            await asyncio.sleep(PAUSE_AFTER_FAULT)
            return
        except Exception:
            # A bug, but one that must neither lose an outcome nor let a lane wait for ever.
            self.faults += 1
            log.exception("ledger_failed")
            self._retry_later(batch)
            await asyncio.sleep(PAUSE_AFTER_FAULT)
            return
        for mark, future in batch.marks:
            if not future.done():
                future.set_result(mark.id in allowed)
            elif mark.id in allowed:
                self._unmark(mark)
        if batch.finishes or batch.refused or batch.suppressions:
            self._on_change()

    def _unmark(self, mark: Mark) -> None:
        """Whoever asked for it was cancelled while it was being written: nothing was sent, and that is known."""
        now = self._clock()
        finish = Finish(
            id=mark.id,
            fence=mark.fence,
            key=mark.key,
            state=DeliveryState.PLANNED,
            at=now,
            outcome="cancelled",
            code="cancelled",
            detail="nothing was written",
            due_at=now,
        )
        self.finish(finish, "")

    def _retry_later(self, batch: _Batch) -> None:
        """Nothing is sent without its mark; outcomes are kept until the database takes them."""
        for mark, future in batch.marks:
            if not future.done():
                future.set_result(False)
            # A connection that broke at the commit says nothing about it: should the mark stand, it is taken back.
            self._unmark(mark)
        self._next.finishes[:0] = batch.finishes
        self._next.refused[:0] = batch.refused
        self._next.returned[:0] = batch.returned
        self._next.suppressions[:0] = batch.suppressions
        self._ring()

    async def _commit(self, writer: Writer, batch: _Batch) -> set[int]:
        now = self._clock()

        async def work(conn: Connection) -> set[int]:
            await wire.finish(conn, [finish for finish, _ in batch.finishes])
            for s in batch.suppressions:
                await deliveries.suppress_address(conn, s.address_id, s.reason, s.code, now)
            await outages.record_many(conn, _lines(batch, now))
            if batch.refused:
                await claims.suppress_leased(conn, batch.refused, now)
                await claims.give_back(conn, batch.refused)
            for due_at in {due for _, due in batch.returned}:
                await claims.give_back(conn, [c for c, due in batch.returned if due == due_at], due_at)
            return await wire.mark(conn, [mark for mark, future in batch.marks if not future.done()], now)

        return await transact(writer, self._crash, Boundary.LEDGER, work)


def _lines(batch: _Batch, now: datetime) -> list[dict[str, Any]]:
    """Timeline lines for what a person must be able to find: unknown fates, failures, suppressions."""
    lines = [
        _line(
            now,
            what,
            outage_id,
            finish.code,
            {"delivery": finish.id, "attempt": finish.key, "detail": finish.detail[:200]},
        )
        for finish, outage_id in batch.finishes
        if (what := _WORTH_A_LINE.get(finish.state)) is not None
    ]
    lines += [
        _line(now, Happened.SUPPRESSED, s.outage_id, s.reason, {"address": s.address_id, "code": s.code})
        for s in batch.suppressions
    ]
    return lines


_WORTH_A_LINE = {DeliveryState.AMBIGUOUS: Happened.AMBIGUOUS, DeliveryState.FAILED: Happened.FAILED}


def _line(now: datetime, what: Happened, outage_id: str, why: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "at": now,
        "what": what.value,
        "outage_id": outage_id,
        "why": why,
        "actor_kind": "daemon",
        "actor": "outagecast",
        "data": data,
    }
