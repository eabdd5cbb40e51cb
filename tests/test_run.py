"""`./run`: hands on to the environment it made, quickly, and says on stderr what it does."""

import subprocess
import sys
import time
import venv
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "import os, sys\nprint(os.getpid(), sys.prefix, *sys.argv[1:])\nsys.exit(3)\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose environment is ready, with a command that tells how it was called."""
    folder = tmp_path / "check out"
    folder.mkdir()
    for name in ("run", "pyproject.toml"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / "run").chmod(0o755)
    venv.create(folder / ".venv", symlinks=True)
    (folder / ".venv" / "bin" / "outagecast").write_text(COMMAND)
    (folder / ".venv" / "outagecast-stamp").write_text(loaded(folder).stamp(""))
    return folder


def loaded(folder: Path) -> ModuleType:
    loader = SourceFileLoader("run", str(folder / "run"))
    spec = spec_from_loader("run", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def run(folder: Path, *words: str, **environ: str) -> tuple[subprocess.Popen[str], str, str]:
    """`./run` with nothing in its environment but what is given."""
    process = subprocess.Popen(
        [sys.executable, str(folder / "run"), *words],
        env=environ,
        cwd=folder.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out, err = process.communicate(timeout=60)
    return process, out, err


@pytest.mark.parametrize("words", [("demo", "--speed", "60"), ("outagecast", "demo", "--speed", "60")])
def test_a_ready_environment_is_handed_on_to_at_once(checkout: Path, words: tuple[str, ...]) -> None:
    began = time.monotonic()
    process, out, err = run(checkout, *words)
    assert time.monotonic() - began < 5
    assert out == f"{process.pid} {checkout / '.venv'} demo --speed 60\n"
    assert (err, process.returncode) == ("", 3)


def test_changed_settings_are_due_for_an_install(checkout: Path) -> None:
    module = loaded(checkout)
    assert module.is_ready("") and not module.is_ready("dev")
    (checkout / ".venv" / "outagecast-stamp").write_text(module.stamp("dev"))
    assert module.is_ready("") and module.is_ready("dev")
    with (checkout / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    assert not module.is_ready("")


def test_a_moved_checkout_is_due_for_an_install(checkout: Path) -> None:
    moved = checkout.rename(checkout.with_name("moved"))
    assert not loaded(moved).is_ready("")


def test_a_failed_install_names_its_mend_and_leaves_no_stamp(checkout: Path) -> None:
    stamp = checkout / ".venv" / "outagecast-stamp"
    stamp.write_text("old")
    process, out, err = run(checkout, "demo", PATH="/nowhere", PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert (process.returncode, out) == (1, "")
    assert "Mend: " in err
    assert not stamp.exists()


def test_the_driver_of_postgresql_comes_with_settings_that_name_one(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = loaded(checkout)
    (checkout / "config.toml").write_text('[database]\nurl = "sqlite:///o.db"  # or postgresql://…\n')
    (checkout / "other.toml").write_text('[database]\nurl = "postgresql://o@db.example/o"\n')
    monkeypatch.chdir(checkout)
    assert not module.wants_postgresql(["serve"])
    assert module.wants_postgresql(["serve", "--config", "other.toml"])
    assert module.wants_postgresql(["--config=other.toml", "serve"])
    assert module.wants_postgresql(["db", "copy", "--to", "postgresql://o@db.example/o"])
    assert not module.wants_postgresql(["serve", "--config", "nowhere.toml"])
