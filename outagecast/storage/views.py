"""The read side of the desk and the API: each view is one or a few set-based queries, returned as frozen values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, and_, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.facts import from_micros, to_micros
from outagecast.domain.levels import Effect, Level
from outagecast.domain.outage import OPEN, OutageStatus, RevisionState, ScopeEntry, Severity
from outagecast.storage.tables import deliveries, impacts, meta, outages, revisions, texts, timeline


@dataclass(frozen=True, kw_only=True, slots=True)
class Touched:
    """How many are touched: now, while the outage is open; in the whole episode, once it is over.

    A customer counts at his worst level. `by_level` has the words of the levels that occur.
    """

    customers: int = 0
    circuits: int = 0
    services: int = 0
    by_level: Mapping[str, Mapping[str, int]]


NOBODY = Touched(by_level={})


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A revision that is not effective: pending until `effective_at`, or held until a person releases it."""

    revision: int
    verb: str
    actor: str
    created_at: datetime
    effective_at: datetime | None
    held_because: str | None
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OutageView:
    """One outage as desk and API show it. `deliveries`: customers' deliveries by channel and state; `eta_slips`: how
    often a given ETA was moved later or withdrawn; `strikes`: holding notices in a row since the desk's last word.
    """

    id: str
    title: str
    status: OutageStatus
    severity: Severity
    effect: Effect
    kind: str
    cause: str
    cause_code: str
    revision: int
    episode: int
    public: bool
    eta: datetime | None
    eta_from: datetime | None
    eta_slips: int
    at_risk_until: datetime | None
    started_at: datetime
    ended_at: datetime | None
    created_at: datetime
    created_by: str
    owner: str
    external_ref: str
    monitor: str
    estimated_customers: int | None
    next_update_by: datetime | None
    last_word_at: datetime | None
    strikes: int
    held_because: str | None
    hold_reason: str | None
    merged_into: str | None
    scope: tuple[ScopeEntry, ...]
    touched: Touched
    deliveries: Mapping[str, Mapping[str, int]]
    pending: Waiting | None
    held: Waiting | None

    @property
    def is_open(self) -> bool:
        return self.status in OPEN


@dataclass(frozen=True, kw_only=True, slots=True)
class RevisionView:
    number: int
    episode: int
    verb: str
    state: str
    actor: str
    created_at: datetime
    effective_at: datetime | None
    message: str
    next_update_by: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TimelineView:
    """`text` is the free or personal text a line points to, None when there is none or it was erased."""

    id: int
    at: datetime
    revision: int | None
    actor_kind: str
    actor: str
    what: str
    why: str
    data: Any
    text: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """All sending is stopped. `since` None: by an older version, which did not write it down."""

    reason: str
    by: str
    since: datetime | None = None


async def outage(conn: AsyncConnection, outage_id: str) -> OutageView | None:
    found = await _outages(conn, select(outages).where(outages.c.id == outage_id))
    return found[0] if found else None


async def outage_list(
    conn: AsyncConnection,
    *,
    statuses: Iterable[OutageStatus] | None,
    cursor: str | None,
    limit: int,
    counted: bool = True,
) -> tuple[list[OutageView], str | None]:
    """Newest first, and the cursor of the next page (None at the end). ValueError for a cursor that is not ours.

    `counted` False: without what they touch and say, which goes over every line and message (`touched`, `told`).
    """
    query = select(outages).order_by(outages.c.created_at.desc(), outages.c.id.desc()).limit(limit + 1)
    if statuses is not None:
        query = query.where(outages.c.status.in_([str(status) for status in statuses]))
    if cursor is not None:
        micros, _, outage_id = cursor.partition("_")
        before = from_micros(int(micros))
        query = query.where(
            or_(
                outages.c.created_at < before,
                and_(outages.c.created_at == before, outages.c.id < outage_id),
            )
        )
    found = await _outages(conn, query, counted=counted)
    last = found[limit - 1] if len(found) > limit else None
    return found[:limit], f"{to_micros(last.created_at)}_{last.id}" if last else None


async def by_external_ref(conn: AsyncConnection, external_ref: str) -> OutageView | None:
    """The draft or open outage with another system's number, if there is one."""
    live = [str(status) for status in (OutageStatus.DRAFT, *OPEN)]
    query = select(outages).where(outages.c.external_ref == external_ref, outages.c.status.in_(live))
    found = await _outages(conn, query.order_by(outages.c.created_at.desc()).limit(1))
    return found[0] if found else None


async def timeline_page(
    conn: AsyncConnection, outage_id: str, *, after: int = 0, limit: int = 200, newest_first: bool = False
) -> list[TimelineView]:
    """The lines of one outage after a line's number, oldest first; or the newest ones."""
    query = (
        select(timeline, texts.c.text)
        .outerjoin(texts, texts.c.id == timeline.c.text_id)
        .where(timeline.c.outage_id == outage_id, timeline.c.id > after)
        .order_by(timeline.c.id.desc() if newest_first else timeline.c.id)
        .limit(limit)
    )
    names = TimelineView.__dataclass_fields__
    return [TimelineView(**{name: row[name] for name in names}) for row in (await conn.execute(query)).mappings()]


async def pause(conn: AsyncConnection) -> Pause | None:
    """Why all sending is paused, None when it is not."""
    rows = await conn.execute(select(meta).where(meta.c.key.in_(["paused", "paused_by", "paused_at"])))
    found = {row.key: row.value for row in rows}
    if not found.get("paused"):
        return None
    since = from_micros(int(found["paused_at"])) if found.get("paused_at") else None
    return Pause(reason=found["paused"], by=found.get("paused_by", ""), since=since)


# --- below ---


async def _outages(conn: AsyncConnection, query: Select[Any], *, counted: bool = True) -> list[OutageView]:
    rows = (await conn.execute(query)).mappings().all()
    ids = [row["id"] for row in rows]
    if not ids:
        return []
    people = await touched(conn, ids) if counted else {}
    messages = await told(conn, ids) if counted else {}
    waiting = await _waiting(conn, ids)
    return [
        _outage(row, people.get(row["id"], NOBODY), messages.get(row["id"], {}), waiting.get(row["id"], {}))
        for row in rows
    ]


def _outage(
    row: RowMapping, touched: Touched, told: Mapping[str, Mapping[str, int]], waiting: Mapping[str, Waiting]
) -> OutageView:
    same = {name: row[name] for name in OutageView.__dataclass_fields__ if name in row}
    same["status"] = OutageStatus(row["status"])
    same["severity"] = Severity(row["severity"])
    same["effect"] = Effect(row["effect"])
    same["scope"] = scope_of(row["scope"])
    return OutageView(
        **same,
        touched=touched,
        deliveries=told,
        pending=waiting.get(RevisionState.PENDING),
        held=waiting.get(RevisionState.HELD),
    )


def scope_of(value: Sequence[Mapping[str, str]]) -> tuple[ScopeEntry, ...]:
    """A scope as the database keeps it."""
    return tuple(ScopeEntry(kind=item["kind"], id=item["id"], effect=Effect(item["effect"])) for item in value)


def in_force() -> ColumnElement[bool]:
    """Of `impacts` joined with `outages`: while open, what lasts; afterwards, all of the last episode."""
    return and_(
        impacts.c.episode == outages.c.episode,
        impacts.c.level > int(Level.NO_IMPACT),
        or_(impacts.c.to_at.is_(None), outages.c.ended_at.is_not(None)),
    )


async def touched(conn: AsyncConnection, ids: Sequence[str]) -> dict[str, Touched]:
    """By outage; whoever touches nobody is left out. Two microseconds a line."""
    base = (
        select(impacts.c.outage_id, impacts.c.customer_id, impacts.c.thing_kind, impacts.c.thing_id)
        .add_columns(func.max(impacts.c.level).label("level"))
        .join(outages, outages.c.id == impacts.c.outage_id)
        .where(impacts.c.outage_id.in_(ids), in_force())
        .group_by(impacts.c.outage_id, impacts.c.customer_id, impacts.c.thing_kind, impacts.c.thing_id)
        .cte("things")
    )
    worst = (
        select(base.c.outage_id, base.c.customer_id, func.max(base.c.level).label("level"))
        .group_by(base.c.outage_id, base.c.customer_id)
        .cte("worst")
    )
    things = select(base.c.outage_id, base.c.thing_kind.label("what"), base.c.level, func.count().label("n"))
    people = select(worst.c.outage_id, literal("customer").label("what"), worst.c.level, func.count().label("n"))
    query = things.group_by(base.c.outage_id, base.c.thing_kind, base.c.level).union_all(
        people.group_by(worst.c.outage_id, worst.c.level)
    )
    return _collect_touched((await conn.execute(query)).all())


def _collect_touched(rows: Iterable[Any]) -> dict[str, Touched]:
    totals: dict[str, dict[str, int]] = {}
    levels: dict[str, dict[str, dict[str, int]]] = {}
    for outage_id, what, level, n in rows:
        plural = f"{what}s"
        total = totals.setdefault(outage_id, {})
        total[plural] = total.get(plural, 0) + n
        by_level = levels.setdefault(outage_id, {}).setdefault(Level(level).word, {})
        by_level[plural] = by_level.get(plural, 0) + n
    return {
        outage_id: Touched(
            customers=total.get("customers", 0),
            circuits=total.get("circuits", 0),
            services=total.get("services", 0),
            by_level=dict(sorted(levels[outage_id].items(), key=lambda item: -Level.of(item[0]))),
        )
        for outage_id, total in totals.items()
    }


async def told(conn: AsyncConnection, ids: Sequence[str]) -> dict[str, dict[str, dict[str, int]]]:
    """By outage: its customers' deliveries by channel and state."""
    query = (
        select(deliveries.c.outage_id, deliveries.c.channel, deliveries.c.state, func.count())
        .join(outages, outages.c.id == deliveries.c.outage_id)
        .where(
            deliveries.c.outage_id.in_(ids),
            deliveries.c.episode == outages.c.episode,
            deliveries.c.audience == "customer",
        )
        .group_by(deliveries.c.outage_id, deliveries.c.channel, deliveries.c.state)
    )
    out: dict[str, dict[str, dict[str, int]]] = {}
    for outage_id, channel, state, n in await conn.execute(query):
        out.setdefault(outage_id, {}).setdefault(channel or "none", {})[state] = n
    return out


async def _waiting(conn: AsyncConnection, ids: Sequence[str]) -> dict[str, dict[str, Waiting]]:
    """The newest pending and the oldest held revision of each outage."""
    states = [str(RevisionState.PENDING), str(RevisionState.HELD)]
    query = (
        select(revisions)
        .where(revisions.c.outage_id.in_(ids), revisions.c.state.in_(states))
        .order_by(revisions.c.number)
    )
    out: dict[str, dict[str, Waiting]] = {}
    for row in (await conn.execute(query)).mappings():
        found = out.setdefault(row["outage_id"], {})
        if row["state"] == RevisionState.HELD and RevisionState.HELD in found:
            continue
        found[row["state"]] = Waiting(
            revision=row["number"],
            verb=row["verb"],
            actor=row["actor"],
            created_at=row["created_at"],
            effective_at=row["effective_at"],
            held_because=row["held_because"],
            message=row["message"],
        )
    return out
