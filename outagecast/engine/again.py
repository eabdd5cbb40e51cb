"""Which deliveries a person may have said again, what stands against the others, and the rows that say it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from outagecast.domain.delivery import LEFT, DeliveryState
from outagecast.domain.facts import OwnFacts, freeze, thaw_own
from outagecast.domain.levels import Level
from outagecast.domain.message import ChannelName
from outagecast.domain.notices import END_KINDS
from outagecast.domain.outage import OPEN, OutageStatus
from outagecast.domain.recipients import quiet_until, wishes
from outagecast.domain.suppression import SuppressReason
from outagecast.engine.house import House
from outagecast.storage import planning_hearers, planning_things, redeliveries, views_deliveries
from outagecast.storage.batches import Record
from outagecast.storage.engine import Connection

S = DeliveryState
UNDER_WAY = frozenset({S.PLANNED.value, S.LEASED.value, S.TRANSMITTING.value})
MAY_HAVE_ARRIVED = frozenset(state.value for state in LEFT)


class How(StrEnum):
    """The person's decision, as the timeline and the row say it."""

    RETRIED = "retried"
    RESENT = "resent"
    CONFIRMED = "confirmed"


_ALLOWED = {
    How.RETRIED: frozenset(redeliveries.NOT_ARRIVED) | {S.EXPIRED.value},
    How.RESENT: frozenset(redeliveries.NOT_ARRIVED) | MAY_HAVE_ARRIVED | {S.EXPIRED.value},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Again:
    """One delivery that is to be said again, with what its new row needs."""

    row: Record
    facts: OwnFacts | None
    """None: present facts take the place of the frozen ones."""
    to: str
    due_at: datetime


async def choose(
    conn: Connection, house: House, outage: Record, ids: Sequence[int], how: How, now: datetime
) -> tuple[list[Again], dict[str, int]]:
    """What may be said again, and why the others may not."""
    found = await redeliveries.rows(conn, ids)
    facts = {
        row.id: thaw_own(row.facts)
        for row in await views_deliveries.with_facts(conn, ids)
        if "lines" in row.facts  # erased ones keep no words
    }
    address_ids = sorted({row.address_id for row in found if row.address_id is not None})
    addresses = await planning_hearers.address_rows(conn, address_ids)
    hearers = await _hearing(conn, house, address_ids)
    chosen: list[Again] = []
    refused: dict[str, int] = {}
    for row in found:
        address = addresses.get(row.address_id)
        why = _against(row, outage, address, row.id in facts, how) or (
            "" if row.address_id in hearers else "no active contact has this address and wants to hear there"
        )
        if not why and _has_passed(row, now) and not _may_speak(outage, row, now):
            why = "its promise has passed: the next word says it with what is known then"
        if why:
            refused[why] = refused.get(why, 0) + 1
            continue
        assert address is not None
        own = None if _has_passed(row, now) else facts[row.id]
        due = _due(house, row, facts[row.id], hearers[row.address_id], now)
        chosen.append(Again(row=row, facts=own, to=address.value, due_at=due))
    return chosen, refused


async def _hearing(conn: Connection, house: House, address_ids: Sequence[int]) -> dict[int, Record]:
    """By address, the contact that speaks for it: the lowest active one that wants to hear on this channel."""
    found: dict[int, Record] = {}
    if not address_ids:
        return found
    for row in sorted(await planning_hearers.hearers(conn, address_ids), key=lambda hearer: hearer.contact_id):
        wanted = wishes(row.notify, row.channels, row.quiet_hours, row.wake_for, house.default_wishes(row.tier))
        if row.status == planning_things.ACTIVE and ChannelName(row.channel) in wanted.channels:
            found.setdefault(row.address_id, row)
    return found


def _due(house: House, row: Record, facts: OwnFacts, hearer: Record, now: datetime) -> datetime:
    """At once, or at the end of the contact's quiet hours (rule 11)."""
    wanted = wishes(
        hearer.notify, hearer.channels, hearer.quiet_hours, hearer.wake_for, house.default_wishes(hearer.tier)
    )
    worst = max((max(line.level, line.was or Level.NO_IMPACT) for line in facts.lines), default=Level.NO_IMPACT)
    if row.channel != ChannelName.SMS.value or worst in wanted.wake_for:
        return now
    return quiet_until(wanted.quiet_hours, facts.zone, now) or now


def fresh_row(again: Again, number: int, now: datetime) -> dict[str, Any]:
    """The new outbox row."""
    row, facts = again.row, again.facts
    assert facts is not None
    if row.state in MAY_HAVE_ARRIVED:
        facts = replace(facts, first=False)
    return {
        "outage_id": row.outage_id,
        "episode": row.episode,
        "revision": number,
        "kind": row.kind,
        "audience": row.audience,
        "channel": row.channel,
        "address_id": row.address_id,
        "to": again.to,
        "customer_id": row.customer_id,
        "contact_id": row.contact_id,
        "state": S.PLANNED.value,
        "reason": None,
        "due_at": again.due_at,
        "expires_at": row.expires_at,
        "created_at": now,
        "ended_at": None,
        "eta": row.eta,
        "promise": row.promise,
        "facts": freeze(facts),
    }


def _against(row: Record, outage: Record, address: Record | None, worded: bool, how: How) -> str:
    """Why this delivery cannot be said again; "" if nothing stands against it."""
    if row.state in UNDER_WAY:
        return "it is still on its way"
    if row.address_id is None or address is None or row.audience != "customer":
        return "there is no address to write to"
    if row.state not in _ALLOWED[how]:
        return f"it is {row.state}{f' ({row.reason})' if row.reason else ''}: " + (
            "resend it instead" if row.state in MAY_HAVE_ARRIVED else "it was not meant to be sent"
        )
    if row.newer:
        return "a newer message has been planned for this address: look at that one"
    if row.episode != outage.episode:
        return "it belongs to an earlier episode of this outage"
    if OutageStatus(outage.status) not in OPEN and row.kind not in _END_WORDS:
        return "the outage is over: only its end can be said again"
    if address.suppressed is not None:
        return f"this address must not be written to: {SuppressReason(address.suppressed).value.replace('_', ' ')}"
    if address.shared and not address.confirmed_by:
        return "many customers share this address: confirm it first"
    return "" if worded else "it has no words: it was not written"


def _has_passed(row: Record, now: datetime) -> bool:
    return row.expires_at is not None and row.expires_at <= now


def _may_speak(outage: Record, row: Record, now: datetime) -> bool:
    """Whether there is a promise to make with present facts: an open outage whose own has not passed."""
    open_now = OutageStatus(outage.status) in OPEN and row.kind not in _END_WORDS
    return open_now and (outage.next_update_by is None or outage.next_update_by > now)


_END_WORDS = frozenset(kind.value for kind in END_KINDS)
