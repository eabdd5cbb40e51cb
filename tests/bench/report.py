"""A figure beside its limit and its peer, all of the same run; and what it was measured on."""

import os
import platform
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """`at_least` and `at_most` are the limits it has to keep; None where it is only shown. `note`: its peer, its
    spread."""

    name: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def holds(self) -> bool:
        low = self.at_least is None or self.value >= self.at_least
        return low and (self.at_most is None or self.value <= self.at_most)

    @property
    def is_limited(self) -> bool:
        return self.at_least is not None or self.at_most is not None

    @property
    def limit(self) -> str:
        """The limit in words; empty where there is none."""
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return "" if self.at_most is None else f"at most {self.at_most:g}"

    def line(self) -> str:
        mark = " " if self.holds else "✗"
        return f"{mark} {self.name:<56} {self.value:>12,.3f} {self.unit:<8} {self.limit:<16} {self.note}".rstrip()


def spread(values: Iterable[float]) -> str:
    """Lowest to highest, for the note beside a median."""
    found = sorted(values)
    if len(found) == 1:
        return "1 round"
    low, high = (f"{one:,.0f}" if one >= 100 else f"{one:.3g}" for one in (found[0], found[-1]))
    return f"{low} to {high} over {len(found)} rounds"


def machine() -> str:
    """One line: what the figures were measured on, and how busy it was."""
    load = " ".join(f"{one:.2f}" for one in os.getloadavg())
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return (
        f"{processor()}, {os.cpu_count()} cores · {python}, SQLite {sqlite3.sqlite_version}, "
        f"SQLAlchemy {sqlalchemy.__version__} · load {load}"
    )


def peak_memory_mb() -> float:
    """The largest resident size of this process so far.

    Not `ru_maxrss` where it can be helped: on Linux a child inherits it from the process that started it.
    """
    status = Path("/proc/self/status").read_text()
    found = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(found.split()[1]) / 1024


def processor() -> str:
    """The processor's own name, as the kernel knows it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
