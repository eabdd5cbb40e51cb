"""Reports and rehearsals from the command line."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

Run = Callable[..., Any]


def test_a_report_of_an_outage_and_of_its_month(imported: Run) -> None:
    month = datetime.now(UTC).astimezone(ZoneInfo("America/New_York")).strftime("%Y-%m")
    assert f"no outage was declared in {month}" in imported("report", "--month", month).out
    number = imported("declare", "Fibre cut", "--element", "POP-HAZ", "--json").json["id"]
    imported("resolve", number)
    one = imported("report", number, "--json").json
    assert (one["id"], one["promises_kept"], one["messages"]) == (number, 1, 0)
    assert one["customers"] > 0
    assert "1 kept (0 by holding notices), 0 broken" in imported("report", number).out
    whole = imported("report", "--month", month, "--json").json
    assert [each["id"] for each in whole["outages"]] == [number]
    (row,) = csv.DictReader(io.StringIO(imported("report", "--month", month, "--csv").out))
    assert (row["id"], row["title"], row["kept_by_desk"]) == (number, "Fibre cut", "1")
    assert number in imported("report", "--month", month).out


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        ([], "name one outage, like OUT-2026-0001, or give --month 2026-11"),
        (["OUT-2026-0001", "--month", "2026-11"], "name one outage, like OUT-2026-0001, or give --month 2026-11"),
        (["--month", "November"], "--month: November is no month: write 2026-11"),
        (["--month", "2026-11", "--csv", "--json"], "--csv, --json: give one of them"),
        (["OUT-2026-0404"], "there is no outage OUT-2026-0404 that was declared: nothing to report"),
    ],
)
def test_what_cannot_be_reported_is_said_in_one_line(imported: Run, words: list[str], mistake: str) -> None:
    done = imported("report", *words)
    assert (done.code, done.out, done.mistakes) == (2, "", [mistake])


def test_a_rehearsal_stores_nothing(imported: Run, folder: Path) -> None:
    there = {path.name for path in folder.iterdir()}
    steps = ["--step", "+20m eta +2h", "--step", "+1h resolve It is repaired."]
    found = imported("rehearse", "Fibre cut", "--element", "POP-HAZ", *steps, "--json").json
    assert [wave["verb"] for wave in found["waves"]] == ["declare", "update", "resolve"]
    assert found["waves"][0]["planned"]["acknowledgement"]["email"] > 0
    assert found["figures"]["customers"] > 0
    assert len(found["samples"]) == 3
    shown = imported("rehearse", "--element", "POP-HAZ", *steps).out
    assert "nothing was stored, nothing was sent" in shown
    assert "acknowledgement: " in shown
    assert imported("outages", "--all", "--json").json["outages"] == []
    assert {path.name for path in folder.iterdir()} <= there | {"outagecast.db-shm", "outagecast.db-wal"}


def test_a_rehearsal_names_every_mistake(imported: Run) -> None:
    done = imported("rehearse", "--element", "POP-HAZ", "--step", "+20m dance", "--step", "soon")
    assert done.code == 2
    assert len(done.mistakes) == 2
    assert all(line.startswith("--step: line") for line in done.mistakes)
    assert "no element NOWHERE" in imported("rehearse", "--element", "NOWHERE").err
