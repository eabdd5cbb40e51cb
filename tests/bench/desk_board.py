"""How long the board takes to answer with 50 open outages among 1,000,000 circuits; a part of `./run bench desk`.

Every outage is declared by the product itself, on a POP of its own, so that each touches 2,500 circuits of as many
customers and has its messages in the outbox. The page is loaded over HTTP by somebody signed in. While it is loaded the
house's bell rings each time, as in a wave: what the board counts is counted anew as often as it ever is.
"""

import statistics
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from outagecast.app import Core, Daemon
from outagecast.domain.levels import Effect
from outagecast.domain.outage import Actor, ActorKind, Declaration, Role, ScopeEntry, Severity
from outagecast.web import cookies
from outagecast.web.server import make_app
from tests.bench.desk_provider import POPS
from tests.bench.report import Figure

OUTAGES, LOADS = 50, 200
AT_MOST_MS = 100.0
NAME, PASSWORD = "bench", "a-long-enough-sentence"
_BENCH = Actor(kind=ActorKind.CLI, name="bench", role=Role.ADMIN)


async def measure(core: Core) -> dict[str, float]:
    """On a house whose provider is there (desk_provider.fill) and that has no daemon: opens 50 outages in it."""
    await core.people.add_staff(NAME, PASSWORD, Role.ADMIN, actor=_BENCH)
    await _declare(core)
    async with _signed_in(core) as client:
        first = await _load(client)
        took = []
        for _ in range(LOADS):
            core.house.changes.notify()
            took.append(await _load(client))
        await core.operations.declare(_power_lost(POPS - OUTAGES - 1), actor=_BENCH, undo_for=timedelta(0))
        reckoned = await _load(client, OUTAGES + 1)
    async with core.db.read() as conn:
        lines = (await conn.exec_driver_sql("SELECT count(*) FROM impacts WHERE to_at IS NULL")).scalar_one()
        messages = (await conn.exec_driver_sql("SELECT count(*) FROM deliveries")).scalar_one()
    return {
        "board_p95_ms": statistics.quantiles(took, n=20)[-1],
        "board_ms": statistics.median(took),
        "board_reckoned_ms": reckoned,
        "board_first_ms": first,
        "board_lines": lines,
        "board_messages": messages,
    }


def figures(found: Mapping[str, Any]) -> list[Figure]:
    """What `measure` found, beside its limit."""
    size = f"{found['board_lines']:,.0f} lines down, {found['board_messages']:,.0f} messages"
    return [
        Figure(
            name=f"desk: the board with {OUTAGES} open outages, p95",
            value=found["board_p95_ms"],
            unit="ms",
            at_most=AT_MOST_MS,
            note=f"median {found['board_ms']:.0f} ms; {size}",
        ),
        Figure(name="desk: the board after one more was declared", value=found["board_reckoned_ms"], unit="ms"),
        Figure(name="desk: the board for the first time", value=found["board_first_ms"], unit="ms"),
    ]


async def _declare(core: Core) -> None:
    for n in range(POPS - OUTAGES, POPS):  # the leaves: nothing else hangs on them
        await core.operations.declare(_power_lost(n), actor=_BENCH, undo_for=timedelta(0))
    while await core.waves.advance():
        pass


def _power_lost(n: int) -> Declaration:
    return Declaration(
        title=f"Power lost at POP {n}",
        scope=(ScopeEntry(kind="element", id=f"POP-{n:03}", effect=Effect.OUTAGE),),
        severity=Severity.MAJOR,
    )


@asynccontextmanager
async def _signed_in(core: Core) -> AsyncIterator["TestClient[Any, Any]"]:
    services = Daemon(core).services()
    signed_in = await core.people.sign_in(NAME, PASSWORD, source="127.0.0.1")
    # By header: a browser would keep a cookie of an https house to itself on plain http.
    cookie = f"{cookies.name_of(cookies.SESSION, https=services.provider.https)}={signed_in.secret}"
    async with TestClient(TestServer(make_app(services)), headers={"Cookie": cookie}) as client:
        yield client


async def _load(client: "TestClient[Any, Any]", outages: int = OUTAGES) -> float:
    """Milliseconds from the request to the last byte."""
    started = time.perf_counter()
    answer = await client.get("/desk")
    text = await answer.text()
    spent = time.perf_counter() - started
    assert f"{outages} outages open" in text
    return spent * 1000
