"""The words as sent: rendered again from the frozen facts, which is why nobody has to keep them."""

from collections.abc import Mapping, Sequence
from typing import Any

from outagecast.domain.message import EmailMessage, Message, SmsMessage
from outagecast.domain.sms import segments
from outagecast.engine.words import WordSmith
from outagecast.storage import views_deliveries
from outagecast.storage.engine import Database


class SentWords:
    """Called with the numbers of deliveries; what says nothing (suppressed, no facts) is missing from the answer."""

    def __init__(self, database: Database, words: WordSmith) -> None:
        self._database = database
        self._words = words

    async def __call__(self, delivery_ids: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
        """By delivery: subject, text and html of a mail; text and segments of an SMS."""
        if not delivery_ids:
            return {}
        async with self._database.read() as conn:
            rows = await views_deliveries.with_facts(conn, delivery_ids)
        revisions = {(row.outage_id, row.revision): row.revision_facts for row in rows}
        messages = self._words.render(rows, revisions, [""] * len(rows))
        return {
            row.id: _plain(message) for row, message in zip(rows, messages, strict=True) if not isinstance(message, str)
        }


def _plain(message: Message) -> dict[str, Any]:
    match message:
        case EmailMessage():
            return {"subject": message.subject, "text": message.text, "html": message.html}
        case SmsMessage():
            return {"text": message.body, "segments": segments(message.body)}
