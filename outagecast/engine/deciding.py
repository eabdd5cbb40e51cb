"""What each address of a chunk is told, from all that was read about it. Pure: the domain decides, and its answer
becomes values of rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.facts import Line, OwnFacts, freeze
from outagecast.domain.levels import Level
from outagecast.domain.need import need
from outagecast.domain.notices import (
    END_KINDS,
    NO_HISTORY,
    AddressHistory,
    Lead,
    NoticeKind,
    NoticeReason,
    Role,
    ThingKey,
    ThingNow,
    Utterance,
)
from outagecast.domain.plan import plan
from outagecast.domain.recipients import AddressState, Hearer, hears, screen, spokesman
from outagecast.engine.house import House
from outagecast.engine.planned import Decided, PlannedRow, Speech
from outagecast.storage.planning_things import ThingWords


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """Everything read about one chunk of addresses."""

    addresses: Mapping[int, AddressState]
    hearers: Mapping[int, tuple[Hearer, ...]]
    things: Mapping[ThingKey, tuple[Level, tuple[str, ...], datetime]]
    words: Mapping[ThingKey, ThingWords]
    told: Mapping[int, Mapping[ThingKey, Sequence[Lead]]]
    histories: Mapping[int, Mapping[str, AddressHistory]]


class Decider:
    def __init__(self, house: House) -> None:
        self._house = house

    def decide(self, speech: Speech, part: Sequence[int], findings: Findings, now: datetime) -> Decided:
        decided = Decided(rows=[], leads=[])
        by_customer: dict[str, list[ThingKey]] = {}
        for key in findings.things:
            by_customer.setdefault(key.customer_id, []).append(key)
        for address_id in part:
            group = findings.hearers.get(address_id, ())
            if group:
                self._address(speech, address_id, group, findings, by_customer, now, decided)
        return decided

    def _address(
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
        wanting = tuple(h for h in group if h.active and not h.former and h.channel in h.wishes.channels)
        keys = dict.fromkeys(key for h in group for key in by_customer.get(h.customer_id, ()))
        keys.update(dict.fromkeys(told))
        heard = [
            (thing, _as_heard(wanting, thing, told.get(key, ())))
            for key in keys
            if (thing := _thing(key, findings, told.get(key, ()))) is not None
        ]
        address = findings.addresses[address_id]
        history = _unblocked(findings.histories.get(address_id, {}), address, bool(wanting))
        answer = plan(speech.speaking, heard, told, history)
        speaker = spokesman(wanting or group)
        for utterance in answer.utterances:
            row = self._row(speech, utterance, speaker, address, history, findings, now)
            row.values["rank"] = self._rank(utterance, group, findings)
            decided.rows.append(row)
        episodes = speech.episodes
        decided.leads.extend(_lead_values(episodes, address_id, speaker.contact_id, lead) for lead in answer.leads)

    def _rank(self, utterance: Utterance, group: tuple[Hearer, ...], findings: Findings) -> int:
        """Who is written to first where the rate is the limit (domain/need.py)."""
        customers = {line.customer_id for line in utterance.lines}
        words = [findings.words.get(ThingKey(line.kind, line.id, line.customer_id)) for line in utterance.lines]
        found = need(
            self._house.need,
            tiers={h.tier for h in group if h.customer_id in customers},
            services=[each.carries if each else "" for each in words],
            lines=len(utterance.lines),
            only_way=any(h.only_address or len(h.wishes.channels) == 1 for h in group),
        )
        return found.rank

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


def _thing(key: ThingKey, findings: Findings, prior: Sequence[Lead]) -> ThingNow | None:
    """`prior`: what this address was told of it, which is how long it has been so where nothing touches it any more."""
    words = findings.words.get(key)
    if words is None:
        return None
    level, touching, since = findings.things.get(key, (Level.NO_IMPACT, (), None))
    if since is None:
        if not prior:
            return None
        since = prior[0].since
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
