"""What a peer is: another program for the job, installed beside ours and driven by a few lines of our own.

Each is a module of this folder with the names of `Peer`. It is installed into a cache folder outside the repository
(`$OUTAGECAST_BENCH_CACHE`, else `~/.cache/outagecast-bench`), as whatever its registry gives; which version that was is
part of the report. Each runs as its own documentation says it is fastest, and what it does not do (a durable queue, a
kept connection) is said beside its figure.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.bench.letters import Letter
from tests.bench.postgres import Server

INSTALL_AT_MOST = 300.0
RUN_AT_MOST = 180.0
_ASK = """
import sys
from importlib.metadata import version
print(", ".join(f"{name} {version(name)}" for name in sys.argv[1:]))
"""
DRIVERS = Path(__file__).parent / "drivers"


@dataclass(frozen=True, kw_only=True, slots=True)
class Availability:
    """`version` where it is installed; else `missing` says in one line what it lacks, and `can_install` whether
    `install()` may help."""

    version: str = ""
    missing: str = ""
    can_install: bool = True

    @property
    def installed(self) -> bool:
        return bool(self.version)


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """So many mails of this letter to this port; `folder` is the run's own. `postgres`: for who needs a database."""

    count: int
    port: int
    letter: Letter
    folder: Path
    postgres: Server | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """From handing in the first mail to the last one's answer. `server_cpu_seconds`: of the database beside it."""

    seconds: float
    cpu_seconds: float
    server_cpu_seconds: float = 0.0


class Peer(Protocol):
    """A module that has these."""

    @property
    def NAME(self) -> str: ...
    @property
    def HOW(self) -> str: ...
    @property
    def SHARE(self) -> float: ...
    @property
    def NEEDS_POSTGRES(self) -> bool: ...
    @property
    def available(self) -> Any: ...
    @property
    def install(self) -> Any: ...
    @property
    def run(self) -> Any: ...


class Unavailable(RuntimeError):
    """It could not be installed; the message is one line for the report."""


def cache(name: str) -> Path:
    """The peer's own folder; it need not be there yet."""
    root = os.environ.get("OUTAGECAST_BENCH_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "outagecast-bench") / name


def step(*command: str, cwd: Path) -> None:
    """One step of an installation. Unavailable with the end of what it complained about."""
    cwd.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALL_AT_MOST
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{command[0]}: {error}") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Unavailable(f"{Path(command[0]).name} {command[1]}: {said[-1] if said else done.returncode}")


def drive(command: list[str], job: Path, environment: dict[str, str] | None = None) -> Spent:
    """Run a driver with the path of its job; the JSON object it printed last says what it spent."""
    done = subprocess.run(
        [*command, str(job)],
        cwd=job.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | (environment or {}),
        timeout=RUN_AT_MOST,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return Spent(seconds=found["seconds"], cpu_seconds=found["cpu_seconds"])


# --- an environment of its own for a peer written in Python ---


def python_of(name: str) -> Path:
    return cache(name) / "bin" / "python"


def make_python(name: str, *packages: str) -> None:
    """A fresh virtual environment with these, by uv where present, else by pip."""
    folder = cache(name)
    shutil.rmtree(folder, ignore_errors=True)
    uv = shutil.which("uv")
    if uv:
        step(uv, "venv", "--quiet", "--python", sys.executable, str(folder), cwd=folder.parent)
        step(uv, "pip", "install", "--quiet", "--python", str(python_of(name)), *packages, cwd=folder.parent)
    else:
        step(sys.executable, "-m", "venv", str(folder), cwd=folder.parent)
        step(str(python_of(name)), "-m", "pip", "install", "-qq", "--no-input", *packages, cwd=folder.parent)


def versions_of(name: str, *packages: str) -> str:
    """`NAME VERSION` of each, joined; empty where the environment or one of them is not there."""
    if not python_of(name).exists():
        return ""
    command = [str(python_of(name)), "-c", _ASK, *packages]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
