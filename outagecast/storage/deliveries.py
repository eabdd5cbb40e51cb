"""The outbox: claim under a lease with a fence, mark, finish. Every change of state is guarded by the state before
it.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    ClauseElement,
    ColumnElement,
    Text,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from outagecast.domain.delivery import TRANSITIONS, DeliveryState
from outagecast.domain.facts import from_micros, to_micros
from outagecast.domain.message import ChannelName
from outagecast.domain.notices import END_KINDS, Role
from outagecast.domain.routes import Carries
from outagecast.domain.suppression import EndReason
from outagecast.domain.timeline import Happened
from outagecast.storage.batches import Record, chunks
from outagecast.storage.driver import execute_once
from outagecast.storage.heirs import ACKNOWLEDGEMENT, inherit
from outagecast.storage.outages import OPEN_WORDS
from outagecast.storage.tables import addresses, attempts, deliveries, leads, meta, outages, revisions, timeline
from outagecast.storage.value_tables import ForMany, run

S = DeliveryState
END_WORDS = tuple(kind.value for kind in END_KINDS)
IN_FLIGHT = (S.LEASED.value, S.TRANSMITTING.value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One row under our lease. `fence` is the number that every later change must carry."""

    id: int
    fence: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A row that is about to be written to the wire: its fence, and the key of the attempt that begins."""

    id: int
    fence: int
    key: str
    number: int
    at: datetime
    route: str = ""
    """The route that writes it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finish:
    """What became of an attempt; `due_at` is set where the row goes back to PLANNED."""

    id: int
    fence: int
    key: str
    state: DeliveryState
    at: datetime
    outcome: str
    code: str
    detail: str
    provider_id: str | None = None
    reason: str | None = None
    due_at: datetime | None = None


@dataclass(slots=True)
class Due:
    """A claimed row: what sending needs of it, which is two thirds of the work of reading all. Not frozen, since a wave
    makes one for each message.
    """

    id: int
    fence: int
    outage_id: str
    episode: int
    revision: int
    kind: str
    audience: str
    channel: str
    address_id: int | None
    to: str
    attempt: int
    rank: int
    kept_facts: Any
    created_micros: int
    due_micros: int
    expires_micros: int | None

    @property
    def facts(self) -> Any:
        """As planned; read only now, for whoever claims has the outbox locked. SQLite's are still text."""
        kept = self.kept_facts
        return json.loads(kept) if isinstance(kept, str) else kept

    @property
    def created_at(self) -> datetime:
        return from_micros(self.created_micros)

    @property
    def expires_at(self) -> datetime | None:
        return None if self.expires_micros is None else from_micros(self.expires_micros)


def may_go(now: datetime | BindParameter[datetime]) -> list[ColumnElement[bool]]:
    """Whether a row may start towards the wire: nothing holds its outage, and only the end starts after the end."""
    outage = select(outages.c.id).where(
        outages.c.id == deliveries.c.outage_id,
        outages.c.hold_reason.is_(None),
        outages.c.pending_until.is_(None),
        or_(
            _one_of(outages.c.status, OPEN_WORDS),
            _one_of(deliveries.c.kind, END_WORDS),
            deliveries.c.audience == "staff",
        ),
    )
    staff = deliveries.c.audience == "staff"
    stopped = select(meta.c.key).where(meta.c.key == "paused")
    return [
        or_(deliveries.c.expires_at.is_(None), deliveries.c.expires_at > now),
        or_(staff, outage.exists()),
        or_(staff, ~stopped.exists()),
        # Also staff's: after a restore nothing leaves until a person has looked.
        ~select(meta.c.key).where(meta.c.key == "restored").exists(),
    ]


def _one_of(column: ColumnElement[Any], words: Iterable[str]) -> ColumnElement[bool]:
    """A few fixed words, written out: a list behind IN is spelled anew at every execution."""
    return or_(*(column == word for word in words))


def _ours(pairs: Sequence[tuple[int, int]]) -> list[ColumnElement[bool]]:
    """These rows under these fences. The ids alone stand beside the pairs because SQLite finds rows by them only."""
    return [
        deliveries.c.id.in_([delivery_id for delivery_id, _ in pairs]),
        tuple_(deliveries.c.id, deliveries.c.fence).in_(pairs),
    ]


def _address_is_clean() -> ColumnElement[bool]:
    bad = select(addresses.c.id).where(addresses.c.id == deliveries.c.address_id, addresses.c.suppressed.is_not(None))
    return ~bad.exists()


_NOW = bindparam("b_now", type_=deliveries.c.transmitting_at.type)
_CLAIMED = tuple(
    deliveries.c[name]
    for name in (
        "id", "fence", "outage_id", "episode", "revision", "kind", "audience", "channel", "address_id", "to",
        "attempt", "rank", "facts", "created_at", "due_at", "expires_at",
    )
)  # fmt: skip
"""The columns of Due, in its order."""


async def claim(
    conn: AsyncConnection,
    *,
    channel: ChannelName,
    owner: str,
    now: datetime,
    until: datetime,
    count: int,
    turn: Carries = Carries.ALL,
) -> list[Due]:
    """Lease up to `count` due rows of a channel, the most needed and oldest first. `turn`: whose rows.

    A row waits while another of the same outage is on its way to the same address, so that nothing overtakes (I8).
    """
    values = {"b_now": now, "b_owner": owner, "b_until": until, "b_count": count}
    rows = [Due(*row) for row in await execute_once(conn, _claiming(channel, turn), values)]
    rows.sort(key=lambda row: (row.rank, row.due_micros, row.id))
    return rows


@cache
def _claiming(channel: ChannelName, turn: Carries) -> ClauseElement:
    whose = () if turn is Carries.ALL else (deliveries.c.audience == turn.value,)
    other = deliveries.alias("other")
    busy = select(other.c.id).where(
        other.c.address_id == deliveries.c.address_id,
        other.c.outage_id == deliveries.c.outage_id,
        other.c.id != deliveries.c.id,
        _one_of(other.c.state, IN_FLIGHT),
    )
    due = (
        select(deliveries.c.id)
        .where(
            deliveries.c.state == S.PLANNED.value,
            deliveries.c.channel == channel.value,
            deliveries.c.due_at <= _NOW,
            *whose,
            *may_go(_NOW),
            ~busy.exists(),
        )
        .order_by(deliveries.c.rank, deliveries.c.due_at, deliveries.c.id)
        .limit(bindparam("b_count", type_=BigInteger()))
        # Rows that another daemon is claiming at this moment are passed over; on SQLite there is no such moment. As a
        # CTE, for PostgreSQL might ask a plain subquery twice, and lease more than `count`.
        .with_for_update(skip_locked=True, of=deliveries)
        .cte("due")
    )
    return (
        update(deliveries)
        .where(deliveries.c.id.in_(select(due.c.id)), deliveries.c.state == S.PLANNED.value)
        .values(
            state=S.LEASED.value,
            lease_owner=bindparam("b_owner", type_=Text()),
            lease_until=bindparam("b_until", type_=deliveries.c.lease_until.type),
            fence=deliveries.c.fence + 1,
        )
        .returning(*_CLAIMED)
    )


async def mark(conn: AsyncConnection, marks: Sequence[Mark], now: datetime) -> set[int]:
    """Durably note that these rows are about to be written; the ids that may be. The others were superseded, suppressed
    or held since they were claimed, or the lease is another's by now.
    """
    marked = await run(conn, _MARK, [(m.id, m.fence) for m in marks], {"b_now": to_micros(now)})
    allowed = {m.id for m in marks} if marked == len(marks) else await _marked(conn, marks)
    begun = [(m.key, m.id, m.number, to_micros(m.at), m.route) for m in marks if m.id in allowed]
    await run(conn, _BEGIN_ATTEMPT, begun)
    return allowed


async def _marked(conn: AsyncConnection, marks: Sequence[Mark]) -> set[int]:
    """Which of them are TRANSMITTING under their fence by now: at the attempt that begins, so it was this mark."""
    query = select(deliveries.c.id, deliveries.c.fence, deliveries.c.attempt).where(
        deliveries.c.id.in_([m.id for m in marks]), deliveries.c.state == S.TRANSMITTING.value
    )
    found = {tuple(row) for row in (await conn.execute(query)).all()}
    return {m.id for m in marks if (m.id, m.fence, m.number) in found}


_NUMBER, _WORD, _TIME, _FLAG = BigInteger(), Text(), BigInteger(), Boolean()
_MARK = ForMany(
    columns={"id": _NUMBER, "fence": _NUMBER},
    make=lambda given: (
        update(deliveries)
        .where(
            deliveries.c.id == given.c.id,
            deliveries.c.fence == given.c.fence,
            deliveries.c.state == S.LEASED.value,
            *may_go(_NOW),
            _address_is_clean(),
        )
        .values(state=S.TRANSMITTING.value, transmitting_at=_NOW, attempt=deliveries.c.attempt + 1)
    ),
)
_BEGUN: dict[str, TypeEngine[Any]] = {
    "key": _WORD, "delivery_id": _NUMBER, "number": _NUMBER, "started_at": _TIME, "route": _WORD,
}  # fmt: skip
_BEGIN_ATTEMPT = ForMany(
    columns=_BEGUN,
    make=lambda given: insert(attempts).from_select(list(_BEGUN), select(*given.c)),
)
_FINISH = ForMany(
    columns={
        "id": _NUMBER, "fence": _NUMBER, "state": _WORD, "reason": _WORD, "code": _WORD, "detail": _WORD,
        "provider_id": _WORD, "due_at": _TIME, "transmitting_at": _TIME, "ended_at": _TIME, "ambiguous": _NUMBER,
    },
    make=lambda given: (
        update(deliveries)
        .where(
            deliveries.c.id == given.c.id,
            deliveries.c.fence == given.c.fence,
            deliveries.c.state == S.TRANSMITTING.value,
        )
        .values(
            state=given.c.state,
            reason=given.c.reason,
            code=given.c.code,
            detail=given.c.detail,
            provider_id=func.coalesce(given.c.provider_id, deliveries.c.provider_id),
            due_at=func.coalesce(given.c.due_at, deliveries.c.due_at),
            transmitting_at=given.c.transmitting_at,
            ended_at=given.c.ended_at,
            ambiguous=deliveries.c.ambiguous + given.c.ambiguous,
            lease_owner=None,
            lease_until=None,
        )
    ),
)  # fmt: skip
_END_ATTEMPT = ForMany(
    columns={
        "key": _WORD, "ended_at": _TIME, "outcome": _WORD, "code": _WORD, "detail": _WORD, "provider_id": _WORD,
        "ambiguous": _FLAG,
    },
    make=lambda given: (
        update(attempts)
        .where(attempts.c.key == given.c.key)
        .values(
            ended_at=given.c.ended_at,
            outcome=given.c.outcome,
            code=given.c.code,
            detail=given.c.detail,
            provider_id=given.c.provider_id,
            ambiguous=or_(attempts.c.ambiguous, given.c.ambiguous),
        )
    ),
)  # fmt: skip


async def finish(conn: AsyncConnection, finishes: Sequence[Finish]) -> None:
    """Write down what became of attempts. A row that is no longer TRANSMITTING under this fence stays as it is: a
    receipt was quicker, or recovery has taken it over.
    """
    rows: list[tuple[Any, ...]] = []
    ends: list[tuple[Any, ...]] = []
    for f in finishes:
        assert f.state in _AFTER_THE_WIRE, f.state
        at, ambiguous = to_micros(f.at), f.state is S.AMBIGUOUS
        ended = at if f.state is S.ACCEPTED or f.state is S.FAILED else None
        due = None if f.due_at is None else to_micros(f.due_at)
        on_the_wire = None if f.state is S.PLANNED else at
        code, detail = _keepable(f.code), _keepable(f.detail)
        provider_id = None if f.provider_id is None else _keepable(f.provider_id)
        rows.append(
            (f.id, f.fence, f.state.value, f.reason, code, detail, provider_id, due, on_the_wire, ended, int(ambiguous))
        )
        ends.append((f.key, at, f.outcome, code, detail, provider_id, ambiguous))
    await run(conn, _FINISH, rows)
    await _end_outdated(conn, [f for f in finishes if f.state is S.PLANNED])
    await run(conn, _END_ATTEMPT, ends)


def _keepable(said: str) -> str:
    """What a server said, without what PostgreSQL cannot keep: a NUL, half a surrogate pair. One such word would be
    tried again for ever.
    """
    if said.isascii() and "\0" not in said:
        return said
    return said.replace("\0", "").encode("utf-8", "replace").decode()


_AFTER_THE_WIRE = TRANSITIONS[S.TRANSMITTING]


async def _end_outdated(conn: AsyncConnection, put_back: Sequence[Finish]) -> None:
    """Rows that came back from the wire after a newer revision spoke to their address, after the end, or after another
    outage took a line down again: what they say is no longer so, and they were on the wire when the others were
    superseded.
    """
    if not put_back:
        return
    newer = deliveries.alias("newer")
    spoken = select(newer.c.id).where(
        newer.c.address_id == deliveries.c.address_id,
        newer.c.outage_id == deliveries.c.outage_id,
        # By number: a step that waited out its undo time has an older revision than what was said meanwhile.
        newer.c.id > deliveries.c.id,
        newer.c.audience == "customer",
    )
    ended = select(outages.c.id).where(
        outages.c.id == deliveries.c.outage_id,
        or_(outages.c.status.not_in(OPEN_WORDS), outages.c.episode != deliveries.c.episode),
    )
    over = and_(ended.exists(), deliveries.c.kind.not_in(END_WORDS))
    ids = [f.id for f in put_back]
    rows = (await conn.execute(select(deliveries).where(deliveries.c.id.in_(ids)))).all()
    again = await contradicted(conn, rows)
    ended_now = await conn.execute(
        update(deliveries)
        .where(
            deliveries.c.id.in_(ids),
            deliveries.c.state == S.PLANNED.value,
            deliveries.c.audience == "customer",
            or_(spoken.exists(), over, deliveries.c.id.in_(again)),
        )
        .values(state=S.SUPERSEDED.value, reason=EndReason.NEWER_REVISION.value, ended_at=put_back[0].at)
        .returning(deliveries.c.id)
    )
    outdated = set(ended_now.scalars())
    await inherit(conn, [row for row in rows if row.id in outdated and row.kind == ACKNOWLEDGEMENT])


async def give_back(conn: AsyncConnection, claims: Iterable[Claim], due_at: datetime | None = None) -> None:
    """LEASED → PLANNED: nothing was written; due again at once, or at `due_at` (a route that is down)."""
    for part in chunks([(c.id, c.fence) for c in claims]):
        values: dict[str, Any] = {"state": S.PLANNED.value, "lease_owner": None, "lease_until": None}
        if due_at is not None:
            values["due_at"] = due_at
        await conn.execute(
            update(deliveries).where(*_ours(part), deliveries.c.state == S.LEASED.value).values(**values)
        )


async def end_leased(
    conn: AsyncConnection, claims: Sequence[Claim], state: DeliveryState, reason: str, now: datetime, detail: str = ""
) -> None:
    """LEASED → an end: decided against sending (or failed to put into words) after the claim."""
    assert state in TRANSITIONS[S.LEASED]
    for part in chunks([(c.id, c.fence) for c in claims]):
        await conn.execute(
            update(deliveries)
            .where(*_ours(part), deliveries.c.state == S.LEASED.value)
            .values(state=state.value, reason=reason, detail=detail, ended_at=now, lease_owner=None, lease_until=None)
        )


async def suppress_leased(conn: AsyncConnection, claims: Sequence[Claim], now: datetime) -> None:
    """Of these leased rows, end those whose address may not be written to any more, with the address's own reason."""
    reason = select(addresses.c.suppressed).where(addresses.c.id == deliveries.c.address_id).scalar_subquery()
    for part in chunks([(c.id, c.fence) for c in claims]):
        await conn.execute(
            update(deliveries)
            .where(
                *_ours(part),
                deliveries.c.state == S.LEASED.value,
                ~_address_is_clean(),
            )
            .values(state=S.SUPPRESSED.value, reason=reason, ended_at=now, lease_owner=None, lease_until=None)
        )


async def expire(conn: AsyncConnection, now: datetime) -> int:
    """PLANNED rows whose promise has passed are stale: EXPIRED. What is still to be said is planned anew by the
    cadence.
    """
    statement = (
        update(deliveries)
        .where(
            deliveries.c.state == S.PLANNED.value,
            deliveries.c.expires_at <= now,
            deliveries.c.audience == "customer",
        )
        .values(state=S.EXPIRED.value, reason=EndReason.PROMISE_PASSED.value, ended_at=now)
    )
    return int((await conn.execute(statement)).rowcount)


async def stale(conn: AsyncConnection, now: datetime) -> bool:
    """Whether any planned row has outlived its promise: asked often, so that the writer is only bothered when there
    is.
    """
    query = select(deliveries.c.id).where(
        deliveries.c.state == S.PLANNED.value, deliveries.c.expires_at <= now, deliveries.c.audience == "customer"
    )
    return (await conn.execute(query.limit(1))).first() is not None


async def alarmed(conn: AsyncConnection, outage_id: str, revision: int) -> bool:
    """Whether staff have been told of a failure of this revision."""
    query = select(timeline.c.id).where(
        timeline.c.outage_id == outage_id,
        timeline.c.what == Happened.ASKED.value,
        timeline.c.why == "failure",
        timeline.c.revision == revision,
    )
    return (await conn.execute(query.limit(1))).first() is not None


async def release_leases(
    conn: AsyncConnection, *, now: datetime, alive: str, all_others: bool = False, gone: Collection[str] = ()
) -> int:
    """LEASED rows of others go back to PLANNED when their lease has run out, and at once those of `gone`, who are
    known to be dead; with `all_others`, all of them are.
    """
    statement = (
        update(deliveries)
        .where(deliveries.c.state == S.LEASED.value, _abandoned(now, alive, all_others=all_others, gone=gone))
        .values(state=S.PLANNED.value, lease_owner=None, lease_until=None, fence=deliveries.c.fence + 1)
    )
    return int((await conn.execute(statement)).rowcount)


async def orphans(
    conn: AsyncConnection, *, now: datetime, alive: str, all_others: bool = False, gone: Collection[str] = ()
) -> Sequence[Record]:
    """TRANSMITTING rows whose owner is gone (or whose lease has run out): nobody can know whether they arrived."""
    lost = _abandoned(now, alive, all_others=all_others, gone=gone)
    return (await conn.execute(select(deliveries).where(deliveries.c.state == S.TRANSMITTING.value, lost))).all()


async def abandoned(conn: AsyncConnection, *, now: datetime, alive: str) -> bool:
    """Whether another's lease has run out: asked often, so that the writer is only bothered when one has."""
    lost = _abandoned(now, alive, all_others=False)
    query = select(deliveries.c.id).where(deliveries.c.state.in_(IN_FLIGHT), lost)
    return (await conn.execute(query.limit(1))).first() is not None


def _abandoned(now: datetime, alive: str, *, all_others: bool, gone: Collection[str] = ()) -> ColumnElement[bool]:
    """`alive` knows what it is doing with its own rows: a jump of the clock must not take them out of its hands."""
    other = deliveries.c.lease_owner.is_distinct_from(alive)
    if all_others:
        return other
    return and_(other, or_(deliveries.c.lease_until <= now, deliveries.c.lease_owner.in_(list(gone))))


async def make_ambiguous(conn: AsyncConnection, rows: Sequence[Record], now: datetime, code: str, detail: str) -> None:
    """TRANSMITTING → AMBIGUOUS with a new fence, so that whoever wrote it can no longer finish it."""
    for part in chunks([(row.id, row.fence) for row in rows]):
        await conn.execute(
            update(deliveries)
            .where(*_ours(part), deliveries.c.state == S.TRANSMITTING.value)
            .values(
                state=S.AMBIGUOUS.value,
                code=code,
                detail=detail,
                ambiguous=deliveries.c.ambiguous + 1,
                fence=deliveries.c.fence + 1,
                transmitting_at=now,
                lease_owner=None,
                lease_until=None,
            )
        )
        ids = [delivery_id for delivery_id, _ in part]
        await conn.execute(
            update(attempts)
            .where(attempts.c.delivery_id.in_(ids), attempts.c.outcome.is_(None))
            .values(ambiguous=True, outcome="ambiguous", code=code, detail=detail, ended_at=now)
        )


async def renew(conn: AsyncConnection, owner: str, until: datetime) -> None:
    """The heartbeat: our rows on the way keep their lease."""
    await conn.execute(
        update(deliveries)
        .where(deliveries.c.state.in_(IN_FLIGHT), deliveries.c.lease_owner == owner)
        .values(lease_until=until)
    )


async def ambiguous_ones(conn: AsyncConnection) -> Sequence[Record]:
    """Rows nobody knows about, with their latest attempt."""
    query = (
        select(
            deliveries, attempts.c.key.label("attempt_key"), attempts.c.started_at.label("attempt_at"),
            attempts.c.route.label("attempt_route"),
        )
        .join(attempts, and_(attempts.c.delivery_id == deliveries.c.id, attempts.c.number == deliveries.c.attempt))
        .where(deliveries.c.state == S.AMBIGUOUS.value)
    )  # fmt: skip
    return (await conn.execute(query)).all()


async def settle_ambiguous(
    conn: AsyncConnection, delivery_id: int, fence: int, state: DeliveryState, **values: Any
) -> bool:
    """AMBIGUOUS → what turned out, or PLANNED for the one retry; False if another was quicker."""
    assert state in TRANSITIONS[S.AMBIGUOUS], state
    statement = (
        update(deliveries)
        .where(deliveries.c.id == delivery_id, deliveries.c.fence == fence, deliveries.c.state == S.AMBIGUOUS.value)
        .values(state=state.value, fence=deliveries.c.fence + 1, **values)
    )
    return (await conn.execute(statement)).rowcount == 1


async def by_attempt(conn: AsyncConnection, key: str | None, provider_id: str | None) -> Record | None:
    """The delivery and attempt a receipt speaks of, by our key or by the provider's id."""
    where = attempts.c.key == key if key else attempts.c.provider_id == provider_id
    query = (
        select(
            deliveries, attempts.c.key.label("attempt_key"), attempts.c.number.label("attempt_number"),
            attempts.c.receipt.label("attempt_receipt"),
        )
        .join(attempts, attempts.c.delivery_id == deliveries.c.id)
        .where(where)
    )  # fmt: skip
    return (await conn.execute(query)).first()


async def note_receipt(
    conn: AsyncConnection, key: str, *, receipt: str, code: str, provider_id: str | None, now: datetime
) -> None:
    values: dict[str, Any] = {"receipt": receipt, "receipt_code": code, "receipt_at": now}
    if provider_id:
        values["provider_id"] = provider_id
    await conn.execute(update(attempts).where(attempts.c.key == key).values(**values))


async def move(
    conn: AsyncConnection, delivery_id: int, expect: DeliveryState, state: DeliveryState, **values: Any
) -> bool:
    """One guarded step of the table of transitions; False if the row was not in the expected state any more."""
    assert state in TRANSITIONS[expect], (expect, state)
    statement = (
        update(deliveries)
        .where(deliveries.c.id == delivery_id, deliveries.c.state == expect.value)
        .values(state=state.value, **values)
    )
    return (await conn.execute(statement)).rowcount == 1


async def spoken_since(conn: AsyncConnection, row: Record) -> bool:
    """Whether a newer revision of the same outage has something for this row's address."""
    query = (
        select(func.count())
        .select_from(deliveries)
        .where(
            deliveries.c.outage_id == row.outage_id,
            deliveries.c.address_id == row.address_id,
            deliveries.c.id > row.id,
            deliveries.c.audience == "customer",
            deliveries.c.state != S.SUPPRESSED.value,
        )
    )
    return bool((await conn.execute(query)).scalar_one())


async def contradicted(conn: AsyncConnection, rows: Iterable[Record]) -> set[int]:
    """Those of these messages that would take back what another outage has told the same address since: an end, if it
    leads any of the lines that are said to be back (nobody hears "back" whose line is down); any other, if it leads
    all of its lines.
    """
    found: set[int] = set()
    for row in rows:
        said = {line["id"]: line["level"] for line in (row.facts or {}).get("lines", ())}
        if not said or row.address_id is None:
            continue
        query = select(leads.c.thing_id).where(
            leads.c.address_id == row.address_id,
            leads.c.outage_id != row.outage_id,
            leads.c.role == Role.LEADS.value,
            leads.c.thing_id.in_(list(said)),
        )
        taken = set((await conn.execute(query)).scalars())
        if taken >= said.keys() or (row.kind in END_WORDS and any(not said[thing_id] for thing_id in taken)):
            found.add(row.id)
    return found


async def on_the_wire(conn: AsyncConnection) -> bool:
    """Whether any row is TRANSMITTING."""
    query = select(deliveries.c.id).where(deliveries.c.state == S.TRANSMITTING.value)
    return (await conn.execute(query.limit(1))).first() is not None


async def early_receipts(conn: AsyncConnection) -> Sequence[Record]:
    """ACCEPTED and AMBIGUOUS rows whose receipt came before our own commit of the outcome: the row as it is, with the
    attempt's key and receipt. That an earlier attempt was not delivered says nothing about a later one.
    """
    query = (
        select(
            deliveries, attempts.c.key.label("attempt_key"), attempts.c.receipt.label("attempt_receipt"),
            attempts.c.receipt_code.label("attempt_receipt_code"),
        )
        .join(attempts, attempts.c.delivery_id == deliveries.c.id)
        .where(
            deliveries.c.state.in_((S.ACCEPTED.value, S.AMBIGUOUS.value)),
            or_(
                attempts.c.receipt == S.DELIVERED.value,
                and_(attempts.c.receipt == S.UNDELIVERED.value, attempts.c.number == deliveries.c.attempt),
                and_(attempts.c.receipt == S.ACCEPTED.value, deliveries.c.state == S.AMBIGUOUS.value),
            ),
        )
    )  # fmt: skip
    return (await conn.execute(query)).all()


async def revision_facts(conn: AsyncConnection, outage_id: str, number: int) -> dict[str, Any] | None:
    """What a revision says to all, as frozen."""
    query = select(revisions.c.facts).where(revisions.c.outage_id == outage_id, revisions.c.number == number)
    facts: dict[str, Any] | None = (await conn.execute(query)).scalar()
    return facts


async def get(conn: AsyncConnection, delivery_id: int) -> Record | None:
    return (await conn.execute(select(deliveries).where(deliveries.c.id == delivery_id))).first()


async def texts_since(conn: AsyncConnection, since: datetime) -> int:
    """SMS to customers that started to leave since then."""
    query = (
        select(func.count())
        .select_from(attempts)
        .join(deliveries, deliveries.c.id == attempts.c.delivery_id)
        .where(deliveries.c.channel == ChannelName.SMS.value, attempts.c.started_at >= since)
    )
    return int((await conn.execute(query)).scalar_one())


async def texts_claimed(conn: AsyncConnection) -> int:
    """SMS that some daemon has claimed and not begun to write."""
    query = select(func.count()).where(
        deliveries.c.state == S.LEASED.value, deliveries.c.channel == ChannelName.SMS.value
    )
    return int((await conn.execute(query)).scalar_one())


async def add_staff(conn: AsyncConnection, values: dict[str, Any]) -> int:
    """A message to staff; 0 if this one was said already."""
    # Numbered by hand, as all rows of the outbox: PostgreSQL's own numbers know nothing of those.
    number = select(func.coalesce(func.max(deliveries.c.id), 0) + 1).scalar_subquery()
    key = ("outage_id", "episode", "channel", "address_id", "kind", "revision", "audience")
    statement = upsert(deliveries).values(id=number, **values).on_conflict_do_nothing(index_elements=key)
    return int((await conn.execute(statement)).rowcount)


async def suppress_address(conn: AsyncConnection, address_id: int, reason: str, by: str, now: datetime) -> bool:
    """Nothing more goes to this address; False if that was so already."""
    statement = (
        update(addresses)
        .where(addresses.c.id == address_id, addresses.c.suppressed.is_(None))
        .values(suppressed=reason, suppressed_at=now, suppressed_by=by)
    )
    changed = (await conn.execute(statement)).rowcount == 1
    await conn.execute(
        update(deliveries)
        .where(deliveries.c.address_id == address_id, deliveries.c.state.in_((S.PLANNED.value, S.LEASED.value)))
        .values(state=S.SUPPRESSED.value, reason=reason, ended_at=now, lease_owner=None, lease_until=None)
    )
    return changed


async def unsuppress_address(conn: AsyncConnection, address_id: int, reasons: Iterable[str]) -> bool:
    statement = (
        update(addresses)
        .where(addresses.c.id == address_id, addresses.c.suppressed.in_(list(reasons)))
        .values(suppressed=None, suppressed_at=None, suppressed_by=None)
    )
    return (await conn.execute(statement)).rowcount == 1


async def address_of(conn: AsyncConnection, channel: ChannelName, value: str) -> Record | None:
    query = select(addresses).where(addresses.c.channel == channel.value, addresses.c.value == value)
    return (await conn.execute(query)).first()
