"""One route's sending: claim, put into words, mark, write, record.

A feeder claims due rows in batches and has them rendered off the loop; as many workers as the route has lanes write
them. A route that is down stops all lanes at once, gives the rows back and is probed with one row every
`probe_after` (domain/routes.py). Which rows it may take beside a channel's other routes, `may_claim` says.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import structlog

from outagecast.channels.base import Channel, Lane, RouteDown
from outagecast.domain.delivery import (
    Accepted,
    Ambiguous,
    Deferred,
    DeliveryState,
    FailureScope,
    Outcome,
    Rejected,
    RetryPolicy,
    after,
)
from outagecast.domain.message import ChannelName
from outagecast.domain.notices import NoticeKind
from outagecast.domain.routes import Admission, Breaker, Carries, admission, doubted, fell, is_silent, rose
from outagecast.domain.suppression import EndReason, SuppressReason
from outagecast.domain.throttle import Bucket, admit
from outagecast.engine.crashpoints import Crash, CrashPoint, never
from outagecast.engine.feeder import Feeder, Words
from outagecast.engine.house import House
from outagecast.engine.ledger import Ledger, Suppression
from outagecast.engine.pacing import LATE, Pace
from outagecast.engine.ready import Queue, Ready
from outagecast.storage.wire import Finish, Mark

log = structlog.get_logger(__name__)
IMPATIENCE = 2.0
"""Seconds after which a message that waits behind another one on its lane may go by another lane."""


class _Promise:
    """A message that is to follow on a lane; None once it has gone back to the queue."""

    def __init__(self, ready: Ready, since: float) -> None:
        self.ready: Ready | None = ready
        self.since = since


class Dispatcher:
    """Sends a channel's rows by one route. `new_key` gives an attempt's opaque key, `jitter` a number in [0, 1).

    `route_name` is noted with each attempt. `may_claim`: whose rows are this route's turn now. `on_route`: told when it
    went down or came back. `most_doubts`: so many unanswered messages in a row open its breaker, 0: none do.
    `spare` gives one to a route before this that is due to be tried; whether it did.
    """

    def __init__(
        self,
        house: House,
        name: ChannelName,
        channel: Channel[Any],
        words: Words,
        ledger: Ledger,
        *,
        owner: str,
        new_key: Callable[[], str],
        jitter: Callable[[], float],
        crash: Crash = never,
        on_failure: Callable[[str, str], None] = lambda outage_id, reason: None,
        route_name: str = "",
        may_claim: Callable[[], Carries] = lambda: Carries.ALL,
        on_route: Callable[[], None] = lambda: None,
        most_doubts: int = 0,
        spare: Callable[[Ready], bool] | None = None,
    ) -> None:
        self._house = house
        self._name = name
        self._route_name = route_name
        self._on_route = on_route
        self._most_doubts = most_doubts
        self._channel = channel
        self._ledger = ledger
        self._jitter = jitter
        self._crash = crash
        self._on_failure = on_failure
        self._policy = RetryPolicy(
            delays=house.delivery.retry_after,
            # A message that met a dead route need not wait until that is tried again, where another one takes over.
            probe=min(house.delivery.probe_after, house.delivery.fail_over_after)
            if most_doubts
            else house.delivery.probe_after,
            give_up_after=house.delivery.give_up_after,
        )
        rate = channel.rate_per_second
        self._bucket = Bucket(per_second=rate, burst=max(1.0, min(rate, 10.0)), tokens=1.0, at=monotonic())
        self._queue = Queue()
        self._feeder = Feeder(
            house,
            name,
            channel,
            words,
            ledger,
            self._queue,
            Pace(f"{name.value} {route_name}".strip(), channel.rate_per_second),
            self,
            owner=owner,
            new_key=new_key,
            crash=crash,
            on_failure=on_failure,
            may_claim=may_claim,
            spare=spare,
        )
        self.is_closed = False
        self.downs = 0
        self._busy = 0
        self._promises: set[_Promise] = set()
        self._impatience: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.route = Breaker()
        self.last_left_at: datetime | None = None
        """When a message was last accepted."""
        self.counts: dict[str, int] = {}
        """Outcomes by word since the start."""

    # --- life ---

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._feeder.run(), name=f"{self._name}-feeder")]
        self._tasks += [
            asyncio.create_task(self._lane_worker(), name=f"{self._name}-lane-{n}")
            for n in range(self._channel.connections)
        ]

    @property
    def is_busy(self) -> bool:
        """Whether there is more to send than is being sent."""
        return len(self._queue) > 0

    def wake(self) -> None:
        """Something was committed: look at once."""
        self._feeder.wake()

    async def stop(self, patience: timedelta) -> None:
        """No new claims; what is on the wire gets its answer, what is not goes back."""
        self.is_closed = True
        self._feeder.wake()
        self._give_back_queue()
        self._queue.wake_all()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience.total_seconds()):
                await asyncio.gather(*self._tasks, return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._impatience is not None:
            self._impatience.cancel()
        self._give_back_queue()
        await self._ledger.settled()

    # --- sending ---

    async def _lane_worker(self) -> None:
        while not self.is_closed:
            ready = self._queue.take()
            if ready is None:
                await self._queue.rest()
                continue
            self._busy += 1
            self._ledger.lane_opened()
            try:
                await self._run_lane(ready)
            finally:
                self._busy -= 1
                self._ledger.lane_closed()

    async def _run_lane(self, first: Ready) -> None:
        """Take a lane and write on it as long as there is work."""
        ready: Ready | None = first
        try:
            async with self._channel.lane() as lane:
                while ready is not None:
                    if self._bucket.per_second > 0 or ready.moment > 0:
                        await self._keep_rate(ready)
                    if self.is_closed:
                        break
                    current, ready = ready, None
                    promise = self._promise_next()
                    try:
                        if 0.0 < current.moment < monotonic() - LATE:
                            self._ledger.give_back(current.claim)
                        else:
                            await self._send(lane, current, promise)
                    finally:
                        ready = self._redeem(promise)
                    # Never wait for work here: an idle lane that counts as busy would keep the route from being probed.
                    if ready is None and self._may_go_on():
                        ready = self._queue.take()
                    elif ready is not None and not self._is_up():
                        break
        except RouteDown as down:
            self._route_down(down.outcome)
        finally:
            if ready is not None:
                self._ledger.give_back(ready.claim)

    def _may_go_on(self) -> bool:
        return len(self._queue) > 0 and self._is_up()

    def _is_up(self) -> bool:
        return not self.is_closed and self.route.try_at <= monotonic()

    @property
    def _under_way(self) -> int:
        """Rows that are claimed and not answered."""
        return len(self._queue) + self._busy + len(self._promises)

    def _promise_next(self) -> "_Promise | None":
        """What will follow on this lane, so that it can begin with it: while all lanes are at work, and only where
        nothing but the wire sets the pace.
        """
        ahead = self._channel.looks_ahead and self._busy >= self._channel.connections and self._bucket.per_second <= 0
        if not ahead or self.route.since is not None or not self._may_go_on():
            return None
        ready = self._queue.take()
        if ready is None:
            return None
        promise = _Promise(ready, monotonic())
        self._promises.add(promise)
        if self._impatience is None:
            self._impatience = asyncio.get_running_loop().call_later(IMPATIENCE, self._break_promises)
        return promise

    def _redeem(self, promise: "_Promise | None") -> Ready | None:
        if promise is None:
            return None
        self._promises.discard(promise)
        return promise.ready

    def _break_promises(self) -> None:
        """A message must not hang behind another one that gets no answer: some other lane may take it."""
        self._impatience = None
        late = monotonic() - IMPATIENCE
        for promise in [promise for promise in self._promises if promise.since <= late]:
            self._promises.discard(promise)
            if promise.ready is not None:
                self._queue.put_first(promise.ready)
                promise.ready = None
        if self._promises:
            self._impatience = asyncio.get_running_loop().call_later(IMPATIENCE, self._break_promises)

    async def _send(self, lane: Lane[Any], ready: Ready, promise: "_Promise | None" = None) -> None:
        now = self._house.clock()
        mark = Mark(
            id=ready.row.id,
            fence=ready.row.fence,
            key=ready.key,
            number=ready.row.attempt + 1,
            at=now,
            route=self._route_name,
        )
        try:
            allowed = await self._ledger.mark(mark)
        except asyncio.CancelledError:
            self._ledger.give_back(ready.claim)
            raise
        if not allowed:
            self._ledger.refuse(ready.claim)
            return
        self._crash(CrashPoint.BEFORE_SEND)
        try:
            following = promise.ready if promise is not None else None
            outcome = await lane.send(ready.message, following.message if following is not None else None)
        except Exception as error:
            # A bug in the channel: nobody can know what had been written by then.
            log.exception("send_failed", channel=self._name.value, delivery=ready.row.id)
            outcome = Ambiguous(code="bug", reason=f"{type(error).__name__}: {error}")
        self._crash(CrashPoint.AFTER_SEND)
        self._record(ready, outcome)

    async def _keep_rate(self, ready: Ready) -> None:
        """All daemons together by the row's moment; this one by its bucket, should some of them be a little late."""
        now = monotonic()
        self._bucket, wait = admit(self._bucket, now)
        wait = max(wait, ready.moment - now)
        if wait > 0:
            await asyncio.sleep(wait)

    def _record(self, ready: Ready, outcome: Outcome) -> None:
        now = self._house.clock()
        row = ready.row
        word = _WORDS[type(outcome)]
        self.counts[word] = self.counts.get(word, 0) + 1
        then = after(
            outcome,
            attempt=row.attempt + 1,
            age=(now - row.created_at) / self._house.speed,
            endless=row.kind == NoticeKind.ACKNOWLEDGEMENT.value,
            jitter=self._jitter(),
            policy=self._policy,
        )
        self._ledger.finish(self._finish(ready, outcome, then.state, then.wait, now), row.outage_id)
        match outcome:
            case Accepted():
                self.last_left_at = now
                self._route_up()
            case Rejected(scope=FailureScope.MESSAGE | FailureScope.ADDRESS):
                self._route_up()
            case Deferred(scope=FailureScope.ADDRESS):
                self._route_up()
            case Rejected() | Deferred(scope=FailureScope.ROUTE):
                self._route_down(outcome)
            case Ambiguous():
                self._doubt(outcome)
            case Deferred():
                pass
        if isinstance(outcome, Rejected) and outcome.suppress_as and row.address_id is not None:
            reason = SuppressReason(outcome.suppress_as).value
            self._ledger.suppress(
                Suppression(address_id=row.address_id, reason=reason, code=outcome.code, outage_id=row.outage_id)
            )
        if then.state is DeliveryState.FAILED and not (isinstance(outcome, Rejected) and outcome.suppress_as):
            self._on_failure(row.outage_id, outcome.code)

    def _finish(self, ready: Ready, outcome: Outcome, state: DeliveryState, wait: timedelta, now: datetime) -> Finish:
        reason: str | None = None
        if state is DeliveryState.FAILED:
            reason = (EndReason.REJECTED if isinstance(outcome, Rejected) else EndReason.GAVE_UP).value
        return Finish(
            id=ready.row.id,
            fence=ready.row.fence,
            key=ready.key,
            state=state,
            at=now,
            outcome=_WORDS[type(outcome)],
            code=outcome.code,
            detail="" if isinstance(outcome, Accepted) else outcome.reason[:300],
            provider_id=outcome.provider_id if isinstance(outcome, Accepted) else None,
            reason=reason,
            due_at=now + self._house.stretch(wait) if state is DeliveryState.PLANNED else None,
        )

    # --- the route ---

    def _route_down(self, outcome: Deferred | Rejected) -> None:
        wait = self._house.delivery.probe_after
        if isinstance(outcome, Deferred) and outcome.retry_after is not None:
            # The provider's own word: a storm of 429 asks for a second or two, not for half a minute.
            wait = outcome.retry_after
        self._fall(outcome.code, outcome.reason, wait)

    def _doubt(self, outcome: Ambiguous) -> None:
        """One that is never answered may be the network's fault; several in a row are the route's, and each of them is
        a message nobody knows of: where there is another way out, it is taken.
        """
        self.route = doubted(self.route)
        if is_silent(self.route, self._most_doubts):
            self._fall(outcome.code, outcome.reason, self._house.delivery.probe_after)

    def _fall(self, code: str, reason: str, wait: timedelta) -> None:
        was = self.route
        self.route = fell(was, at=monotonic(), now=self._house.clock(), wait=wait, code=code, reason=reason[:200])
        self.downs += 1
        self._give_back_queue()
        if was.since is None:
            log.warning("route_down", channel=self._name.value, route=self._route_name, code=code, reason=reason[:200])
            self._house.changes.notify()
            self._on_route()

    def _route_up(self) -> None:
        was = self.route
        self.route = rose(was)
        if was.since is not None:
            log.info("route_up", channel=self._name.value, route=self._route_name)
            self._house.changes.notify()
            self._on_route()

    def admission(self) -> Admission:
        """Which rows it may take at this moment."""
        return admission(self.route, monotonic(), self._under_way)

    def try_with(self, ready: Ready) -> bool:
        """Take a claimed row of another route's as the probe, if one is due; whether it was taken."""
        if self.is_closed or self.admission() is not Admission.ONE:
            return False
        self._queue.put(replace(ready, moment=0.0))
        return True

    def stand_down(self) -> None:
        """It is another route's turn again: what was claimed and has not begun to leave goes back."""
        self.downs += 1
        self._give_back_queue()

    def _give_back_queue(self) -> None:
        while (ready := self._queue.take()) is not None:
            self._ledger.give_back(ready.claim)


_WORDS: dict[type[Outcome], str] = {
    Accepted: "accepted",
    Deferred: "deferred",
    Rejected: "rejected",
    Ambiguous: "ambiguous",
}
"""Outcomes as an attempt notes them."""
