"""`outagecast user` and `outagecast token`: who may come in; and the way back in for whoever lost the keys."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click

from outagecast.app import Core
from outagecast.commands.options import Failed, config_option, json_option
from outagecast.commands.session import me, run
from outagecast.commands.settings import read_config
from outagecast.commands.shown import print_json, print_table
from outagecast.domain.duration import parse_duration
from outagecast.domain.errors import NotFound
from outagecast.domain.outage import Role
from outagecast.storage.people import StaffRow, TokenRow

_STAFF_ROLES = [role.value for role in Role if role is not Role.INVENTORY]
_LONGEST_FILE = 4096


class Length(click.ParamType[timedelta]):
    """A duration like `90d`."""

    name = "DURATION"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            length = parse_duration(str(value))
        except ValueError as error:
            self.fail(f'"{value}" {error}', param, ctx)
        if not length:
            self.fail("must be longer than nothing", param, ctx)
        return length


@click.group("user", short_help="Staff who sign in to the desk: add, invite, list, disable.")
@config_option
def user() -> None:
    """Staff who sign in to the desk."""


@user.command("add")
@click.argument("name")
@click.option("--role", required=True, type=click.Choice(_STAFF_ROLES), help="What they may do.")
@click.option("--email", default="", help="Their address.")
@click.option("--password-stdin", is_flag=True, help="The password is the first line of stdin.")
@click.option(
    "--password-file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="It is in this file."
)
@config_option
@json_option
@click.pass_context
def user_add(
    ctx: click.Context,
    name: str,
    role: str,
    email: str,
    password_stdin: bool,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Add NAME; the password is asked for unless an option says where it is."""
    password = _password(password_stdin, password_file)
    run(ctx, lambda core: core.people.add_staff(name, password, Role(role), email=email, actor=me()))
    if as_json:
        print_json({"name": name.strip(), "role": role})
    else:
        click.echo(f"{name.strip()} may sign in as {role}")


@user.command("list")
@config_option
@json_option
@click.pass_context
def user_list(ctx: click.Context, as_json: bool) -> None:
    """Everybody, those who are disabled too."""

    async def read(core: Core) -> Sequence[StaffRow]:
        return await core.people.staff()

    rows = [
        {
            "name": r.name,
            "role": r.role.value,
            "email": r.email,
            "created_at": r.created_at,
            "disabled_at": r.disabled_at,
        }
        for r in run(ctx, read)
    ]
    if as_json:
        print_json({"users": rows})
        return
    print_table(
        ["name", "role", "email", "since", "state"],
        [
            (r["name"], r["role"], r["email"], _day(r["created_at"]), "disabled" if r["disabled_at"] else "active")
            for r in rows
        ],
    )


@user.command("invite")
@click.argument("name")
@click.option("--role", required=True, type=click.Choice(_STAFF_ROLES), help="What they may do.")
@click.option("--email", default="", help="Their address.")
@config_option
@json_option
@click.pass_context
def user_invite(ctx: click.Context, name: str, role: str, email: str, as_json: bool) -> None:
    """Add NAME, and print a link with which they choose their password; it opens once."""
    key = run(ctx, lambda core: core.people.roster.invite(name, Role(role), email=email, actor=me(), source=""))
    _print_link(ctx, name.strip(), key, as_json)


@user.command("link")
@click.argument("name")
@config_option
@json_option
@click.pass_context
def user_link(ctx: click.Context, name: str, as_json: bool) -> None:
    """Print a link with which NAME sets a new password: for a forgotten one."""

    async def act(core: Core) -> str:
        return await core.people.roster.new_link(await _number_of(core, name), actor=me(), source="")

    _print_link(ctx, name, run(ctx, act), as_json)


@user.command("reset-second-factor")
@click.argument("name")
@config_option
@json_option
@click.pass_context
def user_reset_second_factor(ctx: click.Context, name: str, as_json: bool) -> None:
    """NAME's authenticator app and recovery codes are asked for no more: for the only admin's lost phone."""

    async def act(core: Core) -> None:
        await core.people.roster.reset_second_factor(await _number_of(core, name), actor=me(), source="")

    run(ctx, act)
    if as_json:
        print_json({"name": name, "second_factor": False})
    else:
        click.echo(f"{name} signs in with the password alone, until a new app is set up")


@user.command("disable")
@click.argument("name")
@config_option
@json_option
@click.pass_context
def user_disable(ctx: click.Context, name: str, as_json: bool) -> None:
    """Nobody signs in as NAME any more; sessions that are open end."""
    run(ctx, lambda core: core.people.disable_staff(name, actor=me()))
    if as_json:
        print_json({"name": name, "disabled": True})
    else:
        click.echo(f"{name} is disabled")


@click.group("token", short_help="Tokens of programs: add, list, revoke.")
@config_option
def token() -> None:
    """Tokens of programs that use the API."""


@token.command("add")
@click.argument("name")
@click.option("--role", required=True, type=click.Choice([role.value for role in Role]), help="What it may do.")
@click.option("--expires", type=Length(), help="How long it holds, like 90d; left out: until it is revoked.")
@config_option
@json_option
@click.pass_context
def token_add(ctx: click.Context, name: str, role: str, expires: timedelta | None, as_json: bool) -> None:
    """Make a token and print it, this once."""
    made = run(ctx, lambda core: core.people.add_token(name, Role(role), expires_in=expires, actor=me()))
    if as_json:
        print_json({"token": made})
        return
    click.echo("keep it now, it is not shown again:", err=True)
    click.echo(made)


@token.command("list")
@config_option
@json_option
@click.pass_context
def token_list(ctx: click.Context, as_json: bool) -> None:
    """All tokens, by name and beginning."""

    async def read(core: Core) -> tuple[Sequence[TokenRow], frozenset[str]]:
        found, now = await core.people.tokens(), core.house.clock()
        return found, frozenset(r.name for r in found if r.expires_at is not None and r.expires_at <= now)

    found, expired = run(ctx, read)
    rows = [
        {
            "name": r.name,
            "role": r.role.value,
            "prefix": r.prefix,
            "created_at": r.created_at,
            "expires_at": r.expires_at,
            "revoked_at": r.revoked_at,
            "used_at": r.used_at,
            "state": "revoked" if r.revoked_at else "expired" if r.name in expired else "active",
        }
        for r in found
    ]
    if as_json:
        print_json({"tokens": rows})
        return
    print_table(
        ["name", "role", "begins", "expires", "last used", "state"],
        [(r["name"], r["role"], r["prefix"], _day(r["expires_at"]), _day(r["used_at"]), r["state"]) for r in rows],
    )


@token.command("revoke")
@click.argument("name")
@config_option
@json_option
@click.pass_context
def token_revoke(ctx: click.Context, name: str, as_json: bool) -> None:
    """NAME is refused from now on."""
    run(ctx, lambda core: core.people.revoke_token(name, actor=me()))
    if as_json:
        print_json({"name": name, "revoked": True})
    else:
        click.echo(f"{name} is revoked")


async def _number_of(core: Core, name: str) -> int:
    found = next((row.id for row in await core.people.staff() if row.name == name), None)
    if found is None:
        raise NotFound(f"nobody is called {name}")
    return found


def _print_link(ctx: click.Context, name: str, key: str, as_json: bool) -> None:
    link = f"{read_config(ctx).provider.public_url}/desk/join/{key}"
    if as_json:
        print_json({"name": name, "link": link})
        return
    click.echo(f"hand this to {name}; it opens once and is not shown again:", err=True)
    click.echo(link)


def _password(from_stdin: bool, file: Path | None) -> str:
    if from_stdin and file is not None:
        raise Failed(["--password-stdin: stands beside --password-file: give one of them"])
    if from_stdin:
        return _filled(sys.stdin.readline(), "stdin")
    if file is not None:
        try:
            with file.open(encoding="utf-8") as lines:
                return _filled(lines.readline(_LONGEST_FILE), str(file))
        except (OSError, UnicodeDecodeError) as error:
            raise Failed([f"--password-file: cannot be read: {error}"]) from None
    if not sys.stdin.isatty():
        raise Failed(["no password: give --password-stdin or --password-file, or run this on a terminal"])
    prompted: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return prompted


def _filled(line: str, where: str) -> str:
    password = line.rstrip("\r\n")
    if not password:
        raise Failed([f"the password from {where} is empty"])
    return password


def _day(at: object) -> str:
    return f"{at:%Y-%m-%d}" if at else "-"
