"""Why something was not sent. Every row that ends without sending carries one of these words; pages, log and metrics
use it too.
"""

from enum import StrEnum


class SuppressReason(StrEnum):
    """Decided not to send."""

    OPTED_OUT = "opted_out"
    """STOP, unsubscribe, Twilio 21610."""
    DEAD_ADDRESS = "dead_address"
    """The provider says nobody is there: SMTP 5.1.1, Twilio 21614 …"""
    BY_STAFF = "by_staff"
    NO_ADDRESS = "no_address"
    """Nobody to write to: counted as unreachable."""
    SHARED_ADDRESS = "shared_address"
    """On more than five customers without a common parent: held back until staff confirm it."""
    COVERED = "covered"
    """Another outage already told this address about the same things, and this one makes them no worse."""
    KIND_NOT_TEXTED = "kind_not_texted"
    """`sms_kinds` of the cadence leaves this kind of notice out."""
    NEVER_ACKNOWLEDGED = "never_acknowledged"
    """The end came before the acknowledgement had left, and `late_acknowledgement` is none."""
    CONTACT_REMOVED = "contact_removed"
    """The contact was ended since it was last told."""


class EndReason(StrEnum):
    """Why a delivery ended otherwise than by an answer from the provider."""

    NEWER_REVISION = "newer_revision"
    OUTAGE_ENDED = "outage_ended"
    PROMISE_PASSED = "promise_passed"
    SMS_PER_DAY = "sms_per_day"
    GAVE_UP = "gave_up"
    REJECTED = "rejected"
    UNDELIVERED = "undelivered"


ADDRESS_REASONS = frozenset({SuppressReason.OPTED_OUT, SuppressReason.DEAD_ADDRESS, SuppressReason.BY_STAFF})
"""The reasons that stand on an address and outlive the outage."""
