"""Puts outbox rows into words: the frozen facts of a row and its revision through the renderer.

The engine sees the renderer as a shape, so that its tests can speak a plainer language.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from outagecast.domain.facts import OwnFacts, RevisionFacts, thaw_own, thaw_revision
from outagecast.domain.message import ChannelName, EmailMessage, Message, SmsMessage
from outagecast.engine.links import Links


class CustomerWords(Protocol):
    """What rendering/renderer.py offers."""

    def email(
        self,
        revision_facts: RevisionFacts,
        own_facts: OwnFacts,
        *,
        to: str,
        message_id: str,
        references: tuple[str, ...],
        list_id: str,
        date: datetime,
    ) -> EmailMessage: ...

    def sms(
        self, revision_facts: RevisionFacts, own_facts: OwnFacts, *, to: str, key: str, expires_at: datetime | None
    ) -> SmsMessage: ...


class StaffWords(Protocol):
    """What rendering/staff.py offers: reminders and alarms for the staff themselves."""

    def email(self, facts: Mapping[str, Any], *, to: str, message_id: str, date: datetime) -> EmailMessage: ...

    def sms(self, facts: Mapping[str, Any], *, to: str, key: str, expires_at: datetime | None) -> SmsMessage: ...


class WordSmith:
    """Renders rows of `deliveries`; used by the dispatcher, the previews and "the words as sent"."""

    def __init__(
        self,
        customer_words: CustomerWords,
        staff_words: StaffWords,
        links: Links,
        *,
        list_domain: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._customers = customer_words
        self._staff = staff_words
        self._links = links
        self._list_domain = list_domain
        self._clock = clock

    def render(
        self, rows: Sequence[Any], revisions: Mapping[tuple[str, int], Any], keys: Sequence[str]
    ) -> list[Message | str]:
        """A message for each row. A row that cannot be put into words is answered with why, and does not stop the
        others.
        """
        thawed = {key: thaw_revision(facts) for key, facts in revisions.items() if facts is not None}
        return [
            self._render(row, thawed.get((row.outage_id, row.revision)), key)
            for row, key in zip(rows, keys, strict=True)
        ]

    def _render(self, row: Any, revision: RevisionFacts | None, key: str) -> Message | str:
        try:
            if row.audience == "staff":
                return self._for_staff(row, key)
            if revision is None or row.facts is None:
                return "the facts of this delivery are missing"
            return self._for_customer(row, revision, thaw_own(row.facts), key)
        except Exception as error:  # one poisoned row must not hold up a wave; the row fails with this reason
            return f"{type(error).__name__}: {error}"[:300]

    def message(self, row: Any, revision_facts: Mapping[str, Any], key: str = "") -> Message:
        """One row's words; raises what goes wrong."""
        if row.audience == "staff":
            return self._for_staff(row, key)
        return self._for_customer(row, thaw_revision(dict(revision_facts)), thaw_own(row.facts), key)

    def _for_customer(self, row: Any, revision: RevisionFacts, own: OwnFacts, key: str) -> Message:
        match ChannelName(row.channel):
            case ChannelName.SMS:
                return self._customers.sms(revision, own, to=row.to, key=key, expires_at=row.expires_at)
            case ChannelName.EMAIL:
                message_id, references = self._thread(row, own)
                return self._customers.email(
                    revision,
                    own,
                    to=row.to,
                    message_id=message_id,
                    references=references,
                    list_id=f"{row.outage_id.lower()}.{self._list_domain}",
                    date=revision.said_at,
                )

    def _thread(self, row: Any, own: OwnFacts) -> tuple[str, tuple[str, ...]]:
        """One thread per outage and address: its first mail is the root, the others refer to it."""
        root = self._links.thread_id(row.outage_id, row.address_id)
        if own.first and row.episode == 1:
            return root, ()
        return self._links.message_id(row.outage_id, row.episode, row.address_id, row.kind, row.revision), (root,)

    def _for_staff(self, row: Any, key: str) -> Message:
        match ChannelName(row.channel):
            case ChannelName.SMS:
                return self._staff.sms(row.facts, to=row.to, key=key, expires_at=row.expires_at)
            case ChannelName.EMAIL:
                message_id = self._links.message_id(row.outage_id, row.episode, row.id, row.kind, row.revision)
                return self._staff.email(row.facts, to=row.to, message_id=message_id, date=self._clock())
