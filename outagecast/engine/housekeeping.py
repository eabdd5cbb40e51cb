"""Erasing what was kept long enough, once a day, by class (settings `[retention]`), in transactions of milliseconds.

The timeline stays whole: it is only ever added to. What people wrote in it lies in `texts` and is emptied there.
Outages, their revisions with what was said to all, impacts, states and counts stay for the reports.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import structlog

from outagecast.domain.outage import DAEMON
from outagecast.domain.timeline import Happened
from outagecast.engine.erasure import Erasure
from outagecast.engine.house import House
from outagecast.engine.retention_settings import RetentionSettings
from outagecast.storage import erasure, outages, retention
from outagecast.storage.retention import Old

EVERY = timedelta(days=1)
LOOK_EVERY = timedelta(minutes=10)
"""How often it is asked whether a day has passed: a daemon that is restarted every night must keep its house too."""
AT_ONCE = 500
MOST_CONTACTS = 5_000
"""Contacts noted as ended in one day: a farewell to more of them takes some days longer to be counted."""
log = structlog.get_logger(__name__)


class Housekeeping:
    def __init__(self, house: House, settings: RetentionSettings, eraser: Erasure) -> None:
        self._house = house
        self._db = house.db
        self._settings = settings
        self._eraser = eraser

    async def look(self) -> None:
        """Keep the house if nobody has for a day; with several daemons, one of them does."""
        async with self._db.write() as conn:
            mine = await retention.take_turn(conn, self._house.clock(), EVERY)
        if mine:
            await self.tidy()

    async def tidy(self) -> Mapping[str, int]:
        """Erase what is due now, by class; how many rows of each. A line of the timeline says so if there were any."""
        now, keep = self._house.clock(), self._settings
        done = {
            "events": await self._take_away(retention.old_events(now - keep.events)),
            "alarms": await self._take_away(retention.old_alarms(now - keep.events)),
            "words": await self._words(),
            "notes": await self._house_notes(),
            "contacts": await self._contacts(),
            "sessions": await self._take_away(retention.old_sessions(now - keep.sessions)),
            "links": await self._take_away(retention.old_links(now - keep.sessions)),
            "keys": await self._take_away(retention.old_keys(now - keep.sessions)),
        }
        found = {name: count for name, count in done.items() if count}
        if found:
            async with self._db.write() as conn:
                await outages.record(conn, at=self._house.clock(), what=Happened.TIDIED, actor=DAEMON, data=dict(found))
            log.info("tidied", **found)
        return done

    async def _take_away(self, old: Old) -> int:
        """Looked for while others write, taken away a few at a time."""
        total = 0
        while True:
            async with self._db.read() as conn:
                keys = await retention.find(conn, old, AT_ONCE)
            if not keys:
                return total
            async with self._db.write() as conn:
                done = await retention.take_away(conn, old, keys)
            total += done
            if not done:
                return total  # all of them are needed again: tomorrow is another day

    async def _words(self) -> int:
        until = self._house.clock() - self._settings.words
        async with self._db.read() as conn:
            old = await retention.old_outages(conn, until)
        total = 0
        for outage_id, place in old:
            total += await self._words_of(outage_id)
            async with self._db.write() as conn:
                await retention.erase_texts_of(conn, outage_id)
                await retention.outages_done_through(conn, place)
        return total

    async def _words_of(self, outage_id: str) -> int:
        after, total = 0, 0
        while True:
            async with self._db.write() as conn:
                ids = await retention.worded(conn, outage_id, after, AT_ONCE)
                if ids:
                    await erasure.forget_words(conn, ids, self._house.clock())
            if not ids:
                return total
            after, total = ids[-1], total + len(ids)
            await asyncio.sleep(0)

    async def _house_notes(self) -> int:
        until, total, more = self._house.clock() - self._settings.words, 0, True
        while more:
            async with self._db.write() as conn:
                done, more = await retention.erase_texts_of_house(conn, until, AT_ONCE)
            total += done
        return total

    async def _contacts(self) -> int:
        now = self._house.clock()
        async with self._db.read() as conn:
            fresh = await retention.newly_ended(conn, MOST_CONTACTS)
        async with self._db.write() as conn:
            await retention.note_ended(conn, fresh, now)
            due = await retention.ended_before(conn, now - self._settings.contacts)
        total = 0
        for contact_id in due:
            total += await self._eraser.forget_ended(contact_id)
        return total
