"""The list of circuits as CSV, attached to a mail that has too many to name."""

import csv
import io
from datetime import datetime
from zoneinfo import ZoneInfo

from outagecast.domain.facts import OwnFacts, RevisionFacts
from outagecast.domain.message import Attachment
from outagecast.rendering.lines import Told, Turn, tell
from outagecast.rendering.trim import one_line
from outagecast.rendering.words import COLUMNS, Words

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def circuit_list(revision: RevisionFacts, own: OwnFacts, words: Words, zone: ZoneInfo) -> Attachment:
    """Every line with its times in the reader's zone (ISO 8601). All cells are quoted, and none begins a formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow([words[f"list.{column}"] for column in COLUMNS])
    writer.writerows([_harmless(cell) for cell in _row(told, words, zone)] for told in tell(revision, own))
    # The byte order mark makes spreadsheets read UTF-8 as such.
    content = buffer.getvalue().encode("utf-8-sig")
    return Attachment(
        filename=f"{_filename(revision.outage_id)}.csv", content_type="text/csv; charset=utf-8", content=content
    )


def _row(told: Told, words: Words, zone: ZoneInfo) -> tuple[str, ...]:
    line = told.line
    names = (one_line(text) for text in (line.customer, line.place, line.label, line.service, line.id))
    minutes = str(told.minutes) if told.turn is Turn.BACK else ""
    return (*names, _state(told, words), _local(line.since, zone), _local(told.back_at, zone), minutes)


def _state(told: Told, words: Words) -> str:
    if told.turn is Turn.NEVER:
        return words["never.short"]
    if told.turn is Turn.BACK:
        return words[f"levels.{told.was_style}.back_short"]
    return words[f"levels.{told.style}.short"]


def _local(at: datetime | None, zone: ZoneInfo) -> str:
    return at.astimezone(zone).isoformat(timespec="minutes") if at else ""


def _harmless(cell: str) -> str:
    """A cell that a spreadsheet does not run: CSV injection, OWASP."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _filename(outage_id: str) -> str:
    return "".join(c for c in outage_id if c.isascii() and (c.isalnum() or c in "-_")) or "list"
