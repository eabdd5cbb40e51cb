"""`outagecast declare`, `preview` and `impact`: what is down, and whom that touches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click

from outagecast.app import Core
from outagecast.commands.options import config_option, json_option, scope_of, scope_options
from outagecast.commands.session import body_of, me, read_time, run_with
from outagecast.commands.settings import read_config
from outagecast.commands.shown import print_facts, print_json, print_table, printable
from outagecast.commands.telling import print_told, verb_answer
from outagecast.config import Config
from outagecast.domain.levels import Effect
from outagecast.domain.notices import ThingKey
from outagecast.domain.outage import ScopeEntry, Severity
from outagecast.engine.intents import scope_json
from outagecast.engine.preview import Preview
from outagecast.engine.reckoned import NewImpact, Reckoned, touched_counts
from outagecast.engine.scopes import check_scope
from outagecast.storage import planning_things
from outagecast.storage.planning_things import ThingWords
from outagecast.web.api.answers import preview_answer
from outagecast.web.api.bodies import DeclareBody, ScopeBody, check_body

F = TypeVar("F", bound=Callable[..., Any])
_EFFECTS = [effect.value for effect in Effect]
_SHOWN = 200
_NEW = "(new)"
_OPTIONS: Sequence[Callable[[Any], Any]] = (
    scope_options(),
    click.option("--effect", type=click.Choice(_EFFECTS), help="What happened to the things named.  [default: outage]"),
    click.option("--at-risk-until", metavar="TIME", help="How long the battery, the generator … will last."),
    click.option("--severity", type=click.Choice([s.value for s in Severity]), help="The cadence.  [default: major]"),
    click.option("--status", type=click.Choice(["investigating", "identified", "monitoring"])),
    click.option("--eta", metavar="TIME", help="When it should be repaired: 14:30, +90 (minutes), 2026-11-23T06:00Z."),
    click.option("--eta-from", metavar="TIME", help="The early end, where the ETA is a window."),
    click.option("--started-at", metavar="TIME", help="Since when: 09:14, -20 (minutes), or a full time."),
    click.option("--message", help="What customers read, in your words."),
    click.option("--note", help="What stays in the house."),
    click.option("--cause", help="The cause, as far as it is known."),
    click.option("--cause-code"),
    click.option("--next-update-in", metavar="DURATION", help="The next promise, like 45m, instead of the cadence's."),
    click.option("--estimated-customers", type=click.IntRange(min=0)),
    click.option("--external-ref", help="Another system's number: declaring it twice gives the one that exists."),
    click.option("--owner", help="Who leads the repair."),
)


def declaration_options(command: F) -> F:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command("declare", short_help="Declare an outage.")
@click.argument("title")
@declaration_options
@click.option("--draft", is_flag=True, help="Store it; a person releases it.")
@click.option("--undo-for", metavar="DURATION", help="How long nothing leaves yet, like 30s.  [default: 0s]")
@config_option
@json_option
@click.pass_context
def declare(ctx: click.Context, /, as_json: bool, draft: bool, **given: Any) -> None:
    """Declare an outage: whoever is affected is told at once (after --undo-for), by the rules."""
    config = read_config(ctx)
    body = _body(config, given) | ({"release": False} if draft else {})

    async def act(core: Core) -> Any:
        checked = check_body(DeclareBody, body)
        undo_for = timedelta(seconds=checked.undo_for)
        told = await core.operations.declare(checked.declaration(), actor=me(), undo_for=undo_for)
        return await verb_answer(core, told), told.created

    answer, created = run_with(config, act)
    what = "exists already" if not created else "is stored" if answer["state"] == "draft" else "declared"
    print_told(what, answer, as_json=as_json)


@click.command("preview", short_help="Who would hear what; nothing is stored.")
@click.argument("title", default="Preview")
@declaration_options
@config_option
@json_option
@click.pass_context
def preview(ctx: click.Context, /, as_json: bool, **given: Any) -> None:
    """Who would hear what if this were declared now. Nothing is stored, nothing sent."""
    config = read_config(ctx)
    body = _body(config, given)

    async def act(core: Core) -> Preview:
        return await core.previews.preview(check_body(DeclareBody, body).declaration(), actor=me())

    found = run_with(config, act)
    if as_json:
        print_json(preview_answer(found))
    else:
        _print_preview(found)


@click.command("impact", short_help="Who would be touched, and why.")
@scope_options()
@click.option("--effect", type=click.Choice(_EFFECTS), default=Effect.OUTAGE.value, show_default=True)
@click.option("--limit", type=click.IntRange(min=0), default=_SHOWN, show_default=True, help="Rows shown; 0: all.")
@config_option
@json_option
@click.pass_context
def impact(ctx: click.Context, /, as_json: bool, effect: str, limit: int, **given: Any) -> None:
    """Which circuits and services of whom would be touched, how badly, and why; open outages are reckoned in."""
    scope = scope_of(given)

    async def act(core: Core) -> _Touch:
        return await _reckon(core, check_body(ScopeBody, scope).entries(Effect(effect)))

    found = run_with(read_config(ctx), act)
    if as_json:
        print_json({"impact": found.counts(), "impacts": [_row(new, found.words) for new in found.impacts]})
    else:
        _print_impact(found, limit)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Touch:
    """What a scope touches, worst first, with the words of each thing."""

    reckoned: Reckoned
    impacts: Sequence[NewImpact]
    words: Mapping[ThingKey, ThingWords]

    def counts(self) -> dict[str, Any]:
        touched = self.reckoned.touched
        return {
            "customers": len({key.customer_id for key in touched}),
            "circuits": len(touched),
            "by_level": touched_counts(touched),
        }


async def _reckon(core: Core, entries: Sequence[ScopeEntry]) -> _Touch:
    await check_scope(core.db, entries)
    world = await core.reckoner.world()
    async with core.db.read() as conn:
        extent = await core.reckoner.extent(conn, [scope_json(entry) for entry in entries], [])
    reckoned = await core.reckoner.reckon(world, _NEW, extent)
    mine = [new for new in reckoned.open if new.outage_id == _NEW]
    mine.sort(key=lambda new: (-new.level, new.key.customer_id, new.key.kind, new.key.id))
    async with core.db.read() as conn:
        words = await planning_things.words_for(conn, [new.key for new in mine])
    return _Touch(reckoned=reckoned, impacts=mine, words=words)


def _body(config: Config, given: dict[str, Any]) -> dict[str, Any]:
    """The API's body of what the options say."""
    scope = scope_of(given)
    times: dict[str, datetime | None] = {
        name: read_time(f"--{name.replace('_', '-')}", given.pop(name), config, past=name == "started_at")
        for name in ("eta", "eta_from", "at_risk_until", "started_at")
    }
    return body_of(given | times) | {"scope": scope}


def _row(new: NewImpact, words: Mapping[ThingKey, ThingWords]) -> dict[str, Any]:
    told = words.get(new.key)
    return {
        "thing": f"{new.key.kind}:{new.key.id}",
        "label": told.label if told else new.key.id,
        "customer_id": new.key.customer_id,
        "customer": told.customer if told else new.key.customer_id,
        "level": new.level.word,
        "because": list(new.because),
    }


def _print_impact(found: _Touch, limit: int) -> None:
    counts = found.counts()
    rows = [_row(new, found.words) for new in found.impacts]
    shown = rows[:limit] if limit else rows
    if not rows:
        click.echo("nobody is touched")
        return
    print_table(
        ["level", "thing", "label", "customer", "because"],
        [
            (r["level"], r["thing"], r["label"], f"{r['customer_id']} {r['customer']}", " < ".join(r["because"]))
            for r in shown
        ],
    )
    if len(shown) < len(rows):
        click.echo(f"… and {len(rows) - len(shown)} more (--limit 0 shows all)")
    click.echo()
    _print_levels(counts["by_level"])
    click.echo(f"{counts['customers']} customers, {counts['circuits']} circuits and services")


def _print_levels(by_level: Mapping[str, Mapping[str, int]]) -> None:
    rows = [(level, counts["customers"], counts["circuits"]) for level, counts in by_level.items()]
    print_table(["level", "customers", "circuits"], rows, numbers=["customers", "circuits"])


def _print_preview(found: Preview) -> None:
    if not found.customers:
        click.echo("nobody is touched")
        return
    _print_levels(found.by_level)
    click.echo()
    print_facts(
        {
            "touched": f"{found.customers} customers, {found.circuits} circuits and services",
            "contacts": found.contacts,
            **{name: _counts_text(counts) for name, counts in found.channels.items()},
            "cost": f"{found.cost['amount']} {found.cost['currency']}" if found.cost else None,
            "not sent": _counts_text(found.suppressed),
            "unreachable": found.unreachable_count or None,
            "held because": found.held_because,
        }
    )
    for sample in found.samples:
        click.echo(f"\n--- {sample['channel']} to {printable(sample['name'])}")
        if sample["subject"]:
            click.echo(printable(sample["subject"]) + "\n")
        click.echo("\n".join(printable(line) for line in sample["text"].splitlines()))


def _counts_text(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in counts.items())
