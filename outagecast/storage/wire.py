"""What stands in the outbox before a message is written to the wire, and what after: marks and outcomes, many at once.

Every change of state is guarded by the state before it and by the fence of the claim.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Text,
    and_,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from outagecast.domain.delivery import TRANSITIONS, DeliveryState
from outagecast.domain.facts import to_micros
from outagecast.domain.notices import Role
from outagecast.domain.suppression import EndReason
from outagecast.storage.batches import Record
from outagecast.storage.guards import END_WORDS, NOW, S, address_is_clean, may_go
from outagecast.storage.heirs import ACKNOWLEDGEMENT, inherit
from outagecast.storage.outages import OPEN_WORDS
from outagecast.storage.tables import attempts, deliveries, leads, outages
from outagecast.storage.value_tables import ForMany, run


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
            *may_go(NOW),
            address_is_clean(),
        )
        .values(state=S.TRANSMITTING.value, transmitting_at=NOW, attempt=deliveries.c.attempt + 1)
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
