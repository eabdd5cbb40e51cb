"""The product as it is run in life: `outagecast serve`, a process each."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench.children import free_port, running, wait_until_it_listens
from tests.bench.settings import SETTINGS

BASE = [sys.executable, "-m", "outagecast", "serve", "--log-level", "error"]
Process = subprocess.Popen[bytes]


@contextmanager
def daemon(folder: Path, port: int, *words: str) -> Iterator[Process]:
    """One on the settings in this folder that serves pages on this port; it listens."""
    with _started(folder, *words) as process:
        wait_until_it_listens(process, port)
        yield process


@contextmanager
def fleet(folder: Path, port: int, senders: int) -> Iterator[Sequence[Process]]:
    """One that serves pages on this port and plans, and so many that send; all of them are ready."""
    with ExitStack() as stack:
        ports = [port, *(free_port() for _ in range(senders))]
        words = [("--role", "web"), *(("--role", "sender", "--port", str(one)) for one in ports[1:])]
        found = [stack.enter_context(_started(folder, *some)) for some in words]
        for process, one in zip(found, ports, strict=True):
            wait_until_it_listens(process, one)
        yield found


@contextmanager
def _started(folder: Path, *words: str) -> Iterator[Process]:
    """What it complains about goes to a file of the folder, and along with whatever fails meanwhile."""
    command = [*BASE, "--config", str(folder / SETTINGS), *words]
    log = folder / "daemon.log"
    with log.open("ab") as file:
        try:
            with running(command, port=None, output=subprocess.DEVNULL, errors=file) as process:
                yield process
        except (OSError, RuntimeError) as error:
            error.add_note(log.read_text(errors="replace")[-2000:])
            raise
