"""What a change would say, and to whom, before it is made: newly told, back, free. Nothing is written.

The very reckoning and planning that the change will pass through, on the impacts as they would be afterwards; what is
shown here is therefore what is planned then (a test holds the two together), unless the world moves between.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.facts import RevisionFacts, freeze
from outagecast.domain.levels import Level
from outagecast.domain.message import ChannelName, EmailMessage, Message, SmsMessage
from outagecast.domain.notices import Speaking, ThingKey
from outagecast.domain.outage import OutageStatus, Verb
from outagecast.domain.sms import segments
from outagecast.engine import intents, missing, records
from outagecast.engine.effects import Effects, Prepared
from outagecast.engine.house import House
from outagecast.engine.intents import Intent
from outagecast.engine.news import Heard, News, heard, reckoned_news
from outagecast.engine.planned import PlannedRow, Speech, revision_facts
from outagecast.engine.planner import CHUNK, Planner
from outagecast.engine.speeches import others_than
from outagecast.engine.words import WordSmith
from outagecast.storage import differences, outages, planning_things
from outagecast.storage.batches import Record, chunks
from outagecast.storage.engine import Connection

LIMIT = 20_000
"""Addresses planned for a look; above it only what the reckoning says is shown, without the messages."""
SHOWN = 50
"""Names of one group."""
SAMPLES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Affected:
    """One customer of a group: `lines` are the labels of his circuits and services that the change is about."""

    customer_id: str
    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The customers for whom the same is new; `first` names some of them."""

    news: News
    customers: int
    first: tuple[Affected, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """`told`: customers who hear anything; each is in one group. `messages` by channel; `silent`: rows that say
    nothing, by reason. `more`, `fewer`: circuits and services newly touched, and touched no more. `exact`: planned to
    the last message, else the groups count whom the reckoning touches. `held_because`: the brake that would hold it.
    """

    groups: tuple[Group, ...]
    told: int
    messages: Mapping[str, int]
    silent: Mapping[str, int]
    more: int
    fewer: int
    exact: bool
    samples: tuple[Mapping[str, Any], ...] = ()
    """The real messages to one recipient of each kind: channel, to, name, subject, text."""
    held_because: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """A change, reckoned and planned and not made."""

    prepared: Prepared
    planned: tuple[PlannedRow, ...]
    missing: tuple[Mapping[str, Any], ...]
    exact: bool
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What it would say to all (RevisionFacts)."""


class Differences:
    """`words`: puts samples into words; without it there are none."""

    def __init__(
        self,
        house: House,
        effects: Effects,
        planner: Planner,
        words: WordSmith | None = None,
        *,
        limit: int = LIMIT,
    ) -> None:
        self._house = house
        self._effects = effects
        self._planner = planner
        self._words = words
        self._limit = limit

    async def look(self, outage_id: str, verb: Verb, change: Mapping[str, Any]) -> Looked:
        """`change` as the revision would keep it (intents.change_json …). Invalid and Conflict as the verb itself."""
        async with self._house.db.read() as conn:
            row = await records.outage_row(conn, outage_id)
        intents.check_status(OutageStatus(row.status), verb)
        now = self._house.clock()
        intent = self._intent(row, verb, change, now)
        prepared = await self._effects.prepare(row, intent)
        async with self._house.db.read() as conn:
            after = SimpleNamespace(**{**row._mapping, **intent.values})
            speech = await self._speech(conn, after, intent, now)
            if not intent.speaks:
                return Looked(prepared=prepared, planned=(), missing=(), exact=True)
            overlay = await self._overlay(conn, prepared, now)
            touched = {key.customer_id for key in prepared.reckoned.touched}
            if intent.to_all and not intent.reckons:
                touched = await outages.impacted_customers(conn, outage_id, row.episode)
            targets = await self._planner.targets(conn, speech, prepared.reckoned.customers, touched=touched)
            if len(targets) > self._limit:
                return Looked(prepared=prepared, planned=(), missing=(), exact=False)
            planned: list[PlannedRow] = []
            for part in chunks(targets, CHUNK):
                planned += (await self._planner.decide(conn, speech, part, now, overlay)).rows
            newly = {new.key: new.level for new in prepared.reckoned.open if new.outage_id == outage_id}
            lacking = await missing.missing(conn, self._house, speech, newly, now)
            if intent.verb is Verb.MERGE:
                lacking += await self._taken_over(conn, intent.values["merged_into"], speech, prepared, now)
        return Looked(
            prepared=prepared,
            planned=tuple(planned),
            missing=tuple(lacking),
            exact=True,
            facts=freeze(_facts(after, intent, now)),
        )

    async def _taken_over(
        self, conn: Connection, into: str, speech: Speech, prepared: Prepared, now: datetime
    ) -> list[dict[str, Any]]:
        """Those nobody can write to count with the outage that takes them over."""
        other = await records.outage_row(conn, into)
        taken = {new.key: new.level for new in prepared.reckoned.open if new.outage_id == into}
        speaking = replace(speech.speaking, outage_id=into)
        theirs = replace(speech, speaking=speaking, episode=other.episode, revision=other.revision)
        return await missing.missing(conn, self._house, theirs, taken, now)

    async def difference(self, outage_id: str, looked: Looked, held_because: str | None = None) -> Difference:
        """The same for people: groups with names and numbers."""
        reckoned = looked.prepared.reckoned
        fresh = {new.key for new in reckoned.open if new.outage_id == outage_id and new.fresh}
        kept = {new.key for new in reckoned.open if new.outage_id == outage_id and not new.fresh}
        async with self._house.db.read() as conn:
            ending = await differences.closing(conn, reckoned.close)
            gone = {key for whose, key in ending if whose == outage_id} - kept
            never = looked.prepared.intent.never
            found = heard(outage_id, looked.planned) if looked.exact else reckoned_news(fresh, gone, never=never)
            groups = [await self._group(conn, news, found) for news in News]
        said = Counter(row.values["channel"] for row in looked.planned if row.values["state"] == _PLANNED)
        silent = Counter(row.values["reason"] for row in looked.planned if row.values["state"] != _PLANNED)
        silent.update(row["reason"] for row in looked.missing)
        return Difference(
            groups=tuple(group for group in groups if group.customers),
            told=len(found),
            messages=dict(said),
            silent=dict(silent),
            more=len(fresh),
            fewer=len(gone),
            exact=looked.exact,
            samples=tuple(self._samples(outage_id, looked)),
            held_because=held_because,
        )

    def _samples(self, outage_id: str, looked: Looked) -> Iterator[Mapping[str, Any]]:
        """One message for each kind of news, the mail before the text; none in another outage's voice."""
        if self._words is None:
            return
        shown: dict[str, PlannedRow] = {}
        for row in sorted(looked.planned, key=lambda each: each.values["channel"]):
            if row.values["state"] == _PLANNED and row.outage_id == outage_id:
                shown.setdefault(row.utterance.kind.value, row)
        texts = (row for row in looked.planned if row.values["channel"] == ChannelName.SMS.value)
        text = next((row for row in texts if row.values["state"] == _PLANNED and row.outage_id == outage_id), None)
        chosen = [*shown.values()][: SAMPLES - 1] + ([text] if text is not None else [])
        for row in chosen:
            message = self._words.message(SimpleNamespace(**row.values, id=0, attempt=0), looked.facts)
            yield _sample(row, message)

    def _intent(self, row: Record, verb: Verb, change: Mapping[str, Any], now: datetime) -> Intent:
        match verb:
            case Verb.UPDATE:
                return intents.update(row, change, self._house.cadence(row.severity))
            case Verb.RESTORE:
                return intents.restore(row, change)
            case Verb.RESOLVE | Verb.RETRACT | Verb.MERGE:
                return intents.end(row, verb, change, now)
            case Verb.REOPEN:
                return intents.reopen(row, change, now)
            case Verb.DECLARE | Verb.HOLDING | Verb.PASS_LEAD | Verb.REDELIVER:
                raise AssertionError(f"{verb} is not a change that somebody looks at")

    async def _speech(self, conn: Connection, row: Any, intent: Intent, now: datetime) -> Speech:
        others = await others_than(conn, row.id)
        promise = self._promise(row, intent, now)
        speaking = Speaking(
            outage_id=row.id,
            verb=intent.verb,
            at=now,
            to_all=intent.to_all,
            never=intent.never,
            back_at=min(intent.back_at or now, now),
            combine_late=self._house.notices.late_acknowledgement == "combined",
            etas=dict(others.etas) | {row.id: row.eta},
        )
        return Speech(
            speaking=speaking,
            episode=row.episode,
            revision=row.revision + 1,
            severity=row.severity,
            promise=promise,
            slow=promise is None,
            carried="",
            others=others.voices,
        )

    def _promise(self, row: Any, intent: Intent, now: datetime) -> datetime | None:
        if intent.ends:
            return None
        if not intent.promises:
            promise: datetime | None = row.next_update_by
            return promise
        return now + (intent.next_update_in or self._house.cadence(row.severity).interval(row.words))

    async def _overlay(
        self, conn: Connection, prepared: Prepared, now: datetime
    ) -> dict[ThingKey, tuple[Level, tuple[str, ...], datetime | None]]:
        """How things would be: level, touching outages (the first declared first) and since, for what changes."""
        reckoned = prepared.reckoned
        opened: dict[ThingKey, list[tuple[str, Level, datetime]]] = {}
        for new in reckoned.open:
            opened.setdefault(new.key, []).append((new.outage_id, new.level, now))
        ending = set(reckoned.close)
        keys = set(opened) | {key for _, key in await differences.closing(conn, ending)}
        after = {key: opened.get(key, []) for key in keys}
        for row in await outages.open_impacts_of_things(conn, {key.id for key in keys}):
            key = ThingKey(row.thing_kind, row.thing_id, row.customer_id)
            if key in after and row.id not in ending:
                after[key].append((row.outage_id, Level(row.level), row.from_at))
        return {key: _now(rows) for key, rows in after.items()}

    async def _group(self, conn: Connection, news: News, found: Mapping[str, Heard]) -> Group:
        mine = sorted(customer for customer, each in found.items() if each.news is news)
        names = await planning_things.customer_names(conn, mine[:SHOWN])
        first = [Affected(customer_id=c, name=names.get(c, c), lines=found[c].lines) for c in mine[:SHOWN]]
        return Group(news=news, customers=len(mine), first=tuple(sorted(first, key=lambda each: each.name)))


def _facts(row: Any, intent: Intent, now: datetime) -> RevisionFacts:
    """What the revision would say to all, as engine/effects.py freezes it."""
    return revision_facts(
        row,
        row.revision + 1,
        said_at=now,
        message=intent.message,
        ended_at=row.ended_at if intent.ends else None,
        retract_reason=intent.retract_reason if intent.ends else "not_affected" if intent.never else "",
    )


def _sample(row: PlannedRow, message: Message) -> Mapping[str, Any]:
    to = {"channel": row.values["channel"], "to": row.values["to"], "name": row.values["facts"].get("name", "")}
    match message:
        case EmailMessage():
            return to | {"subject": message.subject, "text": message.text}
        case SmsMessage():
            return to | {"subject": "", "text": message.body, "segments": segments(message.body)}


def _now(rows: Sequence[tuple[str, Level, datetime]]) -> tuple[Level, tuple[str, ...], datetime | None]:
    if not rows:
        return Level.NO_IMPACT, (), None
    touching = sorted({outage_id for outage_id, _, _ in rows}, key=_number)
    return max(level for _, level, _ in rows), tuple(touching), min(since for _, _, since in rows)


def _number(outage_id: str) -> int:
    """`OUT-2026-0012` is the twelfth: numbers go on over the years."""
    return int(outage_id.rpartition("-")[2])


_PLANNED = DeliveryState.PLANNED.value
