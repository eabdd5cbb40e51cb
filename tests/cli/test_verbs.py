"""An outage's life from the command line."""

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_impact_says_who_and_why(imported: Run) -> None:
    found = imported("impact", "--element", "POP-HAZ", "--json").json
    levels = found["impact"]["by_level"]
    assert levels["outage"]["customers"] > 0
    assert found["impact"]["circuits"] == len(found["impacts"])
    first = found["impacts"][0]
    assert set(first) == {"thing", "label", "customer_id", "customer", "level", "because"}
    assert first["level"] == "outage"
    assert first["because"][-1] == "element:POP-HAZ"
    table = imported("impact", "--element", "POP-HAZ", "--limit", "1").out
    assert first["thing"] in table
    assert f"{found['impact']['customers']} customers" in table
    assert imported("outages", "--all", "--json").json == {"outages": [], "paused": None}


def test_unknown_names_are_told_with_the_nearest(imported: Run) -> None:
    for command in (["impact"], ["preview"], ["declare", "Cut"]):
        done = imported(*command, "--element", "POP-HAZZ", "--site", "NOWHERE-AT-ALL")
        assert done.code == 2
        assert done.out == ""
        assert done.mistakes == [
            "--element: no element POP-HAZZ (did you mean POP-HAZ?)",
            "--site: no site NOWHERE-AT-ALL",
        ]
    assert imported("outages", "--all", "--json").json["outages"] == []


def test_preview_stores_nothing(imported: Run) -> None:
    found = imported("preview", "--element", "POP-HAZ", "--eta", "+90", "--json").json
    assert found["channels"]["email"]["messages"] > 0
    assert len(found["samples"]) == 3
    shown = imported("preview", "--element", "POP-HAZ").out
    assert "--- email to" in shown
    assert imported("outages", "--all", "--json").json["outages"] == []


def test_a_life(imported: Run) -> None:
    before = datetime.now(UTC)
    declared = imported("declare", "Fibre cut", "--element", "POP-HAZ", "--eta", "+90", "--severity", "critical",
                        "--external-ref", "INC-1", "--json").json  # fmt: skip
    number = declared["id"]
    assert (declared["status"], declared["state"], declared["severity"]) == ("investigating", "effective", "critical")
    assert timedelta(minutes=89) < datetime.fromisoformat(declared["eta"]) - before < timedelta(minutes=91)
    assert declared["planned"]["email"] > 0
    again = imported("declare", "Fibre cut", "--element", "POP-HAZ", "--external-ref", "INC-1")
    assert f"{number} exists already" in again.out
    updated = imported(
        "update", number, "--eta", "none", "--add-element", "PWR-LEX-A", "--message", "Crew on site", "--json"
    )
    assert updated.json["eta"] is None
    assert {entry["id"] for entry in updated.json["scope"]} == {"POP-HAZ", "PWR-LEX-A"}
    late = imported("update", number, "--message", "Late", "--if-revision", "1")
    assert late.code == 1
    assert "revision 2" in late.err
    assert imported("update", number, "--add-element", "NOPE").mistakes == ["--add-element: no element NOPE"]
    restored = imported("restore", number, "--element", "PWR-LEX-A", "--json").json
    assert [entry["id"] for entry in restored["scope"]] == ["POP-HAZ"]
    pending = imported("resolve", number, "--undo-for", "1h")
    assert f"outagecast undo {number}" in pending.out
    assert imported("undo", number, "--json").json["status"] == "investigating"
    assert imported("resolve", number, "--cause", "a digger", "--json").json["status"] == "resolved"
    assert imported("resolve", number).code == 1
    assert imported("reopen", number, "--json").json["episode"] == 2
    assert imported("retract", number, "--reason", "false_alarm", "--json").json["status"] == "retracted"
    assert imported("outages", "--json").json["outages"] == []
    assert imported("outages", "--all", "--json").json["outages"][0]["id"] == number
    assert imported("verify", "--json").json["findings"] == []


def test_brakes_and_drafts(imported: Run) -> None:
    drafted = imported("declare", "Maybe", "--element", "POP-HAZ", "--draft")
    assert "OUT-" in drafted.out and "outagecast release" in drafted.out
    number = drafted.out.split()[0]
    assert imported("outages", "--json").json["outages"][0]["status"] == "draft"
    assert imported("release", number, "--json").json["status"] == "investigating"
    assert imported("hold", number, "--reason", "wait", "--json").json["held"] is True
    assert imported("pause", "--reason", "testing").code == 0
    shown = imported("outages")
    assert "on hold" in shown.out
    assert shown.err.startswith("all sending is paused: testing")
    assert imported("outages", "--json").json["paused"]["reason"] == "testing"
    assert imported("resume").code == imported("unhold", number).code == 0
    assert imported("outages").err == ""
    other = imported("declare", "Same", "--element", "PWR-LEX-A", "--json").json["id"]
    assert imported("merge", other, "--into", number).code == 0


def test_times_and_texts_that_are_wrong(imported: Run) -> None:
    for words, option in (
        (["--eta", "25:99"], "--eta"),
        (["--eta", "2026-11-23T06:00:00"], "--eta"),
        (["--started-at", "soon"], "--started-at"),
        (["--next-update-in", "5"], "--next-update-in"),
        (["--undo-for", "long"], "--undo-for"),
    ):
        done = imported("declare", "Cut", "--element", "POP-HAZ", *words)
        assert done.code == 2, words
        assert len(done.mistakes) == 1
        assert done.err.startswith(f"{option}: ")
    assert imported("declare", "", "--element", "POP-HAZ").err.startswith("TITLE: ")
    assert imported("update", "OUT-1999-0001", "--message", "x").mistakes == ["no outage OUT-1999-0001"]


def test_verify_says_what_broke(imported: Run, folder: Path, plant: Callable[[Path, str], None]) -> None:
    assert imported("declare", "Cut", "--element", "POP-HAZ").code == 0
    assert imported("verify").out == "everything holds\n"
    plant(folder / "outagecast.db", "UPDATE outages SET revision = revision + 5")
    broken = imported("verify")
    assert broken.code == 1
    assert broken.out == ""
    assert "OUT-" in broken.err
    assert imported("verify", "--json").json["ok"] is False


@pytest.fixture
def plant() -> Callable[[Path, str], None]:
    """Puts a fault into a database behind the program's back."""

    def into(path: Path, sql: str) -> None:
        connection = sqlite3.connect(path)
        connection.execute(sql)
        connection.commit()
        connection.close()

    return into
