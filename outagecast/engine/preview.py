"""What a declaration would do, nothing stored: the rules of a real one, at any size.

Counts are exact: who is told nothing else by any open outage is counted (engine/audience.py), everybody else is planned
as in a real declaration and thrown away. Above `MOST_PLANNED` of those, and above `MOST_TEXTS` texts for the segments,
a sample is taken and scaled: `estimated` names what then is only about right.
"""

import asyncio
import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.facts import freeze
from outagecast.domain.levels import Level
from outagecast.domain.message import ChannelName, Message, SmsMessage
from outagecast.domain.notices import Speaking
from outagecast.domain.outage import Actor, Declaration, ScopeEntry, Verb
from outagecast.domain.sms import segments
from outagecast.engine import intents
from outagecast.engine.audience import Address, Audience, audience, what_stands_against
from outagecast.engine.brakes import Brakes
from outagecast.engine.house import House
from outagecast.engine.planned import OtherVoice, PlannedRow, Speech, revision_facts
from outagecast.engine.planner import CHUNK, Planner
from outagecast.engine.preview_samples import sample, telling, texts_of
from outagecast.engine.reach import Reach, key_of, reach
from outagecast.engine.reckoned import World
from outagecast.engine.reckoning import Reckoner
from outagecast.engine.scopes import check_scope
from outagecast.engine.words import WordSmith
from outagecast.storage import outages, planning, planning_hearers, planning_things, routes, views_reach
from outagecast.storage.batches import chunks
from outagecast.storage.engine import Connection

SHOWN = 50
MOST_TEXTS = 1_000
"""Above so many texts their segments are counted on a sample: putting 100,000 into words takes half a minute."""
MOST_PLANNED = 5_000
"""Above so many addresses that an open outage has already told, a sample of them is planned."""
KEPT_FOR = timedelta(seconds=20)
"""How long one scope's answer holds while outages and inventory stay: each word typed beside it asks anew."""
PREVIEW = "(new)"


@dataclass(kw_only=True, slots=True)
class Preview:
    """Who would hear what. `suppressed` counts rows that would say nothing, by reason; `unreachable` shows the first
    few. `reached`: the level of each element and site that is touched, by `element:ID` or `site:ID`. `estimated` holds
    "messages" or "segments" where these were scaled from a sample.
    """

    customers: int = 0
    circuits: int = 0
    contacts: int = 0
    by_level: dict[str, dict[str, int]] = field(default_factory=dict)
    channels: dict[str, dict[str, int]] = field(default_factory=dict)
    suppressed: dict[str, int] = field(default_factory=dict)
    unreachable: list[dict[str, Any]] = field(default_factory=list)
    unreachable_count: int = 0
    samples: list[dict[str, Any]] = field(default_factory=list)
    last_leaves_at: dict[str, datetime] = field(default_factory=dict)
    """By when, at the present rate, what waits already and all of this will have left; not of channels that are `cut`,
    for nobody can say.
    """
    ahead: dict[str, int] = field(default_factory=dict)
    cut: tuple[str, ...] = ()
    held_because: str | None = None
    impacts_sample: list[dict[str, Any]] = field(default_factory=list)
    cost: dict[str, Any] | None = None
    reached: dict[str, str] = field(default_factory=dict)
    estimated: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Case:
    """One preview under way."""

    declaration: Declaration
    row: Any
    now: datetime
    world: World
    reach: Reach
    audience: Audience
    speech: Speech


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    """`key`: the state of all outages, that of the inventory, and the scope."""

    key: tuple[Any, ...]
    at: datetime
    reach: Reach
    audience: Audience


class Previewer:
    """`price`: what one SMS segment costs and in which currency, None where it is not told."""

    def __init__(
        self,
        house: House,
        reckoner: Reckoner,
        planner: Planner,
        brakes: Brakes,
        words: WordSmith,
        *,
        price: tuple[float, str] | None = None,
        most_texts: int = MOST_TEXTS,
        most_planned: int = MOST_PLANNED,
    ) -> None:
        self._house = house
        self._reckoner = reckoner
        self._planner = planner
        self._brakes = brakes
        self._words = words
        self._price = price
        self._kept: _Kept | None = None
        self._most_texts = most_texts
        self._most_planned = most_planned

    async def preview(self, declaration: Declaration, *, actor: Actor, customer_id: str = "") -> Preview:
        """Invalid for what the scope names and nobody knows, as `declare` does.

        The samples are three telling ones, or, with `customer_id`, everything that customer would get.
        """
        await check_scope(self._house.db, declaration.scope)
        now = self._house.clock()
        row = _row(declaration, now)
        world = await self._reckoner.world()
        answer = Preview()
        found, heard = await self._heard(world, row.scope, now)
        async with self._house.db.read() as conn:
            case = _Case(
                declaration=declaration, row=row, now=now, world=world, reach=found, audience=heard,
                speech=await self._speech(conn, row, now),
            )  # fmt: skip
            await asyncio.to_thread(_count, answer, case)
            silent = await self._messages(conn, answer, case)
            answer.held_because = await self._held(conn, answer, case, actor)
            await self._missing(conn, answer, case)
            await self._impacts(conn, answer, case)
            speaking = {n: a for n, a in heard.addresses.items() if n not in silent}
            chosen = await self._chosen(conn, speaking, customer_id)
            rows = await self._plan(conn, case, [*chosen, *texts_of(speaking, self._most_texts)])
            answer.ahead = {channel: found.messages for channel, found in (await routes.waiting(conn, now)).items()}
        await asyncio.to_thread(self._words_of, answer, case, rows, chosen)
        return answer

    async def reached(self, scope: Sequence[ScopeEntry]) -> dict[str, str]:
        """The level of each element and site that a scope alone touches: what a map marks."""
        network = await self._reckoner.network()
        async with self._house.db.read() as conn:
            extent = await self._reckoner.extent(conn, [intents.scope_json(entry) for entry in scope], [])
        world = World(generation=0, inventory=0, network=network, extents={}, episodes={})
        found = await reach(self._house.db, world, PREVIEW, extent)
        return _reached(found)

    # --- who ---

    async def _heard(self, world: World, scope: list[dict[str, str]], now: datetime) -> tuple[Reach, Audience]:
        """Whom a scope touches, and who hears of it; the last answer holds while somebody finds his words."""
        key = (world.generation, world.inventory, tuple(tuple(entry.values()) for entry in scope))
        kept = self._kept
        if kept is not None and kept.key == key and timedelta(0) <= now - kept.at < KEPT_FOR:
            return kept.reach, kept.audience
        async with self._house.db.read() as conn:
            extent = await self._reckoner.extent(conn, scope, [])
        found = await reach(self._house.db, world, PREVIEW, extent)
        async with self._house.db.read() as conn:
            heard = await audience(conn, self._house, found)
        self._kept = _Kept(key=key, at=now, reach=found, audience=heard)
        return found, heard

    async def _speech(self, conn: Connection, row: Any, now: datetime) -> Speech:
        others = await outages.open_ones(conn)
        wait = timedelta(seconds=row.next_update_in) if row.next_update_in else None
        promise = now + (wait or self._house.cadence(row.severity).interval(0))
        speaking = Speaking(
            outage_id=row.id,
            verb=Verb.DECLARE,
            at=now,
            to_all=True,
            back_at=now,
            etas={other.id: other.eta for other in others} | {row.id: row.eta},
        )
        voices = {
            o.id: OtherVoice(
                outage_id=o.id, episode=o.episode, severity=o.severity, eta=o.eta, promise=o.next_update_by
            )
            for o in others
        }
        return Speech(
            speaking=speaking,
            episode=1,
            revision=1,
            severity=row.severity,
            promise=promise,
            slow=False,
            carried="",
            others=voices,
        )

    async def _messages(self, conn: Connection, answer: Preview, case: _Case) -> set[int]:
        """Counts messages by channel, and rows that would say nothing, by reason; the addresses of these."""
        blocked = await views_reach.blocked_addresses(conn)
        entangled = await self._entangled(conn, case)
        plain = {n: a for n, a in case.audience.addresses.items() if n not in entangled}
        against = what_stands_against(self._house, case.row.severity, plain, blocked, case.now)
        counted = Counter((address[0], against.get(number)) for number, address in plain.items())
        for (channel, reason), count in counted.items():
            _add(answer, channel, reason, count)
        some = sorted(entangled)
        if len(some) > self._most_planned:
            answer.estimated += ("messages",)
            some = some[:: -(-len(some) // self._most_planned)]
        silent = set(against)
        planned: Counter[tuple[str, str | None]] = Counter()
        for row in await self._plan(conn, case, some):
            planned[row.values["channel"], row.values["reason"] if _is_silent(row) else None] += 1
            if _is_silent(row):
                silent.add(row.values["address_id"])
        for (channel, reason), count in planned.items():
            _add(answer, channel, reason, round(count * len(entangled) / len(some)))
        return silent

    async def _entangled(self, conn: Connection, case: _Case) -> set[int]:
        """The addresses that an open outage has told of something, or would have to be told of it too."""
        others = list(case.speech.others)
        if not others:
            return set()
        told = await views_reach.told_addresses(conn, others)
        troubled = await views_reach.troubled_customers(conn, others)
        touched = case.audience.customers
        found = await planning.addresses_told_about(conn, touched & troubled)
        found |= case.audience.addresses.keys() & told
        found |= {n for n, a in case.audience.addresses.items() if a[1] in troubled}
        found |= {n for n, more in case.audience.joined.items() if not troubled.isdisjoint(more)}
        return found

    async def _plan(self, conn: Connection, case: _Case, address_ids: Iterable[int]) -> list[PlannedRow]:
        """These addresses decided by the planner, as if the outage were there."""
        planned: list[PlannedRow] = []
        for part in chunks(dict.fromkeys(address_ids), CHUNK):
            hearing = await planning_hearers.hearers(conn, part)
            customers = {row.customer_id for row in hearing} & case.audience.customers
            overlay = {
                key_of(line): (*case.reach.answer(line), case.now)
                for customer_id in customers
                for line in case.reach.by_customer[customer_id]
            }
            planned += (await self._planner.decide(conn, case.speech, part, case.now, overlay)).rows
        return [row for row in planned if row.outage_id == PREVIEW]

    async def _held(self, conn: Connection, answer: Preview, case: _Case, actor: Actor) -> str | None:
        brake = await self._brakes.check(
            conn,
            actor=actor,
            customers=answer.customers,
            texts=answer.channels.get(ChannelName.SMS.value, {}).get("messages", 0),
            message=case.declaration.message,
            now=case.now,
        )
        return brake.value if brake else None

    async def _missing(self, conn: Connection, answer: Preview, case: _Case) -> None:
        nobody = case.audience.unreachable
        answer.unreachable_count = len(nobody)
        if rows := len(nobody) + case.audience.lacking:
            answer.suppressed["no_address"] = rows
        names = await planning_things.customer_names(conn, nobody[:SHOWN])
        answer.unreachable = [{"customer_id": c, "name": names.get(c, c)} for c in nobody[:SHOWN]]

    async def _impacts(self, conn: Connection, answer: Preview, case: _Case) -> None:
        """The first few lines, the worst first, each with the chain that leads to it."""
        lines = (line for customer_id in case.audience.customers for line in case.reach.by_customer[customer_id])
        mine = heapq.nsmallest(SHOWN, lines, key=lambda line: (-case.reach.answer(line)[0], line[2], line[1]))
        words = await planning_things.words_for(conn, [key_of(line) for line in mine])
        for line in mine:
            key = key_of(line)
            told = words.get(key)
            answer.impacts_sample.append(
                {
                    "thing": f"{key.kind}:{key.id}",
                    "label": told.label if told else key.id,
                    "customer": told.customer if told else key.customer_id,
                    "customer_id": key.customer_id,
                    "level": case.reach.answer(line)[0].word,
                    "because": list(case.reach.because(line)),
                }
            )

    # --- what they read ---

    async def _chosen(self, conn: Connection, speaking: Mapping[int, Address], customer_id: str) -> list[int]:
        if not customer_id:
            return telling(speaking)
        hearing = await planning_hearers.addresses_hearing(conn, [customer_id], self._house.channels)
        return sorted(hearing)

    def _words_of(self, answer: Preview, case: _Case, rows: list[PlannedRow], chosen: Sequence[int]) -> None:
        facts = freeze(revision_facts(case.row, 1, said_at=case.now, message=case.declaration.message))
        said = {r.values["address_id"]: r for r in rows if not _is_silent(r)}
        texts = [r for r in said.values() if r.values["channel"] == ChannelName.SMS.value]
        total = answer.channels.get(ChannelName.SMS.value, {}).get("messages", 0)
        if total and texts:
            units = [segments(m.body) for r in texts if isinstance(m := self._render(r, facts), SmsMessage)]
            answer.channels[ChannelName.SMS.value]["segments"] = round(sum(units) * total / len(units))
            if len(units) != total:
                answer.estimated += ("segments",)
            if self._price is not None:
                amount = answer.channels[ChannelName.SMS.value]["segments"] * self._price[0]
                answer.cost = {"amount": round(amount, 2), "currency": self._price[1]}
        for channel, count in answer.channels.items():
            if ChannelName(channel) in self._house.flow.cut:
                answer.cut += (channel,)
                continue
            before = answer.ahead.get(channel, 0)
            answer.last_leaves_at[channel] = case.now + self._house.wave({channel: before + count["messages"]})
        answer.samples = [sample(said[n], self._render(said[n], facts)) for n in chosen if n in said]

    def _render(self, planned: PlannedRow, facts: Mapping[str, Any]) -> Message:
        row = SimpleNamespace(**planned.values, id=0, attempt=0)
        return self._words.message(row, facts)


def _row(declaration: Declaration, now: datetime) -> Any:
    return SimpleNamespace(
        id=PREVIEW,
        number=0,
        title=declaration.title,
        status=declaration.status.value,
        severity=declaration.severity.value,
        effect=declaration.effect.value,
        cause=declaration.cause,
        eta=declaration.eta,
        at_risk_until=declaration.at_risk_until,
        started_at=min(declaration.started_at or now, now),
        scope=[intents.scope_json(entry) for entry in declaration.scope],
        restored=[],
        episode=1,
        words=0,
        next_update_by=None,
        next_update_in=declaration.next_update_in,
    )


def _count(answer: Preview, case: _Case) -> None:
    """Customers and lines by level, each customer at its worst."""
    customers: dict[Level, int] = {}
    lines: dict[Level, int] = {}
    for customer_id in case.audience.customers:
        levels = case.reach.levels[customer_id]
        worst = max(levels)
        customers[worst] = customers.get(worst, 0) + 1
        for level in levels:
            lines[level] = lines.get(level, 0) + 1
    answer.customers, answer.circuits = len(case.audience.customers), sum(lines.values())
    answer.contacts = len(case.audience.contacts)
    contacts = Counter(case.audience.contacts.values())
    answer.by_level = {
        level.word: {"customers": customers.get(level, 0), "circuits": lines[level], "contacts": contacts[level]}
        for level in sorted(lines, reverse=True)
    }
    answer.reached = _reached(case.reach)


def _reached(found: Reach) -> dict[str, str]:
    return {f"element:{thing_id}": level.word for thing_id, level in found.alone.elements.items()} | {
        f"site:{thing_id}": level.word for thing_id, level in found.alone.sites.items()
    }


def _add(answer: Preview, channel: str, reason: str | None, count: int) -> None:
    if reason is not None:
        answer.suppressed[reason] = answer.suppressed.get(reason, 0) + count
        return
    counts = answer.channels.setdefault(channel, {"messages": 0})
    counts["messages"] += count


def _is_silent(row: PlannedRow) -> bool:
    return bool(row.values["state"] == DeliveryState.SUPPRESSED.value)
