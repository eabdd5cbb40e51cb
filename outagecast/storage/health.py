"""What `doctor` and `db check` ask the database about itself."""

from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.storage.plain_sql import is_postgresql
from outagecast.storage.tables import contacts, customers, metadata, timeline

_SHOWN = 20


async def integrity(conn: AsyncConnection) -> list[str]:
    """What the database finds wrong with itself, and references that lead nowhere; nothing when all is well."""
    return await (_on_server(conn) if is_postgresql(conn) else _in_file(conn))


async def _in_file(conn: AsyncConnection) -> list[str]:
    found = [str(line) for line in (await conn.exec_driver_sql("PRAGMA integrity_check(20)")).scalars() if line != "ok"]
    broken = (await conn.exec_driver_sql("PRAGMA foreign_key_check")).mappings().all()
    found += [f"{row['table']} row {row['rowid']} refers to nothing in {row['parent']}" for row in broken[:_SHOWN]]
    if len(broken) > _SHOWN:
        found.append(f"… and {len(broken) - _SHOWN} more such rows")
    return found


async def _on_server(conn: AsyncConnection) -> list[str]:
    """PostgreSQL does not read its files through on request: what it knows of itself, and what we can count."""
    found = []
    for query, wrong in _ASKED:
        found += [wrong.format(row[0]) for row in await conn.exec_driver_sql(query)]
    for table in metadata.sorted_tables:
        for column in table.c:
            for key in column.foreign_keys:
                parent = select(key.column).where(key.column == column)
                orphans = select(func.count()).select_from(table).where(column.is_not(None), ~parent.exists())
                if lost := (await conn.execute(orphans)).scalar_one():
                    found.append(f"{lost} rows of {table.name} refer to nothing in {key.column.table.name}")
    return found


_ASKED = (
    (
        "SELECT x.indexrelid::regclass::text FROM pg_index AS x JOIN pg_class AS c ON c.oid = x.indrelid "
        "WHERE c.relnamespace = current_schema()::regnamespace AND NOT (x.indisvalid AND x.indisready) ORDER BY 1",
        "the index {0} is not valid: REINDEX INDEX {0}",
    ),
    (
        "SELECT conrelid::regclass || ' ' || conname FROM pg_constraint "
        "WHERE connamespace = current_schema()::regnamespace AND NOT convalidated ORDER BY 1",
        "what is stored was never held against the constraint {}",
    ),
    (
        "SELECT checksum_failures FROM pg_stat_database WHERE datname = current_database() AND checksum_failures > 0",
        "{} pages were read with a wrong checksum: the disk or the memory of the server is broken",
    ),
    (
        "SELECT name FROM unnest(ARRAY['timeline_no_update', 'timeline_no_delete']) AS name WHERE NOT EXISTS "
        "(SELECT 1 FROM pg_trigger AS t WHERE t.tgname = name AND t.tgrelid = to_regclass('timeline') "
        "AND t.tgenabled <> 'D')",
        "the guard {} of the timeline is off",
    ),
)


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
