"""What every channel offers the dispatcher.

A lane is one place on the wire that is up and free: a kept SMTP session, one of the allowed HTTP calls. The dispatcher
takes a lane first, marks the row TRANSMITTING durably, and only then lets the lane write: so a route that is down never
makes a row ambiguous.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol, TypeVar

from outagecast.domain.delivery import Deferred, Outcome, Receipt, Rejected

M = TypeVar("M")
W = TypeVar("W", contravariant=True)


class RouteDown(Exception):
    """No lane to be had: nothing was written. Carries the outcome that describes why (scope ROUTE)."""

    def __init__(self, outcome: Deferred | Rejected) -> None:
        super().__init__(f"{outcome.code} {outcome.reason}")
        self.outcome = outcome


class Lane(Protocol[W]):
    async def send(self, message: W, following: W | None = None) -> Outcome:
        """Write one message and wait for the answer. Never raises for what a provider or the network does.

        `following` will probably come next: the lane may prepare for it, but writes none of its content.
        """
        ...


class Channel(Protocol[M]):
    connections: int
    """How many lanes may be open at once."""
    rate_per_second: float
    """Messages a second, 0 = no limit; the dispatcher keeps it."""
    looks_ahead: bool
    """Whether a lane gains from knowing what follows."""

    def prepared(self, message: M) -> M:
        """The message with all that can be done before its turn, for its lane. Called in a worker thread."""
        ...

    def lane(self) -> AbstractAsyncContextManager[Lane[M]]:
        """A lane that is up; raises RouteDown. Leaving the context gives it back (kept open for the next)."""
        ...

    async def close(self) -> None: ...


class Attempt(Protocol):
    """What is known of an attempt whose outcome was ambiguous."""

    @property
    def key(self) -> str: ...
    @property
    def to(self) -> str: ...
    @property
    def body(self) -> str: ...
    @property
    def started_at(self) -> datetime: ...


class Reconciler(Protocol):
    """A channel that can ask its provider what became of an ambiguous attempt (SMS can, email cannot)."""

    async def find(self, attempts: Sequence[Attempt]) -> dict[str, Receipt]:
        """Receipts by attempt key for those found; what is missing was not found. Raises RouteDown."""
        ...


__all__ = ["Attempt", "Channel", "Lane", "Reconciler", "RouteDown"]
