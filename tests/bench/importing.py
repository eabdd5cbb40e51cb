"""A million circuits imported: rows per second against a bare csv + executemany loop in the same run, and memory.

Each measurement is a process of its own, for its own peak memory. `python -m tests.bench.importing [rows]`.
"""

import asyncio
import csv
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from statistics import mean

from outagecast.domain.outage import Actor, ActorKind, Role
from outagecast.engine.inventory import Inventory
from outagecast.storage.engine import Database
from tests.bench.children import call
from tests.bench.report import peak_memory_mb

CUSTOMERS_PER = 50
OLTS = 2_000
SMALLER_BY = 10
RATIO_AT_LEAST = 0.15
GROWTH_AT_MOST_MB = 40.0
"""How much more memory ten times the rows may take: SQLite's caches fill up, nothing else may."""
_HEADER = ("id", "customer_id", "service_id", "label", "site", "place", "depends_on")


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One child process: seconds, peak resident memory, and how much of it the program takes before the work begins."""

    seconds: float
    peak_mb: float
    start_mb: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """`ratio`: our rows per second against those of the bare loop. `again`: the same file once more, all unchanged."""

    rows: int
    rows_per_second: float
    again_per_second: float
    bare_per_second: float
    ratio: float
    peak_mb: float
    smaller_peak_mb: float
    start_mb: float


def run(rows: int = 1_000_000) -> Result:
    """Measure, and check that memory stays where it is while the rows are ten times as many."""
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder, "large"), Path(folder, "small")
        _generate(small, rows // SMALLER_BY)
        _generate(large, rows)
        smaller = _child("import", small)
        bare = [_child("bare", large).seconds]
        first = _child("import", large)
        bare.append(_child("bare", large).seconds)
        again = _child("import", large)
    return Result(
        rows=rows,
        rows_per_second=rows / first.seconds,
        again_per_second=rows / again.seconds,
        bare_per_second=rows / mean(bare),
        ratio=mean(bare) / first.seconds,
        peak_mb=max(first.peak_mb, again.peak_mb),
        smaller_peak_mb=smaller.peak_mb,
        start_mb=first.start_mb,
    )


def check(result: Result) -> list[str]:
    """What of the figures breaks a promise; nothing if all hold."""
    broken = []
    if result.ratio < RATIO_AT_LEAST:
        broken.append(f"import: {result.ratio:.2f} of the bare loop, at least {RATIO_AT_LEAST} is promised")
    if result.peak_mb - result.smaller_peak_mb > GROWTH_AT_MOST_MB:
        broken.append(
            f"import: {result.peak_mb:.0f} MB against {result.smaller_peak_mb:.0f} MB for a tenth of the rows"
        )
    return broken


def _generate(folder: Path, rows: int) -> None:
    folder.mkdir()
    _write(folder / "sites.csv", ("id", "name"), ((f"S{n}", f"Site {n}") for n in range(100)))
    _write(folder / "services.csv", ("id", "name"), (("internet", "Internet"), ("voice", "Voice")))
    elements = ((f"OLT-{n}", "olt", f"S{n % 100}") for n in range(OLTS))
    _write(folder / "elements.csv", ("id", "kind", "site"), elements)
    count = max(1, rows // CUSTOMERS_PER)
    _write(folder / "customers.csv", ("id", "name"), ((f"C{n}", f"Customer {n}") for n in range(count)))
    _write(folder / "circuits.csv", _HEADER, _circuits(rows, count))


def _circuits(rows: int, customers: int) -> Iterator[tuple[str, ...]]:
    for n in range(rows):
        olt = n % OLTS
        need = f"OLT-{olt}" if n % 3 else f"OLT-{olt}|OLT-{(olt + 1) % OLTS}"
        yield f"CIR-{n:08}", f"C{n % customers}", "internet", f"Line {n}", f"S{olt % 100}", f"{n} Main Street", need


def _write(path: Path, header: tuple[str, ...], rows: Iterator[tuple[str, ...]] | tuple[tuple[str, ...], ...]) -> None:
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(header)
        out.writerows(rows)


def _child(what: str, folder: Path) -> Measured:
    return Measured(**call("importing", what, str(folder)))


async def _import(folder: Path) -> None:
    db = Database.open("sqlite:///import.db", folder=folder)
    await db.migrate()
    actor = Actor(kind=ActorKind.CLI, name="bench", role=Role.ADMIN)
    report = await Inventory(db, clock=lambda: datetime.now(UTC)).import_files([folder], actor=actor)
    await db.close()
    assert report.applied


def _bare(folder: Path) -> None:
    """What anybody would write first: no checks, no staging, no sharing, the same indexes, one durable commit."""
    (folder / "bare.db").unlink(missing_ok=True)
    db = sqlite3.connect(folder / "bare.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute(f"CREATE TABLE circuits (id TEXT PRIMARY KEY, {', '.join(_HEADER[1:])})")
    for column in ("customer_id", "service_id", "site", "depends_on"):
        db.execute(f"CREATE INDEX ix_{column} ON circuits ({column})")
    db.execute("BEGIN IMMEDIATE")
    with (folder / "circuits.csv").open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        while some := list(islice(rows, 5_000)):
            db.executemany("INSERT INTO circuits VALUES (?, ?, ?, ?, ?, ?, ?)", some)
    db.execute("COMMIT")
    db.close()


def _measure(what: str, folder: Path) -> Measured:
    start_mb, before = peak_memory_mb(), time.perf_counter()
    if what == "import":
        asyncio.run(_import(folder))
    else:
        _bare(folder)
    return Measured(seconds=time.perf_counter() - before, peak_mb=peak_memory_mb(), start_mb=start_mb)


def _main(args: list[str]) -> None:
    if len(args) == 2:
        print(json.dumps(asdict(_measure(args[0], Path(args[1])))))
        return
    result = run(int(args[0])) if args else run()
    print(json.dumps(asdict(result), indent=2))
    sys.exit("\n".join(check(result)) or 0)


if __name__ == "__main__":
    _main(sys.argv[1:])
