"""Answers that many ask for at the same moment: reckoned once, kept for some seconds, dropped when something changed.

When half a town is down, thousands load the status page within the same minute, and its counts go over every line.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from outagecast.web.ports import Changes

T = TypeVar("T")
H = TypeVar("H", bound=Hashable)
AT_MOST_ONCE_IN = 1.0
"""Seconds that an answer holds even while the bell rings: in a wave it rings for every commit."""
_MOST = 200
_MOST_LASTING = 2000


@dataclass(kw_only=True, slots=True)
class _Answer:
    made_at: float
    task: "asyncio.Task[Any]"
    rung: bool = False
    next: "_Answer | None" = None
    """The answer that is being made to take this one's place."""


class Kept:
    """`seconds`: how long an answer holds at the most (0: nothing is kept); `monotonic`: the clock of time-outs."""

    def __init__(self, seconds: float, monotonic: Callable[[], float]) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._answers: dict[Hashable, _Answer] = {}
        self._lasting: dict[Any, Any] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[T]], *, meanwhile: bool = False) -> T:
        """What `make` answered, for this key, moments ago; or answers now. Who asks meanwhile waits for the same.

        `meanwhile`: where something has changed, the old answer is given while the new one is made, unless it is older
        than `seconds`. Whoever shows it looks again a little later.
        """
        now = self._monotonic()
        found = self._answers.get(key)
        if meanwhile and found is not None and found.task.done() and now - found.made_at < self._seconds:
            if not self._holds(found, now) and found.next is None:
                old, task = found, asyncio.ensure_future(_run(make))
                old.next = _Answer(made_at=now, task=task)
                task.add_done_callback(lambda _: self._take_over(key, old))
        elif found is None or not self._holds(found, now):
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

    async def lasting(self, keys: Iterable[H], make: Callable[[Sequence[H]], Awaitable[Mapping[H, T]]]) -> dict[H, T]:
        """For keys that name all their answers depend on, so that these never grow old: `make` is asked for those that
        are not known yet.
        """
        wanted = list(keys)
        new = [key for key in wanted if key not in self._lasting]
        made = dict(await make(new)) if new else {}
        found: dict[H, T] = {key: self._lasting[key] for key in wanted if key in self._lasting} | made
        if self._seconds:
            if len(self._lasting) + len(made) > _MOST_LASTING:
                self._lasting.clear()
            self._lasting.update(made)
        return found

    def _take_over(self, key: Hashable, old: _Answer) -> None:
        """The new answer stands in the old one's place, unless that is gone or the new one failed."""
        if old.next is None or self._answers.get(key) is not old:
            return
        if old.next.task.cancelled() or old.next.task.exception() is not None:
            old.next = None
            return
        self._answers[key] = old.next

    def ring(self) -> None:
        """Something changed: what is kept is not asked again after `AT_MOST_ONCE_IN`."""
        for kept in self._answers.values():
            kept.rung = True
            if kept.next is not None:
                kept.next.rung = True

    async def listen(self, changes: Changes) -> None:
        """Rings whenever the daemon's bell does, until that is closed."""
        async for _ in changes.subscribe():
            self.ring()

    def _holds(self, kept: _Answer, now: float) -> bool:
        return now - kept.made_at < (min(AT_MOST_ONCE_IN, self._seconds) if kept.rung else self._seconds)


async def _run(make: Callable[[], Awaitable[T]]) -> T:
    return await make()
