"""What a declaration would do, nothing stored: the same reckoning and planning as the real one, thrown away."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.facts import freeze
from outagecast.domain.message import ChannelName, EmailMessage, Message, SmsMessage
from outagecast.domain.notices import Speaking
from outagecast.domain.outage import Actor, Declaration, Verb
from outagecast.domain.sms import segments
from outagecast.engine import intents
from outagecast.engine.brakes import Brakes
from outagecast.engine.effects import Effects, Prepared, touched_counts
from outagecast.engine.house import House
from outagecast.engine.planner import CHUNK, OtherVoice, PlannedRow, Planner, Speech, revision_facts
from outagecast.engine.scopes import check_scope
from outagecast.engine.words import WordSmith
from outagecast.storage import outages, planning
from outagecast.storage.batches import chunks
from outagecast.storage.engine import Connection

SHOWN = 50
SAMPLED_CHUNKS = 10
"""Above this many chunks of addresses the segments are counted on a sample and scaled: rendering 100,000 texts takes
seconds.
"""


@dataclass(kw_only=True, slots=True)
class Preview:
    """Who would hear what. `suppressed` counts rows that would say nothing, by reason; `unreachable` shows the first
    few.
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
    held_because: str | None = None
    impacts_sample: list[dict[str, Any]] = field(default_factory=list)
    cost: dict[str, Any] | None = None


class Previewer:
    """`price`: what one SMS segment costs and in which currency, None where it is not told."""

    def __init__(
        self,
        house: House,
        effects: Effects,
        planner: Planner,
        brakes: Brakes,
        words: WordSmith,
        *,
        price: tuple[float, str] | None = None,
    ) -> None:
        self._house = house
        self._effects = effects
        self._planner = planner
        self._brakes = brakes
        self._words = words
        self._price = price

    async def preview(self, declaration: Declaration, *, actor: Actor) -> Preview:
        """Invalid for what the scope names and nobody knows, as `declare` does."""
        await check_scope(self._house.db, declaration.scope)
        now = self._house.clock()
        row = _row(declaration, now)
        prepared = await self._effects.prepare(row, intents.declare(row, intents.declaration_json(declaration)))
        answer = Preview()
        async with self._house.db.read() as conn:
            speech = await self._speech(conn, row, now)
            planned = await self._plan(conn, prepared, speech, now)
            self._count(answer, prepared, planned)
            answer.held_because = await self._held(conn, prepared, planned, declaration, actor, now)
            await self._missing(conn, answer, prepared, speech, now)
            await self._impacts(conn, answer, prepared)
            hearing = await planning.contacts_hearing(conn, {key.customer_id for key in prepared.reckoned.touched})
        answer.contacts = hearing
        self._words_of(answer, row, planned, now, declaration.message)
        return answer

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

    async def _plan(self, conn: Connection, prepared: Prepared, speech: Speech, now: datetime) -> list[PlannedRow]:
        reckoned = prepared.reckoned
        overlay = {
            key: (level, reckoned.touching.get(key, (speech.speaking.outage_id,)), now)
            for key, level in reckoned.touched.items()
        }
        touched = {key.customer_id for key in overlay}
        targets = await self._planner.targets(conn, speech, reckoned.customers, touched=touched)
        planned: list[PlannedRow] = []
        for part in chunks(targets, CHUNK):
            planned += (await self._planner.decide(conn, speech, part, now, overlay)).rows
        return [row for row in planned if row.outage_id == speech.speaking.outage_id]

    def _count(self, answer: Preview, prepared: Prepared, planned: list[PlannedRow]) -> None:
        touched = prepared.reckoned.touched
        answer.customers = len({key.customer_id for key in touched})
        answer.circuits = len(touched)
        answer.by_level = touched_counts(touched)
        for row in planned:
            if row.values["state"] == DeliveryState.SUPPRESSED.value:
                reason = row.values["reason"]
                answer.suppressed[reason] = answer.suppressed.get(reason, 0) + 1
            else:
                count = answer.channels.setdefault(row.values["channel"], {"messages": 0})
                count["messages"] += 1

    async def _held(
        self,
        conn: Connection,
        prepared: Prepared,
        planned: list[PlannedRow],
        declaration: Declaration,
        actor: Actor,
        now: datetime,
    ) -> str | None:
        texts = sum(1 for row in planned if row.values["channel"] == ChannelName.SMS.value)
        customers = {new.key.customer_id for new in prepared.reckoned.open if new.fresh}
        brake = await self._brakes.check(
            conn, actor=actor, customers=len(customers), texts=texts, message=declaration.message, now=now
        )
        return brake.value if brake else None

    async def _missing(
        self, conn: Connection, answer: Preview, prepared: Prepared, speech: Speech, now: datetime
    ) -> None:
        missing = await self._planner.missing(conn, speech, prepared.reckoned.touched, now)
        nobody = [row["customer_id"] for row in missing if row["contact_id"] is None]
        answer.unreachable_count = len(nobody)
        if missing:
            answer.suppressed["no_address"] = len(missing)
        names = await planning.customer_names(conn, nobody[:SHOWN])
        answer.unreachable = [{"customer_id": c, "name": names.get(c, c)} for c in nobody[:SHOWN]]

    async def _impacts(self, conn: Connection, answer: Preview, prepared: Prepared) -> None:
        mine = [new for new in prepared.reckoned.open if new.outage_id == PREVIEW][:SHOWN]
        words = await planning.words_for(conn, [new.key for new in mine])
        for new in mine:
            told = words.get(new.key)
            answer.impacts_sample.append(
                {
                    "thing": f"{new.key.kind}:{new.key.id}",
                    "label": told.label if told else new.key.id,
                    "customer": told.customer if told else new.key.customer_id,
                    "customer_id": new.key.customer_id,
                    "level": new.level.word,
                    "because": list(new.because),
                }
            )

    def _words_of(self, answer: Preview, row: Any, planned: list[PlannedRow], now: datetime, message: str) -> None:
        facts = freeze(revision_facts(row, 1, said_at=now, message=message))
        said = [r for r in planned if r.values["state"] == DeliveryState.PLANNED.value]
        texts = [r for r in said if r.values["channel"] == ChannelName.SMS.value]
        step = max(1, len(texts) // (SAMPLED_CHUNKS * CHUNK))
        counted = [self._render(r, facts) for r in texts[::step]]
        units = sum(segments(m.body) for m in counted if isinstance(m, SmsMessage))
        if texts:
            total = round(units * len(texts) / max(1, len(counted)))
            answer.channels[ChannelName.SMS.value]["segments"] = total
            if self._price is not None:
                answer.cost = {"amount": round(total * self._price[0], 2), "currency": self._price[1]}
        for channel, count in answer.channels.items():
            answer.last_leaves_at[channel] = now + self._house.wave({channel: count["messages"]})
        answer.samples = [_sample(r, self._render(r, facts)) for r in _telling(said)]

    def _render(self, planned: PlannedRow, facts: Mapping[str, Any]) -> Message:
        row = SimpleNamespace(**planned.values, id=0, attempt=0)
        return self._words.message(row, facts)


PREVIEW = "(new)"


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


def _telling(said: list[PlannedRow]) -> list[PlannedRow]:
    """Three that tell most: a typical one (one line, mail), the one with most to say, and one with an odd alphabet
    or a text.
    """
    if not said:
        return []
    mails = [r for r in said if r.values["channel"] == ChannelName.EMAIL.value] or said
    longest = max(mails, key=lambda r: len(r.utterance.lines))
    odd = next((r for r in said if not str(r.values["facts"].get("name", "")).isascii()), None)
    text = next((r for r in said if r.values["channel"] == ChannelName.SMS.value), None)
    chosen: list[PlannedRow] = []
    for row in (mails[0], text, longest, odd, *said):
        if row is not None and all(row is not other for other in chosen):
            chosen.append(row)
    return chosen[:3]


def _sample(planned: PlannedRow, message: Message) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "channel": planned.values["channel"],
        "to": planned.values["to"],
        "name": planned.values["facts"].get("name", ""),
        "subject": "",
        "text": "",
        "html": "",
    }
    if isinstance(message, EmailMessage):
        return shown | {"subject": message.subject, "text": message.text, "html": message.html}
    return shown | {"text": message.body, "segments": segments(message.body)}
