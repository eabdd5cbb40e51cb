"""What Prometheus scrapes: counted from rows every few seconds, so that a number here equals a recount."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from outagecast.engine.dispatcher import Dispatcher
from outagecast.engine.ledger import Ledger
from outagecast.engine.receipts import Receipts
from outagecast.storage import counts
from outagecast.storage.engine import Database


class Metrics(Collector):
    """`refresh` reads the database; a scrape only prints what was read last."""

    def __init__(
        self,
        db: Database,
        clock: Callable[[], datetime],
        dispatchers: Mapping[str, Dispatcher],
        ledger: Ledger,
        receipts: Receipts,
    ) -> None:
        self._db = db
        self._clock = clock
        self._dispatchers = dispatchers
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
        oldest = GaugeMetricFamily(
            "outagecast_oldest_due_seconds",
            "Age of the oldest message that is due and has not left.",
            labels=["channel"],
        )
        outcomes = CounterMetricFamily(
            "outagecast_outcomes", "Answers of the channels since the start.", labels=["channel", "outcome"]
        )
        up = GaugeMetricFamily("outagecast_route_up", "1 while a channel gets through.", labels=["channel"])
        for channel, dispatcher in self._dispatchers.items():
            oldest.add_metric([channel], max(0.0, self._oldest.get(channel, 0.0)))
            up.add_metric([channel], 0 if dispatcher.route.since else 1)
            for outcome, count in dispatcher.counts.items():
                outcomes.add_metric([channel, outcome], count)
        yield from (oldest, outcomes, up)
        yield CounterMetricFamily(
            "outagecast_ledger_faults", "Transactions the database refused.", value=self._ledger.faults
        )
        yield CounterMetricFamily(
            "outagecast_unknown_receipts", "Receipts that named nothing of ours.", value=self._receipts.unknown
        )
