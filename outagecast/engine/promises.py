"""Keeping promises: the ticker's look at every open outage whose cadence is due (rules 18 to 21)."""

import contextlib
from datetime import datetime

from outagecast.domain.cadence import Ask, Look, Say, look, next_promise
from outagecast.domain.outage import DAEMON, OPEN, OutageStatus, Verb
from outagecast.domain.timeline import Happened
from outagecast.engine.alerts import Alerts
from outagecast.engine.effects import Effects, Prepared, Voice
from outagecast.engine.house import House
from outagecast.engine.intents import Intent
from outagecast.engine.operations import Operations
from outagecast.engine.planned import Said
from outagecast.engine.standing import look_again, standing_of
from outagecast.storage import outages
from outagecast.storage.engine import Connection

_HOLDING = {Say.HOLDING, Say.HOLDING_SLOW, Say.ETA_PASSED, Say.ETA_PASSED_AND_HOLDING}


class Promises:
    def __init__(self, house: House, operations: Operations, effects: Effects, alerts: Alerts) -> None:
        self._house = house
        self._operations = operations
        self._effects = effects
        self._alerts = alerts

    async def keep(self) -> int:
        """Do what is due for every open outage: ask staff, speak for the desk. How many outages were looked at.

        While everything is paused nothing is said; the first look afterwards says one thing in its present form.
        """
        async with self._house.db.read() as conn:
            if await outages.get_meta(conn, "paused") is not None:
                return 0
            due = await outages.to_look_at(conn, self._house.clock())
        for outage_id in due:
            await self._look(outage_id)
        return len(due)

    async def _look(self, outage_id: str) -> None:
        now = self._house.clock()
        async with self._house.db.write() as conn:
            row = await outages.get(conn, outage_id)
            if row is None or OutageStatus(row.status) not in OPEN:
                return
            answer = look(self._house.cadence(row.severity), standing_of(row), now)
            await self._ask(conn, outage_id, answer, now)
            if answer.say is Say.NOTHING:
                await look_again(conn, self._house, outage_id, now)
        if answer.say in _HOLDING:
            await self._hold(outage_id)

    async def _ask(self, conn: Connection, outage_id: str, answer: Look, now: datetime) -> None:
        for what in answer.ask:
            row = await outages.get(conn, outage_id)
            assert row is not None
            await self._alerts.ask(conn, row, what, now)
            match what:
                case Ask.PROMISE:
                    await outages.change(conn, outage_id, reminded_promise_at=row.next_update_by)
                case Ask.ETA:
                    await outages.change(conn, outage_id, reminded_eta_at=row.eta)
                case Ask.ESCALATION | Ask.FAILURE | Ask.SILENCE:
                    pass

    async def _hold(self, outage_id: str) -> None:
        """Say the holding notice as a revision of the daemon's own. What is due is judged once more inside: the desk
        may have been quicker.
        """
        intent = Intent(verb=Verb.HOLDING, values={}, to_all=True, desk_word=False)

        async def take(conn: Connection, number: int, prepared: Prepared, now: datetime) -> Said:
            row = await outages.get(conn, outage_id)
            assert row is not None
            standing = standing_of(row)
            cadence = self._house.cadence(row.severity)
            say = look(cadence, standing, now).say
            if say is Say.NOTHING:
                raise _DeskWasQuicker
            promise = next_promise(cadence, say, words=row.words, now=now, standing=standing)
            last = await outages.last_revision_of(conn, outage_id, [Verb.DECLARE.value, Verb.UPDATE.value])
            voice = Voice(say=say, promise=promise, carried=(last.message if last else "") or "")
            if row.next_update_by is not None and now > row.next_update_by:
                await outages.record(
                    conn, at=now, what=Happened.PROMISE_BROKEN, actor=DAEMON, outage_id=outage_id, revision=number
                )
            said = await self._effects.take(conn, outage_id, number, prepared, now, voice)
            await outages.record(
                conn,
                at=now,
                what=Happened.HOLDING_SENT,
                actor=DAEMON,
                outage_id=outage_id,
                revision=number,
                why=say.value,
            )
            return said

        with contextlib.suppress(_DeskWasQuicker):
            await self._operations.speak(outage_id, intent, take)


class _DeskWasQuicker(Exception):
    """Between the look and the word somebody else has spoken: nothing is due any more, and nothing is committed."""
