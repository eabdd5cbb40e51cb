"""What the sending benchmarks share: a provider of one POP with many customers, and a daemon on its database."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, insert, select

from outagecast.app import Core, Daemon, open_core
from outagecast.config import parse_config
from outagecast.domain.levels import Effect
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import Actor, ActorKind, Declaration, Role, ScopeEntry
from outagecast.storage import counts, inventory
from outagecast.storage.tables import addresses, attempts, circuits, contacts, customers, elements, needs, sites
from tests.bench.lag import p99_ms, watch
from tests.bench.processes import cpu_seconds
from tests.bench.settings import config_text

__all__ = ["WHO", "Wave", "config_text", "fill", "house", "wave"]
GIVE_UP_AFTER = 240.0
"""Seconds for a wave of up to 100,000; longer in proportion above."""
WHO = Actor(kind=ActorKind.CLI, name="bench", role=Role.ADMIN)


async def fill(core: Core, customers_count: int) -> None:
    """One POP, that many customers behind it, each with one circuit and one contact with an address and a phone."""
    names = ("Anna", "Bashir", "Chloé", "Dmitri", "Emeka", "Freya", "Zoë")
    async with core.db.write() as conn:
        await conn.execute(insert(sites).values(id="LEX", name="Lexington", timezone="America/New_York"))
        await conn.execute(insert(elements).values(id="POP-LEX", kind="pop", name="Lexington", site_id="LEX"))
        await conn.execute(insert(needs).values(id=1, text="POP-LEX"))
    for start in range(0, customers_count, 5000):
        numbers = range(start, min(start + 5000, customers_count))
        async with core.db.write() as conn:
            await conn.execute(insert(customers), [{"id": f"C{n:06}", "name": f"Customer {n}"} for n in numbers])
            await conn.execute(
                insert(addresses),
                [{"id": 2 * n + 1, "channel": "email", "value": f"c{n}@customers.example"} for n in numbers]
                + [{"id": 2 * n + 2, "channel": "sms", "value": f"+1859{2000000 + n}"} for n in numbers],
            )
            await conn.execute(
                insert(contacts),
                [
                    {
                        "id": f"P{n:06}",
                        "customer_id": f"C{n:06}",
                        "name": f"{names[n % len(names)]} Person{n}",
                        "email_id": 2 * n + 1,
                        "phone_id": 2 * n + 2,
                    }
                    for n in numbers
                ],
            )
            await conn.execute(
                insert(circuits),
                [
                    {
                        "id": f"K{n:06}",
                        "customer_id": f"C{n:06}",
                        "label": f"Office {n}",
                        "place": f"{n} Main St",
                        "need_id": 1,
                    }
                    for n in numbers
                ],
            )
            await inventory.bump_version(conn)


@asynccontextmanager
async def house(folder: Path, text: str) -> AsyncIterator[tuple[Core, Daemon]]:
    """A daemon without its web server, at rest on the database in this folder."""
    config = parse_config(text, name="bench.toml", folder=folder, environ={})
    async with open_core(config) as core:
        daemon = Daemon(core)
        await daemon.start()
        try:
            yield core, daemon
        finally:
            await daemon.stop()


@dataclass(frozen=True, kw_only=True, slots=True)
class Wave:
    """One declaration, until the last provider's answer was durable. `lag_p99_ms`: how late the event loop was."""

    seconds: float
    planned_seconds: float
    cpu_seconds: float
    lag_p99_ms: float
    accepted: int
    attempts: int


async def wave(core: Core, daemon: Daemon, channel: ChannelName, count: int, element: str = "POP-LEX") -> Wave:
    """Declare this element down, and wait for the last answer. AssertionError if that takes longer than
    `GIVE_UP_AFTER`. The CPU time is of all threads and children, planning included.
    """
    lags: list[float] = []
    watcher = asyncio.create_task(watch(lags))
    told, patience = daemon.dispatchers[channel].counts, GIVE_UP_AFTER * max(1.0, count / 100_000)
    cpu, started = cpu_seconds(os.getpid()), time.monotonic()
    scope = (ScopeEntry(kind="element", id=element, effect=Effect.OUTAGE),)
    await core.operations.declare(Declaration(title="Cut", scope=scope), actor=WHO)
    planned = time.monotonic() - started
    while told.get("accepted", 0) < count:
        assert time.monotonic() - started < patience, f"only {told} of {count}"
        await asyncio.sleep(0.005)
    await daemon.ledger.settled()
    seconds, cpu = time.monotonic() - started, cpu_seconds(os.getpid()) - cpu
    watcher.cancel()
    async with core.db.read() as conn:
        rows = await counts.deliveries_by_state(conn)
        tried = (await conn.execute(select(func.count()).select_from(attempts))).scalar_one()
    return Wave(
        seconds=seconds,
        planned_seconds=planned,
        cpu_seconds=cpu,
        lag_p99_ms=p99_ms(lags),
        accepted=sum(number for (_, state), number in rows.items() if state in ("accepted", "delivered")),
        attempts=tried,
    )
