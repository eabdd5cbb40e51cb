"""A second daemon on the same database: on PostgreSQL a whole one, on SQLite a sender of the same machine."""

import signal
from collections.abc import Callable
from contextlib import suppress
from os import kill
from pathlib import Path
from typing import Any

from tests.support.daemon import free_port, until


class Peer:
    """`fork` starts a daemon as the nursery does and gives its process. It is forked anew after each death."""

    def __init__(
        self, folder: Path, config: Path, role: str, fork: Callable[..., int], environ: dict[str, str]
    ) -> None:
        self._folder = folder
        self._order: dict[str, Any] = {
            "config": str(config), "log": str(folder / "daemon.log"), "wave_limit": None, "role": role,
            "port": free_port(), "environ": {**environ, "OUTAGECAST_CRASHPOINT": ""},
        }  # fmt: skip
        self._fork = fork
        self._lives = 0
        self._pid: int | None = None

    def start(self) -> None:
        """Alive, if it is not; it may take a moment until it sends."""
        if self.dead():
            self._lives += 1
            self._exit_path.unlink(missing_ok=True)
            self._pid = self._fork(**self._order, exit=str(self._exit_path))

    def signal(self, number: int) -> None:
        if self._pid is not None and not self.dead():
            with suppress(ProcessLookupError):
                kill(self._pid, number)

    def end(self) -> None:
        """Gone, whatever it was doing."""
        self.signal(signal.SIGKILL)
        until(self.dead, "the peer is gone", within=30, every=0.005)

    def dead(self) -> bool:
        return self._pid is None or self._exit_path.exists()

    @property
    def _exit_path(self) -> Path:
        return self._folder / f"peer-exit.{self._order['port']}.{self._lives}"
