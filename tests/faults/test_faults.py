"""F1 to F30 in short: each scenario with a seed or two. `./run faults` is the long form; see README.md beside this.

The scenarios mostly wait, so several are played side by side; each test waits for its own.
"""

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import Queue
from random import Random
from typing import cast

import pytest

from tests.faults.invariants import CHECKS
from tests.faults.invariants import ELSEWHERE as INVARIANTS_ELSEWHERE
from tests.faults.register import ELSEWHERE, SCENARIOS, Scenario, scenario
from tests.faults.scene import Scene, scenes

STAGES = {"sqlite": 4, "postgresql": 2}
ON_POSTGRESQL = {"F1-f1", "F6-f6_wire", "F8-f8", "F19-f19_two", "F20-f20", "F0-chaos"}
"""Played on PostgreSQL in every test run as well; all that can be are in the long form."""
Case = tuple[str, str, int]
CASES: list[Case] = [
    (kind, one.name, seed)
    for kind in ("sqlite", "postgresql")
    for one in SCENARIOS
    if kind in one.databases and (kind == "sqlite" or one.name in ON_POSTGRESQL)
    for seed in one.short
]


class Theatre:
    """Plays what was asked for, side by side, and keeps what came of it."""

    def __init__(self, folder: Path, cases: list[Case], stack: ExitStack) -> None:
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._free: dict[str, Queue[Scene]] = {}
        self.played: dict[Case, Future[None]] = {}
        for kind in dict.fromkeys(kind for kind, _, _ in cases):
            count = min(STAGES[kind], sum(case[0] == kind for case in cases))
            made = stack.enter_context(scenes(folder / kind, count=count, database=kind))
            self._free[kind] = Queue()
            for scene in made:
                self._free[kind].put(scene)
            self._pools[kind] = stack.enter_context(ThreadPoolExecutor(count))
        for case in cases:
            self.played[case] = self._pools[case[0]].submit(self._play, case)

    def _play(self, case: Case) -> None:
        kind, name, seed = case
        scene = self._free[kind].get()
        try:
            found = scenario(name).play(scene, Random(seed))
            found.must_be_kept(scene.log())
        finally:
            scene.kill()
            self._free[kind].put(scene)


@pytest.fixture(scope="module")
def theatre(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    cases = [
        cast(Case, item.callspec.params["case"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == test_all_is_kept.__name__
    ]
    with ExitStack() as stack:
        yield Theatre(tmp_path_factory.mktemp("faults"), cases, stack)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[1]}-{case[0]}-{case[2]}")
def test_all_is_kept(theatre: Theatre, case: Case) -> None:
    theatre.played[case].result()


def test_every_number_has_its_scenario_or_its_reason() -> None:
    played = {one.number for one in SCENARIOS} - {"F0"}
    assert played | set(ELSEWHERE) == {f"F{n}" for n in range(1, 31)}
    assert not played & set(ELSEWHERE)
    assert len({one.name for one in SCENARIOS}) == len(SCENARIOS)
    assert all(one.about for one in SCENARIOS)


def test_the_table_for_people_is_this_one() -> None:
    text = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (F\d+) \| `(\w+)` \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    assert rows == [_row(one) for one in SCENARIOS]
    for name, where in ELSEWHERE.items():
        assert f"| {name} | {where} |" in text
    for name in (*CHECKS, *INVARIANTS_ELSEWHERE):
        assert f"| {name} |" in text


def _row(one: Scenario) -> tuple[str, str, str, str]:
    return one.number, one.play.__name__, one.about, ", ".join(one.databases)
