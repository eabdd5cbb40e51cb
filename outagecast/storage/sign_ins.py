"""Queries about the ways in: one-time keys, second factors, recovery codes, identities at an OpenID provider."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.storage.tables import identities, one_time_keys, recovery_codes, second_factors
from outagecast.storage.tables import wrong_tries as tries


@dataclass(frozen=True, kw_only=True, slots=True)
class OneTimeKey:
    """A key that was given out and not used yet."""

    hash: str
    purpose: str
    staff_id: int | None
    data: Mapping[str, Any] | None
    tries: int
    expires_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class SecondFactor:
    secret: str
    created_at: datetime
    confirmed_at: datetime | None
    last_step: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Wrong:
    """Wrong tries in a row, and when the last one was."""

    count: int
    last_at: datetime


# --- wrong tries ---


async def wrong_tries(conn: AsyncConnection, keys: Iterable[str]) -> dict[str, Wrong]:
    query = select(tries.c.key, tries.c.count.label("wrong"), tries.c.last_at).where(tries.c.key.in_(list(keys)))
    return {row.key: Wrong(count=row.wrong, last_at=row.last_at) for row in await conn.execute(query)}


async def note_wrong_tries(
    conn: AsyncConnection, counts: Mapping[str, int], now: datetime, *, forget_before: datetime
) -> None:
    """How many they are by now; what is older than `forget_before` goes."""
    await conn.execute(delete(tries).where(tries.c.last_at < forget_before))
    put = upsert(tries).values([{"key": key, "count": count, "last_at": now} for key, count in counts.items()])
    await conn.execute(
        put.on_conflict_do_update(
            index_elements=["key"], set_={"count": put.excluded["count"], "last_at": put.excluded.last_at}
        )
    )


async def forget_wrong_tries(conn: AsyncConnection, keys: Iterable[str]) -> None:
    await conn.execute(delete(tries).where(tries.c.key.in_(list(keys))))


# --- one-time keys ---


async def add_key(
    conn: AsyncConnection,
    *,
    hash: str,
    purpose: str,
    now: datetime,
    expires_at: datetime,
    staff_id: int | None = None,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Keys that have run out long ago go meanwhile: nobody asks for them any more."""
    await conn.execute(delete(one_time_keys).where(one_time_keys.c.expires_at < now))
    await conn.execute(
        insert(one_time_keys).values(
            hash=hash, purpose=purpose, staff_id=staff_id, data=data, created_at=now, expires_at=expires_at
        )
    )


async def key(conn: AsyncConnection, hash: str, purpose: str, now: datetime) -> OneTimeKey | None:
    """None for a key that is unknown, used, expired or for something else."""
    keys = one_time_keys.c
    query = select(keys.hash, keys.purpose, keys.staff_id, keys.data, keys.tries, keys.expires_at).where(
        keys.hash == hash, keys.purpose == purpose, keys.used_at.is_(None), keys.expires_at > now
    )
    row = (await conn.execute(query)).mappings().first()
    return OneTimeKey(**row) if row else None


async def use_key(conn: AsyncConnection, hash: str, now: datetime) -> bool:
    """False when somebody else was quicker."""
    query = update(one_time_keys).where(
        one_time_keys.c.hash == hash, one_time_keys.c.used_at.is_(None), one_time_keys.c.expires_at > now
    )
    return (await conn.execute(query.values(used_at=now))).rowcount == 1


async def pending(conn: AsyncConnection, purpose: str, now: datetime) -> int:
    """How many keys for this purpose still open."""
    keys = one_time_keys.c
    query = select(func.count()).select_from(one_time_keys)
    still = query.where(keys.purpose == purpose, keys.used_at.is_(None), keys.expires_at > now)
    return (await conn.execute(still)).scalar_one()


async def count_try(conn: AsyncConnection, hash: str) -> None:
    await conn.execute(
        update(one_time_keys).where(one_time_keys.c.hash == hash).values(tries=one_time_keys.c.tries + 1)
    )


async def drop_keys(conn: AsyncConnection, purpose: str, staff_id: int | None = None) -> None:
    """Whatever was given out for this purpose (to this person) opens nothing any more."""
    whose = one_time_keys.c.staff_id.is_(None) if staff_id is None else one_time_keys.c.staff_id == staff_id
    await conn.execute(delete(one_time_keys).where(one_time_keys.c.purpose == purpose, whose))


async def invited(conn: AsyncConnection, now: datetime) -> Mapping[int, datetime]:
    """Who has a link that still opens, and until when."""
    keys = one_time_keys.c
    rows = await conn.execute(
        select(keys.staff_id, func.max(keys.expires_at).label("until"))
        .where(keys.purpose == "invitation", keys.used_at.is_(None), keys.expires_at > now)
        .group_by(keys.staff_id)
    )
    return {row.staff_id: row.until for row in rows}


# --- second factors ---


async def second_factor(conn: AsyncConnection, staff_id: int) -> SecondFactor | None:
    factors = second_factors.c
    query = select(factors.secret, factors.created_at, factors.confirmed_at, factors.last_step)
    row = (await conn.execute(query.where(factors.staff_id == staff_id))).mappings().first()
    return SecondFactor(**row) if row else None


async def with_second_factor(conn: AsyncConnection) -> frozenset[int]:
    """Everybody whose app is set up."""
    rows = await conn.execute(select(second_factors.c.staff_id).where(second_factors.c.confirmed_at.is_not(None)))
    return frozenset(rows.scalars())


async def begin_second_factor(conn: AsyncConnection, staff_id: int, secret: str, now: datetime) -> None:
    """In place of one that was begun and never confirmed."""
    await drop_second_factor(conn, staff_id)
    await conn.execute(insert(second_factors).values(staff_id=staff_id, secret=secret, created_at=now))


async def confirm_second_factor(conn: AsyncConnection, staff_id: int, step: int, now: datetime) -> bool:
    query = update(second_factors).where(
        second_factors.c.staff_id == staff_id,
        second_factors.c.confirmed_at.is_(None),
        second_factors.c.last_step < step,
    )
    return (await conn.execute(query.values(confirmed_at=now, last_step=step))).rowcount == 1


async def take_step(conn: AsyncConnection, staff_id: int, step: int) -> bool:
    """Whether this step was still free: a code opens once, whoever comes first."""
    query = update(second_factors).where(second_factors.c.staff_id == staff_id, second_factors.c.last_step < step)
    return (await conn.execute(query.values(last_step=step))).rowcount == 1


async def drop_second_factor(conn: AsyncConnection, staff_id: int) -> None:
    await conn.execute(delete(recovery_codes).where(recovery_codes.c.staff_id == staff_id))
    await conn.execute(delete(second_factors).where(second_factors.c.staff_id == staff_id))


async def replace_recovery_codes(conn: AsyncConnection, staff_id: int, hashes: Iterable[str]) -> None:
    await conn.execute(delete(recovery_codes).where(recovery_codes.c.staff_id == staff_id))
    await conn.execute(insert(recovery_codes), [{"staff_id": staff_id, "hash": each} for each in hashes])


async def use_recovery_code(conn: AsyncConnection, staff_id: int, hash: str, now: datetime) -> bool:
    query = update(recovery_codes).where(
        recovery_codes.c.staff_id == staff_id, recovery_codes.c.hash == hash, recovery_codes.c.used_at.is_(None)
    )
    return (await conn.execute(query.values(used_at=now))).rowcount == 1


async def recovery_codes_left(conn: AsyncConnection, staff_id: int) -> int:
    query = select(func.count()).select_from(recovery_codes)
    left = query.where(recovery_codes.c.staff_id == staff_id, recovery_codes.c.used_at.is_(None))
    return (await conn.execute(left)).scalar_one()


# --- identities ---


async def staff_of_identity(conn: AsyncConnection, issuer: str, subject: str) -> int | None:
    query = select(identities.c.staff_id).where(identities.c.issuer == issuer, identities.c.subject == subject)
    return (await conn.execute(query)).scalar_one_or_none()


async def add_identity(conn: AsyncConnection, issuer: str, subject: str, staff_id: int, now: datetime) -> None:
    await conn.execute(insert(identities).values(issuer=issuer, subject=subject, staff_id=staff_id, created_at=now))


async def with_identity(conn: AsyncConnection) -> frozenset[int]:
    """Everybody who comes in by an OpenID provider."""
    return frozenset((await conn.execute(select(identities.c.staff_id))).scalars())
