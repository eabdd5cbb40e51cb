"""The whole life of outages on a fake clock: verbs in any order, a wire that defers, loses and doubts, crashes between.

The engine is the real one on a real database. What it said is what `Post` wrote to the wire; what is true is reckoned
here, from the scopes of the open outages and the customers' needs, in the most obvious way. Whenever all is quiet the
two have to agree, address by address and line by line.

`OUTAGECAST_LIVES=500` plays more lives than the few of every test run.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import insert, text, update

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.errors import Conflict, Invalid
from outagecast.domain.levels import Effect, Level
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import Change, Declaration, Ending, Restoration, ScopeEntry, Severity
from outagecast.domain.timeline import Happened
from outagecast.engine.recovery import Recovery
from outagecast.engine.verify import verify
from outagecast.storage import claims, outages, tables
from tests.support import databases
from tests.support.healthy import ANN, BEA, CUSTOMERS, MINUTE, build

MORE = os.environ.get("OUTAGECAST_LIVES")
LIVES = int(MORE or "12")
STEPS = int(os.environ.get("OUTAGECAST_LIFE_STEPS", "30"))
S = DeliveryState
DATABASE = "outagecast.db"
ELEMENTS = tuple(f"POP-{letter}" for letter in "ABCDE")
REDUNDANT = {"R1": "POP-D|POP-E", "R2": "POP-A|POP-B"}
"""Customers with two ways: each has one circuit, and hears by mail."""
NEEDS = {customer: need for customer, (need, _, _) in CUSTOMERS.items()} | REDUNDANT
MAILS = {customer: mail for customer, (_, mail, _) in CUSTOMERS.items() if mail} | {
    customer: f"{customer.lower()}@example.org" for customer in REDUNDANT
}
PHONES = {customer: phone for customer, (_, _, phone) in CUSTOMERS.items() if phone}
END = ("resolution", "retraction")
HEARD = (Level.OUTAGE, Level.DEGRADED)
"""What contacts hear of who have not asked for more."""

Scope = st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=2, unique=True)
Effects = st.sampled_from([Effect.OUTAGE, Effect.OUTAGE, Effect.DEGRADED])
Answers = st.sampled_from([S.ACCEPTED, S.ACCEPTED, S.ACCEPTED, S.PLANNED, S.AMBIGUOUS])


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """A message as it reached an address. `sure`: the wire said so."""

    id: int
    to: str
    outage: str
    episode: int
    revision: int
    kind: str
    levels: dict[str, Level]
    sure: bool


@dataclass(kw_only=True)
class Ears:
    """What every address has heard, in order."""

    heard: list[Heard] = field(default_factory=list)

    def believes(self) -> dict[tuple[str, str], Level]:
        """The last level each address was told of each line."""
        found: dict[tuple[str, str], Level] = {}
        for message in self.heard:
            for line, level in message.levels.items():
                found[message.to, line] = level
        return found


class LifeOfOutages(RuleBasedStateMachine):
    """One provider, a few outages, a crash now and then."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.Runner()
        self._folder = Path(tempfile.mkdtemp(prefix="life-"))
        databases.copied(DATABASE, _nursery(databases.chosen()), self._folder)
        self._built = self._run(build(self._folder, filled=True))
        self._ears = Ears()
        self._gone: set[str] = set()
        self._addresses = {customer: {MAILS.get(customer, ""), PHONES.get(customer, "")} - {""} for customer in NEEDS}
        """All that ever were a customer's."""
        self._moved: set[tuple[str, str]] = set()
        self._crashes = 0
        self._steps = 0

    def teardown(self) -> None:
        try:
            self._end_all()
        finally:
            self._run(self._built.db.close())
            if databases.chosen() == "postgresql":
                databases.pool().give_back((self._folder.resolve(), DATABASE))
            self._loop.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    # --- the desk ---

    @rule(scope=Scope, effect=Effects, eta=st.none() | st.integers(5, 200), undo=st.sampled_from([0, 0, 0, 2]))
    def declare(self, scope: list[str], effect: Effect, eta: int | None, undo: int) -> None:
        said = Declaration(
            title="down",
            scope=_entries(scope, effect),
            effect=effect,
            severity=Severity.MAJOR,
            eta=None if eta is None else self._now + eta * MINUTE,
        )
        self._verb(self._ops.declare(said, actor=ANN, undo_for=undo * MINUTE))

    @precondition(lambda self: self._ids("draft"))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self._verb(self._ops.release(self._pick(data, "draft"), actor=BEA))

    @precondition(lambda self: self._ids("open"))
    @rule(data=st.data(), eta=st.none() | st.integers(5, 200), message=st.sampled_from(["", "A crew is on its way."]))
    def update(self, data: st.DataObject, eta: int | None, message: str) -> None:
        change = Change(message=message) if eta is None else Change(message=message, eta=self._now + eta * MINUTE)
        self._verb(self._ops.update(self._pick(data, "open"), change, actor=ANN))

    @precondition(lambda self: self._ids("open"))
    @rule(data=st.data(), scope=Scope, effect=Effects, add=st.booleans())
    def rescope(self, data: st.DataObject, scope: list[str], effect: Effect, add: bool) -> None:
        entries = _entries(scope, effect)
        change = Change(scope_add=entries) if add else Change(scope_remove=entries)
        self._verb(self._ops.update(self._pick(data, "open"), change, actor=ANN))

    @precondition(lambda self: self._ids("open"))
    @rule(data=st.data(), scope=Scope)
    def restore_elements(self, data: st.DataObject, scope: list[str]) -> None:
        back = Restoration(scope=_entries(scope, Effect.OUTAGE))
        self._verb(self._ops.restore(self._pick(data, "open"), back, actor=ANN))

    @precondition(lambda self: self._ids("open"))
    @rule(data=st.data(), customer=st.sampled_from(sorted(NEEDS)))
    def restore_a_line(self, data: st.DataObject, customer: str) -> None:
        back = Restoration(scope=(ScopeEntry(kind="circuit", id=f"CIR-{customer}", effect=Effect.OUTAGE),))
        self._verb(self._ops.restore(self._pick(data, "open"), back, actor=ANN))

    @precondition(lambda self: self._ids("open"))
    @rule(data=st.data())
    def resolve(self, data: st.DataObject) -> None:
        self._verb(self._ops.resolve(self._pick(data, "open"), Ending(), actor=ANN))

    @precondition(lambda self: self._ids("open"))
    @rule(data=st.data())
    def retract(self, data: st.DataObject) -> None:
        self._verb(self._ops.retract(self._pick(data, "open"), Ending(), actor=ANN))

    @precondition(lambda self: self._ids("resolved"))
    @rule(data=st.data())
    def reopen(self, data: st.DataObject) -> None:
        self._verb(self._ops.reopen(self._pick(data, "resolved"), Ending(), actor=ANN))

    @precondition(lambda self: len(self._ids("open")) > 1)
    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        """Nothing goes down by it or comes back; of a line that is back in one only, one outage cannot say so."""
        before = self._truth()
        back = {entry["id"] for row in self._outages() for entry in row.restored}
        self._verb(self._ops.merge(self._pick(data, "open"), self._pick(data, "open"), actor=ANN))
        after = self._truth()
        assert [key for key in before if key[1] not in back and before[key] is not after[key]] == []

    @precondition(lambda self: self._ids("pending"))
    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        self._verb(self._ops.undo(self._pick(data, "pending"), actor=ANN))

    @precondition(lambda self: self._ids("open"))
    @rule(data=st.data(), hold=st.booleans())
    def hold(self, data: st.DataObject, hold: bool) -> None:
        one = self._pick(data, "open")
        self._verb(self._ops.hold(one, "wait", actor=ANN) if hold else self._ops.unhold(one, actor=ANN))

    @rule(pause=st.sampled_from([False, False, True]))
    def pause(self, pause: bool) -> None:
        self._verb(self._ops.pause("wait", actor=ANN) if pause else self._ops.resume(actor=ANN))

    # --- the world ---

    @rule(minutes=st.sampled_from([1, 3, 15, 40, 240]))
    def time_passes(self, minutes: int) -> None:
        self._built.clock.pass_(minutes * MINUTE)
        self._run(self._tick())

    @rule(count=st.integers(1, 6), answers=st.lists(Answers, min_size=6, max_size=6), arrived=st.booleans())
    def some_leave(self, count: int, answers: list[S], arrived: bool) -> None:
        for channel in ChannelName:
            rows = self._run(self._built.post.claim(channel, count))
            given = iter(answers)
            for row, mark in self._run(self._built.post.mark(rows)):
                answer = next(given)
                self._run(self._built.post._finish(row, mark, answer))
                self._hear(row, sure=answer is S.ACCEPTED, arrived=answer is S.ACCEPTED or arrived, answer=answer)

    @rule(count=st.integers(1, 4), written=st.integers(0, 4), arrived=st.booleans())
    def crash(self, count: int, written: int, arrived: bool) -> None:
        """A daemon dies with rows leased, some of them marked, some of those on the wire."""
        channel = ChannelName.EMAIL if self._crashes % 2 else ChannelName.SMS
        rows = self._run(self._built.post.claim(channel, count))
        marked = self._run(self._built.post.mark(rows[:written]))
        for row, _ in marked:
            self._hear(row, sure=False, arrived=arrived, answer=S.AMBIGUOUS)
        self._crashes += 1
        self._built.post.owner = f"post-{self._crashes}"
        self._run(self._recovery().at_start())

    @rule()
    def lost_ones_are_tried_again(self) -> None:
        self._built.clock.pass_(11 * MINUTE)
        self._run(self._tick())
        self._run(self._recovery().look())

    @rule(customer=st.sampled_from(sorted(PHONES)))
    def a_phone_says_stop(self, customer: str) -> None:
        self._run(self._built.receipts.stop(PHONES[customer], "stop", "sms"))
        self._gone.add(PHONES[customer])

    @rule(customer=st.sampled_from(sorted(MAILS)))
    def an_import_brings_another_address(self, customer: str) -> None:
        """Nothing is sent for that. The old one still hears the end; the new one hears with the next word for all."""
        to = f"{customer.lower()}-{len(self._addresses[customer])}@example.org"
        self._run(self._move(customer, to))
        self._addresses[customer].add(to)
        self._moved |= {(address, f"CIR-{customer}") for address in self._addresses[customer] if "@" in address}

    # --- what must hold ---

    @invariant()
    def the_database_recounts_now_and_then(self) -> None:
        self._steps += 1
        if self._steps % 4 == 0:
            self.the_database_recounts()

    def the_database_recounts(self) -> None:
        findings = self._run(verify(self._built.db, now=self._now))
        assert findings == []

    @invariant()
    def nobody_hears_a_word_twice(self) -> None:
        said: dict[tuple[str, str, int, int, str], Heard] = {}
        for message in self._ears.heard:
            key = (message.to, message.outage, message.episode, message.revision, message.kind)
            before = said.get(key)
            assert before is None or not before.sure, f"{key} was said twice"
            said[key] = message

    @invariant()
    def nothing_follows_the_end_and_nothing_is_overtaken(self) -> None:
        ended: set[tuple[str, str, int]] = set()
        newest: dict[tuple[str, str], int] = {}
        for message in self._ears.heard:
            where = (message.to, message.outage, message.episode)
            if message.kind == "acknowledgement":  # taken out of the scope, and back in it
                ended.discard(where)
            assert message.kind in END or where not in ended, f"{where} heard {message.kind} after the end"
            if message.kind in END:
                ended.add(where)
            last = newest.get(where[:2], 0)
            assert message.id >= last, f"{where}: delivery {message.id} after {last}"
            newest[where[:2]] = message.id

    @rule()
    def all_is_quiet_and_everybody_knows_how_it_stands(self) -> None:
        self._settle()
        truth, believed = self._truth(), self._ears.believes()
        for (to, line), level in truth.items():
            if to in self._gone or (to, line) in self._moved:
                continue
            known = believed.get((to, line), Level.NO_IMPACT)
            assert (known if known in HEARD else Level.NO_IMPACT) is level, (
                f"{to} believes {line} to be {known.name}, and it is {level.name}"
            )
        strangers = {key for key in believed if key not in truth}
        assert not strangers, f"told of lines that are not theirs: {strangers}"

    # --- how ---

    @property
    def _ops(self) -> Any:
        return self._built.operations

    @property
    def _now(self) -> Any:
        return self._built.clock.now

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run(work)

    def _verb(self, work: Coroutine[Any, Any, Any]) -> None:
        """A verb that the present state does not allow is refused, and changes nothing."""

        async def whole() -> None:
            with suppress(Conflict, Invalid):
                await work
            while await self._built.waves.advance():
                pass

        self._run(whole())

    async def _tick(self) -> None:
        """What the daemon does every second."""
        built = self._built
        await built.operations.take_due()
        while await built.waves.advance():
            pass
        await built.promises.keep()
        while await built.waves.advance():
            pass
        async with built.db.write() as conn:
            await claims.expire(conn, built.clock.now)

    def _recovery(self) -> Recovery:
        return Recovery(self._built.house, self._built.receipts, _NoWords(), {}, owner=self._built.post.owner)  # type: ignore[arg-type]

    def _hear(self, row: Any, *, sure: bool, arrived: bool, answer: S) -> None:
        if row.audience != "customer" or not arrived or answer is S.PLANNED:
            return
        levels = {line["id"]: Level(line["level"]) for line in row.facts["lines"]}
        self._ears.heard.append(
            Heard(
                id=row.id,
                to=row.to,
                outage=row.outage_id,
                episode=row.episode,
                revision=row.revision,
                kind=row.kind,
                levels=levels,
                sure=sure,
            )
        )

    def _settle(self) -> None:
        """Nothing held, nothing pending, everything sent that is due; the cadence has caught up."""
        self._verb(self._ops.resume(actor=ANN))
        for one in self._ids("open"):
            self._verb(self._ops.unhold(one, actor=ANN))
        self._built.clock.pass_(3 * MINUTE)
        self.lost_ones_are_tried_again()
        for _ in range(4):
            self._run(self._tick())
            for row in self._run(self._built.post.send()):
                self._hear(row, sure=True, arrived=True, answer=S.ACCEPTED)
            self._built.clock.pass_(MINUTE)

    def _end_all(self) -> None:
        """Everything ends well; nobody is left believing that a line is down."""
        self._settle()
        for one in self._ids("open"):
            self._verb(self._ops.resolve(one, Ending(), actor=ANN))
            while self._ids("held"):
                self._verb(self._ops.release(one, actor=BEA))
        self._settle()
        assert self._ids("open") == []
        left = {
            key: level for key, level in self._ears.believes().items() if level in HEARD and key[0] not in self._gone
        }
        assert not left, f"still believed to be down: {left}"
        self.the_database_recounts()
        self.nobody_hears_a_word_twice()
        self.nothing_follows_the_end_and_nothing_is_overtaken()

    def _truth(self) -> dict[tuple[str, str], Level]:
        """By address and line: the level its reader is to know of."""
        rows = [row for row in self._outages() if row.public and row.status not in ("draft", "resolved", "retracted")]
        found: dict[tuple[str, str], Level] = {}
        for customer, need in NEEDS.items():
            line = f"CIR-{customer}"
            levels: dict[str, Level] = {}
            for row in rows:
                if {"kind": "circuit", "id": line} in [{"kind": e["kind"], "id": e["id"]} for e in row.restored]:
                    continue
                for entry in row.scope:
                    known = levels.get(entry["id"], Level.NO_IMPACT)
                    levels[entry["id"]] = max(known, Effect(entry["effect"]).level)
            level = _level(need, levels)
            for to in self._addresses[customer]:
                found[to, line] = level if level in HEARD else Level.NO_IMPACT
        return found

    async def _move(self, customer: str, to: str) -> None:
        async with self._built.db.write() as conn:
            added = await conn.execute(insert(tables.addresses).values(channel="email", value=to))
            address_id = next(iter(added.inserted_primary_key or ()))
            contact = update(tables.contacts).where(tables.contacts.c.id == f"K-{customer}")
            await conn.execute(contact.values(email_id=address_id))
            await outages.record(conn, at=self._now, what=Happened.IMPORTED, actor=ANN)

    def _outages(self) -> list[Any]:
        async def read() -> list[Any]:
            async with self._built.db.read() as conn:
                return list((await conn.execute(tables.outages.select().order_by(tables.outages.c.number))).all())

        rows: list[Any] = self._run(read())
        return rows

    def _ids(self, which: str) -> list[str]:
        rows = self._outages()
        match which:
            case "open":
                return [row.id for row in rows if row.status not in ("draft", "resolved", "retracted")]
            case "pending":
                return [row.id for row in rows if row.pending_until is not None]
            case "held":
                return [row.id for row in rows if row.held_because and row.status != "draft"]
            case _:
                return [row.id for row in rows if row.status == which]

    def _pick(self, data: st.DataObject, which: str) -> str:
        return data.draw(st.sampled_from(self._ids(which)))


class _NoWords:
    """Recovery puts nothing into words here: no provider is asked."""


def _entries(scope: list[str], effect: Effect) -> tuple[ScopeEntry, ...]:
    return tuple(ScopeEntry(kind="element", id=element, effect=effect) for element in scope)


def _level(need: str, levels: dict[str, Level]) -> Level:
    """As badly off as the worst of its needs; a need with alternatives is as well off as the best, never quite well."""
    worst = Level.NO_IMPACT
    for part in need.split(";"):
        ways = [levels.get(way, Level.NO_IMPACT) for way in part.split("|")]
        level = min(ways)
        if any(ways):
            level = max(level, Level.REDUCED_REDUNDANCY)
        worst = max(worst, level)
    return worst


@cache
def _nursery(kind: str) -> Path:
    """The folder of a database of this kind with everybody in it, made once."""
    folder = Path(tempfile.mkdtemp(prefix="nursery-"))

    async def work() -> None:
        built = await build(folder)
        async with built.db.write() as conn:
            first = 1000
            for n, (customer, need) in enumerate(REDUNDANT.items()):
                await conn.execute(insert(tables.needs), [{"id": first + n, "text": need}])
                await conn.execute(
                    insert(tables.addresses), [{"id": first + n, "channel": "email", "value": MAILS[customer]}]
                )
                await conn.execute(insert(tables.customers), [{"id": customer, "name": customer}])
                await conn.execute(
                    insert(tables.circuits),
                    [{"id": f"CIR-{customer}", "customer_id": customer, "label": customer, "need_id": first + n}],
                )
                await conn.execute(
                    insert(tables.contacts),
                    [{"id": f"K-{customer}", "customer_id": customer, "name": customer, "email_id": first + n}],
                )
            await databases.numbers_go_on(conn, "needs", "addresses")
        if kind == "sqlite":
            async with built.db.read() as conn:
                await conn.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        await built.db.close()

    asyncio.run(work())
    return folder


def test_whole_lives(database_kind: str) -> None:
    # Every test run plays the same few lives; whoever asks for more gets others each time.
    asked = settings(
        # A life on PostgreSQL takes twice as long.
        max_examples=LIVES if MORE or database_kind == "sqlite" else LIVES // 3,
        derandomize=MORE is None,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        # Without shrinking: a life takes seconds, and as it was played it can be read.
        phases=[Phase.explicit, Phase.generate] if MORE is None else [Phase.explicit, Phase.reuse, Phase.generate],
        print_blob=True,
    )
    run_state_machine_as_test(LifeOfOutages, settings=asked)
