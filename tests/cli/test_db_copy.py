"""`outagecast db copy`: everything into an empty database; what is left behind sends nothing more by mistake."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from outagecast.storage import seats
from outagecast.storage.seats import Holder
from tests.support import databases


def settings(folder: Path, url: str) -> str:
    """Other settings that name the database at `url`."""
    path = folder / "other.toml"
    path.write_text(f'{(folder / "config.toml").read_text()}\n[database]\nurl = "{url}"\n')
    path.chmod(0o600)
    return str(path)


def target(folder: Path) -> str:
    return databases.url("moved.db", folder, with_tables=False)


def test_a_move_brings_everything_and_marks_what_is_left_behind(oc: Any, folder: Path, provider: Path) -> None:
    assert oc("import", str(provider)).code == 0
    assert oc("declare", "Cut", "--element", "POP-HAZ").code == 0
    url = target(folder)
    moved = oc("db", "copy", "--to", url, "--json")
    assert moved.code == 0, moved.err
    assert moved.json["checked"] is True
    assert moved.json["tables"]["customers"] == 80
    assert sum(moved.json["tables"].values()) == moved.json["rows"]
    other = settings(folder, url)
    assert oc("verify", config=Path(other)).code == 0
    assert [o["title"] for o in oc("outages", "--json", config=Path(other)).json["outages"]] == ["Cut"]
    with closing(sqlite3.connect(folder / "outagecast.db")) as conn:
        assert conn.execute("SELECT value FROM meta WHERE key = 'backup'").fetchone() is not None
    assert oc("restored", "show", "--json", config=Path(other)).json["held"] is False
    again = oc("db", "copy", "--to", url)
    assert again.code == 1
    assert "not empty" in again.mistakes[-1]


def test_a_copy_for_trying_things_out_is_the_one_that_sends_nothing(oc: Any, folder: Path, provider: Path) -> None:
    assert oc("import", str(provider)).code == 0
    done = oc("db", "copy", "--to", "sqlite:///copy.db", "--as-copy")
    assert done.code == 0, done.err
    for name, marked in (("outagecast.db", False), ("copy.db", True)):
        with closing(sqlite3.connect(folder / name)) as conn:
            found = conn.execute("SELECT value FROM meta WHERE key = 'backup'").fetchone()
        assert (found is not None) is marked, name


def test_a_running_daemon_and_the_database_itself_are_refused(oc: Any, folder: Path) -> None:
    assert oc("db", "upgrade").code == 0
    seat = seats.take_sender(folder / "outagecast.db", Holder(owner="s", host="h", boot="b", pid=1))
    refused = oc("db", "copy", "--to", "sqlite:///copy.db")
    assert refused.code == 1
    assert "stop it first" in refused.mistakes[-1]
    seat.leave()
    itself = oc("db", "copy", "--to", "sqlite:///outagecast.db")
    assert itself.code == 2
    assert "the database itself" in itself.mistakes[-1]
    assert oc("db", "copy", "--to", "mysql://x/y").code == 1
