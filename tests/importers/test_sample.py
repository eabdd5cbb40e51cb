"""What a dry run shows of the changes: rows that are new, changed and ended, with each cell as it was and becomes."""

from pathlib import Path

import pytest

from outagecast.domain.errors import Conflict
from outagecast.domain.imports import Change
from outagecast.domain.inventory import InventoryKind as K
from outagecast.storage.engine import Database
from tests.support.inventory_db import db as db
from tests.support.inventory_files import CLERK, SMALL, everything, inventory, write

LATER = {
    "elements": "id,kind,gateway,depends_on\nPOP-LEX,pop,no,\nPOP-2,pop,,POP-LEX\nPOP-3,pop,,\n",
    "customers": "id,name,status,note\nC1,Acme,suspended,\nC2,Beta,,vip\n",
    "contacts": (
        "id,customer_id,name,email,phone,consent_at\n"
        "K1,C1,Ann,ann@example.org,859 555 0199,2026-01-02\nK2,C2,Bob,bob@example.net,,\n"
    ),
    "subscriptions": "customer_id,service_id\nC2,voice\n",
}


async def test_each_sort_with_its_cells(db: Database, tmp_path: Path) -> None:
    stock = inventory(db)
    first = await stock.import_files([write(tmp_path / "in", **SMALL)], actor=CLERK)
    assert first.sample == {}, "only who asks is shown"
    before = await everything(db)
    report = await stock.import_files(
        [write(tmp_path / "later", **LATER)], actor=CLERK, dry_run=True, complete=True, allow_removals=9, sampled=5
    )
    assert await everything(db) == before
    elements = {change.id: change for change in report.sample[K.ELEMENTS]}
    assert elements["POP-3"].what == "new"
    assert elements["POP-LEX"].fields == (("gateway", "1", "0"),)
    assert elements["POP-2"].fields == (("depends_on", "", "POP-LEX"),)
    assert elements["LNK-1"] == Change(what="ended", id="LNK-1", name="Ring")
    assert report.sample[K.CUSTOMERS] == [
        Change(what="changed", id="C1", name="Acme", fields=(("status", "active", "suspended"),)),
        Change(what="changed", id="C2", name="Beta"),
    ], "columns of one's own change too, without a name of ours"
    ann = report.sample[K.CONTACTS][0]
    assert ann.fields == (
        ("email", "ann@example.net", "ann@example.org"),
        ("phone", "+18595550100", "+18595550199"),
        ("consent_at", "", "2026-01-02T00:00:00+00:00"),
    )
    assert [(change.what, change.id) for change in report.sample[K.SUBSCRIPTIONS]] == [
        ("new", "C2 voice"),
        ("ended", "C1 voice"),
    ]


async def test_a_few_of_each_sort(db: Database, tmp_path: Path) -> None:
    rows = "".join(f"C{n},Customer {n}\n" for n in range(30))
    report = await inventory(db).import_files(
        [write(tmp_path / "in", customers="id,name\n" + rows)], actor=CLERK, dry_run=True, sampled=4
    )
    assert [change.id for change in report.sample[K.CUSTOMERS]] == ["C0", "C1", "C2", "C3"]


async def test_what_was_looked_at_is_what_is_applied(db: Database, tmp_path: Path) -> None:
    stock, files = inventory(db), [write(tmp_path / "in", **SMALL)]
    looked = await stock.import_files(files, actor=CLERK, dry_run=True)
    await stock.put("customer", "C7", {"name": "Came between"}, actor=CLERK)
    before = await everything(db)
    with pytest.raises(Conflict, match="has changed since"):
        await stock.import_files(files, actor=CLERK, looked_at=looked.version)
    assert await everything(db) == before
    again = await stock.import_files(files, actor=CLERK, dry_run=True)
    assert (await stock.import_files(files, actor=CLERK, looked_at=again.version)).applied
