"""Processes of their own for whoever sends and whoever receives, so that time and memory are told apart."""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.bench.processes import listens

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds a server gets to listen, or to end."""
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""So many processes start that compiling every module anew in each would take most of the time."""
LONGEST = 300.0
"""Seconds after which a measurement is given up."""


def call(module: str, *words: str, longest: float = LONGEST) -> dict[str, Any]:
    """Run `python -m tests.bench.MODULE` to its end; the JSON object it printed last. TimeoutExpired after `longest`
    seconds.
    """
    command = [sys.executable, "-m", f"tests.bench.{module}", *words]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=ENVIRONMENT, timeout=longest, check=True
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
def running(
    command: list[str], *, port: int | None, output: int | IO[bytes], errors: int | IO[bytes] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A server that listens on this port of 127.0.0.1 (None: on none); it has ended when the block has."""
    process = subprocess.Popen(
        command, stdout=output, stderr=errors, stdin=subprocess.DEVNULL, cwd=ROOT, env=ENVIRONMENT
    )
    try:
        if port is not None:
            wait_until_it_listens(process, port)
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def free_port() -> int:
    """A port on which nobody listens just now; not of those that systems give to outgoing connections."""
    while True:
        port = secrets.randbelow(10_000) + 20_000
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port


def wait_until_it_listens(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Until it is the one that listens there. RuntimeError where it ends instead, TimeoutError after `PATIENCE`."""
    until = time.monotonic() + PATIENCE
    while not listens(process.pid, port):
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode} before it listened")
        if time.monotonic() > until:
            raise TimeoutError(f"{process.args!r} does not listen on port {port} after {PATIENCE:.0f} s")
        time.sleep(0.02)
