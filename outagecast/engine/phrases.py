"""Keeping phrases and outage templates: one transaction a change, with its timeline line."""

from collections.abc import Callable
from datetime import datetime

from outagecast.domain.errors import Invalid, NotFound
from outagecast.domain.outage import Actor
from outagecast.domain.phrases import MOST, OutageTemplate, Phrase, check_phrase, check_template
from outagecast.domain.timeline import Happened
from outagecast.storage import outages
from outagecast.storage import phrases as rows
from outagecast.storage.engine import Connection, Database
from outagecast.storage.phrases import Kind


class Phrases:
    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def put(self, thing: Phrase | OutageTemplate, *, actor: Actor, id: int | None = None) -> int:
        """A new one, or the one of this number changed; its number. Invalid lists what is wrong, NotFound."""
        kind = rows.kind_of(thing)
        async with self._database.write() as conn:
            others = await rows.names(conn, kind, but=id)
            errors = check_phrase(thing, others) if isinstance(thing, Phrase) else check_template(thing, others)
            if errors:
                raise Invalid(errors)
            if id is None and len(others) >= MOST:
                raise Invalid.one("name", f"there are {MOST} already: remove some that nobody uses")
            now = self._clock()
            number = id
            if number is None:
                number = await rows.add(conn, thing, actor.name, now)
            elif not await rows.change(conn, number, thing, actor.name, now):
                raise NotFound(f"there is no {kind} {number} (any more)")
            text = thing.text if isinstance(thing, Phrase) else thing.message
            await self._record(conn, "added" if id is None else "changed", kind, number, thing.name, actor, text)
        return number

    async def remove(self, kind: Kind, id: int, *, actor: Actor) -> None:
        """NotFound if there is none."""
        async with self._database.write() as conn:
            name = await rows.remove(conn, kind, id)
            if name is None:
                raise NotFound(f"there is no {kind} {id} (any more)")
            await self._record(conn, "removed", kind, id, name, actor, "")

    async def _record(
        self, conn: Connection, what: str, kind: Kind, id: int, name: str, actor: Actor, text: str
    ) -> None:
        await outages.record(
            conn,
            at=self._clock(),
            what=Happened.PHRASE_CHANGED,
            actor=actor,
            why=what,
            data={kind.value: id, "name": name},
            text=text,
        )
