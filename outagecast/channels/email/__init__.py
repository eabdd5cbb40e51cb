"""E-mail by SMTP: kept connections, one recipient per transaction, outcomes told apart by what can be known."""

from outagecast.channels.email.channel import Check, EmailChannel, EmailLane

__all__ = ["Check", "EmailChannel", "EmailLane"]
