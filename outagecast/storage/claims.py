"""Claiming due rows of the outbox under a lease and a fence, and giving them back. Every change of state is guarded by
the state before it.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ClauseElement,
    ColumnElement,
    Text,
    and_,
    bindparam,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.delivery import TRANSITIONS, DeliveryState
from outagecast.domain.facts import from_micros
from outagecast.domain.message import ChannelName
from outagecast.domain.routes import Carries
from outagecast.domain.suppression import EndReason
from outagecast.storage.batches import Record, chunks
from outagecast.storage.driver import execute_once
from outagecast.storage.guards import IN_FLIGHT, IS_BUSY, IS_PLANNED, NOW, S, address_is_clean, may_go, one_of, ours
from outagecast.storage.tables import addresses, attempts, deliveries


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One row under our lease. `fence` is the number that every later change must carry."""

    id: int
    fence: int


@dataclass(slots=True)
class Due:
    """A claimed row: what sending needs of it, which is two thirds of the work of reading all. Not frozen, since a wave
    makes one for each message.
    """

    id: int
    fence: int
    outage_id: str
    episode: int
    revision: int
    kind: str
    audience: str
    channel: str
    address_id: int | None
    to: str
    attempt: int
    rank: int
    kept_facts: Any
    created_micros: int
    due_micros: int
    expires_micros: int | None

    @property
    def facts(self) -> Any:
        """As planned; read only now, for whoever claims has the outbox locked. SQLite's are still text."""
        kept = self.kept_facts
        return json.loads(kept) if isinstance(kept, str) else kept

    @property
    def created_at(self) -> datetime:
        return from_micros(self.created_micros)

    @property
    def expires_at(self) -> datetime | None:
        return None if self.expires_micros is None else from_micros(self.expires_micros)


_CLAIMED = tuple(
    deliveries.c[name]
    for name in (
        "id", "fence", "outage_id", "episode", "revision", "kind", "audience", "channel", "address_id", "to",
        "attempt", "rank", "facts", "created_at", "due_at", "expires_at",
    )
)  # fmt: skip
"""The columns of Due, in its order."""


async def claim(
    conn: AsyncConnection,
    *,
    channel: ChannelName,
    owner: str,
    now: datetime,
    until: datetime,
    count: int,
    turn: Carries = Carries.ALL,
) -> list[Due]:
    """Lease up to `count` due rows of a channel, the most needed and oldest first. `turn`: whose rows.

    A row waits while another of the same outage is on its way to the same address, so that nothing overtakes (I8).
    """
    values = {"b_now": now, "b_owner": owner, "b_until": until, "b_count": count}
    rows = [Due(*row) for row in await execute_once(conn, _claiming(channel, turn), values)]
    rows.sort(key=lambda row: (row.rank, row.due_micros, row.id))
    return rows


@cache
def _claiming(channel: ChannelName, turn: Carries) -> ClauseElement:
    whose = () if turn is Carries.ALL else (deliveries.c.audience == turn.value,)
    other = deliveries.alias("other")
    busy = select(other.c.id).where(
        other.c.address_id == deliveries.c.address_id,
        other.c.outage_id == deliveries.c.outage_id,
        other.c.id != deliveries.c.id,
        one_of(other.c.state, IN_FLIGHT),
    )
    due = (
        select(deliveries.c.id)
        .where(
            deliveries.c.state == S.PLANNED.value,
            deliveries.c.channel == channel.value,
            deliveries.c.due_at <= NOW,
            *whose,
            *may_go(NOW),
            ~busy.exists(),
        )
        .order_by(deliveries.c.rank, deliveries.c.due_at, deliveries.c.id)
        .limit(bindparam("b_count", type_=BigInteger()))
        # Rows that another daemon is claiming at this moment are passed over; on SQLite there is no such moment. As a
        # CTE, for PostgreSQL might ask a plain subquery twice, and lease more than `count`.
        .with_for_update(skip_locked=True, of=deliveries)
        .cte("due")
    )
    return (
        update(deliveries)
        .where(deliveries.c.id.in_(select(due.c.id)), deliveries.c.state == S.PLANNED.value)
        .values(
            state=S.LEASED.value,
            lease_owner=bindparam("b_owner", type_=Text()),
            lease_until=bindparam("b_until", type_=deliveries.c.lease_until.type),
            fence=deliveries.c.fence + 1,
        )
        .returning(*_CLAIMED)
    )


async def give_back(conn: AsyncConnection, claims: Iterable[Claim], due_at: datetime | None = None) -> None:
    """LEASED → PLANNED: nothing was written; due again at once, or at `due_at` (a route that is down)."""
    for part in chunks([(c.id, c.fence) for c in claims]):
        values: dict[str, Any] = {"state": S.PLANNED.value, "lease_owner": None, "lease_until": None}
        if due_at is not None:
            values["due_at"] = due_at
        await conn.execute(update(deliveries).where(*ours(part), deliveries.c.state == S.LEASED.value).values(**values))


async def end_leased(
    conn: AsyncConnection, claims: Sequence[Claim], state: DeliveryState, reason: str, now: datetime, detail: str = ""
) -> None:
    """LEASED → an end: decided against sending (or failed to put into words) after the claim."""
    assert state in TRANSITIONS[S.LEASED]
    for part in chunks([(c.id, c.fence) for c in claims]):
        await conn.execute(
            update(deliveries)
            .where(*ours(part), deliveries.c.state == S.LEASED.value)
            .values(state=state.value, reason=reason, detail=detail, ended_at=now, lease_owner=None, lease_until=None)
        )


async def suppress_leased(conn: AsyncConnection, claims: Sequence[Claim], now: datetime) -> None:
    """Of these leased rows, end those whose address may not be written to any more, with the address's own reason."""
    reason = select(addresses.c.suppressed).where(addresses.c.id == deliveries.c.address_id).scalar_subquery()
    for part in chunks([(c.id, c.fence) for c in claims]):
        await conn.execute(
            update(deliveries)
            .where(
                *ours(part),
                deliveries.c.state == S.LEASED.value,
                ~address_is_clean(),
            )
            .values(state=S.SUPPRESSED.value, reason=reason, ended_at=now, lease_owner=None, lease_until=None)
        )


async def expire(conn: AsyncConnection, now: datetime) -> int:
    """PLANNED rows whose promise has passed are stale: EXPIRED. What is still to be said is planned anew by the
    cadence.
    """
    statement = (
        update(deliveries)
        .where(
            IS_PLANNED,
            deliveries.c.expires_at <= now,
            deliveries.c.audience == "customer",
        )
        .values(state=S.EXPIRED.value, reason=EndReason.PROMISE_PASSED.value, ended_at=now)
    )
    return int((await conn.execute(statement)).rowcount)


async def stale(conn: AsyncConnection, now: datetime) -> bool:
    """Whether any planned row has outlived its promise: asked often, so that the writer is only bothered when there
    is.
    """
    query = select(deliveries.c.id).where(
        IS_PLANNED, deliveries.c.expires_at <= now, deliveries.c.audience == "customer"
    )
    return (await conn.execute(query.limit(1))).first() is not None


async def release_leases(
    conn: AsyncConnection, *, now: datetime, alive: str, all_others: bool = False, gone: Collection[str] = ()
) -> int:
    """LEASED rows of others go back to PLANNED when their lease has run out, and at once those of `gone`, who are
    known to be dead; with `all_others`, all of them are.
    """
    statement = (
        update(deliveries)
        .where(IS_BUSY, deliveries.c.state == S.LEASED.value, _abandoned(now, alive, all_others=all_others, gone=gone))
        .values(state=S.PLANNED.value, lease_owner=None, lease_until=None, fence=deliveries.c.fence + 1)
    )
    return int((await conn.execute(statement)).rowcount)


async def orphans(
    conn: AsyncConnection, *, now: datetime, alive: str, all_others: bool = False, gone: Collection[str] = ()
) -> Sequence[Record]:
    """TRANSMITTING rows whose owner is gone (or whose lease has run out): nobody can know whether they arrived."""
    lost = _abandoned(now, alive, all_others=all_others, gone=gone)
    query = select(deliveries).where(IS_BUSY, deliveries.c.state == S.TRANSMITTING.value, lost)
    return (await conn.execute(query)).all()


async def abandoned(conn: AsyncConnection, *, now: datetime, alive: str) -> bool:
    """Whether another's lease has run out: asked often, so that the writer is only bothered when one has."""
    lost = _abandoned(now, alive, all_others=False)
    query = select(deliveries.c.id).where(IS_BUSY, deliveries.c.state.in_(IN_FLIGHT), lost)
    return (await conn.execute(query.limit(1))).first() is not None


def _abandoned(now: datetime, alive: str, *, all_others: bool, gone: Collection[str] = ()) -> ColumnElement[bool]:
    """`alive` knows what it is doing with its own rows: a jump of the clock must not take them out of its hands."""
    other = deliveries.c.lease_owner.is_distinct_from(alive)
    if all_others:
        return other
    return and_(other, or_(deliveries.c.lease_until <= now, deliveries.c.lease_owner.in_(list(gone))))


async def renew(conn: AsyncConnection, owner: str, until: datetime) -> None:
    """The heartbeat: our rows on the way keep their lease."""
    await conn.execute(
        update(deliveries)
        .where(IS_BUSY, deliveries.c.state.in_(IN_FLIGHT), deliveries.c.lease_owner == owner)
        .values(lease_until=until)
    )


async def texts_since(conn: AsyncConnection, since: datetime) -> int:
    """SMS to customers that started to leave since then."""
    query = (
        select(func.count())
        .select_from(attempts)
        .join(deliveries, deliveries.c.id == attempts.c.delivery_id)
        .where(deliveries.c.channel == ChannelName.SMS.value, attempts.c.started_at >= since)
    )
    return int((await conn.execute(query)).scalar_one())


async def texts_claimed(conn: AsyncConnection) -> int:
    """SMS that some daemon has claimed and not begun to write."""
    query = select(func.count()).where(
        deliveries.c.state == S.LEASED.value, deliveries.c.channel == ChannelName.SMS.value
    )
    return int((await conn.execute(query)).scalar_one())
