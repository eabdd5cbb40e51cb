"""What stands over every page of the desk, and what the board and the hand-over count beside each outage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.outage import OPEN, RevisionState
from outagecast.domain.timeline import Happened
from outagecast.storage.tables import (
    deliveries,
    handled,
    impacts,
    meta,
    outages,
    redeliveries,
    revisions,
    texts,
    timeline,
)
from outagecast.storage.views import Pause, TimelineView, pause

_LONGEST_WAIT = timedelta(days=1)
"""No step waits longer for its way back: `revisions` is looked at by `effective_at`, which has an index."""
_LOST = (DeliveryState.FAILED.value, DeliveryState.UNDELIVERED.value)
_QUIET_WORK = tuple(
    what.value
    for what in (
        Happened.ASKED, Happened.TOOK_EFFECT, Happened.LEAD_PASSED, Happened.SIGNED_IN, Happened.SESSION_ENDED,
    )
)  # fmt: skip
"""Lines of the timeline that tell the next shift nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Frozen:
    """An outage whose messages are held by hand. `by` and `since` as the timeline has them."""

    outage_id: str
    title: str
    reason: str
    by: str
    since: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class WayBack:
    """A step that can still be undone, until `until`."""

    outage_id: str
    revision: int
    title: str
    verb: str
    actor: str
    until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What every page of the desk says, whatever it is about."""

    pause: Pause | None
    frozen: tuple[Frozen, ...]
    ways_back: tuple[WayBack, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """Messages of one outage that did not arrive, and that nobody has seen to."""

    outage_id: str
    title: str
    messages: int
    customers: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Happening:
    """A line of the timeline with the title of its outage."""

    line: TimelineView
    outage_id: str | None
    title: str


async def standing(conn: AsyncConnection, now: datetime) -> Standing:
    """Three small questions; every page of the desk asks them."""
    return Standing(pause=await pause(conn), frozen=await _frozen(conn), ways_back=await _ways_back(conn, now))


async def reckoning(conn: AsyncConnection) -> int:
    """Counts every change of what is down: whom outages touch is the same while this is."""
    return int((await conn.execute(select(meta.c.value).where(meta.c.key == "reckoning"))).scalar() or 0)


async def marks(conn: AsyncConnection, outage_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """By open outage: how many intervals last, and the newest of them. Intervals are opened and ended, never changed:
    while this is the same, so is whom it touches. Read from an index alone, a tenth of what counting takes.
    """
    query = (
        select(impacts.c.outage_id, func.count(), func.max(impacts.c.id))
        .where(impacts.c.outage_id.in_(outage_ids), impacts.c.to_at.is_(None))
        .group_by(impacts.c.outage_id)
    )
    return {outage_id: (n, newest) for outage_id, n, newest in await conn.execute(query)}


async def quiet_waits(conn: AsyncConnection, outage_ids: Sequence[str], now: datetime) -> dict[str, int]:
    """By outage: messages that wait for the end of somebody's quiet hours. They are planned, yet not on the way."""
    query = (
        select(deliveries.c.outage_id, func.count())
        .where(
            deliveries.c.outage_id.in_(outage_ids),
            deliveries.c.state == DeliveryState.PLANNED.value,
            deliveries.c.attempt == 0,
            deliveries.c.due_at > now,
            deliveries.c.audience == "customer",
        )
        .group_by(deliveries.c.outage_id)
    )
    return {outage_id: n for outage_id, n in await conn.execute(query)}


async def lost(conn: AsyncConnection, since: datetime) -> list[Lost]:
    """Of outages that are open or ended after `since`: what failed for good or was not delivered, is not marked as
    handled and was not tried anew. The most first.
    """
    seen_to = (
        select(handled.c.delivery_id).where(handled.c.delivery_id == deliveries.c.id).exists(),
        select(redeliveries.c.delivery_id).where(redeliveries.c.of_id == deliveries.c.id).exists(),
    )
    recent = outages.c.status.in_([str(status) for status in OPEN]) | (outages.c.ended_at > since)
    query = (
        select(
            outages.c.id,
            outages.c.title,
            func.count().label("messages"),
            func.count(deliveries.c.customer_id.distinct()).label("customers"),
        )
        .join(deliveries, and_(deliveries.c.outage_id == outages.c.id, deliveries.c.audience == "customer"))
        .where(recent, deliveries.c.state.in_(_LOST), *(~done for done in seen_to))
        .group_by(outages.c.id, outages.c.title)
        .order_by(func.count().desc(), outages.c.id)
    )
    return [
        Lost(outage_id=row.id, title=row.title, messages=row.messages, customers=row.customers)
        for row in await conn.execute(query)
    ]


async def happened_since(
    conn: AsyncConnection, since: datetime, *, limit: int
) -> tuple[list[Happening], Mapping[str, int]]:
    """What people and monitors did since then, newest first; and how often each thing happened that is too small to
    tell (by its word).
    """
    newest = select(func.max(timeline.c.id)).scalar_subquery()
    known = select(timeline.c.id).where(timeline.c.at < since).order_by(timeline.c.id.desc()).limit(1)
    after = (await conn.execute(known)).scalar() or 0
    told = (
        select(timeline, texts.c.text, func.coalesce(outages.c.title, "").label("title"))
        .outerjoin(texts, texts.c.id == timeline.c.text_id)
        .outerjoin(outages, outages.c.id == timeline.c.outage_id)
        .where(timeline.c.id > after, timeline.c.id <= newest, timeline.c.what.not_in(_QUIET_WORK), ~_failed_message())
        .order_by(timeline.c.id.desc())
        .limit(limit)
    )
    names = TimelineView.__dataclass_fields__
    lines = [
        Happening(
            line=TimelineView(**{name: row[name] for name in names}), outage_id=row["outage_id"], title=row["title"]
        )
        for row in (await conn.execute(told)).mappings()
    ]
    small = (
        select(timeline.c.what, func.count())
        .where(timeline.c.id > after, _failed_message() | (timeline.c.what == Happened.ASKED.value))
        .group_by(timeline.c.what)
    )
    return lines, {what: n for what, n in await conn.execute(small)}


# --- below ---


def _failed_message() -> ColumnElement[bool]:
    """The lines that single deliveries write: thousands in a bad night."""
    return timeline.c.what.in_([Happened.FAILED.value, Happened.AMBIGUOUS.value, Happened.RECONCILED.value])


async def _frozen(conn: AsyncConnection) -> tuple[Frozen, ...]:
    held = select(outages.c.id, outages.c.title, outages.c.hold_reason).where(
        outages.c.hold_reason.is_not(None), outages.c.status.in_([str(status) for status in OPEN])
    )
    rows = (await conn.execute(held.order_by(outages.c.number))).all()
    if not rows:
        return ()
    last = (
        select(func.max(timeline.c.id))
        .where(timeline.c.outage_id.in_([row.id for row in rows]), timeline.c.what == Happened.HELD.value)
        .group_by(timeline.c.outage_id)
    )
    lines = select(timeline.c.outage_id, timeline.c.actor, timeline.c.at).where(timeline.c.id.in_(last))
    whose = {row.outage_id: row for row in await conn.execute(lines)}
    return tuple(
        Frozen(
            outage_id=row.id,
            title=row.title,
            reason=row.hold_reason,
            by=whose[row.id].actor if row.id in whose else "",
            since=whose[row.id].at if row.id in whose else None,
        )
        for row in rows
    )


async def _ways_back(conn: AsyncConnection, now: datetime) -> tuple[WayBack, ...]:
    query = (
        select(revisions, outages.c.title)
        .join(outages, outages.c.id == revisions.c.outage_id)
        .where(
            revisions.c.effective_at > now,
            revisions.c.effective_at < now + _LONGEST_WAIT,
            revisions.c.state == RevisionState.PENDING.value,
        )
        .order_by(revisions.c.effective_at, revisions.c.number)
    )
    newest = {row.outage_id: row for row in await conn.execute(query)}  # undo takes the newest step of an outage back
    return tuple(
        WayBack(
            outage_id=row.outage_id,
            revision=row.number,
            title=row.title,
            verb=row.verb,
            actor=row.actor,
            until=row.effective_at,
        )
        for row in newest.values()
    )
