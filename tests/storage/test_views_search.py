"""What somebody types finds what he means, best first; and who calls is found by whatever he says."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from outagecast.domain.outage import Actor, ActorKind, Role
from outagecast.engine.inventory import Inventory
from outagecast.storage.engine import Database
from outagecast.storage.views_search import find, find_callers
from tests.support.databases import opened

WHO = Actor(kind=ActorKind.CLI, name="test", role=Role.ADMIN)
FILES = {
    "sites": "id,name,area\nHAZ,Hazard,Perry\nLEX,Lexington,Fayette\n",
    "elements": (
        "id,kind,name,site,a,z\nPOP-HAZ,pop,Hazard POP,HAZ,,\nPOP-LEX,pop,Lexington POP,LEX,,\n"
        "LNK-1,link,Lexington to Hazard,,POP-LEX,POP-HAZ\n"
    ),
    "services": "id,name\nvoice,Hosted Voice\n",
    "customers": (
        "id,name,status\nK-1,Acme Steel Works,active\nK-2,Café Hazel,active\nK-3,Hazard Coal,ended\n"
        "K-4,Bob Acme,active\n"
    ),
    "contacts": (
        "id,customer_id,name,email,phone\nC-1,K-1,Ann O'Dole,noc@acme.example,+18595550123\n"
        "C-2,K-2,Łucja Nowak,lucja@hazel.example,+442071838750\n"
    ),
    "circuits": (
        "id,customer_id,service_id,label,place\nCIR-001,K-1,voice,Main Office,12 Mill St\n"
        "CIR-002,K-1,,Warehouse,120 Mill St\nCIR-003,K-2,,Main Bar,Hauptstraße 5\nCIR-004,K-3,,Main Shaft,1 Coal Rd\n"
    ),
}


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    found = opened("search.db", tmp_path)
    await found.migrate()
    folder = tmp_path / "in"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    verbs = Inventory(found, clock=lambda: datetime(2026, 3, 3, tzinfo=UTC), region="US")
    await verbs.import_files([folder], actor=WHO)
    yield found
    await found.close()


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("POP-HAZ", ["element:POP-HAZ"]),
        ("pop-h", ["element:POP-HAZ"]),
        ("pop haz", ["element:POP-HAZ"]),
        ("haz", ["site:HAZ", "element:POP-HAZ", "element:LNK-1", "customer:K-2"]),
        ("lexington to", ["element:LNK-1"]),
        ("perry", ["area:Perry"]),
        ("hosted", ["service:voice"]),
        ("cafe", ["customer:K-2"]),
        ("works steel", ["customer:K-1"]),
        ("acme", ["customer:K-1", "customer:K-4"]),
        ("cir-00", ["circuit:CIR-001", "circuit:CIR-002", "circuit:CIR-003"]),
        ("CIR-002", ["circuit:CIR-002"]),
        ("main", ["circuit:CIR-003", "circuit:CIR-001"]),
        ("12 mill", ["circuit:CIR-001", "circuit:CIR-002"]),
        ("120 mill st", ["circuit:CIR-002"]),
        ("mill st 120", ["circuit:CIR-002"]),
        ("hauptstrasse", ["circuit:CIR-003"]),
        ("acme steel main", ["circuit:CIR-001"]),
        ("acme voice", []),
        ("coal", []),
        ("%", []),
        ("  ", []),
    ],
)
async def test_finding(db: Database, typed: str, first: list[str]) -> None:
    async with db.read() as conn:
        found = await find(conn, typed)
    assert [f"{thing.kind}:{thing.id}" for thing in found] == first


async def test_only_some_kinds_and_no_kind_fills_the_list_alone(db: Database) -> None:
    async with db.read() as conn:
        assert [thing.id for thing in await find(conn, "haz", kinds=("customer",))] == ["K-2"]
        few = await find(conn, "haz", limit=2)
    assert {thing.kind for thing in few} == {"site", "element"}
    assert len(few) == 2


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("+1 (859) 555-0123", [("K-1", "phone", "+18595550123", "C-1")]),
        ("859 555 0123", [("K-1", "phone", "+18595550123", "C-1")]),
        ("0123", [("K-1", "phone", "+18595550123", "C-1")]),
        ("020 7183 8750", [("K-2", "phone", "+442071838750", "C-2")]),
        ("NOC@acme", [("K-1", "email", "noc@acme.example", "C-1")]),
        ("lucja", [("K-2", "email", "lucja@hazel.example", "C-2")]),
        ("dole", [("K-1", "contact", "Ann O'Dole", "C-1")]),
        ("acme st", [("K-1", "customer", "Acme Steel Works", "")]),
        ("k-3", []),
        ("CIR-003", [("K-2", "circuit", "CIR-003 Main Bar", "")]),
        ("120 mill", [("K-1", "circuit", "CIR-002 Warehouse", "")]),
        ("nobody", []),
        ("", []),
    ],
)
async def test_who_is_calling(db: Database, said: str, found: list[tuple[str, ...]]) -> None:
    async with db.read() as conn:
        callers = await find_callers(conn, said)
    assert [(c.customer_id, c.by, c.matched, c.contact_id) for c in callers] == found
    assert all(c.name for c in callers)


async def test_what_has_ended_is_found_no_more(db: Database) -> None:
    verbs = Inventory(db, clock=lambda: datetime(2026, 3, 3, tzinfo=UTC), region="US")
    await verbs.delete("element", "POP-HAZ", actor=WHO)
    await verbs.delete("circuit", "CIR-001", actor=WHO)
    async with db.read() as conn:
        assert [thing.id for thing in await find(conn, "pop-haz")] == []
        assert [thing.id for thing in await find(conn, "CIR-001")] == []
