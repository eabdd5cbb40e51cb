"""The tiny provider sending by several routes at once, on a clock that runs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from outagecast.channels.base import Channel
from outagecast.domain.message import ChannelName, EmailMessage, Message, SmsMessage
from outagecast.engine.dispatcher import Dispatcher
from outagecast.engine.routes import STAFF_PLACE, Route, Routes
from tests.support.tiny_provider import START, PlainWords, TinyProvider

_TICK = 0.02


class BothWords(PlainWords):
    """Plain words as a mail where the row wants one."""

    def message(self, row: Any, facts: Mapping[str, Any], key: str = "") -> Message:
        text = super().message(row, facts, key)
        assert isinstance(text, SmsMessage)
        if row.channel == ChannelName.SMS.value:
            return text
        return EmailMessage(
            to=row.to,
            to_name="",
            subject=text.body,
            text=f"{text.body}\n",
            html="",
            language="en",
            message_id=f"{key}@status.example.net",
            references=(),
            date=START,
            unsubscribe_url="",
            list_id="status.example.net",
            kind=row.kind,
        )


def ordered(channel: ChannelName, *carriers: Channel[Any], staff: Channel[Any] | None = None) -> list[Route]:
    """These as a channel's routes: `a` before `b` before `c`; `staff` is the staff's own."""
    found = [
        Route(channel=channel, name=name, place=place, carrier=carrier)
        for place, (name, carrier) in enumerate(zip("abcdef", carriers, strict=False))
    ]
    return found + ([Route(channel=channel, name="staff", place=STAFF_PLACE, carrier=staff)] if staff else [])


@asynccontextmanager
async def sending_by(tiny: TinyProvider, routes: Sequence[Route], owner: str = "here") -> AsyncIterator[Routes]:
    """The ledger and a dispatcher for each route, running; the clock goes with real time."""
    tiny.words = BothWords()

    def make(route: Route, **turns: Any) -> Dispatcher:
        return Dispatcher(
            tiny.house,
            route.channel,
            route.carrier,
            tiny.words,
            tiny.ledger,
            owner=owner,
            new_key=tiny.new_key,
            jitter=lambda: 0.0,
            on_failure=lambda outage_id, code: tiny.failures.append((outage_id, code)),
            route_name=route.name,
            **turns,
        )

    senders = Routes(tiny.house, routes, make, owner=owner)
    tiny.ledger.start()
    senders.start()
    clock = asyncio.create_task(_run(tiny))
    try:
        yield senders
    finally:
        await senders.stop(timedelta(seconds=5))
        await tiny.ledger.stop()
        clock.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await clock
        for route in routes:
            await route.carrier.close()


async def _run(tiny: TinyProvider) -> None:
    while True:
        await asyncio.sleep(_TICK)
        tiny.clock.pass_(_TICK)
