"""A route's rate, kept by all daemons together: each claim takes a stretch of moments, one for each of its rows.

Little is taken ahead, so that nothing is leased for long: a second's worth, and no more before that is nearly used up.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from math import ceil
from time import monotonic
from typing import Any

from outagecast.storage import rates
from outagecast.storage.engine import Connection

WINDOW = timedelta(seconds=1)
"""What one claim takes at the most, and how far ahead a claim may begin."""
LATE = 0.5
"""Seconds after its moment when a row may not leave any more: too many that are late would leave together."""


class Pace:
    """One daemon's share of a route's rate. `per_second` 0: no limit, and nothing is asked of the database."""

    def __init__(self, route: str, per_second: float) -> None:
        self._route = route
        self._per_second = per_second
        self._moments: dict[int, float] = {}
        self._again_at = 0.0

    def is_taken(self) -> bool:
        """Whether all moments worth taking are given out, so that a claim need not be tried."""
        return monotonic() < self._again_at

    async def claim(
        self, conn: Connection, most: int, claim: Callable[[int], Awaitable[Sequence[Any]]]
    ) -> Sequence[Any]:
        """What `claim` answers when it is asked for as many rows as there are moments; `moment` then has theirs."""
        self._moments = {}
        if self._per_second <= 0:
            return await claim(most)
        every = timedelta(seconds=1 / self._per_second)
        count = min(most, max(1, ceil(WINDOW / every)))
        free = await rates.next_free(conn, self._route, at_most=WINDOW * 2 + every)
        here = monotonic()
        if free.wait > WINDOW:
            self._again_at = here + (free.wait - WINDOW).total_seconds()
            return ()
        rows = await claim(count)
        if rows:
            await rates.take(conn, self._route, free.now + free.wait + len(rows) * every)
            first = here + free.wait.total_seconds()
            self._moments = {row.id: first + n * every.total_seconds() for n, row in enumerate(rows)}
        return rows

    def moment(self, row: Any) -> float:
        """When a row of the last claim may leave, as a monotonic second; 0 where any moment will do."""
        return self._moments.get(row.id, 0.0)
