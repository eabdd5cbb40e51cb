"""SIGKILL at random moments of a wave of 500 contacts on two channels: nothing lost, nothing twice in silence.

`OUTAGECAST_KILL_RUNS` and `OUTAGECAST_KILL_SEED` make it longer or another one.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Queue
from random import Random
from threading import Timer
from time import monotonic

import pytest

from tests.acceptance.ground_truth import Verdict
from tests.support.kill_harness import Stage, Template, make_template, stages

# PostgreSQL is killed and cut off in tests/faults.
pytestmark = pytest.mark.databases("sqlite")
RUNS = int(os.environ.get("OUTAGECAST_KILL_RUNS", "50"))
SEED = int(os.environ.get("OUTAGECAST_KILL_SEED", "1"))
CONTACTS = 500
STAGES = 3
"""Runs side by side: a run mostly waits, for times in the settings and for loops that look around every so often."""
CONFIG = {"email": {"connections": 4}, "sms": {"connections": 8}}
DECLARATION = {"title": "POP-1 down", "scope": {"elements": ["POP-1"]}, "message": "We are looking into it."}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run: how long the daemon is left alone, life by life; seconds from the declaration or start."""

    seed: int
    slow: int
    """Milliseconds that every message takes at the provider."""
    first: float
    again: tuple[float, ...]
    """Further kills, each so long after its start."""
    follows: str
    """What is posted in the middle of the wave: "", "updates" or "resolve"."""
    follows_at: float
    receipts: bool


def draw(seed: int, duration: float) -> Plan:
    rng = Random(seed)
    return Plan(
        seed=seed,
        slow=rng.choice((2, 5, 9)),
        first=rng.uniform(0.0, duration * 1.1),
        again=tuple(rng.uniform(0.05, duration) for _ in range(rng.choice((0, 0, 1, 2)))),
        follows=rng.choice(("", "", "updates", "resolve")),
        follows_at=rng.uniform(0.0, duration),
        receipts=rng.random() < 0.15,
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return make_template(tmp_path_factory.mktemp("template"), CONTACTS)


@pytest.fixture(scope="module")
def crew(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Stage]]:
    with stages(tmp_path_factory.mktemp("kill"), STAGES, template, CONFIG) as made:
        yield made


def test_a_daemon_killed_at_random_moments_loses_nothing_and_repeats_nothing_in_silence(crew: list[Stage]) -> None:
    began = monotonic()
    duration = undisturbed(crew[0])
    free: Queue[Stage] = Queue()
    for stage in crew:
        free.put(stage)

    def one(seed: int) -> tuple[Verdict, int]:
        stage = free.get()
        try:
            return live(stage, draw(seed, duration))
        finally:
            free.put(stage)

    with ThreadPoolExecutor(len(crew)) as pool:
        results = list(pool.map(one, range(SEED, SEED + RUNS)))
    total = Verdict()
    for verdict, _ in results:
        total.add(verdict)
    kills = sum(kills for _, kills in results)
    print(
        f"\nkill: {RUNS} runs from seed {SEED}, {kills} kills, a wave of {duration:.1f} s, "
        f"{total.messages} messages of {total.deliveries} deliveries, {total.lost} lost, {total.duplicates} twice, "
        f"{total.ambiguous} ambiguous "
        f"attempts, {total.unresolved} unknown in the end, {len(total.problems)} problems; {monotonic() - began:.0f} s"
    )
    assert total.problems[:20] == []
    assert kills >= RUNS * 0.9
    assert total.ambiguous > 0, "no kill fell into the wave"


def undisturbed(stage: Stage) -> float:
    """How long a wave takes when nobody kills anybody; it must leave every message once."""
    stage.reset()
    slow(stage, 5, receipts=True)
    assert stage.start()
    began = monotonic()
    assert stage.post("/outages", DECLARATION, key="undisturbed")
    stage.rest()
    duration = monotonic() - began
    verdict = stage.verdict("undisturbed")
    assert verdict.problems == []
    assert (verdict.messages, verdict.duplicates, verdict.ambiguous) == (2 * CONTACTS, 0, 0)
    return duration


def live(stage: Stage, plan: Plan) -> tuple[Verdict, int]:
    """One run: declare, die, live again, as often as planned; then come to rest and be judged."""
    stage.reset()
    slow(stage, plan.slow, receipts=plan.receipts)
    assert stage.start()
    killer = Timer(plan.first, stage.kill)
    killer.start()
    answer = stage.post("/outages", DECLARATION, key="once")
    said = False
    if plan.follows and answer is not None and plan.follows_at < plan.first:
        killer.join(plan.follows_at)
        said = follow(stage, plan, answer["id"], 1)
    killer.join()
    for seconds in plan.again:
        stage.spawn()
        killer = Timer(seconds, stage.kill)
        killer.start()
        killer.join()
    assert stage.start()
    if answer is None:
        answer = stage.post("/outages", DECLARATION, key="once")
        assert answer is not None
    if plan.follows and not said:
        assert follow(stage, plan, answer["id"], 1)
    stage.rest()
    verdict = stage.verdict(f"seed {plan.seed}")
    kills = stage.kills
    stage.kill()
    return verdict, kills


def follow(stage: Stage, plan: Plan, outage_id: str, revision: int) -> bool:
    """Say the next word, unless it was taken before its answer got lost. False: the daemon is dead."""
    try:
        now = stage.api.outage(outage_id)
    except OSError:
        return False
    if now["revision"] > revision:
        return True
    body = {"message": "A crew is on its way.", "eta": "2030-01-01T12:00:00Z"} if plan.follows == "updates" else {}
    return stage.post(f"/outages/{outage_id}/{plan.follows}", body) is not None


def slow(stage: Stage, ms: int, *, receipts: bool) -> None:
    stage.sandbox.fault(
        {"channel": "smtp", "mode": "slow", "at": "dot", "ms": ms}, {"channel": "sms", "mode": "slow", "ms": 2 * ms}
    )
    stage.sandbox.set(drop=0.0 if receipts else 100.0, sent_after=0.05, delivered_after=0.2)
