"""Import and export: what comes in goes out, and comes back unchanged."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from outagecast.commands.exporting import harmless

Run = Callable[..., Any]
KINDS = ("sites", "elements", "services", "customers", "contacts", "circuits", "subscriptions")


def changes(report: Any) -> dict[str, tuple[int, int, int]]:
    return {kind: (d["new"], d["changed"], d["ended"]) for kind, d in report["kinds"].items()}


def test_a_dry_run_changes_nothing(oc: Run, provider: Path) -> None:
    first = oc("import", str(provider), "--dry-run", "--json")
    assert first.code == 0, first.err
    assert first.json["applied"] is False
    assert first.json["kinds"]["customers"]["new"] == 80
    assert "customers" in first.err
    assert oc("import", str(provider), "--dry-run", "--json").json == first.json


def test_a_report_for_people(oc: Run, provider: Path) -> None:
    done = oc("import", str(provider))
    assert "result:       imported" in done.out
    assert "customers" in done.out


def test_structural_mistakes_change_nothing(imported: Run, folder: Path) -> None:
    bad = folder / "circuits.csv"
    bad.write_text("id,customer_id\nX1,NOBODY\nX1,\n")
    done = imported("import", str(bad))
    assert done.code == 2
    assert done.out == ""
    # The bar's line comes first.
    found = [line for line in done.mistakes if line.startswith("circuits.csv:")]
    assert len(found) >= 2
    assert imported("impact", "--circuit", "X1").code == 2


def test_what_is_exported_comes_back_unchanged(imported: Run, folder: Path) -> None:
    out = folder / "out"
    done = imported("export", str(out), "--json")
    assert done.code == 0, done.err
    assert done.json["rows"]["customers"] == 80
    assert (out / "contacts.csv").stat().st_mode & 0o077 == 0
    again = imported("import", str(out), "--dry-run", "--strict", "--complete", "--json")
    assert again.code == 0, again.err
    assert list(again.json["kinds"]) == list(KINDS)
    assert set(changes(again.json).values()) == {(0, 0, 0)}
    other = folder / "other.toml"
    other.write_text((folder / "config.toml").read_text() + '[database]\nurl = "sqlite:///other.db"\n')
    other.chmod(0o600)
    assert imported("import", str(out), config=other).code == 0
    imported("export", str(folder / "twice"), config=other)
    for kind in KINDS:
        assert (folder / "twice" / f"{kind}.csv").read_text() == (out / f"{kind}.csv").read_text()


def test_attributes_mapped_columns_and_formulas(oc: Run, folder: Path) -> None:
    config = folder / "config.toml"
    config.write_text(config.read_text() + '[import.customers]\nid = "Account No"\n')
    (folder / "customers.csv").write_text(
        'Account No,name,owner\nC1,"=HYPERLINK(""http://x"")",city\nC2,Beta,\n', encoding="utf-8"
    )
    assert oc("import", str(folder / "customers.csv")).code == 0
    defused = list(csv.DictReader(oc("export", "-", "--only", "customers").out.splitlines()))
    assert defused[0]["name"] == '\'=HYPERLINK("http://x")'
    assert (defused[0]["Account No"], defused[0]["owner"]) == ("C1", "city")
    exact = oc("export", "-", "--only", "customers", "--exact").out
    (folder / "customers.csv").write_text(exact, encoding="utf-8")
    again = oc("import", str(folder / "customers.csv"), "--dry-run", "--json")
    assert changes(again.json) == {"customers": (0, 0, 0)}


def test_stdout_takes_one_file(imported: Run) -> None:
    assert imported("export", "-").code == 2
    done = imported("export", "-", "--only", "sites")
    assert done.out.splitlines()[0] == '"id","name","latitude","longitude","timezone","area"'
    assert done.err == ""


@given(st.text())
def test_no_cell_is_a_formula(cell: str) -> None:
    shown = harmless(cell)
    assert shown.removeprefix("'") == cell.removeprefix("'") or shown == f"'{cell}"
    assert shown[:1] not in ("=", "@", "\t", "\r")
    if shown[:1] in ("+", "-"):
        assert not any(char.isalpha() or char in "=!|(" for char in shown.replace("(", "", 1))


def test_numbers_and_phones_stay_as_they_are() -> None:
    for cell in ("+18595550100", "-84.5", "+49 30 123456", "12"):
        assert harmless(cell) == cell
    assert harmless("+1+cmd|' /C calc'!A0").startswith("'")
    assert harmless("-2+3").startswith("'")
