"""Queries about staff and the tokens of programs. Secrets come in and go out as their hashes only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.outage import Actor, Role
from outagecast.domain.timeline import Happened
from outagecast.storage.tables import staff, timeline, tokens


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


@dataclass(frozen=True, kw_only=True, slots=True)
class LineRow:
    """A line of the timeline about the house itself."""

    at: datetime
    actor_kind: str
    actor: str
    what: str
    why: str
    source: str


HOUSE_WORDS = (
    Happened.SIGNED_IN, Happened.SIGN_IN_REFUSED, Happened.SESSION_ENDED, Happened.STAFF_CHANGED,
    Happened.TOKEN_CHANGED,
)  # fmt: skip


async def add_staff(
    conn: AsyncConnection, *, name: str, email: str, role: Role, password_hash: str, now: datetime
) -> int:
    """The new row's number."""
    values = {"name": name, "email": email, "role": role, "password_hash": password_hash, "created_at": now}
    return int((await conn.execute(insert(staff).values(values).returning(staff.c.id))).scalar_one())


async def staff_by_id(conn: AsyncConnection, staff_id: int) -> StaffRow | None:
    row = (await conn.execute(select(staff).where(staff.c.id == staff_id))).mappings().first()
    return _staff(row) if row else None


async def staff_by_name(conn: AsyncConnection, name: str) -> StaffRow | None:
    row = (await conn.execute(select(staff).where(staff.c.name == name))).mappings().first()
    return _staff(row) if row else None


async def all_staff(conn: AsyncConnection) -> Sequence[StaffRow]:
    rows = await conn.execute(select(staff).order_by(staff.c.name))
    return [_staff(row) for row in rows.mappings()]


async def count_active_staff(conn: AsyncConnection) -> int:
    query = select(func.count()).select_from(staff).where(staff.c.disabled_at.is_(None))
    return (await conn.execute(query)).scalar_one()


async def other_admins(conn: AsyncConnection, staff_id: int) -> int:
    """Admins besides this one who can come in by themselves: with a password, not by somebody else's word alone."""
    query = (
        select(func.count())
        .select_from(staff)
        .where(
            staff.c.disabled_at.is_(None),
            staff.c.role == Role.ADMIN,
            staff.c.password_hash != "",
            staff.c.id != staff_id,
        )
    )
    return (await conn.execute(query)).scalar_one()


async def set_role(conn: AsyncConnection, staff_id: int, role: Role) -> None:
    await conn.execute(update(staff).where(staff.c.id == staff_id).values(role=role))


async def set_disabled(conn: AsyncConnection, staff_id: int, at: datetime | None) -> None:
    await conn.execute(update(staff).where(staff.c.id == staff_id).values(disabled_at=at))


async def set_password_hash(conn: AsyncConnection, staff_id: int, password_hash: str) -> None:
    await conn.execute(update(staff).where(staff.c.id == staff_id).values(password_hash=password_hash))


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


async def record(
    conn: AsyncConnection, what: Happened, why: str, *, actor: Actor, now: datetime, source: str = ""
) -> None:
    """A line of the house's own timeline: who changed what about people and tokens, and from which address."""
    await conn.execute(
        insert(timeline).values(at=now, actor_kind=actor.kind, actor=actor.name, what=what, why=why, source=source)
    )


async def lines(conn: AsyncConnection, *, limit: int) -> Sequence[LineRow]:
    """What happened about people and tokens last, newest first."""
    t = timeline.c
    query = select(t.at, t.actor_kind, t.actor, t.what, t.why, t.source).where(t.what.in_(HOUSE_WORDS))
    rows = await conn.execute(query.order_by(t.id.desc()).limit(limit))
    return [
        LineRow(at=row.at, actor_kind=row.actor_kind, actor=row.actor, what=row.what, why=row.why,
                source=row.source)
        for row in rows
    ]  # fmt: skip


def _staff(row: RowMapping) -> StaffRow:
    return StaffRow(**{**row, "role": Role(row["role"])})


def _token(row: RowMapping) -> TokenRow:
    values: dict[str, Any] = {name: row[name] for name in TokenRow.__dataclass_fields__}
    return TokenRow(**values | {"role": Role(row["role"])})
