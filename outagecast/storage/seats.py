"""Which daemons serve a SQLite database: each holds a file lock beside it that its death frees, even by SIGKILL.

One seat is `main` (web pages, verbs, ticking), the others are numbered senders. What stands in a lock file says who
holds it; a seat that is taken again belongs to a new owner from then on, and whoever had it before is dead.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import sleep
from typing import IO

from outagecast.storage.refused import DatabaseRefused

MAIN = "main"
_GATE = "gate"
"""Which every daemon holds together with the others for as long as it runs."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_TRIES, _BETWEEN = 15, 0.02
"""Whoever looks whether a seat is held holds it for a moment himself."""
_MOST_SENDERS = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Who holds a seat, as its lock file says. `boot` names one run of one machine: hosts may be called alike, and a
    container is called what it likes.
    """

    owner: str
    host: str
    boot: str
    pid: int
    seat: str = ""


class FileSeat:
    """One held seat. `before`: who held this one, and the others, when the lock was taken, if it could be read."""

    def __init__(self, name: str, locks: ExitStack, before: tuple[Holder, ...]) -> None:
        self.name = name
        self.before = before
        self._locks = locks

    def leave(self) -> None:
        """Free it; the file stays, for the next one."""
        self._locks.close()


def boot_id() -> str:
    """Of this run of this machine; "" where the system has none."""
    with contextlib.suppress(OSError):
        return _BOOT.read_text(encoding="ascii").strip()
    return ""


def take_main(database: Path, holder: Holder) -> FileSeat:
    """The seat of the one daemon that ticks. DatabaseRefused while another has it."""
    before = tuple(_noted(database))
    seat = _take(database, MAIN, holder, before, _TRIES)
    if seat is None:
        who = _read(_path(database, MAIN))
        named = f" (process {who.pid})" if who is not None else ""
        raise DatabaseRefused(
            f"{database}: another OutageCast daemon is running on this database{named}; stop it first, or start a "
            "sender beside it with: outagecast serve --role sender"
        )
    return seat


def take_sender(database: Path, holder: Holder) -> FileSeat:
    """The first sender's seat that is free."""
    before = tuple(_noted(database))
    for n in range(1, _MOST_SENDERS + 1):
        seat = _take(database, f"sender-{n}", holder, before, 1)
        if seat is not None:
            return seat
    raise DatabaseRefused(f"{database}: {_MOST_SENDERS} senders are running on this database; no machine needs more")


def holders(database: Path) -> list[Holder]:
    """Who holds a seat at this moment. A seat taken so newly that nobody is named in it yet is left out: whoever has it
    has done nothing so far.
    """
    found = []
    for path in _locks(database):
        if _is_held(path) and (holder := _read(path)) is not None:
            found.append(holder)
    return found


@contextmanager
def all_seats(database: Path) -> Iterator[None]:
    """Keep every daemon from starting. DatabaseRefused while one runs."""
    with _path(database, _GATE).open("a+", encoding="utf-8") as gate:
        if not _lock(gate, _TRIES):
            raise DatabaseRefused("the daemon is running on this database: stop it first (senders too)")
        yield


def _take(database: Path, name: str, holder: Holder, before: tuple[Holder, ...], tries: int) -> FileSeat | None:
    with ExitStack() as stack:
        gate = stack.enter_context(_path(database, _GATE).open("a+", encoding="utf-8"))
        if not _lock(gate, _TRIES, fcntl.LOCK_SH):
            raise DatabaseRefused(f"{database}: something is being done that needs all daemons stopped; try again")
        lock = stack.enter_context(_path(database, name).open("a+", encoding="utf-8"))
        if not _lock(lock, tries):
            return None
        lock.truncate(0)
        lock.write(json.dumps({**asdict(holder), "seat": name}))
        lock.flush()
        return FileSeat(name, stack.pop_all(), before)


def _lock(lock: IO[str], tries: int, how: int = fcntl.LOCK_EX) -> bool:
    for left in range(tries, 0, -1):
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if left > 1:
                sleep(_BETWEEN)
        else:
            return True
    return False


def _is_held(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(handle)


def _noted(database: Path) -> list[Holder]:
    return [holder for path in _locks(database) if (holder := _read(path)) is not None]


def _read(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _locks(database: Path) -> list[Path]:
    senders = sorted(database.parent.glob(f"{_escaped(database.name)}.sender-*.lock"))
    main = _path(database, MAIN)
    return [main, *senders] if main.exists() else senders


def _path(database: Path, name: str) -> Path:
    """The main seat's file has the name it had when there was no other."""
    middle = "" if name == MAIN else f".{name}"
    return database.with_name(f"{database.name}{middle}.lock")


def _escaped(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)
