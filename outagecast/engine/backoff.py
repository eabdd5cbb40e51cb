"""How long somebody who guesses passwords has to wait: longer with each wrong try, never for good."""

from datetime import datetime, timedelta

FREE_TRIES = 3
FIRST_WAIT = timedelta(seconds=1)
LONGEST_FROM_THERE = timedelta(minutes=15)
LONGEST_ANYWHERE = timedelta(seconds=30)
"""For a name from all addresses together: short, so that nobody can keep the only admin out by guessing."""
_REMEMBERED = timedelta(hours=1)
_MOST_REMEMBERED = 10_000


class Backoff:
    """Counts wrong tries by name and address, by address, by name; in memory: a restart costs the guesser more."""

    def __init__(self) -> None:
        self._tries: dict[tuple[str, str], tuple[int, datetime]] = {}

    def wait(self, name: str, source: str, now: datetime) -> timedelta:
        """How long the next try has to wait from now; zero if it need not."""
        return max(self._left(key, longest, now) for key, longest in _keys(name, source).items())

    def failed(self, name: str, source: str, now: datetime) -> int:
        """How many tries of this name from this address were wrong in a row."""
        if len(self._tries) > _MOST_REMEMBERED:
            self._tries = {key: seen for key, seen in self._tries.items() if now - seen[1] < _REMEMBERED}
        for key in _keys(name, source):
            count, last = self._tries.get(key, (0, now))
            self._tries[key] = (count + 1 if now - last < _REMEMBERED else 1, now)
        return self._tries[name, source][0]

    def forget(self, name: str, source: str) -> None:
        for key in _keys(name, source):
            self._tries.pop(key, None)

    def _left(self, key: tuple[str, str], longest: timedelta, now: datetime) -> timedelta:
        count, last = self._tries.get(key, (0, now))
        if count < FREE_TRIES:
            return timedelta(0)
        wait = min(longest, FIRST_WAIT * (1 << min(count - FREE_TRIES, 20)))
        return max(timedelta(0), last + wait - now)


def _keys(name: str, source: str) -> dict[tuple[str, str], timedelta]:
    return {
        (name, source): LONGEST_FROM_THERE,
        ("", source): LONGEST_FROM_THERE,
        (name, ""): LONGEST_ANYWHERE,
    }
