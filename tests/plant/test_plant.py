"""The list of planted bugs fits the code, and the hunt itself tells caught from not caught."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.plant.__main__ import ROOT, bugs, copy_to, hunt, misplaced

BUGS = bugs()


@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_every_bug_has_its_place(bug: object) -> None:
    assert misplaced(bug) == ""  # type: ignore[arg-type]


def test_there_are_enough_of_them() -> None:
    assert len(BUGS) >= 15


def test_a_bug_is_caught_and_no_bug_is_not(tmp_path: Path) -> None:
    copy_to(tmp_path)
    bug = next(bug for bug in BUGS if bug.name == "unknown-taken-for-not-sent")
    clean = (tmp_path / bug.file).read_text()
    assert hunt(bug, tmp_path).by.startswith("tests/domain/test_delivery.py")
    assert (tmp_path / bug.file).read_text() == clean == (ROOT / bug.file).read_text()
    assert hunt(replace(bug, put=bug.find), tmp_path).by == ""
