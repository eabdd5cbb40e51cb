"""`outagecast rehearse`: a whole outage played with sending off."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from outagecast.app import Core
from outagecast.commands.declaring import declaration_options
from outagecast.commands.options import FAILED, Failed, config_option, json_option, scope_of
from outagecast.commands.session import body_of, me, read_time, run_with
from outagecast.commands.settings import read_config
from outagecast.commands.shown import print_facts, print_json, print_table, printable
from outagecast.config import Config
from outagecast.domain.script import read_script
from outagecast.engine.rehearsal import Rehearsed
from outagecast.web.api.bodies import check_body
from outagecast.web.api.rehearsals import RehearseBody, rehearsed_answer
from outagecast.web.script_scopes import with_scopes
from outagecast.web.times import clock, duration

_LOOK = timedelta(seconds=0.5)
_TIMES = ("eta", "eta_from", "at_risk_until", "started_at")


@click.command("rehearse", short_help="Play a whole outage with sending off.")
@click.argument("title", default="Rehearsal")
@declaration_options
@click.option("--step", "steps", multiple=True, metavar="STEP", help='What the desk does, like "+20m eta +2h".')
@click.option("--script", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The steps in a file.")
@config_option
@json_option
@click.pass_context
def rehearse(ctx: click.Context, /, as_json: bool, steps: tuple[str, ...], script: Path | None, **given: Any) -> None:
    """Who would hear what, when, and at what cost, from the declaration to the end. Nothing is stored or sent.

    Steps: +20m eta +2h, +1h say WORDS, +2h restore ID, +3h resolve. Without any the desk is silent, and the daemon
    keeps the promises.
    """
    config = read_config(ctx)
    text = "\n".join([*steps, script.read_text(encoding="utf-8") if script else ""])
    body = _body(config, given) | {"script": text}

    async def act(core: Core) -> Rehearsed:
        checked = check_body(RehearseBody, body)
        planned = await with_scopes(core.db, read_script(checked.script, field="step"))
        found = await core.rehearsals.start(checked.declaration(), planned, actor=me())
        while not await core.rehearsals.wait(found, _LOOK):
            _show(found.doing)
        _show("")
        if found.answer is None:
            raise Failed([printable(f"the rehearsal was not played to its end: {found.failed}")], FAILED)
        return found.answer

    played = run_with(config, act)
    if as_json:
        print_json(rehearsed_answer(played))
    else:
        _print(played, ZoneInfo(config.provider.timezone))


def _show(doing: str) -> None:
    """How far it is, on one line of a terminal."""
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{doing}", nl=False, err=True)


def _body(config: Config, given: dict[str, Any]) -> dict[str, Any]:
    scope = scope_of(given)
    times = {
        name: read_time(f"--{name.replace('_', '-')}", given.pop(name), config, past=name == "started_at")
        for name in _TIMES
    }
    return body_of(given | times) | {"scope": scope}


def _print(played: Rehearsed, zone: ZoneInfo) -> None:
    judged, start = played.judged, played.started_at
    print_table(
        ["after", "at", "who", "what leaves", "last left after", "not told"],
        [
            (
                duration(wave.word.at - start),
                clock(wave.word.at, zone, start),
                "daemon" if wave.word.verb == "holding" else "desk",
                _leaves(wave.planned) or "-",
                duration(wave.word.took) if wave.word.took is not None else "-",
                ", ".join(f"{n} {why}" for why, n in wave.unsent.items()) or "-",
            )
            for wave in played.waves
        ],
    )
    click.echo()
    costs = [f"{each.cost.amount:.2f} {each.cost.currency}" for each in judged.channels if each.cost]
    print_facts(
        {
            "touched": f"{judged.suffered.customers} customers",
            "messages": judged.left,
            "first word to the last": duration(played.last_phone) if played.last_phone is not None else None,
            "promises": f"{judged.kept} kept, {judged.broken} broken",
            "SMS cost": ", ".join(costs),
            "not reached": played.unreached or None,
            "held because": played.held_because,
            "staff asked": ", ".join(f"{what} after {duration(at - start)}" for at, what in played.asked[:8]),
            "played no further": played.stopped,
        }
    )
    for at, said in played.troubles:
        click.echo(f"after {duration(at - start)}: {printable(said)}")
    for sample in played.samples:
        click.echo(f"\n--- {sample.kind} by {sample.channel} to {printable(sample.to)}")
        if sample.subject:
            click.echo(printable(sample.subject) + "\n")
        click.echo("\n".join(printable(line) for line in sample.text.splitlines()))
    click.echo("\nnothing was stored, nothing was sent")


def _leaves(planned: Any) -> str:
    return "; ".join(
        f"{kind}: " + ", ".join(f"{n} {channel}" for channel, n in by_channel.items())
        for kind, by_channel in planned.items()
    )
