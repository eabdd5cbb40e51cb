"""Rows for those whom nothing can be written to: counted as unreachable on every page (rule 13)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.levels import Level
from outagecast.domain.notices import NoticeKind, ThingKey
from outagecast.domain.suppression import SuppressReason
from outagecast.engine.house import House
from outagecast.engine.planned import Speech
from outagecast.storage import planning, planning_hearers, reached
from outagecast.storage.engine import Connection

Missing: TypeAlias = tuple[str, str | None, str]
"""Whom no address is known of: (customer_id, contact_id if it is a contact's, the channel it is missing on)."""


async def add_missing(
    conn: Connection, house: House, speech: Speech, touched: Mapping[ThingKey, Level], now: datetime
) -> None:
    """A row for each touched customer nobody can write to, and each contact without the address it asks for."""
    rows = await missing(conn, house, speech, touched, now)
    await planning.add_deliveries(conn, rows, [(row["customer_id"],) for row in rows])


async def add_missing_since(conn: Connection, house: House, speech: Speech, last: int, now: datetime) -> None:
    """The same for all that the outage's impacts after this number touch."""
    outage_id, channels = speech.speaking.outage_id, house.channels
    heard = house.default_wishes("").notify
    worst: dict[str, Level] = {}
    for customer_id, level in await reached.unreachable(conn, outage_id, last, channels):
        worst[customer_id] = max(Level(level), worst.get(customer_id, Level.NO_IMPACT))
    pairs: list[Missing] = [(customer_id, None, "") for customer_id, level in worst.items() if level in heard]
    lacking = await reached.contacts_without(conn, outage_id, last, channels)
    pairs += [(row.customer_id, row.contact_id, row.channel) for row in lacking if Level(row.level) in heard]
    rows = await _rows(conn, speech, pairs, now)
    await planning.add_deliveries(conn, rows, [(row["customer_id"],) for row in rows])


async def missing(
    conn: Connection, house: House, speech: Speech, touched: Mapping[ThingKey, Level], now: datetime
) -> list[dict[str, Any]]:
    """The NO_ADDRESS rows of a revision; those this episode already has are left out."""
    worst: dict[str, Level] = {}
    for key, level in touched.items():
        worst[key.customer_id] = max(level, worst.get(key.customer_id, Level.NO_IMPACT))
    told_by_default = house.default_wishes("").notify
    heard = [customer_id for customer_id, level in worst.items() if level in told_by_default]
    unreachable = await planning_hearers.unreachable(conn, heard, house.channels)
    pairs: list[Missing] = [(customer_id, None, "") for customer_id in unreachable]
    lacking = await planning_hearers.contacts_without(conn, heard, house.channels)
    pairs += [(row.customer_id, row.contact_id, row.channel) for row in lacking]
    return await _rows(conn, speech, pairs, now)


async def _rows(conn: Connection, speech: Speech, pairs: Sequence[Missing], now: datetime) -> list[dict[str, Any]]:
    if not pairs:
        return []
    known = await planning.no_address_rows(conn, speech.speaking.outage_id, speech.episode)
    return [
        _row(speech, customer_id, contact_id, channel, now)
        for customer_id, contact_id, channel in pairs
        if (customer_id, contact_id) not in known
    ]


def _row(speech: Speech, customer_id: str, contact_id: str | None, channel: str, now: datetime) -> dict[str, Any]:
    return {
        "outage_id": speech.speaking.outage_id,
        "episode": speech.episode,
        "revision": speech.revision,
        "kind": NoticeKind.ACKNOWLEDGEMENT.value,
        "audience": "customer",
        "channel": channel,
        "address_id": None,
        "to": "",
        "customer_id": customer_id,
        "contact_id": contact_id,
        "state": DeliveryState.SUPPRESSED.value,
        "reason": SuppressReason.NO_ADDRESS.value,
        "due_at": now,
        "expires_at": None,
        "created_at": now,
        "ended_at": now,
        "eta": None,
        "promise": None,
        "facts": None,
    }
