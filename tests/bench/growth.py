"""How the costs grow with the customers, from 1,000 to 1,000,000, each fitted with a power of the size."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.arithmetic import fit_power
from tests.bench.children import call
from tests.bench.report import Figure
from tests.bench.sections import Curves, Section, Series, Table, shown
from tests.bench.settings import SETTINGS, SQLITE, config_text
from tests.bench.sinks import fast_sink

SIZES, FEWER = (1_000, 10_000, 100_000, 1_000_000), (1_000, 10_000)
MEMORY_AT_MOST_MB = 250.0
PROMISED_SIZE = 1_000_000
LAG_P99_AT_MOST_MS = 20.0
LONGEST = 1800.0
STEPS = {
    "import": "import of the CSV files",
    "network": "network read into memory",
    "impact": "impact of a POP (a tenth)",
    "preview": "preview of a POP (a tenth)",
    "plan": "declaration to the last planned row",
    "send": "declaration to the last answer",
}
_MEMORY = {"import_mb": "import", "look_mb": "impact and preview", "plan_mb": "planning", "send_mb": "planned and sent"}


def growth(sizes: Sequence[int]) -> Section:
    """One provider a size; all of its steps before the next."""
    found = {size: measure(size) for size in sizes}
    section = Section(name="growth", title="Growth with the customers")
    section.about = (
        "Each customer has a contact with an e-mail address and a circuit; fifty circuits hang on an OLT, a tenth of "
        "the OLTs on a POP, all POPs on a core. The core goes down, so that everybody is written to. One round a size, "
        "SQLite with synchronous=FULL. The exponent is that of customers ** e, by least squares over all sizes: 1 "
        "grows as they do. What costs the same at any size flattens the small ones; the last step is beside it."
    )
    largest = max(sizes)
    section.figures = _figures(found[largest], largest)
    section.tables = [_seconds(found), _memory(found)]
    if len(sizes) > 1:
        section.charts = [_curves(found)]
    return section


def measure(customers: int) -> dict[str, Any]:
    """Seconds of each of STEPS, peak memory of each process, and what else they said."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / SETTINGS).write_text(config_text(smtp_port=1))
        call("growing", "files", name, str(customers))
        taken = call("growing", "import", name, longest=LONGEST)
        shutil.rmtree(folder / "files")
        looked = call("growing", "look", name, longest=LONGEST)
        with tempfile.TemporaryDirectory(dir=folder) as other:
            copy = _copy(folder, Path(other))
            (copy / SETTINGS).write_text(config_text(smtp_port=1))
            planned = call("growing", "plan", str(copy), longest=LONGEST)
        with fast_sink(folder) as sink:
            (folder / SETTINGS).write_text(config_text(smtp_port=sink.port))
            sent = call("growing", "send", name, str(customers), longest=LONGEST)
    counted = (
        looked["touched"] // max(1, customers // 10),
        planned["rows"],
        sent["accepted"],
        sent["attempts"],
        sink.total,
    )
    assert counted == (1, customers, customers, customers, customers), counted
    return {
        "import": taken["import"], "network": looked["network"], "impact": looked["impact"],
        "preview": looked["preview"], "plan": planned["plan"], "send": sent["seconds"],
        "import_mb": taken["peak_mb"], "look_mb": looked["peak_mb"], "plan_mb": planned["peak_mb"],
        "send_mb": sent["peak_mb"], "answered": planned["answered"], "lag_p99_ms": sent["lag_p99_ms"],
        "cpu_seconds": sent["cpu_seconds"],
    }  # fmt: skip


def _copy(folder: Path, other: Path) -> Path:
    shutil.copy(folder / SQLITE.removeprefix("sqlite:///"), other)
    return other


def _figures(found: Mapping[str, float], size: int) -> list[Figure]:
    # What is promised is promised for a million; below that the figures are only shown.
    promised = size >= PROMISED_SIZE
    return [
        Figure(
            name=f"growth: {size:,} customers, until the declaration is answered", value=found["answered"], unit="s"
        ),
        Figure(name=f"growth: {size:,} customers, planned", value=size / found["plan"], unit="rows/s"),
        Figure(name=f"growth: {size:,} customers, planned and sent", value=size / found["send"], unit="msg/s"),
        Figure(
            name=f"growth: {size:,} customers, peak memory while planned and sent",
            value=found["send_mb"],
            unit="MB",
            at_most=MEMORY_AT_MOST_MB if promised else None,
        ),
        Figure(
            name=f"growth: {size:,} customers, event-loop lag p99",
            value=found["lag_p99_ms"],
            unit="ms",
            at_most=LAG_P99_AT_MOST_MS if promised else None,
        ),
    ]


def _seconds(found: Mapping[int, Mapping[str, float]]) -> Table:
    sizes = sorted(found)
    rows = []
    for step, words in STEPS.items():
        points = [(float(size), found[size][step]) for size in sizes]
        exponents = [f"{fit_power(some).exponent:.2f}" if len(some) > 1 else "" for some in (points, points[-2:])]
        each = 1e6 * points[-1][1] / points[-1][0]
        rows.append((words, *(shown(seconds) for _, seconds in points), *exponents, shown(each)))
    head = ("seconds", *(f"{size:,}" for size in sizes), "exponent", "last step", "µs a customer")
    return Table(title="Seconds by customers", head=head, rows=tuple(rows))


def _memory(found: Mapping[int, Mapping[str, float]]) -> Table:
    sizes = sorted(found)
    rows = [(words, *(f"{found[size][key]:,.0f}" for size in sizes)) for key, words in _MEMORY.items()]
    head = ("peak memory, MB", *(f"{size:,}" for size in sizes))
    return Table(title="Memory by customers", head=head, rows=tuple(rows))


def _curves(found: Mapping[int, Mapping[str, float]]) -> Curves:
    series = []
    for step, words in STEPS.items():
        points = tuple((float(size), found[size][step]) for size in sorted(found))
        series.append(Series(label=f"{words}: exponent {fit_power(points).exponent:.2f}", points=points))
    return Curves(title="Seconds by customers", x="customers", y="seconds", series=tuple(series))
