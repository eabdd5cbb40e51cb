"""The process a rehearsal is played in: thousands of plans and statements must not take the daemon's breath away.

`run` is the daemon's side; `python -m outagecast.engine.rehearsal_child` the other one, which hears everything it needs
on its stdin (from `run` alone) and answers a line of JSON at a time. It is nice, and ends when nobody listens any more.
"""

import asyncio
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any

from outagecast.domain.errors import OutageCastError
from outagecast.domain.outage import Actor, Declaration
from outagecast.domain.script import Step
from outagecast.engine.changes import Changes
from outagecast.engine.house import House
from outagecast.engine.playing import Played, PlayedClock, Player
from outagecast.storage.copying import fill
from outagecast.storage.engine import Database, DatabaseFault, DatabaseRefused

_NICE = 10
_OWN = frozenset({"db", "clock", "changes", "speed", "_wishes"})
"""What of the house the copy has for itself; the rest is settings."""
_APART_SECONDS = 0.2
_TIMES = ("started_at", "ended_at")


class BrokeOff(Exception):
    """The process ended without an answer; says why, in one line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What is played, on which copy, by which settings, from when on. `source`: the address of the database that the
    process copies first, with its password; "" where the copy is made already.
    """

    copy: Path
    source: str
    settings: dict[str, Any]
    now: datetime
    declaration: Declaration
    script: tuple[Step, ...]
    actor: Actor


def settings_of(house: House) -> dict[str, Any]:
    """A house's settings without its database, clock and bell."""
    return {field.name: getattr(house, field.name) for field in fields(house) if field.name not in _OWN}


def run(task: Task, tell: Callable[[str], None], started: Callable[[Callable[[], None]], None]) -> Played:
    """Play it in a process of its own and wait. `tell` hears how far it is and may raise; `started` gets what ends the
    process before its time. BrokeOff says what went wrong.
    """
    errors = task.copy.with_name("errors.txt")
    with (
        errors.open("w+", encoding="utf-8") as wrong,
        subprocess.Popen(
            [sys.executable, "-m", "outagecast.engine.rehearsal_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=wrong,
        ) as process,
    ):
        started(process.terminate)
        try:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(pickle.dumps(task))
            process.stdin.close()
            for line in process.stdout:
                said = json.loads(line)
                if "doing" in said:
                    tell(said["doing"])
                elif "failed" in said:
                    raise BrokeOff(said["failed"])
                else:
                    return _read(said["played"])
        finally:
            process.kill()
        wrong.seek(0)
        lines = wrong.read().strip().splitlines()
        raise BrokeOff(lines[-1][:200] if lines else "its process ended without a word")


# --- in the process ---


def main() -> None:
    os.nice(_NICE)
    task: Task = pickle.load(sys.stdin.buffer)
    try:
        said: dict[str, Any] = {"played": _write(asyncio.run(_play(task)))}
    except (OutageCastError, DatabaseFault, DatabaseRefused) as error:
        said = {"failed": str(error).splitlines()[0][:300]}
    _answer(said)


async def _play(task: Task) -> Played:
    last = 0.0

    def tell(doing: str) -> None:
        nonlocal last
        if monotonic() - last > _APART_SECONDS:
            last = monotonic()
            _answer({"doing": doing})

    if task.source:
        await fill(task.copy, task.source, tell)
    db = Database.open(f"sqlite:///{task.copy.name}", folder=task.copy.parent)
    try:
        clock = PlayedClock(now=task.now)
        house = House(db=db, clock=clock, changes=Changes(), **task.settings)
        return await Player(house, clock, tell).play(task.declaration, task.script, actor=task.actor)
    finally:
        await db.close()


def _answer(said: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def _write(played: Played) -> dict[str, Any]:
    plain = {field.name: getattr(played, field.name) for field in fields(played)}
    troubles = [[at.isoformat(), said] for at, said in played.troubles]
    times = {name: getattr(played, name).isoformat() for name in _TIMES}
    return plain | times | {"troubles": troubles}


def _read(plain: dict[str, Any]) -> Played:
    troubles = [(datetime.fromisoformat(at), said) for at, said in plain["troubles"]]
    times = {name: datetime.fromisoformat(plain[name]) for name in _TIMES}
    return Played(**plain | times | {"troubles": troubles})


if __name__ == "__main__":
    main()
