"""What Prometheus scrapes: counted from rows every few seconds, so that a number here equals a recount."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from outagecast.domain.routes import Carries, Passage
from outagecast.engine.ledger import Ledger
from outagecast.engine.receipts import Receipts
from outagecast.engine.route_watch import RouteWatch
from outagecast.engine.routes import Routes
from outagecast.storage import counts
from outagecast.storage.engine import Database


class Metrics(Collector):
    """`refresh` reads the database; a scrape only prints what was read last."""

    def __init__(
        self,
        db: Database,
        clock: Callable[[], datetime],
        senders: Routes,
        watch: RouteWatch,
        ledger: Ledger,
        receipts: Receipts,
    ) -> None:
        self._db = db
        self._clock = clock
        self._senders = senders
        self._watch = watch
        self._ledger = ledger
        self._receipts = receipts
        self._rows: dict[tuple[str, str], int] = {}
        self._open: dict[str, int] = {}
        self._oldest: dict[str, float] = {}
        self.registry = CollectorRegistry()
        self.registry.register(self)

    async def refresh(self) -> None:
        now = self._clock()
        async with self._db.read() as conn:
            self._rows = await counts.deliveries_by_state(conn)
            self._open = await counts.outages_by_status(conn)
            self._oldest = {c: (now - due).total_seconds() for c, due in (await counts.oldest_due(conn, now)).items()}

    def collect(self) -> Iterable[Metric]:
        deliveries = GaugeMetricFamily("outagecast_deliveries", "Rows of the outbox.", labels=["channel", "state"])
        for (channel, state), count in self._rows.items():
            deliveries.add_metric([channel or "none", state], count)
        yield deliveries
        outages = GaugeMetricFamily("outagecast_outages", "Outages by status.", labels=["status"])
        for status, count in self._open.items():
            outages.add_metric([status], count)
        yield outages
        yield from self._channels()
        yield from self._routes()
        yield CounterMetricFamily(
            "outagecast_ledger_faults", "Transactions the database refused.", value=self._ledger.faults
        )
        yield CounterMetricFamily(
            "outagecast_unknown_receipts", "Receipts that named nothing of ours.", value=self._receipts.unknown
        )

    def _channels(self) -> Iterable[Metric]:
        """Each channel over all its routes for customers."""
        oldest = GaugeMetricFamily(
            "outagecast_oldest_due_seconds",
            "Age of the oldest message that is due and has not left.",
            labels=["channel"],
        )
        outcomes = CounterMetricFamily(
            "outagecast_outcomes", "Answers of the channels since the start.", labels=["channel", "outcome"]
        )
        up = GaugeMetricFamily("outagecast_route_up", "1 while a channel gets through.", labels=["channel"])
        silent = GaugeMetricFamily(
            "outagecast_nothing_left_seconds",
            "How long nothing has left by a channel although it should; 0 while all is well.",
            labels=["channel"],
        )
        for channel in {s.route.channel: None for s in self._senders.senders}:
            own = [s for s in self._senders.senders if s.route.channel is channel]
            ordinary = [s for s in own if not s.route.is_staff]
            oldest.add_metric([channel.value], max(0.0, self._oldest.get(channel.value, 0.0)))
            if ordinary:
                up.add_metric([channel.value], float(any(s.breaker.since is None for s in ordinary)))
            cut = self._watch.cut.get(channel.value)
            silent.add_metric([channel.value], (self._clock() - cut.since).total_seconds() if cut else 0.0)
            added: Counter[str] = Counter()
            for sender in own:
                added.update(sender.dispatcher.counts)
            for outcome, count in added.items():
                outcomes.add_metric([channel.value, outcome], count)
        yield from (oldest, outcomes, up, silent)

    def _routes(self) -> Iterable[Metric]:
        """Each route as this daemon finds it."""
        state = GaugeMetricFamily(
            "outagecast_route_state",
            "1 for the state of a route's breaker: up, down, or probing with one message at a time.",
            labels=["channel", "route", "state"],
        )
        carries = GaugeMetricFamily(
            "outagecast_route_carries",
            "1 for those whose messages a route takes by its turn.",
            labels=["channel", "route", "audience"],
        )
        outcomes = CounterMetricFamily(
            "outagecast_route_outcomes",
            "Answers of a route since the start.",
            labels=["channel", "route", "outcome"],
        )
        opened = CounterMetricFamily(
            "outagecast_route_breaker_opened",
            "How often a route went down since the start.",
            labels=["channel", "route"],
        )
        for sender in self._senders.senders:
            names = [sender.route.channel.value, sender.route.name]
            now, turn = sender.passage(), self._senders.turn(sender.route)
            for each in Passage:
                state.add_metric([*names, each.value], float(each is now))
            for whose in (Carries.CUSTOMERS, Carries.STAFF):
                carries.add_metric([*names, whose.value], float(turn in (whose, Carries.ALL)))
            opened.add_metric(names, sender.breaker.opened)
            for outcome, count in sender.dispatcher.counts.items():
                outcomes.add_metric([*names, outcome], count)
        yield from (state, carries, outcomes, opened)
