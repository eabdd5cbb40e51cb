"""Where mails go while they are counted: Postfix's `smtp-sink`, our own where that is missing; and the limit.

The limit is Postfix's `smtp-source` with ten kept sessions: it makes no message, keeps no record and waits for each
answer. Each sink listens on a private port that was free.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.children import LONGEST, call, free_port, running, serving

SESSIONS = 10
HEADERS = 250
"""Octets that `smtp-source -l` adds for its own headers, about."""


@dataclass(kw_only=True)
class Sink:
    """Listens on `port`. While it runs it may be able to say how many mails have come (`arrived`); `total` is there
    once the block has ended."""

    port: int
    out: Path | None
    total: int = -1

    def arrived(self) -> int:
        """Mails so far; -1 where this sink cannot say before its end."""
        if self.out is None:
            return self.total
        # It writes its counters anew at each message: the last one stands.
        with self.out.open("rb") as file:
            file.seek(max(0, self.out.stat().st_size - 500))
            found = re.findall(rb"mesg=(\d+)", file.read())
        return int(found[-1]) if found else 0


@contextmanager
def fast_sink(folder: Path) -> Iterator[Sink]:
    """Postfix's sink where it is installed: it takes far more than anything here sends."""
    port = free_port()
    if not has_postfix():
        sink = Sink(port=port, out=None)
        with serving("own_smtp", "sink", str(port), port=port) as counted:
            yield sink
        sink.total = int(counted["messages"])
        return
    sink = Sink(port=port, out=folder / f"sink-{port}")
    # It refuses to run as root.
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = [str(_tool("smtp-sink")), "-c", *user, f"127.0.0.1:{port}", "1000"]
    assert sink.out is not None
    with sink.out.open("wb") as file, running(command, port=port, output=file):
        yield sink
    sink.total = sink.arrived()
    sink.out.unlink()


@contextmanager
def counting_sink() -> Iterator[tuple[int, dict[str, Any]]]:
    """Our own slower sink, which knows every recipient: its port, and what it counted once the block has ended."""
    port = free_port()
    with serving("own_smtp", "sink", str(port), port=port) as counted:
        yield port, counted


def wait_for(sink: Sink, count: int, patience: float) -> None:
    """Until so many mails have come. TimeoutError after so many seconds without one more."""
    before, since = -1, time.monotonic()
    while (arrived := sink.arrived()) < count:
        if arrived > before:
            before, since = arrived, time.monotonic()
        if time.monotonic() - since > patience:
            raise TimeoutError(f"{arrived:,} of {count:,} mails have come, and no more for {patience:.0f} s")
        time.sleep(0.01)


def limit_per_second(folder: Path, count: int, octets: int) -> float:
    """Mails a second of the fastest client there is, all of this size."""
    if has_postfix():
        with fast_sink(folder) as sink:
            words = ["-d", "-s", str(SESSIONS), "-m", str(count), "-l", str(max(1, octets - HEADERS))]
            started = time.perf_counter()
            command = [str(_tool("smtp-source")), *words, f"127.0.0.1:{sink.port}"]
            subprocess.run(command, check=True, timeout=LONGEST)
            seconds = time.perf_counter() - started
        assert sink.total == count
        return count / seconds
    with counting_sink() as (port, counted):
        seconds = float(call("own_smtp", "source", str(port), str(count), str(octets))["seconds"])
    assert counted["messages"] == count
    return count / seconds


def limit_name(octets: int) -> str:
    if has_postfix():
        return f"smtp-source -d -s {SESSIONS} -l {octets:,}"
    return "our own pipelining client (Postfix's tools are not installed here)"


def has_postfix() -> bool:
    return all(_tool(name) for name in ("smtp-source", "smtp-sink"))


def _tool(name: str) -> str | None:
    # Debian keeps them where a user's PATH does not look.
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
