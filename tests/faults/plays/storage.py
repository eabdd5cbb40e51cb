"""A disk that is full, a file that is locked or read-only, old copies, copies cut short: F13, F14, F21, F26, F30."""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from threading import Timer
from time import monotonic, sleep

from tests.faults.plays.process import ETA, slow_wires
from tests.faults.scene import Judgement, Scene
from tests.faults.truth import heard
from tests.support.daemon import PROGRAM, REPOSITORY, exchange, until

HOOK = {"name": "noc", "format": "generic", "token": "the-hook-of-the-tests", "action": "draft"}
MONITORS = {"monitors": [HOOK]}
PATIENT = 12.0
"""Seconds in which a monitor must have its answer: six are ours, as many are for a busy machine."""


def knock(scene: Scene, key: str = "elsewhere") -> tuple[int, float]:
    """A monitor's call about what touches nobody: the status, and how long it took."""
    began = monotonic()
    event = {"key": key, "action": "trigger", "summary": "a fan", "element": "POP-9"}
    headers = {"Authorization": f"Bearer {HOOK['token']}"}
    status = exchange("127.0.0.1", scene.port, "POST", "/hooks/noc", body=event, headers=headers, timeout=20)[0]
    return status, monotonic() - began


def f13(scene: Scene, rng: Random) -> Judgement:
    """No file may grow any more in the middle of a wave; later it may again, and all goes on by itself."""
    scene.set(MONITORS)
    slow_wires(scene, 20)
    scene.start()
    said = scene.declare()
    scene.until_heard(rng.randint(1, 10))
    with no_growth(scene):
        sleep(rng.uniform(1.0, 2.5))
    scene.settle(said)
    scene.settle(scene.update(said.outage, eta=ETA))
    scene.settle(scene.resolve(said.outage))
    scene.receipts_in()
    return scene.judge()


@contextmanager
def no_growth(scene: Scene) -> Iterator[None]:
    """The daemon cannot write a byte to any file."""
    _, hard = resource.prlimit(scene.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(scene.pid, resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        if not scene.dead():
            # Not what it was before: of two at a time the second would keep the disk full for ever.
            resource.prlimit(scene.pid, resource.RLIMIT_FSIZE, (hard, hard))


def f13_full(scene: Scene, rng: Random) -> Judgement:
    """The disk under the database is full (a small tmpfs, where this machine lets us mount one; else as in `f13`)."""
    with small_disk(scene) as disk:
        if disk is None:
            return f13(scene, rng)
        scene.set(MONITORS)
        slow_wires(scene, 20)
        scene.start()
        said = scene.declare()
        scene.until_heard(rng.randint(1, 10))
        with full(disk):
            sleep(0.5)
            before = scene.heard_so_far()
            status, seconds = knock(scene)
            assert status == 503 and seconds < PATIENT, (
                f"a hook on a full disk was answered {status} after {seconds:.1f} s"
            )
            sleep(1.0)
            assert scene.heard_so_far() <= before + 7, "messages leave although nothing can be written down"
        scene.settle(said)
        assert knock(scene)[0] == 202
        scene.settle(scene.resolve(said.outage))
        scene.receipts_in()
        return scene.judge(but=frozenset({"I5"}))


@contextmanager
def small_disk(scene: Scene, size: str = "6m") -> Iterator[Path | None]:
    """The scene's database lies on a file system of its own; None where that is not allowed."""
    disk = scene.folder / "disk"
    disk.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        yield None
        return
    scene.place = disk
    try:
        yield disk
    finally:
        scene.kill()
        scene.place = scene.folder
        subprocess.run(["umount", "-l", str(disk)], capture_output=True, check=False)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Not a byte is left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass
    try:
        yield
    finally:
        filler.unlink()


def read_only(scene: Scene, rng: Random) -> Judgement:
    """Started on a database that it may not write: it says so and sends nothing; with the right it goes on."""
    with small_disk(scene, "16m") as disk:
        scene.set()
        slow_wires(scene, 30)
        scene.start()
        said = scene.declare()
        scene.until_heard(rng.randint(1, 10))
        assert scene.stop() == 0
        before = scene.heard_so_far()
        with unwritable(disk, scene.database):
            scene.spawn()
            assert scene.gone(30) != 0
            assert "Traceback" not in scene.log().rpartition("readonly")[0][-200:]
        assert scene.heard_so_far() == before
        scene.start()
        scene.settle(said)
        scene.settle(scene.resolve(said.outage))
        scene.receipts_in()
        return scene.judge(clean=True)


@contextmanager
def unwritable(disk: Path | None, database: Path) -> Iterator[None]:
    """By the file system where there is one of our own (root writes whatever the mode says), else by the mode."""
    if disk is not None:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True, capture_output=True)
    else:
        database.parent.chmod(0o500)
        database.chmod(0o400)
    try:
        yield
    finally:
        if disk is not None:
            subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True, capture_output=True)
        else:
            database.parent.chmod(0o700)
            database.chmod(0o600)


def f14(scene: Scene, rng: Random) -> Judgement:
    """Another process holds the database for eight seconds: hooks are told to come again; nothing is lost."""
    scene.set(MONITORS)
    slow_wires(scene, 20)
    scene.start()
    said = scene.declare()
    scene.until_heard(rng.randint(1, 10))
    with locked(scene.database):
        status, seconds = knock(scene)
        assert status == 503 and seconds < PATIENT, f"a hook was answered {status} after {seconds:.1f} s"
        sleep(max(0.0, 8.0 - seconds))
    scene.settle(said)
    scene.settle(scene.resolve(said.outage))
    scene.receipts_in()
    return scene.judge(but=frozenset({"I5"}))


@contextmanager
def locked(database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database, isolation_level=None, timeout=10)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            conn.execute("ROLLBACK")


def f21(scene: Scene, rng: Random) -> Judgement:
    """A copy of the middle of the wave is put back after its end: nothing leaves until a person says what was said."""
    scene.set()
    slow_wires(scene, 30)
    scene.start()
    said = scene.declare()
    scene.until_heard(rng.randint(1, 12))
    old = scene.folder / "old.db"
    old.unlink(missing_ok=True)
    with closing(sqlite3.connect(scene.database)) as live, closing(sqlite3.connect(old)) as copy:
        live.backup(copy)
    scene.settle(said)
    until(lambda: scene.file_beside_is_newer(old), "the daemon has noted how far it came")
    scene.kill()
    for beside in ("-wal", "-shm"):
        scene.database.with_name(scene.database.name + beside).unlink(missing_ok=True)
    shutil.copyfile(old, scene.database)
    before = scene.heard_so_far()
    scene.start()
    assert scene.api.get("/restored")["held"] is True
    sleep(1.5)
    assert scene.heard_so_far() == before, "something left before a person had released it"
    scene.api.call("POST", "/restored/release", {"choice": "said"})
    scene.settle(said)
    scene.settle(scene.resolve(said.outage))
    # The attempts after the copy are gone with the lost days.
    found = scene.judge(but=frozenset({"I23"}))
    assert found.figures.explained == 0
    return found


def f26(scene: Scene, rng: Random) -> Judgement:
    """`outagecast backup` is killed again and again amid a wave: its file is absent or sound."""
    scene.set()
    slow_wires(scene, 20)
    scene.start()
    said = scene.declare()
    for n in range(3):
        target = scene.folder / f"backup-{n}.db"
        target.unlink(missing_ok=True)
        command = [*PROGRAM, "--config", str(scene.config_path), "backup", str(target)]
        child = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        killer = Timer(rng.uniform(0.4, 1.6), child.kill)
        killer.start()
        child.wait(60)
        killer.cancel()
        if target.exists():
            with closing(sqlite3.connect(target)) as conn:
                assert conn.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    scene.settle(said)
    scene.settle(scene.resolve(said.outage))
    scene.receipts_in()
    return scene.judge(clean=True)


def f30(scene: Scene, rng: Random, images: int = 12) -> Judgement:
    """The file and its log as a power cut would leave them, copied at random instants: each opens, is sound, knows
    what was confirmed, and has an attempt for all that had arrived.
    """
    scene.set()
    slow_wires(scene, 12)
    scene.start()
    said = scene.declare()
    for n in range(images):
        sleep(rng.uniform(0.0, 0.08))
        if n == images // 2:
            said = scene.update(said.outage, eta=ETA)
        _look_at_image(scene, scene.folder / f"image-{n}.db")
    scene.settle(said)
    scene.receipts_in()
    return scene.judge(clean=True)


def _look_at_image(scene: Scene, image: Path) -> None:
    scene.signal(signal.SIGSTOP)
    try:
        until(lambda: _is_stopped(scene.pid), "the daemon stands still")
        arrived = heard(scene.sandbox.records(after=scene.mark))
        for end in ("", "-wal"):
            source = scene.database.with_name(scene.database.name + end)
            if source.exists():
                shutil.copyfile(source, image.with_name(image.name + end))
    finally:
        scene.signal(signal.SIGCONT)
    with closing(sqlite3.connect(image)) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        known = {word for (word,) in conn.execute("SELECT message FROM revisions")}
        query = 'SELECT d."to", r.message FROM attempts a JOIN deliveries d ON d.id = a.delivery_id '
        query += "JOIN revisions r ON r.outage_id = d.outage_id AND r.number = d.revision"
        tries = Counter((to, message.partition(".")[0]) for to, message in conn.execute(query))
    for said in scene.told.words:
        assert any(said.word in message for message in known), f"confirmed, and not in the image: {said}"
    for (to, word), count in Counter((one.to, one.said) for one in arrived).items():
        assert tries[to, word] >= count, f"{to} has {word}, of which the image knows nothing"
    for end in ("", "-wal", "-shm"):
        image.with_name(image.name + end).unlink(missing_ok=True)


def _is_stopped(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "T" and os.path.exists(f"/proc/{pid}")
