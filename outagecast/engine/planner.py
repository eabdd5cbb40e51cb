"""From a revision that takes effect to outbox rows: reads what is and what was told, asks the domain, writes the
answer.

Addresses are planned in chunks, each read, decided off the event loop and written. `speak` runs inside the verb's
transaction, or, above the wave limit, inside the transactions of its chunks; both give the same rows, because a plan
compares states and depends on nothing that the other chunks do.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.facts import Line, OwnFacts, RevisionFacts, freeze
from outagecast.domain.levels import Level
from outagecast.domain.message import ChannelName
from outagecast.domain.notices import (
    END_KINDS,
    NO_HISTORY,
    AddressHistory,
    Lead,
    NoticeKind,
    NoticeReason,
    Role,
    Speaking,
    ThingKey,
    ThingNow,
    Utterance,
)
from outagecast.domain.outage import DAEMON, RevisionState, Verb
from outagecast.domain.plan import plan
from outagecast.domain.recipients import AddressState, Hearer, Wishes, hears, screen, spokesman, wishes
from outagecast.domain.suppression import EndReason, SuppressReason
from outagecast.domain.timeline import Happened
from outagecast.engine.house import House
from outagecast.storage import outages, planning
from outagecast.storage.batches import chunks
from outagecast.storage.engine import Connection, in_thread
from outagecast.storage.planning import ThingWords

CHUNK = 500
"""Addresses decided at a time: a few ten milliseconds of work off the loop, some thousand rows in one statement."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherVoice:
    """Another open outage that may have to speak because of this revision."""

    outage_id: str
    episode: int
    severity: str
    eta: datetime | None
    promise: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Speech:
    """One revision about to be said, and what its messages promise."""

    speaking: Speaking
    episode: int
    revision: int
    severity: str
    promise: datetime | None
    slow: bool
    carried: str
    others: Mapping[str, OtherVoice]

    @property
    def episodes(self) -> dict[str, int]:
        return {self.speaking.outage_id: self.episode} | {o: v.episode for o, v in self.others.items()}


@dataclass(kw_only=True, slots=True)
class Said:
    """What a speech came to so far. `voices`: the revision number under which each other outage spoke."""

    voices: dict[str, int] = field(default_factory=dict)
    newly_told: set[str] = field(default_factory=set)
    rows: int = 0
    in_wave: bool = False
    """Too many for one transaction: chunks follow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRow:
    """An outbox row before its revision number is known (another outage's voice gets its own)."""

    outage_id: str
    values: dict[str, Any]
    customers: tuple[str, ...]
    utterance: Utterance


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """Everything read about one chunk of addresses."""

    addresses: Mapping[int, Any]
    hearers: Mapping[int, tuple[Hearer, ...]]
    things: Mapping[ThingKey, tuple[Level, tuple[str, ...], datetime]]
    words: Mapping[ThingKey, ThingWords]
    told: Mapping[int, Mapping[ThingKey, Sequence[Lead]]]
    histories: Mapping[int, Mapping[str, AddressHistory]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    rows: list[PlannedRow]
    leads: list[dict[str, Any]]


class Planner:
    """Plans what one revision says, to which addresses."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def targets(
        self, conn: Connection, speech: Speech, changed: Iterable[str], *, touched: Iterable[str]
    ) -> list[int]:
        """The addresses a revision has to look at: those of whom something changed, and, where it has a word for all,
        everybody it touches, leads or still owes a message.
        """
        outage_id = speech.speaking.outage_id
        customers = set(changed)
        found: set[int] = await planning.addresses_told_about(conn, customers)
        if speech.speaking.to_all:
            customers |= set(touched)
            found |= await planning.addresses_led(conn, outage_id, speech.episode)
            found |= await planning.addresses_waiting(conn, outage_id, speech.episode)
        found.update(await planning.addresses_hearing(conn, customers, self._house.channels))
        return sorted(found)

    async def speak(
        self, conn: Connection, speech: Speech, address_ids: Sequence[int], said: Said, now: datetime
    ) -> None:
        """Plan and write the rows for these addresses; what has not left before is superseded by its newer form."""
        for part in chunks(address_ids, CHUNK):
            decided = await self.decide(conn, speech, part, now)
            await self._write(conn, speech, part, decided, said, now)

    async def decide(
        self,
        conn: Connection,
        speech: Speech,
        part: Sequence[int],
        now: datetime,
        overlay: Mapping[ThingKey, Any] | None = None,
    ) -> Decided:
        """Read and decide for one chunk, writing nothing. `overlay` adds impacts that are only supposed (a preview)."""
        findings = await self._read(conn, speech, part, overlay or {})
        if in_thread(conn):
            return self._decide(speech, part, findings, now)
        return await asyncio.to_thread(self._decide, speech, part, findings, now)

    async def unreachable(
        self, conn: Connection, speech: Speech, touched: Mapping[ThingKey, Level], now: datetime
    ) -> None:
        """A row for each touched customer nobody can write to, and each contact without the address it asks for."""
        rows = await self.missing(conn, speech, touched, now)
        await planning.add_deliveries(conn, rows, [(row["customer_id"],) for row in rows])

    async def missing(
        self, conn: Connection, speech: Speech, touched: Mapping[ThingKey, Level], now: datetime
    ) -> list[dict[str, Any]]:
        """The NO_ADDRESS rows of a revision; those this episode already has are left out."""
        worst: dict[str, Level] = {}
        for key, level in touched.items():
            worst[key.customer_id] = max(level, worst.get(key.customer_id, Level.NO_IMPACT))
        told_by_default = self._house.default_wishes("").notify
        heard = [customer_id for customer_id, level in worst.items() if level in told_by_default]
        known = await planning.no_address_rows(conn, speech.speaking.outage_id, speech.episode)
        pairs: list[tuple[str, str | None, str]] = [
            (customer_id, None, "") for customer_id in await planning.unreachable(conn, heard, self._house.channels)
        ]
        lacking = await planning.contacts_without(conn, heard, self._house.channels)
        pairs += [(row.customer_id, row.contact_id, row.channel) for row in lacking]
        return [
            self._no_address(speech, customer_id, contact_id, channel, now)
            for customer_id, contact_id, channel in pairs
            if (customer_id, contact_id) not in known
        ]

    # --- reading ---

    async def _read(
        self, conn: Connection, speech: Speech, part: Sequence[int], overlay: Mapping[ThingKey, Any]
    ) -> Findings:
        addresses = await planning.address_rows(conn, part)
        hearers = await self._hearers(conn, part)
        told = await planning.told(conn, part, speech.episodes)
        customers = {h.customer_id for group in hearers.values() for h in group}
        customers |= {key.customer_id for by_key in told.values() for key in by_key}
        things = _things(await planning.open_things(conn, customers), overlay, customers)
        keys = set(things) | {key for by_key in told.values() for key in by_key}
        return Findings(
            addresses=addresses,
            hearers=hearers,
            things=things,
            words=await planning.words_for(conn, keys),
            told=told,
            histories=await planning.histories(conn, part, speech.episodes),
        )

    async def _hearers(self, conn: Connection, part: Sequence[int]) -> dict[int, tuple[Hearer, ...]]:
        found: dict[int, list[Hearer]] = {}
        known: dict[tuple[str, ...], Wishes] = {}  # most contacts wish for the same
        for row in await planning.hearers(conn, part):
            cells = (row.notify, row.channels, row.quiet_hours, row.wake_for)
            wanted = known.get((*cells, row.tier))
            if wanted is None:
                wanted = known[*cells, row.tier] = wishes(*cells, self._house.default_wishes(row.tier))
            channel = ChannelName(row.channel)
            found.setdefault(row.address_id, []).append(
                Hearer(
                    address_id=row.address_id,
                    channel=channel,
                    contact_id=row.contact_id,
                    name=row.name,
                    customer_id=row.customer_id,
                    language=row.language or row.customer_language or self._house.provider_language,
                    zone=row.timezone or row.customer_timezone,
                    wishes=wanted,
                    active=row.status == planning.ACTIVE,
                )
            )
        return {address_id: tuple(group) for address_id, group in found.items()}

    # --- deciding, off the loop ---

    def _decide(self, speech: Speech, part: Sequence[int], findings: Findings, now: datetime) -> Decided:
        decided = Decided(rows=[], leads=[])
        by_customer: dict[str, list[ThingKey]] = {}
        for key in findings.things:
            by_customer.setdefault(key.customer_id, []).append(key)
        for address_id in part:
            group = findings.hearers.get(address_id, ())
            if group:
                self._decide_address(speech, address_id, group, findings, by_customer, now, decided)
        return decided

    def _decide_address(
        self,
        speech: Speech,
        address_id: int,
        group: tuple[Hearer, ...],
        findings: Findings,
        by_customer: Mapping[str, list[ThingKey]],
        now: datetime,
        decided: Decided,
    ) -> None:
        told = {key: tuple(prior) for key, prior in findings.told.get(address_id, {}).items()}
        wanting = tuple(h for h in group if h.active and h.channel in h.wishes.channels)
        keys = dict.fromkeys(key for h in group for key in by_customer.get(h.customer_id, ()))
        keys.update(dict.fromkeys(told))
        heard = [
            (thing, _as_heard(wanting, thing, told.get(key, ())))
            for key in keys
            if (thing := _thing(key, findings)) is not None
        ]
        address = _address_state(findings.addresses[address_id])
        history = _unblocked(findings.histories.get(address_id, {}), address, bool(wanting))
        answer = plan(speech.speaking, heard, told, history)
        speaker = spokesman(wanting or group)
        for utterance in answer.utterances:
            decided.rows.append(self._row(speech, utterance, speaker, address, history, findings, now))
        episodes = speech.episodes
        decided.leads.extend(_lead_values(episodes, address_id, speaker.contact_id, lead) for lead in answer.leads)

    def _row(
        self,
        speech: Speech,
        utterance: Utterance,
        speaker: Hearer,
        address: AddressState,
        history: Mapping[str, AddressHistory],
        findings: Findings,
        now: datetime,
    ) -> PlannedRow:
        own = utterance.outage_id == speech.speaking.outage_id
        other = None if own else speech.others[utterance.outage_id]
        end = utterance.kind in END_KINDS
        promise = None if end else speech.promise if other is None else other.promise
        severity = speech.severity if other is None else other.severity
        zone = speaker.zone or _site_zone(utterance.lines, findings) or self._house.provider_zone
        if zone != speaker.zone and speaker.wishes.quiet_hours is not None:
            speaker = replace(speaker, zone=zone)
        verdict = screen(
            kind=utterance.kind,
            why=utterance.reason,
            silent=utterance.silent,
            worst=max((_weight(line, end) for line in utterance.lines), default=Level.NO_IMPACT),
            hearer=speaker,
            address=address,
            sms_kinds=self._house.cadences[severity].sms_kinds,
            now=now,
        )
        waiting = history.get(utterance.outage_id, NO_HISTORY).waiting
        facts = OwnFacts(
            kind=utterance.kind.value,
            name=speaker.name,
            language=speaker.language,
            zone=zone,
            lines=utterance.lines,
            eta_state=utterance.eta_state,
            was_eta=utterance.was_eta,
            promise=promise,
            first=utterance.first,
            combined=utterance.combined,
            slow=promise is None and not end,
            eta_passed=own and speech.speaking.eta_passed,
            repaired_at=utterance.repaired_at,
            carried=speech.carried if own and waiting - {NoticeKind.HOLDING} else "",
            address_ref=speaker.address_id,
        )
        covered = utterance.reason is NoticeReason.COVERED
        suppressed = verdict.state is DeliveryState.SUPPRESSED
        customers = tuple(dict.fromkeys(line.customer_id for line in utterance.lines)) or (speaker.customer_id,)
        values = {
            "outage_id": utterance.outage_id,
            "episode": speech.episode if other is None else other.episode,
            "revision": speech.revision,
            "kind": utterance.kind.value,
            "audience": "customer",
            "channel": speaker.channel.value,
            "address_id": speaker.address_id,
            "to": address.value,
            "customer_id": customers[0],
            "contact_id": speaker.contact_id,
            "state": verdict.state.value,
            "reason": verdict.reason.value if verdict.reason else None,
            "due_at": verdict.due_at,
            "expires_at": promise,
            "created_at": now,
            "ended_at": now if suppressed else None,
            "eta": speech.speaking.etas.get(utterance.outage_id),
            "promise": promise,
            "facts": None if covered else freeze(facts),
        }
        return PlannedRow(outage_id=utterance.outage_id, values=values, customers=customers, utterance=utterance)

    def _no_address(
        self, speech: Speech, customer_id: str, contact_id: str | None, channel: str, now: datetime
    ) -> dict[str, Any]:
        return {
            "outage_id": speech.speaking.outage_id,
            "episode": speech.episode,
            "revision": speech.revision,
            "kind": NoticeKind.ACKNOWLEDGEMENT.value,
            "audience": "customer",
            "channel": channel,
            "address_id": None,
            "to": "",
            "customer_id": customer_id,
            "contact_id": contact_id,
            "state": DeliveryState.SUPPRESSED.value,
            "reason": SuppressReason.NO_ADDRESS.value,
            "due_at": now,
            "expires_at": None,
            "created_at": now,
            "ended_at": now,
            "eta": None,
            "promise": None,
            "facts": None,
        }

    # --- writing ---

    async def _write(
        self, conn: Connection, speech: Speech, part: Sequence[int], decided: Decided, said: Said, now: datetime
    ) -> None:
        own = speech.speaking.outage_id
        for outage_id in {row.outage_id for row in decided.rows} - {own}:
            if outage_id not in said.voices:
                said.voices[outage_id] = await self._other_voice(conn, speech, outage_id, now)
        await self._supersede(conn, speech, part, decided, now)
        rows = [row.values | {"revision": said.voices.get(row.outage_id, speech.revision)} for row in decided.rows]
        await planning.add_deliveries(conn, rows, [row.customers for row in decided.rows])
        await planning.put_leads(conn, decided.leads)
        said.rows += len(rows)
        said.newly_told.update(
            customer_id
            for row in decided.rows
            if row.utterance.kind is NoticeKind.ACKNOWLEDGEMENT and not row.utterance.silent
            for customer_id in row.customers
        )

    async def _supersede(
        self, conn: Connection, speech: Speech, part: Sequence[int], decided: Decided, now: datetime
    ) -> None:
        spoken: dict[str, set[int]] = {}
        for row in decided.rows:
            spoken.setdefault(row.outage_id, set()).add(row.values["address_id"])
        if speech.speaking.to_all:
            spoken[speech.speaking.outage_id] = set(part)
        reason = EndReason.NEWER_REVISION.value
        for outage_id, address_ids in spoken.items():
            # Of an outage that was opened again, an end that had not left is no longer so either.
            await planning.supersede(
                conn, outage_id, speech.episodes[outage_id], reason=reason, now=now, address_ids=address_ids, since=1
            )

    async def _other_voice(self, conn: Connection, speech: Speech, outage_id: str, now: datetime) -> int:
        """The other outage gets a revision of its own, by the daemon, so that its words stand in its own thread."""
        row = await outages.get(conn, outage_id)
        assert row is not None
        number = int(row.revision) + 1
        facts = revision_facts(row, number, said_at=speech.speaking.at)
        await outages.add_revision(
            conn,
            {
                "outage_id": outage_id,
                "number": number,
                "episode": row.episode,
                "verb": Verb.PASS_LEAD.value,
                "state": RevisionState.EFFECTIVE.value,
                "actor_kind": "daemon",
                "actor": "outagecast",
                "created_at": now,
                "effective_at": speech.speaking.at,
                "change": {"because_of": speech.speaking.outage_id},
                "facts": freeze(facts),
                "next_update_by": row.next_update_by,
            },
        )
        await outages.change(conn, outage_id, revision=number)
        await outages.record(
            conn,
            at=now,
            what=Happened.LEAD_PASSED,
            actor=DAEMON,
            outage_id=outage_id,
            revision=number,
            why=speech.speaking.outage_id,
        )
        return number


def revision_facts(row: Any, number: int, *, said_at: datetime, **more: Any) -> RevisionFacts:
    """What a revision says to all, from the outage's row as it is now."""
    return RevisionFacts(
        outage_id=row.id,
        episode=row.episode,
        revision=number,
        said_at=said_at,
        title=row.title,
        severity=row.severity,
        status=row.status,
        effect=row.effect,
        cause=row.cause,
        started_at=row.started_at,
        eta=row.eta,
        at_risk_until=row.at_risk_until,
        reopened=row.episode > 1,
        **more,
    )


def _things(
    rows: Sequence[Any], overlay: Mapping[ThingKey, Any], customers: set[str]
) -> dict[ThingKey, tuple[Level, tuple[str, ...], datetime]]:
    """Level, touching outages and since, by thing."""
    found: dict[ThingKey, tuple[Level, tuple[str, ...], datetime]] = {}
    for row in rows:
        key = ThingKey(row.thing_kind, row.thing_id, row.customer_id)
        level, touching, since = found.get(key, (Level.NO_IMPACT, (), row.from_at))
        found[key] = (max(level, Level(row.level)), (*touching, row.outage_id), min(since, row.from_at))
    for key, value in overlay.items():
        if key.customer_id in customers:
            found[key] = value
    return found


def _thing(key: ThingKey, findings: Findings) -> ThingNow | None:
    words = findings.words.get(key)
    if words is None:
        return None
    level, touching, since = findings.things.get(key, (Level.NO_IMPACT, (), None))
    if since is None:
        prior = next((lead.since for by_key in findings.told.values() for lead in by_key.get(key, ())), None)
        if prior is None:
            return None
        since = prior
    return ThingNow(
        key=key,
        customer=words.customer,
        label=words.label,
        place=words.place,
        service=words.service,
        level=level,
        touching=touching,
        since=since,
    )


def _as_heard(wanting: tuple[Hearer, ...], thing: ThingNow, prior: Sequence[Lead]) -> Level:
    """The level as this address hears it. Whoever was told it is down is not told "back" because his wishes changed
    meanwhile.
    """
    level = hears(wanting, thing.key.customer_id, thing.level)
    leader = next((lead for lead in prior if lead.role is Role.LEADS), None)
    if level is Level.NO_IMPACT and leader is not None and thing.level >= min(leader.level, Level.DEGRADED):
        return thing.level
    return level


def _unblocked(
    history: Mapping[str, AddressHistory], address: AddressState, wanting: bool
) -> Mapping[str, AddressHistory]:
    """Where nothing stands against an address any more, its suppressed acknowledgement no longer blocks a new one."""
    if address.suppressed is not None or address.held_shared or not wanting:
        return history
    return {outage_id: replace(h, blocked=False) if h.blocked else h for outage_id, h in history.items()}


def _address_state(row: Any) -> AddressState:
    return AddressState(
        value=row.value,
        suppressed=SuppressReason(row.suppressed) if row.suppressed else None,
        held_shared=bool(row.shared) and not row.confirmed_by,
    )


def _weight(line: Line, end: bool) -> Level:
    """The level a line wakes somebody for: whoever was woken for the outage hears its end as well."""
    return max(line.level, line.was or Level.NO_IMPACT) if end else line.level


def _site_zone(lines: tuple[Line, ...], findings: Findings) -> str:
    for line in lines:
        words = findings.words.get(ThingKey(line.kind, line.id, line.customer_id))
        if words is not None and words.zone:
            return words.zone
    return ""


def _lead_values(episodes: Mapping[str, int], address_id: int, contact_id: str, lead: Lead) -> dict[str, Any]:
    return {
        "outage_id": lead.outage_id,
        "episode": episodes[lead.outage_id],
        "address_id": address_id,
        "thing_kind": lead.key.kind,
        "thing_id": lead.key.id,
        "customer_id": lead.key.customer_id,
        "role": lead.role.value,
        "level": int(lead.level),
        "since_at": lead.since,
        "contact_id": contact_id,
    }
