"""Daemons that are killed, quickly and often: forked from a process that has loaded them, each with its own sandbox.

A `Stage` is a folder with a sandbox that stays alive and a database copied from a template for every run.
"""

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from outagecast.app import open_core
from outagecast.config import parse_config
from outagecast.domain.outage import Actor, ActorKind, Role
from outagecast.engine.verify import verify
from outagecast.storage.engine import Database
from tests.acceptance import ground_truth
from tests.support.daemon import (
    REPOSITORY,
    ApiClient,
    Refused,
    SandboxProcess,
    exchange,
    free_port,
    merged,
    toml,
    until,
    usual_config,
)
from tests.support.inventory_files import write

ROOT = Actor(kind=ActorKind.CLI, name="root", role=Role.ADMIN)
MAIL_DOMAIN = "bluegrass.example"
DELIVERY = {
    "ambiguous_retry_after": "1500ms",
    "reconcile_after": ["300ms", "700ms"],
    "retry_after": ["500ms"],
    "probe_after": "500ms",
}
Json = dict[str, Any]


class Nursery:
    """Forks daemons; one for all stages."""

    def __init__(self, folder: Path) -> None:
        self._door = threading.Lock()
        with (folder / "nursery.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.kill_nursery"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=REPOSITORY, text=True,
            )  # fmt: skip

    def fork(self, **order: Any) -> int:
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._door:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return int(json.loads(self._process.stdout.readline())["pid"])

    def end(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


@dataclass(frozen=True, kw_only=True)
class Template:
    """An imported database with a token; POP-1 carries everybody. `hearing`: every address there is."""

    folder: Path
    token: str
    hearing: tuple[str, ...]

    @property
    def database(self) -> Path:
        return self.folder / "outagecast.db"


def make_template(folder: Path, contacts: int) -> Template:
    """Import customers with one circuit and one contact each, reached by mail and phone."""
    numbers = range(1, contacts + 1)
    files = {
        "elements": "id,kind\nPOP-1,pop\n",
        "customers": "id,name\n" + "".join(f"C{n},Customer {n}\n" for n in numbers),
        "contacts": "id,customer_id,name,email,phone\n"
        + "".join(f"K{n},C{n},Contact {n},c{n}@example.org,{_phone(n)}\n" for n in numbers),
        "circuits": "id,customer_id,label,depends_on\n" + "".join(f"L{n},C{n},Line {n},POP-1\n" for n in numbers),
    }
    hearing = [f"c{n}@example.org" for n in numbers] + [_phone(n) for n in numbers]
    return fill_template(folder, files, hearing)


def fill_template(
    folder: Path, files: Mapping[str, str], hearing: Iterable[str], url: str = "sqlite:///outagecast.db"
) -> Template:
    """A database with these inventory files imported (`customers`: the text of customers.csv …) and a token."""
    token = asyncio.run(_import(folder, write(folder / "in", **files), url))
    if url.startswith("sqlite"):
        conn = sqlite3.connect(folder / "outagecast.db")
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        conn.close()
    return Template(folder=folder, token=token, hearing=tuple(hearing))


def _phone(n: int) -> str:
    return f"+1859555{1000 + n}"


async def _import(folder: Path, files: Path, url: str) -> str:
    text = f'[provider]\nname = "Bluegrass Fiber"\n[database]\nurl = "{url}"\n'
    config = parse_config(text, name="template", folder=folder, environ={})
    async with open_core(config) as core:
        await core.inventory.import_files([files], actor=ROOT, rejects_path=folder / "rejects.csv")
        return await core.people.add_token("noc", Role.ADMIN, actor=ROOT)


class Stage:
    """One sandbox, one port, one folder; a daemon that is started and killed on it, run after run."""

    def __init__(self, folder: Path, nursery: Nursery, template: Template, config: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._nursery = nursery
        self._template = template
        self.sandbox = SandboxProcess(folder).start()
        self.port = free_port()
        self._settings = merged(merged(usual_config(self.port, self.sandbox), {"delivery": DELIVERY}), config)
        self.config_path = folder / "config.toml"
        self.configure({})
        self.api = ApiClient(port=self.port, token=template.token)
        self._pid: int | None = None
        self._lives = 0
        self._mark = 0
        self.kills = 0

    @property
    def database(self) -> Path:
        return self.folder / "outagecast.db"

    def reset(self) -> None:
        """Everything as it was after the import, and nothing in any mailbox."""
        self.kill()
        self.renew_database()
        self.sandbox.control("POST", "/control/reset")
        self._mark = self.sandbox.mark()
        self.kills = 0

    def renew_database(self) -> None:
        for left in self.database.parent.glob("outagecast.db*"):
            left.unlink()
        shutil.copyfile(self._template.database, self.database)

    def configure(self, config: Mapping[str, Any]) -> None:
        """Settings over those of the stage, for the next start."""
        self.config_path.write_text(toml(merged(self._settings, config)), encoding="utf-8")

    # --- the daemon's lives ---

    def spawn(
        self, *, crashpoint: str = "", wave_limit: int | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        assert self._pid is None, "it lives"
        self._lives += 1
        self._pid = self._nursery.fork(
            config=str(self.config_path),
            log=str(self.folder / "daemon.log"),
            exit=str(self._exit_path),
            wave_limit=wave_limit,
            environ={**(environ or {}), "OUTAGECAST_CRASHPOINT": crashpoint},
        )

    def start(
        self, *, crashpoint: str = "", wave_limit: int | None = None, environ: Mapping[str, str] | None = None
    ) -> bool:
        """Whether it is ready; False: it died at its crash point before."""
        self.spawn(crashpoint=crashpoint, wave_limit=wave_limit, environ=environ)
        until(lambda: self.dead() or self._ready(), "the daemon is ready", within=60, every=0.01)
        return not self.dead()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._pid is None:
            return
        if not self.dead():
            self.signal(signal.SIGKILL)
            self.kills += 1
        self.gone()

    def signal(self, number: int) -> None:
        """Send the daemon a signal, unless it is gone already."""
        if self._pid is not None and not self.dead():
            with suppress(ProcessLookupError):
                os.kill(self._pid, number)

    @property
    def pid(self) -> int:
        assert self._pid is not None, "it does not live"
        return self._pid

    def gone(self, within: float = 30.0) -> int:
        """Wait for the end; the exit status."""
        until(self.dead, "the daemon is gone", within=within, every=0.005)
        self._pid = None
        return int(self._exit_path.read_text())

    def dead(self) -> bool:
        return self._pid is None or self._exit_path.exists()

    @property
    def _exit_path(self) -> Path:
        return self.folder / f"exit.{self._lives}"

    def _ready(self) -> bool:
        try:
            return exchange("127.0.0.1", self.port, "GET", "/readyz", timeout=5)[0] == 200
        except (OSError, HTTPException):
            return False

    def end(self) -> None:
        self.kill()
        self.sandbox.end()

    # --- what a client does, who does not know whether his request was taken ---

    def post(self, path: str, body: Json, *, key: str = "") -> Json | None:
        """The answer; None where the daemon died meanwhile. `key`: the Idempotency-Key of a declaration."""
        try:
            headers = {"idempotency_key": key} if key else {}
            answer: Json = self.api.call("POST", path, body, **headers)
            return answer
        except (OSError, HTTPException):
            return None
        except Refused as refused:
            if refused.status == 503:
                return None
            raise

    def log(self) -> str:
        path = self.folder / "daemon.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    # --- at rest ---

    def rest(self, patience: float = 30.0) -> None:
        """Until nothing is on its way and no retry is to come, or nothing has moved for `patience` seconds: a busy
        machine is slow, which is no fault; the verdict says what does not come to rest."""
        before, since = -1, monotonic()
        while left := ground_truth.unsettled(self.database):
            if left != before:
                before, since = left, monotonic()
            elif monotonic() - since > patience:
                return
            sleep(0.1)

    def verdict(
        self, name: str, *, allowed: Collection[str] = (), but: Collection[str] = (), verified: bool = True
    ) -> ground_truth.Verdict:
        """What the ground truth and `verify` say. `allowed`: ends without sending; `but`: who may hear less."""
        records = self.sandbox.records("mail", "sms", after=self._mark)
        hearing = [address for address in self._template.hearing if address not in but]
        found = ground_truth.check(
            self.database, records, domain=MAIL_DOMAIN, hearing=hearing, allowed=frozenset(allowed)
        )
        if verified:
            found.problems += asyncio.run(_verify(self.folder))
        found.problems = [f"{name}: {problem}" for problem in found.problems]
        return found


async def _verify(folder: Path) -> list[str]:
    database = Database.open("sqlite:///outagecast.db", folder=folder)
    try:
        findings = await verify(database, now=datetime.now(UTC))
        return [f"verify {f.invariant}: {f.message} ({f.count}: {', '.join(f.examples)})" for f in findings]
    finally:
        await database.close()


@contextmanager
def stages(folder: Path, count: int, template: Template, config: Mapping[str, Any]) -> Iterator[list[Stage]]:
    """So many stages side by side; all processes are gone at the end."""
    nursery = Nursery(folder)
    made: list[Stage] = []
    try:
        for n in range(count):
            made.append(Stage(folder / f"stage-{n}", nursery, template, config))
        yield made
    finally:
        for stage in made:
            stage.end()
        nursery.end()
