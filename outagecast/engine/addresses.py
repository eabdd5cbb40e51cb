"""What staff decide about one address: nothing more goes there, or it may be written to again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from outagecast.domain.errors import Conflict, Invalid, NotFound
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import Actor
from outagecast.domain.suppression import SuppressReason
from outagecast.domain.timeline import Happened
from outagecast.storage import deliveries, outages, views_people
from outagecast.storage.engine import Connection, Database
from outagecast.storage.views_people import AddressLine

LONGEST_REASON = 500


class Clock(Protocol):
    def __call__(self) -> datetime: ...


class Bell(Protocol):
    def notify(self) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class AddressNow:
    """An address after a verb. `against`: why nothing goes there, None if it may be written to.

    `was_own_wish`: what was lifted is what the person behind it had asked for. `carrier_may_refuse`: a text that
    answered STOP is on the gateway's own list too, which only a START from that phone takes it off.
    """

    id: int
    channel: str
    to: str
    against: str | None
    against_at: datetime | None
    against_by: str | None
    was_own_wish: bool = False
    carrier_may_refuse: bool = False


class Addresses:
    """Each verb is one transaction with its line of the timeline; the reason goes there too. Nothing is sent by it."""

    def __init__(self, db: Database, *, clock: Clock, changes: Bell) -> None:
        self._db = db
        self._clock = clock
        self._changes = changes

    async def suppress(self, address_id: int, reason: str, *, actor: Actor) -> AddressNow:
        """Nothing more goes there, what waits to leave included. NotFound; Conflict if something stands already."""
        why = _reason(reason)
        async with self._db.write() as conn:
            row = await _row(conn, address_id)
            if row.suppressed is not None:
                raise Conflict(f"nothing goes to {row.value} already: {row.suppressed.replace('_', ' ')}")
            now = self._clock()
            await deliveries.suppress_address(conn, address_id, SuppressReason.BY_STAFF.value, actor.name, now)
            await _record(conn, Happened.SUPPRESSED, row, SuppressReason.BY_STAFF, why, actor, now)
            answer = _now(await _row(conn, address_id))
        self._changes.notify()
        return answer

    async def unsuppress(self, address_id: int, reason: str, *, actor: Actor) -> AddressNow:
        """It may be written to again: it hears with the next word. NotFound; Conflict if nothing stands against it.

        A person's own wish to be left alone may be lifted too, as people call and take it back: the reason says so.
        """
        why = _reason(reason)
        async with self._db.write() as conn:
            row = await _row(conn, address_id)
            if row.suppressed is None:
                raise Conflict(f"nothing stands against {row.value}: it is written to")
            stood = SuppressReason(row.suppressed)
            await deliveries.unsuppress_address(conn, address_id, [stood.value])
            await _record(conn, Happened.UNSUPPRESSED, row, stood, why, actor, self._clock())
            answer = _now(await _row(conn, address_id), lifted=stood)
        self._changes.notify()
        return answer

    async def get(self, address_id: int) -> AddressNow:
        """NotFound if there is none."""
        async with self._db.read() as conn:
            return _now(await _row(conn, address_id))

    async def look(self, address_id: int, *, actor: Actor) -> None:
        """Staff open what the person behind an address sees: a line of the timeline says who did. NotFound."""
        async with self._db.write() as conn:
            row = await _row(conn, address_id)
            await outages.record(
                conn, at=self._clock(), what=Happened.LOOKED, actor=actor, data={"address": row.id}, why=row.channel
            )


def _reason(text: str) -> str:
    plain = text.strip()
    if not plain:
        raise Invalid.one("reason", "is missing: say why, for whoever reads the timeline")
    if len(plain) > LONGEST_REASON:
        raise Invalid.one("reason", f"is longer than {LONGEST_REASON} characters")
    return plain


async def _row(conn: Connection, address_id: int) -> AddressLine:
    row = await views_people.address(conn, address_id)
    if row is None:
        raise NotFound(f"there is no address {address_id}")
    return row


def _now(row: AddressLine, *, lifted: SuppressReason | None = None) -> AddressNow:
    own = lifted is SuppressReason.OPTED_OUT
    held = SuppressReason.SHARED_ADDRESS.value if row.held else None
    return AddressNow(
        id=row.id,
        channel=row.channel,
        to=row.value,
        against=row.suppressed or held,
        against_at=row.suppressed_at,
        against_by=row.suppressed_by,
        was_own_wish=own,
        carrier_may_refuse=own and row.channel == ChannelName.SMS.value,
    )


async def _record(
    conn: Connection, what: Happened, row: AddressLine, stood: SuppressReason, why: str, actor: Actor, now: datetime
) -> None:
    data = {"address": row.id, "channel": row.channel, "reason": stood.value}
    await outages.record(conn, at=now, what=what, actor=actor, why=stood.value, data=data, text=why)
