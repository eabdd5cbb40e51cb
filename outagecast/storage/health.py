"""What `doctor` and `db check` ask the database about itself."""

from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.storage.tables import contacts, customers, timeline

_SHOWN = 20


async def integrity(conn: AsyncConnection) -> list[str]:
    """What SQLite finds wrong with the file, and references that lead nowhere; nothing when all is well."""
    found = [str(line) for line in (await conn.exec_driver_sql("PRAGMA integrity_check(20)")).scalars() if line != "ok"]
    broken = (await conn.exec_driver_sql("PRAGMA foreign_key_check")).mappings().all()
    found += [f"{row['table']} row {row['rowid']} refers to nothing in {row['parent']}" for row in broken[:_SHOWN]]
    if len(broken) > _SHOWN:
        found.append(f"… and {len(broken) - _SHOWN} more such rows")
    return found


async def newest_time(conn: AsyncConnection) -> datetime | None:
    """When something was last recorded: a clock that shows less has jumped back."""
    newest: datetime | None = (await conn.execute(select(func.max(timeline.c.at)))).scalar_one()
    return newest


async def unreachable(conn: AsyncConnection) -> tuple[int, int]:
    """(contacts without any address, customers who are told themselves and have no contact with one)."""
    c = contacts.c
    without = (
        select(func.count())
        .select_from(contacts)
        .join(customers, customers.c.id == c.customer_id)
        .where(c.status != "ended", customers.c.status != "ended", c.email_id.is_(None), c.phone_id.is_(None))
    )
    reached = select(c.customer_id).where(c.status != "ended", or_(c.email_id.is_not(None), c.phone_id.is_not(None)))
    nobody = (
        select(func.count())
        .select_from(customers)
        .where(customers.c.status != "ended", customers.c.told_via != "parent", customers.c.id.not_in(reached))
    )
    return int((await conn.execute(without)).scalar_one()), int((await conn.execute(nobody)).scalar_one())
