"""Whom an address stood for when it was told: it may be nobody's any more, and still has to hear the end (rule 12)."""

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.storage.batches import Record, among
from outagecast.storage.planning_hearers import heard_of
from outagecast.storage.tables import addresses, contacts, customers, leads


async def hearers(conn: AsyncConnection, address_ids: Sequence[int], outage_ids: Iterable[str]) -> list[Record]:
    """The rows of `planning.hearers` as they were when these outages told these addresses, also of what is back by now:
    that may not have left yet.
    """
    query = (
        select(
            leads.c.address_id,
            addresses.c.channel,
            *heard_of(),
        )
        .select_from(leads)
        .join(addresses, addresses.c.id == leads.c.address_id)
        .join(contacts, contacts.c.id == leads.c.contact_id)
        .join(customers, customers.c.id == leads.c.customer_id)
        .where(among(leads.c.address_id, address_ids), leads.c.outage_id.in_(list(outage_ids)))
        .distinct()
    )
    return list((await conn.execute(query)).all())
