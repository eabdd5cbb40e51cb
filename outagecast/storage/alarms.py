"""What monitors said, and what they hold up now."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.event import Event
from outagecast.domain.outage import OutageStatus
from outagecast.storage.batches import Record
from outagecast.storage.outages import OPEN_WORDS
from outagecast.storage.tables import alarms, events, impacts, outages

FIRING = "firing"
CLEARED = "cleared"
RAW_AT_MOST = 65_536
"""Bytes of a payload that are kept for a later look."""


async def add_event(
    conn: AsyncConnection, monitor: str, event: Event, scope: list[dict[str, str]], raw: bytes, now: datetime
) -> None:
    await conn.execute(
        insert(events).values(
            monitor=monitor,
            dedup_key=event.dedup_key,
            action=event.action.value,
            received_at=now,
            occurred_at=event.occurred_at,
            summary=event.summary,
            scope=scope,
            raw=raw[:RAW_AT_MOST].decode("utf-8", "replace") or None,
        )
    )


async def get(conn: AsyncConnection, monitor: str, dedup_key: str) -> Record | None:
    query = select(alarms).where(alarms.c.monitor == monitor, alarms.c.dedup_key == dedup_key)
    return (await conn.execute(query)).first()


async def raise_new(
    conn: AsyncConnection, monitor: str, event: Event, scope: list[dict[str, str]], now: datetime
) -> None:
    """A new alarm, or an old one that was over: due at once."""
    await conn.execute(alarms.delete().where(alarms.c.monitor == monitor, alarms.c.dedup_key == event.dedup_key))
    since = min(event.occurred_at or now, now)
    await conn.execute(
        insert(alarms).values(
            monitor=monitor,
            dedup_key=event.dedup_key,
            state=FIRING,
            since_at=since,
            changed_at=now,
            due_at=now,
            scope=scope,
            summary=event.summary,
        )
    )


async def remember_clear(conn: AsyncConnection, monitor: str, event: Event, now: datetime) -> None:
    """The end of an alarm whose beginning has not come (yet): kept, so that a late beginning opens nothing."""
    await conn.execute(
        insert(alarms).values(
            monitor=monitor,
            dedup_key=event.dedup_key,
            state=CLEARED,
            since_at=event.occurred_at or now,
            changed_at=now,
            scope=[],
            summary=event.summary,
        )
    )


async def raise_again(conn: AsyncConnection, alarm: Record, now: datetime, due_at: datetime | None) -> None:
    """It flapped: up again before `clear_after` was over. Its outage goes on; a draft waits its hold-down once more."""
    await _change(conn, alarm, state=FIRING, changed_at=now, due_at=due_at if alarm.outage_id else now)


async def clear(conn: AsyncConnection, alarm: Record, now: datetime, due_at: datetime) -> None:
    await _change(conn, alarm, state=CLEARED, changed_at=now, due_at=due_at)


async def attach(conn: AsyncConnection, alarm: Record, outage_id: str, due_at: datetime | None) -> None:
    """Its outage is known. What its monitor said of it since it was read decides when something is due, not we."""
    due = case((_unchanged(alarm), literal(due_at, alarms.c.due_at.type)), else_=alarms.c.due_at)
    await _change(conn, alarm, outage_id=outage_id, due_at=due)


async def settle(conn: AsyncConnection, alarm: Record) -> bool:
    """Nothing is due for it any more; one that is over lets go of its outage. False, and nothing done, if its monitor
    has said something else since it was read.
    """
    values: dict[str, Any] = {"due_at": None}
    if alarm.state == CLEARED:
        values["outage_id"] = None
    return await _change(conn, alarm, _unchanged(alarm), **values)


async def due(conn: AsyncConnection, now: datetime) -> Sequence[Record]:
    return (await conn.execute(select(alarms).where(alarms.c.due_at <= now).order_by(alarms.c.since_at))).all()


async def firing_on(conn: AsyncConnection, outage_id: str) -> int:
    query = select(func.count()).select_from(alarms).where(alarms.c.outage_id == outage_id, alarms.c.state == FIRING)
    return int((await conn.execute(query)).scalar_one())


async def drafts(conn: AsyncConnection) -> Sequence[Record]:
    query = select(outages).where(outages.c.status == OutageStatus.DRAFT.value).order_by(outages.c.number)
    return (await conn.execute(query)).all()


async def customers_of_monitor(conn: AsyncConnection, monitor: str) -> set[str]:
    """Customers that this monitor's open outages touch now."""
    query = (
        select(impacts.c.customer_id)
        .join(outages, outages.c.id == impacts.c.outage_id)
        .where(outages.c.monitor == monitor, outages.c.status.in_(OPEN_WORDS), impacts.c.to_at.is_(None))
    )
    return {row.customer_id for row in await conn.execute(query.distinct())}


def _unchanged(alarm: Record) -> ColumnElement[bool]:
    return and_(alarms.c.state == alarm.state, alarms.c.changed_at == alarm.changed_at)


async def _change(conn: AsyncConnection, alarm: Record, *only: ColumnElement[bool], **values: Any) -> bool:
    where = alarms.c.monitor == alarm.monitor, alarms.c.dedup_key == alarm.dedup_key
    return bool((await conn.execute(update(alarms).where(*where, *only).values(**values))).rowcount)
