"""Waves under way: their addresses and how far they are."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.storage.batches import Record
from outagecast.storage.tables import wave_addresses, waves


async def begin(
    conn: AsyncConnection,
    outage_id: str,
    revision: int,
    context: dict[str, Any],
    address_ids: Sequence[int],
    now: datetime,
) -> None:
    statement = insert(waves).values(
        outage_id=outage_id, revision=revision, cursor=0, total=len(address_ids), created_at=now, context=context
    )
    wave_id = (await conn.execute(statement.returning(waves.c.id))).scalar_one()
    await conn.execute(insert(wave_addresses), [{"wave_id": wave_id, "address_id": a} for a in address_ids])


async def open_ones(conn: AsyncConnection) -> Sequence[Record]:
    return (await conn.execute(select(waves).where(waves.c.done_at.is_(None)).order_by(waves.c.id))).all()


async def get(conn: AsyncConnection, wave_id: int) -> Record | None:
    return (await conn.execute(select(waves).where(waves.c.id == wave_id))).first()


async def next_addresses(conn: AsyncConnection, wave_id: int, cursor: int, count: int) -> list[int]:
    query = (
        select(wave_addresses.c.address_id)
        .where(wave_addresses.c.wave_id == wave_id, wave_addresses.c.address_id > cursor)
        .order_by(wave_addresses.c.address_id)
        .limit(count)
    )
    return [row.address_id for row in await conn.execute(query)]


async def advance(
    conn: AsyncConnection, wave_id: int, cursor: int, context: dict[str, Any], done_at: datetime | None
) -> None:
    """Move the cursor; at the end the wave's list of addresses has done its work and goes."""
    await conn.execute(
        update(waves).where(waves.c.id == wave_id).values(cursor=cursor, context=context, done_at=done_at)
    )
    if done_at is not None:
        await conn.execute(wave_addresses.delete().where(wave_addresses.c.wave_id == wave_id))
