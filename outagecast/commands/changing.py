"""The verbs on an outage that exists: update, restore, resolve, retract, reopen, merge, release, undo, hold, pause."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeAlias

import click

from outagecast.app import Core
from outagecast.commands.options import config_option, json_option, scope_of, scope_options
from outagecast.commands.session import body_of, me, read_time, run, run_with
from outagecast.commands.settings import read_config
from outagecast.commands.shown import print_json
from outagecast.commands.telling import print_told, verb_answer, view_of
from outagecast.engine.operations import Told
from outagecast.web.api.bodies import EndBody, MergeBody, RestoreBody, RetractBody, UpdateBody, check_body

Verb: TypeAlias = Callable[[Core], Awaitable[Told]]
_UNDO = click.option("--undo-for", metavar="DURATION", help="How long nothing leaves yet, like 30s.  [default: 0s]")
_IF = click.option("--if-revision", type=int, metavar="N", help="Only if this is still the last revision.")


def verb_options(command: Any) -> Any:
    """The outage, how to undo, whether someone was quicker, and the options of every command."""
    for option in (click.pass_context, json_option, config_option, _IF, _UNDO, click.argument("outage")):
        command = option(command)
    return command


@click.command("update", short_help="Say something new about an outage, or change its scope.")
@verb_options
@click.option("--message", help="What customers read, in your words.")
@click.option("--note", help="What stays in the house.")
@click.option("--eta", metavar="TIME|none", help="A new ETA; none withdraws it.")
@click.option("--eta-from", metavar="TIME|none")
@click.option("--status", type=click.Choice(["investigating", "identified", "monitoring"]))
@click.option("--cause")
@click.option("--cause-code")
@click.option("--next-update-in", metavar="DURATION", help="The next promise, like 45m, instead of the cadence's.")
@click.option("--quiet", is_flag=True, help="Nobody is told.")
@scope_options("add-")
@scope_options("remove-", what="not down after all")
def update(
    ctx: click.Context, /, outage: str, as_json: bool, quiet: bool, if_revision: int | None, **given: Any
) -> None:
    """One word about OUTAGE: message, ETA, status, cause, scope. A draft is changed in silence."""
    config = read_config(ctx)
    body: dict[str, Any] = {"tell": False} if quiet else {}
    for name in ("eta", "eta_from"):
        text = given.pop(name)
        if text is not None:
            body[name] = None if text.lower() == "none" else read_time(f"--{name.replace('_', '-')}", text, config)
    for word in ("add", "remove"):
        scope = scope_of(given, f"{word}_")
        if scope:
            body[f"scope_{word}"] = scope

    async def act(core: Core) -> Told:
        view = await view_of(core, outage)
        checked = check_body(UpdateBody, body | body_of(given))
        change = checked.change(view.effect)
        return await core.operations.update(outage, change, actor=me(), if_match=if_revision, undo_for=_undo(checked))

    _do(config, "updated", act, as_json, scope_prefix="add-")


@click.command("restore", short_help="Part of an outage is back.")
@verb_options
@scope_options(what="back")
@click.option("--message", help="What customers read, in your words.")
@click.option("--restored-at", metavar="TIME", help="Since when: 14:30, -20 (minutes), or a full time.")
def restore(ctx: click.Context, /, outage: str, as_json: bool, if_revision: int | None, **given: Any) -> None:
    """What is named is back: whoever is better off hears so."""
    config = read_config(ctx)
    scope = scope_of(given)
    given["restored_at"] = read_time("--restored-at", given["restored_at"], config, past=True)

    async def act(core: Core) -> Told:
        view = await view_of(core, outage)
        checked = check_body(RestoreBody, body_of(given) | {"scope": scope})
        back = checked.restoration(view.effect)
        return await core.operations.restore(outage, back, actor=me(), if_match=if_revision, undo_for=_undo(checked))

    _do(config, "restored in part", act, as_json)


def ending_options(command: Any) -> Any:
    """What is said at an outage's end, or at its new beginning."""
    for option in (
        click.option("--message", help="What customers read, in your words."),
        click.option("--cause", help="The cause, as it is known now."),
        click.option("--resolved-at", metavar="TIME", help="When it ended: 14:30, -20 (minutes), or a full time."),
    ):
        command = option(command)
    return verb_options(command)


@click.command("resolve", short_help="An outage is over.")
@ending_options
def resolve(ctx: click.Context, /, outage: str, as_json: bool, if_revision: int | None, **given: Any) -> None:
    """OUTAGE is over: everybody who was told hears so, with his own duration."""
    _end(ctx, "resolved", "resolve", outage, as_json, if_revision, given)


@click.command("retract", short_help="It never was.")
@ending_options
@click.option("--reason", type=click.Choice(["false_alarm", "not_affected"]))
def retract(ctx: click.Context, /, outage: str, as_json: bool, if_revision: int | None, **given: Any) -> None:
    """OUTAGE never was: everybody who was told hears so. A draft goes in silence."""
    _end(ctx, "retracted", "retract", outage, as_json, if_revision, given)


@click.command("reopen", short_help="What was resolved is down again.")
@ending_options
def reopen(ctx: click.Context, /, outage: str, as_json: bool, if_revision: int | None, **given: Any) -> None:
    """OUTAGE, which was resolved, is down again: a new episode."""
    _end(ctx, "reopened", "reopen", outage, as_json, if_revision, given)


@click.command("merge", short_help="An outage is part of another one.")
@verb_options
@click.option("--into", required=True, metavar="OUTAGE", help="The one it is part of.")
def merge(ctx: click.Context, /, outage: str, as_json: bool, if_revision: int | None, **given: Any) -> None:
    """OUTAGE turned out to be part of another one, which leads from now on."""

    async def act(core: Core) -> Told:
        checked = check_body(MergeBody, body_of(given))
        undo_for = _undo(checked)
        return await core.operations.merge(outage, checked.into, actor=me(), if_match=if_revision, undo_for=undo_for)

    _do(read_config(ctx), "merged", act, as_json)


@click.command("release", short_help="Let a draft, or what a brake held, take effect.")
@click.argument("outage")
@click.option("--customers", type=click.IntRange(min=0), help="How many it reaches, where that has to be typed.")
@config_option
@json_option
@click.pass_context
def release(ctx: click.Context, outage: str, customers: int | None, as_json: bool) -> None:
    """Declare a draft, or let the oldest revision that a brake held take effect."""
    _do(
        read_config(ctx),
        "released",
        lambda core: core.operations.release(outage, actor=me(), customers=customers),
        as_json,
    )


@click.command("undo", short_help="Take back what has not taken effect yet.")
@click.argument("outage")
@config_option
@json_option
@click.pass_context
def undo(ctx: click.Context, outage: str, as_json: bool) -> None:
    """Take back the newest revision of OUTAGE, while it has not taken effect."""
    _do(read_config(ctx), "taken back", lambda core: core.operations.undo(outage, actor=me()), as_json)


@click.command("hold", short_help="Freeze one outage's unsent messages.")
@click.argument("outage")
@click.option("--reason", default="", help="Why, for everybody to read.")
@config_option
@json_option
@click.pass_context
def hold(ctx: click.Context, outage: str, reason: str, as_json: bool) -> None:
    """Freeze what OUTAGE has not sent yet."""
    run(ctx, lambda core: core.operations.hold(outage, reason, actor=me()))
    _done({"id": outage, "held": True, "reason": reason}, f"{outage} is held", as_json)


@click.command("unhold", short_help="Let them go again.")
@click.argument("outage")
@config_option
@json_option
@click.pass_context
def unhold(ctx: click.Context, outage: str, as_json: bool) -> None:
    """Let the messages of OUTAGE go again."""
    run(ctx, lambda core: core.operations.unhold(outage, actor=me()))
    _done({"id": outage, "held": False}, f"{outage} is not held any more", as_json)


@click.command("pause", short_help="Stop all sending.")
@click.option("--reason", default="", help="Why, for everybody to read.")
@config_option
@json_option
@click.pass_context
def pause(ctx: click.Context, reason: str, as_json: bool) -> None:
    """Stop all sending until `outagecast resume`."""
    run(ctx, lambda core: core.operations.pause(reason, actor=me()))
    _done({"paused": True, "reason": reason}, "all sending is paused", as_json)


@click.command("resume", short_help="Send again.")
@config_option
@json_option
@click.pass_context
def resume(ctx: click.Context, as_json: bool) -> None:
    """Send again."""
    run(ctx, lambda core: core.operations.resume(actor=me()))
    _done({"paused": False, "reason": ""}, "sending goes on", as_json)


def _end(
    ctx: click.Context, what: str, verb: str, outage: str, as_json: bool, if_revision: int | None, given: dict[str, Any]
) -> None:
    config = read_config(ctx)
    given["resolved_at"] = read_time("--resolved-at", given["resolved_at"], config, past=True)

    async def act(core: Core) -> Told:
        checked = check_body(RetractBody if verb == "retract" else EndBody, body_of(given))
        verbs = {
            "resolve": core.operations.resolve,
            "retract": core.operations.retract,
            "reopen": core.operations.reopen,
        }
        return await verbs[verb](outage, checked.ending(), actor=me(), if_match=if_revision, undo_for=_undo(checked))

    _do(config, what, act, as_json)


def _do(config: Any, what: str, verb: Verb, as_json: bool, *, scope_prefix: str = "") -> None:
    async def act(core: Core) -> Any:
        return await verb_answer(core, await verb(core))

    print_told(what, run_with(config, act, scope_prefix=scope_prefix), as_json=as_json)


def _undo(body: Any) -> timedelta:
    return timedelta(seconds=body.undo_for)


def _done(answer: dict[str, Any], line: str, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        click.echo(line)
