"""The outbox, but for claiming (claims.py) and sending (wire.py): unknown fates, receipts, addresses. Every change of
state is guarded by the state before it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    and_,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.delivery import TRANSITIONS, DeliveryState
from outagecast.domain.message import ChannelName
from outagecast.domain.timeline import Happened
from outagecast.storage.batches import Record, chunks
from outagecast.storage.guards import IS_BUSY, S, ours
from outagecast.storage.tables import addresses, attempts, deliveries, revisions, timeline


async def alarmed(conn: AsyncConnection, outage_id: str, revision: int) -> bool:
    """Whether staff have been told of a failure of this revision."""
    query = select(timeline.c.id).where(
        timeline.c.outage_id == outage_id,
        timeline.c.what == Happened.ASKED.value,
        timeline.c.why == "failure",
        timeline.c.revision == revision,
    )
    return (await conn.execute(query.limit(1))).first() is not None


async def make_ambiguous(conn: AsyncConnection, rows: Sequence[Record], now: datetime, code: str, detail: str) -> None:
    """TRANSMITTING → AMBIGUOUS with a new fence, so that whoever wrote it can no longer finish it."""
    for part in chunks([(row.id, row.fence) for row in rows]):
        await conn.execute(
            update(deliveries)
            .where(*ours(part), deliveries.c.state == S.TRANSMITTING.value)
            .values(
                state=S.AMBIGUOUS.value,
                code=code,
                detail=detail,
                ambiguous=deliveries.c.ambiguous + 1,
                fence=deliveries.c.fence + 1,
                transmitting_at=now,
                lease_owner=None,
                lease_until=None,
            )
        )
        ids = [delivery_id for delivery_id, _ in part]
        await conn.execute(
            update(attempts)
            .where(attempts.c.delivery_id.in_(ids), attempts.c.outcome.is_(None))
            .values(ambiguous=True, outcome="ambiguous", code=code, detail=detail, ended_at=now)
        )


async def ambiguous_ones(conn: AsyncConnection) -> Sequence[Record]:
    """Rows nobody knows about, with their latest attempt."""
    query = (
        select(
            deliveries, attempts.c.key.label("attempt_key"), attempts.c.started_at.label("attempt_at"),
            attempts.c.route.label("attempt_route"),
        )
        .join(attempts, and_(attempts.c.delivery_id == deliveries.c.id, attempts.c.number == deliveries.c.attempt))
        .where(IS_BUSY, deliveries.c.state == S.AMBIGUOUS.value)
    )  # fmt: skip
    return (await conn.execute(query)).all()


async def settle_ambiguous(
    conn: AsyncConnection, delivery_id: int, fence: int, state: DeliveryState, **values: Any
) -> bool:
    """AMBIGUOUS → what turned out, or PLANNED for the one retry; False if another was quicker."""
    assert state in TRANSITIONS[S.AMBIGUOUS], state
    statement = (
        update(deliveries)
        .where(deliveries.c.id == delivery_id, deliveries.c.fence == fence, deliveries.c.state == S.AMBIGUOUS.value)
        .values(state=state.value, fence=deliveries.c.fence + 1, **values)
    )
    return (await conn.execute(statement)).rowcount == 1


async def by_attempt(conn: AsyncConnection, key: str | None, provider_id: str | None) -> Record | None:
    """The delivery and attempt a receipt speaks of, by our key or by the provider's id."""
    where = attempts.c.key == key if key else attempts.c.provider_id == provider_id
    query = (
        select(
            deliveries, attempts.c.key.label("attempt_key"), attempts.c.number.label("attempt_number"),
            attempts.c.receipt.label("attempt_receipt"),
        )
        .join(attempts, attempts.c.delivery_id == deliveries.c.id)
        .where(where)
    )  # fmt: skip
    return (await conn.execute(query)).first()


async def note_receipt(
    conn: AsyncConnection, key: str, *, receipt: str, code: str, provider_id: str | None, now: datetime
) -> None:
    values: dict[str, Any] = {"receipt": receipt, "receipt_code": code, "receipt_at": now}
    if provider_id:
        values["provider_id"] = provider_id
    await conn.execute(update(attempts).where(attempts.c.key == key).values(**values))


async def move(
    conn: AsyncConnection, delivery_id: int, expect: DeliveryState, state: DeliveryState, **values: Any
) -> bool:
    """One guarded step of the table of transitions; False if the row was not in the expected state any more."""
    assert state in TRANSITIONS[expect], (expect, state)
    statement = (
        update(deliveries)
        .where(deliveries.c.id == delivery_id, deliveries.c.state == expect.value)
        .values(state=state.value, **values)
    )
    return (await conn.execute(statement)).rowcount == 1


async def on_the_wire(conn: AsyncConnection) -> bool:
    """Whether any row is TRANSMITTING."""
    query = select(deliveries.c.id).where(deliveries.c.state == S.TRANSMITTING.value)
    return (await conn.execute(query.limit(1))).first() is not None


async def early_receipts(conn: AsyncConnection) -> Sequence[Record]:
    """ACCEPTED and AMBIGUOUS rows whose receipt came before our own commit of the outcome: the row as it is, with the
    attempt's key and receipt. That an earlier attempt was not delivered says nothing about a later one.
    """
    query = (
        select(
            deliveries, attempts.c.key.label("attempt_key"), attempts.c.receipt.label("attempt_receipt"),
            attempts.c.receipt_code.label("attempt_receipt_code"),
        )
        .join(attempts, attempts.c.delivery_id == deliveries.c.id)
        .where(
            deliveries.c.state.in_((S.ACCEPTED.value, S.AMBIGUOUS.value)),
            or_(
                attempts.c.receipt == S.DELIVERED.value,
                and_(attempts.c.receipt == S.UNDELIVERED.value, attempts.c.number == deliveries.c.attempt),
                and_(attempts.c.receipt == S.ACCEPTED.value, deliveries.c.state == S.AMBIGUOUS.value),
            ),
        )
    )  # fmt: skip
    return (await conn.execute(query)).all()


async def revision_facts(conn: AsyncConnection, outage_id: str, number: int) -> dict[str, Any] | None:
    """What a revision says to all, as frozen."""
    query = select(revisions.c.facts).where(revisions.c.outage_id == outage_id, revisions.c.number == number)
    facts: dict[str, Any] | None = (await conn.execute(query)).scalar()
    return facts


async def get(conn: AsyncConnection, delivery_id: int) -> Record | None:
    return (await conn.execute(select(deliveries).where(deliveries.c.id == delivery_id))).first()


async def add_staff(conn: AsyncConnection, values: dict[str, Any]) -> int:
    """A message to staff; 0 if this one was said already."""
    # Numbered by hand, as all rows of the outbox: PostgreSQL's own numbers know nothing of those.
    number = select(func.coalesce(func.max(deliveries.c.id), 0) + 1).scalar_subquery()
    key = ("outage_id", "episode", "channel", "address_id", "kind", "revision", "audience")
    statement = upsert(deliveries).values(id=number, **values).on_conflict_do_nothing(index_elements=key)
    return int((await conn.execute(statement)).rowcount)


async def suppress_address(conn: AsyncConnection, address_id: int, reason: str, by: str, now: datetime) -> bool:
    """Nothing more goes to this address; False if that was so already."""
    statement = (
        update(addresses)
        .where(addresses.c.id == address_id, addresses.c.suppressed.is_(None))
        .values(suppressed=reason, suppressed_at=now, suppressed_by=by)
    )
    changed = (await conn.execute(statement)).rowcount == 1
    await conn.execute(
        update(deliveries)
        .where(deliveries.c.address_id == address_id, deliveries.c.state.in_((S.PLANNED.value, S.LEASED.value)))
        .values(state=S.SUPPRESSED.value, reason=reason, ended_at=now, lease_owner=None, lease_until=None)
    )
    return changed


async def unsuppress_address(conn: AsyncConnection, address_id: int, reasons: Iterable[str]) -> bool:
    statement = (
        update(addresses)
        .where(addresses.c.id == address_id, addresses.c.suppressed.in_(list(reasons)))
        .values(suppressed=None, suppressed_at=None, suppressed_by=None)
    )
    return (await conn.execute(statement)).rowcount == 1


async def address_of(conn: AsyncConnection, channel: ChannelName, value: str) -> Record | None:
    query = select(addresses).where(addresses.c.channel == channel.value, addresses.c.value == value)
    return (await conn.execute(query)).first()
