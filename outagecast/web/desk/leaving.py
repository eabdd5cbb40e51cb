"""By when an outage's last message will have left: what its page says while they leave."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from outagecast.storage.views_routes import Queue

WHAT: Mapping[str, str] = {"email": "mails", "sms": "texts"}
FEW = 10
"""So few are gone before anybody has read the sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaving:
    """Messages of one channel that wait, and how many of `others` go before the last of them. `last_at` None: nothing
    leaves at present.
    """

    what: str
    messages: int
    others: int
    last_at: datetime | None


def leaving(queues: Mapping[str, Queue], rate_of: Callable[[str], float | None], now: datetime) -> list[Leaving]:
    """What is worth saying about these queues, at the present rates."""
    found: list[Leaving] = []
    for channel, queue in queues.items():
        rate = rate_of(channel)
        if rate is not None and queue.own < FEW:
            continue
        found.append(
            Leaving(
                what=WHAT.get(channel, channel),
                messages=queue.own,
                others=queue.through - queue.own,
                last_at=now + timedelta(seconds=queue.through / rate) if rate else None,
            )
        )
    return found
