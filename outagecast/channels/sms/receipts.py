"""What Twilio calls us with: the signature, the status of a message, an inbound message.

Callbacks come late, twice, out of order or not at all; whoever takes a receipt only ever raises a state.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import urlsplit

from twilio.request_validator import RequestValidator

from outagecast.channels.sms.codes import as_code, suppression
from outagecast.domain.delivery import Receipt, ReceiptState
from outagecast.domain.sms import is_help_word, is_start_word, is_stop_word

STATES: Mapping[str, ReceiptState] = MappingProxyType(
    {
        "scheduled": ReceiptState.ACCEPTED,
        "accepted": ReceiptState.ACCEPTED,
        "queued": ReceiptState.ACCEPTED,
        "sending": ReceiptState.ACCEPTED,
        "sent": ReceiptState.ACCEPTED,
        "delivered": ReceiptState.DELIVERED,
        "read": ReceiptState.DELIVERED,
        "undelivered": ReceiptState.UNDELIVERED,
        "failed": ReceiptState.UNDELIVERED,
        "canceled": ReceiptState.UNDELIVERED,
    }
)


class OptOut(StrEnum):
    STOP = "stop"
    START = "start"
    HELP = "help"


@dataclass(frozen=True, kw_only=True, slots=True)
class Inbound:
    """A text from a phone to our number. `opt_out` is what it asks for, if it asks for anything we know."""

    from_: str
    to: str
    body: str
    message_sid: str
    opt_out: OptOut | None


def verify_signature(auth_token: str, url: str, params: Mapping[str, object], signature: str | None) -> bool:
    """Whether Twilio signed this call with our token (X-Twilio-Signature, HMAC-SHA1).

    `url` is the public address with its query, built from the configured `public_url` and never from the request's
    Host; it is tried with and without its default port. `params` is the posted form, a MultiDict with all its values.
    A missing header, an uploaded file in the form, anything odd: False.
    """
    if not signature or not all(isinstance(value, str) for value in params.values()):
        return False
    parts = urlsplit(url)
    if not parts.scheme or not parts.hostname:
        return False
    return bool(RequestValidator(auth_token).validate(url, params, signature))


def from_account(form: Mapping[str, object], account_sid: str) -> bool:
    """Whether a signed form speaks of our account; one that names none does."""
    return form.get("AccountSid", account_sid) == account_sid


def parse_status(form: Mapping[str, object], query: Mapping[str, str]) -> Receipt | None:
    """The receipt in a status callback: our attempt's id from the query, theirs from the form.

    None for a status that is unknown or says nothing of an outgoing message, and for a call that names no message.
    """
    key = query.get("attempt") or None
    sid = _first(form, "MessageSid", "SmsSid") or None
    if key is None and sid is None:
        return None
    return receipt_of(key, sid, _first(form, "MessageStatus", "SmsStatus"), form.get("ErrorCode"))


def receipt_of(key: str | None, sid: str | None, status: str, error_code: object) -> Receipt | None:
    """The receipt for a message in `status`, as callbacks and the message list name it; None if it is unknown."""
    state = STATES.get(status.lower())
    if state is None:
        return None
    code = as_code(error_code)
    if state is not ReceiptState.UNDELIVERED:
        return Receipt(key=key, provider_id=sid, state=state, code=status.lower())
    word = status.lower() if code is None else str(code)
    return Receipt(key=key, provider_id=sid, state=state, code=word, suppress_as=suppression(code))


def parse_inbound(form: Mapping[str, object]) -> Inbound:
    """The text in an inbound call. What is absent (a picture has no Body) is empty.

    `OptOutType` is Twilio's own word where Advanced Opt-Out is on; else the text is read for it.
    """
    body = _first(form, "Body")
    return Inbound(
        from_=_first(form, "From"),
        to=_first(form, "To"),
        body=body,
        message_sid=_first(form, "MessageSid", "SmsSid"),
        opt_out=_opt_out(_first(form, "OptOutType").lower(), body),
    )


def _opt_out(named: str, body: str) -> OptOut | None:
    if named in {OptOut.STOP, OptOut.START, OptOut.HELP}:
        return OptOut(named)
    if is_stop_word(body):
        return OptOut.STOP
    if is_start_word(body):
        return OptOut.START
    return OptOut.HELP if is_help_word(body) else None


def _first(form: Mapping[str, object], *names: str) -> str:
    for name in names:
        value = form.get(name)
        if isinstance(value, str) and value:
            return value
    return ""
