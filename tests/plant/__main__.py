"""`./run plant [NAME …]`: plants known bugs one by one into a copy of the program; some test has to fail for each.

A checker that nothing has ever failed proves nothing. `bugs.toml` lists the bugs; a bug whose place is gone counts as
not caught, so that the list moves with the code. Ends with 1 if one is not caught, with 2 if tests fail without any.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("outagecast", "templates", "tests", "pyproject.toml", "config.example.toml", "README.md", "CHANGELOG.md")
LONGEST = 300.0
"""Seconds for a bug's tests: one that makes them hang is caught as well."""
FAILED = 1
"""How pytest ends when a test failed; above it, it could not even run them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """`find`, which stands exactly once in `file`, gives way to `put`."""

    file: str
    find: str
    put: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Bug:
    """One of `tests` (files, or single tests as `file::name`) has to notice, on this kind of `database`. Several places
    where one guard stands behind another.
    """

    name: str
    why: str
    places: tuple[Place, ...]
    tests: tuple[str, ...]
    database: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Caught:
    """Which test failed first; `by` is empty if none did."""

    by: str
    seconds: float


def bugs() -> list[Bug]:
    listed = tomllib.loads((ROOT / "tests/plant/bugs.toml").read_text())
    return [_bug(name, fields) for name, fields in listed.items()]


def misplaced(bug: Bug, folder: Path = ROOT) -> str:
    """Why a bug cannot be planted; empty if it can."""
    for place in bug.places:
        file = folder / place.file
        found = file.read_text().count(place.find) if file.exists() else 0
        if found != 1:
            return f"its place stands {found} times in {place.file}"
    missing = [test for test in bug.tests if not _there(folder, test)]
    return f"{missing[0]} is gone" if missing else ""


def hunt(bug: Bug, folder: Path) -> Caught:
    """Plant a bug in the copy, run its tests, take it out again."""
    clean = {place.file: (folder / place.file).read_text() for place in bug.places}
    began = time.monotonic()
    try:
        for place in bug.places:
            file = folder / place.file
            file.write_text(file.read_text().replace(place.find, place.put))
        by = next((failed for test in bug.tests if (failed := first_failure(folder, [test], bug.database))), "")
        return Caught(by=by, seconds=time.monotonic() - began)
    finally:
        for name, text in clean.items():
            (folder / name).write_text(text)


def copy_to(folder: Path) -> None:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)


def first_failure(folder: Path, tests: Sequence[str], database: str) -> str:
    """The first of these tests that fails in the copy; empty if all pass."""
    words = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", *tests]
    # The copy is first on the path, before what is installed.
    environment = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "OUTAGECAST_TEST_DATABASES": database}
    code, said = _run(words, folder, os.environ | environment)
    if not code:
        return ""
    lines = [line for line in said.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if code is not None and code > FAILED and not lines:
        return f"{tests[0]} (pytest ended with {code})"
    return lines[0].split(" - ")[0].partition(" ")[2] if lines else f"{tests[0]} (hangs)"


def _fails_without_any(folder: Path, chosen: Sequence[Bug]) -> str:
    for database in sorted({bug.database for bug in chosen}):
        tests = sorted({test for bug in chosen if bug.database == database for test in bug.tests})
        # A second time, for a machine that was too busy for somebody's patience.
        if first_failure(folder, tests, database) and (failed := first_failure(folder, tests, database)):
            return failed
    return ""


def _run(words: Sequence[str], folder: Path, environment: dict[str, str]) -> tuple[int | None, str]:
    """How it ended and what it said; None if it did not end in time. With it ends whatever it has started."""
    with subprocess.Popen(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            said, _ = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, ""
    return process.returncode, said


def _bug(name: str, fields: dict[str, Any]) -> Bug:
    places = [{key: fields[key] for key in ("file", "find", "put")}, *fields.get("also", [])]
    return Bug(
        name=name,
        why=fields["why"],
        places=tuple(Place(**place) for place in places),
        tests=tuple(fields["tests"]),
        database=fields.get("database", "sqlite"),
    )


def _there(folder: Path, test: str) -> bool:
    name, _, function = test.partition("::")
    file = folder / name
    return file.exists() and (not function or f"def {function.partition('[')[0]}(" in file.read_text())


def _asked(words: Sequence[str]) -> list[Bug]:
    parser = argparse.ArgumentParser(prog="./run plant", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these bugs")
    names = parser.parse_args(words).names
    chosen = [bug for bug in bugs() if not names or bug.name in names]
    if unknown := set(names) - {bug.name for bug in chosen}:
        parser.error(f"no bug is called {', '.join(sorted(unknown))}")
    return chosen


def main(words: Sequence[str]) -> int:
    chosen = _asked(words)
    width = max(len(bug.name) for bug in chosen)
    alive = 0
    with tempfile.TemporaryDirectory(prefix="plant-") as name:
        copy_to(Path(name))
        if failed := _fails_without_any(Path(name), chosen):
            print(f"{failed} fails without any bug: nothing can be said", file=sys.stderr)
            return 2
        print(f"{'bug':{width}}  seconds  caught by")
        for bug in chosen:
            wrong = misplaced(bug, Path(name))
            caught = Caught(by="", seconds=0.0) if wrong else hunt(bug, Path(name))
            alive += not caught.by
            print(f"{bug.name:{width}}  {caught.seconds:7.1f}  {caught.by or f'NOT CAUGHT {wrong}'}", flush=True)
    print(f"{len(chosen) - alive} of {len(chosen)} caught")
    return 1 if alive else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
