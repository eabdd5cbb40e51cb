"""What follows from Twilio's error codes: later, never, dead address, or a word with staff.

https://www.twilio.com/docs/api/errors names the codes. A code that is not in the table is judged by its HTTP status.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from twilio.base.exceptions import TwilioServiceException
from twilio.base.version import Version
from twilio.http.response import Response

from outagecast.domain.delivery import Ambiguous, Deferred, FailureScope, Outcome, Rejected

MESSAGE, ADDRESS, ROUTE = FailureScope.MESSAGE, FailureScope.ADDRESS, FailureScope.ROUTE
OPTED_OUT = "opted_out"
DEAD_ADDRESS = "dead_address"


@dataclass(frozen=True, kw_only=True, slots=True)
class Consequence:
    """`again`: the same text may be tried later, after `retry_after` unless the provider names a time."""

    again: bool
    scope: FailureScope
    suppress_as: str | None = None
    retry_after: timedelta | None = None


_LATER = Consequence(again=True, scope=MESSAGE)
_ROUTE_LATER = Consequence(again=True, scope=ROUTE)
# The caps are counted by the day; six hours find the new one without asking in vain all night.
_TOMORROW = Consequence(again=True, scope=MESSAGE, retry_after=timedelta(hours=6))
_NEVER = Consequence(again=False, scope=MESSAGE)
_UNREACHABLE = Consequence(again=False, scope=ADDRESS)
_DEAD = Consequence(again=False, scope=ADDRESS, suppress_as=DEAD_ADDRESS)
_STAFF = Consequence(again=False, scope=ROUTE)

CONSEQUENCES: Mapping[int, Consequence] = MappingProxyType(
    {
        # The account or the route is busy.
        14107: _ROUTE_LATER,  # send rate limit exceeded
        20429: _ROUTE_LATER,  # too many requests: never processed
        20500: _ROUTE_LATER,  # internal error (with a 5xx status: ambiguous)
        20503: _ROUTE_LATER,  # service unavailable (likewise)
        21611: _ROUTE_LATER,  # the sender's queue is full: more than ten hours of it
        30001: _ROUTE_LATER,  # queue overflow
        30022: _ROUTE_LATER,  # 10DLC rate limit
        63018: _ROUTE_LATER,  # rate limit of the channel
        # This text ran into a passing trouble.
        30003: _LATER,  # handset unreachable: off or out of coverage
        30008: _LATER,  # unknown error
        30017: _LATER,  # carrier congestion
        30410: _LATER,  # provider time-out
        30500: _LATER,  # internal error at the provider
        30023: _TOMORROW,  # 10DLC daily cap of the brand
        30027: _TOMORROW,  # 10DLC daily cap at T-Mobile
        63038: _TOMORROW,  # daily cap of the account
        # This text can never go.
        21602: _NEVER,  # no body
        21604: _NEVER,  # no To
        21605: _NEVER,  # body too long
        21612: _NEVER,  # this sender does not reach this number
        21617: _NEVER,  # body above 1600 characters
        21618: _NEVER,  # the body cannot be sent
        30007: _NEVER,  # filtered as spam by Twilio or the carrier
        30010: _NEVER,  # dearer than the maximum price
        30018: _NEVER,  # the destination wants a registered sender
        30019: _NEVER,  # too large for the carrier
        30024: _NEVER,  # sender not provisioned at the carrier
        # This number cannot be written to; whether it is dead for good is not said.
        21214: _UNREACHABLE,  # cannot be reached
        21217: _UNREACHABLE,  # does not look valid
        21268: _UNREACHABLE,  # a premium number
        21608: _UNREACHABLE,  # not verified, on a trial account
        30004: _UNREACHABLE,  # blocked: by the handset or for a while
        # This number is dead, or its owner said STOP.
        21211: _DEAD,  # not a phone number
        21614: _DEAD,  # not a mobile number
        30005: _DEAD,  # unknown: does not exist
        30006: _DEAD,  # a landline, or a carrier that takes no SMS
        21610: Consequence(again=False, scope=ADDRESS, suppress_as=OPTED_OUT),
        # Our account, sender or settings are wrong: nobody gets through until staff mend it.
        20003: _STAFF,  # wrong SID or token
        20005: _STAFF,  # account not active
        20006: _STAFF,  # access denied
        20008: _STAFF,  # test credentials
        20010: _STAFF,  # action disabled for the account
        20403: _STAFF,  # forbidden
        20404: _STAFF,  # no such account
        21212: _STAFF,  # invalid From
        21408: _STAFF,  # the region is not enabled
        21601: _STAFF,  # From cannot send SMS
        21603: _STAFF,  # no From and no service
        21606: _STAFF,  # From is not ours or cannot send there
        21607: _STAFF,  # trial accounts send from their own number only
        21609: _STAFF,  # invalid StatusCallback: public_url is not reachable by name
        21701: _STAFF,  # no such Messaging Service
        21702: _STAFF,  # the Messaging Service may not send
        21703: _STAFF,  # … has no number for this
        21704: _STAFF,  # … has no numbers at all
        21705: _STAFF,  # … is invalid
        21709: _STAFF,  # … may not use this alphanumeric sender
        30002: _STAFF,  # account suspended
        30032: _STAFF,  # toll-free number not verified
        30034: _STAFF,  # 10DLC number not registered
    }
)
# Without a code: what the status alone says. 408 and 425: the request was not read to its end.
_BY_STATUS: Mapping[int, Consequence] = MappingProxyType(
    {401: _STAFF, 402: _STAFF, 403: _STAFF, 404: _STAFF, 405: _STAFF, 410: _STAFF, 408: _ROUTE_LATER, 425: _ROUTE_LATER}
)


def outcome_of(status: int, text: str, retry_after: timedelta | None) -> Outcome:
    """What an answer that is not 2xx means.

    `text` is its body (JSON of Twilio, or anything at all), `retry_after` the header's value. 5xx is ambiguous whatever
    the body says: the error may have happened after the message was taken.
    """
    code, words = read_error(status, text)
    if status >= 500:
        return Ambiguous(code=f"http_{status}", reason=words)
    if status < 400:
        return Deferred(scope=ROUTE, code=f"http_{status}", reason=words, retry_after=retry_after)
    return _outcome(code, words, _consequence(status, code), retry_after, f"http_{status}")


def outcome_of_code(code: int) -> Deferred | Rejected:
    """What an error code means in a message that was answered with 2xx but is already marked failed."""
    return _outcome(code, f"Twilio error {code}", CONSEQUENCES.get(code, _NEVER), None, str(code))


def suppression(code: int | None) -> str | None:
    """`opted_out` or `dead_address` where the code says that nothing should go to this number any more."""
    found = None if code is None else CONSEQUENCES.get(code)
    return None if found is None else found.suppress_as


def read_error(status: int, text: str) -> tuple[int | None, str]:
    """Twilio's code and words of an error body, old shape or RFC 9457, with phone numbers masked."""
    error = Version.exception("POST", "Messages", Response(status, text), "")
    if isinstance(error, TwilioServiceException):
        words = error.detail or error.title
    else:
        words = str(error.msg).removeprefix(": ")
    return as_code(error.code), masked(str(words)) or f"HTTP {status}"


def as_code(value: object) -> int | None:
    """A Twilio error code from JSON or a form; None for what is none (absent, empty, `0`, an HTTP status)."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 8:
        value = int(value)
    return value if type(value) is int and value >= 10_000 else None


def masked(words: str) -> str:
    """A provider's words fit for timeline and log: one line, at most 200 characters, `+49***123` for numbers."""
    return _NUMBER.sub(lambda m: f"{m[0][:3]}***{m[0][-3:]}", " ".join(words.split()))[:200]


def read_object(text: str | bytes) -> Mapping[str, object]:
    """The JSON object in a body; empty where there is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


_NUMBER = re.compile(r"\+?\d{7,}")


def _consequence(status: int, code: int | None) -> Consequence:
    known = None if code is None else CONSEQUENCES.get(code)
    if status == 429:  # never processed, always safe to send again
        return known if known is not None and known.again else _ROUTE_LATER
    return known or _BY_STATUS.get(status, _NEVER)


def _outcome(
    code: int | None, words: str, follows: Consequence, retry_after: timedelta | None, fallback: str
) -> Deferred | Rejected:
    name = fallback if code is None else str(code)
    if follows.again:
        wait = follows.retry_after if retry_after is None else retry_after
        return Deferred(scope=follows.scope, code=name, reason=words, retry_after=wait)
    return Rejected(scope=follows.scope, code=name, reason=words, suppress_as=follows.suppress_as)
