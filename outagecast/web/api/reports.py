"""Reports over the API: one outage, one month, as JSON-ready values. Durations are whole seconds."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web
from typing_extensions import TypedDict

from outagecast.domain.errors import Invalid
from outagecast.domain.report import EtaSaid, Keeper, Promise, PromiseState
from outagecast.engine.judged import ChannelReport, Judged, WordReport
from outagecast.engine.reports import MonthReport, OutageReport
from outagecast.storage.views_told import Unreached
from outagecast.web.api.outages import answer
from outagecast.web.month import Month
from outagecast.web.services import SERVICES


class PromiseAnswer(TypedDict):
    """`state`: kept, broken or waiting; `by`: whose word answered it, desk or holding."""

    revision: int
    given_at: str
    due_at: str
    state: str
    by: str | None
    answered_at: str | None


class EtaAnswer(TypedDict):
    """`error_seconds`: how much later than this ETA it was over; earlier is negative."""

    revision: int
    said_at: str
    eta: str
    slipped: bool
    error_seconds: int | None


class CostAnswer(TypedDict):
    amount: float
    currency: str


class ChannelAnswer(TypedDict):
    """`left` started to leave; `unsent` ended without sending, by reason. `segments_estimated`: from a sample."""

    channel: str
    left: int
    delivered: int
    unknown: int
    failed: int
    waiting: int
    unsent: dict[str, int]
    segments: int | None
    segments_estimated: bool
    cost: CostAnswer | None


class WordAnswer(TypedDict):
    """One revision: `last_after_seconds` from its taking effect to its last message; `late`: after the promise."""

    revision: int
    verb: str
    by: str
    at: str
    messages: int
    last_after_seconds: int | None
    late: int


class UnreachedAnswer(TypedDict):
    customer_id: str
    customer: str
    contact_id: str
    contact: str
    channel: str
    to: str
    why: str
    code: str


class LineAnswer(TypedDict):
    """One outage in figures. `customer_minutes`: time out or degraded, each customer's shared hours counted once."""

    id: str
    title: str
    status: str
    severity: str
    cause: str
    cause_code: str
    started_at: str
    declared_at: str
    ended_at: str | None
    first_word_at: str | None
    last_message_at: str | None
    declared_to_first_word_seconds: int | None
    started_to_first_word_seconds: int | None
    longest_to_last_message_seconds: int | None
    promises_kept: int
    promises_broken: int
    promises_kept_by: dict[str, int]
    etas: int
    eta_slips: int
    eta_error_seconds: int | None
    customers: int
    customer_minutes: int
    messages: int
    channels: list[ChannelAnswer]


class OutageReportAnswer(LineAnswer):
    promises: list[PromiseAnswer]
    eta_list: list[EtaAnswer]
    words: list[WordAnswer]
    unreached: list[UnreachedAnswer]
    staff_asked: dict[str, int]


class MonthReportAnswer(TypedDict):
    """All outages declared in the month, in the provider's zone. Medians where there are many."""

    month: str
    from_at: str
    to_at: str
    outages: list[LineAnswer]
    declared_to_first_word_seconds: int | None
    promises_kept: int
    promises_broken: int
    eta_error_seconds: int | None
    customer_minutes: int
    channels: list[ChannelAnswer]
    unreached: list[UnreachedAnswer]


async def outage(request: web.Request) -> web.Response:
    return answer(outage_report_answer(await request.app[SERVICES].reports.outage(request.match_info["id"])))


async def month(request: web.Request) -> web.Response:
    wanted = read_month(request)
    return answer(month_report_answer(wanted, await request.app[SERVICES].reports.month(wanted.start, wanted.end)))


def read_month(request: web.Request) -> Month:
    """The month of the path, in the provider's zone. Invalid for one that is none."""
    try:
        return Month.read(request.match_info["month"], request.app[SERVICES].provider.zone)
    except ValueError as error:
        raise Invalid.one("month", str(error)) from None


def outage_report_answer(report: OutageReport) -> OutageReportAnswer:
    judged = report.judged
    return OutageReportAnswer(
        **line_answer(judged),
        promises=[promise_answer(each) for each in judged.promises],
        eta_list=[_eta(each) for each in judged.etas],
        words=[_word(each) for each in judged.words],
        unreached=_unreached(report.unreached),
        staff_asked=dict(report.asked),
    )


def month_report_answer(wanted: Month, report: MonthReport) -> MonthReportAnswer:
    return MonthReportAnswer(
        month=wanted.name,
        from_at=report.start.isoformat(),
        to_at=report.end.isoformat(),
        outages=[line_answer(each) for each in report.outages],
        declared_to_first_word_seconds=_seconds(report.to_first),
        promises_kept=report.kept,
        promises_broken=report.broken,
        eta_error_seconds=_seconds(report.eta_error),
        customer_minutes=report.suffered.customer_time // timedelta(minutes=1),
        channels=[_channel(each) for each in report.channels],
        unreached=_unreached(report.unreached),
    )


def line_answer(judged: Judged) -> LineAnswer:
    head, longest = judged.head, judged.longest
    return LineAnswer(
        id=head.id,
        title=head.title,
        status=head.status.value,
        severity=head.severity.value,
        cause=head.cause,
        cause_code=head.cause_code,
        started_at=head.started_at.isoformat(),
        declared_at=head.declared_at.isoformat(),
        ended_at=_time(head.ended_at),
        first_word_at=_time(judged.first_at),
        last_message_at=_time(judged.last_at),
        declared_to_first_word_seconds=_seconds(judged.to_first),
        started_to_first_word_seconds=_seconds(judged.until_told),
        longest_to_last_message_seconds=_seconds(longest.took) if longest else None,
        promises_kept=judged.kept,
        promises_broken=judged.broken,
        promises_kept_by=kept_by(judged.promises),
        etas=len(judged.etas),
        eta_slips=judged.slips,
        eta_error_seconds=_seconds(judged.eta_error),
        customers=judged.suffered.customers,
        customer_minutes=judged.suffered.customer_time // timedelta(minutes=1),
        messages=judged.left,
        channels=[_channel(each) for each in judged.channels],
    )


def kept_by(promises: Sequence[Promise]) -> dict[str, int]:
    """How many promises the desk kept, and how many the daemon's holding notices."""
    kept = [each for each in promises if each.state is PromiseState.KEPT]
    return {keeper.value: sum(each.by is keeper for each in kept) for keeper in Keeper}


def flat(line: LineAnswer) -> dict[str, Any]:
    """A line for a table of plain cells: what is a list or a mapping is added up or left out."""
    cells: dict[str, Any] = {name: value for name, value in line.items() if not isinstance(value, list | dict)}
    by: Mapping[str, int] = line["promises_kept_by"]
    cells |= {"kept_by_desk": by["desk"], "kept_by_holding": by["holding"]}
    for name in ("email", "sms"):
        found = [each for each in line["channels"] if each["channel"] == name]
        cells |= {f"{name}_left": sum(each["left"] for each in found)}
        cells |= {f"{name}_failed": sum(each["failed"] for each in found)}
    cells["unsent"] = sum(sum(each["unsent"].values()) for each in line["channels"])
    return cells


def _channel(each: ChannelReport) -> ChannelAnswer:
    return ChannelAnswer(
        channel=each.channel,
        left=each.left,
        delivered=each.delivered,
        unknown=each.unknown,
        failed=each.failed,
        waiting=each.waiting,
        unsent=dict(each.unsent),
        segments=each.segments,
        segments_estimated=each.about,
        cost=CostAnswer(amount=each.cost.amount, currency=each.cost.currency) if each.cost else None,
    )


def promise_answer(each: Promise) -> PromiseAnswer:
    return PromiseAnswer(
        revision=each.revision,
        given_at=each.given_at.isoformat(),
        due_at=each.due_at.isoformat(),
        state=each.state.value,
        by=each.by.value if each.by else None,
        answered_at=_time(each.answered_at),
    )


def _eta(each: EtaSaid) -> EtaAnswer:
    return EtaAnswer(
        revision=each.revision,
        said_at=each.said_at.isoformat(),
        eta=each.eta.isoformat(),
        slipped=each.slipped,
        error_seconds=_seconds(each.error),
    )


def _word(each: WordReport) -> WordAnswer:
    return WordAnswer(
        revision=each.number,
        verb=each.verb,
        by=each.actor,
        at=each.at.isoformat(),
        messages=each.left,
        last_after_seconds=_seconds(each.took),
        late=each.late,
    )


def _unreached(found: Sequence[Unreached]) -> list[UnreachedAnswer]:
    return [
        UnreachedAnswer(
            customer_id=each.customer_id, customer=each.customer, contact_id=each.contact_id, contact=each.contact,
            channel=each.channel, to=each.to, why=each.why, code=each.code,
        )
        for each in found
    ]  # fmt: skip


def _seconds(length: timedelta | None) -> int | None:
    return None if length is None else int(length.total_seconds())


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
