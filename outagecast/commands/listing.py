"""`outagecast outages`: what is open, with the next promise."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from outagecast.app import Core
from outagecast.commands.options import config_option, json_option
from outagecast.commands.session import run_with
from outagecast.commands.settings import read_config
from outagecast.commands.shown import print_json, print_table, printable
from outagecast.domain.outage import OPEN, OutageStatus
from outagecast.storage import views
from outagecast.storage.views import OutageView, Pause
from outagecast.web.api.answers import outage_answer
from outagecast.web.times import clock

_PAGE = 200


@click.command("outages", short_help="The outages that are open.")
@click.option("--all", "everything", is_flag=True, help="Those that are over, too.")
@config_option
@json_option
@click.pass_context
def outages(ctx: click.Context, everything: bool, as_json: bool) -> None:
    """Drafts and open outages, the newest first."""
    config = read_config(ctx)

    async def act(core: Core) -> tuple[list[OutageView], Pause | None]:
        async with core.db.read() as conn:
            return await _read(conn, everything), await views.pause(conn)

    found, paused = run_with(config, act)
    if as_json:
        why = {"reason": paused.reason, "by": paused.by} if paused else None
        print_json({"outages": [outage_answer(view) for view in found], "paused": why})
        return
    if paused:
        click.echo(f"all sending is paused: {printable(paused.reason)} ({printable(paused.by)})", err=True)
    if not found:
        click.echo("no outages" if everything else "no outage is open (--all shows those that are over)")
        return
    zone, now = ZoneInfo(config.provider.timezone), datetime.now(UTC)
    print_table(
        ["outage", "status", "severity", "customers", "ETA", "next update by", "told", "title"],
        [_row(view, zone, now) for view in found],
        numbers=["customers"],
    )


async def _read(conn: Any, everything: bool) -> list[OutageView]:
    statuses = None if everything else (OutageStatus.DRAFT, *OPEN)
    found, cursor = await views.outage_list(conn, statuses=statuses, cursor=None, limit=_PAGE)
    while cursor is not None:
        more, cursor = await views.outage_list(conn, statuses=statuses, cursor=cursor, limit=_PAGE)
        found += more
    return found


def _row(view: OutageView, zone: ZoneInfo, now: datetime) -> tuple[object, ...]:
    states = [f"{view.status}", *(["on hold"] if view.hold_reason else []), *(["pending"] if view.pending else [])]
    told = ", ".join(
        f"{sum(counts.values())} {channel}" for channel, counts in view.deliveries.items() if channel != "none"
    )
    return (
        view.id,
        ", ".join(states),
        view.severity,
        view.touched.customers,
        clock(view.eta, zone, now) if view.eta else "-",
        clock(view.next_update_by, zone, now) if view.next_update_by else "-",
        told or "-",
        view.title,
    )
