"""Which messages of a preview are shown and counted, and what is shown of each."""

from collections.abc import Mapping
from typing import Any

from outagecast.domain.message import ChannelName, EmailMessage, Message
from outagecast.domain.sms import segments
from outagecast.engine.audience import Address
from outagecast.engine.planned import PlannedRow

TELLING = 3
PART = 3
"""A third of what is counted exactly tells the mean well enough: segments are two or three each."""


def telling(addresses: Mapping[int, Address]) -> list[int]:
    """The three that tell most: a typical mail, one in an odd alphabet, the one with most to say; one is a text."""
    mails = [n for n, address in addresses.items() if address[0] == ChannelName.EMAIL]
    texts = [n for n, address in addresses.items() if address[0] == ChannelName.SMS]
    typical, longest = (
        _typical(mails or texts, addresses),
        max(mails or texts, key=lambda n: addresses[n][2], default=0),
    )
    odd_text, odd_mail = (next((n for n in some if not addresses[n][3].isascii()), 0) for some in (texts, mails))
    if odd_text:
        chosen = (typical, odd_text, longest)
    elif texts:
        chosen = (odd_mail or typical, texts[0], longest)
    else:
        chosen = (typical, odd_mail, longest)
    return list(dict.fromkeys(n for n in (*chosen, *mails[:TELLING], *texts[:TELLING]) if n))[:TELLING]


def texts_of(addresses: Mapping[int, Address], most: int) -> list[int]:
    """The texts whose segments are counted: all, or above `most` evenly a part of that."""
    texts = [n for n, address in addresses.items() if address[0] == ChannelName.SMS]
    return texts if len(texts) <= most else texts[:: -(-len(texts) * PART // most)]


def sample(planned: PlannedRow, message: Message) -> dict[str, Any]:
    """A message as the pages, the API and the command line show it. `segments` only of a text."""
    shown: dict[str, Any] = {
        "channel": planned.values["channel"],
        "to": planned.values["to"],
        "name": planned.values["facts"].get("name", ""),
        "customer_id": planned.values["customer_id"],
        "lines": len(planned.utterance.lines),
        "subject": "",
        "text": "",
        "html": "",
    }
    if isinstance(message, EmailMessage):
        return shown | {"subject": message.subject, "text": message.text, "html": message.html}
    return shown | {"text": message.body, "segments": segments(message.body)}


def _typical(numbers: list[int], addresses: Mapping[int, Address]) -> int:
    """The first whose lines are as many as in the middle; 0 of none."""
    counts = sorted(addresses[n][2] for n in numbers)
    return next((n for n in numbers if addresses[n][2] == counts[len(counts) // 2]), 0)
