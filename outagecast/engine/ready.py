"""Messages in their words that wait for a lane, in order."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

from outagecast.storage.claims import Claim

BATCH = 400
"""Rows a claim takes: one statement for many, yet a small part of a wave to give back when something changes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """A claimed row with its words and its attempt's key."""

    row: Any
    message: Any
    """As its channel has prepared it."""
    key: str
    moment: float = 0.0
    """The monotonic second that it may leave at: its share of the route's rate."""

    @property
    def claim(self) -> Claim:
        return Claim(id=self.row.id, fence=self.row.fence)


class Queue:
    """What is ready for any lane. Each message that comes wakes one lane that rests: a semaphore's coroutine for every
    message had cost as much as the message's words.
    """

    def __init__(self) -> None:
        self._ready: deque[Ready] = deque()
        self._resting: deque[asyncio.Future[None]] = deque()
        self._room = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def first(self) -> Ready | None:
        return self._ready[0] if self._ready else None

    def put(self, ready: Ready) -> None:
        self._ready.append(ready)
        self._wake_one()

    def put_first(self, ready: Ready) -> None:
        self._ready.appendleft(ready)
        self._wake_one()

    def take(self) -> Ready | None:
        if len(self._ready) <= BATCH // 2 + 1:
            self._room.set()
        return self._ready.popleft() if self._ready else None

    async def room(self) -> None:
        """Until half of a batch has left, so that lanes never run dry and little is leased ahead."""
        while len(self._ready) > BATCH // 2:
            self._room.clear()
            await self._room.wait()

    async def rest(self) -> None:
        """Until something may have come, or `wake_all`. Another lane may be quicker."""
        if self._ready:
            return
        resting = asyncio.get_running_loop().create_future()
        self._resting.append(resting)
        try:
            await resting
        except asyncio.CancelledError:
            if resting.done() and not resting.cancelled():
                self._wake_one()  # what woke us is for another one
            raise

    def wake_all(self) -> None:
        while self._resting:
            self._wake_one()

    def _wake_one(self) -> None:
        while self._resting:
            resting = self._resting.popleft()
            if not resting.done():
                resting.set_result(None)
                return
