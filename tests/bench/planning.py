"""A declaration planned and committed, against the bare inserts of the very same rows.

`python -m tests.bench.planning FOLDER` declares an outage over all customers of the provider in this folder (made by
`tests.bench.product fill`) and plans the wave to its end, sending nothing. Then every row that this made is inserted
once more, into an empty database with the same tables and pragmas: tuples ready made, `executemany`, a transaction for
each of the product's own. Prints the seconds of both (user and system, and by the clock) and the peak memory up to the
last row planned.
"""

import asyncio
import gc
import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import Table, func, select

from outagecast.app import Core, open_core
from outagecast.config import parse_config
from outagecast.domain.levels import Effect
from outagecast.domain.outage import Declaration, ScopeEntry
from outagecast.engine.waves import CHUNK
from outagecast.storage import tables
from outagecast.storage.bulk import insert_rows
from outagecast.storage.engine import Connection, Database
from tests.bench.children import call
from tests.bench.house import WHO
from tests.bench.report import Figure, peak_memory_mb, spread
from tests.bench.settings import SETTINGS, config_text

PROMISED_FOR = 100_000
"""Recipients. Fewer are planned in the verb's own transaction, beside what a declaration costs at any size."""
RATIO_AT_MOST = 2.0
"""Planned and committed ÷ bare inserts, for 100,000 recipients."""
CPU_AT_MOST_US = 50.0
"""A recipient, on the way to 0.35 of smtp-source from one process."""
LONGEST = 900.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Took:
    """Seconds of processor time (all threads) and of the clock."""

    planned_cpu: float
    planned: float
    bare_cpu: float
    bare: float
    rows: int
    peak_mb: float


def planning(recipients: int, rounds: int) -> list[Figure]:
    """Figures of the median round, each round on a provider of its own; limited from PROMISED_FOR recipients on."""
    promised = recipients >= PROMISED_FOR
    found = [_round(recipients) for _ in range(rounds)]
    cpu = [one.planned_cpu / one.bare_cpu for one in found]
    clock = [one.planned / one.bare for one in found]
    each = [one.planned_cpu / recipients * 1e6 for one in found]
    bare = median(one.bare_cpu for one in found) / recipients * 1e6
    return [
        Figure(
            name=f"planning: {recipients:,} planned and committed ÷ bare inserts",
            value=median(cpu),
            at_most=RATIO_AT_MOST if promised else None,
            note=f"processor time; {spread(cpu)}; by the clock {median(clock):.2f}",
        ),
        Figure(
            name="planning: CPU per recipient",
            value=median(each),
            unit="µs",
            at_most=CPU_AT_MOST_US if promised else None,
            note=f"bare inserts {bare:.1f} µs; {spread(each)}",
        ),
        Figure(name="planning: peak memory", value=max(one.peak_mb for one in found), unit="MB"),
    ]


def _round(recipients: int) -> Took:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / SETTINGS).write_text(config_text(smtp_port=1))
        call("product", "fill", name, str(recipients), longest=LONGEST)
        return Took(**call("planning", name, longest=LONGEST))


# --- in a process of its own ---


class _Meter:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._cpu, self._clock = _cpu(), time.perf_counter()

    def read(self) -> tuple[float, float]:
        return _cpu() - self._cpu, time.perf_counter() - self._clock


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def measure(folder: Path) -> Took:
    """One round in this process. AssertionError unless every customer has a row."""
    config = parse_config((folder / SETTINGS).read_text(), name=SETTINGS, folder=folder, environ={})
    async with open_core(config) as core:
        await core.reckoner.network()
        _calm()
        meter = _Meter()
        await _declare(core)
        planned_cpu, planned = meter.read()
        peak = peak_memory_mb()
        transactions = await _transactions(core.db)
        async with core.db.read() as conn:
            customers = (await conn.execute(select(func.count()).select_from(tables.customers))).scalar_one()
    assert sum(len(rows) for table, _, rows in _all(transactions) if table is tables.deliveries) == customers
    bare = Database.open("sqlite:///bare.db", folder=folder)
    await bare.migrate()
    meter = _Meter()
    for steps in transactions:
        await bare.transact(partial(_insert, steps))
    bare_cpu, clock = meter.read()
    await bare.close()
    rows = sum(len(rows) for _, _, rows in _all(transactions))
    return Took(planned_cpu=planned_cpu, planned=planned, bare_cpu=bare_cpu, bare=clock, rows=rows, peak_mb=peak)


async def _declare(core: Core) -> None:
    scope = (ScopeEntry(kind="element", id="POP-LEX", effect=Effect.OUTAGE),)
    await core.operations.declare(Declaration(title="Cut", scope=scope), actor=WHO)
    while await core.waves.advance():
        pass


Step = tuple[Table, tuple[str, ...], list[tuple[Any, ...]]]
"""Rows of one table: its columns that hold anything, and their values as the driver takes them."""


async def _transactions(db: Database) -> list[list[Step]]:
    """What the verb committed, then what each chunk of the wave did."""
    async with db.read() as conn:
        first = [await _rows(conn, table) for table in (tables.outages, tables.revisions, tables.timeline)]
        first += [await _rows(conn, tables.waves), await _rows(conn, tables.impacts)]
        deliveries, notices, leads = [
            await _rows(conn, table) for table in (tables.deliveries, tables.notices, tables.leads)
        ]
    place = deliveries[1].index("address_id")
    listed = [(1, row[place]) for row in deliveries[2]]
    first.append((tables.wave_addresses, ("wave_id", "address_id"), listed))
    chunks = [
        [(table, columns, rows[start : start + CHUNK]) for table, columns, rows in (deliveries, notices, leads)]
        for start in range(0, len(deliveries[2]), CHUNK)
    ]
    return [first, *chunks]


async def _rows(conn: Connection, table: Table) -> Step:
    names = [column.name for column in table.columns]
    query = select(table).order_by(*table.primary_key.columns).compile(dialect=conn.dialect)
    rows = [tuple(row) for row in await conn.exec_driver_sql(str(query))]
    held = [n for n in range(len(names)) if any(row[n] is not None for row in rows)]
    return table, tuple(names[n] for n in held), [tuple(row[n] for n in held) for row in rows]


async def _insert(steps: Sequence[Step], conn: Connection) -> None:
    for table, columns, rows in steps:
        await insert_rows(conn, table, columns, rows)


def _all(transactions: Sequence[Sequence[Step]]) -> list[Step]:
    return [step for steps in transactions for step in steps]


def _calm() -> None:
    """As the daemon does once it is up."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def main(words: list[str]) -> None:
    match words:
        case [folder]:
            print(json.dumps(asdict(asyncio.run(measure(Path(folder))))))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
