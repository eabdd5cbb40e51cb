"""The short way of planning gives the very rows of the long one: over small providers full of special cases."""

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select

from outagecast.domain.facts import to_micros
from outagecast.domain.levels import Effect
from outagecast.domain.notices import Speaking
from outagecast.domain.outage import Declaration, ScopeEntry, Severity, Verb
from outagecast.engine.crashpoints import never
from outagecast.engine.deciding import Decider
from outagecast.engine.outlines import Filled, Outliner
from outagecast.engine.planned import OtherVoice, Speech
from outagecast.engine.planner import Planner
from outagecast.engine.settings import DeliverySettings, SafetySettings
from outagecast.storage import glance, inventory, outages, tables
from outagecast.storage.engine import Connection
from outagecast.storage.types import compact
from tests.support.databases import opened
from tests.support.tiny_provider import ANN, TinyProvider

WORDS = (
    "",
    "Main St",
    'the "old" mill',
    "50 % off %s",
    "back\\slash",
    "Łódź\t12",
    "line\nbreak",
    "\u2028",
    "😀",
    "a/b",
)
POPS = ("POP-A", "POP-B")


async def make(db: Any, dice: random.Random, count: int) -> None:
    """Customers of every kind: most of them usual, each with a chance of each thing that is not."""
    rows: dict[Any, list[dict[str, Any]]] = {
        t: [] for t in (tables.customers, tables.addresses, tables.contacts, tables.circuits, tables.subscriptions)
    }

    def now_and_then(usual: Any, *others: Any) -> Any:
        return dice.choice(others) if dice.random() < 0.2 else usual

    for n in range(count):
        parent = f"K-{dice.randrange(n)}" if n and dice.random() < 0.08 else now_and_then(None, "")
        rows[tables.customers].append({
            "id": f"K-{n}", "name": now_and_then(f"Customer {n}", *WORDS), "tier": now_and_then("", "gold"),
            "parent_id": parent, "told_via": dice.choice(["self", "self", "parent", "both"]),
            "status": now_and_then("active", "active", "suspended"), "language": now_and_then("", "fr"),
            "timezone": now_and_then("", "Asia/Tokyo"),
        })  # fmt: skip
        mail, phone = 2 * n + 1, 2 * n + 2
        rows[tables.addresses] += [
            {
                "id": number, "channel": channel, "value": value,
                "suppressed": now_and_then(None, None, "opted_out"), "shared": now_and_then(False, True),
                "confirmed_by": now_and_then(None, "ann"),
            }
            for number, channel, value in ((mail, "email", f"k{n}@example.org"), (phone, "sms", f"+1859555{n:04d}"))
        ]  # fmt: skip
        for m in range(now_and_then(1, 0, 2)):
            rows[tables.contacts].append({
                "id": f"P-{n}-{m}", "customer_id": f"K-{n}", "name": now_and_then(f"Ann {n}", *WORDS),
                "email_id": now_and_then(mail, None, dice.randrange(1, mail + 1, 2)),
                "phone_id": now_and_then(phone, None, dice.randrange(2, phone + 1, 2)),
                "notify": now_and_then("", "outage", "degraded", "reduced_redundancy outage", "maintenance"),
                "channels": now_and_then("", "email", "sms", "email sms"), "language": now_and_then("", "de"),
                "timezone": now_and_then("", "Europe/Berlin"), "quiet_hours": now_and_then("", "13:00-16:00"),
                "wake_for": now_and_then("", "outage", "degraded"), "status": now_and_then("active", "ended"),
            })  # fmt: skip
        for m in range(now_and_then(1, 0, 2, 3, 12)):
            rows[tables.circuits].append({
                "id": now_and_then(f"C-{n}-{m}", f"{dice.choice(WORDS)}{n}-{m}"), "customer_id": f"K-{n}",
                "label": now_and_then(f"Line {m}", *WORDS), "place": now_and_then("Here", *WORDS),
                "service_id": now_and_then(None, "voice", "gone"), "site_id": now_and_then(None, "S-1", "S-2"),
                "need_id": dice.choice([1, 2, 3]), "status": now_and_then("active", "ended"),
            })  # fmt: skip
        if dice.random() < 0.1:
            rows[tables.subscriptions].append({"customer_id": f"K-{n}", "service_id": "voice"})
    async with db.write() as conn:
        await conn.execute(insert(tables.sites).values(id="S-1", name="Mill", timezone="Asia/Tokyo"))
        await conn.execute(insert(tables.sites).values(id="S-2"))
        await conn.execute(insert(tables.services), [{"id": "voice", "name": dice.choice(["Voice", ""])}])
        await conn.execute(insert(tables.elements), [{"id": pop, "kind": "pop"} for pop in POPS])
        await conn.execute(
            insert(tables.needs), [{"id": n + 1, "text": t} for n, t in enumerate([*POPS, "POP-A|POP-B"])]
        )
        for table, values in rows.items():
            for value in values:
                await conn.execute(insert(table), value)
        await inventory.bump_version(conn)


async def speech_of(conn: Connection, outage_id: str, now: Any) -> Speech:
    """The declaration of this outage, as it is said."""
    rows = {row.id: row for row in await outages.open_ones(conn)}
    own = rows.pop(outage_id)
    speaking = Speaking(
        outage_id=outage_id, verb=Verb.DECLARE, at=now, to_all=True, back_at=now, etas={outage_id: own.eta}
    )
    voices = {
        o.id: OtherVoice(outage_id=o.id, episode=o.episode, severity=o.severity, eta=o.eta, promise=o.next_update_by)
        for o in rows.values()
    }
    return Speech(
        speaking=speaking, episode=1, revision=1, severity=own.severity, promise=own.next_update_by, slow=False,
        carried="", others=voices,
    )  # fmt: skip


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """Values as they go to the database."""
    facts = row.get("facts")
    plain = {name: to_micros(value) if hasattr(value, "tzinfo") else value for name, value in row.items()}
    return plain if facts is None or isinstance(facts, str) else plain | {"facts": compact(facts)}


def by_address(rows: list[dict[str, Any]], handled: set[int]) -> list[tuple[Any, ...]]:
    chosen = [sorted(row.items()) for row in rows if row["address_id"] in handled]
    return sorted([tuple(row) for row in chosen], key=repr)


@pytest.mark.parametrize("seed", range(16))
async def test_the_short_way_plans_what_the_long_way_plans(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    db = opened("outlines.db", tmp_path)
    await db.migrate()
    built = TinyProvider(db, DeliverySettings(), SafetySettings(), never)
    await make(db, dice, 40)
    handled = 0
    for step in range(3):
        scope = [ScopeEntry(kind="element", id=pop, effect=dice.choice(list(Effect))) for pop in POPS[: step + 1]]
        severity, eta = dice.choice(list(Severity)), dice.choice([None, timedelta(hours=1), timedelta(hours=-1)])
        declaration = Declaration(
            title="Cut", scope=tuple(scope), severity=severity, eta=None if eta is None else built.clock.now + eta
        )
        told = await built.operations.declare(declaration, actor=ANN)
        handled += await compared(built, told.outage_id, (seed, step))
        built.clock.pass_(3600)
    assert handled > 20
    await db.close()


async def compared(built: TinyProvider, outage_id: str, case: Any) -> int:
    """Plans a declaration once more, both ways. How many addresses the short way decides."""
    async with built.db.write() as conn:
        mine = select(tables.deliveries.c.id).where(tables.deliveries.c.outage_id == outage_id)
        await conn.execute(delete(tables.notices).where(tables.notices.c.delivery_id.in_(mine)))
        for table in (tables.deliveries, tables.leads):
            await conn.execute(delete(table).where(table.c.outage_id == outage_id))
    async with built.db.read() as conn:
        speech = await speech_of(conn, outage_id, built.clock.now)
        everybody = list((await conn.execute(select(tables.addresses.c.id))).scalars())
        seen = await glance.seen(conn, everybody, built.house.channels, speech.episodes)
        short = Outliner(built.house, Decider(built.house), speech, built.clock.now, 7).fill(seen)
        long = await Planner(built.house).decide(conn, speech, everybody, built.clock.now)
    rows = [dict(zip(short.delivery_columns, row, strict=True)) for row in short.deliveries]
    numbers = [row.pop("id") for row in rows]
    assert numbers == list(range(7, 7 + len(rows)))
    assert by_address(rows, short.handled) == by_address([plain(row.values) for row in long.rows], short.handled), case
    leads = [dict(zip(short.lead_columns, row, strict=True)) for row in short.leads]
    assert by_address(leads, short.handled) == by_address([plain(row) for row in long.leads], short.handled), case
    assert_spoken_of(short, rows, numbers, long.rows)
    return len(short.handled)


def assert_spoken_of(short: Filled, rows: list[dict[str, Any]], numbers: list[int], long: list[Any]) -> None:
    spoken = {row.values["address_id"]: row for row in long}
    assert dict(short.notices) == {n: row["customer_id"] for n, row in zip(numbers, rows, strict=True)}
    assert all(spoken[row["address_id"]].customers == (row["customer_id"],) for row in rows)
    assert short.newly_told == {
        customer_id
        for row in rows
        if spoken[row["address_id"]].tells_newly
        for customer_id in spoken[row["address_id"]].customers
    }
