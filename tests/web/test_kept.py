"""What many ask for at once is reckoned once, and never shown for long after it changed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from outagecast.engine.changes import Changes
from outagecast.web.kept import Kept


@dataclass
class Counted:
    asked: int = 0
    broken: bool = False

    async def __call__(self) -> int:
        self.asked += 1
        await asyncio.sleep(0)
        if self.broken:
            raise LookupError("not now")
        return self.asked


@dataclass
class Watch:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


async def test_a_crowd_asks_once() -> None:
    kept, count = Kept(3.0, Watch()), Counted()
    assert await asyncio.gather(*(kept.get("page", count) for _ in range(50))) == [1] * 50
    assert await kept.get("another page", count) == 2


async def test_it_holds_for_its_seconds_and_after_a_change_for_one() -> None:
    watch, count = Watch(), Counted()
    kept = Kept(3.0, watch)
    assert await kept.get("page", count) == 1
    watch.now += 2.9
    assert await kept.get("page", count) == 1
    watch.now += 0.2
    assert await kept.get("page", count) == 2
    kept.ring()
    watch.now += 0.5
    assert await kept.get("page", count) == 2, "a wave rings for every commit"
    watch.now += 0.6
    assert await kept.get("page", count) == 3
    watch.now += 1.5
    assert await kept.get("page", count) == 3, "nothing changed since it was asked anew"


async def test_who_leaves_takes_nothing_away_and_what_fails_is_not_kept() -> None:
    kept, count = Kept(3.0, Watch()), Counted()
    impatient = asyncio.create_task(kept.get("page", count))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await kept.get("page", count) == 1
    count.broken = True
    with pytest.raises(LookupError):
        await kept.get("other", count)
    count.broken = False
    assert await kept.get("other", count) == 3


async def test_it_hears_the_bell_of_the_daemon() -> None:
    watch, count, changes = Watch(), Counted(), Changes()
    kept = Kept(3.0, watch)
    listener = asyncio.create_task(kept.listen(changes))
    await asyncio.sleep(0)
    assert await kept.get("page", count) == 1
    changes.notify()
    watch.now += 1.1
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await kept.get("page", count) == 2
    changes.close()
    await asyncio.wait_for(listener, 5)


async def test_meanwhile_the_old_answer_is_given_but_never_for_longer_than_its_seconds() -> None:
    watch, count = Watch(), Counted()
    kept = Kept(3.0, watch)
    assert await kept.get("counts", count, meanwhile=True) == 1
    kept.ring()
    watch.now += 1.1
    assert await kept.get("counts", count, meanwhile=True) == 1, "nobody waits while it is counted anew"
    assert await kept.get("counts", count, meanwhile=True) == 1
    await asyncio.sleep(0.01)
    assert await kept.get("counts", count, meanwhile=True) == 2
    assert count.asked == 2, "and it is counted once for all"
    kept.ring()
    watch.now += 3.1
    assert await kept.get("counts", count, meanwhile=True) == 3, "too old to be shown"


async def test_what_fails_meanwhile_is_asked_again() -> None:
    watch, count = Watch(), Counted()
    kept = Kept(3.0, watch)
    await kept.get("counts", count, meanwhile=True)
    kept.ring()
    watch.now += 1.1
    count.broken = True
    assert await kept.get("counts", count, meanwhile=True) == 1
    await asyncio.sleep(0.01)
    count.broken = False
    assert await kept.get("counts", count, meanwhile=True) == 1
    await asyncio.sleep(0.01)
    assert await kept.get("counts", count, meanwhile=True) == 3


async def test_what_names_all_it_depends_on_never_grows_old() -> None:
    asked: list[list[str]] = []

    async def make(keys: Sequence[str]) -> dict[str, int]:
        asked.append(list(keys))
        return {key: len(key) for key in keys}

    kept = Kept(3.0, Watch())
    assert await kept.lasting(["a", "bb"], make) == {"a": 1, "bb": 2}
    kept.ring()
    assert await kept.lasting(["bb", "ccc"], make) == {"bb": 2, "ccc": 3}
    assert asked == [["a", "bb"], ["ccc"]]
    nothing_kept = Kept(0, Watch())
    await nothing_kept.lasting(["a"], make)
    await nothing_kept.lasting(["a"], make)
    assert asked[2:] == [["a"], ["a"]]
