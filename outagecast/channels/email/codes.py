"""SMTP reply codes by consequence (RFC 5321 basic codes, RFC 3463 enhanced codes).

The basic code says "later" or "never"; the enhanced code says whom it concerns. Prose decides nothing: an address is
given up only on an enhanced code that can mean nothing else, because a wrong suppression silences a customer.
"""

import re
from enum import StrEnum
from typing import NamedTuple

from outagecast.domain.delivery import Deferred, FailureScope, Rejected


class Stage(StrEnum):
    """What a reply answers."""

    CONNECT = "connect"
    EHLO = "EHLO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    RSET = "RSET"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    DOT = "the final dot"


class Reply(NamedTuple):
    """One whole reply: its code and its text, the lines of a longer one joined by line feeds."""

    code: int
    text: str


DEAD_ADDRESS = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.2.1"})
"""Bad mailbox, bad domain, bad syntax, moved away, mailbox disabled: no later try can succeed."""
BAD_SENDER = frozenset({"5.1.7", "5.1.8"})
"""What is wrong is our own From, for every message."""
LOGIN_NEEDED = frozenset({530, 534, 535, 538})
SYSTEM_FULL_OR_CLOSED = frozenset({"4.3.1", "4.3.2"})
SERVICE_CLOSING = 421

_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?:\s|$)")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_QUEUE_ID = re.compile(
    r"queued as (?P<postfix>[\w.+/=-]+)"
    r"|\bid=(?P<exim>[\w.+/=-]+)"
    r"|InternalId=(?P<exchange>\d+)"
    r"|(?P<sendmail>[\w.+/=-]{6,}) Message accepted"
    r"|^(?:2\.\d+\.\d+ )?Ok:? (?P<other>[\w.+/-]{8,})(?:\s|$)",
    re.IGNORECASE,
)


def enhanced(text: str) -> str:
    """The enhanced code a reply's text begins with (`5.1.1`), or an empty string."""
    found = _ENHANCED.match(text)
    return ".".join(found.groups()) if found else ""


def label(reply: Reply) -> str:
    """The code as kept on the row: `550 5.1.1`, or `550` alone."""
    return f"{reply.code} {enhanced(reply.text)}".rstrip()


def explain(stage: Stage, reply: Reply) -> str:
    """One line for staff: who said what. Control characters are blanked, length is bounded."""
    said = _CONTROLS.sub(" ", reply.text).strip()[:300]
    return f"the mail server answered {reply.code} to {stage}: {said}"


def queue_id(text: str) -> str:
    """The server's own number in its final 250 (Postfix, Exim, Exchange, Sendmail, SES …), or an empty string."""
    found = _QUEUE_ID.search(text)
    return next((group for group in found.groups() if group), "").rstrip(".") if found else ""


def classify(stage: Stage, reply: Reply) -> Deferred | Rejected:
    """What a 4xx or 5xx at a stage of a transaction means. ValueError for any other code."""
    match reply.code // 100:
        case 4:
            return Deferred(scope=_later(stage, reply), code=label(reply), reason=explain(stage, reply))
        case 5:
            return _never(stage, reply)
        case _:
            raise ValueError(f"{reply.code} is no refusal")


def _later(stage: Stage, reply: Reply) -> FailureScope:
    detail = enhanced(reply.text)
    if reply.code == SERVICE_CLOSING or detail in SYSTEM_FULL_OR_CLOSED:
        return FailureScope.ROUTE
    # RCPT 450/451 is greylisting or a busy mailbox: it says nothing about other recipients.
    if stage is Stage.RCPT or detail.startswith(("4.1.", "4.2.")):
        return FailureScope.ADDRESS
    return FailureScope.MESSAGE


def _never(stage: Stage, reply: Reply) -> Deferred | Rejected:
    detail, code, reason = enhanced(reply.text), label(reply), explain(stage, reply)
    if reply.code in LOGIN_NEEDED or detail in BAD_SENDER:
        return Rejected(scope=FailureScope.ROUTE, code=code, reason=reason)
    # At MAIL the recipient is not known yet: an address code there speaks of the sender.
    if detail in DEAD_ADDRESS and stage is not Stage.MAIL:
        return Rejected(scope=FailureScope.ADDRESS, code=code, reason=reason, suppress_as="dead_address")
    # A full mailbox empties again. A bare 552 to RCPT is to be read as 452 (RFC 5321 §4.5.3.1.10).
    if detail in {"5.2.2", "4.2.2"} or (reply.code == 552 and not detail and stage is Stage.RCPT):
        return Deferred(scope=FailureScope.ADDRESS, code=code, reason=reason)
    return Rejected(scope=FailureScope.MESSAGE, code=code, reason=reason)
