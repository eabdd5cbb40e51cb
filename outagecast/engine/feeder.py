"""What feeds a route's lanes: due rows claimed in batches and put into words off the loop.

A row that may not go by `sms_per_day` is ended here; one that cannot be put into words fails.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime
from time import monotonic
from typing import Any, Protocol

import structlog

from outagecast.channels.base import Channel
from outagecast.domain.delivery import DeliveryState
from outagecast.domain.message import ChannelName, Message
from outagecast.domain.notices import END_KINDS
from outagecast.domain.outage import DAEMON
from outagecast.domain.routes import Admission, Carries
from outagecast.domain.suppression import EndReason
from outagecast.domain.throttle import start_of_day
from outagecast.domain.timeline import Happened
from outagecast.engine.crashpoints import Boundary, Crash, boundary, transact
from outagecast.engine.house import House
from outagecast.engine.ledger import Ledger
from outagecast.engine.pacing import Pace
from outagecast.engine.ready import BATCH, Queue, Ready
from outagecast.storage import claims, deliveries, outages, rates
from outagecast.storage.claims import Claim
from outagecast.storage.engine import Connection, DatabaseFault

log = structlog.get_logger(__name__)
RENDER = 40
"""Messages rendered per hop to the worker thread: about ten milliseconds."""
POLL = 0.5
"""Seconds between looks at the table without a wake-up: rows committed by other processes are seen within a second."""


class Words(Protocol):
    """Puts claimed rows into words (engine/words.py). A row that cannot be is answered with the exception's text."""

    def render(
        self, rows: Sequence[Any], revisions: dict[tuple[str, int], Any], keys: Sequence[str]
    ) -> list[Message | str]: ...


class Gate(Protocol):
    """What the feeder has to know of the route that it feeds."""

    @property
    def downs(self) -> int:
        """How often the route has gone down or stood down: what was claimed before goes back."""
        ...

    @property
    def is_closed(self) -> bool:
        """No new claims: it is stopping."""
        ...

    def admission(self) -> Admission: ...


class Feeder:
    """Keeps a route's queue filled. `new_key` gives an attempt's opaque key; `may_claim`: whose rows are this route's
    turn now; `spare` gives one to a route before this that is due to be tried; whether it did.
    """

    def __init__(
        self,
        house: House,
        name: ChannelName,
        channel: Channel[Any],
        words: Words,
        ledger: Ledger,
        queue: Queue,
        pace: Pace,
        gate: Gate,
        *,
        owner: str,
        new_key: Callable[[], str],
        crash: Crash,
        on_failure: Callable[[str, str], None],
        may_claim: Callable[[], Carries],
        spare: Callable[[Ready], bool] | None,
    ) -> None:
        self._house = house
        self._name = name
        self._channel = channel
        self._words = words
        self._ledger = ledger
        self._queue = queue
        self._pace = pace
        self._gate = gate
        self._owner = owner
        self._new_key = new_key
        self._crash = crash
        self._on_failure = on_failure
        self._may_claim = may_claim
        self._spare = spare
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something was committed: look at once."""
        self._wake.set()

    async def run(self) -> None:
        """Until the gate closes."""
        while not self._gate.is_closed:
            try:
                claimed = await self._claim_some()
            except (DatabaseFault, OSError) as fault:
                log.error("claim_refused", channel=self._name.value, error=str(fault.__cause__ or fault)[:200])
                claimed = 0
            except Exception:
                # A bug, but one that must not silence the channel: what was claimed has been given back.
                log.exception("claim_failed", channel=self._name.value)
                claimed = 0
            if not claimed:
                await self._sleep(POLL)

    async def _claim_some(self) -> int:
        await self._queue.room()
        first = self._queue.first
        if self._pace.is_taken() or (first is not None and 0.0 < first.moment < monotonic()):
            return 0  # a route that does not keep up with its rate: what is claimed now would be late as well
        let, turn = self._gate.admission(), self._may_claim()
        if self._gate.is_closed or turn is Carries.NOTHING or let not in (Admission.ALL, Admission.ONE):
            return 0
        now = self._house.clock()
        until = now + self._house.stretch(self._house.delivery.lease)
        count = 1 if let is Admission.ONE else BATCH
        downs = self._gate.downs

        async def work(conn: Connection) -> tuple[Sequence[Any], int]:
            async def claim(most: int) -> Sequence[Any]:
                return await claims.claim(
                    conn, channel=self._name, owner=self._owner, now=now, until=until, count=most, turn=turn
                )

            rows = await self._pace.claim(conn, count, claim)
            return rows, await self._texts(conn, now) - len(rows) if rows else 0

        # In a thread: reading a batch's rows takes ten milliseconds, which the lanes would spend waiting.
        rows, texts = await transact(self._house.db, self._crash, Boundary.CLAIM, work, "beside")
        queued = 0
        try:
            rows = await self._cap(list(rows), texts, now)
            revisions = await self._revisions(rows)
            for start in range(0, len(rows), RENDER):
                await self._render(rows[start : start + RENDER], revisions, downs)
                queued = start + RENDER
        except BaseException:
            # Our heartbeat would keep these leases for ever; giving back is guarded, so those that were ended stay so.
            for row in rows[queued:]:
                self._ledger.give_back(Claim(id=row.id, fence=row.fence))
            raise
        return len(rows)

    async def _texts(self, conn: Connection, now: datetime) -> int:
        """Today's SMS of all daemons, those that are claimed among them; 0 where nobody asks. One claim after the other
        counts, so that two do not both take what is left.
        """
        if self._name is not ChannelName.SMS or not self._house.safety.sms_per_day:
            return 0
        await rates.alone(conn, "sms_per_day")
        return await claims.texts_since(conn, start_of_day(now)) + await claims.texts_claimed(conn)

    async def _cap(self, rows: list[Any], used: int, now: datetime) -> list[Any]:
        """`sms_per_day` holds for what the daemon says by itself as well; the end of an outage is exempt. `used`:
        today's texts but for these.
        """
        limit = self._house.safety.sms_per_day
        if self._name is not ChannelName.SMS or not limit or not rows:
            return rows
        kept: list[Any] = []
        capped: list[Claim] = []
        for row in rows:
            if row.kind in _END_WORDS or row.audience == "staff" or used < limit:
                kept.append(row)
                used += 1
            else:
                capped.append(Claim(id=row.id, fence=row.fence))
        if capped:
            async with boundary(self._house.db, self._crash, Boundary.CAP) as conn:
                await claims.end_leased(conn, capped, DeliveryState.CAPPED, EndReason.SMS_PER_DAY.value, now)
        return kept

    async def _revisions(self, rows: Sequence[Any]) -> dict[tuple[str, int], Any]:
        """What the revisions of these rows say to all: frozen before there is a row, so it is read once for all."""
        wanted = {(row.outage_id, row.revision) for row in rows}
        if not wanted:
            return {}

        async def work(conn: Connection) -> dict[tuple[str, int], Any]:
            return {key: await deliveries.revision_facts(conn, *key) for key in wanted}

        return await self._house.db.look(work)

    async def _render(self, rows: list[Any], revisions: dict[tuple[str, int], Any], downs: int) -> None:
        """Queue these rows with their words. `downs`: how often the route had gone down when they were claimed."""
        try:
            worded = await asyncio.get_running_loop().run_in_executor(None, self._put_into_words, rows, revisions)
        except Exception as error:
            if len(rows) > 1:  # a poisoned revision must not hold up the others
                for row in rows:
                    await self._render([row], revisions, downs)
                return
            worded = [(rows[0], f"{type(error).__name__}: {error}"[:300])]
        broken: list[tuple[Any, str]] = []
        for ready in worded:
            if not isinstance(ready, Ready):
                broken.append(ready)
            elif self._gate.is_closed or self._gate.downs != downs:
                self._ledger.give_back(ready.claim)
            elif self._spare is None or not self._spare(ready):
                self._queue.put(ready)
        if broken:
            await self._fail_unworded(broken)

    def _put_into_words(
        self, rows: Sequence[Any], revisions: dict[tuple[str, int], Any]
    ) -> Sequence[Ready | tuple[Any, str]]:
        """In a worker thread: each row ready for a lane, or with why it cannot be."""
        keys = [self._new_key() for _ in rows]
        prepared, moment = self._channel.prepared, self._pace.moment
        return [
            (row, message)
            if isinstance(message, str)
            else Ready(row=row, message=prepared(message), key=key, moment=moment(row))
            for row, key, message in zip(rows, keys, self._words.render(rows, revisions, keys), strict=True)
        ]

    async def _fail_unworded(self, broken: Sequence[tuple[Any, str]]) -> None:
        now = self._house.clock()
        async with self._house.db.write() as conn:
            for row, why in broken:
                claim = Claim(id=row.id, fence=row.fence)
                await claims.end_leased(conn, [claim], DeliveryState.FAILED, EndReason.REJECTED.value, now, why)
                await outages.record(
                    conn,
                    at=now,
                    what=Happened.FAILED,
                    actor=DAEMON,
                    outage_id=row.outage_id,
                    revision=row.revision,
                    why="no_words",
                    data={"delivery": row.id, "detail": why},
                )
        for row, why in broken:
            log.error("no_words", delivery=row.id, error=why)
            self._on_failure(row.outage_id, why)

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()


_END_WORDS = frozenset(kind.value for kind in END_KINDS)
