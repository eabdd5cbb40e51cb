"""Crash points: both sides of every commit, and verbs that are one transaction."""

from pathlib import Path

import pytest

from outagecast.app import crash_points
from outagecast.domain.outage import Ending
from outagecast.engine.crashpoints import Boundary, CrashPoint, boundary, never, transact
from outagecast.storage import outages
from outagecast.storage.engine import Connection
from tests.support.tiny_provider import ANN, tiny_provider


class Died(Exception):
    pass


class DiesAt:
    def __init__(self) -> None:
        self.point = ""

    def __call__(self, point: str) -> None:
        if point == self.point:
            raise Died


def test_a_point_that_nobody_passes_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        crash_points({"OUTAGECAST_CRASHPOINT": "nonsense:1"})
    assert crash_points({}) is never


async def test_before_is_not_committed_and_after_is(tmp_path: Path) -> None:
    async with tiny_provider(tmp_path, 1) as tiny:
        dies = DiesAt()
        for side in ("before", "after"):
            for form in ("boundary", "transact"):
                dies.point = CrashPoint(f"{side}_{Boundary.VERB}")
                with pytest.raises(Died):
                    if form == "boundary":
                        async with boundary(tiny.db, dies, Boundary.VERB) as conn:
                            await outages.put_meta(conn, f"{side}-{form}", "1")
                    else:

                        async def work(conn: Connection, key: str = f"{side}-{form}") -> None:
                            await outages.put_meta(conn, key, "1")

                        await transact(tiny.db, dies, Boundary.VERB, work)
        async with tiny.db.read() as conn:
            kept = {
                name: await outages.get_meta(conn, name)
                for name in ("before-boundary", "before-transact", "after-boundary", "after-transact")
            }
    assert kept == {"before-boundary": None, "before-transact": None, "after-boundary": "1", "after-transact": "1"}


async def test_releasing_what_was_held_is_one_transaction(tmp_path: Path) -> None:
    dies = DiesAt()
    async with tiny_provider(tmp_path, 1, crash=dies) as tiny:
        outage = await tiny.declare()
        await tiny.operations.propose_end(outage, Ending(), actor=ANN)
        dies.point = CrashPoint.BEFORE_VERB
        with pytest.raises(Died):
            await tiny.operations.release(outage, actor=ANN)
        dies.point = ""
        told = await tiny.operations.release(outage, actor=ANN)
    assert (told.status, told.state) == ("resolved", "effective")
