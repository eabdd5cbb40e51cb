"""What other processes have used, as Linux tells it in /proc."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_LISTENING = "0A"
"""TCP_LISTEN in /proc/net/tcp."""
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, of the children that have ended, and of those that live and theirs; in steps
    of 10 ms. 0 for one that is gone."""
    return sum(_own_cpu_seconds(one) for one in (pid, *_descendants(pid)))


def peak_mb(pid: int) -> float:
    """The largest resident size of one process so far; 0 for one that is gone."""
    try:
        status = (_PROC / str(pid) / "status").read_text()
    except OSError:
        return 0.0
    found = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0].split()[1]) / 1024 if found else 0.0


def listens(pid: int, port: int) -> bool:
    """Whether this process or one of its descendants listens on the port of 127.0.0.1, and nobody else does."""
    inodes = set()
    for line in (_PROC / "net" / "tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == _LISTENING and int(fields[1].partition(":")[2], 16) == port:
            inodes.add(f"socket:[{fields[9]}]")
    held = {link for one in (pid, *_descendants(pid)) for link in _links(one)}
    return bool(inodes) and inodes <= held


def _links(pid: int) -> Iterator[str]:
    """What its descriptors lead to; nothing of a process that is gone."""
    try:
        found = list((_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return
    for link in found:
        with contextlib.suppress(OSError):
            yield str(link.readlink())


def _own_cpu_seconds(pid: int) -> float:
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return 0.0
    # The name stands in parentheses and may hold anything; utime, stime, cutime and cstime are fields 14 to 17.
    fields = stat.rpartition(")")[2].split()
    return sum(int(one) for one in fields[11:15]) / _TICKS


def _descendants(pid: int) -> Iterator[int]:
    for tasks in (_PROC / str(pid) / "task").glob("*/children"):
        try:
            children = [int(one) for one in tasks.read_text().split()]
        except OSError:
            continue
        for child in children:
            yield child
            yield from _descendants(child)
