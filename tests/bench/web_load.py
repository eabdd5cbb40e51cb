"""Pages and the hook, asked for over HTTP while the daemon runs as it does in life, beside the least that aiohttp does.

Both servers stand for the whole part; each round asks the limit first and the product after it, one after the other.
"""

import json
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.arithmetic import ratios, spread_of
from tests.bench.children import call, free_port, serving
from tests.bench.daemons import daemon
from tests.bench.load import Load, Request, load
from tests.bench.report import Figure, spread
from tests.bench.sections import Bar, Bars, Section, Table, shown
from tests.bench.settings import HOOK_TOKEN, SETTINGS, SQLITE, config_text

HOOK_CONNECTIONS, PAGE_CONNECTIONS = 64, 16
_KEYS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One kind of request and what the rounds measured of it."""

    name: str
    loads: tuple[Load, ...]

    def middle(self, read: Callable[[Load], float]) -> float:
        return median(read(one) for one in self.loads)


def hook(count: int, rounds: int, connections: int = HOOK_CONNECTIONS) -> Section:
    """A storm of alerts over many connections: repeats of alarms that stand, then new ones on what is down already."""
    section = Section(name="hook", title="The hook: alerts coming in")
    with tempfile.TemporaryDirectory() as name:
        folder, port, limit_port = Path(name), free_port(), free_port()
        (folder / SETTINGS).write_text(config_text(port=port, hook=True))
        call("web_house", str(folder), "1000")
        limits, repeats, fresh = [], [], []
        with serving("hello", str(limit_port), port=limit_port), daemon(folder, port):
            for number in range(rounds):
                limits.append(_ask(folder, limit_port, _alerts("/", "r"), count * 2, connections, "202"))
                repeats.append(_ask(folder, port, _alerts("/hooks/bench", "r"), count, connections, "202"))
                new = [_alert("/hooks/bench", f"n{number}-{{n}}")]
                fresh.append(_ask(folder, port, new, max(connections, count // 4), connections, "202"))
        kept = _events(folder)
    taken = sum(one.statuses.get("202", 0) for one in (*repeats, *fresh))
    # One that timed out (503) may have been committed all the same.
    assert kept >= taken, f"only {kept} of {taken} events that were answered with 202 are in the database"
    asked = [
        Asked(name="no store (the limit)", loads=tuple(limits)),
        Asked(name="OutageCast, alarms repeated", loads=tuple(repeats)),
        Asked(name="OutageCast, new alarms", loads=tuple(fresh)),
    ]
    section.about = (
        f"POST /hooks/bench over {connections} kept connections, each answered with 202 after its commit (SQLite, "
        f"synchronous=FULL): {_KEYS} alarms said again and again, and alarms with a key of their own each on an "
        "element that an open outage holds down, which become lines of its timeline. The limit: an aiohttp handler "
        f"that reads the same JSON and stores nothing. All {taken:,} events answered with 202 were in the database."
    )
    section.figures = [
        *_speed("hook: no store", asked[0]),
        *_speed("hook: alarms repeated", asked[1]),
        *_speed("hook: new alarms", asked[2]),
        _ratio("hook: alarms repeated ÷ no store", asked[1], asked[0]),
        _ratio("hook: new alarms ÷ no store", asked[2], asked[0]),
        _refused("hook: answered 503, alarms repeated", asked[1]),
        _refused("hook: answered 503, new alarms", asked[2]),
    ]
    section.tables.append(_table("Alerts", asked))
    section.charts.append(_chart("Alerts a second", asked))
    return section


def pages(count: int, rounds: int, customers: int) -> Section:
    """The public status page, an outage's page and the board, one reader and sixteen."""
    section = Section(name="pages", title="Pages")
    with tempfile.TemporaryDirectory() as name:
        folder, port, limit_port = Path(name), free_port(), free_port()
        (folder / SETTINGS).write_text(config_text(port=port))
        known = call("web_house", str(folder), str(customers))
        cookie = {"Cookie": known["cookie"]}
        wanted: dict[str, tuple[int, Request]] = {
            "hello (the limit)": (limit_port, ("GET", "/", {}, "")),
            "status page": (port, ("GET", "/", {}, "")),
            "outage page": (port, ("GET", f"/outages/{known['outage']}", {}, "")),
            "desk board": (port, ("GET", "/desk", cookie, "")),
        }
        alone: dict[str, list[Load]] = {one: [] for one in wanted}
        many: dict[str, list[Load]] = {one: [] for one in wanted}
        with serving("hello", str(limit_port), port=limit_port), daemon(folder, port):
            for where, request in wanted.values():  # nobody's first page counts
                _ask(folder, where, [request], 20, 1, "200")
            for _ in range(rounds):
                for what, (where, request) in wanted.items():
                    alone[what].append(_ask(folder, where, [request], max(20, count // 5), 1, "200"))
                    many[what].append(_ask(folder, where, [request], count, PAGE_CONNECTIONS, "200"))
    readers = [Asked(name=name, loads=tuple(found)) for name, found in alone.items()]
    crowd = [Asked(name=name, loads=tuple(found)) for name, found in many.items()]
    section.about = (
        f"Pages of a provider with {customers:,} customers, all down in one open outage, asked for over kept "
        f"connections: by one reader, and by {PAGE_CONNECTIONS} at once. The limit: an aiohttp handler that answers "
        "one line. The board of a provider with a million circuits and 50 outages is in the part called desk."
    )
    for one, together in zip(readers, crowd, strict=True):
        note = f"p50 {one.middle(_p50):.1f} ms; {spread(load.p95_ms for load in one.loads)}"
        figure = Figure(
            name=f"pages: {one.name}, p95", value=one.middle(lambda load: load.p95_ms), unit="ms", note=note
        )
        section.figures.append(figure)
        if one is not readers[0]:
            section.figures.append(_ratio(f"pages: {one.name} ÷ hello, {PAGE_CONNECTIONS} readers", together, crowd[0]))
    section.tables += [_table("One reader", readers), _table(f"{PAGE_CONNECTIONS} readers", crowd)]
    section.charts.append(_chart(f"Pages a second, {PAGE_CONNECTIONS} readers", crowd))
    return section


def _ask(folder: Path, port: int, requests: Sequence[Request], count: int, connections: int, good: str) -> Load:
    refusals = "503" if good == "202" else ""
    return load(folder, port, requests, count=count, connections=connections, good=good, refusals=refusals)


def _alerts(path: str, prefix: str) -> list[Request]:
    return [_alert(path, f"{prefix}{number}") for number in range(_KEYS)]


def _alert(path: str, key: str) -> Request:
    body = {
        "key": key,
        "action": "trigger",
        "summary": "POP-LEX lost power",
        "element": "POP-LEX",
        "severity": "critical",
    }
    headers = {"Authorization": f"Bearer {HOOK_TOKEN}", "Content-Type": "application/json"}
    return "POST", path, headers, json.dumps(body)


def _events(folder: Path) -> int:
    """How many of the monitor's events the database holds."""
    db = sqlite3.connect(folder / SQLITE.removeprefix("sqlite:///"))
    found = db.execute("SELECT count(*) FROM events WHERE monitor = 'bench'").fetchone()
    db.close()
    return int(found[0])


def _speed(name: str, asked: Asked) -> list[Figure]:
    rates = [one.per_second for one in asked.loads]
    late = [one.p99_ms for one in asked.loads]
    return [
        Figure(name=name, value=median(rates), unit="req/s", note=spread(rates)),
        Figure(name=f"{name}, p99", value=median(late), unit="ms", note=spread(late)),
    ]


def _refused(name: str, asked: Asked) -> Figure:
    """The share of calls that were told to come again: one that is refused is not lost, but it is not fast either."""
    refused = sum(load.statuses.get("503", 0) for load in asked.loads)
    all_of_them = sum(sum(load.statuses.values()) for load in asked.loads)
    return Figure(name=name, value=100 * refused / all_of_them, unit="%", note=f"{refused:,} of {all_of_them:,} calls")


def _ratio(name: str, ours: Asked, theirs: Asked) -> Figure:
    found = ratios([one.per_second for one in ours.loads], [one.per_second for one in theirs.loads])
    return Figure(
        name=name, value=found.middle, note=spread([found.low, found.high]) if found.rounds > 1 else "1 round"
    )


def _table(title: str, asked: Sequence[Asked]) -> Table:
    rows = []
    for one in asked:
        rate = spread_of([load.per_second for load in one.loads])
        times = [one.middle(read) for read in (_p50, _p95, _p99, _worst)]
        low_high = f"{rate.low:,.0f} to {rate.high:,.0f}"
        rows.append((one.name, f"{rate.middle:,.0f}", low_high, *map(shown, times), f"{one.loads[0].octets:,}"))
    head = ("", "a second", "spread", "p50 ms", "p95 ms", "p99 ms", "worst ms", "octets")
    return Table(title=title, head=head, rows=tuple(rows))


def _chart(title: str, asked: Sequence[Asked]) -> Bars:
    rates = {one.name: spread_of([load.per_second for load in one.loads]) for one in asked}
    bars = [
        Bar(label=name, value=rate.middle, low=rate.low, high=rate.high, ours="limit" not in name)
        for name, rate in rates.items()
    ]
    return Bars(title=title, unit="a second", bars=tuple(bars))


def _p50(load: Load) -> float:
    return load.p50_ms


def _p95(load: Load) -> float:
    return load.p95_ms


def _p99(load: Load) -> float:
    return load.p99_ms


def _worst(load: Load) -> float:
    return load.worst_ms
