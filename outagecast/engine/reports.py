"""Reports: one outage, one month. Counted anew from the rows each time; nothing is stored, nothing changed.

Segments of SMS are counted on the words themselves, rendered again from the frozen facts; of many, on a sample.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from outagecast.domain.errors import NotFound
from outagecast.domain.message import ChannelName
from outagecast.domain.report import middle
from outagecast.domain.sms import segments
from outagecast.engine.judged import ChannelReport, Cost, Judged, add_up, as_channel, judge
from outagecast.storage import views_reports, views_told
from outagecast.storage.engine import Connection, Database
from outagecast.storage.views_reports import Head, Suffered
from outagecast.storage.views_told import Told, Unreached

SAMPLE = 100
"""SMS put into words again to count segments, at the most: some 50 ms."""
_AT_ONCE = 25
MOST_UNREACHED = 20_000
STEPS = tuple(timedelta(seconds=s) for s in (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 86400))
MOST_STEPS = 60
"""Steps of time on the chart of what left when: more would be hairlines."""


class Words(Protocol):
    """The words as sent (engine/sent_words.py)."""

    async def __call__(self, delivery_ids: Sequence[int]) -> Mapping[int, Mapping[str, Any]]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class OutageReport:
    """`over_time`: messages taken in each step of `step`, by channel. `asked`: how often staff were, by what for."""

    judged: Judged
    unreached: tuple[Unreached, ...]
    asked: Mapping[str, int]
    step: timedelta
    over_time: tuple[tuple[datetime, str, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class MonthReport:
    """All outages declared in [start, end), the first first; `channels` and `cost` over all of them."""

    start: datetime
    end: datetime
    outages: tuple[Judged, ...]
    channels: tuple[ChannelReport, ...]
    unreached: tuple[Unreached, ...]
    suffered: Suffered

    @property
    def to_first(self) -> timedelta | None:
        """The median time to the first word."""
        return middle([each.to_first for each in self.outages if each.to_first is not None])

    @property
    def kept(self) -> int:
        return sum(each.kept for each in self.outages)

    @property
    def broken(self) -> int:
        return sum(each.broken for each in self.outages)

    @property
    def eta_error(self) -> timedelta | None:
        """The median distance of every ETA from what came true, early or late."""
        return middle([abs(eta.error) for each in self.outages for eta in each.etas if eta.error is not None])


class Reports:
    """`price`: what one SMS segment costs and in which currency, None where it is not told."""

    def __init__(
        self, database: Database, words: Words, *, clock: Callable[[], datetime], price: tuple[float, str] | None
    ) -> None:
        self._database = database
        self._words = words
        self._clock = clock
        self._price = price

    async def outage(self, outage_id: str) -> OutageReport:
        """NotFound for an outage that does not exist, or whose declaration has told nobody yet (a draft)."""
        # Two connections at a time: the counts over a large wave take a tenth of a second each.
        judged, (unreached, asked) = await asyncio.gather(
            self._judge(lambda conn: views_reports.heads(conn, [outage_id])), self._others(outage_id)
        )
        if not judged:
            raise NotFound(f"there is no outage {outage_id} that was declared: nothing to report")
        one = judged[0]
        step = _step(one.first_at, one.last_at)
        (late, over_time), channels = await asyncio.gather(
            self._times(one, step), self._with_segments([outage_id], one.channels)
        )
        words = tuple(replace(word, late=late.get(word.number, 0)) for word in one.words)
        return OutageReport(
            judged=replace(one, channels=channels, words=words),
            unreached=tuple(unreached),
            asked=asked,
            step=step,
            over_time=tuple(over_time),
        )

    async def month(self, start: datetime, end: datetime) -> MonthReport:
        """The outages declared in [start, end), both aware."""
        judged = await self._judge(lambda conn: views_reports.declared_between(conn, start, end))
        ids = [each.head.id for each in judged]
        async with self._database.read() as conn:
            unreached = await views_told.unreached(conn, ids, limit=MOST_UNREACHED) if ids else []
        joined = add_up([row for each in judged for row in each.channels])
        return MonthReport(
            start=start,
            end=end,
            outages=tuple(judged),
            channels=await self._with_segments(ids, joined),
            unreached=tuple(unreached),
            suffered=Suffered(
                customers=sum(each.suffered.customers for each in judged),
                things=sum(each.suffered.things for each in judged),
                customer_time=sum((each.suffered.customer_time for each in judged), timedelta(0)),
            ),
        )

    async def first_declared(self) -> datetime | None:
        """Where the months begin."""
        async with self._database.read() as conn:
            return await views_reports.first_declared(conn)

    async def _others(self, outage_id: str) -> tuple[list[Unreached], Mapping[str, int]]:
        async with self._database.read() as conn:
            unreached = await views_told.unreached(conn, [outage_id], limit=MOST_UNREACHED)
            asked = await views_reports.asked(conn, [outage_id])
        return unreached, asked.get(outage_id, {})

    async def _times(
        self, one: Judged, step: timedelta
    ) -> tuple[Mapping[int, int], Sequence[tuple[datetime, str, int]]]:
        due = {promise.answer: promise.due_at for promise in one.promises if promise.answer is not None}
        async with self._database.read() as conn:
            return (
                await views_told.late(conn, one.head.id, due),
                await views_told.left_over_time(conn, one.head.id, step),
            )

    async def _judge(self, find: Callable[[Connection], Awaitable[list[Head]]]) -> list[Judged]:
        now = self._clock()
        async with self._database.read() as conn:
            found = await find(conn)
            ids = [head.id for head in found]
            said, ends = await views_reports.said(conn, ids)
            counted, lost = await asyncio.gather(self._counts(conn, ids), self._lost(ids, now))
        rows, parts = counted
        return [
            judge(head, rows[head.id], parts[head.id], said.get(head.id, []), ends.get(head.id, {}), lost, now)
            for head in found
        ]

    async def _counts(
        self, conn: Connection, ids: Sequence[str]
    ) -> tuple[dict[str, list[Told]], dict[str, list[ChannelReport]]]:
        rows: dict[str, list[Told]] = {outage_id: [] for outage_id in ids}
        parts: dict[str, list[ChannelReport]] = {outage_id: [] for outage_id in ids}
        for told in await views_told.told(conn, ids):
            rows[told.outage_id].append(told)
            parts[told.outage_id].append(as_channel(told))
        for row in await views_told.unsent(conn, ids):
            parts[row.outage_id].append(ChannelReport(channel=row.channel, unsent={row.why: row.count}))
        return rows, parts

    async def _lost(self, ids: Sequence[str], now: datetime) -> dict[str, Suffered]:
        async with self._database.read() as conn:
            return await views_reports.suffered(conn, ids, now)

    async def _with_segments(
        self, ids: Sequence[str], channels: tuple[ChannelReport, ...]
    ) -> tuple[ChannelReport, ...]:
        return tuple([await self._counted(ids, each) if each.channel == ChannelName.SMS else each for each in channels])

    async def _counted(self, ids: Sequence[str], texts: ChannelReport) -> ChannelReport:
        if not texts.left:
            return texts
        every = -(-texts.left // SAMPLE)
        async with self._database.read() as conn:
            sample = await views_told.some_texts(conn, ids, every=every, limit=2 * SAMPLE)
        units: list[int] = []
        for start in range(0, len(sample), _AT_ONCE):
            words = await self._words(sample[start : start + _AT_ONCE])
            units += [segments(str(text["text"])) for text in words.values()]
        if not units:
            return texts
        about = len(units) < texts.left
        total = round(sum(units) * texts.left / len(units)) if about else sum(units)
        cost = Cost(amount=round(total * self._price[0], 2), currency=self._price[1]) if self._price else None
        return replace(texts, segments=total, about=about, cost=cost)


def _step(first: datetime | None, last: datetime | None) -> timedelta:
    span = last - first if first and last else timedelta(0)
    return next((step for step in STEPS if span <= step * MOST_STEPS), STEPS[-1])
