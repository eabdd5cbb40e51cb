"""Rate and budget arithmetic."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket:
    """A token bucket: `per_second` 0 means no limit; `burst` messages may leave at once after a pause."""

    per_second: float
    burst: float
    tokens: float
    at: float
    """Monotonic seconds of the last reckoning."""


def admit(bucket: Bucket, at: float) -> tuple[Bucket, float]:
    """Take one token at monotonic second `at`: the bucket afterwards, and the seconds to wait before writing."""
    if bucket.per_second <= 0:
        return bucket, 0.0
    tokens = min(bucket.burst, bucket.tokens + (at - bucket.at) * bucket.per_second) - 1
    wait = max(0.0, -tokens / bucket.per_second)
    return Bucket(per_second=bucket.per_second, burst=bucket.burst, tokens=tokens, at=at), wait


def wave_time(messages: int, per_second: float) -> timedelta:
    """How long so many messages take at a rate."""
    return timedelta(seconds=messages / per_second) if per_second > 0 else timedelta(0)


def start_of_day(now: datetime) -> datetime:
    """The UTC day that `sms_per_day` counts."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0)
