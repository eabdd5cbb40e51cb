"""Counts for metrics and health."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.delivery import DeliveryState
from outagecast.storage.tables import deliveries, outages


async def deliveries_by_state(conn: AsyncConnection) -> dict[tuple[str, str], int]:
    query = select(deliveries.c.channel, deliveries.c.state, func.count()).group_by(
        deliveries.c.channel, deliveries.c.state
    )
    return {(channel, state): count for channel, state, count in await conn.execute(query)}


async def outages_by_status(conn: AsyncConnection) -> dict[str, int]:
    query = select(outages.c.status, func.count()).group_by(outages.c.status)
    return {name: value for name, value in await conn.execute(query)}


async def oldest_due(conn: AsyncConnection, now: datetime) -> dict[str, datetime]:
    """When the oldest planned row of each channel fell due."""
    query = (
        select(deliveries.c.channel, func.min(deliveries.c.due_at))
        .where(deliveries.c.state == DeliveryState.PLANNED.value, deliveries.c.due_at <= now)
        .group_by(deliveries.c.channel)
    )
    return {name: value for name, value in await conn.execute(query)}
