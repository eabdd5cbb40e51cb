"""A revision takes effect: the outage changes, impacts are reckoned, facts frozen, messages planned; one
transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from outagecast.domain.cadence import Say
from outagecast.domain.facts import freeze
from outagecast.domain.notices import Speaking
from outagecast.domain.outage import OPEN, OutageStatus, RevisionState, Verb
from outagecast.domain.suppression import EndReason
from outagecast.engine import merging, missing
from outagecast.engine.house import House
from outagecast.engine.intents import Intent
from outagecast.engine.planned import Said, Speech, other_voices, revision_facts
from outagecast.engine.planner import Planner
from outagecast.engine.reckoned import Extent, Reckoned, World, impact_rows, opening_rows
from outagecast.engine.reckoning import Reckoner
from outagecast.engine.standing import look_again
from outagecast.engine.waves import Waves
from outagecast.storage import outages, places, planning
from outagecast.storage.batches import Record
from outagecast.storage.engine import Connection
from outagecast.storage.reached import Gathering


class WorldMoved(Exception):
    """Something else changed what is down while this was reckoned: reckon again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """An intent with the world it was reckoned in."""

    intent: Intent
    world: World
    reckoned: Reckoned
    absorbed: Mapping[str, Any] | None = None
    """Of a merge: what the other outage names afterwards."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Voice:
    """How the daemon itself speaks: a holding notice, perhaps slow, perhaps because the ETA has passed."""

    say: Say
    promise: datetime | None
    carried: str = ""


class Effects:
    def __init__(self, house: House, reckoner: Reckoner, planner: Planner, waves: Waves) -> None:
        self._house = house
        self._reckoner = reckoner
        self._planner = planner
        self._waves = waves

    async def prepare(self, row: Record, intent: Intent, *, in_mass: bool = False) -> Prepared:
        """Reckon what an intent changes. `row` is the outage as it is (or is about to be inserted). `in_mass`: what is
        very much need not be listed (`Reckoned.is_listed`).
        """
        world = await self._reckoner.world()
        absorbed: Mapping[str, Any] | None = None
        if intent.verb is Verb.MERGE:
            into = intent.values["merged_into"]
            async with self._house.db.read() as conn:
                absorbed = await merging.absorbed(conn, self._reckoner, row, into)
                world = await merging.merged(conn, self._reckoner, world, row.id, into, absorbed)
        if not intent.reckons:
            return Prepared(intent=intent, world=world, reckoned=Reckoned(generation=world.generation))
        extent: Extent | None = None
        if not intent.ends:
            async with self._house.db.read() as conn:
                scope = intent.values.get("scope", row.scope)
                extent = await self._reckoner.extent(conn, scope, intent.values.get("restored", row.restored))
        in_mass = in_mass and intent.verb is not Verb.MERGE and (intent.ends or not intent.only_better)
        reckoned = await self._reckoner.reckon(world, row.id, extent, in_mass=in_mass)
        if intent.only_better:
            kept = tuple(new for new in reckoned.open if not (new.fresh and new.outage_id == row.id))
            reckoned = replace(reckoned, open=kept)
        return Prepared(intent=intent, world=world, reckoned=reckoned, absorbed=absorbed)

    async def take(
        self,
        conn: Connection,
        outage_id: str,
        number: int,
        prepared: Prepared,
        now: datetime,
        voice: Voice | None = None,
    ) -> Said:
        """Make it so, inside the caller's transaction. WorldMoved if the world is another one by now."""
        if prepared.intent.reckons and await outages.reckoning(conn) != prepared.reckoned.generation:
            raise WorldMoved
        intent = prepared.intent
        if intent.values:  # a mere message changes nothing of the outage itself
            await outages.change(conn, outage_id, **intent.values)
        row = await outages.get(conn, outage_id)
        assert row is not None
        if prepared.absorbed is not None:
            # Its messages come with the passing of the lead.
            await outages.change(conn, row.merged_into, **prepared.absorbed)
        last = await self._impacts(conn, row, prepared, now)
        promise = self._promise(row, intent, voice, now)
        speech = await self._speech(conn, row, number, intent, promise, voice, now)
        facts = revision_facts(
            row,
            number,
            said_at=now,
            message=intent.message,
            ended_at=row.ended_at if intent.ends else None,
            retract_reason=intent.retract_reason if intent.ends else "not_affected" if intent.never else "",
        )
        said = Said()
        if intent.speaks:
            said = await self._say(conn, row, speech, prepared, last, now)
        if intent.ends and not said.in_wave:
            reason = EndReason.OUTAGE_ENDED.value
            await planning.supersede(
                conn, outage_id, row.episode, reason=reason, now=now, before=number, replaced=False
            )
        await outages.change_revision(
            conn,
            outage_id,
            number,
            RevisionState.PENDING,
            state=RevisionState.EFFECTIVE.value,
            effective_at=now,
            facts=freeze(facts),
            next_update_by=promise,
            customers_told=len(said.newly_told),
        )
        await self._stand(conn, outage_id, intent, promise, voice, now)
        return said

    # --- parts ---

    async def _impacts(self, conn: Connection, row: Record, prepared: Prepared, now: datetime) -> int:
        """Closes and opens what was reckoned. The number of the last impact before."""
        last = await places.last_impact(conn)
        if not prepared.intent.reckons:
            return last
        reckoned = prepared.reckoned
        from_at = row.started_at if prepared.intent.verb in (Verb.DECLARE, Verb.REOPEN) else now
        back_at = min(prepared.intent.back_at or now, now)
        back_at = back_at if prepared.intent.only_better else now
        episodes = dict(prepared.world.episodes) | {row.id: row.episode}
        if reckoned.mass is not None:
            openings = opening_rows(reckoned.mass, episodes, outage_id=row.id, from_at=min(from_at, now), at=now)
            await places.open_impacts(conn, reckoned.mass.bounds, openings)
        await outages.close_impacts(conn, reckoned.close, outage_id=row.id, back_at=back_at, now=now)
        await outages.change(conn, row.id, inventory=prepared.world.inventory)
        await outages.open_new_impacts(
            conn, impact_rows(reckoned, episodes, outage_id=row.id, from_at=min(from_at, now), at=now)
        )
        if reckoned.all_end:
            await places.close_all(conn, row.id, back_at=back_at, now=now)
        await outages.bump_reckoning(conn)
        return last

    def _promise(self, row: Record, intent: Intent, voice: Voice | None, now: datetime) -> datetime | None:
        if intent.ends:
            return None
        if voice is not None:
            return voice.promise
        if not intent.promises:
            promise: datetime | None = row.next_update_by
            return promise
        interval = intent.next_update_in or self._house.cadence(row.severity).interval(row.words)
        return now + interval

    async def _speech(
        self,
        conn: Connection,
        row: Record,
        number: int,
        intent: Intent,
        promise: datetime | None,
        voice: Voice | None,
        now: datetime,
    ) -> Speech:
        open_rows = [other for other in await outages.open_ones(conn) if other.id != row.id]
        etas = {other.id: other.eta for other in open_rows} | {row.id: row.eta}
        speaking = Speaking(
            outage_id=row.id,
            verb=intent.verb,
            at=now,
            to_all=intent.to_all,
            never=intent.never,
            back_at=min(intent.back_at or now, now),
            combine_late=self._house.notices.late_acknowledgement == "combined",
            etas=etas,
            eta_passed=voice is not None and voice.say in (Say.ETA_PASSED, Say.ETA_PASSED_AND_HOLDING),
        )
        return Speech(
            speaking=speaking,
            episode=row.episode,
            revision=number,
            severity=row.severity,
            promise=promise,
            slow=promise is None,
            carried=voice.carried if voice else "",
            others=other_voices(open_rows),
        )

    async def _say(
        self, conn: Connection, row: Record, speech: Speech, prepared: Prepared, last: int, now: datetime
    ) -> Said:
        """`last`: the number of the last impact before this change."""
        gathering = await self._gathering(conn, speech, prepared, last)
        if gathering is not None:
            listed = await self._planner.targets(
                conn, replace(speech, speaking=replace(speech.speaking, to_all=False)), prepared.reckoned.customers,
                touched=(),
            )  # fmt: skip
            few = await self._waves.begin_from_impacts(conn, speech, gathering, listed, now)
            if few is not None:
                await self._planner.speak(conn, speech, few, said := Said(), now)
            else:
                said = Said(in_wave=True)
            if prepared.intent.reckons:
                await missing.add_missing_since(conn, self._house, speech, last, now)
            return said
        touched = {key.customer_id for key in prepared.reckoned.touched}
        if speech.speaking.to_all and not prepared.intent.reckons:
            touched = await outages.impacted_customers(conn, row.id, row.episode)
        targets = await self._planner.targets(conn, speech, prepared.reckoned.customers, touched=touched)
        said = Said(in_wave=len(targets) > self._waves.limit)
        if said.in_wave:
            await self._waves.begin(conn, speech, targets, now)
        else:
            await self._planner.speak(conn, speech, targets, said, now)
        newly = {new.key: new.level for new in prepared.reckoned.open if new.outage_id == row.id}
        await missing.add_missing(conn, self._house, speech, newly, now)
        if prepared.intent.verb is Verb.MERGE:
            await self._hand_over_unreachable(conn, row.merged_into, speech, prepared, now)
        return said

    async def _gathering(self, conn: Connection, speech: Speech, prepared: Prepared, last: int) -> Gathering | None:
        """Whom a revision has to look at besides those that its reckoning lists, where these are too many to be listed:
        what `Planner.targets` finds, as joins. None where the list will do.
        """
        reckoned, to_all = prepared.reckoned, speech.speaking.to_all
        if reckoned.mass is not None:
            # The first word of the only outage: nobody was told anything before.
            alone = not reckoned.mass.bounds.beside
            return Gathering(
                hearing=0 if to_all else last,
                told=None if alone else last,
                led=to_all and not (alone and speech.episode == 1),
            )
        if reckoned.all_end:
            return Gathering(hearing=None, told=None, led=True)
        if not to_all or prepared.intent.reckons:
            return None
        many = await places.has_many_impacts(conn, speech.speaking.outage_id, self._reckoner.mass_from)
        return Gathering(hearing=0, told=None, led=True) if many else None

    async def _hand_over_unreachable(
        self, conn: Connection, into: str, speech: Speech, prepared: Prepared, now: datetime
    ) -> None:
        """Those nobody can write to count with the outage that takes them over."""
        other = await outages.get(conn, into)
        assert other is not None
        taken = {new.key: new.level for new in prepared.reckoned.open if new.outage_id == into}
        theirs = replace(
            speech,
            speaking=replace(speech.speaking, outage_id=into),
            episode=other.episode,
            revision=other.revision,
        )
        await missing.add_missing(conn, self._house, theirs, taken, now)

    async def _stand(
        self,
        conn: Connection,
        outage_id: str,
        intent: Intent,
        promise: datetime | None,
        voice: Voice | None,
        now: datetime,
    ) -> None:
        """Note the promise and the next time to look."""
        row = await outages.get(conn, outage_id)
        assert row is not None
        if OutageStatus(row.status) not in OPEN:
            return
        values: dict[str, Any] = {}
        gave = voice is not None and promise != row.next_update_by
        if intent.promises or gave:
            values |= {"next_update_by": promise, "promised_at": now, "words": row.words + 1}
        if intent.to_all:
            wave = self._house.wave(await planning.led_by_channel(conn, outage_id, row.episode))
            values |= {"last_word_at": now, "wave_seconds": wave.total_seconds()}
        if voice is None and intent.desk_word and intent.speaks:
            values["strikes"] = 0
        elif voice is not None and voice.say in (Say.HOLDING, Say.HOLDING_SLOW):
            values["strikes"] = row.strikes + 1
        if voice is not None and voice.say in (Say.ETA_PASSED, Say.ETA_PASSED_AND_HOLDING):
            values["eta_passed_told"] = True
        if values:
            await outages.change(conn, outage_id, **values)
        await look_again(conn, self._house, outage_id, now)
