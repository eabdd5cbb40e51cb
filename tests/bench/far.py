"""A part of the report: emails to a mail server that is 5 ms away (far_server.py measures)."""

from collections.abc import Sequence
from statistics import median

from tests.bench.far_server import AWAY, CONNECTIONS, Far, far_server
from tests.bench.report import Figure, spread
from tests.bench.sections import Bar, Bars, Section

RATIO_AT_LEAST = 0.8


def far(messages: int, rounds: int) -> Section:
    found = far_server(messages, rounds)
    section = Section(name="far", title=f"A mail server {AWAY * 1000:.0f} ms away")
    section.about = (
        f"{messages:,} emails over {CONNECTIONS} connections to a sink that answers everything {AWAY * 1000:.0f} ms "
        "late, from the committed rows to the last answer durable in SQLite. The limit: our own channel alone, "
        "pipelined, two round trips a mail, with a ready message and no database."
    )
    section.figures = figures_of(found)
    bars = (
        _bar("pipelined, no database (the limit)", [one.limit for one in found], ours=False),
        _bar("OutageCast", [one.product for one in found], ours=True),
    )
    section.charts.append(Bars(title="Emails a second to a server far away", unit="mails/s", bars=bars))
    return section


def figures_of(found: Sequence[Far]) -> list[Figure]:
    limits, ours, each = ([read(one) for one in found] for read in (_limit, _product, _ratio))
    lags = [one.lag_p99_ms for one in found]
    return [
        Figure(name="far: limit", value=median(limits), unit="msg/s", note=spread(limits)),
        Figure(name="far: product", value=median(ours), unit="msg/s", note=spread(ours)),
        Figure(name="far: product ÷ limit", value=median(each), at_least=RATIO_AT_LEAST, note=spread(each)),
        Figure(name="far: CPU per message", value=median(one.cpu_us for one in found), unit="µs"),
        Figure(name="far: event-loop lag p99", value=median(lags), unit="ms", note=spread(lags)),
    ]


def _limit(one: Far) -> float:
    return one.limit


def _product(one: Far) -> float:
    return one.product


def _ratio(one: Far) -> float:
    return one.ratio


def _bar(label: str, rates: Sequence[float], *, ours: bool) -> Bar:
    return Bar(label=label, value=median(rates), low=min(rates), high=max(rates), ours=ours)
