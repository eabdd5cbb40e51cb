"""Afterwards: one outage, one month, in figures. Pages with charts, and the same as CSV."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any

from aiohttp import web
from markupsafe import Markup

from outagecast.domain.report import PromiseState
from outagecast.engine.judged import Judged
from outagecast.engine.reports import MonthReport, OutageReport
from outagecast.storage.views_told import Unreached
from outagecast.web.api.reports import flat, kept_by, line_answer, outage_report_answer, read_month
from outagecast.web.desk import charts
from outagecast.web.desk.charts import Column, Series, Step
from outagecast.web.desk.frame import render
from outagecast.web.desk.viewer import viewer_zone
from outagecast.web.month import Month
from outagecast.web.pages import plural
from outagecast.web.services import SERVICES
from outagecast.web.spreadsheet import csv_answer
from outagecast.web.times import clock, duration

SHOWN = 100
"""Unreached addresses on a page; the CSV has them all."""
_MOST_MONTHS = 36
CHANNELS = {"email": "E-mail", "sms": "SMS"}
_UNREACHED = ("customer_id", "customer", "contact_id", "contact", "channel", "to", "why", "code")


async def months(request: web.Request) -> web.Response:
    """The months there are reports of, the newest first."""
    services = request.app[SERVICES]
    zone = services.provider.zone
    first = await services.reports.first_declared()
    found: list[Month] = []
    month = Month.of(services.clock(), zone)
    while first is not None and month.end > first and len(found) < _MOST_MONTHS:
        found.append(month)
        month = month.before
    return render(request, "desk/reports.html", months=found)


async def month(request: web.Request) -> web.Response:
    wanted = read_month(request)
    services = request.app[SERVICES]
    report = await services.reports.month(wanted.start, wanted.end)
    days = _by_day(wanted, report)
    longest = max((each.to_first or timedelta(0) for each in report.outages), default=timedelta(0))
    return render(
        request,
        "desk/report-month.html",
        month=wanted,
        # A month to come has nothing to show; this one goes on.
        now_month=Month.of(services.clock(), services.provider.zone).name,
        report=report,
        bars={each.head.id: charts.bar(_share(each.to_first, longest)) for each in report.outages},
        days=[day for day in days if day.any],
        promise_chart=_promise_chart(wanted, report, days),
        minutes_chart=_minutes_chart(days),
        kept_by=kept_by([promise for each in report.outages for promise in each.promises]),
        channel_names=CHANNELS,
        unreached=report.unreached[:SHOWN],
    )


async def month_csv(request: web.Request) -> web.Response:
    wanted = read_month(request)
    report = await request.app[SERVICES].reports.month(wanted.start, wanted.end)
    return _lines_csv(f"outages-{wanted.name}.csv", report.outages)


async def month_unreached_csv(request: web.Request) -> web.Response:
    wanted = read_month(request)
    report = await request.app[SERVICES].reports.month(wanted.start, wanted.end)
    return _unreached_csv(f"unreached-{wanted.name}.csv", report.unreached)


async def outage(request: web.Request) -> web.Response:
    report = await _report(request)
    now, zone = request.app[SERVICES].clock(), viewer_zone(request)
    judged = report.judged
    return render(
        request,
        "desk/report-outage.html",
        report=report,
        judged=judged,
        kept_by=kept_by(judged.promises),
        eta_chart=eta_chart(judged, zone, now),
        left_chart=_left_chart(report, zone, now),
        channel_names=CHANNELS,
        unreached=report.unreached[:SHOWN],
    )


async def outage_csv(request: web.Request) -> web.Response:
    report = await _report(request)
    return _lines_csv(f"{report.judged.head.id}.csv", [report.judged])


async def outage_words_csv(request: web.Request) -> web.Response:
    """One row for each word, with the promise it gave and what became of that."""
    found = outage_report_answer(await _report(request))
    given: Mapping[int, Mapping[str, Any]] = {each["revision"]: {**each} for each in found["promises"]}
    said: Mapping[int, Mapping[str, Any]] = {each["revision"]: {**each} for each in found["eta_list"]}
    word = ("revision", "verb", "by", "at", "messages", "last_after_seconds", "late")
    rows = [
        [
            *({**each}[name] for name in word),
            *(given.get(each["revision"], {}).get(name) for name in ("due_at", "state", "by", "answered_at")),
            *(said.get(each["revision"], {}).get(name) for name in ("eta", "error_seconds")),
        ]
        for each in found["words"]
    ]
    header = [*word, "promised", "promise", "answered_by", "answered_at", "eta", "eta_error_seconds"]
    return csv_answer(f"{found['id']}-words.csv", header, rows)


async def outage_unreached_csv(request: web.Request) -> web.Response:
    report = await _report(request)
    return _unreached_csv(f"{report.judged.head.id}-unreached.csv", report.unreached)


# --- below ---


async def _report(request: web.Request) -> OutageReport:
    return await request.app[SERVICES].reports.outage(request.match_info["id"])


def _lines_csv(name: str, outages: Sequence[Judged]) -> web.Response:
    rows = [flat(line_answer(each)) for each in outages]
    header = list(rows[0]) if rows else ["id"]
    return csv_answer(name, header, [[row[column] for column in header] for row in rows])


def _unreached_csv(name: str, found: Sequence[Unreached]) -> web.Response:
    return csv_answer(name, _UNREACHED, [[getattr(each, column) for column in _UNREACHED] for each in found])


def _share(length: timedelta | None, longest: timedelta) -> float:
    return length / longest if length and longest else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Day:
    """One day of a month: promises that fell due, by what became of them; minutes lost to what was declared then."""

    number: int
    promises: Mapping[str, int]
    minutes: int

    @property
    def any(self) -> bool:
        return bool(self.minutes or sum(self.promises.values()))


def _by_day(wanted: Month, report: MonthReport) -> list[Day]:
    promises = {day: {"desk": 0, "holding": 0, "broken": 0} for day in range(1, _days(wanted) + 1)}
    minutes = dict.fromkeys(promises, 0)
    for each in report.outages:
        declared = each.head.declared_at.astimezone(wanted.zone).day
        minutes[declared] += each.suffered.customer_time // timedelta(minutes=1)
        for promise in each.promises:
            due = promise.due_at.astimezone(wanted.zone)
            # One that was given late on the last day may fall due in the next month: it is counted, yet on no day here.
            if (due.year, due.month) == (wanted.year, wanted.number) and promise.state is not PromiseState.WAITING:
                kind = str(promise.by or "desk") if promise.state is PromiseState.KEPT else "broken"
                promises[due.day][kind] += 1
    return [Day(number=day, promises=promises[day], minutes=minutes[day]) for day in promises]


def _promise_chart(wanted: Month, report: MonthReport, days: Sequence[Day]) -> Markup | None:
    """Promises by the day they fell due: kept by the desk, by holding notices, broken."""
    if not report.kept + report.broken:
        return None
    was = "was" if report.kept == 1 else "were"
    return charts.columns(
        "promises",
        "Promises by day",
        f"{plural(report.kept, 'promise')} {was} kept and {report.broken} broken in {wanted.words}.",
        [
            Series(key="desk", name="kept by the desk"),
            Series(key="holding", name="kept by a holding notice"),
            Series(key="broken", name="broken"),
        ],
        [Column(label=f"{day.number}", parts=day.promises) for day in days],
    )


def _minutes_chart(days: Sequence[Day]) -> Markup | None:
    """Customers' time without service by the day their outage was declared."""
    total = sum(day.minutes for day in days)
    if not total:
        return None
    return charts.columns(
        "minutes",
        "Customer minutes by the day of the declaration",
        f"{plural(total, 'minute')} in all, each customer's time out or degraded added up.",
        [Series(key="minutes", name="customer minutes")],
        [Column(label=f"{day.number}", parts={"minutes": day.minutes}) for day in days],
    )


def _days(wanted: Month) -> int:
    return (wanted.end.astimezone(wanted.zone) - timedelta(hours=12)).day


def eta_chart(judged: Judged, zone: tzinfo, now: datetime) -> Markup | None:
    """What we said, when, against what came true: the last episode's ETAs as steps, the end as a level."""
    said = [eta for eta in judged.etas if eta.episode == judged.head.episode]
    if not said:
        return None
    over = judged.head.ended_at
    until = max(over or now, said[-1].said_at + timedelta(minutes=1))
    values = [eta.eta for eta in said] + ([over] if over else [])
    low, high = min(values), max(values)
    margin = max((high - low) / 10, timedelta(minutes=1))
    low, high = low - margin, high + margin
    start = said[0].said_at
    line = [Step(at=(eta.said_at - start) / (until - start), value=(eta.eta - low) / (high - low)) for eta in said]
    clocks = [clock(at, zone, now) for at in (high, low, start, until)]
    told = "; ".join(f"at {clock(eta.said_at, zone, now)} we said {clock(eta.eta, zone, now)}" for eta in said[:6])
    end = f". It was over at {clock(over, zone, now)}." if over else "."
    return charts.steps(
        "etas", "When we said it would be back", told[:1].upper() + told[1:] + end, line,
        level=(over - low) / (high - low) if over else None, top=clocks[0], bottom=clocks[1],
        labels=[f"said {clocks[2]}", clocks[3]], names=["the ETA we told", *(["when it was over"] if over else [])],
    )  # fmt: skip


def _left_chart(report: OutageReport, zone: tzinfo, now: datetime) -> Markup | None:
    """How many messages the next hop took in each step of time."""
    if not report.over_time:
        return None
    found: dict[datetime, dict[str, int]] = {}
    for at, channel, count in report.over_time:
        found.setdefault(at, {})[channel] = count
    at, last = min(found), max(found)
    columns: list[Column] = []
    while at <= last:
        columns.append(Column(label=clock(at, zone, now), parts=found.get(at, {})))
        at += report.step
    total = sum(count for _, _, count in report.over_time)
    return charts.columns(
        "left",
        f"Messages taken, each column {duration(report.step)}",
        f"{plural(total, 'message')} between {columns[0].label} and {clock(last + report.step, zone, now)}.",
        [Series(key=key, name=name) for key, name in CHANNELS.items()],
        columns,
    )
