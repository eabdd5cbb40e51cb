"""Whom an outage's impacts reach, as joins alone: for waves whose customers are too many to be listed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, and_, exists, func, literal, not_, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.message import ChannelName
from outagecast.domain.notices import Role
from outagecast.storage.batches import Record
from outagecast.storage.planning import UNSENT_WORDS
from outagecast.storage.planning_hearers import contact_column, hears_itself
from outagecast.storage.planning_things import ACTIVE
from outagecast.storage.tables import contacts, customers, deliveries, impacts, leads, wave_addresses

_TOLD_VIA_PARENT = or_(customers.c.told_via == "parent", customers.c.told_via == "both")


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathering:
    """Which addresses an outage's present impacts concern: `hearing` for the customers of those after a number, `told`
    by some outage about those after a number (None: neither), and `led`: all that this one leads or owes a word.
    """

    hearing: int | None
    told: int | None
    led: bool


async def gather(
    conn: AsyncConnection,
    wave_id: int,
    outage_id: str,
    episode: int,
    channels: Iterable[ChannelName],
    gathering: Gathering,
) -> None:
    """Put them on a wave's list."""
    touched = _open(outage_id, episode)
    parts: list[Select[Any]] = []
    if gathering.hearing is not None:
        parents = (await conn.execute(_ANY_PARENT)).first() is not None
        for channel in channels:
            its = customers.c.id == impacts.c.customer_id
            own, via_parent = hearing(contact_column(channel), impacts, its)
            ways = (own, via_parent) if parents else (own,)
            parts += [each.where(touched, impacts.c.id > gathering.hearing) for each in ways]
    if gathering.told is not None:
        parts.append(_told_about(touched).where(impacts.c.id > gathering.told))
    if gathering.led:
        parts += [_led(outage_id, episode), _waiting(outage_id, episode)]
    for part in parts:
        # One after the other: a UNION would keep a second list of all of them, in memory.
        column = part.selected_columns.address_id
        listing = part.with_only_columns(literal(wave_id), column)
        await conn.execute(insert(wave_addresses).from_select(_LIST, listing).on_conflict_do_nothing())


async def unreachable(
    conn: AsyncConnection, outage_id: str, after: int, channels: Sequence[ChannelName]
) -> list[Record]:
    """(customer_id, level) of this outage's impacts after a number, of customers for whom no active contact has any
    address on these channels.
    """
    addressed = or_(*[contact_column(channel).is_not(None) for channel in channels])
    reached = [_reached(contacts.c.customer_id == customers.c.id, hears_itself(), addressed)]
    if (await conn.execute(_ANY_PARENT)).first() is not None:
        reached.append(_reached(contacts.c.customer_id == customers.c.parent_id, _TOLD_VIA_PARENT, addressed))
    query = (
        select(impacts.c.customer_id, impacts.c.level)
        .join(customers, customers.c.id == impacts.c.customer_id)
        .where(*_opened(outage_id, after), *[not_(each) for each in reached])
        .order_by(impacts.c.id)
    )
    return list((await conn.execute(query)).all())


async def contacts_without(
    conn: AsyncConnection, outage_id: str, after: int, channels: Iterable[ChannelName]
) -> list[Record]:
    """Contacts of the customers of this outage's impacts after a number that ask for a channel by name and have no
    address there: (contact_id, customer_id, channel, level).
    """
    found: list[Record] = []
    for channel in channels:
        query = (
            select(
                contacts.c.id.label("contact_id"),
                contacts.c.customer_id,
                literal(channel.value).label("channel"),
                func.max(impacts.c.level).label("level"),
            )
            .join(impacts, impacts.c.customer_id == contacts.c.customer_id)
            .where(
                contacts.c.status == ACTIVE,
                contact_column(channel).is_(None),
                contacts.c.channels.like(f"%{channel.value}%"),
                *_opened(outage_id, after),
            )
            .group_by(contacts.c.id, contacts.c.customer_id)
        )
        found.extend((await conn.execute(query)).all())
    return found


def hearing(column: ColumnElement[Any], source: FromClause, its: ColumnElement[bool]) -> list[Select[Any]]:
    """The addresses in a column of contacts that hear for the customers of a source: their own, and their parents'."""
    return [
        select(column.label("address_id"))
        .select_from(source)
        .join(customers, its)
        .join(contacts, link)
        .where(told, contacts.c.status == ACTIVE, column.is_not(None))
        for link, told in (
            (contacts.c.customer_id == customers.c.id, hears_itself()),
            (contacts.c.customer_id == customers.c.parent_id, _TOLD_VIA_PARENT),
        )
    ]


def _open(outage_id: str, episode: int) -> ColumnElement[bool]:
    return and_(impacts.c.outage_id == outage_id, impacts.c.episode == episode, impacts.c.to_at.is_(None))


def _opened(outage_id: str, after: int) -> tuple[ColumnElement[bool], ...]:
    return impacts.c.outage_id == outage_id, impacts.c.to_at.is_(None), impacts.c.id > after


def _told_about(touched: ColumnElement[bool]) -> Select[Any]:
    about = leads.c.customer_id == impacts.c.customer_id
    return select(leads.c.address_id).select_from(impacts).join(leads, about).where(touched, _LASTS)


def _led(outage_id: str, episode: int) -> Select[Any]:
    return select(leads.c.address_id).where(leads.c.outage_id == outage_id, leads.c.episode == episode, _LASTS)


def _waiting(outage_id: str, episode: int) -> Select[Any]:
    return select(deliveries.c.address_id).where(
        deliveries.c.outage_id == outage_id,
        deliveries.c.episode == episode,
        deliveries.c.audience == "customer",
        or_(*[deliveries.c.state == word for word in UNSENT_WORDS]),
        deliveries.c.address_id.is_not(None),
    )


def _reached(
    link: ColumnElement[bool], told: ColumnElement[bool], addressed: ColumnElement[bool]
) -> ColumnElement[bool]:
    return exists(select(contacts.c.id).where(link, told, contacts.c.status == ACTIVE, addressed))


_LIST = ["wave_id", "address_id"]
_LASTS = leads.c.role != Role.ENDED.value
_ANY_PARENT = select(customers.c.id).where(customers.c.parent_id > "").limit(1)
