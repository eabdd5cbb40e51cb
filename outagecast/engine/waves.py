"""A revision with more addresses than one transaction should hold: planned in chunks, each its own transaction
(rules, "Sizes").
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from outagecast.domain.facts import from_micros, to_micros
from outagecast.domain.notices import Speaking
from outagecast.domain.outage import END_VERBS, Verb
from outagecast.domain.suppression import EndReason
from outagecast.engine.crashpoints import Boundary, Crash, never, transact
from outagecast.engine.house import House
from outagecast.engine.planned import Said, Speech, other_voices
from outagecast.engine.planner import Planner
from outagecast.storage import outages, planning, reached
from outagecast.storage import waves as rows
from outagecast.storage.engine import Connection
from outagecast.storage.reached import Gathering

LIMIT = 20_000
CHUNK = 4_000
"""Addresses a transaction: about a tenth of a second of the writer's time."""


class Waves:
    def __init__(
        self, house: House, planner: Planner, *, limit: int = LIMIT, chunk: int = CHUNK, crash: Crash = never
    ) -> None:
        self._house = house
        self._planner = planner
        self.limit = limit
        self._chunk = chunk
        self._crash = crash

    async def begin(self, conn: Connection, speech: Speech, targets: Sequence[int], now: datetime) -> None:
        """Note the wave and its addresses in the verb's own transaction; the first chunk follows at once after it."""
        context = _freeze(speech)
        await rows.begin(conn, speech.speaking.outage_id, speech.revision, context, targets, now)

    async def begin_from_impacts(
        self, conn: Connection, speech: Speech, gathering: Gathering, more: Sequence[int], now: datetime
    ) -> list[int] | None:
        """The same for all whom the outage's impacts concern, and `more`. Where these are no more than one transaction
        takes, they are given back and there is no wave.
        """
        outage_id = speech.speaking.outage_id
        wave_id = await rows.open_wave(conn, outage_id, speech.revision, _freeze(speech), now)
        await reached.gather(conn, wave_id, outage_id, speech.episode, self._house.channels, gathering)
        await rows.add_addresses(conn, wave_id, more)
        if await rows.count_addresses(conn, wave_id) > self.limit:
            return None
        few = await rows.next_addresses(conn, wave_id, 0, self.limit)
        await rows.drop(conn, wave_id)
        return few

    async def advance(self) -> int:
        """Plan the next chunk of every open wave; how many addresses were planned. Zero: nothing is left to do."""
        async with self._house.db.read() as conn:
            open_waves = await rows.open_ones(conn)
        done = 0
        for wave in open_waves:
            done += await self._advance(wave.id)
            await asyncio.sleep(0)
        return done

    async def _advance(self, wave_id: int) -> int:
        now = self._house.clock()

        async def work(conn: Connection) -> int:
            wave = await rows.get(conn, wave_id)
            if wave is None or wave.done_at is not None:
                return 0
            part = await rows.next_addresses(conn, wave_id, wave.cursor, self._chunk)
            speech = _as_of_now(_thaw(wave.context), await outages.open_ones(conn))
            said = Said(voices=dict(wave.context["voices"]))
            await self._planner.speak(conn, speech, part, said, now)
            await outages.add_told(conn, wave.outage_id, wave.revision, len(said.newly_told))
            if not part and speech.speaking.verb in END_VERBS:
                await planning.supersede(
                    conn,
                    wave.outage_id,
                    speech.episode,
                    reason=EndReason.OUTAGE_ENDED.value,
                    now=now,
                    before=speech.revision,
                    replaced=False,
                )
            context = wave.context | {"voices": said.voices}
            await rows.advance(conn, wave_id, part[-1] if part else wave.cursor, context, None if part else now)
            return len(part)

        planned = await transact(self._house.db, self._crash, Boundary.WAVE, work)
        self._house.changes.notify()
        return planned


def _as_of_now(speech: Speech, open_rows: Sequence[Any]) -> Speech:
    """What the revision says is frozen; which other outages are open is not: since it began they may have told the
    addresses that are still to come.
    """
    own = speech.speaking.outage_id
    others = [row for row in open_rows if row.id != own]
    etas = {row.id: row.eta for row in others} | {own: speech.speaking.etas.get(own)}
    return replace(speech, speaking=replace(speech.speaking, etas=etas), others=other_voices(others))


def _freeze(speech: Speech) -> dict[str, Any]:
    s = speech.speaking
    return {
        "outage_id": s.outage_id,
        "verb": s.verb.value,
        "at": to_micros(s.at),
        "to_all": s.to_all,
        "never": s.never,
        "back_at": to_micros(s.back_at),
        "combine_late": s.combine_late,
        "etas": {o: _micros(eta) for o, eta in s.etas.items()},
        "eta_passed": s.eta_passed,
        "episode": speech.episode,
        "revision": speech.revision,
        "severity": speech.severity,
        "promise": _micros(speech.promise),
        "slow": speech.slow,
        "carried": speech.carried,
        "voices": {},
    }


def _thaw(c: dict[str, Any]) -> Speech:
    speaking = Speaking(
        outage_id=c["outage_id"],
        verb=Verb(c["verb"]),
        at=from_micros(c["at"]),
        to_all=c["to_all"],
        never=c["never"],
        back_at=from_micros(c["back_at"]),
        combine_late=c["combine_late"],
        etas={o: _time(eta) for o, eta in c["etas"].items()},
        eta_passed=c["eta_passed"],
    )
    return Speech(
        speaking=speaking,
        episode=c["episode"],
        revision=c["revision"],
        severity=c["severity"],
        promise=_time(c["promise"]),
        slow=c["slow"],
        carried=c["carried"],
        others={},
    )


def _micros(at: datetime | None) -> int | None:
    return None if at is None else to_micros(at)


def _time(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
