"""Monitors that repeat themselves, come in any order, flap and flood: F4, F5, F18, F22."""

import gzip
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random
from time import sleep
from typing import Any

from tests.faults.plays.process import ETA, memory
from tests.faults.scene import Judgement, Scene
from tests.faults.town import DOWN
from tests.faults.truth import heard
from tests.support.daemon import exchange, until

TOKEN = "the-hook-of-the-tests"


def hook(**more: Any) -> dict[str, Any]:
    return {"monitors": [{"name": "noc", "format": "generic", "token": TOKEN, **more}]}


def call(scene: Scene, body: Any, **headers: str) -> int:
    sent = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", **headers}
    return exchange("127.0.0.1", scene.port, "POST", "/hooks/noc", body=body, headers=sent, timeout=30)[0]


def insist(scene: Scene, event: Any) -> None:
    """As monitors do: called again for as long as it is told to come again."""
    until(lambda: call(scene, event) == 202, "the hook takes it", within=60, every=0.2)


def f4(scene: Scene, rng: Random, calls: int = 200) -> Judgement:
    """One event, delivered hundreds of times by two peers at once: one outage, one message each."""
    scene.set(hook(action="draft"))
    scene.start()
    event = {"key": "pop-1", "action": "trigger", "summary": "POP-1 lost power", "element": DOWN}
    with ThreadPoolExecutor(16) as crowd:
        answers = Counter(crowd.map(lambda n: call(scene, {**event, "link": f"https://peer-{n % 2}/"}), range(calls)))
    assert set(answers) <= {202, 503} and answers[202] > 0, answers
    drafts = until(lambda: scene.api.outages(), "what follows from the event", within=30)
    assert len(drafts) == 1, f"{len(drafts)} outages of one event"
    outage = drafts[0]["id"]
    scene.told.others.add(outage)
    scene.api.verb(outage, "release", undo_for=0)
    scene.settle()
    first = Counter(one.to for one in heard(scene.sandbox.records(after=scene.mark)))
    assert set(first) == set(scene.town.hearing) and set(first.values()) == {1}, first
    scene.settle(scene.update(outage, eta=ETA))
    scene.settle(scene.resolve(outage))
    scene.receipts_in()
    return scene.judge(clean=True)


def f5(scene: Scene, rng: Random) -> Judgement:
    """Two alarms go up and down; their six events come in any order: in the end all is over, and said once."""
    scene.set(hook(action="declare", hold_down="100ms", on_clear="resolve", clear_after="600ms"))
    scene.start()
    up = {"action": "trigger", "element": DOWN, "time": "2026-01-01T00:00:01Z"}
    down = {"action": "resolve", "time": "2026-01-01T00:00:02Z"}
    events = [{"key": key, **way} for key in ("a", "b") for way in (up, up, down)]
    rng.shuffle(events)
    for event in events:
        insist(scene, event)
        sleep(rng.choice((0.0, 0.05, 0.25)))
    until(lambda: _all_over(scene), "all outages are over", within=90)
    scene.settle()
    scene.told.others |= {row["id"] for row in scene.api.outages()}
    kinds = Counter((one.to, one.kind) for one in heard(scene.sandbox.records(after=scene.mark)) if one.kind)
    for (to, kind), count in kinds.items():
        assert count <= len(scene.told.others), f"{to} heard {count} times {kind}"
    return scene.judge(clean=True)


def _all_over(scene: Scene) -> bool:
    return all(row["status"] in ("resolved", "retracted", "draft") for row in scene.api.outages())


def f18(scene: Scene, rng: Random) -> Judgement:
    """Twenty times up and down within the time that clears it: one acknowledgement and one end at the most."""
    scene.set(hook(action="declare", hold_down="300ms", on_clear="resolve", clear_after="2s"))
    scene.start()
    for n in range(20):
        insist(scene, {"key": "flap", "action": "trigger", "element": DOWN})
        sleep(rng.uniform(0.0, 0.15))
        if n < 19 or rng.random() < 0.5:
            insist(scene, {"key": "flap", "action": "resolve"})
            sleep(rng.uniform(0.0, 0.15))
    insist(scene, {"key": "flap", "action": "resolve"})
    until(lambda: _all_over(scene), "it has calmed down", within=90)
    scene.settle()
    scene.told.others |= {row["id"] for row in scene.api.outages()}
    kinds = Counter((one.to, one.kind) for one in heard(scene.sandbox.records(after=scene.mark)))
    assert all(count <= (1 if kind else 2) for (_, kind), count in kinds.items()), kinds
    return scene.judge(clean=True)


def f22(scene: Scene, rng: Random) -> Judgement:
    """Bodies that are huge, deep, bombs or nonsense, and senders that never end, beside a wave: it goes on."""
    scene.set(hook(action="draft"))
    scene.start()
    said = scene.declare()
    before = memory(scene.pid)
    slow = [_half_a_request(scene.port) for _ in range(40)]
    bombs: list[tuple[Any, dict[str, str]]] = [
        ("x" * (2 << 20), {}),
        ("[" * 100_000, {}),
        ('{"key":' * 50_000, {}),
        ('{"key": "a", "n": ' + "9" * 5000 + "}", {}),
        ('{"key": NaN}', {}),
        (b'{"key": "\xff\xfe", }', {}),
        (gzip.compress(b"0" * (64 << 20)), {"Content-Encoding": "gzip"}),
        ("", {}),
        ("{}", {"Content-Length": "-1"}),
    ]
    with ThreadPoolExecutor(8) as crowd:
        answers = list(crowd.map(lambda bomb: _status(scene, *bomb), bombs * 4))
    assert all(400 <= status < 500 or status in (503, 0) for status in answers), answers
    assert "unforeseen" not in scene.log()
    assert memory(scene.pid) - before < 100 << 20
    scene.settle(said)
    for half in slow:
        half.close()
    scene.settle(scene.resolve(said.outage))
    scene.receipts_in()
    return scene.judge(clean=True)


def _status(scene: Scene, body: Any, headers: dict[str, str]) -> int:
    """0: it hung up while the body was still on its way."""
    try:
        return call(scene, body, **headers)
    except OSError:
        return 0


def _half_a_request(port: int) -> socket.socket:
    half = socket.create_connection(("127.0.0.1", port), timeout=5)
    with suppress(OSError):
        half.sendall(b"POST /hooks/noc HTTP/1.1\r\nHost: x\r\nAuthorization: Bea")
    return half
