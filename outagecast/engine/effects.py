"""A revision takes effect: the outage changes, impacts are reckoned, facts frozen, messages planned; one
transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from outagecast.domain.cadence import Look, Say, Standing, look
from outagecast.domain.errors import Conflict
from outagecast.domain.facts import freeze
from outagecast.domain.impact import union
from outagecast.domain.levels import Level
from outagecast.domain.notices import Speaking
from outagecast.domain.outage import OPEN, OutageStatus, RevisionState, Verb
from outagecast.domain.suppression import EndReason
from outagecast.engine.house import House
from outagecast.engine.intents import Intent
from outagecast.engine.planner import OtherVoice, Planner, Said, Speech, revision_facts
from outagecast.engine.reckoning import Extent, Reckoned, Reckoner, World, impact_rows
from outagecast.engine.waves import Waves
from outagecast.storage import outages, planning
from outagecast.storage.batches import Record
from outagecast.storage.engine import Connection


class WorldMoved(Exception):
    """Something else changed what is down while this was reckoned: reckon again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """An intent with the world it was reckoned in."""

    intent: Intent
    world: World
    reckoned: Reckoned


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

    async def prepare(self, row: Record, intent: Intent) -> Prepared:
        """Reckon what an intent changes. `row` is the outage as it is (or is about to be inserted)."""
        world = await self._reckoner.world()
        if intent.verb is Verb.MERGE:
            world = _merged(world, row.id, intent.values["merged_into"])
        if not intent.reckons:
            return Prepared(intent=intent, world=world, reckoned=Reckoned(generation=world.generation))
        extent: Extent | None = None
        if not intent.ends:
            async with self._house.db.read() as conn:
                scope = intent.values.get("scope", row.scope)
                extent = await self._reckoner.extent(conn, scope, intent.values.get("restored", row.restored))
        reckoned = await self._reckoner.reckon(world, row.id, extent)
        if intent.only_better:
            kept = tuple(new for new in reckoned.open if not (new.fresh and new.outage_id == row.id))
            reckoned = replace(reckoned, open=kept)
        return Prepared(intent=intent, world=world, reckoned=reckoned)

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
        if intent.verb is Verb.MERGE:
            await self._absorb(conn, row)
        await self._impacts(conn, row, prepared, now)
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
            said = await self._say(conn, row, speech, prepared, now)
        if intent.ends and not said.in_wave:
            await planning.supersede(
                conn, outage_id, row.episode, reason=EndReason.OUTAGE_ENDED.value, now=now, before=number
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

    async def _absorb(self, conn: Connection, row: Record) -> None:
        """The other outage takes over what this one names; its messages come with the passing of the lead."""
        other = await outages.get(conn, row.merged_into)
        assert other is not None
        known = {(e["kind"], e["id"]) for e in other.scope}
        more = [e for e in row.scope if (e["kind"], e["id"]) not in known]
        await outages.change(conn, other.id, scope=[*other.scope, *more])

    async def _impacts(self, conn: Connection, row: Record, prepared: Prepared, now: datetime) -> None:
        if not prepared.intent.reckons:
            return
        reckoned = prepared.reckoned
        from_at = row.started_at if prepared.intent.verb in (Verb.DECLARE, Verb.REOPEN) else now
        back_at = min(prepared.intent.back_at or now, now)
        back_at = back_at if prepared.intent.only_better else now
        await outages.close_impacts(conn, reckoned.close, outage_id=row.id, back_at=back_at, now=now)
        episodes = dict(prepared.world.episodes) | {row.id: row.episode}
        await outages.change(conn, row.id, inventory=prepared.world.inventory)
        await outages.open_new_impacts(
            conn, impact_rows(reckoned, episodes, outage_id=row.id, from_at=min(from_at, now), at=now)
        )
        await outages.bump_reckoning(conn)

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
            others={
                other.id: OtherVoice(
                    outage_id=other.id,
                    episode=other.episode,
                    severity=other.severity,
                    eta=other.eta,
                    promise=other.next_update_by,
                )
                for other in open_rows
            },
        )

    async def _say(self, conn: Connection, row: Record, speech: Speech, prepared: Prepared, now: datetime) -> Said:
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
        await self._planner.unreachable(conn, speech, newly, now)
        if prepared.intent.verb is Verb.MERGE:
            await self._hand_over_unreachable(conn, row.merged_into, speech, prepared, now)
        return said

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
        await self._planner.unreachable(conn, theirs, taken, now)

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


def _merged(world: World, outage_id: str, into: str) -> World:
    """The world in which the one outage's scope is the other's too."""
    for one in (outage_id, into):
        if one not in world.extents:
            raise Conflict(f"{one} is not open to customers (any more): nothing can be merged with it")
    mine, other = world.extents[outage_id], world.extents[into]
    joined = Extent(scope=union((mine.scope, other.scope)), back=other.back)
    return replace(world, extents=dict(world.extents) | {into: joined})


async def look_again(conn: Connection, house: House, outage_id: str, now: datetime) -> Look:
    """Reckon when the cadence has to look at this outage again, and keep it as a row."""
    row = await outages.get(conn, outage_id)
    assert row is not None
    answer = look(house.cadence(row.severity), standing_of(row), now)
    # What is to be asked right now is asked by whoever looks next: the ticker, at once.
    at = now if answer.ask else answer.look_again_at or now
    await outages.change(conn, outage_id, look_again_at=at)
    return answer


def standing_of(row: Record) -> Standing:
    return Standing(
        next_update_by=row.next_update_by,
        promised_at=row.promised_at or row.created_at,
        last_word_at=row.last_word_at or row.promised_at or row.created_at,
        strikes=row.strikes,
        eta=row.eta,
        eta_passed_told=row.eta_passed_told,
        reminded_promise=row.reminded_promise_at,
        reminded_eta=row.reminded_eta_at,
        wave=timedelta(seconds=row.wave_seconds),
    )


def touched_counts(touched: Mapping[Any, Level]) -> dict[str, dict[str, int]]:
    """Customers and things by level, each customer at its worst."""
    worst: dict[str, Level] = {}
    things: dict[Level, int] = {}
    for key, level in touched.items():
        worst[key.customer_id] = max(level, worst.get(key.customer_id, Level.NO_IMPACT))
        things[level] = things.get(level, 0) + 1
    counts: dict[str, dict[str, int]] = {}
    for level in sorted(things, reverse=True):
        customers = sum(1 for value in worst.values() if value is level)
        counts[level.word] = {"customers": customers, "circuits": things[level]}
    return counts
