"""`outagecast db` and `outagecast verify`: the database's schema, its file, and what must always hold."""

from collections.abc import Sequence
from dataclasses import asdict

import click

from outagecast.app import Core
from outagecast.commands.moving import copy
from outagecast.commands.options import FAILED, Failed, config_option, json_option
from outagecast.commands.session import run, run_on_database, run_with
from outagecast.commands.settings import read_config
from outagecast.commands.shown import print_json, printable
from outagecast.engine.verify import Finding
from outagecast.engine.verify import verify as recount
from outagecast.storage import health, server
from outagecast.storage.engine import Database


@click.group("db", short_help="The database: upgrade, check, copy.")
@config_option
def db() -> None:
    """The database. `serve` upgrades it by itself."""


@db.command("upgrade")
@config_option
@json_option
@click.pass_context
def upgrade(ctx: click.Context, as_json: bool) -> None:
    """Make the database where it is missing, and bring its schema up to date."""

    async def act(core: Core) -> str:
        return str(core.db.path or core.config.database.shown)

    where = run(ctx, act)
    if as_json:
        print_json({"database": where, "current": True})
    else:
        click.echo(f"{where} is up to date")


@db.command("check")
@config_option
@json_option
@click.pass_context
def check(ctx: click.Context, as_json: bool) -> None:
    """Whether the schema is current and the file sound; nothing is changed. Exit code 1 when not."""

    async def act(database: Database) -> list[str]:
        if not await database.schema_is_current():
            return ["the schema is not this program's: run outagecast db upgrade, or install the version that made it"]
        async with database.read() as conn:
            found = await health.integrity(conn)
            if database.is_postgresql:
                there = await server.look(conn)
                found += [there.unfit] if there.unfit else []
                for what, mend in there.warnings:
                    click.echo(f"warning: {what} ({mend})", err=True)
        return found

    _report(run_on_database(read_config(ctx), act), as_json, "the database is sound")


db.add_command(copy)


@click.command("verify", short_help="Recount what must always hold; says what broke.")
@config_option
@json_option
@click.pass_context
def verify(ctx: click.Context, as_json: bool) -> None:
    """Recount from the database what must always hold. Exit code 1 with what broke."""

    async def act(core: Core) -> Sequence[Finding]:
        house = core.house
        return await recount(core.db, now=house.clock(), channels=house.channels, default_wishes=house.default_wishes)

    findings = run_with(read_config(ctx), act)
    if as_json:
        print_json({"ok": not findings, "findings": [asdict(finding) for finding in findings]})
        raise SystemExit(FAILED if findings else 0)
    _report([_line(finding) for finding in findings], False, "everything holds")


def _line(finding: Finding) -> str:
    examples = f" (such as {', '.join(finding.examples)})" if finding.examples else ""
    return printable(f"{finding.invariant}: {finding.message}: {finding.count}{examples}")


def _report(wrong: Sequence[str], as_json: bool, well: str) -> None:
    if as_json:
        print_json({"ok": not wrong, "mistakes": list(wrong)})
        raise SystemExit(FAILED if wrong else 0)
    if wrong:
        raise Failed(wrong, FAILED)
    click.echo(well)
