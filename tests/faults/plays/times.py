"""Clocks that jump, and days that were slept through: F11, F12."""

from collections import Counter
from random import Random
from time import sleep

from tests.faults.plays.process import ETA, slow_wires
from tests.faults.scene import Judgement, Scene
from tests.faults.truth import heard
from tests.support.daemon import until

HOUR = 3600.0
JUMPS = (HOUR, -HOUR, -10.0, 10.0, 2 * HOUR, -2 * HOUR)
RARE = {"cadence": {"major": {"update_every": "12h"}}}


def f11(scene: Scene, rng: Random) -> Judgement:
    """The clock jumps in the middle of waves, there and back: nothing is skipped, nothing said twice."""
    scene.set(RARE)
    slow_wires(scene, 20)
    scene.start()
    said = scene.declare()
    scene.until_heard(rng.randint(1, 10))
    scene.set_clock(rng.choice(JUMPS))
    scene.settle(said)
    said = scene.update(said.outage, eta=ETA)
    scene.until_heard(len(scene.town.hearing) + rng.randint(1, 10))
    scene.set_clock(rng.choice(JUMPS))
    scene.settle(said)
    scene.set_clock(0)
    scene.settle(scene.resolve(said.outage))
    scene.receipts_in()
    return scene.judge(clean=True, verified=False)


def f11_killed(scene: Scene, rng: Random) -> Judgement:
    """The clock has jumped while the daemon was dead in the middle of a wave: leases and retries come to their end."""
    scene.set(RARE)
    slow_wires(scene, 20)
    scene.start()
    said = scene.declare()
    scene.until_heard(rng.randint(1, 10))
    scene.kill()
    scene.set_clock(rng.choice(JUMPS))
    scene.start()
    scene.settle(said)
    scene.settle(scene.resolve(said.outage))
    scene.receipts_in()
    return scene.judge(verified=False)


def f12(scene: Scene, rng: Random) -> Judgement:
    """Down for more than an hour in which three words were due: everybody hears one catch-up."""
    scene.set({"cadence": {"major": {"update_every": "20m"}}})
    scene.start()
    said = scene.declare()
    scene.settle(said)
    if rng.random() < 0.5:
        scene.kill()
    else:
        assert scene.stop() == 0
    scene.set_clock(65 * 60.0)
    scene.start()
    until(lambda: _by_itself(scene), "the daemon has spoken by itself")
    scene.settle()
    sleep(1.5)  # as long as two ticks and the retries: nothing more may come
    spoken = _by_itself(scene)
    assert set(spoken.values()) == {1} and set(spoken) == set(scene.town.hearing), spoken
    scene.settle(scene.resolve(said.outage))
    scene.receipts_in()
    return scene.judge(clean=True, verified=False)


def _by_itself(scene: Scene) -> Counter[str]:
    """How many messages without a word of the desk each address has had."""
    return Counter(one.to for one in heard(scene.sandbox.records(after=scene.mark)) if not one.said)
