"""What a speech has to know of the other open outages: their estimates, and in whose voice they would speak."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from outagecast.engine.planned import OtherVoice
from outagecast.storage import outages
from outagecast.storage.engine import Connection


@dataclass(frozen=True, kw_only=True, slots=True)
class Others:
    """All open outages but one: `etas` and `voices` by outage."""

    etas: Mapping[str, datetime | None]
    voices: Mapping[str, OtherVoice]


async def others_than(conn: Connection, outage_id: str) -> Others:
    rows = [row for row in await outages.open_ones(conn) if row.id != outage_id]
    return Others(
        etas={row.id: row.eta for row in rows},
        voices={
            row.id: OtherVoice(
                outage_id=row.id,
                episode=row.episode,
                severity=row.severity,
                eta=row.eta,
                promise=row.next_update_by,
            )
            for row in rows
        },
    )
