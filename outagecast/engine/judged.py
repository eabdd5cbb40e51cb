"""What reports judge of one outage, and how its counts are put together. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from outagecast.domain.delivery import LEFT, DeliveryState
from outagecast.domain.report import EtaSaid, Promise, PromiseState, Said, etas, promises
from outagecast.storage.views_reports import Head, Suffered
from outagecast.storage.views_told import TAKEN, Told

_LOST = (DeliveryState.FAILED, DeliveryState.UNDELIVERED)
_ON_THE_WAY = (DeliveryState.PLANNED, DeliveryState.LEASED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    amount: float
    currency: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelReport:
    """One channel's messages to customers. `left` started to leave; of those `delivered` were confirmed, and `unknown`
    are what nobody can know. `unsent`: by state and reason. `segments`: of SMS; `about`: counted on a sample.
    """

    channel: str
    left: int = 0
    taken: int = 0
    delivered: int = 0
    unknown: int = 0
    failed: int = 0
    waiting: int = 0
    unsent: Mapping[str, int] = field(default_factory=dict)
    segments: int | None = None
    about: bool = False
    cost: Cost | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WordReport:
    """One revision: who said it when, how many messages it made, how long until the last of them had left."""

    number: int
    verb: str
    actor: str
    at: datetime
    left: int
    last_at: datetime | None
    late: int
    """Messages that left after the time this word had been promised for."""

    @property
    def took(self) -> timedelta | None:
        return self.last_at - self.at if self.last_at else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """What is judged alike for one outage of a report and for a line of a month. `to_first`: from the declaration to
    the first message taken; `until_told`: from its beginning. `longest`: the slowest word to its last message.
    """

    head: Head
    suffered: Suffered
    first_at: datetime | None
    last_at: datetime | None
    promises: tuple[Promise, ...]
    etas: tuple[EtaSaid, ...]
    channels: tuple[ChannelReport, ...]
    words: tuple[WordReport, ...]

    @property
    def to_first(self) -> timedelta | None:
        return max(self.first_at - self.head.declared_at, timedelta(0)) if self.first_at else None

    @property
    def until_told(self) -> timedelta | None:
        return self.first_at - self.head.started_at if self.first_at else None

    @property
    def kept(self) -> int:
        return sum(promise.state is PromiseState.KEPT for promise in self.promises)

    @property
    def broken(self) -> int:
        return sum(promise.state is PromiseState.BROKEN for promise in self.promises)

    @property
    def slips(self) -> int:
        return sum(eta.slipped for eta in self.etas)

    @property
    def eta_error(self) -> timedelta | None:
        """How far the last ETA was off."""
        return self.etas[-1].error if self.etas else None

    @property
    def longest(self) -> WordReport | None:
        timed = [word for word in self.words if word.took is not None]
        return max(timed, key=lambda word: word.took or timedelta(0)) if timed else None

    @property
    def left(self) -> int:
        return sum(channel.left for channel in self.channels)


def judge(
    head: Head,
    rows: Sequence[Told],
    parts: Sequence[ChannelReport],
    said: Sequence[Said],
    ends: Mapping[int, datetime],
    lost: Mapping[str, Suffered],
    now: datetime,
) -> Judged:
    firsts = [row.first_at for row in rows if row.first_at is not None]
    lasts = [row.last_at for row in rows if row.last_at is not None]
    return Judged(
        head=head,
        suffered=lost.get(head.id, Suffered()),
        first_at=min(firsts, default=None),
        last_at=max(lasts, default=None),
        promises=promises(said, now),
        etas=etas(said, ends),
        channels=add_up(parts),
        words=tuple(_word(item, [row for row in rows if row.revision == item.number]) for item in said),
    )


def _word(item: Said, rows: Sequence[Told]) -> WordReport:
    return WordReport(
        number=item.number,
        verb=item.verb.value,
        actor=item.actor,
        at=item.at,
        left=sum(row.count for row in rows if row.state in LEFT),
        last_at=max((row.last_at for row in rows if row.last_at is not None), default=None),
        late=0,
    )


def as_channel(row: Told) -> ChannelReport:
    return ChannelReport(
        channel=row.channel,
        left=row.count if row.state in LEFT else 0,
        taken=row.count if row.state.value in TAKEN else 0,
        delivered=row.count if row.state is DeliveryState.DELIVERED else 0,
        unknown=row.count if row.state is DeliveryState.AMBIGUOUS else 0,
        failed=row.count if row.state in _LOST else 0,
        waiting=row.count if row.state in _ON_THE_WAY else 0,
    )


def add_up(parts: Sequence[ChannelReport]) -> tuple[ChannelReport, ...]:
    """The parts added up, one for each channel; "" is where there was no address to have a channel."""
    joined: dict[str, ChannelReport] = {}
    for part in parts:
        before = joined.get(part.channel, ChannelReport(channel=part.channel))
        unsent = dict(before.unsent)
        for why, count in part.unsent.items():
            unsent[why] = unsent.get(why, 0) + count
        joined[part.channel] = ChannelReport(
            channel=part.channel,
            left=before.left + part.left,
            taken=before.taken + part.taken,
            delivered=before.delivered + part.delivered,
            unknown=before.unknown + part.unknown,
            failed=before.failed + part.failed,
            waiting=before.waiting + part.waiting,
            unsent=dict(sorted(unsent.items(), key=lambda item: -item[1])),
        )
    return tuple(joined[name] for name in sorted(joined, key=lambda name: (not name, name)))
