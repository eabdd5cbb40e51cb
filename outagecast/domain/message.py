"""The words, ready for a channel: what rendering hands over and a channel carries."""

from dataclasses import dataclass, field
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
class Pieces:
    """A text with holes: what stands around them, one piece more than holes. `order`: which value goes where."""

    around: tuple[str, ...]
    order: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MailForm:
    """What the mails of a wave have in common. Known by its identity, so that a channel can keep what it made of it."""

    text: Pieces
    html: Pieces


@dataclass(frozen=True, kw_only=True, slots=True)
class Filled:
    """A form and what one reader's mail has in its holes. `html_values`: the same, escaped."""

    form: MailForm
    values: tuple[str, ...]
    html_values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class EmailMessage:
    """One mail to one address.

    `message_id` and `references` come without angle brackets. `unsubscribe_url` is the RFC 8058 one-click address.
    `filled`: the form that gave `text` and `html` to the letter, where one did: a channel may then encode what is
    common once. Whoever changes one of the two must drop it.
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
    filled: Filled | None = field(default=None, compare=False, repr=False)


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
