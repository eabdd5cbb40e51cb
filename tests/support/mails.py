"""A mail to send in tests, and a channel to send it on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from outagecast.channels.base import RouteDown
from outagecast.channels.email import EmailChannel
from outagecast.domain.delivery import Outcome
from outagecast.domain.message import EmailMessage
from tests.support.smtp_server import ScriptedServer

MAIL = EmailMessage(
    to="ada@example.net",
    to_name="Ada Byron",
    subject="Your line is down",
    text="Hello Ada,\n.\n..\nyour line LEX-1 is down.\n",
    html="<p>Hello Ada, your line LEX-1 is down.</p>\n",
    language="en",
    message_id="oc.1.1.ack.0123456789abcdef@status.example.net",
    references=(),
    date=datetime(2026, 11, 22, 4, 5, 6, tzinfo=UTC),
    unsubscribe_url="https://status.example.net/unsubscribe/0123456789abcdef",
    list_id="outages.status.example.net",
    kind="acknowledgement",
)


def mail(**changes: Any) -> EmailMessage:
    """`MAIL` with some fields changed."""
    return replace(MAIL, **changes)


@asynccontextmanager
async def channel_to(server: ScriptedServer, *, patience: float = 10, **changes: Any) -> AsyncIterator[EmailChannel]:
    """A channel to the scripted server, closed at the end. `patience`: seconds for each of its time-outs."""
    limit = timedelta(seconds=patience)
    settings: dict[str, Any] = {
        "host": server.host,
        "port": server.port,
        "sender": "Bluegrass Fiber <status@example.net>",
        "ehlo_name": "noc.example.net",
        "connect_timeout": limit,
        "command_timeout": limit,
        "data_timeout": limit,
    }
    channel = EmailChannel(**(settings | changes))
    try:
        yield channel
    finally:
        await channel.close()


async def send(channel: EmailChannel, message: EmailMessage = MAIL) -> Outcome:
    """What becomes of one mail on a lane of its own; a route that is down included."""
    try:
        async with channel.lane() as lane:
            return await lane.send(message)
    except RouteDown as down:
        return down.outcome
