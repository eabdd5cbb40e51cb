"""After a restore: the messages that the database takes for unsent and that may have been sent since.

What is asked for here was decided before the restore was found (`found_at`), whenever its row was written, and was due
by then: what falls due later was sent by nobody.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, insert, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.delivery import TRANSITIONS, DeliveryState, ReceiptState
from outagecast.domain.outage import Actor
from outagecast.domain.timeline import Happened
from outagecast.storage import claims
from outagecast.storage import deliveries as outbox
from outagecast.storage.driver import execute_many
from outagecast.storage.tables import attempts, deliveries, revisions, timeline, waves
from outagecast.storage.types import compact

S = DeliveryState
CODE = "restored"
DETAIL = "taken as sent after an older database was put back"
UNKNOWN = (S.TRANSMITTING.value, S.AMBIGUOUS.value)
UNSENT = (S.PLANNED.value, S.LEASED.value)


async def undecided(conn: AsyncConnection, found_at: datetime) -> int:
    """How many messages may have been sent already; addresses of a wave that is not planned yet count as one each."""
    rows = select(func.count()).select_from(deliveries).where(_undecided(found_at))
    return int((await conn.execute(rows)).scalar_one()) + await _of_open_waves(conn)


async def free_leases(conn: AsyncConnection, now: datetime, actor: Actor) -> None:
    """Nobody sends on a held database: what is leased is free, what was being written is unknown."""
    await claims.release_leases(conn, now=now, alive="", all_others=True)
    orphans = await claims.orphans(conn, now=now, alive="", all_others=True)
    await outbox.make_ambiguous(conn, orphans, now, CODE, "nobody knows whether it was taken")
    await _note_unknown(conn, orphans, now, actor)


async def take_as_said(
    conn: AsyncConnection, found_at: datetime, now: datetime, actor: Actor, *, after: int, most: int
) -> list[int]:
    """Up to `most` of them above the number `after` become ACCEPTED, with an attempt that says why; their numbers. No
    lease may be out.
    """
    d = deliveries.c
    query = select(d.id, d.outage_id, d.revision, d.state, d.ambiguous, d.attempt, d.due_at).where(
        d.id > after, _undecided(found_at)
    )
    rows = (await conn.execute(query.order_by(d.id).limit(most))).all()
    if not rows:
        return []
    fresh = [row for row in rows if row.state in UNSENT and not row.ambiguous]
    if fresh:
        made = [_attempt(row, now) for row in fresh]
        await execute_many(conn, insert(attempts), made, tuple(made[0]))
        await _note_unknown(conn, fresh, now, actor)
    known = {row.id: row.attempt for row in rows if row.state not in UNSENT or row.ambiguous}
    if known:
        await _as_received(conn, list(known), now)
    ended: dict[str, Any] = {"code": CODE, "detail": DETAIL, "ended_at": now}
    again = [row.id for row in rows if row.state in UNSENT and row.ambiguous]
    for ids, more in (([row.id for row in fresh], 1), (again, 0)):
        await _step(conn, ids, S.PLANNED, S.LEASED)
        await _step(
            conn, ids, S.LEASED, S.TRANSMITTING, transmitting_at=deliveries.c.due_at,
            attempt=deliveries.c.attempt + more, ambiguous=deliveries.c.ambiguous + more,
        )  # fmt: skip
        await _step(conn, ids, S.TRANSMITTING, S.ACCEPTED, **ended)
    await _step(conn, [row.id for row in rows if row.state == S.AMBIGUOUS.value], S.AMBIGUOUS, S.ACCEPTED, **ended)
    return [row.id for row in rows]


def _undecided(found_at: datetime) -> ColumnElement[bool]:
    d = deliveries.c
    decided = select(revisions.c.number).where(
        revisions.c.outage_id == d.outage_id, revisions.c.number == d.revision, revisions.c.created_at < found_at
    )
    before = or_(and_(d.audience == "staff", d.created_at < found_at), and_(d.audience == "customer", decided.exists()))
    # A row that was only written since, by a wave or a step that had been decided, was due when it was written.
    due = or_(
        and_(d.created_at < found_at, d.due_at <= found_at), and_(d.created_at >= found_at, d.due_at <= d.created_at)
    )
    in_time = or_(d.expires_at.is_(None), d.due_at <= d.expires_at)
    # What was unknown twice is never tried again by itself: it stays what it is.
    unknown = and_(d.state.in_(UNKNOWN), d.ambiguous < 2)
    return and_(before, or_(unknown, and_(d.state.in_(UNSENT), due, in_time)))


async def _of_open_waves(conn: AsyncConnection) -> int:
    query = select(func.coalesce(func.sum(waves.c.total), 0)).where(waves.c.done_at.is_(None))
    planned = (
        select(func.count())
        .select_from(deliveries)
        .join(waves, and_(waves.c.outage_id == deliveries.c.outage_id, waves.c.revision == deliveries.c.revision))
        .where(waves.c.done_at.is_(None), deliveries.c.audience == "customer")
    )
    total = int((await conn.execute(query)).scalar_one())
    return max(0, total - int((await conn.execute(planned)).scalar_one())) if total else 0


def _attempt(row: Any, now: datetime) -> dict[str, Any]:
    """The key goes to no provider; whoever looks at the attempt sees that nobody knows, and who decided."""
    return {
        "key": f"{CODE}-{row.id}-{row.attempt + 1}",
        "delivery_id": row.id,
        "number": row.attempt + 1,
        "started_at": row.due_at,
        "ended_at": now,
        "outcome": "ambiguous",
        "code": CODE,
        "detail": DETAIL,
        "ambiguous": True,
        "receipt": ReceiptState.ACCEPTED.value,
        "receipt_code": CODE,
        "receipt_at": now,
    }


async def _as_received(conn: AsyncConnection, ids: Sequence[int], now: datetime) -> None:
    """Their last attempt counts as taken; a word of the provider's that is there already stands."""
    last = select(deliveries.c.attempt).where(deliveries.c.id == attempts.c.delivery_id).scalar_subquery()
    await conn.execute(
        update(attempts)
        .where(attempts.c.delivery_id.in_(ids), attempts.c.number == last, attempts.c.receipt.is_(None))
        .values(receipt=literal(ReceiptState.ACCEPTED.value), receipt_code=CODE, receipt_at=now)
    )


async def _step(conn: AsyncConnection, ids: Sequence[int], expect: S, to: S, **values: Any) -> None:
    assert to in TRANSITIONS[expect]
    if ids:
        await conn.execute(
            update(deliveries)
            .where(deliveries.c.id.in_(ids), deliveries.c.state == expect.value)
            .values(state=to.value, fence=deliveries.c.fence + 1, **values)
        )


async def _note_unknown(conn: AsyncConnection, rows: Sequence[Any], now: datetime, actor: Actor) -> None:
    lines = [
        {
            "at": now, "what": Happened.AMBIGUOUS.value, "outage_id": row.outage_id, "revision": row.revision,
            "why": CODE, "actor_kind": actor.kind.value, "actor": actor.name, "data": compact({"delivery": row.id}),
        }
        for row in rows
    ]  # fmt: skip
    if lines:
        await execute_many(conn, insert(timeline), lines, tuple(lines[0]))
