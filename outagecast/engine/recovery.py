"""Rows whose fate is unknown: found after a crash or a lapse, asked about where the provider can tell, tried once
more at the most.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from outagecast.channels.base import Reconciler, RouteDown
from outagecast.domain.delivery import DeliveryState
from outagecast.domain.message import ChannelName, SmsMessage
from outagecast.domain.notices import END_KINDS
from outagecast.domain.outage import DAEMON, OPEN, OutageStatus
from outagecast.domain.timeline import Happened
from outagecast.engine.crashpoints import Boundary, Crash, boundary, never
from outagecast.engine.house import House
from outagecast.engine.receipts import Receipts
from outagecast.engine.words import WordSmith
from outagecast.storage import claims, deliveries, outages, wire
from outagecast.storage.batches import Record
from outagecast.storage.engine import Connection

log = structlog.get_logger(__name__)
S = DeliveryState
CRASHED = "crash"
LAPSED = "lease_ran_out"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """An attempt to look for in the provider's list. `route`: whose list."""

    key: str
    route: str
    to: str
    body: str
    started_at: datetime


class Recovery:
    def __init__(
        self,
        house: House,
        receipts: Receipts,
        words: WordSmith,
        reconcilers: Mapping[ChannelName, Reconciler],
        *,
        owner: str,
        gone: Callable[[], Awaitable[Collection[str]]] | None = None,
        crash: Crash = never,
    ) -> None:
        """`gone` finds the daemons that are dead and have rows in their hands (engine/owners.py); without it whoever
        starts is alone, and from then on only leases tell.
        """
        self._house = house
        self._crash = crash
        self._receipts = receipts
        self._words = words
        self._reconcilers = reconcilers
        self._owner = owner
        self._gone = gone
        self._asked: dict[str, int] = {}

    async def at_start(self) -> None:
        """What the dead had leased is free, what they were writing is unknown."""
        if self._gone is None:
            await self._take_over(all_others=True, why=CRASHED)
        else:
            await self.take_over_from_the_dead()

    async def look(self) -> None:
        """Once in a while, by the daemon that ticks: what others left, and what is to be done about rows nobody knows
        of.
        """
        await self.take_over_from_the_dead()
        async with self._house.db.read() as conn:
            lapsed = await claims.abandoned(conn, now=self._house.clock(), alive=self._owner)
        if lapsed:
            await self._take_over(why=LAPSED)
        await self._reconcile()
        await self._retry()

    async def take_over_from_the_dead(self) -> None:
        """Whoever is proven dead leaves his rows at once; who only stands still keeps them until his lease runs out."""
        gone = await self._gone() if self._gone is not None else ()
        if gone:
            await self._take_over(gone=gone, why=CRASHED)

    async def heartbeat(self) -> None:
        """Keep our leases while we live."""
        until = self._house.clock() + self._house.stretch(self._house.delivery.lease)

        async def work(conn: Connection) -> None:
            await claims.renew(conn, self._owner, until)

        await self._house.db.transact(work, "beside")

    async def _take_over(self, *, why: str, all_others: bool = False, gone: Collection[str] = ()) -> None:
        now = self._house.clock()
        whose: dict[str, Any] = {"alive": self._owner, "all_others": all_others, "gone": gone}
        async with boundary(self._house.db, self._crash, Boundary.TAKE_OVER) as conn:
            freed = await claims.release_leases(conn, now=now, **whose)
            orphans = await claims.orphans(conn, now=now, **whose)
            if orphans:
                await deliveries.make_ambiguous(conn, orphans, now, why, "nobody knows whether it was taken")
                await outages.record_many(conn, [_line(row, now, why) for row in orphans])
        if freed or orphans:
            log.warning("recovered", leases=freed, ambiguous=len(orphans), why=why)
            self._house.changes.notify()

    async def _reconcile(self) -> None:
        """Ask the provider about ambiguous rows, at the set times after they became so."""
        now = self._house.clock()
        due: dict[tuple[ChannelName, str], list[tuple[Record, int]]] = {}
        async with self._house.db.read() as conn:
            rows = await deliveries.ambiguous_ones(conn)
            for row in rows:
                channel = ChannelName(row.channel)
                step = self._asked.get(row.attempt_key, 0)
                times = self._house.delivery.reconcile_after
                if channel not in self._reconcilers or step >= len(times):
                    continue
                if row.transmitting_at + self._house.stretch(times[step]) <= now:
                    # By route as well: an account that cannot be asked must not keep the others from answering.
                    due.setdefault((channel, row.attempt_route), []).append((row, step))
            facts = {
                (row.outage_id, row.revision): await deliveries.revision_facts(conn, row.outage_id, row.revision)
                for found in due.values()
                for row, _ in found
            }
        for (channel, _), found in due.items():
            await self._ask(channel, found, facts)

    async def _ask(
        self, channel: ChannelName, found: list[tuple[Record, int]], facts: Mapping[tuple[str, int], Any]
    ) -> None:
        attempts = []
        for row, _ in found:
            message = self._words.message(row, facts[row.outage_id, row.revision] or {}, row.attempt_key)
            assert isinstance(message, SmsMessage)
            attempts.append(
                Asked(
                    key=row.attempt_key,
                    route=row.attempt_route,
                    to=row.to,
                    body=message.body,
                    started_at=row.attempt_at,
                )
            )
        try:
            receipts = await self._reconcilers[channel].find(attempts)
        except RouteDown as down:
            log.warning("reconcile_later", channel=channel.value, code=down.outcome.code)
            return
        for row, step in found:
            self._asked[row.attempt_key] = step + 1
        for receipt in receipts.values():
            await self._receipts.record(receipt)

    async def _retry(self) -> None:
        """The one retry: after the provider was asked, after `ambiguous_retry_after`, and only if the words still
        hold.
        """
        if self._house.delivery.on_ambiguous == "hold":
            return
        now = self._house.clock()
        wait = self._house.stretch(self._house.delivery.ambiguous_retry_after)
        async with self._house.db.read() as conn:
            due = [
                row
                for row in await deliveries.ambiguous_ones(conn)
                if row.ambiguous == 1
                and row.transmitting_at + wait <= now
                and self._was_asked(row)
                and await self._still_holds(conn, row, now)
            ]
        if not due:
            return
        async with boundary(self._house.db, self._crash, Boundary.RETRY) as conn:
            for row in due:
                if not await self._still_holds(conn, row, now):
                    continue
                if await deliveries.settle_ambiguous(
                    conn, row.id, row.fence, S.PLANNED, due_at=now, transmitting_at=None
                ):
                    await outages.record(
                        conn,
                        at=now,
                        what=Happened.RETRIED,
                        actor=DAEMON,
                        outage_id=row.outage_id,
                        revision=row.revision,
                        why="ambiguous",
                        data={"delivery": row.id, "attempt": row.attempt_key},
                    )

    def _was_asked(self, row: Record) -> bool:
        if ChannelName(row.channel) not in self._reconcilers:
            return True
        return self._asked.get(row.attempt_key, 0) >= len(self._house.delivery.reconcile_after)

    async def _still_holds(self, conn: Any, row: Record, now: datetime) -> bool:
        if row.expires_at is not None and row.expires_at <= now:
            return False
        if await wire.spoken_since(conn, row):
            return False
        if await wire.contradicted(conn, [row]):
            return False
        outage = await outages.get(conn, row.outage_id)
        ended = outage is None or OutageStatus(outage.status) not in OPEN
        return not ended or row.kind in _END_WORDS or row.audience == "staff"


def _line(row: Record, now: datetime, why: str) -> dict[str, Any]:
    return {
        "at": now,
        "what": Happened.AMBIGUOUS.value,
        "outage_id": row.outage_id,
        "revision": row.revision,
        "why": why,
        "actor_kind": DAEMON.kind.value,
        "actor": DAEMON.name,
        "data": {"delivery": row.id},
    }


_END_WORDS = frozenset(kind.value for kind in END_KINDS)
