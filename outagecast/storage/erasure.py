"""Taking a person's data out of all tables: rows stay, with their states and counts; who they were about goes.

What an address was suppressed for stays, under a keyed hash (`known_before` finds it again). The timeline is only ever
added to, and sealed: where a line holds an address all the same (a mail server's answer that repeats it), it is
rewritten, and the seals from that line on are taken off; the daemon seals the lines anew.
"""

import hashlib
import hmac
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ColumnElement, Table, Text, and_, cast, delete, func, insert, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.delivery import TRANSITIONS, DeliveryState
from outagecast.domain.inventory import InventoryKind
from outagecast.domain.message import ChannelName
from outagecast.domain.suppression import EndReason, SuppressReason
from outagecast.domain.traces import Trace, found_in, without
from outagecast.storage import outages
from outagecast.storage.batches import Record, chunks
from outagecast.storage.search_index import terms_of
from outagecast.storage.tables import (
    addresses,
    attempts,
    contacts,
    deliveries,
    ended_contacts,
    kept_suppressions,
    leads,
    metadata,
    search_words,
    staff,
    timeline,
    timeline_seals,
)
from outagecast.storage.tables import outages as outage_rows

S = DeliveryState
ON_THE_WIRE = (S.LEASED.value, S.TRANSMITTING.value)
NOBODYS = "erased"
"""Who suppressed an address that was erased."""
_COLUMNS = {ChannelName.EMAIL.value: contacts.c.email_id, ChannelName.SMS.value: contacts.c.phone_id}
_NOT_SEARCHED = frozenset(
    {
        "meta", "staff", "sessions", "tokens", "second_factors", "recovery_codes", "identities", "one_time_keys",
        "kept_suppressions", "timeline_seals", "search_words",
    }
)  # fmt: skip
"""The house's own, where staff stand who chose to; hashes; and what follows its contact by itself."""
FREE_TEXT = {
    "texts": ("text",),
    "events": ("raw", "summary"),
    "alarms": ("summary",),
    "outages": ("title", "cause", "hold_reason"),
    "revisions": ("message", "change", "facts"),
    "waves": ("context",),
    "deliveries": ("facts", "detail"),
    "attempts": ("detail",),
}
"""Where people write, and a name may stand."""
LINKED = frozenset({"customers", "contacts", "circuits", "subscriptions"})
"""Tables whose keys the database itself holds together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    id: int
    channel: str
    value: str
    suppressed: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Whom an erasure is about. `contacts` lose everything; `unlinked` only their way to one of `addresses`.

    `shared`: addresses that other contacts have as well, so that they stay.
    """

    contacts: tuple[str, ...]
    names: tuple[str, ...]
    unlinked: tuple[str, ...]
    addresses: tuple[Address, ...]
    shared: tuple[Address, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mention:
    """A row in which something was found, by the values of its key."""

    table: str
    key: tuple[Any, ...]


# --- whom ---


async def by_contact(conn: AsyncConnection, contact_id: str) -> Person | None:
    """A contact with its addresses; None if there is none."""
    row = (await conn.execute(select(contacts).where(contacts.c.id == contact_id))).first()
    if row is None:
        return None
    held = await _addresses(conn, [number for number in (row.email_id, row.phone_id) if number is not None])
    shared = [address for address in held if set(await _holders(conn, address)) - {contact_id}]
    return Person(
        contacts=(contact_id,),
        names=(row.name,) if row.name else (),
        unlinked=(),
        addresses=tuple(address for address in held if address not in shared),
        shared=tuple(shared),
    )


async def by_address(conn: AsyncConnection, channel: ChannelName, value: str) -> Person | None:
    """An address with all contacts that have it; who has another one besides stays and loses this one."""
    found = await conn.execute(
        select(addresses).where(addresses.c.channel == channel.value, addresses.c.value == value)
    )
    row = found.first()
    if row is None:
        return None
    address = _address(row)
    holders = (await conn.execute(select(contacts).where(_COLUMNS[address.channel] == address.id))).all()
    gone = [holder for holder in holders if None in (holder.email_id, holder.phone_id)]
    return Person(
        contacts=tuple(holder.id for holder in gone),
        names=tuple(holder.name for holder in gone if holder.name),
        unlinked=tuple(holder.id for holder in holders if holder not in gone),
        addresses=(address,),
        shared=(),
    )


async def on_the_way(conn: AsyncConnection, address_ids: Sequence[int]) -> bool:
    """Whether a message to one of these is being written at this moment."""
    query = select(deliveries.c.id).where(deliveries.c.address_id.in_(address_ids), deliveries.c.state.in_(ON_THE_WIRE))
    return (await conn.execute(query.limit(1))).first() is not None


async def in_open_outages(conn: AsyncConnection, address_ids: Sequence[int]) -> bool:
    """Whether an open outage leads one of these, or covers it."""
    query = (
        select(leads.c.address_id)
        .join(outage_rows, outage_rows.c.id == leads.c.outage_id)
        .where(
            leads.c.address_id.in_(address_ids), leads.c.role != "ended", outage_rows.c.status.in_(outages.OPEN_WORDS)
        )
    )
    return (await conn.execute(query.limit(1))).first() is not None


async def staff_with(conn: AsyncConnection, values: Iterable[str]) -> list[str]:
    """Names of staff whose own record holds one of these addresses: theirs to change."""
    query = select(staff.c.name).where(func.lower(staff.c.email).in_(list(values)))
    return list((await conn.execute(query.order_by(staff.c.name))).scalars())


# --- taking it out ---


async def forget(conn: AsyncConnection, person: Person, *, secret: bytes, never_again: bool, now: datetime) -> int:
    """The person's rows of the inventory, what waits to leave to him, and where he is found; how many suppressions are
    kept under their hash. `never_again` keeps one for each address, whether anything stood against it or not.
    """
    await _overwrite(conn)
    await conn.execute(
        update(deliveries)
        .where(
            deliveries.c.address_id.in_([address.id for address in person.addresses]),
            deliveries.c.state == S.PLANNED.value,
        )
        .values(state=S.SUPPRESSED.value, reason=SuppressReason.CONTACT_REMOVED.value, ended_at=now)
    )
    kept = 0
    for address in person.addresses:
        kept += await _forget_address(conn, address, secret, never_again, now)
    for contact_id in person.contacts:
        await _forget_contact(conn, contact_id)
    return kept


async def words_of(conn: AsyncConnection, address_ids: Sequence[int], after: int, most: int) -> list[int]:
    """Deliveries to these addresses that still hold words, from a number on."""
    query = select(deliveries.c.id).where(deliveries.c.address_id.in_(address_ids), deliveries.c.id > after)
    return list((await conn.execute(query.order_by(deliveries.c.id).limit(most))).scalars())


async def forget_words(conn: AsyncConnection, ids: Sequence[int], now: datetime) -> None:
    """Addresses, words and the providers' answers of these deliveries. States, times and codes stay.

    A fate that is still unknown is given up on: without its words nobody can ask about it. What `verify` and reports
    need of the words stays as well: whether a message was an acknowledgement and an end in one.
    """
    await _overwrite(conn)
    assert S.FAILED in TRANSITIONS[S.AMBIGUOUS]
    await conn.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(ids), deliveries.c.state == S.AMBIGUOUS.value)
        .values(
            state=S.FAILED.value, reason=EndReason.GAVE_UP.value,
            ended_at=func.coalesce(deliveries.c.ended_at, literal(now, type_=deliveries.c.ended_at.type)),
            fence=deliveries.c.fence + 1,
        )
    )  # fmt: skip
    facts = await conn.execute(
        select(deliveries.c.id, deliveries.c.facts).where(deliveries.c.id.in_(ids), deliveries.c.facts.is_not(None))
    )
    combined = [row.id for row in facts if row.facts.get("combined")]
    plain: dict[str, Any] = {"to": "", "detail": None}
    await conn.execute(update(deliveries).where(deliveries.c.id.in_(ids)).values(**plain, facts=None))
    if combined:
        await conn.execute(update(deliveries).where(deliveries.c.id.in_(combined)).values(facts={"combined": True}))
    await conn.execute(
        update(attempts).where(attempts.c.delivery_id.in_(ids), attempts.c.detail.is_not(None)).values(detail=None)
    )


# --- wherever else it stands ---


async def mentions(conn: AsyncConnection, everywhere: Sequence[Trace], in_words: Sequence[Trace]) -> list[Mention]:
    """Rows that hold one of these: `everywhere` in any text of any table, `in_words` where people write."""
    found: list[Mention] = []
    for table in metadata.sorted_tables:
        if table.name in _NOT_SEARCHED:
            continue
        for traces, columns in ((everywhere, _texts(table)), (in_words, _free(table))):
            if traces and columns:
                found += [Mention(table=table.name, key=key) for key in await _rows(conn, table, columns, traces)]
    return list(dict.fromkeys(found))


async def rewrite(
    conn: AsyncConnection, found: Sequence[Mention], everywhere: Sequence[Trace], in_words: Sequence[Trace]
) -> None:
    """Put something else in their place, in one transaction; keys that hold them change wherever they stand."""
    await _overwrite(conn)
    async with _late_references(conn, any(mention.table in LINKED for mention in found)):
        for mention in found:
            if mention.table != timeline.name:
                await _rewrite(conn, metadata.tables[mention.table], mention.key, everywhere, in_words)
    lines = [mention for mention in found if mention.table == timeline.name]
    if lines:
        async with _Unlocked(conn):
            for mention in lines:
                await _rewrite(conn, timeline, mention.key, everywhere, ())
        first = min(mention.key[0] for mention in lines)
        await conn.execute(delete(timeline_seals).where(timeline_seals.c.through_id >= first))


# --- known again ---


async def known_before(conn: AsyncConnection, above: int) -> int:
    """Of the addresses with a number above this one, those that were suppressed before they were erased are so again;
    how many.
    """
    if (await conn.execute(select(kept_suppressions.c.hash).limit(1))).first() is None:
        return 0
    secret = await outages.get_meta(conn, "secret")
    if secret is None:
        return 0
    key, found = _key(bytes.fromhex(secret)), 0
    fresh = (
        await conn.execute(select(addresses).where(addresses.c.id > above, addresses.c.suppressed.is_(None)))
    ).all()
    for part in chunks(fresh):
        hashes = {_hash(key, row.channel, row.value): row.id for row in part}
        kept = (await conn.execute(select(kept_suppressions).where(kept_suppressions.c.hash.in_(list(hashes))))).all()
        for row in kept:
            await conn.execute(
                update(addresses)
                .where(addresses.c.id == hashes[row.hash])
                .values(suppressed=row.reason, suppressed_at=row.suppressed_at, suppressed_by=NOBODYS)
            )
        if kept:
            gone = kept_suppressions.c.hash.in_([row.hash for row in kept])
            await conn.execute(delete(kept_suppressions).where(gone))
        found += len(kept)
    return found


async def highest_address(conn: AsyncConnection) -> int:
    return int((await conn.execute(select(func.coalesce(func.max(addresses.c.id), 0)))).scalar_one())


# --- below ---


async def _addresses(conn: AsyncConnection, ids: Sequence[int]) -> list[Address]:
    rows = await conn.execute(select(addresses).where(addresses.c.id.in_(ids)).order_by(addresses.c.id))
    return [_address(row) for row in rows]


def _address(row: Record) -> Address:
    return Address(id=row.id, channel=row.channel, value=row.value, suppressed=row.suppressed)


async def _holders(conn: AsyncConnection, address: Address) -> list[str]:
    return list((await conn.execute(select(contacts.c.id).where(_COLUMNS[address.channel] == address.id))).scalars())


async def _forget_address(
    conn: AsyncConnection, address: Address, secret: bytes, never_again: bool, now: datetime
) -> int:
    """The row stays, for what points to it; nothing ever goes to it."""
    row = (await conn.execute(select(addresses).where(addresses.c.id == address.id))).one()
    keeps = row.suppressed is not None or never_again
    if keeps:
        values = {
            "hash": _hash(_key(secret), address.channel, address.value),
            "channel": address.channel,
            "reason": row.suppressed or SuppressReason.BY_STAFF.value,
            "suppressed_at": row.suppressed_at or now,
            "kept_at": now,
        }
        await conn.execute(delete(kept_suppressions).where(kept_suppressions.c.hash == values["hash"]))
        await conn.execute(insert(kept_suppressions).values(**values))
    for column in _COLUMNS.values():
        await conn.execute(update(contacts).where(column == address.id).values({column: None}))
    if address.channel == ChannelName.SMS.value:
        await _not_found_by(conn, terms_of(None, (address.value,)))
    await conn.execute(
        update(addresses)
        .where(addresses.c.id == address.id)
        .values(
            value=pseudonym(address.id),
            suppressed=row.suppressed or SuppressReason.BY_STAFF.value,
            suppressed_at=row.suppressed_at or now,
            suppressed_by=NOBODYS,
            shared=False,
            confirmed_by=None,
        )
    )
    return int(keeps)


def pseudonym(address_id: int) -> str:
    """What stands in an address's place: the same everywhere, so that keys stay keys."""
    return f"erased-{address_id}"


async def _forget_contact(conn: AsyncConnection, contact_id: str) -> None:
    name = (await conn.execute(select(contacts.c.name).where(contacts.c.id == contact_id))).scalar_one()
    await _not_found_by(conn, terms_of(InventoryKind.CONTACTS, (contact_id, name)))
    await conn.execute(delete(ended_contacts).where(ended_contacts.c.contact_id == contact_id))
    await conn.execute(
        update(contacts)
        .where(contacts.c.id == contact_id)
        .values(name="", email_id=None, phone_id=None, consent_source="", attributes=None, status="ended")
    )


async def _not_found_by(conn: AsyncConnection, terms: Iterable[tuple[str, str, str]]) -> None:
    s = search_words.c
    for kind, word, thing_id in terms:
        await conn.execute(delete(search_words).where(s.kind == kind, s.word == word, s.id == thing_id))


def _key(secret: bytes) -> bytes:
    return hmac.new(secret, b"kept suppressions", hashlib.sha256).digest()


def _hash(key: bytes, channel: str, value: str) -> str:
    return hmac.new(key, f"{channel}\0{value}".encode(), hashlib.sha256).hexdigest()


def _texts(table: Table) -> list[Any]:
    return [column for column in table.c if isinstance(column.type, Text | JSON)]


def _free(table: Table) -> list[Any]:
    return [table.c[name] for name in FREE_TEXT.get(table.name, ())]


async def _rows(
    conn: AsyncConnection, table: Table, columns: Sequence[Any], traces: Sequence[Trace]
) -> list[tuple[Any, ...]]:
    """The keys of the rows that hold one of these traces; the database is asked for their hints only."""
    keys = list(table.primary_key.columns)
    hints: list[ColumnElement[bool]] = [
        func.lower(cast(column, Text)).contains(trace.hint, autoescape=True) for column in columns for trace in traces
    ]
    found: list[tuple[Any, ...]] = []
    rows: Any = await conn.stream(select(*keys, *(c.label(f"t{n}") for n, c in enumerate(columns))).where(or_(*hints)))
    async for row in rows:
        if found_in(row[len(keys) :], traces):
            found.append(tuple(row[: len(keys)]))
    return found


async def _rewrite(
    conn: AsyncConnection, table: Table, key: Sequence[Any], everywhere: Sequence[Trace], in_words: Sequence[Trace]
) -> None:
    same = and_(*(column == value for column, value in zip(table.primary_key.columns, key, strict=True)))
    row = (await conn.execute(select(table).where(same))).mappings().first()
    if row is None:
        return
    free = {column.name for column in _free(table)}
    values = {
        column.name: without(row[column.name], [*everywhere, *(in_words if column.name in free else ())])
        for column in _texts(table)
    }
    changed = {name: value for name, value in values.items() if value != row[name]}
    if changed:
        await conn.execute(update(table).where(same).values(**changed))


@asynccontextmanager
async def _late_references(conn: AsyncConnection, needed: bool) -> AsyncIterator[None]:
    """A customer's number that is an address changes in several tables, one after the other: whether all refer to
    something is looked at when that is done.
    """
    if not needed:
        yield
    elif conn.dialect.name == "sqlite":
        await conn.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        yield
    else:
        found: Any = await conn.exec_driver_sql(_REFERENCES)
        rows = [(row[0], row[1]) for row in found]
        for table, name in rows:
            await conn.exec_driver_sql(f'ALTER TABLE {table} ALTER CONSTRAINT "{name}" DEFERRABLE INITIALLY DEFERRED')
        yield
        await conn.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
        for table, name in rows:
            await conn.exec_driver_sql(f'ALTER TABLE {table} ALTER CONSTRAINT "{name}" NOT DEFERRABLE')


_REFERENCES = """
    SELECT conrelid::regclass::text, conname::text FROM pg_constraint
     WHERE contype = 'f' AND confrelid = to_regclass('customers') ORDER BY 1, 2
"""


class _Unlocked:
    """The timeline may be rewritten inside: its triggers are away, and back again before anybody else can write."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn
        self._triggers: list[tuple[str, str]] = []

    async def __aenter__(self) -> None:
        if self._conn.dialect.name != "sqlite":
            await self._conn.exec_driver_sql("ALTER TABLE timeline DISABLE TRIGGER USER")
            return
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'timeline'"
        rows: Any = await self._conn.exec_driver_sql(query)
        self._triggers = [(row[0], row[1]) for row in rows]
        for name, _ in self._triggers:
            await self._conn.exec_driver_sql(f'DROP TRIGGER "{name}"')

    async def __aexit__(self, *_: object) -> None:
        if self._conn.dialect.name != "sqlite":
            await self._conn.exec_driver_sql("ALTER TABLE timeline ENABLE TRIGGER USER")
            return
        for _name, sql in self._triggers:
            await self._conn.exec_driver_sql(sql)


async def _overwrite(conn: AsyncConnection) -> None:
    """SQLite: what is taken out is overwritten in its page at once, instead of when the page is used again."""
    if conn.dialect.name == "sqlite":
        await conn.exec_driver_sql("PRAGMA secure_delete = ON")
