"""`outagecast db copy`: everything into another database, of the same or the other kind, and checked."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from outagecast.commands.options import FAILED, Failed, config_option, json_option
from outagecast.commands.session import run_on_database
from outagecast.commands.settings import read_config
from outagecast.commands.shown import print_json
from outagecast.engine.verify import verify
from outagecast.storage import backup, moving
from outagecast.storage.engine import Database
from outagecast.storage.moving import Copied, Tell
from outagecast.storage.presence import without_daemons


@click.command("copy", short_help="Everything into another, empty database, checked.")
@click.option("--to", "to", required=True, metavar="URL", help="postgresql://user@host/name or sqlite:///file.db.")
@click.option("--as-copy", is_flag=True, help="The source stays in use; the copy sends nothing until it is released.")
@config_option
@json_option
@click.pass_context
def copy(ctx: click.Context, to: str, as_copy: bool, as_json: bool) -> None:
    """Copy everything into another, empty database, SQLite or PostgreSQL, and compare both, table by table.

    All daemons must be stopped. Afterwards put the new address into [database] url. The old database is marked: a
    daemon that is started on it by mistake sends nothing until somebody releases it.
    """
    config = read_config(ctx)

    async def act(source: Database) -> Copied:
        target = Database.open(to, folder=config.folder)
        try:
            if _same(source, target):
                raise Failed(["--to: is the database itself"])
            async with without_daemons(source):
                await target.migrate()
                async with without_daemons(target):
                    return await _move(source, target, as_copy=as_copy)
        finally:
            await target.close()

    copied = run_on_database(config, act)
    if as_json:
        print_json({**asdict(copied), "to": Database.open(to, folder=config.folder).url, "checked": True})
    else:
        where = Database.open(to, folder=config.folder).url
        click.echo(f"{copied.rows:,} rows in {len(copied.tables)} tables copied to {where}; both hold the same")
        if not as_copy:
            click.echo(f'now put it into the settings: [database] url = "{where}"')


async def _move(source: Database, target: Database, *, as_copy: bool) -> Copied:
    now = datetime.now(UTC)
    with _progress() as tell:
        copied = await moving.copy(source, target, tell)
    findings = await verify(target, now=now)
    before = {finding.message for finding in await verify(source, now=now)} if findings else set()
    new = [finding for finding in findings if finding.message not in before]
    if new:
        raise Failed([f"the copy does not hold: {f.invariant}: {f.message}: {f.count}" for f in new], FAILED)
    mark = json.dumps({"taken_at": int(now.timestamp() * 1_000_000)})
    async with (target if as_copy else source).write() as conn:
        await backup.mark(conn, mark)
    return copied


def _same(source: Database, target: Database) -> bool:
    if source.path is not None and target.path is not None:
        return target.path.exists() and source.path.samefile(target.path)
    return source.address == target.address


@contextmanager
def _progress() -> Iterator[Tell]:
    """A bar on stderr for each table; gives what the copy calls as it goes."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(file=sys.stderr, markup=False, highlight=False)) as bars:
        tasks = {}

        def tell(table: str, done: int, total: int) -> None:
            if table not in tasks and total:
                tasks[table] = bars.add_task(table, total=total)
            if table in tasks:
                bars.update(tasks[table], completed=done)

        yield tell
