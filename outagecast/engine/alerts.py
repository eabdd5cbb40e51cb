"""Asking and alarming the staff: rows in the same outbox, to the addresses of `[[staff_alerts]]`."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from outagecast.domain.cadence import Ask
from outagecast.domain.facts import to_micros
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import DAEMON
from outagecast.domain.timeline import Happened
from outagecast.engine.house import House
from outagecast.engine.settings import StaffAlertSettings
from outagecast.storage import deliveries, outages
from outagecast.storage.batches import Record
from outagecast.storage.engine import Connection


class Alerts:
    """Writes staff messages; each is said once per outage, revision and address."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def ask(
        self,
        conn: Connection,
        row: Record,
        what: Ask,
        now: datetime,
        detail: str = "",
        *,
        silent: tuple[str, datetime] | None = None,
    ) -> int:
        """Ask or alarm about one outage; how many messages were planned. Zero: it shows on the desk only. `silent`: by
        what nothing leaves, and since when.
        """
        facts = {
            "what": what.value,
            "outage_id": row.id,
            "title": row.title,
            "severity": row.severity,
            "owner": row.owner,
            "promise": _micros(row.next_update_by),
            "eta": _micros(row.eta),
            "said_at": to_micros(now),
            "zone": self._house.provider_zone,
            "strikes": row.strikes,
            "detail": detail,
            "channel": silent[0] if silent else "",
            "since": to_micros(silent[1]) if silent else None,
        }
        planned = 0
        for place, settings in enumerate(self._house.staff_alerts):
            asked = _WORD.get(what, what).value in settings.when
            if not asked or not _on_duty(settings, self._house.provider_zone, now):
                continue
            for channel, to in ((ChannelName.EMAIL, settings.email), (ChannelName.SMS, settings.phone)):
                if to and channel in (*self._house.channels, *self._house.staff_only):
                    planned += await deliveries.add_staff(conn, self._row(row, what, channel, to, place, facts, now))
        await outages.record(
            conn,
            at=now,
            what=Happened.ASKED,
            actor=DAEMON,
            outage_id=row.id,
            revision=row.revision,
            why=what.value,
            data={"sent": planned},
            text=detail,
        )
        return planned

    def _row(
        self,
        row: Record,
        what: Ask,
        channel: ChannelName,
        to: str,
        place: int,
        facts: dict[str, Any],
        now: datetime,
    ) -> dict[str, Any]:
        return {
            "outage_id": row.id,
            "episode": row.episode,
            "revision": row.revision,
            "kind": what.value,
            "audience": "staff",
            "channel": channel.value,
            "address_id": -1 - place,
            "to": to,
            "state": "planned",
            "due_at": now,
            "created_at": now,
            "rank": -1,
            "facts": facts,
        }


_WORD = {Ask.SILENCE: Ask.FAILURE}
"""What `when` calls it, where it has no word of its own there."""


def _on_duty(settings: StaffAlertSettings, zone: str, now: datetime) -> bool:
    if settings.hours is None:
        return True
    clock = now.astimezone(ZoneInfo(zone)).time()
    start, end = settings.hours
    return start <= clock < end if start < end else clock >= start or clock < end


def _micros(at: datetime | None) -> int | None:
    return None if at is None else to_micros(at)
