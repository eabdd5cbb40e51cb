"""Queries about who is signed in. A session's secret is known here as its hash only."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, Select, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.outage import Role
from outagecast.storage.tables import second_factors, sessions, staff


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionRow:
    """A session together with whose it is. `two_factors`: that person's authenticator app is set up."""

    id_hash: str
    staff_id: int
    name: str
    role: Role
    csrf: str
    created_at: datetime
    seen_at: datetime
    agent: str
    source: str
    means: str
    has_password: bool
    two_factors: bool


async def add(
    conn: AsyncConnection,
    *,
    id_hash: str,
    staff_id: int,
    csrf: str,
    agent: str,
    source: str,
    means: str,
    now: datetime,
) -> None:
    await conn.execute(
        insert(sessions).values(
            id_hash=id_hash, staff_id=staff_id, csrf=csrf, agent=agent, source=source, means=means,
            created_at=now, seen_at=now,
        )
    )  # fmt: skip


async def forget(conn: AsyncConnection, before: datetime) -> None:
    """Sessions that began before then, ended or not, leave no row: the timeline says who signed in."""
    await conn.execute(delete(sessions).where(sessions.c.created_at < before))


async def by_hash(conn: AsyncConnection, id_hash: str) -> SessionRow | None:
    """A session that was not ended, of somebody who is not disabled; whether it is too old is for the caller."""
    row = (await conn.execute(_rows().where(sessions.c.id_hash == id_hash))).mappings().first()
    return _session(row) if row else None


async def of(conn: AsyncConnection, staff_id: int, *, seen_after: datetime, made_after: datetime) -> list[SessionRow]:
    """Somebody's sessions that may still be used, the one seen last first."""
    query = _rows().where(
        sessions.c.staff_id == staff_id, sessions.c.seen_at >= seen_after, sessions.c.created_at >= made_after
    )
    rows = await conn.execute(query.order_by(sessions.c.seen_at.desc(), sessions.c.created_at.desc()))
    return [_session(row) for row in rows.mappings()]


async def see(conn: AsyncConnection, id_hash: str, at: datetime) -> None:
    await conn.execute(update(sessions).where(sessions.c.id_hash == id_hash).values(seen_at=at))


async def end(conn: AsyncConnection, id_hash: str, at: datetime) -> bool:
    """Whether it was open until now."""
    query = update(sessions).where(sessions.c.id_hash == id_hash, sessions.c.ended_at.is_(None))
    return (await conn.execute(query.values(ended_at=at))).rowcount == 1


async def end_by_beginning(conn: AsyncConnection, staff_id: int, beginning: str, at: datetime) -> int:
    """How many of somebody's open sessions have a hash that begins so, and end now."""
    query = update(sessions).where(
        sessions.c.staff_id == staff_id,
        sessions.c.ended_at.is_(None),
        sessions.c.id_hash.startswith(beginning, autoescape=True),
    )
    return (await conn.execute(query.values(ended_at=at))).rowcount


async def end_all_of(conn: AsyncConnection, staff_id: int, at: datetime, *, but: str = "") -> int:
    """How many were open."""
    query = update(sessions).where(
        sessions.c.staff_id == staff_id, sessions.c.ended_at.is_(None), sessions.c.id_hash != but
    )
    return (await conn.execute(query.values(ended_at=at))).rowcount


def _rows() -> Select[Any]:
    two_factors = second_factors.c.confirmed_at.is_not(None).label("two_factors")
    return (
        select(sessions, staff.c.name, staff.c.role, (staff.c.password_hash != "").label("has_password"), two_factors)
        .join(staff, staff.c.id == sessions.c.staff_id)
        .outerjoin(second_factors, second_factors.c.staff_id == staff.c.id)
        .where(sessions.c.ended_at.is_(None), staff.c.disabled_at.is_(None))
    )


def _session(row: RowMapping) -> SessionRow:
    values = {name: row[name] for name in SessionRow.__dataclass_fields__}
    return SessionRow(**values | {"role": Role(row["role"]), "two_factors": bool(row["two_factors"])})
