"""What planning reads and writes: who hears of a thing, what they were told, and the rows that say it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, insert, literal, or_, select, union_all, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.delivery import LEFT, DeliveryState
from outagecast.domain.facts import Line, thaw_own
from outagecast.domain.levels import Level
from outagecast.domain.message import ChannelName
from outagecast.domain.notices import END_KINDS, AddressHistory, Lead, NoticeKind, Role, ThingKey
from outagecast.domain.suppression import SuppressReason
from outagecast.storage.batches import Record, among, chunks
from outagecast.storage.driver import execute_many
from outagecast.storage.tables import (
    addresses,
    circuits,
    contacts,
    customers,
    deliveries,
    impacts,
    leads,
    notices,
    outages,
    services,
    sites,
    subscriptions,
)
from outagecast.storage.types import compact

ACTIVE = "active"
LEFT_WORDS = tuple(state.value for state in LEFT)
WAITING_WORDS = tuple(
    state.value for state in (DeliveryState.PLANNED, DeliveryState.LEASED, DeliveryState.EXPIRED, DeliveryState.FAILED)
)
"""States in which something was meant to be said and has not been."""
SAID_WORDS = (DeliveryState.ACCEPTED.value, DeliveryState.DELIVERED.value)
END_WORDS = tuple(kind.value for kind in END_KINDS)
UNSENT_WORDS = (DeliveryState.PLANNED.value, DeliveryState.LEASED.value)


# --- things ---


@dataclass(frozen=True, kw_only=True, slots=True)
class Touchable:
    """A circuit, or the subscription to a service (kind `service`), with everything its level depends on."""

    key: ThingKey
    need_id: int | None
    service_id: str | None
    site_id: str | None


async def candidates(
    conn: AsyncConnection,
    *,
    need_ids: Iterable[int],
    service_ids: Iterable[str],
    site_ids: Iterable[str],
    circuit_ids: Iterable[str],
    customer_ids: Iterable[str],
) -> dict[ThingKey, Touchable]:
    """Every active thing of an active customer that any of these may touch."""
    found: dict[ThingKey, Touchable] = {}
    wanted: list[tuple[ColumnElement[Any], Iterable[Any]]] = [
        (circuits.c.need_id, need_ids),
        (circuits.c.service_id, list(service_ids)),
        (circuits.c.site_id, site_ids),
        (circuits.c.id, circuit_ids),
        (circuits.c.customer_id, list(customer_ids)),
    ]
    for column, values in wanted:
        for part in chunks(values):
            for row in await conn.execute(_circuits().where(among(column, part))):
                key = ThingKey("circuit", row.id, row.customer_id)
                found[key] = Touchable(key=key, need_id=row.need_id, service_id=row.service_id, site_id=row.site_id)
    for column, values in ((subscriptions.c.service_id, service_ids), (subscriptions.c.customer_id, customer_ids)):
        for part in chunks(values):
            for row in await conn.execute(_subscriptions().where(among(column, part))):
                key = ThingKey("service", row.service_id, row.customer_id)
                found[key] = Touchable(key=key, need_id=None, service_id=row.service_id, site_id=None)
    return found


async def touchables(conn: AsyncConnection, keys: Iterable[ThingKey]) -> dict[ThingKey, Touchable]:
    """The things themselves, also those that are no longer active."""
    keys = list(keys)
    found: dict[ThingKey, Touchable] = {
        key: Touchable(key=key, need_id=None, service_id=key.id, site_id=None) for key in keys if key.kind == "service"
    }
    for part in chunks(key.id for key in keys if key.kind == "circuit"):
        query = select(
            circuits.c.id, circuits.c.customer_id, circuits.c.need_id, circuits.c.service_id, circuits.c.site_id
        )
        for row in await conn.execute(query.where(among(circuits.c.id, part))):
            key = ThingKey("circuit", row.id, row.customer_id)
            found[key] = Touchable(key=key, need_id=row.need_id, service_id=row.service_id, site_id=row.site_id)
    return found


def _circuits() -> Select[Any]:
    return (
        select(circuits.c.id, circuits.c.customer_id, circuits.c.need_id, circuits.c.service_id, circuits.c.site_id)
        .join(customers, customers.c.id == circuits.c.customer_id)
        .where(circuits.c.status == ACTIVE, customers.c.status == ACTIVE)
    )


def _subscriptions() -> Select[Any]:
    return (
        select(subscriptions.c.service_id, subscriptions.c.customer_id)
        .join(customers, customers.c.id == subscriptions.c.customer_id)
        .where(subscriptions.c.status == ACTIVE, customers.c.status == ACTIVE)
    )


# --- who hears ---


async def addresses_hearing(
    conn: AsyncConnection, customer_ids: Iterable[str], channels: Iterable[ChannelName]
) -> dict[int, set[str]]:
    """Which addresses hear for which of these customers: their own contacts', and their parents' where `told_via`
    says so.
    """
    found: dict[int, set[str]] = {}
    columns = [_contact_column(channel) for channel in channels]
    for part in chunks(customer_ids):
        for column in columns:
            for query in (_own(column, among(customers.c.id, part)), _via_parent(column, among(customers.c.id, part))):
                for address_id, customer_id in await conn.execute(query):
                    found.setdefault(address_id, set()).add(customer_id)
    return found


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


async def hearers(conn: AsyncConnection, address_ids: Sequence[int]) -> list[Record]:
    """A row for each contact behind these addresses and each customer it hears for."""
    parts = []
    for channel in ChannelName:
        column = _contact_column(channel)
        for own in (True, False):
            link = (
                and_(customers.c.id == contacts.c.customer_id, _hears_itself())
                if own
                else and_(customers.c.parent_id == contacts.c.customer_id, customers.c.told_via.in_(("parent", "both")))
            )
            parts.append(
                select(
                    column.label("address_id"),
                    literal(channel.value).label("channel"),
                    contacts.c.id.label("contact_id"),
                    contacts.c.name,
                    contacts.c.status,
                    contacts.c.language,
                    contacts.c.timezone,
                    contacts.c.channels,
                    contacts.c.notify,
                    contacts.c.quiet_hours,
                    contacts.c.wake_for,
                    customers.c.id.label("customer_id"),
                    customers.c.language.label("customer_language"),
                    customers.c.timezone.label("customer_timezone"),
                    customers.c.tier,
                )
                .select_from(contacts)
                .join(customers, link)
                .where(among(column, address_ids))
            )
    return list((await conn.execute(union_all(*parts))).all())


async def address_rows(conn: AsyncConnection, address_ids: Sequence[int]) -> dict[int, Record]:
    return {row.id: row for row in await conn.execute(select(addresses).where(among(addresses.c.id, address_ids)))}


async def unreachable(conn: AsyncConnection, customer_ids: Iterable[str], channels: Iterable[ChannelName]) -> list[str]:
    """Those of these customers for whom no active contact has any address on these channels."""
    wanted = list(customer_ids)
    reached: set[str] = set()
    for part in chunks(wanted):
        for channel in channels:
            column = _contact_column(channel)
            for query in (_own(column, among(customers.c.id, part)), _via_parent(column, among(customers.c.id, part))):
                reached.update(customer_id for _, customer_id in await conn.execute(query))
    return [customer_id for customer_id in wanted if customer_id not in reached]


async def contacts_without(
    conn: AsyncConnection, customer_ids: Iterable[str], channels: Iterable[ChannelName]
) -> list[Record]:
    """Contacts that ask for a channel by name and have no address there: (contact_id, customer_id, channel)."""
    found: list[Record] = []
    for part in chunks(customer_ids):
        for channel in channels:
            column = _contact_column(channel)
            query = select(
                contacts.c.id.label("contact_id"), contacts.c.customer_id, literal(channel.value).label("channel")
            ).where(
                among(contacts.c.customer_id, part),
                contacts.c.status == ACTIVE,
                column.is_(None),
                contacts.c.channels.like(f"%{channel.value}%"),
            )
            found.extend((await conn.execute(query)).all())
    return found


async def contacts_hearing(conn: AsyncConnection, customer_ids: Iterable[str]) -> int:
    """How many active contacts hear for these customers."""
    found: set[str] = set()
    for part in chunks(customer_ids):
        for link in (
            and_(contacts.c.customer_id == customers.c.id, _hears_itself()),
            and_(contacts.c.customer_id == customers.c.parent_id, customers.c.told_via.in_(("parent", "both"))),
        ):
            query = (
                select(contacts.c.id)
                .select_from(customers)
                .join(contacts, link)
                .where(among(customers.c.id, part), contacts.c.status == ACTIVE)
            )
            found.update(row.id for row in await conn.execute(query))
    return len(found)


async def customer_names(conn: AsyncConnection, customer_ids: Iterable[str]) -> dict[str, str]:
    return await _names(conn, customers, set(customer_ids))


def _contact_column(channel: ChannelName) -> ColumnElement[Any]:
    match channel:
        case ChannelName.EMAIL:
            return contacts.c.email_id
        case ChannelName.SMS:
            return contacts.c.phone_id


def _hears_itself() -> ColumnElement[bool]:
    # Told via a parent that is not there, a customer hears for himself.
    return or_(customers.c.told_via != "parent", func.coalesce(customers.c.parent_id, "") == "")


def _own(column: ColumnElement[Any], which: ColumnElement[bool]) -> Select[Any]:
    return (
        select(column, customers.c.id)
        .select_from(customers)
        .join(contacts, contacts.c.customer_id == customers.c.id)
        .where(which, _hears_itself(), contacts.c.status == ACTIVE, column.is_not(None))
    )


def _via_parent(column: ColumnElement[Any], which: ColumnElement[bool]) -> Select[Any]:
    return (
        select(column, customers.c.id)
        .select_from(customers)
        .join(contacts, contacts.c.customer_id == customers.c.parent_id)
        .where(which, customers.c.told_via.in_(("parent", "both")), contacts.c.status == ACTIVE, column.is_not(None))
    )


# --- what is, and what was told ---


@dataclass(frozen=True, kw_only=True, slots=True)
class ThingWords:
    """A thing in its customer's own words."""

    customer: str
    label: str
    place: str
    service: str
    zone: str


async def open_things(conn: AsyncConnection, customer_ids: Iterable[str]) -> list[Record]:
    """Every open impact of these customers: (thing_kind, thing_id, customer_id, level, outage_id, from_at), first
    outage first.
    """
    found: list[Record] = []
    for part in chunks(customer_ids):
        query = (
            select(
                impacts.c.thing_kind,
                impacts.c.thing_id,
                impacts.c.customer_id,
                impacts.c.level,
                impacts.c.outage_id,
                impacts.c.from_at,
            )
            .join(outages, outages.c.id == impacts.c.outage_id)
            .where(among(impacts.c.customer_id, part), impacts.c.to_at.is_(None))
            .order_by(outages.c.number)
        )
        found.extend((await conn.execute(query)).all())
    return found


async def words_for(conn: AsyncConnection, keys: Iterable[ThingKey]) -> dict[ThingKey, ThingWords]:
    keys = set(keys)
    found: dict[ThingKey, ThingWords] = {}
    for part in chunks(key.id for key in keys if key.kind == "circuit"):
        query = (
            select(
                circuits.c.id, circuits.c.customer_id, circuits.c.label, circuits.c.place,
                customers.c.name.label("customer"), sites.c.name.label("site"), sites.c.timezone,
                services.c.name.label("service"),
            )
            .join(customers, customers.c.id == circuits.c.customer_id)
            .outerjoin(sites, sites.c.id == circuits.c.site_id)
            .outerjoin(services, services.c.id == circuits.c.service_id)
            .where(among(circuits.c.id, part))
        )  # fmt: skip
        for row in await conn.execute(query):
            found[ThingKey("circuit", row.id, row.customer_id)] = ThingWords(
                customer=row.customer,
                label=row.label or row.id,
                place=row.place or row.site or "",
                service=row.service or "",
                zone=row.timezone or "",
            )
    pairs = [(key.customer_id, key.id) for key in keys if key.kind == "service"]
    customer_names = await _names(conn, customers, {customer_id for customer_id, _ in pairs})
    service_names = await _names(conn, services, {service_id for _, service_id in pairs})
    for customer_id, service_id in pairs:
        found[ThingKey("service", service_id, customer_id)] = ThingWords(
            customer=customer_names.get(customer_id, customer_id),
            label=service_names.get(service_id, service_id),
            place="",
            service="",
            zone="",
        )
    return found


async def _names(conn: AsyncConnection, table: Any, ids: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in chunks(ids):
        rows = await conn.execute(select(table.c.id, table.c.name).where(among(table.c.id, part)))
        found.update((row.id, row.name or row.id) for row in rows)
    return found


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
) -> None:
    """Take back what has not left: all of an outage's episode, only these addresses', or only what is older than a
    revision; with `since`, of the episodes from that one on as well.
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
    statement = update(deliveries).values(
        state=DeliveryState.SUPERSEDED.value, reason=reason, ended_at=now, lease_owner=None, lease_until=None
    )
    if address_ids is None:
        await conn.execute(statement.where(*where))
        return
    for part in chunks(address_ids):
        await conn.execute(statement.where(*where, among(deliveries.c.address_id, part)))


async def add_deliveries(
    conn: AsyncConnection, rows: Sequence[dict[str, Any]], customers_of: Sequence[Sequence[str]]
) -> None:
    """Insert outbox rows, and for each the customers it speaks of."""
    if not rows:
        return
    # Numbers are drawn by hand, since we are the only writer: RETURNING costs SQLite more than the rows themselves.
    first = int((await conn.execute(select(func.coalesce(func.max(deliveries.c.id), 0)))).scalar_one()) + 1
    numbered = [row | {"id": first + n, "facts": _as_json(row["facts"])} for n, row in enumerate(rows)]
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
    "contact_id", "state", "reason", "due_at", "expires_at", "created_at", "ended_at", "eta", "promise", "facts",
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
