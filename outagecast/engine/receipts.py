"""What comes back later: the provider's receipts, and people who opt out or in again."""

from collections.abc import Callable
from datetime import datetime

from outagecast.domain.delivery import DeliveryState, Receipt, ReceiptState
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import Actor, ActorKind, Role
from outagecast.domain.suppression import EndReason, SuppressReason
from outagecast.domain.timeline import Happened
from outagecast.engine.crashpoints import Boundary, Crash, boundary, never
from outagecast.engine.house import House
from outagecast.storage import deliveries, outages
from outagecast.storage.batches import Record
from outagecast.storage.engine import Connection

S = DeliveryState
FINAL = frozenset({ReceiptState.DELIVERED.value, ReceiptState.UNDELIVERED.value})
_PROVIDER = Actor(kind=ActorKind.PROVIDER, name="twilio", role=Role.VIEWER)


class Receipts:
    """States only rise; an unknown message changes nothing and is counted (I10)."""

    def __init__(
        self,
        house: House,
        on_failure: Callable[[str, str], None] = lambda outage_id, code: None,
        *,
        crash: Crash = never,
    ) -> None:
        self._house = house
        self._crash = crash
        self._on_failure = on_failure
        self._looking = True
        self.unknown = 0
        """Receipts that named nothing of ours since the start."""

    async def record(self, receipt: Receipt) -> bool:
        """Take in one receipt; False if it names no attempt of ours."""
        now = self._house.clock()
        async with boundary(self._house.db, self._crash, Boundary.RECEIPT) as conn:
            row = await deliveries.by_attempt(conn, receipt.key, receipt.provider_id)
            if row is None:
                self.unknown += 1
                return False
            if row.attempt_receipt in FINAL:
                return True  # the attempt's word stands; a row that it has not raised yet is for `apply_early`
            await deliveries.note_receipt(
                conn,
                row.attempt_key,
                receipt=receipt.state.value,
                code=receipt.code,
                provider_id=receipt.provider_id,
                now=now,
            )
            if row.state == S.TRANSMITTING.value:
                self._looking = True
            if receipt.state is not ReceiptState.UNDELIVERED or row.attempt_number == row.attempt:
                await self._raise(conn, row, receipt.state, receipt.code, now)
            if receipt.suppress_as and row.address_id is not None:
                reason = SuppressReason(receipt.suppress_as).value
                await deliveries.suppress_address(conn, row.address_id, reason, receipt.code, now)
        if receipt.state is ReceiptState.UNDELIVERED:
            self._on_failure(row.outage_id, receipt.code)
        self._house.changes.notify()
        return True

    def look_again(self) -> None:
        """Another daemon is gone, and with it what it knew of receipts that came early."""
        self._looking = True

    async def apply_early(self) -> int:
        """Receipts that came before our own commit of the acceptance; how many rows they raised.

        The question goes over every accepted row, so it is asked at the start, and after one came early until nothing
        is on the wire any more: then every outcome it could have overtaken is written down.
        """
        if not self._looking:
            return 0
        now = self._house.clock()
        async with self._house.db.read() as conn:
            self._looking = await deliveries.on_the_wire(conn)
            early = await deliveries.early_receipts(conn)
        if not early:
            return 0
        async with boundary(self._house.db, self._crash, Boundary.EARLY) as conn:
            for row in early:
                await self._raise(conn, row, ReceiptState(row.attempt_receipt), row.attempt_receipt_code or "", now)
        self._house.changes.notify()
        return len(early)

    async def stop(self, phone: str, word: str, source: str) -> bool:
        """A phone answered STOP or START ("stop", "start"); False if we know no such phone."""
        async with boundary(self._house.db, self._crash, Boundary.OPT) as conn:
            address = await deliveries.address_of(conn, ChannelName.SMS, phone)
            if address is None:
                return False
            await self._switch(conn, address.id, leaving=word == "stop", source=source, phone=True)
        self._house.changes.notify()
        return True

    async def unsubscribe(self, address_id: int, source: str) -> None:
        """Nothing more to this address (RFC 8058, or its own page)."""
        async with boundary(self._house.db, self._crash, Boundary.OPT) as conn:
            await self._switch(conn, address_id, leaving=True, source=source, phone=False)
        self._house.changes.notify()

    async def rejoin(self, address_id: int, source: str) -> None:
        """The address wants to hear from us again."""
        async with boundary(self._house.db, self._crash, Boundary.OPT) as conn:
            await self._switch(conn, address_id, leaving=False, source=source, phone=False)
        self._house.changes.notify()

    async def _switch(self, conn: Connection, address_id: int, *, leaving: bool, source: str, phone: bool) -> None:
        now = self._house.clock()
        if leaving:
            changed = await deliveries.suppress_address(conn, address_id, SuppressReason.OPTED_OUT.value, source, now)
        else:
            changed = await deliveries.unsuppress_address(conn, address_id, [SuppressReason.OPTED_OUT.value])
        if changed:
            await outages.record(
                conn,
                at=now,
                what=Happened.SUPPRESSED if leaving else Happened.UNSUPPRESSED,
                actor=Actor(kind=ActorKind.CUSTOMER, name=f"address {address_id}", role=Role.VIEWER),
                why=source,
                data={"address": address_id, "phone": phone},
            )

    async def _raise(self, conn: Connection, row: Record, receipt: ReceiptState, code: str, now: datetime) -> None:
        state = S(row.state)
        if state in (S.PLANNED, S.LEASED) and row.ambiguous:
            # The one retry was already planned when the first attempt proved to have arrived: it must not leave again.
            if not await self._call_off(conn, row, state, now):
                return
            state = S.ACCEPTED
            await self._reconciled(conn, row, now)
        if state is S.AMBIGUOUS:
            if receipt is ReceiptState.ACCEPTED:
                moved = await deliveries.move(conn, row.id, S.AMBIGUOUS, S.ACCEPTED, fence=row.fence + 1, ended_at=now)
                if moved:
                    await self._reconciled(conn, row, now)
                return
            if await self._end(conn, row.id, S.AMBIGUOUS, receipt, code, now):
                await self._reconciled(conn, row, now)
        elif state is S.ACCEPTED and receipt is not ReceiptState.ACCEPTED:
            await self._end(conn, row.id, S.ACCEPTED, receipt, code, now)

    async def _call_off(self, conn: Connection, row: Record, state: S, now: datetime) -> bool:
        """A planned or claimed retry becomes what the first attempt was, ACCEPTED; the new fence turns its claim
        away.
        """
        steps = ((S.PLANNED, S.LEASED), (S.LEASED, S.TRANSMITTING), (S.TRANSMITTING, S.ACCEPTED))
        for expect, to in steps[state is S.LEASED :]:
            if not await deliveries.move(
                conn, row.id, expect, to,
                fence=row.fence + 1, transmitting_at=now, ended_at=now, lease_owner=None, lease_until=None,
            ):  # fmt: skip
                return False
        return True

    async def _end(
        self, conn: Connection, delivery_id: int, expect: S, receipt: ReceiptState, code: str, now: datetime
    ) -> bool:
        delivered = receipt is ReceiptState.DELIVERED
        return await deliveries.move(
            conn,
            delivery_id,
            expect,
            S.DELIVERED if delivered else S.UNDELIVERED,
            reason=None if delivered else EndReason.UNDELIVERED.value,
            code=code or None,
            ended_at=now,
        )

    async def _reconciled(self, conn: Connection, row: Record, now: datetime) -> None:
        await outages.record(
            conn,
            at=now,
            what=Happened.RECONCILED,
            actor=_PROVIDER,
            outage_id=row.outage_id,
            revision=row.revision,
            data={"delivery": row.id, "attempt": row.attempt_key},
        )
