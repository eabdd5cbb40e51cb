"""The chain of hashes over the timeline: who has the database's file can change a line, but not without showing it.

Each seal is SHA-256 over the seal before and the lines since. Whoever changes or takes away a sealed line would have to
make every later seal anew; the daemon's log holds them too (engine/seals.py). On SQLite line numbers grow in the order
of commits; on PostgreSQL, where senders write side by side, they need not: a seal is made alone, so that it waits for
all that are under way, and no lower number comes after it.
"""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.storage.tables import timeline, timeline_seals

SEALED_AT_ONCE = 5_000
_PAGE = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Seal:
    through_id: int
    hash: str


async def waiting(conn: AsyncConnection) -> bool:
    """Whether there are lines behind the last seal."""
    after = (await _last(conn)).through_id
    return (await conn.execute(select(timeline.c.id).where(timeline.c.id > after).limit(1))).first() is not None


async def seal(conn: AsyncConnection, now: datetime) -> Seal | None:
    """Seals the next SEALED_AT_ONCE lines; None where there is none."""
    last, through, chain = await _last(conn), None, hashlib.sha256()
    chain.update(last.hash.encode())
    async for row in _lines(conn, last.through_id, None, SEALED_AT_ONCE):
        chain.update(_canonical(row))
        through = row.id
    if through is None:
        return None
    made = Seal(through_id=through, hash=chain.hexdigest())
    await conn.execute(insert(timeline_seals).values(through_id=made.through_id, hash=made.hash, sealed_at=now))
    return made


async def broken_seals(conn: AsyncConnection) -> list[Seal]:
    """The seals that do not hold over the lines as they are now."""
    seals = select(timeline_seals.c.through_id, timeline_seals.c.hash).order_by(timeline_seals.c.through_id)
    before, broken = Seal(through_id=0, hash=""), []
    for found in (await conn.execute(seals)).all():
        chain = hashlib.sha256(before.hash.encode())
        async for row in _lines(conn, before.through_id, found.through_id, None):
            chain.update(_canonical(row))
        before = Seal(through_id=found.through_id, hash=found.hash)
        if chain.hexdigest() != found.hash:
            broken.append(before)
    return broken


async def _last(conn: AsyncConnection) -> Seal:
    query = select(timeline_seals.c.through_id, timeline_seals.c.hash).order_by(timeline_seals.c.through_id.desc())
    row = (await conn.execute(query.limit(1))).first()
    return Seal(through_id=row.through_id, hash=row.hash) if row is not None else Seal(through_id=0, hash="")


async def _lines(conn: AsyncConnection, after: int, through: int | None, most: int | None) -> AsyncIterator[Row[Any]]:
    """The lines in the order of their numbers, a page at a time."""
    left = most
    while left is None or left > 0:
        query = select(timeline).where(timeline.c.id > after).order_by(timeline.c.id)
        if through is not None:
            query = query.where(timeline.c.id <= through)
        rows = (await conn.execute(query.limit(min(_PAGE, left) if left is not None else _PAGE))).all()
        for row in rows:
            yield row
        if not rows:
            return
        after, left = rows[-1].id, left - len(rows) if left is not None else None


def _canonical(row: Row[Any]) -> bytes:
    """A line as it is hashed. Its free text is not part of it: that must stay erasable."""
    values = [
        row.id, row.at.isoformat(), row.outage_id, row.revision, row.actor_kind, row.actor, row.what, row.why,
        row.data, row.text_id, row.source,
    ]  # fmt: skip
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode() + b"\n"
