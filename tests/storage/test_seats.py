"""Seats on SQLite: one main, any number of senders, each freed by whatever ends its process."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from outagecast.storage import seats
from outagecast.storage.refused import DatabaseRefused
from outagecast.storage.seats import Holder

HOLD = """
import sys
from pathlib import Path
from outagecast.storage import seats
from outagecast.storage.seats import Holder
take = seats.take_main if sys.argv[2] == "main" else seats.take_sender
seat = take(Path(sys.argv[1]), Holder(owner=sys.argv[3], host="here", boot="b", pid=1))
print(seat.name, flush=True)
sys.stdin.read()
"""


def holder(owner: str) -> Holder:
    return Holder(owner=owner, host="here", boot="b", pid=1)


@contextmanager
def another(database: Path, kind: str, owner: str) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds a seat until it is ended."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(database), kind, owner],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline()
        yield child
    finally:
        child.kill()
        child.communicate()


def alive(database: Path) -> dict[str, str]:
    return {one.seat: one.owner for one in seats.holders(database)}


def test_every_sender_has_a_seat_of_its_own_and_there_is_one_main(tmp_path: Path) -> None:
    db = tmp_path / "a[b]*.db"
    main = seats.take_main(db, holder("m"))
    first, second = seats.take_sender(db, holder("s1")), seats.take_sender(db, holder("s2"))
    assert (main.name, first.name, second.name) == ("main", "sender-1", "sender-2")
    assert alive(db) == {"main": "m", "sender-1": "s1", "sender-2": "s2"}
    with pytest.raises(DatabaseRefused, match=r"another OutageCast daemon .*--role sender"):
        seats.take_main(db, holder("m2"))
    first.leave()
    assert alive(db) == {"main": "m", "sender-2": "s2"}
    again = seats.take_sender(db, holder("s3"))
    assert again.name == "sender-1"
    assert alive(db)["sender-1"] == "s3", "whoever had the seat before is dead"
    assert {one.owner for one in again.before} == {"m", "s1", "s2"}
    for seat in (main, second, again):
        seat.leave()
    assert alive(db) == {}


def test_a_process_that_is_killed_leaves_its_seat_at_once(tmp_path: Path) -> None:
    db = tmp_path / "x.db"
    with another(db, "sender", "theirs") as child:
        assert alive(db) == {"sender-1": "theirs"}
        ours = seats.take_sender(db, holder("ours"))
        assert ours.name == "sender-2"
        child.kill()
        child.wait()
        assert alive(db) == {"sender-2": "ours"}
        ours.leave()


def test_who_looks_takes_the_seat_from_nobody(tmp_path: Path) -> None:
    """A starting daemon meets the hand of one that only looks whether the seat is free: it tries again."""
    db = tmp_path / "x.db"
    seats.take_main(db, holder("m")).leave()
    for _ in range(50):
        assert seats.holders(db) == []
        seats.take_main(db, holder("m")).leave()


def test_all_seats_are_held_against_every_kind_of_daemon(tmp_path: Path) -> None:
    db = tmp_path / "x.db"
    seats.take_sender(db, holder("old")).leave()
    with seats.all_seats(db):
        for take in (seats.take_main, seats.take_sender):
            with pytest.raises(DatabaseRefused, match="stopped"):
                take(db, holder("m"))
    with another(db, "sender", "theirs"), pytest.raises(DatabaseRefused, match="stop it first"), seats.all_seats(db):
        pass
