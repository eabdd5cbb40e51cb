"""Emails to a mail server that is 5 ms away: what waiting costs, and what is lost by being durable.

`python -m tests.bench.far_server sink PORT SECONDS` answers everything so many seconds late;
`python -m tests.bench.far_server limit PORT MESSAGES CONNECTIONS` sends by our own channel without a database: MAIL,
RCPT and DATA in one write, then the content, two round trips a mail;
`python -m tests.bench.far_server product FOLDER MESSAGES` sends the wave of the daemon whose settings are in FOLDER;
`python -m tests.bench.far_server round MESSAGES` prints one round.
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from outagecast.app import on_a_loop
from outagecast.channels.email import EmailChannel
from outagecast.domain.delivery import Accepted
from outagecast.domain.message import ChannelName, EmailMessage
from tests.bench.children import call, free_port, serving
from tests.bench.house import house, wave
from tests.bench.own_smtp import Counted, Sink
from tests.bench.provider import Provider, copy_of, make_provider
from tests.bench.settings import SETTINGS, config_text

CONNECTIONS = 50
AWAY = 0.005
"""Seconds from what we write to the answer."""
_OCTETS = 5_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Far:
    """Messages a second of both, and the product's own. `ratio` counts from the committed rows on: it is the sending
    that is measured. `cpu_us` is per message, of all threads, planning included.
    """

    limit: float
    product: float
    cpu_us: float
    lag_p99_ms: float

    @property
    def ratio(self) -> float:
        return self.product / self.limit


def far_server(messages: int, rounds: int, *, connections: int = CONNECTIONS, away: float = AWAY) -> list[Far]:
    """So many rounds of the limit and the product after it, each with processes of its own."""
    with tempfile.TemporaryDirectory() as name:
        provider = make_provider(Path(name) / "provider", messages)
        return [_round(provider, connections, away) for _ in range(rounds)]


def _round(provider: Provider, connections: int, away: float) -> Far:
    count, port = provider.customers, free_port()
    with serving("far_server", "sink", str(port), str(away), port=port) as heard:
        limit = call("far_server", "limit", str(port), str(count), str(connections))
    assert heard["messages"] == heard["recipients"] == count, heard
    port = free_port()
    with serving("far_server", "sink", str(port), str(away), port=port) as heard, copy_of(provider) as copy:
        text = config_text(smtp_port=port, database=copy.url)
        copy.settle(text.replace("connections = 10", f"connections = {connections}"))
        took = call("far_server", "product", str(copy.folder), str(count))
    assert took["accepted"] == took["attempts"] == heard["messages"] == heard["recipients"] == count, (took, heard)
    return Far(
        limit=count / float(limit["seconds"]),
        product=count / (float(took["seconds"]) - float(took["planned_seconds"])),
        cpu_us=float(took["cpu_seconds"]) / count * 1e6,
        lag_p99_ms=float(took["lag_p99_ms"]),
    )


class _FarSink(Sink):
    """Every answer takes its time, and none overtakes another."""

    def __init__(self, counted: Counted, away: float) -> None:
        super().__init__(counted)
        self._away = away

    def _answer(self, said: bytes) -> None:
        asyncio.get_running_loop().call_later(self._away, self._say, said)

    def _say(self, said: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(said)


async def _sink(port: int, away: float) -> dict[str, Any]:
    counted, loop, end = Counted(), asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, end.set)
    server = await loop.create_server(lambda: _FarSink(counted, away), "127.0.0.1", port, backlog=1000)
    await end.wait()
    server.close()
    return {"messages": counted.messages, "recipients": len(counted.recipients)}


async def _limit(port: int, messages: int, connections: int) -> dict[str, Any]:
    channel = EmailChannel(
        host="127.0.0.1", port=port, sender="status@example.net", ehlo_name="bench.example", connections=connections
    )
    left = iter(range(messages))
    started = time.perf_counter()
    await asyncio.gather(*[_lane(channel, left) for _ in range(connections)])
    seconds = time.perf_counter() - started
    await channel.close()
    return {"seconds": seconds}


async def _lane(channel: EmailChannel, left: Iterator[int]) -> None:
    async with channel.lane() as lane:
        for number in left:
            assert isinstance(await lane.send(_mail(number)), Accepted)


def _mail(number: int) -> EmailMessage:
    return EmailMessage(
        to=f"c{number}@customers.example",
        to_name=f"Customer {number}",
        subject="Your line is down",
        text="Your line is down.\n" * (_OCTETS // 38),
        html="<p>It is down.</p>\n" * (_OCTETS // 38),
        language="en",
        message_id=f"bench.{number}@status.example.net",
        references=(),
        date=datetime(2026, 11, 22, 4, 5, 6, tzinfo=UTC),
        unsubscribe_url="https://status.example.net/unsubscribe/0123456789abcdef",
        list_id="outages.status.example.net",
        kind="acknowledgement",
    )


async def _product(folder: Path, messages: int) -> dict[str, Any]:
    async with house(folder, (folder / SETTINGS).read_text()) as (core, daemon):
        return asdict(await wave(core, daemon, ChannelName.EMAIL, messages))


def main(words: list[str]) -> None:
    match words:
        case ["sink", port, away]:
            answer = asyncio.run(_sink(int(port), float(away)))
        case ["limit", port, messages, connections]:
            answer = on_a_loop(_limit(int(port), int(messages), int(connections)))
        case ["product", folder, messages]:
            answer = on_a_loop(_product(Path(folder), int(messages)))
        case ["round", messages]:
            [found] = far_server(int(messages), 1)
            answer = asdict(found) | {"ratio": found.ratio, "load": os.getloadavg()[0]}
        case _:
            raise SystemExit(__doc__)
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1:])
