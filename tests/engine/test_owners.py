"""Several daemons on one database: who is on the list, who is gone, who ticks, and two that tick at once."""

import asyncio
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

import pytest

from outagecast.domain.levels import Effect
from outagecast.domain.outage import Declaration, ScopeEntry
from outagecast.engine.owners import BEAT, Owners, OwnersGauge, Role, running
from outagecast.engine.settings import DeliverySettings
from outagecast.storage import claims, wire
from outagecast.storage.refused import DatabaseRefused
from outagecast.storage.seats import Holder
from outagecast.storage.wire import Mark
from tests.support.tiny_provider import ANN, EMAIL, TinyProvider, tiny_provider

LEASE = timedelta(seconds=120)


class Life:
    """A presence whose fate the test decides. `alive`: shared by all."""

    before: Collection[Holder] = ()

    def __init__(self, owner: str, alive: set[str], *, certain: bool, leader: list[str]) -> None:
        self.owner = owner
        self.alive = alive
        self.certain = certain
        self.leader = leader
        self.seat = "" if not certain else owner

    async def take(self) -> None:
        self.alive.add(self.owner)

    async def keep(self) -> bool:
        return True

    async def leads(self) -> bool:
        return self.leader == [self.owner]

    async def living(self, owners: Collection[str]) -> frozenset[str]:
        return frozenset(owners) & frozenset(self.alive)

    async def tell(self) -> None: ...

    async def leave(self) -> None:
        self.alive.discard(self.owner)


class House:
    """A provider with several owners around it."""

    def __init__(self, tiny: TinyProvider, *, certain: bool) -> None:
        self.tiny = tiny
        self.alive: set[str] = set()
        self.leader = ["one"]
        self.certain = certain

    def owners(self, name: str, role: Role = Role.ALL) -> Owners:
        life = Life(name, self.alive, certain=self.certain, leader=self.leader)
        return Owners(self.tiny.house, life, owner=name, role=role, version="1")

    async def lease(self, owner: str, count: int = 1) -> None:
        now = self.tiny.clock()
        async with self.tiny.db.write() as conn:
            rows = await claims.claim(conn, channel=EMAIL, owner=owner, now=now, until=now + LEASE, count=count)
        assert len(rows) == count

    async def states(self) -> dict[str, str]:
        return {one.owner: one.state for one in await running(self.tiny.db, self.tiny.clock())}


async def test_who_dies_is_found_at_once_by_a_lock_and_only_the_dead_are_gone(tmp_path: Path) -> None:
    async with tiny_provider(tmp_path, 3) as tiny:
        house = House(tiny, certain=True)
        one, two = house.owners("one"), house.owners("two", Role.SENDER)
        await one.start()
        await two.start()
        await tiny.declare()
        await house.lease("two")
        await house.lease("long dead")
        assert await one.gone() == {"long dead"}
        house.alive.discard("two")
        assert await one.gone() == {"two", "long dead"}
        assert await house.states() == {"one": "running", "two": "running"}
        await one.beat()
        assert (await house.states(), one.lost) == ({"one": "running", "two": "lost"}, 1)
        await two.beat()
        assert await house.states() == {"one": "running", "two": "running"}, "it was there after all"
        await two.stop()
        assert await house.states() == {"one": "running"}, "an orderly end leaves no name"


async def test_a_lost_session_has_to_be_found_lost_twice(tmp_path: Path) -> None:
    async with tiny_provider(tmp_path, 3) as tiny:
        house = House(tiny, certain=False)
        one, two = house.owners("one"), house.owners("two")
        await one.start()
        await two.start()
        await tiny.declare()
        await house.lease("two")
        house.alive.discard("two")
        assert await one.gone() == frozenset()
        house.alive.add("two")  # it was back within the two seconds
        assert await one.gone() == frozenset()
        house.alive.discard("two")
        assert await one.gone() == frozenset()
        assert await one.gone() == {"two"}
        await one.beat()
        assert (await house.states())["two"] == "running", "seen a moment ago"
        tiny.clock.pass_(BEAT.total_seconds() * 3 + 1)
        await one.beat()
        assert (await house.states())["two"] == "lost"


async def test_recovery_takes_the_rows_of_the_dead_and_leaves_those_of_the_living(tmp_path: Path) -> None:
    async with tiny_provider(tmp_path, 4) as tiny:
        house = House(tiny, certain=True)
        one = house.owners("one")
        house.alive.add("there")
        await one.start()
        await tiny.declare()
        await house.lease("dead", 2)
        await house.lease("there", 1)
        recovery = tiny.recovery(owner="one", gone=one.gone)
        await recovery.at_start()
        owners = [row.lease_owner for row in await tiny.rows(EMAIL)]
        assert owners == [None, None, "there", None]
        tiny.clock.pass_(LEASE.total_seconds() + 1)  # it lives and stands still: its lease has run out
        await recovery.look()
        assert {row.lease_owner for row in await tiny.rows(EMAIL)} == {None}


async def test_who_leads_and_is_silent_for_a_lease_is_stepped_in_for(tmp_path: Path) -> None:
    async with tiny_provider(tmp_path, 1, delivery=DeliverySettings(lease=LEASE)) as tiny:
        house = House(tiny, certain=False)
        one, two, sender = house.owners("one"), house.owners("two"), house.owners("three", Role.SENDER)
        for owners in (one, two, sender):
            await owners.start()
        assert [await owners.leads() for owners in (one, two, sender)] == [True, False, False]
        tiny.clock.pass_(LEASE.total_seconds() + 1)
        await two.beat()
        assert await two.leads()
        await sender.beat()
        assert not await sender.leads()
        await one.beat()  # it goes on where it stood still
        await two.beat()
        assert [await owners.leads() for owners in (one, two)] == [True, False]


async def test_two_that_tick_at_once_say_everything_once(tmp_path: Path) -> None:
    async with tiny_provider(tmp_path, 3) as tiny, tiny_provider(tmp_path, 3, fill=False) as other:
        scope = (ScopeEntry(kind="element", id="POP-1", effect=Effect.OUTAGE),)
        declaration = Declaration(title="POP-1 down", scope=scope)
        await tiny.operations.declare(declaration, actor=ANN, undo_for=timedelta(seconds=30))
        for each in (tiny, other):
            each.clock.pass_(60)
        await asyncio.gather(*(each.operations.take_due() for each in (tiny, other, tiny, other)))
        assert len(await tiny.rows()) == 6
        now = tiny.clock()
        async with tiny.db.write() as conn:
            rows = await claims.claim(conn, channel=EMAIL, owner="dead", now=now, until=now, count=3)
            marks = [Mark(id=row.id, fence=row.fence, key=tiny.new_key(), number=1, at=now) for row in rows]
            assert len(await wire.mark(conn, marks, now)) == 3
        await asyncio.gather(*(each.recovery(owner=f"o{n}").look() for n, each in enumerate((tiny, other) * 3)))
        assert [row.ambiguous for row in await tiny.rows(EMAIL)] == [1, 1, 1]
        assert len(await tiny.timeline("ambiguous")) == 3


async def test_another_machine_s_file_is_refused_while_it_was_seen_within_its_lease(tmp_path: Path) -> None:
    async with tiny_provider(tmp_path, 1) as tiny:
        house = House(tiny, certain=True)
        await house.owners("far").start()
        life = Life("near", house.alive, certain=True, leader=[])
        life.before = [Holder(owner="far", host="elsewhere", boot="another", pid=7)]
        near = Owners(tiny.house, life, owner="near", role=Role.WEB, version="1")
        with pytest.raises(DatabaseRefused, match="in use on another machine"):
            await near.start()
        assert "near" not in house.alive, "its seat is free again"
        tiny.clock.pass_(LEASE.total_seconds() + 1)
        await near.start()


async def test_metrics_count_them_by_role_and_state(tmp_path: Path) -> None:
    async with tiny_provider(tmp_path, 1) as tiny:
        house = House(tiny, certain=True)
        one = house.owners("one")
        for owners in (house.owners("two", Role.SENDER), house.owners("three", Role.SENDER), one):
            await owners.start()
        found = {
            (metric.name, *sample.labels.values()): sample.value
            for metric in OwnersGauge(one).collect()
            for sample in metric.samples
        }
        assert found["outagecast_daemons", "sender", "running"] == 2
        assert found["outagecast_daemons", "all", "running"] == 1
        assert found[("outagecast_leads",)] == 1
