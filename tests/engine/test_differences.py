"""What is shown before a change is what is planned by it, whatever happened before; and showing it writes nothing."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

from outagecast.domain.delivery import DeliveryState as S
from outagecast.domain.errors import Conflict, Invalid
from outagecast.domain.levels import Effect
from outagecast.domain.outage import Change, Ending, Restoration, RetractReason, ScopeEntry, Verb
from outagecast.engine import intents
from outagecast.engine.differences import Differences
from outagecast.engine.effects import Effects
from outagecast.engine.planner import Planner
from outagecast.engine.reckoning import Reckoner
from outagecast.storage import tables
from tests.support.healthy import ANN, BEA, MINUTE, Built, build, declaration

ACTS = ("add", "remove", "say", "restore", "line", "resolve", "retract", "merge", "reopen", "declare", "wait")


@pytest.fixture
async def built(tmp_path: Path) -> AsyncIterator[Built]:
    found = await build(tmp_path, wave_limit=1000)
    yield found
    await found.db.close()


def entry(kind: str, id: str, effect: Effect = Effect.OUTAGE) -> ScopeEntry:
    return ScopeEntry(kind=kind, id=id, effect=effect)


async def query(built: Built, sql: str, **values: Any) -> list[Any]:
    async with built.db.read() as conn:
        return list((await conn.execute(text(sql), values)).all())


class Player:
    """Does what a seed says, looking before each step."""

    def __init__(self, built: Built, seed: int) -> None:
        self.built = built
        self.random = random.Random(seed)
        planner = Planner(built.house)
        # A reckoner of its own: what is shown must not hang on what another has kept.
        effects = Effects(built.house, Reckoner(built.db), planner, built.waves)
        self.differences = Differences(built.house, effects, planner)
        self.looked = 0

    async def play(self, steps: int) -> None:
        await self.built.operations.declare(declaration("POP-A"), actor=ANN)
        for _ in range(steps):
            await self._step(self.random.choice(ACTS))
            self.built.clock.pass_(MINUTE)
            if self.random.random() < 0.7:
                await self.built.post.send(lambda row: self.random.choice([S.ACCEPTED, S.ACCEPTED, S.FAILED]))

    async def _step(self, act: str) -> None:
        ops, pick = self.built.operations, self.random.choice
        outages = await query(self.built, "SELECT id, status, scope FROM outages WHERE public ORDER BY id")
        open_ones = [row.id for row in outages if row.status in ("investigating", "identified", "monitoring")]
        element = entry("element", f"POP-{pick('ABDE')}", pick(list(Effect)))
        if act == "declare" or not open_ones:
            if len(open_ones) < 3:
                await ops.declare(declaration(element.id), actor=BEA)
            return
        outage = pick(open_ones)
        match act:
            case "add":
                await self._compare(outage, Verb.UPDATE, Change(scope_add=(element,), message=pick(["", "More."])))
            case "remove":
                await self._compare(outage, Verb.UPDATE, Change(scope_remove=(element,)))
            case "say":
                eta = self.built.clock.now + 90 * MINUTE
                await self._compare(outage, Verb.UPDATE, Change(message="A word.", eta=pick([eta, None])))
            case "restore":
                await self._compare(outage, Verb.RESTORE, Restoration(scope=(element,)))
            case "line":
                line = entry("circuit", f"CIR-{pick(['A1', 'AB', 'B1', 'D1', 'E2'])}")
                await self._compare(outage, Verb.RESTORE, Restoration(scope=(line,)))
            case "resolve":
                await self._compare(outage, Verb.RESOLVE, Ending())
            case "retract":
                await self._compare(outage, Verb.RETRACT, Ending(reason=RetractReason.FALSE_ALARM))
            case "merge" if len(open_ones) > 1:
                await self._compare(outage, Verb.MERGE, pick([other for other in open_ones if other != outage]))
            case "reopen":
                await self._compare(pick([row.id for row in outages]), Verb.REOPEN, Ending())

    async def _compare(self, outage: str, verb: Verb, asked: Any) -> None:
        before = (await query(self.built, "SELECT coalesce(max(id), 0) AS last FROM deliveries"))[0].last
        state = await self._everything()
        try:
            shown = await self._look(outage, verb, asked)
        except (Conflict, Invalid) as refused:
            with pytest.raises(type(refused)):
                await self._do(outage, verb, asked)
            return
        assert await self._everything() == state, "looking writes nothing"
        await self._do(outage, verb, asked)
        rows = await query(
            self.built, "SELECT * FROM deliveries WHERE id > :last AND audience = 'customer'", last=before
        )
        planned = Counter((r.outage_id, r.address_id, r.channel, r.kind, r.state, r.reason) for r in rows)
        assert shown == planned, (verb, asked)
        self.looked += sum(planned.values())

    async def _look(self, outage: str, verb: Verb, asked: Any) -> Counter[Any]:
        looked = await self.differences.look(outage, verb, _change(asked))
        names = ("outage_id", "address_id", "channel", "kind", "state", "reason")
        shown = Counter(tuple(row.values[name] for name in names) for row in looked.planned)
        for row in looked.missing:
            shown[tuple(row[name] for name in names)] += 1
        return shown

    async def _do(self, outage: str, verb: Verb, asked: Any) -> None:
        await getattr(self.built.operations, verb.value)(outage, asked, actor=BEA)

    async def _everything(self) -> list[Any]:
        names = ("outages", "revisions", "impacts", "leads", "deliveries", "notices", "timeline", "meta")
        return [await query(self.built, f"SELECT * FROM {name}") for name in names]


def _change(asked: Any) -> Mapping[str, Any]:
    match asked:
        case Change():
            return intents.change_json(asked)
        case Restoration():
            return intents.restoration_json(asked)
        case Ending():
            return intents.ending_json(asked)
    return {"into": asked}


@pytest.mark.parametrize("seed", range(6))
async def test_what_is_shown_is_what_is_planned(built: Built, seed: int) -> None:
    async with built.db.write() as conn:
        odd = update(tables.addresses).where(tables.addresses.c.value == "dee@example.org")
        await conn.execute(odd.values(suppressed="opted_out", suppressed_at=built.clock.now))
    player = Player(built, seed)
    await player.play(30)
    assert player.looked > 10


async def test_a_restore_names_who_is_back_and_who_is_not(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.post.send()
    back = Restoration(scope=(entry("circuit", "CIR-A1"),))
    seen = await built.operations.look_at(told.outage_id, back, actor=ANN)
    assert [(group.news, group.customers) for group in seen.groups] == [("back", 1), ("word", 1)]
    assert [(a.name, a.lines) for a in seen.groups[0].first] == [("Customer A1", ("Line A1",))]
    assert (seen.told, seen.messages, seen.more, seen.fewer) == (2, {"email": 1, "sms": 1}, 0, 1)


async def test_more_scope_names_who_is_newly_told_and_the_brake(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.post.send()
    more = Change(scope_add=(entry("element", "POP-C"),))
    seen = await built.operations.look_at(told.outage_id, more, actor=ANN)
    assert [(group.news, group.customers) for group in seen.groups] == [("newly", 7)]
    assert (seen.messages, seen.more, seen.held_because) == ({"email": 7}, 7, "approve_above")
    less = Change(scope=(entry("element", "POP-D"),))
    seen = await built.operations.look_at(told.outage_id, less, actor=ANN)
    assert {group.news: group.customers for group in seen.groups} == {"newly": 1, "free": 3}
    with pytest.raises(Invalid, match="POP-AA"):
        await built.operations.look_at(told.outage_id, Change(scope_add=(entry("element", "POP-AA"),)), actor=ANN)


async def test_the_end_tells_who_passes_to_another_outage(built: Built) -> None:
    first = await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.operations.declare(declaration("POP-B"), actor=ANN)
    await built.post.send()
    seen = await built.operations.look_at(first.outage_id, Ending(), actor=ANN)
    assert {group.news: group.customers for group in seen.groups} == {"back": 2, "passed": 1}
    merged = await built.operations.look_at_merge(first.outage_id, "OUT-2026-0002", actor=ANN)
    assert {group.news: group.customers for group in merged.groups} == {"passed": 3}
    with pytest.raises(Invalid, match="not another open outage"):
        await built.operations.look_at_merge(first.outage_id, first.outage_id, actor=ANN)


async def test_too_many_to_plan_are_counted_by_what_happens_to_their_lines(built: Built) -> None:
    told = await built.operations.declare(declaration("POP-A"), actor=ANN)
    await built.post.send()
    planner = Planner(built.house)
    effects = Effects(built.house, Reckoner(built.db), planner, built.waves)
    few = Differences(built.house, effects, planner, limit=0)
    looked = await few.look(
        told.outage_id, Verb.RESTORE, intents.restoration_json(Restoration(scope=(entry("element", "POP-A"),)))
    )
    seen = await few.difference(told.outage_id, looked)
    assert (seen.exact, seen.fewer, seen.messages) == (False, 4, {})
    assert {group.news: group.customers for group in seen.groups} == {"back": 4}
    more = await few.look(
        told.outage_id, Verb.UPDATE, intents.change_json(Change(scope_add=(entry("element", "POP-C"),)))
    )
    assert {g.news: g.customers for g in (await few.difference(told.outage_id, more)).groups} == {"newly": 7}
