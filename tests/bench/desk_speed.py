"""How fast the desk answers at 1,000,000 circuits and 200,000 customers: `python -m tests.bench.desk_speed FOLDER [N]`.

The search, as its handler asks for it, and previews as the declare page has them made, in a process of their own on a
database of its own. Percentiles are of single calls; a preview's first one builds the network and is left out.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from outagecast.app import Core, open_core
from outagecast.config import parse_config
from outagecast.domain.levels import Effect
from outagecast.domain.outage import Actor, ActorKind, Declaration, Role, ScopeEntry
from outagecast.storage import views_search
from tests.bench import desk_board
from tests.bench.children import call
from tests.bench.desk_provider import VOICE, fill
from tests.bench.house import config_text
from tests.bench.report import Figure, peak_memory_mb

CIRCUITS, FEWER = 1_000_000, 100_000
WHO = Actor(kind=ActorKind.CLI, name="bench", role=Role.ADMIN)
SEARCH_AT_MOST_MS, POP_AT_MOST_S, SERVICE_AT_MOST_S = 50.0, 1.0, 3.0
TYPED = (
    "p", "po", "pop", "pop-3", "POP-300", "haz", "hazard", "hazard pop 1", "lex", "acme", "acme d", "acme dental 12",
    "acme main", "acme dental 55 voice", "123 acme", "steel acme", "k-00012", "CIR-0000012", "cir", "main",
    "main office", "12 main", "12 main st", "399 mill rd", "voice", "OLT-017-3", "zzz", "s", "1",
    "union print 19 branch",
)  # fmt: skip
"""What somebody types, letter by letter and word by word: rare and common, found and not."""


def figures(circuits: int = CIRCUITS) -> list[Figure]:
    """All of them, on a provider made for it."""
    with tempfile.TemporaryDirectory() as folder:
        found = call("desk_speed", folder, str(circuits))
    what = f"{circuits:,} circuits"
    return [
        Figure(name=f"desk: search among {what}, p95", value=found["search_p95_ms"], unit="ms",
               at_most=SEARCH_AT_MOST_MS, note=f"median {found['search_ms']:.1f} ms"),
        Figure(name=f"desk: preview of a POP, {found['pop_customers']:,} customers, p95", value=found["pop_p95_s"],
               unit="s", at_most=POP_AT_MOST_S, note=f"median {found['pop_s']:.2f} s"),
        Figure(name=f"desk: preview of a service, {found['service_customers']:,} customers, p95",
               value=found["service_p95_s"], unit="s", at_most=SERVICE_AT_MOST_S,
               note=f"median {found['service_s']:.2f} s"),
        *desk_board.figures(found),
        Figure(name="desk: peak memory", value=found["memory_mb"], unit="MB"),
    ]  # fmt: skip


async def _measure(folder: Path, circuits: int) -> dict[str, Any]:
    config = parse_config(
        config_text(smtp_port=1, sms_url="http://127.0.0.1:1"), name="bench.toml", folder=folder, environ={}
    )
    async with open_core(config) as core:
        if not await _is_filled(core):
            await fill(core.db, circuits)
        searches = await _times(lambda text: _search(core, text), TYPED * 3)
        pops = [_scope("element", f"POP-{n}") for n in range(300, 308)]
        service, worse = _scope("service", VOICE), _scope("service", VOICE, Effect.DEGRADED)
        seen = await core.previews.preview(pops[-1], actor=WHO)
        # Never the same scope twice in a row: its answer would be kept.
        took_pops = await _times(lambda scope: core.previews.preview(scope, actor=WHO), pops)
        many = await core.previews.preview(service, actor=WHO)
        took_services = await _times(lambda scope: core.previews.preview(scope, actor=WHO), [worse, service] * 2)
        memory_mb = peak_memory_mb()
        board = await desk_board.measure(core)
    return {
        "search_ms": statistics.median(searches) * 1000,
        "search_p95_ms": _p95(searches) * 1000,
        "pop_s": statistics.median(took_pops),
        "pop_p95_s": _p95(took_pops),
        "pop_customers": seen.customers,
        "service_s": statistics.median(took_services),
        "service_p95_s": _p95(took_services),
        "service_customers": many.customers,
        "memory_mb": memory_mb,
    } | board


async def _is_filled(core: Core) -> bool:
    async with core.db.read() as conn:
        return bool(await views_search.find(conn, "POP-300"))


async def _search(core: Core, text: str) -> None:
    async with core.db.read() as conn:
        await views_search.find(conn, text)


async def _times(what: Callable[[Any], Awaitable[Any]], cases: Any) -> list[float]:
    took = []
    for case in cases:
        started = time.perf_counter()
        await what(case)
        took.append(time.perf_counter() - started)
    return took


def _scope(kind: str, thing_id: str, effect: Effect = Effect.OUTAGE) -> Declaration:
    return Declaration(title="Cut", scope=(ScopeEntry(kind=kind, id=thing_id, effect=effect),))


def _p95(times: list[float]) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, round(len(ordered) * 0.95))]


if __name__ == "__main__":
    place = Path(sys.argv[1])
    print(json.dumps(asyncio.run(_measure(place, int(sys.argv[2]) if len(sys.argv) > 2 else CIRCUITS))))
