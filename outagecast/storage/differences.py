"""What a look at a change reads beyond what the change itself reads."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.notices import ThingKey
from outagecast.storage.batches import chunks
from outagecast.storage.tables import impacts


async def closing(conn: AsyncConnection, impact_ids: Iterable[int]) -> list[tuple[str, ThingKey]]:
    """Whose interval each of these is, and of which thing: (outage, thing)."""
    found: list[tuple[str, ThingKey]] = []
    for part in chunks(impact_ids):
        query = select(impacts.c.outage_id, impacts.c.thing_kind, impacts.c.thing_id, impacts.c.customer_id)
        for row in await conn.execute(query.where(impacts.c.id.in_(part))):
            found.append((row.outage_id, ThingKey(row.thing_kind, row.thing_id, row.customer_id)))
    return found
