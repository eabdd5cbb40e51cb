"""Several daemons on one database, each a real process, with one sandbox that writes down what arrived."""

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.support.daemon import PROGRAM, ApiClient, SandboxProcess, _Process, exchange, free_port, merged, toml, until
from tests.support.daemon import usual_config as usual


class Member:
    """One daemon: `all`, `web` or `sender`."""

    def __init__(self, folder: Path, name: str, role: str, config: Path) -> None:
        self.name = name
        self.role = role
        self.port = free_port()
        self._config = config
        self._process = _Process(folder=folder, name=name)

    @property
    def pid(self) -> int:
        assert self._process.child is not None
        return self._process.child.pid

    @property
    def alive(self) -> bool:
        return self._process.alive

    def start(self, **environ: str) -> "Member":
        """Run it and wait until it is ready."""
        self.spawn(**environ)
        until(lambda: self.ready() or not self.alive, f"{self.name} is ready", within=40)
        assert self.alive, self.log()[-4000:]
        return self

    def spawn(self, **environ: str) -> None:
        words = ("serve", "--config", str(self._config), "--role", self.role, "--port", str(self.port))
        self._process.launch([*PROGRAM, *words, "--log-level", "warning"], {**os.environ, **environ})

    def ready(self) -> bool:
        try:
            return exchange("127.0.0.1", self.port, "GET", "/readyz", timeout=5)[0] == 200
        except (OSError, HTTPException):
            return False

    def readyz(self) -> str:
        return exchange("127.0.0.1", self.port, "GET", "/readyz")[2]

    def metrics(self) -> str:
        return exchange("127.0.0.1", self.port, "GET", "/metrics")[2]

    def kill(self) -> int:
        return self._process.signal(signal.SIGKILL, 10)

    def stop(self, within: float = 40.0) -> int:
        return self._process.signal(signal.SIGTERM, within)

    def wait(self, within: float = 30.0) -> int:
        return self._process.wait(within)

    def pause(self) -> None:
        """SIGSTOP: it stands still with all it holds."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def end(self) -> None:
        self._process.end()

    def log(self) -> str:
        return self._process.log()


class Fleet:
    """The daemons of one settings file. `database`: its URL."""

    def __init__(self, folder: Path, database: str, config: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.sandbox = SandboxProcess(folder).start()
        self.config_path = folder / "config.toml"
        self._settings = merged(merged(usual(free_port(), self.sandbox), {"database": {"url": database}}), config)
        self.configure({})
        self.members: list[Member] = []

    def configure(self, config: Mapping[str, Any]) -> None:
        """Other settings, for whoever starts next."""
        self._settings = merged(self._settings, config)
        self.config_path.write_text(toml(self._settings), encoding="utf-8")
        self.config_path.chmod(0o600)

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Another command on the same settings."""
        command = [*PROGRAM, "--config", str(self.config_path), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def add(self, role: str, name: str = "") -> Member:
        member = Member(self.folder, name or f"{role}-{len(self.members)}", role, self.config_path)
        self.members.append(member)
        return member

    def api(self, member: Member, token: str) -> ApiClient:
        return ApiClient(port=member.port, token=token)

    def end(self) -> None:
        for member in self.members:
            member.end()
        self.sandbox.end()


@contextmanager
def fleet(folder: Path, database: str, config: Mapping[str, Any]) -> Iterator[Fleet]:
    """All processes are gone at the end, whatever happens."""
    made = Fleet(folder, database, config)
    try:
        yield made
    finally:
        made.end()


def pause_between_writes(member: Member, database: Path) -> None:
    """Stop it while it does not hold SQLite's only writer, which would stop everybody."""

    def paused() -> bool:
        member.pause()
        conn = sqlite3.connect(database, timeout=1.0, isolation_level=None)
        try:
            conn.execute("BEGIN IMMEDIATE")
            conn.execute("ROLLBACK")
        except sqlite3.OperationalError:
            member.go_on()
            return False
        finally:
            conn.close()
        return True

    until(paused, f"{member.name} stands still between two transactions")
