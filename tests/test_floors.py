"""The map is executable: imports go down only, and a room that nobody placed breaks the build."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINTER = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(no_cache=True))"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    # With -c the folder we stand in is the first on the path: the copy is linted, not what is installed.
    return subprocess.run([sys.executable, "-c", LINTER], cwd=folder, capture_output=True, text=True, timeout=120)


def test_imports_go_down_the_floors_only() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_import_and_an_unplaced_room_are_found(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "outagecast", tmp_path / "outagecast", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "outagecast" / "helpers.py").write_text("")
    (tmp_path / "outagecast" / "monitors" / "peek.py").write_text(
        "from outagecast.web import settings\nimport twilio\n"
    )
    (tmp_path / "outagecast" / "domain" / "peek.py").write_text("import asyncio\n")
    done = lint(tmp_path)
    assert done.returncode == 1
    for complaint in (
        "outagecast.helpers",
        "outagecast.monitors.peek -> outagecast.web.settings",
        "outagecast.monitors.peek -> twilio",
        "outagecast.domain.peek -> asyncio",
    ):
        assert complaint in done.stdout
