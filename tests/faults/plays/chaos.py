"""Anything at any time: a drawn story, drawn faults of every kind over it, and in the end everybody has been told."""

import signal
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from random import Random
from time import sleep
from typing import Any

import psycopg

from tests.faults.keeper import Deed, Keeper
from tests.faults.plays.process import ETA, POINTS, slow_wires
from tests.faults.plays.storage import no_growth
from tests.faults.proxy import FaultProxy, Toxic, Trouble, Way
from tests.faults.scene import Judgement, Scene

Draw = Callable[[Scene, Random, Keeper], tuple[Callable[[], object], Callable[[], object] | None, float]]
"""What is done, how it is undone, and how many seconds it lasts."""
CUTS = (Toxic.CLOSE, Toxic.RESET, Toxic.SWALLOW, Toxic.HALF_CLOSE)


def chaos(scene: Scene, rng: Random) -> Judgement:
    """Two to six faults of any kind over one story."""
    return play(scene, rng, rng.randint(2, 6))


def play(scene: Scene, rng: Random, faults: int) -> Judgement:
    kinds = {**ANYWHERE, **(ON_SQLITE if scene.server is None else ON_POSTGRESQL)}
    scene.set({"cadence": {"major": {"update_every": "12h"}}, "delivery": {"lease": rng.choice(("2s", "120s"))}})
    slow_wires(scene, rng.choice((1, 4, 10)))
    if rng.random() < 0.4:
        scene.peer()
        kinds |= WITH_PEERS
    drawn = [rng.choice(sorted(kinds)) for _ in range(faults)]
    if scene.peers and "clock" in drawn:
        drawn = [name for name in drawn if name != "clock"]  # a lease is judged by one clock for all
    keeper = Keeper(scene=scene, crashpoints=_crashes(rng, drawn.count("crash")), gap=rng.choice((0.0, 0.05, 0.4)))
    keeper.deeds = [_deed(kinds[name], name, scene, rng, keeper) for name in drawn]
    scene.played = dict.fromkeys(drawn, 0) | {name: drawn.count(name) for name in drawn}
    with keeper:
        _tell(scene, rng)
    scene.set_clock(0)
    scene.kills += len([status for status in keeper.deaths if status == 137])
    scene.settle()
    # A clock that jumps leaves times in the tables that no order of events explains.
    return scene.judge(verified="clock" not in drawn)


def _deed(draw: Draw, name: str, scene: Scene, rng: Random, keeper: Keeper) -> Deed:
    do, undo, lasting = draw(scene, rng, keeper)
    return Deed(at=rng.uniform(0.3, 3.5), name=name, do=do, undo=undo, lasting=lasting)


def _crashes(rng: Random, count: int) -> list[str]:
    return [f"{rng.choice(POINTS)}:{rng.randint(1, 6)}" for _ in range(count)]


def _tell(scene: Scene, rng: Random) -> None:
    said = scene.declare()
    for _ in range(rng.choice((0, 1, 2))):
        sleep(rng.uniform(0.0, 1.0))
        said = scene.update(said.outage, **({"eta": ETA} if rng.random() < 0.6 else {}))
    if rng.random() < 0.7:
        sleep(rng.uniform(0.0, 1.0))
        said = scene.resolve(said.outage)
        if rng.random() < 0.3:
            sleep(rng.uniform(0.0, 1.0))
            said = scene.reopen(said.outage)
            if rng.random() < 0.5:
                scene.resolve(said.outage)


# --- what can be done, wherever the rows are kept ---


def _kill(scene: Scene, rng: Random, keeper: Keeper) -> Any:
    return keeper.kill, None, 0.0


def _term(scene: Scene, rng: Random, keeper: Keeper) -> Any:
    return (lambda: scene.signal(signal.SIGTERM)), None, 0.0


def _crash(scene: Scene, rng: Random, keeper: Keeper) -> Any:
    """Its first life ends at a named point, see `_crashes`; this only makes sure that there is a second."""
    return (lambda: None), None, 0.0


def _pause(scene: Scene, rng: Random, keeper: Keeper) -> Any:
    return (
        lambda: scene.signal(signal.SIGSTOP),
        lambda: scene.signal(signal.SIGCONT),
        rng.uniform(0.2, 3.0),
    )


def _smtp(scene: Scene, rng: Random, keeper: Keeper) -> Any:
    fault: dict[str, Any] = {
        "channel": "smtp",
        "at": rng.choice(("connect", "ehlo", "mail", "rcpt", "data", "body", "dot", "after")),
        "count": rng.randint(1, 5),
        "skip": rng.randint(0, 10),
        **rng.choice(
            (
                {"mode": "reset"},
                {"mode": "close"},
                {"mode": "hang", "ms": 1200},
                {"mode": "code", "code": rng.choice((421, 451, 452))},
                {"mode": "garbage"},
            )
        ),
    }
    if fault["at"] == "body" and fault["mode"] not in ("reset", "close", "hang"):
        fault["at"] = "data"
    if fault["at"] == "dot" and fault["mode"] != "code":
        fault["record"] = rng.random() < 0.5
    return (lambda: scene.sandbox.fault(fault)), None, 0.0


def _sms(scene: Scene, rng: Random, keeper: Keeper) -> Any:
    fault: dict[str, Any] = {
        "channel": "sms",
        "count": rng.randint(1, 5),
        "skip": rng.randint(0, 10),
        **rng.choice(
            (
                {"mode": "reset_after_record"},
                {"mode": "reset_before_record"},
                {"mode": "hang_after_record", "ms": 900},
                {"mode": "code", "code": 500, "record": True},
                {"mode": "code", "code": 503},
                {"mode": "code", "code": 429, "retry_after": 1},
                {"mode": "close"},
            )
        ),
    }
    return (lambda: scene.sandbox.fault(fault)), None, 0.0


def _callbacks(scene: Scene, rng: Random, keeper: Keeper) -> Any:
    rules = {"repeat": rng.randint(1, 3), "shuffle": True, "drop": rng.choice((0.0, 20.0)), "forge": 10.0}
    return (lambda: scene.sandbox.set(**rules, sent_after=0.0, delivered_after=rng.uniform(0.01, 0.4))), None, 0.0


def _wire(scene: Scene, rng: Random, keeper: Keeper) -> Any:
    way = rng.choice((scene.mail_way, scene.text_way))
    return _trouble(way, rng, 8000, 1500), way.clear, rng.uniform(0.3, 2.0)


def _trouble(way: FaultProxy, rng: Random, there: int, back: int) -> Callable[[], object]:
    direction = rng.choice(tuple(Way))
    after = rng.randint(0, there if direction is Way.THERE else back)
    trouble = Trouble(toxic=rng.choice(CUTS), way=direction, after=after, count=rng.randint(1, 4))
    return lambda: way.play(trouble)


def _slow_wire(scene: Scene, rng: Random, keeper: Keeper) -> Any:
    way = rng.choice((scene.mail_way, scene.text_way))
    slow = Trouble(toxic=Toxic.DELAY, way=rng.choice(tuple(Way)), seconds=rng.choice((0.005, 0.05, 0.3)))
    return (lambda: way.play(slow)), way.clear, rng.uniform(0.3, 2.0)


def _gone(scene: Scene, rng: Random, keeper: Keeper) -> Any:
    channel = rng.choice(("smtp", "sms"))
    return (
        lambda: scene.sandbox.fault({"channel": channel, "mode": "refuse"}),
        lambda: scene.sandbox.control("DELETE", f"/control/faults?channel={channel}"),
        rng.uniform(0.3, 2.0),
    )


def _clock(scene: Scene, rng: Random, keeper: Keeper) -> Any:
    jump = rng.choice((10.0, -10.0, 3600.0, -3600.0))
    return (lambda: scene.set_clock(jump)), (lambda: scene.set_clock(0)), rng.uniform(0.5, 3.0)


ANYWHERE: Mapping[str, Draw] = {
    "kill": _kill, "term": _term, "crash": _crash, "pause": _pause, "smtp": _smtp, "sms": _sms, "wire": _wire,
    "callbacks": _callbacks, "slow wire": _slow_wire, "provider gone": _gone, "clock": _clock,
}  # fmt: skip


def _peer_killed(scene: Scene, rng: Random, keeper: Keeper) -> Any:
    [peer] = scene.peers
    return (lambda: peer.signal(signal.SIGKILL)), peer.start, rng.uniform(0.1, 2.0)


def _peer_paused(scene: Scene, rng: Random, keeper: Keeper) -> Any:
    [peer] = scene.peers
    return (lambda: peer.signal(signal.SIGSTOP)), (lambda: peer.signal(signal.SIGCONT)), rng.uniform(0.2, 4.0)


WITH_PEERS: Mapping[str, Draw] = {"peer killed": _peer_killed, "peer paused": _peer_paused}


# --- the file ---


def _locked(scene: Scene, rng: Random, keeper: Keeper) -> Any:
    held: list[sqlite3.Connection] = []

    def lock() -> None:
        conn = sqlite3.connect(scene.database, isolation_level=None, timeout=3, check_same_thread=False)
        with suppress(sqlite3.Error):
            conn.execute("BEGIN IMMEDIATE")
        held.append(conn)

    def unlock() -> None:
        for conn in held:
            conn.close()

    return lock, unlock, rng.choice((0.5, 2.0, 6.5))


def _full(scene: Scene, rng: Random, keeper: Keeper) -> Any:
    within: list[Any] = []

    def fill() -> None:
        if not scene.dead():
            with suppress(ProcessLookupError):
                context = no_growth(scene)
                context.__enter__()
                within.append(context)

    def free() -> None:
        for context in within:
            with suppress(ProcessLookupError):
                context.__exit__(None, None, None)

    return fill, free, rng.uniform(0.3, 2.5)


ON_SQLITE: Mapping[str, Draw] = {"locked": _locked, "full": _full}


# --- the server ---


def _sessions_cut(scene: Scene, rng: Random, keeper: Keeper) -> Any:
    def cut() -> None:
        assert scene.server is not None
        with suppress(psycopg.Error), scene.server.admin() as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (scene.name,))

    return cut, None, 0.0


def _store_wire(scene: Scene, rng: Random, keeper: Keeper) -> Any:
    assert scene.store_way is not None
    return _trouble(scene.store_way, rng, 30_000, 30_000), scene.store_way.clear, rng.uniform(0.3, 3.0)


def _store_gone(scene: Scene, rng: Random, keeper: Keeper) -> Any:
    way = scene.store_way
    assert way is not None

    def go() -> None:
        way.play(Trouble(toxic=Toxic.REFUSE))
        way.cut()

    return go, way.clear, rng.uniform(0.3, 3.0)


def _failover(scene: Scene, rng: Random, keeper: Keeper) -> Any:
    server = scene.server
    assert server is not None
    return (lambda: server.fall(rng.choice((signal.SIGQUIT, signal.SIGINT)))), server.rise, rng.uniform(0.2, 2.0)


def _table_locked(scene: Scene, rng: Random, keeper: Keeper) -> Any:
    held: list[psycopg.Connection[Any]] = []

    def lock() -> None:
        assert scene.server is not None
        with suppress(psycopg.Error):  # it may have fallen
            held.append(psycopg.connect(scene.server.url(scene.name), connect_timeout=3))
            held[-1].execute("SET lock_timeout = '3s'")
            held[-1].execute("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE")

    def unlock() -> None:
        for conn in held:
            with suppress(psycopg.Error):
                conn.close()

    return lock, unlock, rng.choice((0.5, 2.0, 6.5))


ON_POSTGRESQL: Mapping[str, Draw] = {
    "sessions cut": _sessions_cut,
    "store's wire": _store_wire,
    "store gone": _store_gone,
    "failover": _failover,
    "table locked": _table_locked,
}
