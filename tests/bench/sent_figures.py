"""What the rounds of emails and texts come to: figures beside their limits, the table of the programs, the chart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.bench.arithmetic import Spread, ratios, spread_of
from tests.bench.competition import Entry
from tests.bench.letters import Letter
from tests.bench.report import Figure, spread
from tests.bench.sections import Bar, Bars, Table, shown

LAG_P99_AT_MOST_MS = 20.0
MEMORY_AT_MOST_MB = 250.0
EMAIL_RATIO_AT_LEAST = 0.35
SMS_RATIO_AT_LEAST = 0.45
PEERS_AT_LEAST = {"nodemailer": 9.0, "Prometheus Alertmanager": 2.0}
"""How many times as fast as this peer one sender process has to be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """Messages a second of the limit and of the product, what the product says of itself, and how its database grew."""

    limit: float
    product: float
    took: dict[str, Any]
    grown: int

    @property
    def ratio(self) -> float:
        """From the declaration to the last answer."""
        return self.product / self.limit

    @property
    def ratio_on_the_wire(self) -> float:
        """From the answered declaration, when every row is committed, to the last answer."""
        took = float(self.took["seconds"])
        return self.ratio * took / (took - float(self.took["planned_seconds"]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What a smaller wave to a sink that knows every recipient has shown: octets of a mail, and of all that crossed the
    wire for it; the words that the peers send."""

    messages: int
    octets: int
    wire: int
    letter: Letter


@dataclass(kw_only=True, slots=True)
class Rounds:
    """All of them; `peers` by name."""

    ours: list[Round] = field(default_factory=list)
    peers: dict[str, list[float]] = field(default_factory=dict)


def figures_of(name: str, rounds: list[Round], count: int, peer: str, at_least: float) -> list[Figure]:
    """What one channel is held to; `at_least` is the least ratio, from the declaration to the last answer."""

    def middle(read: Callable[[Round], float]) -> float:
        return median(read(one) for one in rounds)

    shares, limits = [one.ratio for one in rounds], spread(one.limit for one in rounds)
    products = spread(one.product for one in rounds)
    memory = max(one.took["memory_mb"] for one in rounds)
    cpu = middle(lambda one: one.took["cpu_seconds"]) / count * 1e6
    lag, lags = middle(lambda one: one.took["lag_p99_ms"]), spread(one.took["lag_p99_ms"] for one in rounds)
    idle = middle(lambda one: one.took["idle_lag_p99_ms"])
    beside = f"an idle loop beside it {idle:.1f} ms; {lags}"
    planning = middle(lambda one: one.took["planned_seconds"])
    return [
        Figure(name=f"{name}: limit", value=middle(lambda one: one.limit), unit="msg/s", note=f"{peer}; {limits}"),
        Figure(name=f"{name}: product", value=middle(lambda one: one.product), unit="msg/s", note=products),
        Figure(name=f"{name}: product ÷ limit", value=median(shares), at_least=at_least, note=spread(shares)),
        Figure(name=f"{name}: CPU per message", value=cpu, unit="µs", note="all threads, planning included"),
        Figure(name=f"{name}: until the declaration is answered", value=planning, unit="s", note=f"of {count:,} rows"),
        Figure(name=f"{name}: event-loop lag p99", value=lag, unit="ms", at_most=LAG_P99_AT_MOST_MS, note=beside),
        Figure(name=f"{name}: peak memory", value=memory, unit="MB", at_most=MEMORY_AT_MOST_MB),
    ]


def on_the_wire(name: str, rounds: Sequence[Round]) -> Figure:
    """Without the planning: only shown."""
    found = [one.ratio_on_the_wire for one in rounds]
    return Figure(name=f"{name}: product ÷ limit from the committed rows on", value=median(found), note=spread(found))


def octet_figures(name: str, rounds: Sequence[Round], count: int) -> list[Figure]:
    """Of database a message."""
    grown = [one.grown / count for one in rounds]
    note = f"a message: outbox, attempts, timeline, impacts, leads; {spread(grown)}"
    return [Figure(name=f"{name}: the database grows by", value=median(grown), unit="octets", note=note)]


def peer_figures(found: Rounds) -> list[Figure]:
    """How many times as fast as each peer, round by round."""
    ours = [one.product for one in found.ours]
    figures = []
    for name, theirs in found.peers.items():
        times = [one / other for one, other in zip(ours, theirs, strict=True)]
        figures.append(
            Figure(
                name=f"emails: product ÷ {name}",
                value=median(times),
                unit="times",
                at_least=PEERS_AT_LEAST.get(name),
                note=spread(times),
            )
        )
    return figures


def table_of(found: Rounds, entries: Sequence[Entry], count: int, checked: Checked) -> Table:
    """A line a program, the limit first."""
    limits = [one.limit for one in found.ours]
    ours = [one.product for one in found.ours]
    cpu = median(one.took["cpu_seconds"] for one in found.ours) / count * 1e6
    rows = [
        _row(
            "smtp-source (the limit)",
            limits,
            limits,
            ours,
            "",
            f"{checked.octets:,}",
            "makes nothing, records nothing",
        ),
        _row("OutageCast", ours, limits, ours, f"{cpu:,.0f}", f"{checked.wire:,}", "one process; SQLite FULL"),
    ]
    for entry in entries:
        theirs = found.peers[entry.peer.NAME]
        spent = shown(median(entry.cpu_us)) + (
            f" + {median(entry.server_cpu_us):,.0f}" if any(entry.server_cpu_us) else ""
        )
        how = f"{entry.count_of(count):,} mails; {entry.peer.HOW}"
        rows.append(_row(entry.peer.NAME, theirs, limits, ours, spent, f"{entry.wire:,}", how))
    return Table(
        title="The same words to the same sink",
        head=(
            "program",
            "mails/s",
            "spread",
            "÷ limit",
            "OutageCast ÷ it",
            "CPU µs a mail",
            "wire octets",
            "how",
        ),
        rows=tuple(rows),
    )


def _row(
    name: str, rates: list[float], limits: list[float], ours: list[float], cpu: str, wire: str, how: str
) -> tuple[str, ...]:
    rate, share, times = spread_of(rates), ratios(rates, limits), ratios(ours, rates)
    low_high = f"{rate.low:,.0f} to {rate.high:,.0f}"
    return name, f"{rate.middle:,.0f}", low_high, shown(share.middle), shown(times.middle), cpu, wire, how


def chart_of(found: Rounds, entries: Sequence[Entry]) -> Bars:
    """A bar a program, the limit first."""
    rates = {
        "smtp-source (the limit)": [one.limit for one in found.ours],
        "OutageCast": [one.product for one in found.ours],
    }
    rates |= {entry.peer.NAME: found.peers[entry.peer.NAME] for entry in entries}
    return Bars(
        title="Personalised emails a second, one program at a time",
        unit="mails/s",
        bars=tuple(_bar(name, spread_of(values)) for name, values in rates.items()),
    )


def _bar(name: str, rate: Spread) -> Bar:
    return Bar(label=name, value=rate.middle, low=rate.low, high=rate.high, ours=name == "OutageCast")
