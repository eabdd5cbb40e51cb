"""Processes that die, are stopped, paused or started twice: F1, F2, F3, F19, F20."""

import resource
import signal
from pathlib import Path
from random import Random
from time import sleep

from outagecast.engine.crashpoints import Boundary, CrashPoint
from tests.faults.keeper import Deed, Keeper
from tests.faults.scene import Judgement, Scene

ETA = "2035-01-01T12:00:00Z"
SELDOM = (Boundary.UNDO, Boundary.OPT, Boundary.CAP, Boundary.EXPIRE, Boundary.SPEAK, Boundary.EARLY, Boundary.WAVE)
"""Not passed by the story told here; tests/acceptance/test_crash_points.py tells one that passes them all."""
POINTS = tuple(point for point in CrashPoint if not any(point.value in (f"before_{b}", f"after_{b}") for b in SELDOM))


def slow_wires(scene: Scene, ms: int = 6) -> None:
    """A wave that lasts long enough for something to happen in its middle."""
    scene.sandbox.fault(
        {"channel": "smtp", "mode": "slow", "at": "dot", "ms": ms}, {"channel": "sms", "mode": "slow", "ms": 2 * ms}
    )


def tell(scene: Scene, rng: Random) -> None:
    """Declared, updated now and then, resolved mostly: sometimes all is quiet in between, sometimes nobody waits."""
    said = scene.declare()
    for _ in range(rng.choice((0, 1, 1, 2))):
        sleep(rng.uniform(0.0, 0.6))
        said = scene.update(said.outage, **({"eta": ETA} if rng.random() < 0.5 else {}))
    if rng.random() < 0.7:
        sleep(rng.uniform(0.0, 0.6))
        said = scene.resolve(said.outage)


def f1(scene: Scene, rng: Random) -> Judgement:
    """SIGKILL at random moments of a wave."""
    scene.set()
    slow_wires(scene, rng.choice((2, 6, 12)))
    keeper = Keeper(scene=scene)
    keeper.deeds = [Deed(at=rng.uniform(0.1, 2.5), name="kill", do=keeper.kill) for _ in range(rng.choice((1, 2, 3)))]
    with keeper:
        tell(scene, rng)
    assert keeper.odd_deaths == []
    scene.settle()
    return scene.judge()


def f2(scene: Scene, rng: Random) -> Judgement:
    """A crash at a named commit boundary, whichever is drawn."""
    return _crashes(scene, rng, [f"{rng.choice(POINTS)}:{rng.randint(1, 4)}"])


def f3(scene: Scene, rng: Random) -> Judgement:
    """A second crash while it recovers from the first."""
    first = f"{rng.choice((CrashPoint.AFTER_SEND, CrashPoint.AFTER_LEDGER))}:{rng.randint(2, 9)}"
    second = rng.choice((
        CrashPoint.BEFORE_TAKE_OVER, CrashPoint.AFTER_TAKE_OVER, CrashPoint.BEFORE_CLAIM, CrashPoint.AFTER_CLAIM,
        CrashPoint.BEFORE_LEDGER, CrashPoint.AFTER_LEDGER, CrashPoint.BEFORE_RETRY, CrashPoint.AFTER_RETRY,
    ))  # fmt: skip
    return _crashes(scene, rng, [first, f"{second}:1"])


def _crashes(scene: Scene, rng: Random, points: list[str]) -> Judgement:
    scene.set()
    slow_wires(scene, 2)
    scene.sandbox.fault(
        {"channel": "smtp", "mode": "reset_after_record", "count": 1, "skip": rng.randint(0, 9)},
        {"channel": "sms", "mode": "reset_before_record", "count": 1, "skip": rng.randint(0, 9)},
    )
    with Keeper(scene=scene, crashpoints=points) as keeper:
        tell(scene, rng)
        scene.settle()
    assert keeper.odd_deaths == []
    scene.kills += len(keeper.deaths)
    scene.settle()
    return scene.judge()


def f19(scene: Scene, rng: Random) -> Judgement:
    """A second whole daemon on the same file is refused, and harms nothing."""
    scene.set()
    slow_wires(scene)
    scene.start()
    said = scene.declare()
    refused = scene.second_start()
    assert refused != 0, "a second daemon runs on the same SQLite file"
    scene.settle(said)
    scene.settle(scene.resolve(said.outage))
    scene.receipts_in()
    return scene.judge(clean=True)


def f19_two(scene: Scene, rng: Random) -> Judgement:
    """Two daemons send on one database; one or the other is killed or paused for longer than its lease."""
    scene.set({"delivery": {"lease": "2s"}, "email": {"connections": 2}, "sms": {"connections": 2}})
    slow_wires(scene, rng.choice((10, 30)))
    scene.peer()
    keeper = Keeper(scene=scene)
    keeper.deeds = [
        rng.choice((kill_peer, pause_peer))(scene, rng)
        if rng.random() < 0.6
        else Deed(at=rng.uniform(0.5, 2.5), name="kill", do=keeper.kill)
        for _ in range(rng.choice((1, 2)))
    ]
    with keeper:
        tell(scene, rng)
    assert keeper.odd_deaths == []
    scene.settle()
    return scene.judge()


def kill_peer(scene: Scene, rng: Random) -> Deed:
    [peer] = scene.peers
    return Deed(
        at=rng.uniform(0.5, 3.0), name="peer killed", do=lambda: peer.signal(signal.SIGKILL), undo=peer.start,
        lasting=rng.uniform(0.1, 3.0),
    )  # fmt: skip


def pause_peer(scene: Scene, rng: Random) -> Deed:
    [peer] = scene.peers
    return Deed(
        at=rng.uniform(0.5, 3.0), name="peer paused", do=lambda: peer.signal(signal.SIGSTOP),
        undo=lambda: peer.signal(signal.SIGCONT), lasting=rng.uniform(0.5, 5.0),
    )  # fmt: skip


def f20(scene: Scene, rng: Random) -> Judgement:
    """SIGTERM in the middle of a wave: what is on the wire ends, nothing becomes unknown, the next life goes on."""
    scene.set()
    slow_wires(scene, 30)
    scene.start()
    said = scene.declare()
    scene.until_heard(rng.randint(1, 12))
    assert scene.stop() == 0
    before = scene.heard_so_far()
    assert before < len(scene.town.hearing), "the wave was over before it was stopped"
    states = {row["state"] for row in scene.books.deliveries()}
    assert not states & {"leased", "transmitting", "ambiguous"}, states
    scene.start()
    scene.settle(said)
    scene.settle(scene.resolve(said.outage))
    scene.receipts_in()
    return scene.judge(clean=True)


def paused(scene: Scene, rng: Random) -> Judgement:
    """SIGSTOP in the middle of a wave for longer than servers wait, and on."""
    scene.set()
    slow_wires(scene, 20)
    keeper = Keeper(scene=scene)
    keeper.deeds = [
        Deed(
            at=rng.uniform(1.0, 2.0),
            name="pause",
            do=lambda: scene.signal(signal.SIGSTOP),
            undo=lambda: scene.signal(signal.SIGCONT),
            lasting=rng.uniform(1.0, 3.0),
        )
    ]
    with keeper:
        tell(scene, rng)
    assert keeper.odd_deaths == []
    scene.settle()
    return scene.judge()


def f28(scene: Scene, rng: Random, stories: int = 12) -> Judgement:
    """Story after story in one life: neither memory nor open files grow."""
    scene.set()
    scene.start()
    sizes: list[tuple[int, int]] = []
    for n in range(stories):
        said = scene.declare(key=f"story-{n}")
        scene.settle(said)
        scene.settle(scene.resolve(said.outage))
        sizes.append((memory(scene.pid), len(list(Path(f"/proc/{scene.pid}/fd").iterdir()))))
    (early, files), (late, files_late) = sizes[stories // 3], sizes[-1]
    assert files_late <= files + 4, f"{files} open files grew to {files_late}"
    assert late < early * 1.1 + (4 << 20), f"{early >> 20} MB grew to {late >> 20} MB"
    scene.receipts_in()
    return scene.judge(clean=True)


def memory(pid: int) -> int:
    """Resident octets."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
