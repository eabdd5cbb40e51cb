"""How long somebody who guesses passwords has to wait: longer with each wrong try, never for good.

Counted in the database, so that several daemons behind one load balancer give nobody more tries than one; under hashes,
for people type passwords where a name belongs.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from outagecast.engine.digests import digest
from outagecast.storage import sign_ins
from outagecast.storage.engine import Connection
from outagecast.storage.sign_ins import Wrong

FREE_TRIES = 3
FIRST_WAIT = timedelta(seconds=1)
LONGEST_FROM_THERE = timedelta(minutes=15)
LONGEST_ANYWHERE = timedelta(seconds=30)
"""For a name from all addresses together: short, so that nobody can keep the only admin out by guessing."""
REMEMBERED = timedelta(hours=1)


class Backoff:
    """Counts wrong tries by name and address, by address, by name. `what` is guessed: each has counts of its own."""

    def __init__(self, what: str) -> None:
        self._what = what

    async def wait(self, conn: Connection, name: str, source: str, now: datetime) -> timedelta:
        """How long the next try has to wait from now; zero if it need not."""
        longest = self._keys(name, source)
        known = await sign_ins.wrong_tries(conn, longest)
        return max((_left(tries, longest[key], now) for key, tries in known.items()), default=timedelta(0))

    async def failed(self, conn: Connection, name: str, source: str, now: datetime) -> int:
        """How many tries of this name from this address were wrong in a row."""
        keys = self._keys(name, source)
        known = await sign_ins.wrong_tries(conn, keys)
        counts = {
            key: known[key].count + 1 if key in known and now - known[key].last_at < REMEMBERED else 1 for key in keys
        }
        await sign_ins.note_wrong_tries(conn, counts, now, forget_before=now - REMEMBERED)
        return counts[self._key(name, source)]

    async def forget(self, conn: Connection, name: str, source: str) -> None:
        await sign_ins.forget_wrong_tries(conn, self._keys(name, source))

    def _keys(self, name: str, source: str) -> Mapping[str, timedelta]:
        return {
            self._key(name, source): LONGEST_FROM_THERE,
            self._key("", source): LONGEST_FROM_THERE,
            self._key(name, ""): LONGEST_ANYWHERE,
        }

    def _key(self, name: str, source: str) -> str:
        return digest(f"{self._what}\n{name}\n{source}")


def _left(tries: Wrong, longest: timedelta, now: datetime) -> timedelta:
    if tries.count < FREE_TRIES:
        return timedelta(0)
    wait = min(longest, FIRST_WAIT * (1 << min(tries.count - FREE_TRIES, 20)))
    return max(timedelta(0), tries.last_at + wait - now)
