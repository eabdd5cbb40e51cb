"""What finds things stays true whichever way the inventory changes: it always equals what a rebuild would give."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from outagecast.domain.outage import Actor, ActorKind, Role
from outagecast.domain.search_terms import folded, holds, name_terms, phone_term, place_term
from outagecast.engine.inventory import Inventory
from outagecast.storage import search_index
from outagecast.storage.engine import Database
from outagecast.storage.upgrade import MIGRATIONS
from tests.support.databases import opened, url

WHO = Actor(kind=ActorKind.CLI, name="test", role=Role.ADMIN)
FILES = {
    "sites": "id,name,area\nLEX,Lexington,Fayette\nGEO,Georgetown,\n",
    "elements": "id,kind,name,site\nPOP-LEX,pop,Lexington POP,LEX\nOLT-1,olt,,\n",
    "services": "id,name\nfiber,Fiber Internet\n",
    "customers": "id,name\nK-1,Café Zürich\nK-2,Acme Steel Works\n",
    "contacts": "id,customer_id,name,email,phone\nC-1,K-1,Łucja O'Brien,l@cafe.example,+18595550123\n",
    "circuits": (
        "id,customer_id,label,place\nX-1,K-1,Main Office,12 Mill St\nX-2,K-1,X-2,Mill  St 13b\n"
        "X-3,K-2,Büro 7,Königstraße 4\nX-4,K-2,---,7\nX-5,K-2,,\n"
    ),
}


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    found = opened("search.db", tmp_path)
    await found.migrate()
    yield found
    await found.close()


def write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")


async def bring(db: Database, folder: Path, files: dict[str, str], *, complete: bool = False) -> None:
    write(folder, files)
    verbs = Inventory(db, clock=lambda: datetime(2026, 3, 3, tzinfo=UTC), region="US")
    await verbs.import_files([folder], actor=WHO, complete=complete, allow_removals=99)


async def terms(db: Database) -> set[tuple[str, str, str]]:
    async with db.read() as conn:
        rows = await conn.exec_driver_sql("SELECT kind, word, id FROM search_words")
        return {(row["kind"], row["word"], row["id"]) for row in rows.mappings()}


async def is_true(db: Database) -> set[tuple[str, str, str]]:
    """The terms, which must be those that the stored rows have; an area that no site has any more may stay behind."""
    kept = await terms(db)
    async with db.write() as conn:
        await conn.run_sync(search_index.rebuild)
    anew = await terms(db)
    assert {each for each in kept if each[0] != "area"} == {each for each in anew if each[0] != "area"}
    assert kept >= anew
    return kept


async def test_a_first_import_and_a_second_one_that_changes_some(db: Database, tmp_path: Path) -> None:
    await bring(db, tmp_path / "in", FILES)
    found = await is_true(db)
    for kind, word, id in (
        ("element", "pop lex", "POP-LEX"), ("element", "lex", "POP-LEX"), ("element", "lexington pop", "POP-LEX"),
        ("site", "lexington", "LEX"), ("area", "fayette", "Fayette"), ("customer", "steel works", "K-2"),
        ("customer", "cafe zurich", "K-1"), ("contact", "o brien", "C-1"), ("phone", "32105559581", "+18595550123"),
        ("circuit", "main office", "X-1"), ("circuit", "mill st 12", "X-1"), ("circuit", "mill st 13b", "X-2"),
        ("circuit", "konigstrasse 4", "X-3"), ("circuit", "7", "X-4"),
    ):  # fmt: skip
        assert (kind, word, id) in found, (kind, word, id)
    assert not [each for each in found if not each[1]]
    changed = {
        "customers": "id,name\nK-2,Acme Copper\n",
        "circuits": "id,customer_id,place\nX-1,K-1,99 Elm St\nX-6,K-2,Ünter 3\n",
        "sites": "id,name\nGEO,Georgetown North\n",
        "contacts": "id,customer_id,name,phone\nC-1,K-1,Lucy,+18595550199\n",
    }
    await bring(db, tmp_path / "in", changed)
    found = await is_true(db)
    assert ("customer", "copper", "K-2") in found
    assert ("customer", "steel works", "K-2") not in found
    assert ("circuit", "main office", "X-1") in found, "a column that the file does not have stays as it was"
    assert ("circuit", "elm st 99", "X-1") in found
    assert ("circuit", "mill st 12", "X-1") not in found


async def test_a_complete_import_that_ends_things_keeps_it_true(db: Database, tmp_path: Path) -> None:
    await bring(db, tmp_path / "in", FILES)
    await bring(db, tmp_path / "in", FILES | {"elements": "id,kind,name\nPOP-LEX,pop,Lex\n"}, complete=True)
    found = await is_true(db)
    assert ("element", "lex", "POP-LEX") in found
    assert ("element", "lexington pop", "POP-LEX") not in found


async def test_single_things_of_the_api_keep_it_true(db: Database, tmp_path: Path) -> None:
    await bring(db, tmp_path / "in", FILES)
    verbs = Inventory(db, clock=lambda: datetime(2026, 3, 3, tzinfo=UTC), region="US")
    await verbs.put("customer", "K-2", {"name": "Acme Works"}, actor=WHO)
    await verbs.put("element", "OLT-9", {"kind": "olt", "name": "Nine"}, actor=WHO)
    await verbs.put("circuit", "X-9", {"customer_id": "K-2", "label": "Dépôt", "place": "5 Rue Étroite"}, actor=WHO)
    phone = {"channel": "sms", "to": "+18595550777"}
    await verbs.put("contact", "C-9", {"customer_id": "K-2", "name": "Nina", "addresses": [phone]}, actor=WHO)
    await verbs.delete("circuit", "X-1", actor=WHO)
    found = await is_true(db)
    for each in (
        ("customer", "acme works", "K-2"), ("element", "olt 9", "OLT-9"), ("circuit", "depot", "X-9"),
        ("circuit", "rue etroite 5", "X-9"), ("phone", "77705559581", "+18595550777"), ("contact", "nina", "C-9"),
    ):  # fmt: skip
        assert each in found
    assert ("customer", "steel works", "K-2") not in found


async def test_an_older_database_is_filled_as_it_is_migrated(tmp_path: Path) -> None:
    def first(conn: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = conn
        command.upgrade(config, "0001")
        conn.exec_driver_sql("INSERT INTO customers (id, name) VALUES ('K-1', 'Acme Works')")
        conn.exec_driver_sql("INSERT INTO circuits (id, customer_id, place) VALUES ('X-1', 'K-1', '12 Mill St')")
        conn.exec_driver_sql("INSERT INTO addresses (channel, value) VALUES ('sms', '+18595550123')")

    old = Database.open(url("old.db", tmp_path, with_tables=False))
    async with old.write() as conn:
        await conn.run_sync(first)
    await old.migrate()
    assert await terms(old) == {
        ("customer", "k 1", "K-1"), ("customer", "1", "K-1"), ("customer", "acme works", "K-1"),
        ("customer", "works", "K-1"), ("circuit", "mill st 12", "X-1"), ("phone", "32105559581", "+18595550123"),
    }  # fmt: skip
    await old.close()


@given(st.text(max_size=90))
@settings(deadline=None)
def test_folding_is_done_once_for_all(text: str) -> None:
    once = folded(text)
    assert folded(once) == once
    assert once == once.strip()
    for term in name_terms(text):
        assert 0 < len(term) <= 60


def test_how_things_are_called() -> None:
    assert folded("  Café—POP_LEX/2 ") == "cafe pop lex 2"
    assert name_terms("POP-LEX", "Lexington POP") == {"pop lex", "lex", "lexington pop", "pop"}
    assert place_term("12 Mill St") == "mill st 12"
    assert place_term("Mill St 12") == "mill st 12"
    assert phone_term("+1 (859) 555-0123") == "32105559581"
    assert holds(("POP-LEX", "Lexington POP"), ["lexi", "pop"])
    assert not holds(("POP-LEX",), ["exington"])
