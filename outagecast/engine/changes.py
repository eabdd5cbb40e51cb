"""What the pages and loops subscribe to: "something changed, look again". A hint only, the truth is in the database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Changes:
    """One daemon's bell. `notify` never blocks; a subscriber that is slow hears once for many rings."""

    def __init__(self) -> None:
        self._bells: set[asyncio.Event] = set()
        self._closed = False

    def notify(self) -> None:
        for bell in self._bells:
            bell.set()

    @asynccontextmanager
    async def bell(self) -> AsyncIterator[asyncio.Event]:
        """An event that is set at every change; the listener clears it."""
        bell = asyncio.Event()
        self._bells.add(bell)
        try:
            yield bell
        finally:
            self._bells.discard(bell)

    async def subscribe(self) -> AsyncIterator[None]:
        """Yields after each change (many at once count as one), until `close`."""
        async with self.bell() as bell:
            while not self._closed:
                await bell.wait()
                bell.clear()
                if not self._closed:
                    yield None

    def close(self) -> None:
        self._closed = True
        self.notify()
