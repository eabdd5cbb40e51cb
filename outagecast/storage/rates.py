"""Moments for sending, handed out so that a route's rate holds for all daemons together.

A claim takes the next free moments in its own transaction, by the database's clock: the daemons' own clocks may differ.
A moment that nobody uses is lost, none is given out twice.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.facts import from_micros
from outagecast.storage.batches import Record
from outagecast.storage.tables import rates

_NOW = {
    # To the millisecond, whatever the speed of the house's clock: a rate is a matter of real time.
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000",
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Free:
    """A route's next free moment: `wait` from the database's `now`."""

    now: datetime
    wait: timedelta


async def next_free(conn: AsyncConnection, route: str, *, at_most: timedelta) -> Free:
    """The next free moment; the route is ours until the transaction ends.

    One that lies further ahead than `at_most` was given out before somebody put the clock back: it counts for nothing.
    """
    await alone(conn, route)
    row = await _row(conn, route)
    assert row is not None
    now = from_micros(row.now)
    wait = row.next_at - now
    return Free(now=now, wait=wait if timedelta(0) < wait <= at_most else timedelta(0))


async def alone(conn: AsyncConnection, name: str) -> None:
    """Whoever else asks for this name waits until the transaction ends."""
    if await _row(conn, name) is None:
        await conn.execute(upsert(rates).values(route=name, next_at=from_micros(0)).on_conflict_do_nothing())
        await _row(conn, name)


async def take(conn: AsyncConnection, route: str, until: datetime) -> None:
    """All moments before `until` are given out."""
    await conn.execute(update(rates).where(rates.c.route == route).values(next_at=until))


async def _row(conn: AsyncConnection, route: str) -> Record | None:
    now = literal_column(_NOW[conn.dialect.name], BigInteger).label("now")
    query = select(rates.c.next_at, now).where(rates.c.route == route).with_for_update()
    return (await conn.execute(query)).first()
