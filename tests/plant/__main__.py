"""`./run plant [NAME …]`: plants known bugs one by one into a copy of the program; some test has to fail for each.

A checker that nothing has ever failed proves nothing. `bugs.toml` lists the bugs; a bug whose place is gone counts as
not caught, so that the list moves with the code. Ends with 1 if one is not caught, with 2 if tests fail without any.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("outagecast", "templates", "tests", "pyproject.toml", "config.example.toml", "README.md", "CHANGELOG.md")
LONGEST = 300.0
"""Seconds for a bug's tests: one that makes them hang is caught as well."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bug:
    """`find`, which stands exactly once in `file`, gives way to `put`; one of `tests` has to notice."""

    name: str
    why: str
    file: str
    find: str
    put: str
    tests: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Caught:
    """Which test failed first; `by` is empty if none did."""

    by: str
    seconds: float


def bugs() -> list[Bug]:
    listed = tomllib.loads((ROOT / "tests/plant/bugs.toml").read_text())
    return [Bug(name=name, **{**fields, "tests": tuple(fields["tests"])}) for name, fields in listed.items()]


def misplaced(bug: Bug) -> str:
    """Why a bug cannot be planted; empty if it can."""
    found = (ROOT / bug.file).read_text().count(bug.find)
    missing = [test for test in bug.tests if not (ROOT / test).exists()]
    if missing:
        return f"{missing[0]} is gone"
    return "" if found == 1 else f"its place stands {found} times in {bug.file}"


def hunt(bug: Bug, folder: Path) -> Caught:
    """Plant a bug in the copy, run its tests, take it out again."""
    file = folder / bug.file
    clean = file.read_text()
    file.write_text(clean.replace(bug.find, bug.put))
    began = time.monotonic()
    try:
        for test in bug.tests:
            failed = _first_failure(folder, test)
            if failed:
                return Caught(by=failed, seconds=time.monotonic() - began)
        return Caught(by="", seconds=time.monotonic() - began)
    finally:
        file.write_text(clean)


def copy_to(folder: Path) -> None:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)


def _first_failure(folder: Path, test: str) -> str:
    words = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", test]
    # The copy is first on the path, before what is installed.
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return f"{test} (hangs)"
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return lines[0].split(" - ")[0].partition(" ")[2] if lines else f"{test} (exit {done.returncode})"


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="./run plant", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these bugs")
    asked = parser.parse_args(words)
    chosen = [bug for bug in bugs() if not asked.names or bug.name in asked.names]
    unknown = set(asked.names) - {bug.name for bug in chosen}
    if unknown:
        parser.error(f"no bug is called {', '.join(sorted(unknown))}")
    alive = 0
    with tempfile.TemporaryDirectory(prefix="plant-") as name:
        copy_to(Path(name))
        for test in sorted({test for bug in chosen for test in bug.tests}):
            if failed := _first_failure(Path(name), test):
                print(f"{failed} fails without any bug: nothing can be said", file=sys.stderr)
                return 2
        for number, bug in enumerate(chosen, 1):
            print(f"{number:3}/{len(chosen)} {bug.name}: ", end="", flush=True)
            wrong = misplaced(bug)
            caught = Caught(by="", seconds=0.0) if wrong else hunt(bug, Path(name))
            alive += not caught.by
            print(f"{caught.by} ({caught.seconds:.0f} s)" if caught.by else f"NOT CAUGHT {wrong}".rstrip(), flush=True)
    print(f"{len(chosen) - alive} of {len(chosen)} caught")
    return 1 if alive else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
