"""The words, ready for a channel: what rendering hands over and a channel carries."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ChannelName(StrEnum):
    EMAIL = "email"
    SMS = "sms"


@dataclass(frozen=True, kw_only=True, slots=True)
class Attachment:
    """A file beside the text: a CSV list of circuits."""

    filename: str
    content_type: str
    content: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class EmailMessage:
    """One mail to one address.

    `message_id` and `references` come without angle brackets. `unsubscribe_url` is the RFC 8058 one-click address.
    """

    to: str
    to_name: str
    subject: str
    text: str
    html: str
    language: str
    message_id: str
    references: tuple[str, ...]
    date: datetime
    unsubscribe_url: str
    list_id: str
    kind: str
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SmsMessage:
    """One text to one phone (E.164). `key` is this attempt's opaque id: it comes back in the provider's callbacks.

    `expires_at`: after this moment the words are stale and the provider should drop the text (ValidityPeriod).
    """

    to: str
    body: str
    key: str
    expires_at: datetime | None = None


Message = EmailMessage | SmsMessage
