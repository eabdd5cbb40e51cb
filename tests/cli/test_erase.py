"""`outagecast erase`: what it says, and that the database's file holds nothing of it afterwards."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def person(imported: Run, folder: Path) -> tuple[str, str, str]:
    """A contact of the sample provider whose address nobody else has: its id, address and name. An outage told it."""
    done = imported("declare", "Cut", "--element", "POP-HAZ")
    assert done.code == 0, done.err
    with closing(sqlite3.connect(folder / "outagecast.db")) as conn:
        found = conn.execute(
            "SELECT c.id, a.value, c.name FROM contacts AS c JOIN addresses AS a ON a.id = c.email_id "
            "JOIN deliveries AS d ON d.address_id = a.id AND d.facts IS NOT NULL "
            "WHERE (SELECT count(*) FROM contacts AS o WHERE o.email_id = a.id) = 1 AND c.name LIKE '% %' ORDER BY c.id"
        ).fetchone()
    assert found is not None
    return found[0], found[1], found[2]


def file_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("outagecast.db*"))


def test_a_contact_is_gone_from_the_file(imported: Run, folder: Path, person: tuple[str, str, str]) -> None:
    contact, address, name = person
    assert address.encode() in file_bytes(folder)
    with closing(sqlite3.connect(folder / "outagecast.db")) as conn:
        query = "SELECT count(*) FROM search_words WHERE kind = 'contact' AND id = ?"
        assert conn.execute(query, (contact,)).fetchone()[0] > 0
    done = imported("erase", "--contact", contact, "--json")
    assert done.code == 0, done.err
    assert (done.json["contacts"], done.json["scrubbed"]) == (1, True)
    assert done.json["deliveries"] >= 1
    left = file_bytes(folder)
    assert address.encode() not in left.lower()
    assert name.encode() not in left or b'"customer":"' + name.encode() in left, "a customer of that name stays"
    with closing(sqlite3.connect(folder / "outagecast.db")) as conn:
        query = "SELECT count(*) FROM search_words WHERE kind = 'contact' AND id = ?"
        assert conn.execute(query, (contact,)).fetchone() == (0,)
    assert imported("verify").code == 0
    assert imported("db", "check").code == 0
    again = imported("erase", "--address", address)
    assert (again.code, again.mistakes) == (2, [f"no contact has or had the address {address}"])


def test_what_is_said_about_it(imported: Run, person: tuple[str, str, str]) -> None:
    done = imported("erase", "--address", person[1], "--never-again", "--no-scrub")
    assert done.code == 0, done.err
    assert "addresses erased:" in done.out
    assert "1, as keyed hashes" in done.out
    assert "its free space may hold old bytes until it is used again" in done.out


def test_one_of_both_is_asked_for(imported: Run) -> None:
    for words in ((), ("--contact", "a", "--address", "b")):
        done = imported("erase", *words)
        assert (done.code, done.mistakes) == (2, ["give --contact or --address, one of them"])
    assert imported("erase", "--address", "nonsense").mistakes[0].startswith('--address: "nonsense"'.replace('"', ""))
