"""Whom a failure would touch, by level and with its cause, and how things are on the union of what is open."""

from pathlib import Path

import pytest
from sqlalchemy import insert

from outagecast.domain.levels import Level
from outagecast.engine.blast import SHOWN, Blast
from outagecast.engine.reckoning import Reckoner
from outagecast.storage import inventory as reads
from outagecast.storage import tables
from outagecast.storage.engine import Database
from tests.support.inventory_db import db as db
from tests.support.inventory_files import CLERK, NOW, inventory, write

FILES = {
    "elements": (
        "id,kind,a,z,gateway,depends_on\n"
        "GW,pop,,,yes,\nNORTH,pop,,,,\nSOUTH,pop,,,,\nEND,pop,,,,\n"
        "L1,link,GW,NORTH,,\nL2,link,GW,SOUTH,,\nL3,link,NORTH,SOUTH,,\nL4,link,SOUTH,END,,\n"
        "LOST,router,,,,\nLOST-2,router,,,,\nL9,link,LOST,LOST-2,,\n"
    ),
    "services": "id,name,depends_on\nvoice,Voice,SOUTH\n",
    "customers": "id,name,status\nC1,Acme,\nC2,Beta,\nC3,Gone,ended\n",
    "circuits": (
        "id,customer_id,service_id,label,depends_on\n"
        "N1,C1,,North,NORTH\nE1,C1,,End,END\nD1,C2,,Dual,NORTH|SOUTH\nX1,C3,,Gone,END\n"
    ),
    "subscriptions": "customer_id,service_id\nC2,voice\n",
}


@pytest.fixture
async def blast(db: Database, tmp_path: Path) -> Blast:
    await inventory(db).import_files([write(tmp_path / "in", **FILES)], actor=CLERK)
    return Blast(db, Reckoner(db))


async def test_an_element_with_all_that_hangs_on_it(blast: Blast) -> None:
    found = await blast.if_fails("element", "SOUTH")
    assert found.by_level == {
        "outage": {"customers": 2, "circuits": 1, "services": 1},
        "reduced_redundancy": {"customers": 0, "circuits": 2, "services": 0},
    }, "a customer counts at his worst level, and who is gone not at all"
    assert (found.customers, found.circuits, found.services) == (2, 3, 1)
    first = found.lines[0]
    assert (first.id, first.label, first.customer, first.level) == ("E1", "End", "Acme", Level.OUTAGE)
    assert first.because[0] == "element:END"
    assert first.because[-1] == "element:SOUTH"
    assert found.elements["outage"] == 5, "itself, its three links and the end"
    assert list(found.by_level) == ["outage", "reduced_redundancy"], "the worst first"


async def test_a_link_a_service_and_a_thing_nobody_needs(blast: Blast) -> None:
    link = await blast.if_fails("element", "L4")
    assert (link.customers, link.circuits) == (1, 1)
    service = await blast.if_fails("service", "voice")
    assert (service.customers, service.circuits, service.services) == (1, 0, 1)
    nothing = await blast.if_fails("element", "LOST")
    assert (nothing.customers, nothing.by_level, list(nothing.lines)) == (0, {}, [])
    assert (await blast.if_fails("element", "NOPE")).customers == 0


async def test_many_are_counted_and_few_are_shown(db: Database, tmp_path: Path, blast: Blast) -> None:
    rows = "".join(f"M{n},C2,,Many {n},END\n" for n in range(90))
    files = write(tmp_path / "more", circuits="id,customer_id,service_id,label,depends_on\n" + rows)
    await inventory(db).import_files([files], actor=CLERK)
    found = await blast.if_fails("element", "END")
    assert found.circuits == 91, "the network is the inventory's of today"
    assert len(found.lines) == SHOWN


async def test_how_it_is_now(db: Database, blast: Blast) -> None:
    assert (await blast.now("element", "END")).level is Level.NO_IMPACT
    outage = {
        "title": "x", "status": "identified", "started_at": NOW, "created_at": NOW, "restored": [], "public": True,
    }  # fmt: skip
    scopes = {"OUT-1": [("element", "L4", "degraded")], "OUT-2": [("element", "SOUTH", "outage")], "OUT-3": []}
    async with db.write() as conn:
        for n, (id, scope) in enumerate(scopes.items()):
            named = [{"kind": kind, "id": thing, "effect": effect} for kind, thing, effect in scope]
            await conn.execute(insert(tables.outages).values(**outage, id=id, number=n, scope=named))
    end = await blast.now("element", "END")
    assert (end.level, end.because[-1], end.outages) == (Level.OUTAGE, "element:SOUTH", ("OUT-2",))
    link = await blast.now("element", "L4")
    assert (link.level, set(link.outages)) == (Level.OUTAGE, {"OUT-1", "OUT-2"})
    assert (await blast.now("service", "voice")).outages == ("OUT-2",)
    assert (await blast.now("element", "GW")).level is Level.NO_IMPACT


async def test_what_has_no_path_even_with_nothing_down(blast: Blast) -> None:
    assert set(await blast.isolated()) == {"LOST", "LOST-2"}


async def test_what_the_changed_map_adds_for_a_customer(db: Database, tmp_path: Path, blast: Blast) -> None:
    scope = [{"kind": "element", "id": "END", "effect": "outage"}]
    async with db.write() as conn:
        version = await reads.inventory_version(conn)
        await conn.execute(
            insert(tables.outages).values(
                id="OUT-1", number=1, title="x", status="identified", started_at=NOW, created_at=NOW, restored=[],
                public=True, scope=scope, inventory=version,
            )
        )  # fmt: skip
        await conn.execute(
            insert(tables.impacts).values(
                outage_id="OUT-1",
                episode=1,
                thing_kind="circuit",
                thing_id="E1",
                customer_id="C1",
                level=3,
                from_at=NOW,
            )
        )
    assert await blast.unapplied("C1") is None
    files = write(tmp_path / "more", circuits="id,customer_id,depends_on\nE2,C1,END\nE3,C1,GW\n")
    await inventory(db).import_files([files], actor=CLERK)
    found = await blast.unapplied("C1")
    assert found is not None
    assert (found.lines, found.outages) == (1, ("OUT-1",)), "E1 is counted, E3 is well"
    assert await blast.unapplied("C2") is None
    async with db.write() as conn:
        back = [{"kind": "circuit", "id": "E2"}]
        await conn.execute(tables.outages.update().values(restored=back))
    assert await blast.unapplied("C1") is None, "what is said to be back is back"
