"""The daemons on this database: one row each, and what they have in hand."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import and_, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.storage.batches import Record
from outagecast.storage.guards import IN_FLIGHT, IS_BUSY
from outagecast.storage.tables import daemons, deliveries


@dataclass(frozen=True, kw_only=True, slots=True)
class Newcomer:
    """A daemon that starts. `boot` names one run of one machine."""

    owner: str
    role: str
    seat: str
    host: str
    boot: str
    pid: int
    version: str


async def register(conn: AsyncConnection, one: Newcomer, now: datetime) -> None:
    """Put it on the list; whoever had its seat before, or was lost in the same role on this host, is not missed."""
    same = daemons.c.role == one.role, daemons.c.host == one.host, daemons.c.lost_at.is_not(None)
    await conn.execute(delete(daemons).where(or_(and_(*same), and_(daemons.c.seat == one.seat, daemons.c.seat != ""))))
    await conn.execute(insert(daemons).values(**asdict(one), started_at=now, seen_at=now))


async def beat(conn: AsyncConnection, owner: str, now: datetime, *, leads: bool) -> bool:
    """It lives. False if its row is gone: it was away for so long that others have forgotten it."""
    values = {"seen_at": now, "lost_at": None, **({"leads_at": now} if leads else {})}
    return (await conn.execute(update(daemons).where(daemons.c.owner == owner).values(**values))).rowcount == 1


async def lost(conn: AsyncConnection, owners: Collection[str], now: datetime) -> int:
    """Note that these are gone; how many of them nobody had noted yet."""
    where = daemons.c.owner.in_(list(owners)), daemons.c.lost_at.is_(None)
    return (await conn.execute(update(daemons).where(*where).values(lost_at=now))).rowcount


async def forget(conn: AsyncConnection, *, lost_before: datetime) -> None:
    await conn.execute(delete(daemons).where(daemons.c.lost_at < lost_before))


async def leave(conn: AsyncConnection, owner: str) -> None:
    """An orderly end."""
    await conn.execute(delete(daemons).where(daemons.c.owner == owner))


async def everyone(conn: AsyncConnection) -> Sequence[Record]:
    """All rows, those that live first, the oldest first."""
    query = select(daemons).order_by(daemons.c.lost_at.is_not(None), daemons.c.started_at, daemons.c.owner)
    return (await conn.execute(query)).all()


async def with_rows_in_hand(conn: AsyncConnection, but: str) -> set[str | None]:
    """Whose rows are on their way, except one's own. None: rows under no name."""
    query = (
        select(deliveries.c.lease_owner)
        .distinct()
        .where(IS_BUSY, deliveries.c.state.in_(IN_FLIGHT), deliveries.c.lease_owner.is_distinct_from(but))
    )
    return set((await conn.execute(query)).scalars())


async def in_use_elsewhere(conn: AsyncConnection, owners: Collection[str], *, since: datetime) -> Record | None:
    """One of these daemons that was seen since then."""
    query = select(daemons).where(
        daemons.c.owner.in_(list(owners)), daemons.c.seen_at > since, daemons.c.lost_at.is_(None)
    )
    return (await conn.execute(query.limit(1))).first()
