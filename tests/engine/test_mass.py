"""What is reckoned by places and gathered by joins is what is reckoned line by line: the same impacts and rows."""

import random
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from outagecast.domain.errors import Conflict, Invalid
from outagecast.domain.levels import Effect
from outagecast.domain.outage import Change, Declaration, Ending, Restoration, ScopeEntry, Severity
from outagecast.engine.brakes import Brakes
from outagecast.engine.crashpoints import never
from outagecast.engine.effects import Effects
from outagecast.engine.operations import Operations
from outagecast.engine.planner import Planner
from outagecast.engine.reckoning import Reckoner
from outagecast.engine.settings import DeliverySettings, SafetySettings
from outagecast.engine.waves import Waves
from outagecast.storage import tables
from tests.engine.test_outlines import make
from tests.support.databases import opened
from tests.support.tiny_provider import ANN, TinyProvider

SCOPES = (
    ("element", "POP-A"), ("element", "POP-B"), ("service", "voice"), ("site", "S-1"), ("customer", "K-3"),
    ("circuit", "C-5-0"),
)  # fmt: skip
KEPT = {
    tables.impacts: ("outage_id", "episode", "thing_kind", "thing_id", "customer_id", "level", "from_at", "to_at"),
    tables.deliveries: (
        "outage_id", "episode", "revision", "kind", "channel", "address_id", "to", "contact_id", "state", "reason",
        "due_at", "expires_at", "rank", "eta", "promise",
    ),
    tables.leads: ("outage_id", "episode", "address_id", "thing_kind", "thing_id", "customer_id", "role", "level"),
}  # fmt: skip


async def life(folder: Path, seed: int, *, mass_from: int, wave_limit: int, safety: SafetySettings) -> Any:
    """One life of a small provider; everything it left behind."""
    dice = random.Random(seed)
    db = opened("mass.db", folder)
    await db.migrate()
    built = TinyProvider(db, DeliverySettings(), safety, never)
    await make(db, dice, 30)
    planner = Planner(built.house)
    waves = Waves(built.house, planner, limit=wave_limit, chunk=7)
    effects = Effects(built.house, Reckoner(db, mass_from=mass_from), planner, waves)
    verbs = Operations(built.house, effects, Brakes(built.house))
    told: list[str] = []
    for _ in range(7):
        with suppress(Conflict, Invalid):  # it has ended before, or there is no such line
            await step(verbs, told, dice, built)
        while await waves.advance():
            pass
        built.clock.pass_(600)
    left = {}
    async with db.read() as conn:
        for table, names in KEPT.items():
            rows = await conn.execute(select(*[table.c[name] for name in names]))
            left[table.name] = sorted([tuple(row) for row in rows], key=repr)
        because = await conn.execute(select(tables.impacts.c.thing_id, tables.impacts.c.because))
        left["because"] = sorted([(row.thing_id, tuple(row.because)) for row in because])
        facts = await conn.execute(select(tables.deliveries.c.address_id, tables.deliveries.c.facts))
        left["facts"] = sorted([tuple(row) for row in facts], key=repr)
        left["held"] = sorted(
            [tuple(row) for row in await conn.execute(select(tables.outages.c.held_because))], key=repr
        )
    await db.close()
    return left


async def step(verbs: Operations, told: list[str], dice: random.Random, built: TinyProvider) -> None:
    def scope() -> tuple[ScopeEntry, ...]:
        chosen = dice.sample(SCOPES, dice.randrange(1, 4))
        return tuple(ScopeEntry(kind=kind, id=one, effect=dice.choice(list(Effect))) for kind, one in chosen)

    verb = dice.choice(["declare", "declare", "widen", "say", "restore", "resolve", "undone"]) if told else "declare"
    named, severity, outage_id = scope(), dice.choice(list(Severity)), dice.choice(told) if told else ""
    match verb:
        case "declare" | "undone":
            undo = timedelta(minutes=5 if verb == "undone" else 0)
            asked = Declaration(title="Cut", scope=named, severity=severity)
            told.append((await verbs.declare(asked, actor=ANN, undo_for=undo)).outage_id)
            if undo:
                built.clock.pass_(600)
                await verbs.take_due()
        case "widen":
            await verbs.update(outage_id, Change(scope_add=named), actor=ANN)
        case "say":
            await verbs.update(outage_id, Change(message="We are on it."), actor=ANN)
        case "restore":
            await verbs.restore(outage_id, Restoration(scope=(SCOPE_BACK,)), actor=ANN)
        case _:
            await verbs.resolve(outage_id, Ending(), actor=ANN)


SCOPE_BACK = ScopeEntry(kind="customer", id="K-4", effect=Effect.OUTAGE)


@pytest.mark.parametrize("seed", range(24))
async def test_by_places_as_line_by_line(tmp_path: Path, seed: int) -> None:
    safety = SafetySettings(approve_above=20 if seed % 4 == 1 else 0, sms_per_day=25 if seed % 4 == 2 else 0)
    line_by_line = await life(tmp_path / "lines", seed, mass_from=10**6, wave_limit=10**6, safety=safety)
    by_places = await life(tmp_path / "places", seed, mass_from=1, wave_limit=seed % 3 * 15, safety=safety)
    for what, rows in line_by_line.items():
        assert by_places[what] == rows, (seed, what)
    assert line_by_line["impacts"]


async def test_what_is_very_much_is_not_listed(tmp_path: Path) -> None:
    """Nothing of it passes through this process line by line: neither what begins nor what ends."""
    db = opened("mass.db", tmp_path)
    await db.migrate()
    built = TinyProvider(db, DeliverySettings(), SafetySettings(), never)
    await make(db, random.Random(1), 30)
    reckoner = Reckoner(db, mass_from=5)
    async with db.read() as conn:
        extent = await reckoner.extent(conn, [{"kind": "element", "id": "POP-A", "effect": "outage"}], [])
    begun = await reckoner.reckon(await reckoner.world(), "(new)", extent, in_mass=True)
    assert begun.mass is not None and not begun.open
    listed = await reckoner.reckon(await reckoner.world(), "(new)", extent)
    assert listed.mass is None and len(listed.open) > 5
    told = await built.operations.declare(
        Declaration(title="Cut", scope=(ScopeEntry(kind="element", id="POP-A", effect=Effect.OUTAGE),)), actor=ANN
    )
    ended = await reckoner.reckon(await reckoner.world(), told.outage_id, None, in_mass=True)
    assert ended.all_end and not ended.close
    await db.close()
