"""`outagecast report`: one outage, or one month, in figures."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import click

from outagecast.app import Core
from outagecast.commands.options import Failed, config_option, json_option
from outagecast.commands.session import run_with
from outagecast.commands.settings import read_config
from outagecast.commands.shown import print_facts, print_json, print_table
from outagecast.web.api.reports import (
    LineAnswer,
    MonthReportAnswer,
    OutageReportAnswer,
    flat,
    month_report_answer,
    outage_report_answer,
)
from outagecast.web.month import Month
from outagecast.web.spreadsheet import csv_text


@click.command("report", short_help="An outage, or a month, in figures.")
@click.argument("outage", required=False)
@click.option("--month", metavar="2026-11", help="All outages declared in this month, in the provider's zone.")
@click.option("--csv", "as_csv", is_flag=True, help="One row for each outage, as CSV.")
@config_option
@json_option
@click.pass_context
def report(ctx: click.Context, outage: str | None, month: str | None, as_csv: bool, as_json: bool) -> None:
    """How soon customers heard, promises kept and broken, how far ETAs were off, messages and cost, whom nothing
    reached.
    """
    if (outage is None) == (month is None):
        raise Failed(["name one outage, like OUT-2026-0001, or give --month 2026-11"])
    if as_csv and as_json:
        raise Failed(["--csv, --json: give one of them"])
    config = read_config(ctx)
    if month is not None:
        wanted = _month(month, ZoneInfo(config.provider.timezone))
        found = run_with(config, lambda core: _of_month(core, wanted))
        _print(found, found["outages"], as_csv=as_csv, as_json=as_json, table=lambda: _print_month(found))
        return
    one = run_with(config, lambda core: _of_outage(core, str(outage)))
    _print(one, [one], as_csv=as_csv, as_json=as_json, table=lambda: _print_outage(one))


def _month(text: str, zone: ZoneInfo) -> Month:
    try:
        return Month.read(text, zone)
    except ValueError as error:
        raise Failed([f"--month: {text} {error}"]) from None


async def _of_month(core: Core, wanted: Month) -> MonthReportAnswer:
    return month_report_answer(wanted, await core.reports.month(wanted.start, wanted.end))


async def _of_outage(core: Core, outage_id: str) -> OutageReportAnswer:
    return outage_report_answer(await core.reports.outage(outage_id))


def _print(whole: Any, lines: Sequence[Any], *, as_csv: bool, as_json: bool, table: Any) -> None:
    if as_json:
        print_json(whole)
    elif as_csv:
        rows = [flat(line) for line in lines]
        header = list(rows[0]) if rows else ["id"]
        sys.stdout.write(csv_text(header, [[row[name] for name in header] for row in rows]).replace("\r\n", "\n"))
    else:
        table()


def _print_month(found: MonthReportAnswer) -> None:
    if not found["outages"]:
        click.echo(f"no outage was declared in {found['month']}")
        return
    print_table(
        ["outage", "first word", "kept", "broken", "ETA off", "customers", "customer min", "messages", "title"],
        [_row(line) for line in found["outages"]],
        numbers=["kept", "broken", "customers", "customer min", "messages"],
    )
    print_facts(
        {
            "first word (median)": _length(found["declared_to_first_word_seconds"]),
            "promises": f"{found['promises_kept']} kept, {found['promises_broken']} broken",
            "ETA off (median)": _length(found["eta_error_seconds"]),
            "SMS cost": _cost(found["channels"]),
            "not reached": len(found["unreached"]) or None,
        }
    )


def _print_outage(one: OutageReportAnswer) -> None:
    by = one["promises_kept_by"]
    print_facts(
        {
            "outage": f"{one['id']}  {one['title']}",
            "status": one["status"],
            "first word": _length(one["declared_to_first_word_seconds"]),
            "since it began": _length(one["started_to_first_word_seconds"]),
            "slowest word": _length(one["longest_to_last_message_seconds"]),
            "promises": f"{one['promises_kept']} kept ({by['holding']} by holding notices), "
            f"{one['promises_broken']} broken",
            "ETAs": f"{one['etas']} said, {one['eta_slips']} slipped",
            "last ETA off": _length(one["eta_error_seconds"]),
            "customers": one["customers"],
            "customer minutes": one["customer_minutes"],
            "SMS cost": _cost(one["channels"]),
            "not reached": len(one["unreached"]) or None,
        }
    )
    print_table(
        ["channel", "left", "delivered", "failed", "unknown", "not sent"],
        [
            (
                each["channel"] or "none",
                each["left"],
                each["delivered"],
                each["failed"],
                each["unknown"],
                ", ".join(f"{n} {why}" for why, n in each["unsent"].items()) or "-",
            )
            for each in one["channels"]
        ],
        numbers=["left", "delivered", "failed", "unknown"],
    )


def _row(line: LineAnswer) -> tuple[object, ...]:
    return (
        line["id"],
        _length(line["declared_to_first_word_seconds"]) or "-",
        line["promises_kept"],
        line["promises_broken"],
        _length(line["eta_error_seconds"]) or "-",
        line["customers"],
        line["customer_minutes"],
        line["messages"],
        line["title"],
    )


def _cost(channels: Sequence[Mapping[str, Any]]) -> str | None:
    costs = [each for each in channels if each["cost"]]
    return ", ".join(
        f"{'about ' if each['segments_estimated'] else ''}{each['cost']['amount']:.2f} {each['cost']['currency']}"
        for each in costs
    )


def _length(seconds: int | None) -> str | None:
    """`1 h 05 min`, with a minus where something came early."""
    if seconds is None:
        return None
    minutes, rest = divmod(abs(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    words = f"{hours} h {minutes:02} min" if hours else f"{minutes} min" if minutes else f"{rest} s"
    return f"-{words}" if seconds < 0 else words
