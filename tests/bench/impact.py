"""How long it takes to know who is touched, and how much memory the network needs: `python -m tests.bench.impact`.

An invented provider of 100,000 elements: gateways, rings of POPs, routers with two links each, OLTs on spurs or in
rings of their own; and 150,000 distinct needs such as 1,000,000 circuits share. Memory is the growth of the process's
peak while the first network is built from rows made one at a time: what building needs counts as well.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from outagecast.domain.impact import assess, circuit_level
from outagecast.domain.levels import Level
from outagecast.domain.network import ElementRow, Network, ServiceRow
from tests.bench.report import peak_memory_mb

GATEWAYS, RINGS, POPS_PER_RING, ROUTERS_PER_POP = 4, 40, 10, 4
POPS = RINGS * POPS_PER_RING
ROUTERS = POPS * ROUTERS_PER_POP
ELEMENTS, SERVICES, NEEDS, CIRCUITS = 100_000, 1_000, 150_000, 1_000_000
AT_MOST_S = 1.0
# What is left after the backbone is OLTs with a link each.
OLTS = (ELEMENTS - GATEWAYS * 2 - POPS - RINGS * (POPS_PER_RING + 1) - ROUTERS * 3) // 2


@dataclass(frozen=True, kw_only=True)
class BenchRow:
    """`at_most` is the limit this result must keep; None where there is none."""

    name: str
    value: float
    unit: str
    at_most: float | None = None


def run() -> list[BenchRow]:
    """All measurements, those of a network of spurs first, then of one in rings down to the OLTs."""
    return [*_measure("spurs", rings=False), *_measure("rings", rings=True)]


def _measure(shape: str, *, rings: bool) -> list[BenchRow]:
    before, started = peak_memory_mb(), time.perf_counter()
    network = Network.build(elements=_elements(rings=rings), services=_services(), needs=_needs(), pinned_circuits=())
    built = time.perf_counter() - started
    rows = [
        BenchRow(
            name=f"{shape}: build {network.links.size:,} elements, {NEEDS:,} needs", value=round(built, 2), unit="s"
        ),
    ]
    if not rings:  # the second network reuses what the first one freed, which the peak does not show
        grown = round(peak_memory_mb() - before)
        rows.append(BenchRow(name=f"{shape}: memory of the build", value=grown, unit="MB", at_most=250))
    for name in ("element:POP-20-5", "element:LNK-RING-20-5", "element:OLT-777", "element:GW-1", "service:S7"):
        rows += _blast(shape, network, name)
    return rows


def _blast(shape: str, network: Network, name: str) -> list[BenchRow]:
    scope = {name: Level.OUTAGE}
    seconds = _median(lambda: assess(network, scope))
    assessment = assess(network, scope)
    hit = len(assessment.elements) + len(assessment.services) + len(assessment.needs)
    touched = [c for c in _circuits() if c[1] in assessment.needs or c[2] in assessment.services]
    started = time.perf_counter()
    for circuit_id, need_id, service_id in touched:
        circuit_level(
            assessment, circuit_id=circuit_id, customer_id="K1", need_id=need_id, service_id=service_id, site_id=None
        )
    spent = time.perf_counter() - started
    # A gateway carries everything: it is shown, and promised to nobody.
    limit = None if name.startswith("element:GW") else AT_MOST_S
    return [
        BenchRow(name=f"{shape}: {name} down, {hit:,} things", value=round(seconds, 4), unit="s", at_most=limit),
        BenchRow(name=f"{shape}: levels of its {len(touched):,} circuits", value=round(spent, 3), unit="s"),
    ]


def _median(call: Callable[[], object], rounds: int = 5) -> float:
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _elements(*, rings: bool) -> Iterator[ElementRow]:
    for g in range(GATEWAYS):
        yield ElementRow(id=f"GW-{g}", kind="router", gateway=True)
        yield _link(f"LNK-GW-{g}", f"GW-{g}", f"GW-{(g + 1) % GATEWAYS}")
    for r in range(RINGS):
        pops = [f"POP-{r}-{p}" for p in range(POPS_PER_RING)]
        yield from (ElementRow(id=pop, kind="pop", site=f"SITE-{pop}") for pop in pops)
        way = [f"GW-{r % GATEWAYS}", *pops, f"GW-{(r + 1) % GATEWAYS}"]
        yield from (_link(f"LNK-RING-{r}-{i}", way[i], way[i + 1]) for i in range(len(way) - 1))
    for i in range(ROUTERS):
        pop = _pop(i // ROUTERS_PER_POP)
        yield ElementRow(id=f"RTR-{i}", kind="router", need=pop, site=f"SITE-{pop}")
        yield _link(f"LNK-RTR-{i}-0", f"RTR-{i}", pop)
        yield _link(f"LNK-RTR-{i}-1", f"RTR-{i}", pop)
    for i in range(OLTS):
        yield ElementRow(id=f"OLT-{i}", kind="olt", site=f"SITE-OLT-{i // 4}")
        # In a ring of eight each hangs on the one before, and the last one goes back up.
        yield _link(f"LNK-OLT-{i}", f"OLT-{i}", f"OLT-{i - 1}" if rings and i % 8 else f"RTR-{i // 8 % ROUTERS}")
    if rings:
        last = range(7, OLTS, 8)
        yield from (_link(f"LNK-OLT-{i}-BACK", f"OLT-{i}", f"RTR-{i // 8 % ROUTERS ^ 1}") for i in last)


def _link(name: str, a: str, z: str) -> ElementRow:
    return ElementRow(id=name, kind="link", a=a, z=z)


def _pop(number: int) -> str:
    return f"POP-{number // POPS_PER_RING}-{number % POPS_PER_RING}"


def _services() -> Iterator[ServiceRow]:
    for i in range(SERVICES):
        yield ServiceRow(id=f"S{i}", need=f"{_pop(i % POPS)}|{_pop((i * 7 + 3) % POPS)}")


def _needs() -> Iterator[tuple[int, str]]:
    """A third each: one OLT; one of two OLTs; an OLT and a service that runs over one of two POPs."""
    for i in range(NEEDS):
        olt = f"OLT-{i // 3 % OLTS}"
        match i % 3:
            case 0:
                yield i, olt if i < OLTS * 3 else f"{olt};RTR-{i % ROUTERS}"
            case 1:
                yield i, f"{olt}|OLT-{(i * 13 + 5) % OLTS}"
            case _:
                yield i, f"{olt};service:S{i % SERVICES}"


def _circuits() -> Iterator[tuple[str, int, str | None]]:
    """Id, need and service as storage's join gives them; every fifth circuit has a service."""
    for i in range(CIRCUITS):
        yield f"C{i}", i % NEEDS, None if i % 5 else f"S{i // 5 % SERVICES}"


if __name__ == "__main__":
    print(json.dumps({"rows": [asdict(row) for row in run()], "peak_mb": peak_memory_mb()}))
