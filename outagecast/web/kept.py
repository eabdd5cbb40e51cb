"""Answers that many ask for at the same moment: reckoned once, kept for some seconds, dropped when something changed.

When half a town is down, thousands load the status page within the same minute, and its counts go over every line.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

from outagecast.web.ports import Changes

T = TypeVar("T")
AT_MOST_ONCE_IN = 1.0
"""Seconds that an answer holds even while the bell rings: in a wave it rings for every commit."""
_MOST = 200


@dataclass(kw_only=True, slots=True)
class _Answer:
    made_at: float
    task: "asyncio.Task[Any]"
    rung: bool = False


class Kept:
    """`seconds`: how long an answer holds at the most (0: nothing is kept); `monotonic`: the clock of time-outs."""

    def __init__(self, seconds: float, monotonic: Callable[[], float]) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._answers: dict[Hashable, _Answer] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """What `make` answered, for this key, moments ago; or answers now. Who asks meanwhile waits for the same."""
        now = self._monotonic()
        found = self._answers.get(key)
        if found is None or not self._holds(found, now):
            self._answers = {k: kept for k, kept in self._answers.items() if self._holds(kept, now)}
            if len(self._answers) >= _MOST:
                self._answers.clear()
            found = self._answers[key] = _Answer(made_at=now, task=asyncio.ensure_future(_run(make)))
        try:
            # Shielded: who leaves early does not take the answer away from the others.
            answer: T = await asyncio.shield(found.task)
        except Exception:
            self._answers.pop(key, None)
            raise
        return answer

    def ring(self) -> None:
        """Something changed: what is kept is not asked again after `AT_MOST_ONCE_IN`."""
        for kept in self._answers.values():
            kept.rung = True

    async def listen(self, changes: Changes) -> None:
        """Rings whenever the daemon's bell does, until that is closed."""
        async for _ in changes.subscribe():
            self.ring()

    def _holds(self, kept: _Answer, now: float) -> bool:
        return now - kept.made_at < (min(AT_MOST_ONCE_IN, self._seconds) if kept.rung else self._seconds)


async def _run(make: Callable[[], Awaitable[T]]) -> T:
    return await make()
