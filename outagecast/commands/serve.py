"""`outagecast serve`: the daemon, until SIGTERM or SIGINT."""

import sys
from datetime import UTC, datetime

import click

from outagecast.app import on_a_loop, run
from outagecast.commands.options import config_option
from outagecast.commands.session import plainly
from outagecast.commands.settings import read_config
from outagecast.engine.owners import Role
from outagecast.log import set_up_logging


@click.command("serve", short_help="Run the daemon: desk, API, hooks, and the messages.")
@config_option
@click.option(
    "--speed",
    type=click.FloatRange(min=0.01, max=3600),
    default=1.0,
    metavar="N",
    help="Promises and schedules run N times faster: for trying things out.",
)
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.ALL.value,
    show_default=True,
    help="What this daemon does: web (pages, API, promises), sender (sending alone), or all of it.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    help="Listen here instead of [server] port. A sender listens only if this is given (/healthz, /readyz, /metrics).",
)
@click.option("--epoch", type=click.DateTime(["%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S%z"]), hidden=True)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@click.pass_context
def serve(
    ctx: click.Context, speed: float, role: str, port: int | None, epoch: datetime | None, log_level: str
) -> None:
    """Run the daemon until SIGTERM or SIGINT; the log goes to stderr.

    Several may serve one database. On SQLite: one of the role `all` or `web`, and beside it, on the same machine, as
    many senders as are started. On PostgreSQL: any number of each, on any machine.
    """
    config = read_config(ctx)
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    set_up_logging(sys.stderr, level=log_level)

    def ready(port: int) -> None:
        if port:
            click.echo(f"listening on http://{config.server.host}:{port} for {config.provider.public_url}", err=True)

    def seated(seat: str) -> None:
        click.echo(f"sending{f' as {seat}' if seat else ''} for {config.provider.public_url}", err=True)

    def set_up(link: str) -> None:
        # To the terminal or the journal of whoever starts it, and to no log file of ours.
        click.echo(f"nobody can sign in yet; within an hour, make the first admin at {link}", err=True)

    begins = epoch.astimezone(UTC) if epoch else None
    work = run(
        config,
        speed=speed,
        epoch=begins,
        role=Role(role),
        port=port,
        on_ready=ready,
        on_setup=set_up,
        on_seat=seated,
    )
    with plainly():
        on_a_loop(work)
