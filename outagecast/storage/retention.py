"""What has been kept long enough, some rows at a time. What belongs to an open outage or a draft is never found."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Exists,
    Table,
    and_,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.facts import from_micros, to_micros
from outagecast.domain.outage import ENDED
from outagecast.storage.outages import get_meta, put_meta
from outagecast.storage.tables import (
    alarms,
    contacts,
    customers,
    deliveries,
    ended_contacts,
    events,
    handled,
    idempotency,
    one_time_keys,
    outages,
    revisions,
    sessions,
    texts,
    timeline,
)

LAST = "tidied_at"
"""When the house was last kept."""
_OUTAGES_THROUGH = "tidied_outages"
_LINES_THROUGH = "tidied_lines"
_ENDED_WORDS = tuple(status.value for status in ENDED)


async def take_turn(conn: AsyncConnection, now: datetime, every: timedelta) -> bool:
    """True for one of all who ask, if nobody has kept the house for so long."""
    last = await get_meta(conn, LAST)
    if last is not None and from_micros(int(last)) > now - every:
        return False
    await put_meta(conn, LAST, str(to_micros(now)))
    return True


# --- rows that go as a whole ---


@dataclass(frozen=True, kw_only=True, slots=True)
class Old:
    """Rows of one table that have been kept long enough."""

    table: Table
    key: tuple[Any, ...]
    where: tuple[ColumnElement[bool], ...]


def old_events(until: datetime) -> Old:
    """What monitors said before `until`, unless its alarm stands at an open outage."""
    held = exists().where(
        alarms.c.monitor == events.c.monitor, alarms.c.dedup_key == events.c.dedup_key, _alarm_is_needed()
    )
    return Old(table=events, key=(events.c.id,), where=(events.c.received_at < until, ~held))


def old_alarms(until: datetime) -> Old:
    """Alarms that are over, nothing of which is due, and that hold no outage that is not over."""
    over = (alarms.c.state == "cleared", alarms.c.due_at.is_(None), alarms.c.changed_at < until, ~_alarm_is_needed())
    return Old(table=alarms, key=(alarms.c.monitor, alarms.c.dedup_key), where=over)


def old_sessions(until: datetime) -> Old:
    over = func.coalesce(sessions.c.ended_at, sessions.c.seen_at) < until
    return Old(table=sessions, key=(sessions.c.id_hash,), where=(over,))


def old_links(until: datetime) -> Old:
    """Links that were used or ran out."""
    over = func.coalesce(one_time_keys.c.used_at, one_time_keys.c.expires_at) < until
    return Old(table=one_time_keys, key=(one_time_keys.c.hash,), where=(over,))


def old_keys(until: datetime) -> Old:
    """Keys of requests whose outage is over."""
    live = exists().where(outages.c.id == idempotency.c.outage_id, outages.c.status.not_in(_ENDED_WORDS))
    over = (idempotency.c.created_at < until, ~live)
    return Old(table=idempotency, key=(idempotency.c.actor, idempotency.c.key), where=over)


async def find(conn: AsyncConnection, old: Old, most: int) -> list[tuple[Any, ...]]:
    """The keys of so many of them; asked while others write."""
    return [tuple(row) for row in await conn.execute(select(*old.key).where(*old.where).limit(most))]


async def take_away(conn: AsyncConnection, old: Old, keys: Sequence[tuple[Any, ...]]) -> int:
    """Those that are still old."""
    these = tuple_(*old.key).in_(keys) if len(old.key) > 1 else old.key[0].in_([key for (key,) in keys])
    return int((await conn.execute(delete(old.table).where(these, *old.where))).rowcount)


# --- words ---


async def old_outages(conn: AsyncConnection, until: datetime) -> list[tuple[str, int]]:
    """Outages that ended before `until` and whose words were not erased yet, with the place to go on from afterwards:
    the oldest first.
    """
    through = int(await get_meta(conn, _OUTAGES_THROUGH) or "-1")
    ended = func.coalesce(outages.c.ended_at, outages.c.created_at)
    query = select(outages.c.id, ended.label("at")).where(
        outages.c.status.in_(_ENDED_WORDS), ended < until, ended > literal(from_micros(through), type_=ended.type)
    )
    return [(row.id, to_micros(row.at)) for row in await conn.execute(query.order_by(ended, outages.c.number))]


async def outages_done_through(conn: AsyncConnection, place: int) -> None:
    await put_meta(conn, _OUTAGES_THROUGH, str(place))


async def worded(conn: AsyncConnection, outage_id: str, after: int, most: int) -> list[int]:
    """Deliveries of an outage, from a number on."""
    query = select(deliveries.c.id).where(deliveries.c.outage_id == outage_id, deliveries.c.id > after)
    return list((await conn.execute(query.order_by(deliveries.c.id).limit(most))).scalars())


async def erase_texts_of(conn: AsyncConnection, outage_id: str) -> int:
    """What people wrote to each other about an outage: notes, reasons, how somebody was told by other means."""
    of_lines = select(timeline.c.text_id).where(timeline.c.outage_id == outage_id, timeline.c.text_id.is_not(None))
    of_hands = (
        select(handled.c.text_id)
        .join(deliveries, deliveries.c.id == handled.c.delivery_id)
        .where(deliveries.c.outage_id == outage_id, handled.c.text_id.is_not(None))
    )
    done = await _blank(conn, or_(texts.c.id.in_(of_lines), texts.c.id.in_(of_hands)))
    rows = await conn.execute(select(revisions.c.number, revisions.c.change).where(revisions.c.outage_id == outage_id))
    for row in rows.all():
        if row.change.get("note"):
            change = {name: value for name, value in row.change.items() if name != "note"}
            same = and_(revisions.c.outage_id == outage_id, revisions.c.number == row.number)
            await conn.execute(update(revisions).where(same).values(change=change))
    return done


async def erase_texts_of_house(conn: AsyncConnection, until: datetime, most: int) -> tuple[int, bool]:
    """What people wrote in lines that belong to no outage; how many, and whether there is more."""
    through = int(await get_meta(conn, _LINES_THROUGH) or "0")
    query = select(timeline.c.id, timeline.c.text_id, timeline.c.outage_id).where(
        timeline.c.id > through, timeline.c.at < until
    )
    rows = (await conn.execute(query.order_by(timeline.c.id).limit(most))).all()
    if not rows:
        return 0, False
    ids = [row.text_id for row in rows if row.text_id is not None and row.outage_id is None]
    done = await _blank(conn, texts.c.id.in_(ids)) if ids else 0
    await put_meta(conn, _LINES_THROUGH, str(rows[-1].id))
    return done, len(rows) == most


# --- contacts ---


async def newly_ended(conn: AsyncConnection, most: int) -> list[str]:
    """Contacts that have ended, or whose customer has, and that nobody has noted yet."""
    known = exists().where(ended_contacts.c.contact_id == contacts.c.id)
    query = select(contacts.c.id).join(customers, customers.c.id == contacts.c.customer_id)
    return list((await conn.execute(query.where(*_over(), ~known).limit(most))).scalars())


async def note_ended(conn: AsyncConnection, contact_ids: Sequence[str], now: datetime) -> None:
    """Since when they have; those noted before that are active again are not waited for any more."""
    if contact_ids:
        await conn.execute(insert(ended_contacts), [{"contact_id": name, "seen_at": now} for name in contact_ids])
    still = (
        select(contacts.c.id)
        .join(customers, customers.c.id == contacts.c.customer_id)
        .where(contacts.c.id == ended_contacts.c.contact_id, *_over())
    )
    await conn.execute(delete(ended_contacts).where(~still.exists()))


async def ended_before(conn: AsyncConnection, until: datetime) -> list[str]:
    query = select(ended_contacts.c.contact_id).where(ended_contacts.c.seen_at < until)
    return list((await conn.execute(query.order_by(ended_contacts.c.seen_at, ended_contacts.c.contact_id))).scalars())


# --- below ---


def _alarm_is_needed() -> Exists:
    """Its outage is open or a draft."""
    return exists().where(outages.c.id == alarms.c.outage_id, outages.c.status.not_in(_ENDED_WORDS))


def _over() -> tuple[ColumnElement[bool], ...]:
    """A contact that has ended and still holds something."""
    holds = or_(contacts.c.name != "", contacts.c.email_id.is_not(None), contacts.c.phone_id.is_not(None))
    return or_(contacts.c.status == "ended", customers.c.status == "ended"), holds


async def _blank(conn: AsyncConnection, which: ColumnElement[bool]) -> int:
    """Texts are emptied, not deleted: their numbers must not be given out again while lines point to them."""
    return int((await conn.execute(update(texts).where(which, texts.c.text != "").values(text=""))).rowcount)
