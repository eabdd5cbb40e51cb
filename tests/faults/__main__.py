"""`./run faults`: every scenario with many seeds, and stories with any faults at any time, until it is enough.

Progress goes to stderr, the table to stdout, all of it as JSON to a file. Ends with 1 where anything was lost, said
twice without an explanation, or otherwise not as it must be; each such run is named by what plays it again alone.
"""

import argparse
import json
import sys
import tempfile
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from queue import Queue
from random import Random
from time import monotonic

from tests.faults.invariants import Figures
from tests.faults.register import BOTH, SCENARIOS, Scenario
from tests.faults.scene import Scene, scenes

CHAOS = "F0-chaos"


@dataclass(kw_only=True)
class Run:
    """One story played. `problems`: breaches, or what went wrong altogether."""

    database: str
    name: str
    seed: int
    seconds: float = 0.0
    kills: int = 0
    figures: Figures = field(default_factory=Figures)
    played: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def again(self) -> str:
        return f"./run faults --database {self.database} --only {self.name} --seed {self.seed} --runs 1"


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    began = monotonic()
    runs: list[Run] = []
    chosen = BOTH if options.database == "both" else (options.database,)
    for place, database in enumerate(chosen):
        left = options.seconds - (monotonic() - began) if options.seconds else 0.0
        share = left / (len(chosen) - place) if options.seconds else 0.0
        runs += play_all(plan(options, database), database, options.stages, options.customers, share)
    print(table(runs))
    target = options.json or Path(tempfile.gettempdir()) / f"outagecast-faults-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    target.write_text(json.dumps(report(runs, monotonic() - began), indent=1) + "\n", encoding="utf-8")
    say(f"written to {target}")
    broken = [run for run in runs if run.problems]
    for run in broken:
        print(f"\n{run.again}\n  " + "\n  ".join(run.problems[:8]))
    return 1 if broken or not runs else 0


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="./run faults", description=__doc__)
    options.add_argument("--runs", type=int, default=150, help="stories on each database")
    options.add_argument("--seconds", type=float, default=0.0, help="begin no more stories after so long in all")
    options.add_argument("--seed", type=int, default=1, help="the first story's; the others count up from it")
    options.add_argument("--database", choices=(*BOTH, "both"), default="both")
    options.add_argument("--only", default="", help="one scenario, like F6-f6_wire or F0-chaos")
    options.add_argument("--stages", type=int, default=3, help="stories side by side")
    options.add_argument("--customers", type=int, default=12, help="the usual ones of the town")
    options.add_argument("--json", type=Path, help="where the figures go; without it, into the temporary folder")
    return options


def plan(options: argparse.Namespace, database: str) -> list[tuple[Scenario, int]]:
    """Each scenario in turn, and chaos every other time: with few runs, everything is played once before again."""
    there = [one for one in SCENARIOS if database in one.databases and options.only in ("", one.name)]
    if not there:
        sys.exit(f"{options.only} is not played on {database}; there are {', '.join(one.name for one in SCENARIOS)}")
    chaos = [one for one in there if one.name == CHAOS]
    mixed = [one for other in there if other.name != CHAOS for one in (other, *chaos)] or chaos
    return [(one, options.seed + n) for n, one in enumerate(islice(cycle(mixed), options.runs))]


def play_all(
    planned: Sequence[tuple[Scenario, int]], database: str, stages: int, customers: int, seconds: float
) -> list[Run]:
    """`seconds`: 0 plays them all."""
    began = monotonic()
    free: Queue[Scene] = Queue()
    done: list[Run] = []

    def one(job: tuple[Scenario, int]) -> None:
        if seconds and monotonic() - began > seconds:
            return
        scene = free.get()
        try:
            run = play(scene, *job, database)
        finally:
            free.put(scene)
        done.append(run)
        bad = sum(1 for each in done if each.problems)
        trouble = f", {bad} with problems" if bad else ""
        say(f"{database} {len(done)}/{len(planned)}: {run.name} seed {run.seed} in {run.seconds:.0f} s{trouble}")
        for problem in run.problems[:3]:
            say(f"  {problem[:300]}")

    with tempfile.TemporaryDirectory(prefix="outagecast-faults-", ignore_cleanup_errors=True) as folder:
        count = min(stages, len(planned))
        with scenes(Path(folder), count=count, customers=customers, database=database) as made:
            for scene in made:
                free.put(scene)
            with ThreadPoolExecutor(count) as pool:
                list(pool.map(one, planned))
    return sorted(done, key=lambda run: run.seed)


def play(scene: Scene, scenario: Scenario, seed: int, database: str) -> Run:
    run = Run(database=database, name=scenario.name, seed=seed)
    began = monotonic()
    try:
        found = scenario.play(scene, Random(seed))
        run.figures = found.figures
        run.problems = [str(breach) for breach in found.breaches]
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        run.problems = [f"{type(error).__name__} in {where.name}:{where.lineno}: {error}"[:2000]]
    run.kills, run.played = scene.kills, dict(scene.played)
    if run.problems:
        run.problems.append(f"the daemon's last words: {scene.log()[-600:]}")
    scene.kill()
    run.seconds = monotonic() - began
    return run


def table(runs: Sequence[Run]) -> str:
    head = ("", "runs", "kills", "messages", "lost", "twice: explained", "unexplained", "ambiguous", "unknown", "bad")
    rows: list[tuple[str, ...]] = [head]
    for database in dict.fromkeys(run.database for run in runs):
        here = [run for run in runs if run.database == database]
        for name in sorted({run.name for run in here}, key=lambda name: (int(name[1:].partition("-")[0]), name)):
            rows.append(_row(name, [run for run in here if run.name == name]))
        for fault in sorted({fault for run in here for fault in run.played}):
            rows.append(_row(f"  with {fault}", [run for run in here if fault in run.played]))
        rows.append(_row(f"{database} in all", here))
    widths = [max(len(row[n]) for row in rows) for n in range(len(head))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    return "\n".join(lines)


def _row(name: str, runs: Sequence[Run]) -> tuple[str, ...]:
    total = _total(runs)
    cells = (
        len(runs), sum(run.kills for run in runs), total.messages, total.lost, total.explained, total.unexplained,
        total.ambiguous, total.unknown, sum(1 for run in runs if run.problems),
    )  # fmt: skip
    return name, *(f"{cell:,}" for cell in cells)


def _total(runs: Sequence[Run]) -> Figures:
    total = Figures()
    for run in runs:
        total.add(run.figures)
    return total


def report(runs: Sequence[Run], seconds: float) -> dict[str, object]:
    return {
        "at": datetime.now(UTC).isoformat(),
        "seconds": round(seconds, 1),
        "totals": {
            database: {
                "runs": len(here),
                "kills": sum(run.kills for run in here),
                **asdict(_total(here)),
                "runs_with_problems": sum(1 for run in here if run.problems),
            }
            for database in dict.fromkeys(run.database for run in runs)
            for here in [[run for run in runs if run.database == database]]
        },
        "runs": [{**asdict(run), "again": run.again} for run in runs],
    }


def say(text: str) -> None:
    print(f"faults: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
