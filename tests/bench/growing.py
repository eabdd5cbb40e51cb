"""What grows with a provider, one step a process, for its time and its memory: `python -m tests.bench.growing STEP
FOLDER [CUSTOMERS]`, where FOLDER holds `bench.toml` and, after the first step, the database.

`files` writes the provider as CSV: each customer with a contact, an e-mail address and a circuit; fifty circuits on an
OLT, a tenth of the OLTs on a POP, every POP on CORE. `import`, `look` (network, impact and preview of a POP), `plan`
(CORE goes down: until every message is a committed row, nobody sends) and `send` (the same until the last answer)
measure.
"""

import csv
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from outagecast.app import on_a_loop, open_core
from outagecast.config import parse_config
from outagecast.domain.levels import Effect
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import Declaration, ScopeEntry
from outagecast.engine.blast import Blast
from tests.bench.house import WHO, house, wave
from tests.bench.report import peak_memory_mb
from tests.bench.settings import SETTINGS

CORE, POPS, PER_OLT = "CORE", 10, 50
_LOOKS = ("POP-1", "POP-2", "POP-3")
"""Never the same POP twice: its answer would be kept."""


def write_files(folder: Path, customers: int) -> dict[str, Any]:
    """The provider as an export would have it."""
    folder.mkdir()
    numbers = range(customers)
    _write(folder / "sites.csv", ("id", "name"), ((f"S-{n}", f"Site {n}") for n in range(POPS)))
    olts = range(max(1, customers // PER_OLT))
    _write(
        folder / "elements.csv",
        ("id", "kind", "site", "depends_on"),
        [
            (CORE, "router", "", ""),
            *((f"POP-{n}", "pop", f"S-{n}", CORE) for n in range(POPS)),
            *((f"OLT-{n}", "olt", f"S-{n % POPS}", f"POP-{n % POPS}") for n in olts),
        ],
    )
    _write(folder / "services.csv", ("id", "name", "public"), [("internet", "Internet", "yes")])
    _write(folder / "customers.csv", ("id", "name"), ((f"C{n:07}", f"Customer {n}") for n in numbers))
    _write(
        folder / "contacts.csv",
        ("id", "customer_id", "name", "email"),
        ((f"P{n:07}", f"C{n:07}", f"Anna Person{n}", f"c{n}@customers.example") for n in numbers),
    )
    _write(
        folder / "circuits.csv",
        ("id", "customer_id", "service_id", "label", "place", "depends_on"),
        ((f"K{n:07}", f"C{n:07}", "internet", f"Office {n}", f"{n} Main St", f"OLT-{n % len(olts)}") for n in numbers),
    )
    return {"octets": sum(path.stat().st_size for path in folder.iterdir())}


async def take_in(folder: Path) -> dict[str, Any]:
    """The import, from the first byte read to the commit."""
    async with open_core(_config(folder)) as core:
        started = time.perf_counter()
        report = await core.inventory.import_files([folder / "files"], actor=WHO)
        seconds = time.perf_counter() - started
    assert report.applied
    return {"import": seconds}


async def look(folder: Path) -> dict[str, Any]:
    """The network read into memory; then whom a POP touches, and what would be sent: the median of three POPs each."""
    async with open_core(_config(folder)) as core:
        started = time.perf_counter()
        await core.reckoner.network()
        network = time.perf_counter() - started
        blast = Blast(core.db, core.reckoner)
        impact, fallout = await _median(lambda pop: blast.if_fails("element", pop))
        preview, seen = await _median(lambda pop: core.previews.preview(_down(pop), actor=WHO))
    return {
        "network": network,
        "impact": impact,
        "preview": preview,
        "touched": fallout.customers,
        "seen": seen.customers,
    }


async def plan(folder: Path) -> dict[str, Any]:
    """Until every message is a committed row, with nobody sending."""
    async with open_core(_config(folder)) as core:
        await core.reckoner.network()
        started = time.perf_counter()
        await core.operations.declare(_down(CORE), actor=WHO)
        answered = time.perf_counter() - started
        while await core.waves.advance():
            pass
        seconds = time.perf_counter() - started
        async with core.db.read() as conn:
            rows = (await conn.exec_driver_sql("SELECT count(*) FROM deliveries")).scalar_one()
    return {"plan": seconds, "answered": answered, "rows": rows}


async def send(folder: Path, customers: int) -> dict[str, Any]:
    """Planned and sent in a stream, until the last answer is durable."""
    async with house(folder, (folder / SETTINGS).read_text()) as (core, daemon):
        took = await wave(core, daemon, ChannelName.EMAIL, customers, CORE)
    return asdict(took)


def _config(folder: Path) -> Any:
    return parse_config((folder / SETTINGS).read_text(), name=SETTINGS, folder=folder, environ={})


def _down(element: str) -> Declaration:
    return Declaration(title="Cut", scope=(ScopeEntry(kind="element", id=element, effect=Effect.OUTAGE),))


async def _median(what: Callable[[str], Awaitable[Any]]) -> tuple[float, Any]:
    took, found = [], None
    for pop in _LOOKS:
        started = time.perf_counter()
        found = await what(pop)
        took.append(time.perf_counter() - started)
    return statistics.median(took), found


def _write(path: Path, header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(header)
        out.writerows(rows)


def main(words: list[str]) -> None:
    match words:
        case ["files", folder, customers]:
            answer = write_files(Path(folder) / "files", int(customers))
        case ["import", folder]:
            answer = on_a_loop(take_in(Path(folder)))
        case ["look", folder]:
            answer = on_a_loop(look(Path(folder)))
        case ["plan", folder]:
            answer = on_a_loop(plan(Path(folder)))
        case ["send", folder, customers]:
            answer = on_a_loop(send(Path(folder), int(customers)))
        case _:
            raise SystemExit(__doc__)
    print(json.dumps(answer | {"peak_mb": peak_memory_mb()}))


if __name__ == "__main__":
    main(sys.argv[1:])
