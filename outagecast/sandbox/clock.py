"""The sandbox's clock: real time, or real time made faster so that it matches an accelerated daemon."""

import time
from collections.abc import Callable
from datetime import UTC, datetime


class SandboxClock:
    """`shown = epoch + (wall - epoch) * speed`, as an aware UTC datetime.

    `epoch` is the moment from which time runs faster; it must be the daemon's own, or the two drift apart.
    """

    def __init__(
        self, *, epoch: datetime | None = None, speed: float = 1.0, wall: Callable[[], float] = time.time
    ) -> None:
        self._wall = wall
        self.speed = speed
        self._epoch = wall() if epoch is None else epoch.timestamp()

    def wall(self) -> float:
        """Real seconds since 1970: what a log needs besides the shown time when the two differ."""
        return self._wall()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._epoch + (self._wall() - self._epoch) * self.speed, UTC)
