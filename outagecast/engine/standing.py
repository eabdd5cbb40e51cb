"""How an outage stands with its promises, and when the cadence has to look at it again."""

from datetime import datetime, timedelta

from outagecast.domain.cadence import Look, Standing, look
from outagecast.engine.house import House
from outagecast.storage import outages
from outagecast.storage.batches import Record
from outagecast.storage.engine import Connection


async def look_again(conn: Connection, house: House, outage_id: str, now: datetime) -> Look:
    """Reckon when the cadence has to look at this outage again, and keep it as a row."""
    row = await outages.get(conn, outage_id)
    assert row is not None
    answer = look(house.cadence(row.severity), standing_of(row), now)
    # What is to be asked right now is asked by whoever looks next: the ticker, at once.
    at = now if answer.ask else answer.look_again_at or now
    await outages.change(conn, outage_id, look_again_at=at)
    return answer


def standing_of(row: Record) -> Standing:
    return Standing(
        next_update_by=row.next_update_by,
        promised_at=row.promised_at or row.created_at,
        last_word_at=row.last_word_at or row.promised_at or row.created_at,
        strikes=row.strikes,
        eta=row.eta,
        eta_passed_told=row.eta_passed_told,
        reminded_promise=row.reminded_promise_at,
        reminded_eta=row.reminded_eta_at,
        wave=timedelta(seconds=row.wave_seconds),
    )
