"""Queries about staff, their sessions and the tokens of programs. Secrets come in and go out as their hashes only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.outage import Actor, Role
from outagecast.domain.timeline import Happened
from outagecast.storage.tables import sessions, staff, timeline, tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class StaffRow:
    id: int
    name: str
    email: str
    role: Role
    password_hash: str
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionRow:
    """A session together with whose it is."""

    id_hash: str
    staff_id: int
    name: str
    role: Role
    csrf: str
    created_at: datetime
    seen_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenRow:
    """`prefix` is what people tell tokens apart by; the token itself is kept nowhere."""

    id: int
    name: str
    role: Role
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None


async def add_staff(
    conn: AsyncConnection, *, name: str, email: str, role: Role, password_hash: str, now: datetime
) -> None:
    await conn.execute(
        insert(staff).values(name=name, email=email, role=role, password_hash=password_hash, created_at=now)
    )


async def staff_by_name(conn: AsyncConnection, name: str) -> StaffRow | None:
    row = (await conn.execute(select(staff).where(staff.c.name == name))).mappings().first()
    return _staff(row) if row else None


async def all_staff(conn: AsyncConnection) -> Sequence[StaffRow]:
    rows = await conn.execute(select(staff).order_by(staff.c.name))
    return [_staff(row) for row in rows.mappings()]


async def count_active_staff(conn: AsyncConnection, role: Role | None = None) -> int:
    query = select(func.count()).select_from(staff).where(staff.c.disabled_at.is_(None))
    if role is not None:
        query = query.where(staff.c.role == role)
    return (await conn.execute(query)).scalar_one()


async def set_disabled(conn: AsyncConnection, staff_id: int, at: datetime | None) -> None:
    await conn.execute(update(staff).where(staff.c.id == staff_id).values(disabled_at=at))


async def set_password_hash(conn: AsyncConnection, staff_id: int, password_hash: str) -> None:
    await conn.execute(update(staff).where(staff.c.id == staff_id).values(password_hash=password_hash))


async def add_session(
    conn: AsyncConnection, *, id_hash: str, staff_id: int, csrf: str, agent: str, now: datetime
) -> None:
    await conn.execute(
        insert(sessions).values(id_hash=id_hash, staff_id=staff_id, csrf=csrf, agent=agent, created_at=now, seen_at=now)
    )


async def session_by_hash(conn: AsyncConnection, id_hash: str) -> SessionRow | None:
    """A session that was not ended, of somebody who is not disabled; whether it is too old is for the caller."""
    query = (
        select(sessions, staff.c.name, staff.c.role)
        .join(staff, staff.c.id == sessions.c.staff_id)
        .where(sessions.c.id_hash == id_hash, sessions.c.ended_at.is_(None), staff.c.disabled_at.is_(None))
    )
    row = (await conn.execute(query)).mappings().first()
    if row is None:
        return None
    return SessionRow(
        id_hash=row["id_hash"], staff_id=row["staff_id"], name=row["name"], role=Role(row["role"]),
        csrf=row["csrf"], created_at=row["created_at"], seen_at=row["seen_at"],
    )  # fmt: skip


async def see_session(conn: AsyncConnection, id_hash: str, at: datetime) -> None:
    await conn.execute(update(sessions).where(sessions.c.id_hash == id_hash).values(seen_at=at))


async def end_session(conn: AsyncConnection, id_hash: str, at: datetime) -> None:
    await conn.execute(
        update(sessions).where(sessions.c.id_hash == id_hash, sessions.c.ended_at.is_(None)).values(ended_at=at)
    )


async def end_sessions_of(conn: AsyncConnection, staff_id: int, at: datetime) -> int:
    """How many were open."""
    query = update(sessions).where(sessions.c.staff_id == staff_id, sessions.c.ended_at.is_(None))
    return (await conn.execute(query.values(ended_at=at))).rowcount


async def add_token(
    conn: AsyncConnection, *, name: str, role: Role, hash: str, prefix: str, expires_at: datetime | None, now: datetime
) -> None:
    await conn.execute(
        insert(tokens).values(name=name, role=role, hash=hash, prefix=prefix, created_at=now, expires_at=expires_at)
    )


async def token_by_hash(conn: AsyncConnection, hash: str) -> TokenRow | None:
    row = (await conn.execute(select(tokens).where(tokens.c.hash == hash))).mappings().first()
    return _token(row) if row else None


async def token_by_name(conn: AsyncConnection, name: str) -> TokenRow | None:
    row = (await conn.execute(select(tokens).where(tokens.c.name == name))).mappings().first()
    return _token(row) if row else None


async def all_tokens(conn: AsyncConnection) -> Sequence[TokenRow]:
    rows = await conn.execute(select(tokens).order_by(tokens.c.name))
    return [_token(row) for row in rows.mappings()]


async def revoke_token(conn: AsyncConnection, token_id: int, at: datetime) -> None:
    await conn.execute(
        update(tokens).where(tokens.c.id == token_id, tokens.c.revoked_at.is_(None)).values(revoked_at=at)
    )


async def use_token(conn: AsyncConnection, token_id: int, at: datetime) -> None:
    await conn.execute(update(tokens).where(tokens.c.id == token_id).values(used_at=at))


async def record(conn: AsyncConnection, what: Happened, why: str, *, actor: Actor, now: datetime) -> None:
    """A line of the house's own timeline: who changed what about people and tokens."""
    await conn.execute(insert(timeline).values(at=now, actor_kind=actor.kind, actor=actor.name, what=what, why=why))


def _staff(row: RowMapping) -> StaffRow:
    return StaffRow(**{**row, "role": Role(row["role"])})


def _token(row: RowMapping) -> TokenRow:
    values: dict[str, Any] = {name: row[name] for name in TokenRow.__dataclass_fields__}
    return TokenRow(**values | {"role": Role(row["role"])})
