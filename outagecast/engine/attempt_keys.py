"""Names of attempts: opaque, unique without asking anybody, and in order of time."""

from datetime import datetime

from outagecast.domain.facts import to_micros


def attempt_key(now: datetime, random: str) -> str:
    """The moment in milliseconds, then what nobody can guess.

    The index of keys so grows at its end. Random ones each dirty a page of their own: a third of what a commit writes.
    """
    return f"{to_micros(now) // 1000:012x}{random}"
