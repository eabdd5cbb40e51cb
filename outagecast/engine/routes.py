"""A channel's routes in order, and the staff's own: one dispatcher each, of which only the first that gets through
carries (domain/routes.py).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Protocol

from outagecast.channels.base import Attempt, Channel, Reconciler
from outagecast.domain.delivery import Receipt
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import DAEMON
from outagecast.domain.routes import CARRYING, Breaker, Carries, Duty, Passage, carries, duty, passage
from outagecast.domain.timeline import Happened
from outagecast.engine.dispatcher import Dispatcher
from outagecast.engine.flow import UNLIMITED
from outagecast.engine.house import House
from outagecast.engine.ready import Ready
from outagecast.storage import outages, routes
from outagecast.storage.engine import Connection

STAFF_PLACE = -1
MOST_DOUBTS = 5
"""So many unanswered messages in a row, and another route is taken: each is one that nobody knows of."""
_REPORT_EVERY = 20.0
"""Seconds between two reports of routes of which nothing changed; readers believe three times that."""
_COUNTS_EVERY = 2.0
"""Seconds between two reports while messages leave."""
_MEASURED = 30.0
"""Seconds over which the present rate is measured."""
_KEPT = timedelta(days=30)
"""So long what a daemon that is gone wrote down is kept: when its last message left."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """A route as the settings name it. `place`: in its channel's order, STAFF_PLACE for the staff's own."""

    channel: ChannelName
    name: str
    place: int
    carrier: Channel[Any]

    @property
    def is_staff(self) -> bool:
        return self.place == STAFF_PLACE


@dataclass(frozen=True, kw_only=True, slots=True)
class _Standing:
    """What of a route is told at once when it changes."""

    since: datetime | None
    code: str
    turn: Carries
    opened: int


class MakeDispatcher(Protocol):
    """A dispatcher for a route; what it is told beside are the dispatcher's own arguments."""

    def __call__(
        self,
        route: Route,
        *,
        may_claim: Callable[[], Carries],
        on_route: Callable[[], None],
        most_doubts: int,
        spare: Callable[[Ready], bool] | None,
    ) -> Dispatcher: ...


@dataclass(kw_only=True, slots=True)
class Sender:
    """A route and what sends by it. `counted`: (monotonic second, messages sent so far), for the rate. `tried_with`:
    the last message that was given to it to be tried with.
    """

    route: Route
    dispatcher: Dispatcher
    counted: deque[tuple[float, int]] = field(default_factory=deque)
    tried_with: int = 0

    @property
    def sent(self) -> int:
        return sum(self.dispatcher.counts.values())

    @property
    def breaker(self) -> Breaker:
        return self.dispatcher.route

    def passage(self) -> Passage:
        return passage(self.breaker, monotonic())

    def count(self, at: float) -> None:
        """Note how many have been sent by monotonic second `at`."""
        self.counted.append((at, self.sent))
        while len(self.counted) > 2 and at - self.counted[0][0] > _MEASURED:
            self.counted.popleft()

    def rate(self, busy: bool) -> float:
        """Messages a second it can be reckoned with: as measured while there is enough to do, else as configured."""
        configured = self.route.carrier.rate_per_second
        if busy and len(self.counted) > 1:
            (began, before), (ended, after) = self.counted[0], self.counted[-1]
            if after > before and ended - began >= _MEASURED / 3:
                measured = (after - before) / (ended - began)
                return min(measured, configured) if configured else measured
        return configured or UNLIMITED[self.route.channel]


class Routes:
    """All routes of this daemon. `owner` is its name in the outbox."""

    def __init__(self, house: House, found: Sequence[Route], make: MakeDispatcher, *, owner: str) -> None:
        self._house = house
        self._owner = owner
        self._after = house.delivery.fail_over_after
        self._reported: dict[tuple[str, str], _Standing] = {}
        self._reported_sent = 0
        self._reported_at = 0.0
        self._reported_now = house.clock()
        self.senders: tuple[Sender, ...] = ()
        self.senders = tuple(self._sender(route, found, make) for route in found)

    def start(self) -> None:
        for sender in self.senders:
            sender.dispatcher.start()

    def wake(self) -> None:
        for sender in self.senders:
            sender.dispatcher.wake()

    async def stop(self, patience: timedelta) -> None:
        await asyncio.gather(*(sender.dispatcher.stop(patience) for sender in self.senders))

    async def close(self) -> None:
        for sender in self.senders:
            await sender.route.carrier.close()

    @property
    def sent(self) -> int:
        """Answers of all routes since the start."""
        return sum(sender.sent for sender in self.senders)

    def first(self) -> dict[ChannelName, Dispatcher]:
        """Each channel's first route for customers."""
        return {s.route.channel: s.dispatcher for s in self.senders if s.route.place == 0}

    def turn(self, route: Route) -> Carries:
        """Whose messages this route takes now."""
        return carries(self._duty(route, staff=False), self._duty(route, staff=True))

    # --- told to everybody ---

    async def report(self) -> None:
        """Write down how the routes are, for the desk of whichever daemon; each change is a line of the timeline."""
        at, now, sent = monotonic(), self._house.clock(), self.sent
        for sender in self.senders:
            sender.count(at)
        standing = {(s.route.channel.value, s.route.name): self._standing(s) for s in self.senders}
        changed = {key for key, seen in standing.items() if self._reported.get(key) != seen}
        # By our own clock as well: readers judge by it, and it may have been set.
        age = max(at - self._reported_at, (now - self._reported_now) / self._house.stretch(timedelta(seconds=1)))
        if not changed and age < (_REPORT_EVERY if sent == self._reported_sent else _COUNTS_EVERY):
            return
        rows = [self._row(sender, now) for sender in self.senders]
        async with self._house.db.write() as conn:
            if not self._reported:
                await routes.forget(conn, now - self._house.stretch(_KEPT))
            await routes.put(conn, rows)
            for row in rows:
                before = self._reported.get((row["channel"], row["name"]))
                await self._note(conn, row, before.since if before else None, now)
        self._reported, self._reported_sent, self._reported_at, self._reported_now = standing, sent, at, now
        if changed:
            self._house.changes.notify()

    async def _note(self, conn: Connection, row: Mapping[str, Any], before: datetime | None, now: datetime) -> None:
        is_ = row["since"]
        if (before is None) == (is_ is None):
            return
        await outages.record(
            conn,
            at=now,
            what=Happened.ROUTE_BACK if is_ is None else Happened.ROUTE_DOWN,
            actor=DAEMON,
            why=row["code"],
            data={"channel": row["channel"], "route": row["name"]},
            text=row["reason"],
        )

    def _standing(self, sender: Sender) -> _Standing:
        breaker = sender.breaker
        return _Standing(since=breaker.since, code=breaker.code, turn=self.turn(sender.route), opened=breaker.opened)

    def _row(self, sender: Sender, now: datetime) -> dict[str, Any]:
        route, breaker = sender.route, sender.breaker
        return {
            "owner": self._owner,
            "channel": route.channel.value,
            "name": route.name,
            "place": route.place,
            "passage": sender.passage().value,
            "carries": self.turn(route).value,
            "since": breaker.since,
            "code": breaker.code,
            "reason": breaker.reason,
            "opened": breaker.opened,
            "sent": sender.sent,
            "rate": sender.rate(sender.dispatcher.is_busy),
            "last_left_at": sender.dispatcher.last_left_at,
            "seen_at": now,
        }

    # --- whose turn it is ---

    def _sender(self, route: Route, found: Sequence[Route], make: MakeDispatcher) -> Sender:
        others = [each for each in found if each.channel is route.channel and each is not route]
        alone = route.place == 0 and not any(not each.is_staff for each in others)
        dispatcher = make(
            route,
            may_claim=lambda: self.turn(route),
            on_route=self._changed,
            most_doubts=0 if alone or not others else MOST_DOUBTS,
            spare=(lambda ready: self._spare(route, ready)) if others and not route.is_staff else None,
        )
        return Sender(route=route, dispatcher=dispatcher)

    def _order(self, channel: ChannelName, *, staff: bool) -> list[Sender]:
        """The staff's own route comes first for them, and is no route for customers."""
        found = [s for s in self.senders if s.route.channel is channel and (staff or not s.route.is_staff)]
        return sorted(found, key=lambda s: s.route.place)

    def _duty(self, route: Route, *, staff: bool) -> Duty | None:
        before: list[Breaker] = []
        for sender in self._order(route.channel, staff=staff):
            if sender.route is route:
                return duty(before, monotonic(), self._after)
            before.append(sender.breaker)
        return None

    def _spare(self, route: Route, ready: Ready) -> bool:
        """Give a row that this route has claimed to one before it that is due to be tried: whoever takes over would
        leave no row for that one to come back by.
        """
        staff = ready.row.audience == "staff"
        for sender in self._order(route.channel, staff=staff):
            if sender.route is route:
                return False
            if sender.breaker.since is None or self._duty(sender.route, staff=staff) not in CARRYING:
                continue
            # Once by the same message: it has waited for that route already.
            if sender.tried_with != ready.row.id and sender.dispatcher.try_with(ready):
                sender.tried_with = ready.row.id
                return True
        return False

    def _changed(self) -> None:
        """One went down or came back: those whose turn it is no longer give back, the others look."""
        for sender in self.senders:
            if self.turn(sender.route) is Carries.NOTHING:
                sender.dispatcher.stand_down()
        self.wake()


class Accounts:
    """Asks each ambiguous attempt's own account what became of it (`channels.base.Reconciler`)."""

    def __init__(self, by_name: Mapping[str, Reconciler]) -> None:
        self._by_name = by_name

    async def find(self, attempts: Sequence[Attempt]) -> dict[str, Receipt]:
        """Receipts by attempt key. An attempt of before the routes had names may be anybody's; one of a route that the
        settings no longer hold can be asked about nowhere. Raises RouteDown.
        """
        found: dict[str, Receipt] = {}
        for name, account in self._by_name.items():
            asked = [a for a in attempts if getattr(a, "route", "") in ("", name) and a.key not in found]
            if asked:
                found |= await account.find(asked)
        return found
