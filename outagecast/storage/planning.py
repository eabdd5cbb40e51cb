"""What planning reads and writes: what addresses were told, and the rows that say it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import case, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.delivery import LEFT, DeliveryState
from outagecast.domain.facts import Line, thaw_own
from outagecast.domain.levels import Level
from outagecast.domain.notices import END_KINDS, AddressHistory, Lead, NoticeKind, Role, ThingKey
from outagecast.domain.suppression import SuppressReason
from outagecast.storage.batches import Record, among, chunks
from outagecast.storage.bulk import insert_rows
from outagecast.storage.driver import execute_many
from outagecast.storage.tables import (
    addresses,
    deliveries,
    leads,
    notices,
)
from outagecast.storage.types import compact

LEFT_WORDS = tuple(state.value for state in LEFT)
WAITING_WORDS = tuple(
    state.value for state in (DeliveryState.PLANNED, DeliveryState.LEASED, DeliveryState.EXPIRED, DeliveryState.FAILED)
)
"""States in which something was meant to be said and has not been."""
SAID_WORDS = (DeliveryState.ACCEPTED.value, DeliveryState.DELIVERED.value)
END_WORDS = tuple(kind.value for kind in END_KINDS)
UNSENT_WORDS = (DeliveryState.PLANNED.value, DeliveryState.LEASED.value)


async def addresses_led(conn: AsyncConnection, outage_id: str, episode: int) -> set[int]:
    """The addresses that an outage leads or that it is covered for."""
    query = select(leads.c.address_id).where(
        leads.c.outage_id == outage_id, leads.c.episode == episode, leads.c.role != Role.ENDED.value
    )
    return {row.address_id for row in await conn.execute(query.distinct())}


async def addresses_told_about(conn: AsyncConnection, customer_ids: Iterable[str]) -> set[int]:
    """The addresses that some outage has told about these customers' things, whoever their contacts are by now."""
    found: set[int] = set()
    for part in chunks(customer_ids):
        query = select(leads.c.address_id).where(among(leads.c.customer_id, part), leads.c.role != Role.ENDED.value)
        found.update(row.address_id for row in await conn.execute(query.distinct()))
    return found


async def addresses_waiting(conn: AsyncConnection, outage_id: str, episode: int) -> set[int]:
    """The addresses with something planned that has not left."""
    query = select(deliveries.c.address_id).where(
        deliveries.c.outage_id == outage_id,
        deliveries.c.episode == episode,
        deliveries.c.audience == "customer",
        deliveries.c.state.in_(UNSENT_WORDS),
        deliveries.c.address_id.is_not(None),
    )
    return {row.address_id for row in await conn.execute(query.distinct())}


async def told(
    conn: AsyncConnection, address_ids: Sequence[int], episodes: Mapping[str, int]
) -> dict[int, dict[ThingKey, list[Lead]]]:
    """The leads of these addresses that have not ended, for the present episodes of these outages."""
    query = select(leads).where(
        among(leads.c.address_id, address_ids), leads.c.role != Role.ENDED.value, leads.c.outage_id.in_(list(episodes))
    )
    found: dict[int, dict[ThingKey, list[Lead]]] = {}
    for row in await conn.execute(query):
        if episodes[row.outage_id] != row.episode:
            continue
        key = ThingKey(row.thing_kind, row.thing_id, row.customer_id)
        lead = Lead(outage_id=row.outage_id, key=key, role=Role(row.role), level=Level(row.level), since=row.since_at)
        found.setdefault(row.address_id, {}).setdefault(key, []).append(lead)
    return found


async def histories(
    conn: AsyncConnection, address_ids: Sequence[int], episodes: Mapping[str, int]
) -> dict[int, dict[str, AddressHistory]]:
    """What these outages have sent to these addresses in their present episodes, or before without an end."""
    query = (
        select(
            deliveries.c.address_id, deliveries.c.outage_id, deliveries.c.episode, deliveries.c.kind,
            deliveries.c.state, deliveries.c.reason, deliveries.c.eta, deliveries.c.id, deliveries.c.ambiguous,
            case((deliveries.c.state.in_(WAITING_WORDS), deliveries.c.facts)).label("waiting_facts"),
        )
        .where(
            among(deliveries.c.address_id, address_ids),
            deliveries.c.outage_id.in_(list(episodes)),
            deliveries.c.audience == "customer",
        )
        .order_by(deliveries.c.id)
    )  # fmt: skip
    rows: dict[tuple[int, str], list[Record]] = {}
    for row in await conn.execute(query):
        rows.setdefault((row.address_id, row.outage_id), []).append(row)
    found: dict[int, dict[str, AddressHistory]] = {}
    for (address_id, outage_id), past in rows.items():
        if present := _of_this_episode(past, episodes[outage_id]):
            found.setdefault(address_id, {})[outage_id] = _history(present, episodes[outage_id])
    return found


def _of_this_episode(past: Sequence[Record], episode: int) -> list[Record]:
    """The episode's own rows, after what had left in earlier ones and was never ended: whoever was told that his line
    is down, and not that it is back, when the outage was opened again, still has to hear the end.
    """
    open_ended: list[Record] = []
    own: list[Record] = []
    for row in past:
        if row.episode == episode:
            own.append(row)
        elif row.state in SAID_WORDS and row.kind in END_WORDS:
            open_ended = []
        elif row.state in LEFT_WORDS or row.ambiguous:
            open_ended.append(row)
    return [*open_ended, *own]


def _history(past: Sequence[Record], episode: int) -> AddressHistory:
    """Rows come in the order in which they were planned (a step that waited out its undo time has an older revision
    than what was said meanwhile); what has not left since the last one that did still has to be said.
    """
    gone = [row for row in past if row.state in LEFT_WORDS or row.ambiguous]
    since = gone[-1].id if gone else 0
    waiting = [row for row in past if row.state in WAITING_WORDS and row.id > since]
    unsaid: dict[tuple[str, str, str], Line] = {}
    for row in waiting:
        own = thaw_own(row.waiting_facts) if row.waiting_facts else None
        for line in own.lines if own is not None else ():
            # Of a combined message nothing was ever told before: a later one has to be combined again.
            known = replace(line, was=None) if own is not None and own.combined else line
            unsaid[line.kind, line.id, line.customer_id] = known
    return AddressHistory(
        acked=any(row.episode == episode for row in gone)
        or any(row.episode == episode and row.reason == SuppressReason.COVERED.value for row in past),
        left=bool(gone),
        waiting=frozenset(NoticeKind(row.kind) for row in waiting),
        blocked=any(
            row.state == DeliveryState.SUPPRESSED.value and row.reason != SuppressReason.COVERED.value for row in past
        ),
        eta=gone[-1].eta if gone else None,
        unsaid=tuple(unsaid.values()),
    )


# --- the rows that say it ---


async def supersede(
    conn: AsyncConnection,
    outage_id: str,
    episode: int,
    *,
    reason: str,
    now: datetime,
    address_ids: Iterable[int] | None = None,
    before: int | None = None,
    since: int | None = None,
    replaced: bool = True,
) -> None:
    """Take back what has not left: all of an outage's episode, only these addresses', or only what is older than a
    revision; with `since`, of the episodes from that one on as well. Where nothing newer has `replaced` it, an end that
    may have arrived and is to be tried once more stays: without it nobody would be sure to hear "back".
    """
    where = [
        deliveries.c.outage_id == outage_id,
        deliveries.c.episode <= episode,
        deliveries.c.episode >= (episode if since is None else since),
        deliveries.c.audience == "customer",
        deliveries.c.state.in_(UNSENT_WORDS),
    ]
    if before is not None:
        where.append(deliveries.c.revision < before)
    if not replaced:
        where.append(or_(deliveries.c.kind.not_in(END_WORDS), deliveries.c.ambiguous == 0))
    statement = update(deliveries).values(
        state=DeliveryState.SUPERSEDED.value, reason=reason, ended_at=now, lease_owner=None, lease_until=None
    )
    if address_ids is None:
        await conn.execute(statement.where(*where))
        return
    for part in chunks(address_ids):
        await conn.execute(statement.where(*where, among(deliveries.c.address_id, part)))


async def next_delivery(conn: AsyncConnection) -> int:
    """The number of the next outbox row. By hand, since we are the only writer: RETURNING costs SQLite more than the
    rows themselves.
    """
    return int((await conn.execute(select(func.coalesce(func.max(deliveries.c.id), 0)))).scalar_one()) + 1


async def add_filled(
    conn: AsyncConnection,
    delivery_columns: tuple[str, ...],
    delivery_rows: Sequence[tuple[Any, ...]],
    spoken: Sequence[tuple[Any, ...]],
    lead_columns: tuple[str, ...],
    lead_rows: Sequence[tuple[Any, ...]],
) -> None:
    """Insert outbox rows with their numbers, the customers each speaks of, and leads of addresses that had none."""
    await insert_rows(conn, deliveries, delivery_columns, delivery_rows)
    await insert_rows(conn, notices, ("delivery_id", "customer_id"), spoken)
    await insert_rows(conn, leads, lead_columns, lead_rows)


async def add_deliveries(
    conn: AsyncConnection, rows: Sequence[dict[str, Any]], customers_of: Sequence[Sequence[str]]
) -> None:
    """Insert outbox rows, and for each the customers it speaks of."""
    if not rows:
        return
    first = await next_delivery(conn)
    numbered = [{"rank": 0, **row, "id": first + n, "facts": _as_json(row["facts"])} for n, row in enumerate(rows)]
    await execute_many(conn, _ADD_DELIVERY, numbered, _ADDED)
    spoken = [
        {"delivery_id": first + place, "customer_id": customer_id}
        for place, customer_ids in enumerate(customers_of)
        for customer_id in customer_ids
    ]
    await execute_many(conn, _ADD_NOTICE, spoken, ("delivery_id", "customer_id"))


def _as_json(facts: Any) -> str | None:
    return None if facts is None else compact(facts)


_ADDED = (
    "id", "outage_id", "episode", "revision", "kind", "audience", "channel", "address_id", "to", "customer_id",
    "contact_id", "state", "reason", "due_at", "expires_at", "created_at", "ended_at", "rank", "eta", "promise",
    "facts",
)  # fmt: skip
_ADD_DELIVERY = insert(deliveries)
_ADD_NOTICE = insert(notices)


async def put_leads(conn: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    await execute_many(conn, _PUT_LEAD, rows, tuple(leads.c.keys()))


_NEW_LEAD = upsert(leads)
_PUT_LEAD = _NEW_LEAD.on_conflict_do_update(
    index_elements=list(leads.primary_key),
    set_={name: _NEW_LEAD.excluded[name] for name in ("role", "level", "since_at", "contact_id")},
)


async def no_address_rows(conn: AsyncConnection, outage_id: str, episode: int) -> set[tuple[str, str | None]]:
    """The (customer, contact) pairs whose missing address already has its row in this episode."""
    query = select(deliveries.c.customer_id, deliveries.c.contact_id).where(
        deliveries.c.outage_id == outage_id,
        deliveries.c.episode == episode,
        deliveries.c.reason == SuppressReason.NO_ADDRESS.value,
    )
    return {(row.customer_id, row.contact_id) for row in await conn.execute(query)}


async def led_by_channel(conn: AsyncConnection, outage_id: str, episode: int) -> dict[str, int]:
    """How many addresses an outage leads, by channel: the size of its next wave."""
    query = (
        select(addresses.c.channel, func.count(leads.c.address_id.distinct()))
        .join(addresses, addresses.c.id == leads.c.address_id)
        .where(leads.c.outage_id == outage_id, leads.c.episode == episode, leads.c.role == Role.LEADS.value)
        .group_by(addresses.c.channel)
    )
    return {name: count for name, count in await conn.execute(query)}


async def planned_counts(conn: AsyncConnection, outage_id: str, revision: int) -> dict[str, int]:
    """What one revision planned: messages by channel, and how many rows say nothing."""
    silent = case((deliveries.c.state == DeliveryState.SUPPRESSED.value, "suppressed"), else_=deliveries.c.channel)
    query = (
        select(silent, func.count())
        .where(
            deliveries.c.outage_id == outage_id, deliveries.c.revision == revision, deliveries.c.audience == "customer"
        )
        .group_by(silent)
    )
    return {name: count for name, count in await conn.execute(query)}
