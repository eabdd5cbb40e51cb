"""SQLite and PostgreSQL with one, two and four sender processes, as they are run in life: `serve --role web` takes the
declaration, `serve --role sender` sends.

Every round runs the limit and then each combination, on a database of its own. The time runs from the request that
declares until the API says that every email is accepted.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.api import Api
from tests.bench.arithmetic import ratios, spread_of
from tests.bench.children import free_port
from tests.bench.daemons import fleet
from tests.bench.postgres import SETTINGS as POSTGRES_SETTINGS
from tests.bench.postgres import Server, serving_postgres
from tests.bench.postgres import available as postgres_missing
from tests.bench.processes import cpu_seconds, peak_mb
from tests.bench.provider import Provider, copy_of, make_provider
from tests.bench.report import Figure, spread
from tests.bench.sections import Bar, Bars, Missing, Section, Table, shown
from tests.bench.settings import config_text
from tests.bench.sinks import Sink, counting_sink, fast_sink, limit_name, limit_per_second, wait_for

SENDERS = (1, 2, 4)
WORDS = {1: "one sender", 2: "two senders", 4: "four senders"}
TWO_ON_SQLITE_AT_LEAST = 0.5
POSTGRES_AT_LEAST = 0.6
RISING = 1.05
"""A second sender is to help by more than the rounds differ."""
CHECKED = 500
PATIENCE = 30.0
"""Seconds without one more mail after which a wave is given up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """One wave. `planned_seconds`: until the declaration was answered; `memory_mb`: of the largest process; CPU of
    all of the product's processes, and of the database server beside them."""

    seconds: float
    planned_seconds: float
    cpu_seconds: float
    server_cpu_seconds: float
    memory_mb: float
    grown: int


Variant = tuple[str, int]
"""The database's name, and how many senders."""


def senders(count: int, rounds: int) -> Section:
    section = Section(name="senders", title="SQLite and PostgreSQL; one, two, four senders")
    section.missing += [
        Missing(what="several machines", why="senders, database and sink share the cores of this one"),
        Missing(what="hook, pages, desk, import and growth on PostgreSQL", why="only sending is measured on both"),
        Missing(what="TLS on the way to the mail server", why="smtp-sink speaks none, so there is no limit beside it"),
    ]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server, providers = None, {"SQLite": make_provider(folder / "sqlite", count)}
        if lacking := postgres_missing():
            section.missing.append(Missing(what="the product on PostgreSQL", why=lacking))
        else:
            server = stack.enter_context(serving_postgres())
            providers["PostgreSQL"] = make_provider(folder / "postgresql", count, server)
        octets = check(folder, server)
        variants = [(name, number) for name in providers for number in SENDERS]
        found: dict[Variant, list[Sent]] = {variant: [] for variant in variants}
        limits = []
        for _ in range(rounds):
            limits.append(limit_per_second(folder, count, octets))
            for name, number in variants:
                found[name, number].append(run(providers[name], number, folder))
    section.about = (
        f"{count:,} personalised emails; one process takes the declaration and plans (serve --role web), the others "
        f"send (serve --role sender), ten connections each. SQLite with synchronous=FULL; PostgreSQL with fsync and "
        f"synchronous_commit on, {', '.join(POSTGRES_SETTINGS)}, on the same cores as everything else. The limit: "
        f"{limit_name(octets)}. Checked first: {CHECKED} mails by two senders, each recipient once."
    )
    section.figures = figures_of(found, limits, count)
    section.tables.append(_table(found, limits, count))
    section.charts.append(_chart(found, limits, count))
    return section


def check(folder: Path, server: Server | None) -> int:
    """That two senders send each mail of a smaller wave once, on each database; the octets of a mail."""
    providers = [make_provider(folder / "check-sqlite", CHECKED)]
    if server is not None:
        providers.append(make_provider(folder / "check-postgresql", CHECKED, server, template="check"))
    octets = 0
    for provider in providers:
        with counting_sink() as (port, counted):
            send(provider, 2, port)
        numbers = (counted["messages"], counted["recipients"])
        assert numbers == (CHECKED, CHECKED), f"arrived, recipients: {numbers}, not {CHECKED}"
        octets = counted["octets"] // CHECKED
    return octets


def run(provider: Provider, number: int, folder: Path) -> Sent:
    """One wave to the fast sink. AssertionError if it has not counted each once."""
    with fast_sink(folder) as sink:
        sent = send(provider, number, sink.port, sink)
    assert sink.total == provider.customers, f"{sink.total} of {provider.customers} mails arrived"
    return sent


def send(provider: Provider, number: int, smtp_port: int, sink: Sink | None = None) -> Sent:
    """One wave by so many senders. The API is asked how far it is only when all are at the sink, where that can say."""
    with copy_of(provider) as copy:
        port = free_port()
        copy.settle(config_text(database=copy.url, smtp_port=smtp_port, port=port))
        with fleet(copy.folder, port, number) as processes:
            pids = [process.pid for process in processes]
            api = Api(port=port, token=provider.token)
            server = provider.server
            used, server_used = _cpu(pids), server.cpu_seconds() if server else 0.0
            started = time.monotonic()
            outage_id = api.declare("POP-LEX")
            planned = time.monotonic() - started
            if sink is not None and sink.arrived() >= 0:
                wait_for(sink, provider.customers, PATIENCE)
            api.wait_for(outage_id, provider.customers, PATIENCE)
            seconds = time.monotonic() - started
            used, server_used = _cpu(pids) - used, server.cpu_seconds() - server_used if server else 0.0
            memory = max(peak_mb(pid) for pid in pids)
        grown = copy.grown()
    return Sent(
        seconds=seconds, planned_seconds=planned, cpu_seconds=used, server_cpu_seconds=server_used,
        memory_mb=memory, grown=grown,
    )  # fmt: skip


def _cpu(pids: Sequence[int]) -> float:
    return sum(cpu_seconds(pid) for pid in pids)


# --- figures ---


def figures_of(found: Mapping[Variant, Sequence[Sent]], limits: Sequence[float], count: int) -> list[Figure]:
    """Round by round; the limits are of the same rounds."""
    rates = {variant: [count / one.seconds for one in sent] for variant, sent in found.items()}

    def figure(name: str, ours: Sequence[float], theirs: Sequence[float], at_least: float | None = None) -> Figure:
        each = [one / other for one, other in zip(ours, theirs, strict=True)]
        return Figure(name=f"senders: {name}", value=median(each), at_least=at_least, note=spread(each))

    lite = rates["SQLite", 1]
    figures = [
        figure("SQLite, one ÷ limit", lite, limits),
        figure("SQLite, two ÷ limit", rates["SQLite", 2], limits, TWO_ON_SQLITE_AT_LEAST),
        figure("SQLite, two ÷ one", rates["SQLite", 2], lite),
        figure("SQLite, four ÷ one", rates["SQLite", 4], lite),
    ]
    if ("PostgreSQL", 1) not in rates:
        return figures
    other = rates["PostgreSQL", 1]
    return [
        *figures,
        figure("PostgreSQL ÷ SQLite, one each", other, lite, POSTGRES_AT_LEAST),
        figure("PostgreSQL, two ÷ limit", rates["PostgreSQL", 2], limits),
        figure("PostgreSQL, two ÷ one", rates["PostgreSQL", 2], other, RISING),
        figure("PostgreSQL, four ÷ one", rates["PostgreSQL", 4], other),
    ]


def _table(found: Mapping[Variant, Sequence[Sent]], limits: Sequence[float], count: int) -> Table:
    rows = []
    for (name, number), sent in found.items():
        rates = [count / one.seconds for one in sent]
        alone = [count / one.seconds for one in found[name, 1]]
        rate = spread_of(rates)
        cpu = [median(read(one) for one in sent) / count * 1e6 for read in (_ours, _servers)]
        rows.append(
            (
                f"{name}, {WORDS[number]}",
                f"{rate.middle:,.0f}",
                f"{rate.low:,.0f} to {rate.high:,.0f}",
                shown(ratios(rates, limits).middle),
                shown(ratios(rates, alone).middle),
                f"{median(one.planned_seconds for one in sent):.2f}",
                f"{cpu[0]:,.0f}",
                f"{cpu[1]:,.0f}",
                f"{max(one.memory_mb for one in sent):,.0f}",
                f"{median(one.grown for one in sent) / count:,.0f}",
            )
        )
    head = ("", "mails/s", "spread", "÷ limit", "÷ one sender", "planned, s", "CPU µs a mail", "server's CPU µs",
            "largest process, MB", "octets of database a mail")  # fmt: skip
    return Table(title="Emails a second, from the declaration to the last one accepted", head=head, rows=tuple(rows))


def _chart(found: Mapping[Variant, Sequence[Sent]], limits: Sequence[float], count: int) -> Bars:
    limit = spread_of(limits)
    bars = [Bar(label="smtp-source (the limit)", value=limit.middle, low=limit.low, high=limit.high)]
    for (name, number), sent in found.items():
        rate = spread_of([count / one.seconds for one in sent])
        bars.append(Bar(label=f"{name}, {WORDS[number]}", value=rate.middle, low=rate.low, high=rate.high, ours=True))
    return Bars(title="Emails a second by database and senders", unit="mails/s", bars=tuple(bars))


def _ours(sent: Sent) -> float:
    return sent.cpu_seconds


def _servers(sent: Sent) -> float:
    return sent.server_cpu_seconds
