"""Rehearsals: a whole outage before it happens. Nothing is stored and nothing sent; see playing.py for how.

Each is played in a process of its own (rehearsal_child.py), one at a time; the last few answers are kept in memory.
"""

import asyncio
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

from outagecast.domain.delivery import LEFT, UNSENT_ENDS, DeliveryState
from outagecast.domain.errors import Conflict, Invalid, NotFound, OutageCastError
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import Actor, Declaration
from outagecast.domain.script import Step
from outagecast.engine.house import House
from outagecast.engine.judged import Judged, WordReport
from outagecast.engine.playing import Played
from outagecast.engine.rehearsal_child import BrokeOff, Task, run, settings_of
from outagecast.engine.reports import Reports
from outagecast.engine.scopes import check_scope
from outagecast.engine.sent_words import SentWords
from outagecast.engine.words import WordSmith
from outagecast.storage import rehearsing
from outagecast.storage.copying import private_copy, private_place, size_on_server
from outagecast.storage.engine import Database, DatabaseFault, DatabaseRefused

KEPT = 20
"""Finished rehearsals in memory: a few hundred kB each at the most."""
_READER = 8
"""Messages of one reader that are shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wave:
    """One word of the outage. `planned`: messages by kind and channel; `unsent` why others got none; `quiet` are held
    by quiet hours, the last of them until `held_until`; `lost` had not left when something newer took their place.
    """

    word: WordReport
    planned: Mapping[str, Mapping[str, int]]
    unsent: Mapping[str, int]
    quiet: int
    held_until: datetime | None
    lost: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A message as somebody would read it."""

    at: datetime
    channel: str
    to: str
    kind: str
    subject: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Rehearsed:
    """What would happen. `asked`: when staff are asked, and what for; `others`: messages that other open outages would
    say because of it; `rates`: messages a second reckoned with. `reader`: all that one address reads.
    """

    declaration: Declaration
    script: tuple[Step, ...]
    started_at: datetime
    judged: Judged
    waves: tuple[Wave, ...]
    asked: tuple[tuple[datetime, str], ...]
    others: int
    unreached: int
    held_because: str | None
    troubles: tuple[tuple[datetime, str], ...]
    stopped: str
    samples: tuple[Sample, ...]
    reader: tuple[Sample, ...]

    @property
    def last_phone(self) -> timedelta | None:
        """From the declaration's taking effect until the last SMS (without any: mail) of the first word had left."""
        return self.waves[0].word.took if self.waves else None


class Stopped(Exception):
    """Nobody waits for it any more: the daemon stops."""


def _nothing() -> None:
    pass


@dataclass(kw_only=True, slots=True)
class Rehearsal:
    """One that runs or has run. Exactly one of `answer` and `failed` is set once it is done."""

    id: str
    title: str
    by: str
    doing: str = "getting ready"
    answer: Rehearsed | None = None
    failed: str = ""
    done: asyncio.Event = field(default_factory=asyncio.Event)
    stop: Event = field(default_factory=Event)
    end: Callable[[], None] = field(default=_nothing)
    """Ends its process before its time; nothing while it has none."""


class Rehearsals:
    """`new_id` names a rehearsal; `price` as in reports.py."""

    def __init__(
        self, house: House, words: WordSmith, *, new_id: Callable[[], str], price: tuple[float, str] | None
    ) -> None:
        self._house = house
        self._words = words
        self._new_id = new_id
        self._price = price
        self._kept: dict[str, Rehearsal] = {}
        self._running: asyncio.Task[None] | None = None

    async def start(self, declaration: Declaration, script: Sequence[Step], *, actor: Actor) -> Rehearsal:
        """Begin one. Invalid for what the scope names and nobody knows; Conflict while another one runs, and where
        the database cannot be copied.
        """
        if not declaration.scope:
            raise Invalid.one("scope", "names nothing: nobody would be told")
        await check_scope(self._house.db, declaration.scope)
        for step in script:
            await check_scope(self._house.db, step.scope)
        size = await self._size()
        if self._running is not None and not self._running.done():
            raise Conflict("another rehearsal is running: it takes a few seconds, then try again")
        found = Rehearsal(id=self._new_id(), title=declaration.title, by=actor.name)
        self._kept = dict(list(self._kept.items())[-(KEPT - 1) :]) | {found.id: found}
        self._running = asyncio.create_task(self._run(found, size, declaration, tuple(script), actor), name="rehearsal")
        return found

    def get(self, id: str) -> Rehearsal:
        """NotFound for one that was forgotten: they are kept in memory, some of them, until the daemon stops."""
        found = self._kept.get(id)
        if found is None:
            raise NotFound("this rehearsal is forgotten (only the last few are kept): play it again")
        return found

    async def wait(self, rehearsal: Rehearsal, within: timedelta) -> bool:
        """Whether it is done within so much real time."""
        try:
            async with asyncio.timeout(within.total_seconds()):
                await rehearsal.done.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """The daemon stops: what runs is given up, its copy removed."""
        for found in self._kept.values():
            found.stop.set()
            found.end()
        if self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(
        self, found: Rehearsal, size: int, declaration: Declaration, script: tuple[Step, ...], actor: Actor
    ) -> None:
        try:
            found.answer = await asyncio.to_thread(self._in_thread, found, size, declaration, script, actor)
        except Stopped:
            found.failed = "it was stopped"
        except BrokeOff as error:
            found.failed = "it was stopped" if found.stop.is_set() else str(error)
        except (OutageCastError, DatabaseRefused) as error:
            found.failed = str(error)
        except (DatabaseFault, OSError) as error:
            found.failed = f"the copy of the database failed: {str(error).splitlines()[0][:200]}"
        finally:
            found.done.set()

    def _in_thread(
        self, found: Rehearsal, size: int, declaration: Declaration, script: tuple[Step, ...], actor: Actor
    ) -> Rehearsed:
        def tell(doing: str) -> None:
            if found.stop.is_set():
                raise Stopped
            found.doing = doing

        def started(end: Callable[[], None]) -> None:
            found.end = end

        with self._copy(size, tell) as copy:
            tell("starting")
            task = Task(
                copy=copy,
                source="" if self._house.db.path else self._house.db.address.render_as_string(hide_password=False),
                settings=settings_of(self._house),
                now=self._house.clock(),
                declaration=declaration,
                script=script,
                actor=actor,
            )
            played = run(task, tell, started)
            tell("putting it together")
            return asyncio.run(self._look(copy, declaration, script, played))

    async def _size(self) -> int:
        """Bytes of a database on a server, 0 for one in a file. Conflict for one in memory."""
        if self._house.db.is_postgresql:
            async with self._house.db.read() as conn:
                return await size_on_server(conn)
        if self._house.db.path is None:
            raise Conflict("this database cannot be copied, so nothing can be rehearsed on it")
        return 0

    def _copy(self, size: int, tell: Callable[[str], None]) -> AbstractContextManager[Path]:
        """SQLite's file is copied here, in no time of Python's; what a server holds by the process that plays."""
        path = self._house.db.path
        if path is None:
            return private_place(Path(tempfile.gettempdir()), size)
        return private_copy(path, lambda share: tell(f"copying the database: {share:.0%}"))

    async def _look(self, copy: Path, declaration: Declaration, script: tuple[Step, ...], played: Played) -> Rehearsed:
        """What stands in the copy now, reported like an outage that was."""
        db = Database.open(f"sqlite:///{copy.name}", folder=copy.parent)
        try:
            return await self._answer(db, declaration, script, played)
        finally:
            await db.close()

    async def _answer(
        self, db: Database, declaration: Declaration, script: tuple[Step, ...], played: Played
    ) -> Rehearsed:
        words = SentWords(db, self._words)
        report = await Reports(db, words, clock=lambda: played.ended_at, price=self._price).outage(played.outage_id)
        async with db.read() as conn:
            kinds = await rehearsing.kinds(conn, played.outage_id)
            asked = await rehearsing.asked_at(conn, played.outage_id)
            others = await rehearsing.others_told(conn, played.outage_id, played.marker)
            readers = {
                channel: await rehearsing.one_readers(conn, played.outage_id, channel.value, _READER)
                for channel in ChannelName
            }
            about = await rehearsing.about(conn, [id for ids in readers.values() for id in ids])
        said = await words(list(about))
        shown = {id: _sample(about[id], said[id]) for id in about if id in said}
        return Rehearsed(
            declaration=declaration,
            script=script,
            started_at=played.started_at,
            judged=report.judged,
            waves=tuple(_wave(word, [k for k in kinds if k.revision == word.number]) for word in report.judged.words),
            asked=tuple(asked),
            others=others,
            unreached=len(report.unreached),
            held_because=played.held_because,
            troubles=tuple(played.troubles),
            stopped=played.stopped,
            samples=tuple(shown[id] for id in _three(readers, shown)),
            reader=tuple(shown[id] for id in _longest(readers) if id in shown),
        )


def _wave(word: WordReport, kinds: Sequence[rehearsing.Kind]) -> Wave:
    planned: dict[str, dict[str, int]] = {}
    unsent: dict[str, int] = {}
    for each in kinds:
        if each.state in LEFT or each.state is DeliveryState.PLANNED:
            by_channel = planned.setdefault(each.kind, {})
            by_channel[each.channel] = by_channel.get(each.channel, 0) + each.count
        elif each.state is DeliveryState.SUPPRESSED:
            unsent[each.why] = unsent.get(each.why, 0) + each.count
    return Wave(
        word=word,
        planned=planned,
        unsent=unsent,
        quiet=sum(each.quiet for each in kinds if each.state not in UNSENT_ENDS),
        held_until=max((each.held_until for each in kinds if each.held_until is not None), default=None),
        lost=sum(
            each.count for each in kinds if each.state in UNSENT_ENDS and each.state is not DeliveryState.SUPPRESSED
        ),
    )


def _three(readers: Mapping[ChannelName, Sequence[int]], shown: Mapping[int, Sample]) -> list[int]:
    """The first mail, the first text, and the last word of whoever hears most."""
    wanted = [*(ids[0] for ids in readers.values() if ids), *reversed(_longest(readers))]
    return list(dict.fromkeys(id for id in wanted if id in shown))[:3]


def _longest(readers: Mapping[ChannelName, Sequence[int]]) -> Sequence[int]:
    return max(readers.values(), key=len, default=())


def _sample(about: tuple[datetime, str, str, str], words: Mapping[str, Any]) -> Sample:
    at, channel, to, kind = about
    return Sample(
        at=at, channel=channel, to=to, kind=kind, subject=str(words.get("subject", "")), text=str(words["text"])
    )
