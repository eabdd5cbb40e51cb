"""`outagecast backup` and `outagecast restored`: a copy of the database in use, and the way on after a restore."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from outagecast.app import Core
from outagecast.commands.options import config_option, json_option
from outagecast.commands.session import me, run, run_on_database
from outagecast.commands.settings import read_config
from outagecast.commands.shown import print_facts, print_json
from outagecast.engine.backup import Choice, Held, Released, back_up
from outagecast.storage.backup import Copied
from outagecast.storage.engine import Database
from outagecast.storage.presence import without_daemons


@click.command("backup", short_help="Copy the database while it is in use.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@config_option
@json_option
@click.pass_context
def backup(ctx: click.Context, file: Path, force: bool, as_json: bool) -> None:
    """Write a checked copy of the database, as it is at this moment, to FILE; the daemon goes on meanwhile.

    To restore: stop the daemon, put FILE in the database's place, start the daemon. It sends nothing until somebody
    has said what becomes of the messages that may have been sent since: outagecast restored release.
    """

    async def act(database: Database) -> Copied:
        with _progress() as progress:
            return await back_up(database, file, now=datetime.now(UTC), replace=force, progress=progress)

    # Nothing is migrated: a copy before an upgrade is the one that is needed most.
    copied = run_on_database(read_config(ctx), act)
    if as_json:
        print_json({"file": str(copied.path), "bytes": copied.size, "schema": copied.schema, "sound": True})
    else:
        click.echo(f"{copied.path}: {copied.size:,} bytes, sound; it holds personal data: keep it where others cannot")


@click.group("restored", short_help="After an older database was put back: see, hold, release.")
@config_option
def restored() -> None:
    """A database that is older than what ran here sends nothing until a person has said what becomes of the messages
    that may have been sent already.
    """


@restored.command("show")
@config_option
@json_option
@click.pass_context
def show(ctx: click.Context, as_json: bool) -> None:
    """Whether sending is held, and why."""

    async def act(core: Core) -> Held | None:
        return await core.restored.look()

    _print_held(run(ctx, act), as_json)


@restored.command("hold")
@config_option
@json_option
@click.pass_context
def hold(ctx: click.Context, as_json: bool) -> None:
    """Say that this database is an old one, where nothing else can tell: a snapshot of the whole machine, a backup of
    PostgreSQL. The daemon must not run; its next start sends nothing.
    """

    async def act(core: Core) -> Held:
        async with without_daemons(core.db):
            return await core.restored.hold(actor=me())

    _print_held(run(ctx, act), as_json)


@restored.command("release")
@click.argument("choice", type=click.Choice([choice.value for choice in Choice]))
@click.option("--reason", default="", help="Why, for the timeline.")
@config_option
@json_option
@click.pass_context
def release(ctx: click.Context, choice: str, reason: str, as_json: bool) -> None:
    """Let the daemon send again. CHOICE is what becomes of the messages that may have been sent already.

    said: they count as sent; whoever is told next is told how things are then. send: they are sent, some of them
    perhaps for the second time.
    """

    async def act(core: Core) -> Released:
        return await core.restored.release(Choice(choice), actor=me(), reason=reason)

    done = run(ctx, act)
    if as_json:
        print_json({"released": True, "choice": done.choice.value, "messages": done.decided})
    else:
        what = "count as sent" if done.choice is Choice.SAID else "are going to be sent"
        click.echo(f"sending goes on; {done.decided:,} messages {what}")


def _print_held(held: Held | None, as_json: bool) -> None:
    if as_json:
        more: dict[str, Any] = {} if held is None else {
            "reason": held.reason, "found": held.found.value, "found_at": held.found_at, "as_of": held.as_of,
            "undecided": held.undecided,
        }  # fmt: skip
        print_json({"held": held is not None, **more})
    elif held is None:
        click.echo("sending is not held after a restore")
    else:
        click.echo("sending is held")
        print_facts({"because": held.reason, "since": held.found_at, "then": "outagecast restored release said|send"})


@contextmanager
def _progress() -> Iterator[Any]:
    """A bar on stderr; gives what the copy calls as it grows."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(file=sys.stderr, markup=False, highlight=False)) as bars:
        task = bars.add_task("copying", total=None)

        def progress(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        yield progress
