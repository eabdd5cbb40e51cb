"""From a revision that takes effect to outbox rows: reads what is and what was told, asks the domain, writes the
answer.

Addresses are planned in chunks, each read, decided off the event loop and written. `speak` runs inside the verb's
transaction, or, above the wave limit, inside the transactions of its chunks; both give the same rows, because a plan
compares states and depends on nothing that the other chunks do.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from outagecast.domain.facts import freeze
from outagecast.domain.levels import Level
from outagecast.domain.message import ChannelName
from outagecast.domain.notices import (
    ThingKey,
)
from outagecast.domain.outage import DAEMON, RevisionState, Verb
from outagecast.domain.recipients import AddressState, Hearer, Wishes, wishes
from outagecast.domain.suppression import EndReason, SuppressReason
from outagecast.domain.timeline import Happened
from outagecast.engine.deciding import Decider, Findings
from outagecast.engine.house import House
from outagecast.engine.outlines import Outliner
from outagecast.engine.planned import Decided, Said, Speech, revision_facts
from outagecast.storage import former, glance, outages, planning, planning_hearers, planning_things
from outagecast.storage.batches import chunks
from outagecast.storage.engine import Connection, in_thread

LOOK = 4_000
"""Addresses looked at in one query."""
CHUNK = 500
"""Addresses decided at a time: a few ten milliseconds of work off the loop, some thousand rows in one statement."""

_TELL_NEWLY = frozenset({Verb.DECLARE, Verb.REOPEN, Verb.UPDATE})
"""The verbs that may be somebody's first word; by all others everybody was told before."""


class Planner:
    """Plans what one revision says, to which addresses."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._decider = Decider(house)

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
        found.update(await planning_hearers.addresses_hearing(conn, customers, self._house.channels))
        return sorted(found)

    async def speak(
        self, conn: Connection, speech: Speech, address_ids: Sequence[int], said: Said, now: datetime
    ) -> None:
        """Plan and write the rows for these addresses; what has not left before is superseded by its newer form."""
        newly = speech.speaking.verb in _TELL_NEWLY
        for part in chunks(address_ids, LOOK):
            rest = await self._usual(conn, speech, part, said, now) if newly else part
            for unusual in chunks(rest, CHUNK):
                decided = await self.decide(conn, speech, unusual, now)
                await self._write(conn, speech, unusual, decided, said, now)

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
            return self._decider.decide(speech, part, findings, now)
        return await asyncio.to_thread(self._decider.decide, speech, part, findings, now)

    # --- reading ---

    async def _read(
        self, conn: Connection, speech: Speech, part: Sequence[int], overlay: Mapping[ThingKey, Any]
    ) -> Findings:
        rows = await planning_hearers.address_rows(conn, part)
        hearers = self._hearers(await planning_hearers.hearers(conn, part))
        told = await planning.told(conn, part, speech.episodes)
        if moved := [address_id for address_id in part if address_id not in hearers]:
            hearers |= self._hearers(await former.hearers(conn, moved, speech.episodes), gone=True)
        customers = {h.customer_id for group in hearers.values() for h in group}
        customers |= {key.customer_id for by_key in told.values() for key in by_key}
        things = _things(await planning_things.open_things(conn, customers), overlay, customers)
        keys = set(things) | {key for by_key in told.values() for key in by_key}
        return Findings(
            addresses={number: _address_state(row) for number, row in rows.items()},
            hearers=hearers,
            things=things,
            words=await planning_things.words_for(conn, keys),
            told=told,
            histories=await planning.histories(conn, part, speech.episodes),
        )

    def _hearers(self, rows: Sequence[Any], *, gone: bool = False) -> dict[int, tuple[Hearer, ...]]:
        found: dict[int, list[Hearer]] = {}
        known: dict[tuple[str, ...], Wishes] = {}  # most contacts wish for the same
        for row in rows:
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
                    active=row.status == planning_things.ACTIVE,
                    former=gone,
                    tier=row.tier,
                    only_address=row.only_address == planning_hearers.ONLY,
                )
            )
        return {address_id: tuple(group) for address_id, group in found.items()}

    # --- the usual address, decided once for all that are like it ---

    async def _usual(
        self, conn: Connection, speech: Speech, part: Sequence[int], said: Said, now: datetime
    ) -> list[int]:
        """Plan and write the rows of those that one look is enough for; the addresses that are left."""
        # The first word of the only open outage: nobody was told anything that would have a bearing on it.
        first = speech.speaking.verb is Verb.DECLARE and not speech.others
        seen = await glance.seen(conn, part, self._house.channels, () if first else speech.episodes)
        outliner = Outliner(self._house, self._decider, speech, now, await planning.next_delivery(conn))
        filled = outliner.fill(seen) if in_thread(conn) else await asyncio.to_thread(outliner.fill, seen)
        await planning.add_filled(
            conn, filled.delivery_columns, filled.deliveries, filled.notices, filled.lead_columns, filled.leads
        )
        said.rows += len(filled.deliveries)
        said.newly_told |= filled.newly_told
        return [address_id for address_id in part if address_id not in filled.handled]

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
        said.newly_told.update(customer_id for row in decided.rows if row.tells_newly for customer_id in row.customers)

    async def _supersede(
        self, conn: Connection, speech: Speech, part: Sequence[int], decided: Decided, now: datetime
    ) -> None:
        spoken: dict[str, set[int]] = {}
        for row in decided.rows:
            spoken.setdefault(row.outage_id, set()).add(row.values["address_id"])
        for outage_id, address_ids in spoken.items():
            await self._take_back(conn, speech, outage_id, address_ids, now)
        own = speech.speaking.outage_id
        if speech.speaking.to_all and (silent := set(part) - spoken.get(own, set())):
            await self._take_back(conn, speech, own, silent, now, replaced=False)

    async def _take_back(
        self,
        conn: Connection,
        speech: Speech,
        outage_id: str,
        address_ids: set[int],
        now: datetime,
        *,
        replaced: bool = True,
    ) -> None:
        await planning.supersede(
            conn,
            outage_id,
            speech.episodes[outage_id],
            reason=EndReason.NEWER_REVISION.value,
            now=now,
            address_ids=address_ids,
            since=1,  # of an outage that was opened again, an end that had not left is no longer so either
            replaced=replaced,
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


def _address_state(row: Any) -> AddressState:
    return AddressState(
        value=row.value,
        suppressed=SuppressReason(row.suppressed) if row.suppressed else None,
        held_shared=bool(row.shared) and not row.confirmed_by,
    )
