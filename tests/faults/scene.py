"""One daemon between a desk that never gives up and servers that misbehave, and the judge at the end.

A scene is set on a `Stage` (tests/support/kill_harness.py): its sandbox is the ground truth, a process of its own whose
log is written before anything is answered. Fault proxies stand between the daemon and all that it speaks to.
"""

import asyncio
import json
import secrets
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg
from psycopg import sql

from outagecast.engine.verify import verify
from outagecast.storage.engine import Database
from tests.faults.books import Books
from tests.faults.invariants import Breach, Figures, Scenery, judge
from tests.faults.peer import Peer
from tests.faults.proxy import FaultProxy
from tests.faults.town import DOWN, Town, found
from tests.faults.truth import Said, Told
from tests.support import postgres
from tests.support.daemon import PROGRAM, REPOSITORY, TooLate, free_port, until
from tests.support.kill_harness import Nursery, Stage

CONFIG: dict[str, Any] = {
    "email": {"connections": 3, "timeout": "800ms"},
    "sms": {"connections": 4, "timeout": "2s"},
    "cadence": {"major": {"update_every": "60m"}},
}
TEMPLATE = "town"
GIVE_UP = 120.0
"""Seconds after which a desk that is never answered is a finding."""


class Scene(Stage):
    """A stage with faults. `server`: PostgreSQL's, None for SQLite; the ways are the proxies to what it speaks to."""

    def __init__(
        self,
        folder: Path,
        nursery: Nursery,
        town: Town,
        config: Mapping[str, Any] | None = None,
        server: "OwnServer | None" = None,
    ) -> None:
        super().__init__(folder, nursery, town.template, CONFIG)
        self.town = town
        self.told = Told()
        self.server = server
        self._own = dict(config or {})
        self.mail_way = FaultProxy(target=self.sandbox.port("smtp")).start()
        self.text_way = FaultProxy(target=self.sandbox.port("sms")).start()
        self.store_way: FaultProxy | None = None
        self.name = "scene"
        if server is not None:
            self.store_way = FaultProxy(target=server.port).start()
        self.clock = folder / "clock"
        self.place = folder
        """Where SQLite's file lies; changed before `set()`."""
        self.peers: list[Peer] = []
        self.more: dict[str, Any] = {}
        self.played: dict[str, int] = {}
        """How often each kind of fault was drawn for this story."""

    @property
    def database(self) -> Path:
        return (self.place if hasattr(self, "place") else self.folder) / "outagecast.db"

    @property
    def books(self) -> Books:
        return Books(self.server.url(self.name) if self.server is not None else f"sqlite:///{self.database}")

    @property
    def ways(self) -> list[FaultProxy]:
        return [way for way in (self.mail_way, self.text_way, self.store_way) if way is not None]

    # --- its lives ---

    def set(self, config: Mapping[str, Any] | None = None) -> None:
        """Everything as on the first day; the daemon is not started."""
        self.end_peers()
        self.set_clock(0)
        self.reset()
        self.calm()
        self.told = Told()
        self.more = dict(config or {})
        self.played = {}
        self.configure(self.more)
        self.sandbox.set(sent_after=0.05, delivered_after=0.15, repeat=1, drop=0.0, forge=0.0, shuffle=False)
        (self.folder / "daemon.log").unlink(missing_ok=True)

    def configure(self, config: Mapping[str, Any]) -> None:
        if not hasattr(self, "mail_way"):
            return
        store = {"database": {"url": f"sqlite:///{self.database}"}}
        if self.store_way is not None:
            store = {"database": {"url": f"postgresql://postgres@127.0.0.1:{self.store_way.port}/{self.name}"}}
        ways = {
            "email": {"port": self.mail_way.port},
            "sms": {"api_url": f"http://127.0.0.1:{self.text_way.port}"},
            **store,
        }
        super().configure(_over(_over(ways, self._own), config))

    def renew_database(self) -> None:
        if self.server is None:
            super().renew_database()
            return
        self.server.rise()
        with self.server.admin() as admin:
            name, template = sql.Identifier(self.name), sql.Identifier(TEMPLATE)
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, template))
            # A copied sequence believes that its next numbers are in the log already, where only the template's are: a
            # crash before the first checkpoint would give them out twice. No database of a house is made like this.
            admin.execute("CHECKPOINT")

    def spawn(
        self, *, crashpoint: str = "", wave_limit: int | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        environ = {"OUTAGECAST_CLOCK": str(self.clock), **(environ or {})}
        super().spawn(crashpoint=crashpoint, wave_limit=wave_limit, environ=environ)

    def revive(self, crashpoint: str = "") -> None:
        """Alive, whatever it takes."""
        while self.dead() or not self.is_alive:
            if self.is_alive:
                self.gone()
            self.start(crashpoint=crashpoint)
            crashpoint = ""

    def peer(self) -> Peer:
        """Another daemon on our database: it starts at once and lives until the next story."""
        role = "sender" if self.server is None else "all"
        one = Peer(self.folder, self.config_path, role, self._nursery.fork, {"OUTAGECAST_CLOCK": str(self.clock)})
        one.start()
        self.peers.append(one)
        return one

    def end_peers(self) -> None:
        while self.peers:
            self.peers.pop().end()

    @property
    def is_alive(self) -> bool:
        """It was started, and its end has not been looked at."""
        return self._pid is not None

    def is_ready(self) -> bool:
        return self.is_alive and not self.dead() and self._ready()

    @property
    def mark(self) -> int:
        """The log's number before this story began."""
        return self._mark

    def second_start(self, within: float = 120.0) -> int:
        """Another daemon on the same settings and another port: its exit status."""
        other = self.folder / "second.toml"
        other.write_text(self.config_path.read_text().replace(f"port = {self.port}", f"port = {free_port()}"))
        command = [*PROGRAM, "serve", "--config", str(other)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, timeout=within, check=False)
        return done.returncode

    def file_beside_is_newer(self, copy: Path) -> bool:
        """Whether the file beside the database knows that it has come further than this copy."""
        with closing(sqlite3.connect(copy)) as conn:
            kept = dict(conn.execute("SELECT key, value FROM meta").fetchall())
        beside = json.loads(self.database.with_name(f"{self.database.name}.epoch").read_text())
        return bool(beside["epoch"] > int(kept["epoch"]))

    def rewrite_addresses(self, new: Mapping[str, str]) -> None:
        """As no import would let them in; before the daemon starts, on SQLite."""
        with closing(sqlite3.connect(self.database)) as conn:
            for was, now in new.items():
                conn.execute("UPDATE addresses SET value = ? WHERE value = ?", (now, was))
            conn.commit()

    def stop(self, within: float = 40.0) -> int:
        """SIGTERM, and the exit status."""
        self.signal(signal.SIGTERM)
        return self.gone(within)

    def set_clock(self, seconds: float) -> None:
        """The daemon's clock is so many seconds off from now on."""
        half = self.clock.with_suffix(".new")
        half.write_text(f"{seconds}", encoding="ascii")
        half.replace(self.clock)

    def calm(self) -> None:
        """No more faults, from anybody."""
        for way in self.ways:
            way.clear()
        self.sandbox.clear_faults()

    def end(self) -> None:
        self.end_peers()
        super().end()
        for way in self.ways:
            way.end()
        if self.server is not None:
            self.server.end()

    # --- the desk: it tries until it is answered, and never says a thing twice ---

    def declare(self, key: str = "a", *, scope: tuple[str, ...] = (DOWN,), **more: Any) -> Said:
        word = self._word()
        body = {"title": "POP-1 down", "scope": {"elements": list(scope)}, "message": _message(word), **more}
        answer = self._ask("/outages", body, lambda: None, key=key)
        return self._noted(Said(outage=answer["id"], revision=answer["revision"], word=word, verb="declare"))

    def update(self, outage: str, **more: Any) -> Said:
        return self._say(outage, "updates", "update", more)

    def resolve(self, outage: str, **more: Any) -> Said:
        return self._say(outage, "resolve", "resolve", more)

    def retract(self, outage: str, **more: Any) -> Said:
        return self._say(outage, "retract", "retract", more)

    def reopen(self, outage: str, **more: Any) -> Said:
        return self._say(outage, "reopen", "reopen", more)

    def _say(self, outage: str, path: str, verb: str, more: Mapping[str, Any]) -> Said:
        word, before = self._word(), self.told.of(outage)

        def done() -> dict[str, Any] | None:
            rows = self.books.rows(
                "SELECT number, message, episode FROM revisions WHERE outage_id = :outage", outage=outage
            )
            found = [row for row in rows if word in row["message"]]
            return {"revision": found[0]["number"]} if found else None

        answer = self._ask(f"/outages/{outage}/{path}", {"message": _message(word), **more}, done)
        episode = (before[-1].episode if before else 1) + (verb == "reopen")
        return self._noted(Said(outage=outage, revision=answer["revision"], word=word, verb=verb, episode=episode))

    def _noted(self, said: Said) -> Said:
        self.told.words.append(said)
        return said

    def _word(self) -> str:
        return f"Word-{secrets.token_hex(3)}"

    def _ask(
        self, path: str, body: dict[str, Any], done: Callable[[], dict[str, Any] | None], *, key: str = ""
    ) -> dict[str, Any]:
        deadline = monotonic() + GIVE_UP
        while monotonic() < deadline:
            answer = self.post(path, body, key=key) if self.is_alive and not self.dead() else None
            if answer is not None:
                return answer
            with suppress(psycopg.Error, OSError):
                if (known := done()) is not None:
                    return known
            sleep(0.05)
        raise TooLate(f"{path} is never answered:\n{self.log()[-3000:]}")

    # --- at rest ---

    def settle(self, said: Said | None = None, patience: float = 60.0) -> bool:
        """Until nothing is on its way and no retry is to come; False if nothing has moved for `patience` seconds.
        `said` has settled then, so that everybody must have heard it.
        """
        before, since = -1, monotonic()
        while left := self._left():
            if left != before:
                before, since = left, monotonic()
            elif monotonic() - since > patience:
                return False
            sleep(0.05)
        if said is not None:
            said.settled = True
        return True

    def _left(self) -> int:
        try:
            return self.books.unsettled()
        except (sqlite3.Error, psycopg.Error, OSError):  # locked, gone, full: it is not at rest
            return -2

    def heard_so_far(self) -> int:
        """How many messages have arrived."""
        return len(self.sandbox.records("mail", "sms", after=self._mark))

    def until_heard(self, count: int, within: float = 90.0) -> None:
        until(lambda: self.heard_so_far() >= count, f"{count} messages have arrived", within=within, every=0.005)

    def receipts_in(self, within: float = 10.0) -> None:
        """Wait for the gateway's last callbacks, so that what is believed can be compared."""

        def all_called() -> bool:
            records = self.sandbox.records("sms", "callback", after=self._mark)
            sent = sum(1 for r in records if r["type"] == "sms" and r["callback"])
            return sum(1 for r in records if r["type"] == "callback" and r["status"] == "delivered") >= sent

        with suppress(TooLate):
            until(all_called, "all callbacks are in", within=within, every=0.05)

    def judge(self, *, clean: bool = False, verified: bool = True, but: frozenset[str] = frozenset()) -> "Judgement":
        """The figures and every breach. `clean`: nothing was done that makes anything ambiguous; `but`: invariants
        that this scenario breaks by what it does.
        """
        # The tables first: what comes in meanwhile (receipts) is in the servers' log before it is in there.
        attempts, deliveries = self.books.attempts(), self.books.deliveries()
        scenery = Scenery(
            town=self.town,
            told=self.told,
            records=self.sandbox.records(after=self._mark),
            books=self.books,
            attempts=attempts,
            deliveries=deliveries,
            log=self.log(),
            clean=clean,
        )
        figures, breaches = judge(scenery)
        if verified:
            breaches += asyncio.run(self._recount())
        return Judgement(figures=figures, breaches=[b for b in breaches if b.invariant not in but], scenery=scenery)

    async def _recount(self) -> list[Breach]:
        database = Database.open(self.books.url, folder=self.folder)
        try:
            now = datetime.now(UTC) + timedelta(seconds=float(self.clock.read_text(encoding="ascii")))
            findings = await verify(database, now=now)
            return [
                Breach(invariant=f.invariant, what=f"verify: {f.message} ({f.count}: {', '.join(f.examples)})")
                for f in findings
            ]
        finally:
            await database.close()


class Judgement:
    def __init__(self, *, figures: Figures, breaches: list[Breach], scenery: Scenery) -> None:
        self.figures = figures
        self.breaches = breaches
        self.scenery = scenery

    def must_be_kept(self, log: str = "") -> Figures:
        """AssertionError with every breach."""
        if self.breaches:
            listed = "\n".join(str(breach) for breach in self.breaches[:20])
            raise AssertionError(f"{len(self.breaches)} breaches:\n{listed}\n{log[-2500:]}")
        return self.figures


@contextmanager
def scenes(
    folder: Path,
    *,
    count: int = 1,
    customers: int = 12,
    database: str = "sqlite",
    config: Mapping[str, Any] | None = None,
) -> Iterator[list[Scene]]:
    """So many scenes side by side, on PostgreSQL each with a server of its own; all processes are gone at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    nursery = Nursery(folder)
    made: list[Scene] = []
    try:
        town = found(folder / "town", customers) if database == "sqlite" else None
        for n in range(count):
            server = None if town is not None else OwnServer(folder / f"server-{n}")
            try:
                there = town or found(folder / f"town-{n}", customers, _new_template(server))
                made.append(Scene(folder / f"scene-{n}", nursery, there, config, server))
            except BaseException:
                if server is not None:
                    server.end()
                raise
        yield made
    finally:
        for scene in made:
            scene.end()
        nursery.end()


class OwnServer:
    """A PostgreSQL server that one scene may stop, kill and start as it likes. Its port stays."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # It ends with the thread that started it, so that has to be one that stays.
        self._starter = ThreadPoolExecutor(1)
        self._process, self.port = self._starter.submit(postgres.start, folder).result()

    def url(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def admin(self) -> "psycopg.Connection[tuple[Any, ...]]":
        return psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=5)

    def fall(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Gone: at once (SIGQUIT, as by a power cut), or after its sessions were cut (SIGINT)."""
        if self._process.poll() is None:
            postgres.stop(self._process, how)

    def rise(self) -> None:
        """Up again, if it is not."""
        if self._process.poll() is not None:
            self._process, _ = self._starter.submit(postgres.start, self.folder, port=self.port).result()

    def end(self) -> None:
        self.fall(signal.SIGINT)
        self._starter.shutdown()


def _new_template(server: OwnServer | None) -> str:
    assert server is not None
    with server.admin() as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    return server.url(TEMPLATE)


def _message(word: str) -> str:
    return f"{word}. We are at it."


def _over(settings: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(settings)
    for key, value in over.items():
        mapped = isinstance(value, Mapping) and isinstance(found.get(key), Mapping)
        found[key] = _over(found[key], value) if mapped else value
    return found
