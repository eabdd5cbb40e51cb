"""The list of planted bugs fits the code, and the hunt itself tells caught from not caught."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.plant.__main__ import ROOT, Bug, bugs, copy_to, hunt, misplaced

BUGS = bugs()


@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_every_bug_has_its_place(bug: Bug) -> None:
    assert misplaced(bug) == ""


def test_there_are_enough_of_them() -> None:
    assert len(BUGS) >= 15


def test_a_bug_whose_place_or_test_is_gone_is_found_out() -> None:
    [bug] = [bug for bug in BUGS if bug.name == "unknown-taken-for-not-sent"]
    [place] = bug.places
    assert "stands 0 times" in misplaced(replace(bug, places=(replace(place, find="nowhere"),)))
    assert "is gone" in misplaced(replace(bug, tests=("tests/domain/test_delivery.py::test_that_never_was",)))


def test_a_bug_is_caught_and_no_bug_is_not(tmp_path: Path) -> None:
    copy_to(tmp_path)
    [bug] = [bug for bug in BUGS if bug.name == "unknown-taken-for-not-sent"]
    [place] = bug.places
    clean = (tmp_path / place.file).read_text()
    assert hunt(bug, tmp_path).by.startswith("tests/domain/test_delivery.py")
    assert (tmp_path / place.file).read_text() == clean == (ROOT / place.file).read_text()
    assert hunt(replace(bug, places=(replace(place, put=place.find),)), tmp_path).by == ""
