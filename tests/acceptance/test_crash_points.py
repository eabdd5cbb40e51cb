"""The daemon dies at every named crash point, and again while it recovers; afterwards everybody has been told."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Queue
from time import monotonic, sleep
from typing import Any

import pytest

from outagecast.engine.crashpoints import Boundary, CrashPoint
from tests.acceptance import ground_truth
from tests.acceptance.ground_truth import Verdict
from tests.support.daemon import CRASHED
from tests.support.kill_harness import Stage, Template, make_template, stages

# PostgreSQL is killed and cut off in tests/faults.
pytestmark = pytest.mark.databases("sqlite")
CONTACTS = 20
STAGES = 5
LAST_PHONE = f"+1859555{1000 + CONTACTS}"
PASSAGES = {
    Boundary.DECLARE: 3,
    Boundary.VERB: 3,
    Boundary.UNDO: 1,
    Boundary.TAKE_EFFECT: 1,
    Boundary.SPEAK: 1,
    Boundary.WAVE: 3,
    Boundary.CLAIM: 3,
    Boundary.CAP: 1,
    Boundary.LEDGER: 3,
    Boundary.RECEIPT: 3,
    Boundary.EARLY: 1,
    Boundary.OPT: 1,
    Boundary.TAKE_OVER: 1,
    Boundary.RETRY: 1,
    Boundary.EXPIRE: 1,
}
"""How often the story below is sure to pass a boundary in one life of the daemon; more than three are not looked at."""
SENDS = 3
FAULTS = (
    {"channel": "smtp", "mode": "reset_after_record", "count": 2},
    {"channel": "smtp", "mode": "reset_before_record", "count": 1},
    {"channel": "sms", "mode": "reset_after_record", "count": 1, "skip": 2},
    {"channel": "sms", "mode": "reset_before_record", "count": 1},
    {"channel": "sms", "mode": "hang_after_record", "ms": 400, "count": 2},
)
"""Fates that nobody can know, taken or not, so that there is something to reconcile, to retry and to hear of early."""


@dataclass(frozen=True, kw_only=True)
class Case:
    crash: str
    """`point:n` of the daemon's first life."""
    then: str = ""
    """`point:n` of its second life, "" for none; `sure`: both must happen."""
    sure: bool = True

    @property
    def name(self) -> str:
        return f"{self.crash} {self.then}".strip()

    def passes(self, *boundaries: Boundary) -> bool:
        return any(f"{side}_{boundary}" in self.name for boundary in boundaries for side in ("before", "after"))


def cases() -> list[Case]:
    found = [
        Case(crash=f"{side}_{boundary}:{n}")
        for boundary, most in PASSAGES.items()
        if boundary is not Boundary.TAKE_OVER
        for side in ("before", "after")
        for n in range(1, most + 1)
    ]
    sends = (CrashPoint.BEFORE_SEND, CrashPoint.AFTER_SEND)
    found += [Case(crash=f"{point}:{n}") for point in sends for n in range(1, SENDS + 1)]
    found += [
        Case(crash=f"{first}:{n}", then=f"{second}:1")
        for n, first in ((5, CrashPoint.AFTER_SEND), (4, CrashPoint.AFTER_LEDGER))
        for second in (
            CrashPoint.BEFORE_TAKE_OVER,
            CrashPoint.AFTER_TAKE_OVER,
            CrashPoint.BEFORE_CLAIM,
            CrashPoint.AFTER_LEDGER,
            CrashPoint.BEFORE_RETRY,
            CrashPoint.AFTER_RETRY,
        )
    ]
    return found


def test_every_crash_point_has_its_case() -> None:
    """A boundary that is added to the engine must be added to the story."""
    named = {word.partition(":")[0] for case in cases() for word in (case.crash, case.then) if word}
    assert named == {point.value for point in CrashPoint}
    assert {p.value for p in CrashPoint} == {f"{s}_{b}" for b in (*Boundary, "send") for s in ("before", "after")}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return make_template(tmp_path_factory.mktemp("template"), CONTACTS)


@pytest.fixture(scope="module")
def crew(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Stage]]:
    with stages(tmp_path_factory.mktemp("crash"), STAGES, template, {"email": {"connections": 2}}) as made:
        yield made


def test_a_crash_at_any_commit_boundary_loses_nothing_and_repeats_nothing_in_silence(crew: list[Stage]) -> None:
    began = monotonic()
    free: Queue[Stage] = Queue()
    for stage in crew:
        free.put(stage)

    def one(case: Case) -> Verdict:
        stage = free.get()
        try:
            return Story(stage, case).live()
        finally:
            free.put(stage)

    with ThreadPoolExecutor(len(crew)) as pool:
        verdicts = list(pool.map(one, cases()))
    total = Verdict()
    for verdict in verdicts:
        total.add(verdict)
    print(
        f"\ncrash points: {len(verdicts)} runs, {total.messages} messages, {total.lost} lost, "
        f"{total.duplicates} twice, {total.ambiguous} ambiguous attempts, {total.unresolved} unknown in the end, "
        f"{len(total.problems)} problems; "
        f"{monotonic() - began:.0f} s"
    )
    assert total.problems[:20] == []
    assert total.duplicates > 0


class Story:
    """A day at the desk, by someone who tries again whatever the daemon dies over, and never says a thing twice."""

    def __init__(self, stage: Stage, case: Case) -> None:
        self.stage = stage
        self.case = case
        self._crashes = [case.then] if case.then else []
        self._crashed = 0
        self._wave_limit = 10 if case.passes(Boundary.WAVE) else None
        self._daemon_speaks = case.passes(Boundary.SPEAK, Boundary.EXPIRE, Boundary.CAP)

    def live(self) -> Verdict:
        self._set_up()
        self._born(self.case.crash)
        first = self._declare("a")
        self._until("the acknowledgements have left", self._at_rest)
        self._stop_of_the_last_phone()
        self._undone_and_retracted()
        if not self.case.passes(Boundary.CAP):  # there the daemon itself is to exceed the texts of a day
            body = {"message": "A crew is on its way.", "undo_for": "300ms"}
            self._do(f"/outages/{first}/updates", body, self._revision(first, 2))
            self._until("the update has left", self._at_rest)
        if self._daemon_speaks:
            self._holding(first)
        self._do(f"/outages/{first}/resolve", {}, lambda: self._outage(first)["status"] == "resolved")
        self._until("the end has left", self._at_rest)
        return self._judge()

    # --- the story ---

    def _set_up(self) -> None:
        cadence = {"cadence": {"major": {"update_every": "4s" if self._daemon_speaks else "60m"}}}
        texts = {"safety": {"sms_per_day": CONTACTS * 3 // 2} if self.case.passes(Boundary.CAP) else None}
        self.stage.configure({**cadence, **texts})
        self.stage.reset()
        self.stage.sandbox.fault(*FAULTS)
        inbound = f"http://127.0.0.1:{self.stage.port}/callbacks/twilio/inbound"
        self.stage.sandbox.set(sent_after=0.05, delivered_after=0.1, inbound_url=inbound)

    def _declare(self, key: str, **more: Any) -> str:
        body = {"title": "POP-1 down", "scope": {"elements": ["POP-1"]}, **more}
        return str(self._do("/outages", body, lambda: False, key=key)["id"])

    def _undone_and_retracted(self) -> None:
        second = self._declare("b", undo_for="1m")
        self._do(f"/outages/{second}/undo", {}, lambda: self._outage(second)["status"] == "draft")
        third = self._declare("c", release=False)
        self._do(f"/outages/{third}/retract", {}, lambda: self._outage(third)["status"] == "retracted")

    def _stop_of_the_last_phone(self) -> None:
        def stopped() -> bool:
            rows = self._query("SELECT suppressed FROM addresses WHERE value = ?", LAST_PHONE)
            return rows[0][0] is not None

        def ask() -> bool:
            self.stage.sandbox.answer(LAST_PHONE, "STOP")
            deadline = monotonic() + 1
            while not stopped() and monotonic() < deadline and not self.stage.dead():
                sleep(0.02)
            return stopped()

        self._until("the phone is left alone", ask)

    def _holding(self, outage: str) -> None:
        """The daemon speaks by itself; then, while all is paused, words become stale."""

        def held() -> bool:
            return bool(self._query("SELECT 1 FROM revisions WHERE outage_id = ? AND verb = 'holding'", outage))

        self._until("the daemon has kept the promise", held)
        if not self.case.passes(Boundary.EXPIRE):
            return
        self._do("/pause", {"reason": "test"}, lambda: bool(self._query("SELECT 1 FROM meta WHERE key = 'paused'")))
        revision = self._outage(outage)["revision"]
        body = {"message": "Nobody will read this."}
        self._do(f"/outages/{outage}/updates", body, self._revision(outage, revision + 1))
        self._until(
            "words have become stale", lambda: bool(self._query("SELECT 1 FROM deliveries WHERE state = 'expired'"))
        )
        self._do("/resume", {}, lambda: not self._query("SELECT 1 FROM meta WHERE key = 'paused'"))

    def _judge(self) -> Verdict:
        allowed = {"expired"} if self._daemon_speaks else set()
        verdict = self.stage.verdict(
            self.case.name, allowed=allowed | {"capped"}, but=(LAST_PHONE,), verified=not self._daemon_speaks
        )
        wanted = 2 if self.case.then else 1
        if self._crashed != wanted and self.case.sure:
            verdict.problems.append(f"{self.case.name}: {self._crashed} crashes instead of {wanted}")
        self.stage.kill()
        return verdict

    # --- trying again ---

    def _born(self, crashpoint: str) -> None:
        while not self.stage.start(crashpoint=crashpoint, wave_limit=self._wave_limit):
            crashpoint = self._died()

    def _died(self) -> str:
        """What the next life is to die of."""
        status = self.stage.gone()
        assert status == CRASHED, f"{self.case.name}: ended with {status}: {self.stage.log()[-3000:]}"
        self._crashed += 1
        return self._crashes.pop(0) if self._crashes else ""

    def _do(self, path: str, body: dict[str, Any], done: Callable[[], bool], *, key: str = "") -> dict[str, Any]:
        deadline = monotonic() + 60
        while monotonic() < deadline:
            if self.stage.dead():
                self._born(self._died())
            if done():
                return {}
            answer = self.stage.post(path, body, key=key)
            if answer is not None:
                return answer
            sleep(0.05)
        raise AssertionError(f"{self.case.name}: {path} is never answered")

    def _until(self, what: str, true: Callable[[], bool], within: float = 60.0) -> None:
        deadline = monotonic() + within
        while True:
            if self.stage.dead():
                self._born(self._died())
            if true() and not self.stage.dead():
                return
            assert monotonic() < deadline, f"{self.case.name}: {what}: not in time\n{self.stage.log()[-2000:]}"
            sleep(0.05)

    # --- looking ---

    def _at_rest(self) -> bool:
        return not ground_truth.unsettled(self.stage.database)

    def _revision(self, outage: str, number: int) -> Callable[[], bool]:
        return lambda: self._outage(outage)["revision"] >= number

    def _outage(self, outage_id: str) -> sqlite3.Row:
        return self._query("SELECT * FROM outages WHERE id = ?", outage_id)[0]

    def _query(self, query: str, *values: Any) -> list[sqlite3.Row]:
        conn = sqlite3.connect(f"file:{self.stage.database}?mode=ro", uri=True, timeout=10)
        conn.row_factory = sqlite3.Row
        try:
            return conn.execute(query, values).fetchall()
        finally:
            conn.close()
