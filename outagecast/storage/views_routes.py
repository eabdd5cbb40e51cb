"""How much has to leave before an outage's last message has."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.delivery import DeliveryState
from outagecast.storage.tables import deliveries


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """Of one channel: how many messages of an outage are due and planned, and how many of all leave up to its last."""

    own: int
    through: int


async def queues(conn: AsyncConnection, outage_id: str, now: datetime) -> dict[str, Queue]:
    """By channel; nothing where none of the outage's messages waits. The order is that of the claim: by rank."""
    d = deliveries
    due = (d.c.state == DeliveryState.PLANNED.value, d.c.due_at <= now)
    own = (
        select(d.c.channel, func.count(), func.max(d.c.rank))
        .where(d.c.outage_id == outage_id, d.c.audience == "customer", *due)
        .group_by(d.c.channel)
    )
    found: dict[str, Queue] = {}
    for channel, count, last in (await conn.execute(own)).all():
        through = select(func.count()).where(d.c.channel == channel, d.c.rank <= last, *due)
        found[channel] = Queue(own=count, through=int((await conn.execute(through)).scalar_one()))
    return found
