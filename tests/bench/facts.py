"""What the figures were measured on: the machine, the versions, the commit, the hour."""

import os
import platform
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.bench.children import ROOT
from tests.bench.postgres import server_version
from tests.bench.report import processor

LIBRARIES = ("aiohttp", "aiosmtplib", "aiosqlite", "jinja2", "psycopg", "sqlalchemy", "uvloop")


def facts(now: datetime, *, rounds: int, quick: bool, peers: Mapping[str, str]) -> dict[str, str]:
    """Each by its name, in the order in which it is shown; `peers`: the version of each that is installed."""
    load = ", ".join(f"{one:.2f}" for one in os.getloadavg())
    found = {
        "Machine": f"{processor()}, {os.cpu_count()} cores, {_memory_gb():.0f} GB",
        "Load at the start": f"{load} (1, 5, 15 minutes)",
        "Kernel": f"{platform.system()} {platform.release()}, {_distribution()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "SQLite": f"{sqlite3.sqlite_version}, WAL, synchronous=FULL",
        "PostgreSQL": server_version() or "not installed",
        "Libraries": ", ".join(f"{name} {_library(name)}" for name in LIBRARIES),
        "OutageCast": f"{_library('outagecast')}, commit {_commit()}",
        "Postfix's tools": _postfix(),
        "Measured": f"{now:%Y-%m-%d %H:%M} UTC, {rounds} round{'s' if rounds > 1 else ''}",
    }
    if quick:
        found["Measured"] += ", quick: fewer messages than the promises are made for"
    return found | {f"Peer: {name}": installed for name, installed in peers.items()}


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _distribution() -> str:
    path = Path("/etc/os-release")
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)', path.read_text(), re.M) if path.exists() else None
    return found[1] if found else "unknown system"


def _library(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _postfix() -> str:
    tool = shutil.which("dpkg-query")
    if tool is None:
        return "of an unknown version"
    done = subprocess.run([tool, "-W", "-f", "${Version}", "postfix"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "of an unknown version"


def _commit() -> str:
    """The commit that was measured, and whether files differ from it."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    head = [git, "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"]
    commit = subprocess.run(head, capture_output=True, text=True, check=False).stdout.strip()
    changes = [git, "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no"]
    changed = subprocess.run(changes, capture_output=True, text=True, check=False).stdout.strip()
    return (commit or "unknown") + (" with uncommitted changes" if changed else "")
