"""A preview counts what the declaration then does: on small providers full of special cases, beside open outages."""

import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from outagecast.app import Core, open_core
from outagecast.config import parse_config
from outagecast.domain.levels import Effect
from outagecast.domain.outage import Actor, ActorKind, Declaration, Restoration, Role, ScopeEntry, Severity
from outagecast.engine.preview import Preview, Previewer
from outagecast.storage import inventory
from outagecast.storage.tables import (
    addresses,
    circuits,
    contacts,
    customers,
    deliveries,
    elements,
    impacts,
    needs,
    services,
    sites,
    subscriptions,
)

WHO = Actor(kind=ActorKind.STAFF, name="ann", role=Role.OPERATOR)
NIGHT = datetime(2026, 3, 3, 4, 0, tzinfo=UTC)
SETTINGS = """
[provider]
name = "Bluegrass Fiber"
public_url = "https://status.example.net"
timezone = "America/New_York"
[database]
url = "sqlite:///preview.db"
[email]
host = "127.0.0.1"
from = "status@example.net"
[sms]
account_sid = "AC00000000000000000000000000000000"
auth_token = "not-a-secret"
from = "+18595550100"
price_per_segment = 0.01
[cadence.minor]
sms_kinds = ["resolution"]
[defaults.gold]
notify = "outage degraded reduced_redundancy maintenance"
"""
NEEDS = ("POP-A", "POP-B", "POP-A|POP-B", "OLT-1", "OLT-1;POP-B", "service:voice", "OLT-2|POP-B")
SCOPES = (
    ("element", "POP-A"), ("element", "POP-B"), ("element", "OLT-1"), ("service", "voice"), ("site", "S-1"),
    ("customer", "K-3"), ("circuit", "C-5"), ("area", "North"),
)  # fmt: skip


async def make(core: Core, dice: random.Random, count: int) -> None:
    """Customers of every kind: resellers, shared and suppressed addresses, wishes, quiet hours, nobody to write to."""
    rows: dict[Any, list[dict[str, Any]]] = {table: [] for table in (customers, addresses, contacts, circuits)}
    for n in range(30):
        channel, value = ("email", f"a{n}@example.org") if n % 2 else ("sms", f"+1859555{n:04d}")
        rows[addresses].append({
            "id": n + 1, "channel": channel, "value": value, "suppressed": dice.choice([None] * 6 + ["opted_out"]),
            "shared": n in (4, 5), "confirmed_by": "ann" if n == 5 else None,
        })  # fmt: skip
    mails, phones = range(2, 31, 2), range(1, 31, 2)
    for n in range(count):
        parent = f"K-{dice.randrange(n)}" if n and dice.random() < 0.3 else None
        rows[customers].append({
            "id": f"K-{n}", "name": f"Customer {n}", "parent_id": parent, "tier": dice.choice(["", "gold"]),
            "told_via": dice.choice(["self", "parent", "both"]), "status": dice.choice(["active"] * 7 + ["suspended"]),
        })  # fmt: skip
        for m in range(dice.randrange(3)):
            rows[contacts].append({
                "id": f"P-{n}-{m}", "customer_id": f"K-{n}", "name": dice.choice(["Ann", "Łucja", "Юлия"]),
                "email_id": dice.choice([None, *mails]), "phone_id": dice.choice([None, *phones]),
                "notify": dice.choice(["", "", "outage", "degraded", "reduced_redundancy outage", "maintenance"]),
                "channels": dice.choice(["", "", "email", "sms", "email sms"]),
                "quiet_hours": dice.choice(["", "22:00-07:00"]),
                "status": dice.choice(["active"] * 5 + ["ended"]),
            })  # fmt: skip
    for n in range(count * 2):
        rows[circuits].append({
            "id": f"C-{n}", "customer_id": f"K-{dice.randrange(count)}", "label": f"Line {n}",
            "service_id": dice.choice([None, "voice"]), "site_id": dice.choice([None, "S-1", "S-2"]),
            "need_id": dice.choice([None, *range(1, len(NEEDS) + 1)]),
            "status": dice.choice(["active"] * 9 + ["ended"]),
        })  # fmt: skip
    async with core.db.write() as conn:
        await conn.execute(insert(sites), [{"id": "S-1", "area": "North"}, {"id": "S-2", "area": "South"}])
        await conn.execute(insert(services), [{"id": "voice", "name": "Voice"}])
        await conn.execute(
            insert(elements), [{"id": one, "kind": "pop"} for one in ("POP-A", "POP-B", "OLT-1", "OLT-2")]
        )
        await conn.execute(insert(needs), [{"id": n + 1, "text": text} for n, text in enumerate(NEEDS)])
        for table, values in rows.items():
            if values:
                await conn.execute(insert(table), values)
        some = dice.sample(range(count), 3)
        await conn.execute(insert(subscriptions), [{"customer_id": f"K-{n}", "service_id": "voice"} for n in some])
        await inventory.bump_version(conn)


def open_house(folder: Path) -> Any:
    config = parse_config(SETTINGS, name="config.toml", folder=folder, environ={})
    return open_core(config, clock=lambda: NIGHT)


def declaration(dice: random.Random, **more: Any) -> Declaration:
    scope = tuple(
        ScopeEntry(kind=kind, id=thing_id, effect=dice.choice(list(Effect)))
        for kind, thing_id in dice.sample(SCOPES, dice.randrange(1, 4))
    )
    return Declaration(title="Cut", scope=scope, **more)


async def done(core: Core, outage_id: str) -> dict[str, Any]:
    """What the declaration planned and touched."""
    d, i = deliveries.c, impacts.c
    async with core.db.read() as conn:
        rows = await conn.execute(
            select(d.channel, d.state, d.reason).where(
                d.outage_id == outage_id, d.revision == 1, d.audience == "customer"
            )
        )
        channels, suppressed = Counter[str](), Counter[str]()
        for channel, state, reason in rows:
            if state == "suppressed":
                suppressed[reason] += 1
            else:
                channels[channel] += 1
        mine = (i.outage_id == outage_id, i.to_at.is_(None))
        things = (await conn.execute(select(func.count()).where(*mine))).scalar_one()
        people = (await conn.execute(select(func.count(i.customer_id.distinct())).where(*mine))).scalar_one()
    return {"channels": dict(channels), "suppressed": dict(suppressed), "circuits": things, "customers": people}


def promised(seen: Preview) -> dict[str, Any]:
    return {
        "channels": {name: counts["messages"] for name, counts in seen.channels.items() if counts["messages"]},
        "suppressed": dict(seen.suppressed),
        "circuits": seen.circuits,
        "customers": seen.customers,
    }


@pytest.mark.parametrize("seed", range(12))
async def test_what_is_promised_is_done(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    async with open_house(tmp_path) as core:
        await make(core, dice, 25)
        told: list[str] = []
        for step in range(4):
            asked = declaration(dice, severity=dice.choice([Severity.CRITICAL, Severity.MINOR]))
            seen = await core.previews.preview(asked, actor=WHO)
            assert seen.estimated == ()
            answer = await core.operations.declare(asked, actor=WHO)
            assert await done(core, answer.outage_id) == promised(seen), (seed, step)
            assert sum(level["customers"] for level in seen.by_level.values()) == seen.customers
            told.append(answer.outage_id)
            if step == 1:
                back = (ScopeEntry(kind="customer", id="K-3", effect=Effect.OUTAGE),)
                await core.operations.restore(told[0], Restoration(scope=back), actor=WHO)


async def test_many_are_counted_on_a_sample_and_said_to_be(tmp_path: Path) -> None:
    dice = random.Random(5)
    async with open_house(tmp_path) as core:
        await make(core, dice, 60)
        asked = Declaration(title="Cut", scope=(ScopeEntry(kind="element", id="POP-A", effect=Effect.OUTAGE),))
        exact = await core.previews.preview(asked, actor=WHO)
        rough = Previewer(
            core.house, core.reckoner, core.planner, core.brakes, core.words, price=(0.01, "USD"), most_texts=3,
            most_planned=4,
        )  # fmt: skip
        about = await rough.preview(asked, actor=WHO)
        assert (exact.estimated, about.estimated) == ((), ("segments",))
        assert promised(about) == promised(exact)
        assert exact.cost is not None
        assert exact.cost["amount"] == pytest.approx(exact.channels["sms"]["segments"] * 0.01)
        await core.operations.declare(asked, actor=WHO)
        again = await rough.preview(asked, actor=WHO)
        assert "messages" in again.estimated


async def test_the_same_scope_is_looked_at_anew_when_something_changed(tmp_path: Path) -> None:
    dice = random.Random(2)
    async with open_house(tmp_path) as core:
        await make(core, dice, 10)
        asked = Declaration(title="Cut", scope=(ScopeEntry(kind="element", id="POP-A", effect=Effect.OUTAGE),))
        before = await core.previews.preview(asked, actor=WHO)
        assert promised(await core.previews.preview(asked, actor=WHO)) == promised(before)
        await core.inventory.put("customer", "K-NEW", {"name": "New"}, actor=WHO)
        await core.inventory.put("circuit", "C-NEW", {"customer_id": "K-NEW", "depends_on": "POP-A"}, actor=WHO)
        after = await core.previews.preview(asked, actor=WHO)
        assert (after.customers, after.unreachable_count) == (before.customers + 1, before.unreachable_count + 1)
        worse = Declaration(title="Cut", scope=(ScopeEntry(kind="element", id="POP-A", effect=Effect.DEGRADED),))
        assert "outage" not in (await core.previews.preview(worse, actor=WHO)).by_level
        await core.operations.declare(asked, actor=WHO)
        covered = await core.previews.preview(asked, actor=WHO)
        assert covered.channels == {}


async def test_the_samples_are_what_would_be_sent(tmp_path: Path) -> None:
    dice = random.Random(3)
    async with open_house(tmp_path) as core:
        await make(core, dice, 40)
        asked = Declaration(
            title="Cut",
            message="Crew on the way.",
            scope=(ScopeEntry(kind="element", id="POP-A", effect=Effect.OUTAGE),),
        )
        seen = await core.previews.preview(asked, actor=WHO)
        assert len(seen.samples) == 3
        assert {sample["channel"] for sample in seen.samples} == {"email", "sms"}
        assert any(not sample["name"].isascii() for sample in seen.samples)
        assert all("Crew on the way." in sample["text"] for sample in seen.samples if sample["channel"] == "email")
        assert seen.reached["element:POP-A"] == "outage"
        worst = seen.impacts_sample[0]
        assert worst["level"] == "outage"
        assert "element:POP-A" in worst["because"]
        someone = seen.samples[-1]["customer_id"]
        his = await core.previews.preview(asked, actor=WHO, customer_id=someone)
        assert promised(his) == promised(seen)
        assert seen.samples[-1] in his.samples
        assert (await core.previews.preview(asked, actor=WHO, customer_id="nobody")).samples == []
        assert await core.previews.reached(asked.scope) == seen.reached
