"""Waves under way: their addresses and how far they are."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.storage.batches import Record, among, chunks
from outagecast.storage.bulk import insert_rows
from outagecast.storage.tables import wave_addresses, waves


async def begin(
    conn: AsyncConnection,
    outage_id: str,
    revision: int,
    context: dict[str, Any],
    address_ids: Sequence[int],
    now: datetime,
) -> None:
    wave_id = await open_wave(conn, outage_id, revision, context, now)
    await insert_rows(conn, wave_addresses, ("wave_id", "address_id"), [(wave_id, a) for a in address_ids])
    await count_addresses(conn, wave_id)


async def open_wave(
    conn: AsyncConnection, outage_id: str, revision: int, context: dict[str, Any], now: datetime
) -> int:
    """A wave to nobody yet."""
    statement = insert(waves).values(
        outage_id=outage_id, revision=revision, cursor=0, total=0, created_at=now, context=context
    )
    return int((await conn.execute(statement.returning(waves.c.id))).scalar_one())


async def add_addresses(conn: AsyncConnection, wave_id: int, address_ids: Sequence[int]) -> None:
    """Those of these that are not on its list yet."""
    for part in chunks(address_ids):
        query = select(wave_addresses.c.address_id).where(
            wave_addresses.c.wave_id == wave_id, among(wave_addresses.c.address_id, part)
        )
        known = {row.address_id for row in await conn.execute(query)}
        more = [(wave_id, address_id) for address_id in part if address_id not in known]
        await insert_rows(conn, wave_addresses, ("wave_id", "address_id"), more)


async def count_addresses(conn: AsyncConnection, wave_id: int) -> int:
    """How many addresses are on a wave's list; kept as its total."""
    query = select(func.count()).select_from(wave_addresses).where(wave_addresses.c.wave_id == wave_id)
    total = int((await conn.execute(query)).scalar_one())
    await conn.execute(update(waves).where(waves.c.id == wave_id).values(total=total))
    return total


async def drop(conn: AsyncConnection, wave_id: int) -> None:
    """A wave that is none."""
    await conn.execute(wave_addresses.delete().where(wave_addresses.c.wave_id == wave_id))
    await conn.execute(waves.delete().where(waves.c.id == wave_id))


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
    return list((await conn.execute(query)).scalars())


async def advance(
    conn: AsyncConnection, wave_id: int, cursor: int, context: dict[str, Any], done_at: datetime | None
) -> None:
    """Move the cursor; at the end the wave's list of addresses has done its work and goes."""
    await conn.execute(
        update(waves).where(waves.c.id == wave_id).values(cursor=cursor, context=context, done_at=done_at)
    )
    if done_at is not None:
        await conn.execute(wave_addresses.delete().where(wave_addresses.c.wave_id == wave_id))
