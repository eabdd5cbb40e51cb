"""By when the last message leaves: at the rate of the route that carries, after what waits already, or not at all."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from outagecast.app import Core, open_core
from outagecast.config import parse_config
from outagecast.domain.levels import Effect
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import Actor, ActorKind, Declaration, Role, ScopeEntry
from outagecast.engine.house import REACTION
from outagecast.engine.preview import Preview
from outagecast.engine.route_watch import RouteWatch
from outagecast.storage import inventory, routes, views_routes
from outagecast.storage.tables import addresses, circuits, contacts, customers, elements, needs

NOW = datetime(2026, 3, 3, 14, tzinfo=UTC)
WHO = Actor(kind=ActorKind.STAFF, name="ann", role=Role.OPERATOR)
MANY = 40
SETTINGS = """
[provider]
name = "Bluegrass Fiber"
public_url = "https://status.example.net"
[database]
url = "sqlite:///last.db"
[sms]
account_sid = "AC00000000000000000000000000000000"
auth_token = "not-a-secret"
from = "+18595550100"
rate_per_second = 2
"""


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    config = parse_config(SETTINGS, name="config.toml", folder=tmp_path, environ={})
    async with open_core(config, clock=lambda: NOW) as found:
        async with found.db.write() as conn:
            for pop in (1, 2):
                await conn.execute(insert(elements).values(id=f"POP-{pop}", kind="pop"))
                await conn.execute(insert(needs).values(id=pop, text=f"POP-{pop}"))
            for n in range(1, MANY + 1):
                await conn.execute(insert(addresses).values(id=n, channel="sms", value=f"+1859555{n:04d}"))
                await conn.execute(insert(customers).values(id=f"C{n}", name=f"Customer {n}"))
                await conn.execute(insert(contacts).values(id=f"K{n}", customer_id=f"C{n}", name="K", phone_id=n))
                circuit = {"id": f"L{n}", "customer_id": f"C{n}", "label": f"Line {n}", "need_id": 1 + n % 2}
                await conn.execute(insert(circuits).values(circuit))
            await inventory.bump_version(conn)
        yield found


def down(pop: int) -> Declaration:
    return Declaration(title="Cut", scope=(ScopeEntry(kind="element", id=f"POP-{pop}", effect=Effect.OUTAGE),))


async def previewed(core: Core) -> Preview:
    return await core.previews.preview(down(1), actor=WHO)


async def test_what_waits_already_goes_before(core: Core) -> None:
    alone = await previewed(core)
    assert alone.channels["sms"]["messages"] == MANY / 2 and alone.ahead == {}
    assert alone.last_leaves_at["sms"] == NOW + timedelta(seconds=MANY / 2 / 2) + REACTION
    told = await core.operations.declare(down(2), actor=WHO)
    behind = await previewed(core)
    assert behind.ahead == {"sms": MANY / 2}
    assert behind.last_leaves_at["sms"] == NOW + timedelta(seconds=MANY / 2) + REACTION
    async with core.db.read() as conn:
        assert await views_routes.queues(conn, told.outage_id, NOW) == {
            "sms": views_routes.Queue(own=MANY // 2, through=MANY // 2)
        }
        assert await views_routes.queues(conn, "OUT-0000-0000", NOW) == {}


async def test_the_rate_is_that_of_the_route_that_carries(core: Core) -> None:
    row = {
        "owner": "one", "channel": "sms", "place": 0, "name": "main", "passage": "down", "carries": "all", "since": NOW,
        "code": "x", "reason": "gone", "opened": 1, "sent": 9, "rate": 2.0, "last_left_at": NOW, "seen_at": NOW,
    }  # fmt: skip
    backup = row | {"name": "backup", "place": 1, "passage": "up", "since": None, "rate": 0.5}
    async with core.db.write() as conn:
        await routes.put(conn, [row, backup])
    watch = RouteWatch(core.house)
    await watch.refresh()
    assert core.house.rate(ChannelName.SMS) == 0.5
    assert (await previewed(core)).last_leaves_at["sms"] == NOW + timedelta(seconds=MANY / 2 / 0.5) + REACTION
    assert core.house.wave({"sms": 10}) == timedelta(seconds=20) + REACTION, "promises start early enough"


async def test_while_nothing_leaves_nobody_can_say(core: Core) -> None:
    row = {
        "owner": "one", "channel": "sms", "place": 0, "name": "main", "passage": "down", "carries": "all", "since": NOW,
        "code": "x", "reason": "gone", "opened": 1, "sent": 9, "rate": 2.0, "last_left_at": NOW, "seen_at": NOW,
    }  # fmt: skip
    async with core.db.write() as conn:
        await routes.put(conn, [row])
    watch = RouteWatch(core.house)
    await watch.refresh()
    assert watch.rate_of("sms") is None
    seen = await previewed(core)
    assert seen.cut == ("sms",) and seen.last_leaves_at == {}
    async with core.db.write() as conn:
        await routes.put(conn, [row | {"passage": "up", "since": None}])
    await watch.refresh()
    assert watch.rate_of("sms") == 2.0 and (await previewed(core)).cut == ()
