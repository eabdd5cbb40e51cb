"""Processes of their own for whoever sends and whoever receives, so that time and memory are told apart."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0
"""Seconds a server gets to listen, or to end."""
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""So many processes start that compiling every module anew in each would take most of the time."""
LONGEST = 300.0
"""Seconds after which a measurement is given up."""


def call(module: str, *words: str) -> dict[str, Any]:
    """Run `python -m tests.bench.MODULE` to its end; the JSON object it printed last."""
    command = [sys.executable, "-m", f"tests.bench.{module}", *words]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=ENVIRONMENT, timeout=LONGEST, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def serving(module: str, *words: str, port: int) -> Iterator[dict[str, Any]]:
    """`python -m tests.bench.MODULE` until the block ends. What it counted is in the dictionary afterwards."""
    counted: dict[str, Any] = {}
    command = [sys.executable, "-m", f"tests.bench.{module}", *words]
    with running(command, port=port, output=subprocess.PIPE) as process:
        yield counted
        process.terminate()
        out, _ = process.communicate(timeout=PATIENCE)
        counted.update(json.loads(out))


@contextmanager
def idling() -> Iterator[dict[str, Any]]:
    """A process whose event loop has nothing to do, while the block lasts. Its lag is in the dictionary afterwards."""
    counted: dict[str, Any] = {}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.lag"], stdout=subprocess.PIPE, cwd=ROOT, env=ENVIRONMENT
    )
    try:
        yield counted
        process.terminate()
        out, _ = process.communicate(timeout=PATIENCE)
        counted.update(json.loads(out))
    finally:
        process.kill()
        process.wait()


@contextmanager
def running(command: list[str], *, port: int, output: int | IO[bytes]) -> Iterator["subprocess.Popen[bytes]"]:
    """A server that listens on this port of 127.0.0.1; it has ended when the block has."""
    process = subprocess.Popen(command, stdout=output, stdin=subprocess.DEVNULL, cwd=ROOT, env=ENVIRONMENT)
    try:
        _wait_until_it_listens(process, port)
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port on which nobody listens just now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_until_it_listens(process: "subprocess.Popen[bytes]", port: int) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode} before it listened")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
