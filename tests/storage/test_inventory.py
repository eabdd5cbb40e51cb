"""Reading the inventory back."""

from pathlib import Path

import pytest

from outagecast.domain.network import ElementRow, PinnedCircuitRow, ServiceRow
from outagecast.engine.inventory import Inventory
from outagecast.storage import inventory as reads
from outagecast.storage.engine import Database
from tests.support.inventory_db import db as db
from tests.support.inventory_files import CLERK, SMALL, inventory, write


@pytest.fixture
async def stock(db: Database, tmp_path: Path) -> Inventory:
    found = inventory(db)
    await found.import_files([write(tmp_path / "in", **SMALL)], actor=CLERK)
    return found


async def test_the_rows_of_the_network(stock: Inventory, db: Database) -> None:
    await stock.delete("element", "LNK-1", actor=CLERK)
    async with db.read() as conn:
        rows = await reads.network_rows(conn)
    assert rows.elements == [
        ElementRow(id="POP-LEX", kind="pop", site="LEX", gateway=True),
        ElementRow(id="POP-2", kind="pop", site="LEX"),
    ]
    assert rows.services == [ServiceRow(id="voice", need="POP-LEX")]
    assert sorted(text for _, text in rows.needs) == ["POP-LEX;LNK-1|POP-2", "circuit:X1"]
    assert rows.pinned_circuits == [
        PinnedCircuitRow(id="X1", customer_id="C1", service_id="voice", site="LEX", need="POP-LEX;LNK-1|POP-2")
    ]


@pytest.mark.parametrize(
    ("kind", "known"),
    [("element", "POP-2"), ("circuit", "X1"), ("service", "voice"), ("site", "LEX"), ("area", "north"),
     ("customer", "C1"), ("contact", "K1")],
)  # fmt: skip
async def test_what_exists(stock: Inventory, db: Database, kind: str, known: str) -> None:
    async with db.read() as conn:
        assert await reads.exists(conn, kind, [known, "nothing", known]) == {known}
        assert await reads.exists(conn, kind, []) == set()


@pytest.mark.parametrize(
    ("kind", "wrong", "near"),
    [("element", "pop-lex", "POP-LEX"), ("element", "POP-LX", "POP-LEX"), ("circuit", "X11", "X1"),
     ("area", "nort", "north"),
     ("element", "quite-other", None), ("customer", "", None)],
)  # fmt: skip
async def test_did_you_mean(stock: Inventory, db: Database, kind: str, wrong: str, near: str | None) -> None:
    async with db.read() as conn:
        assert await reads.did_you_mean(conn, kind, wrong) == near


async def test_the_sites_of_an_area(stock: Inventory, db: Database) -> None:
    async with db.read() as conn:
        assert await reads.sites_of_area(conn, "north") == ["LEX"]
        assert await reads.sites_of_area(conn, "") == []
