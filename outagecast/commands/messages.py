"""Single messages from a terminal: who was told what, what failed tried again or seen to, notes and owners."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from outagecast.app import Core
from outagecast.commands.options import config_option, json_option
from outagecast.commands.session import me, run, run_with
from outagecast.commands.settings import read_config
from outagecast.commands.shown import print_json, print_table, printable
from outagecast.domain.delivery import DeliveryState
from outagecast.domain.errors import NotFound
from outagecast.engine.redelivery import Redelivered
from outagecast.storage import views, views_redeliveries
from outagecast.storage.views_deliveries import DeliveryView
from outagecast.storage.views_redeliveries import TO_DO, Wanted
from outagecast.web.api.answers import delivery_answer
from outagecast.web.times import clock

_PAGE = 500
_REASON = click.option("--reason", default="", help="Why; it stands in the timeline.")


@click.command("deliveries", short_help="Who was told what, with what outcome.")
@click.argument("outage")
@click.option(
    "--state",
    type=click.Choice([TO_DO, *(state.value for state in DeliveryState)]),
    help="Only these; to_do: lost ones.",
)
@click.option("--channel", type=click.Choice(["email", "sms"]), help="Only these.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(min=1), help="How many at the most.")
@config_option
@json_option
@click.pass_context
def deliveries(
    ctx: click.Context, outage: str, state: str | None, channel: str | None, limit: int, as_json: bool
) -> None:
    """The messages of OUTAGE, the newest revision first."""
    config = read_config(ctx)

    async def act(core: Core) -> list[DeliveryView]:
        async with core.db.read() as conn:
            if await views.outage(conn, outage) is None:
                raise NotFound(f"there is no outage {outage}")
            wanted = Wanted(state=state or "", channel=channel or "")
            found, following = await views_redeliveries.page(conn, outage, wanted, before=None, limit=min(limit, _PAGE))
            while following is not None and len(found) < limit:
                rest = min(limit - len(found), _PAGE)
                more, following = await views_redeliveries.page(conn, outage, wanted, before=following, limit=rest)
                found += more
        return found

    found = run_with(config, act)
    if as_json:
        print_json({"deliveries": [delivery_answer(item, None) for item in found]})
        return
    if not found:
        click.echo("none like that")
        return
    zone, now = ZoneInfo(config.provider.timezone), datetime.now(UTC)
    print_table(["number", "to", "what", "state", "why", "when"], [_row(item, zone, now) for item in found])


@click.command("retry", short_help="Try again what did not arrive.")
@click.argument("delivery", type=int, required=False)
@click.option("--outage", metavar="OUTAGE", help="Everything of this outage that failed and that nobody has seen to.")
@_REASON
@config_option
@json_option
@click.pass_context
def retry(ctx: click.Context, delivery: int | None, outage: str | None, reason: str, as_json: bool) -> None:
    """Try DELIVERY (its number) again, or all of an outage's with --outage."""
    if (delivery is None) == (outage is None):
        raise click.UsageError("name one message by its number, or an outage with --outage")

    async def act(core: Core) -> Redelivered:
        verbs = core.operations.redelivery
        if outage is not None:
            return await verbs.retry_failed(outage, actor=me(), reason=reason)
        assert delivery is not None
        return await verbs.retry(delivery, actor=me(), reason=reason)

    _print_again(run(ctx, act), as_json)


@click.command("resend", short_help="Say once more what was said.")
@click.argument("delivery", type=int)
@_REASON
@config_option
@json_option
@click.pass_context
def resend(ctx: click.Context, delivery: int, reason: str, as_json: bool) -> None:
    """Send DELIVERY (its number) once more, also where it had arrived."""
    _print_again(run(ctx, lambda core: core.operations.redelivery.resend(delivery, actor=me(), reason=reason)), as_json)


@click.command("handled", short_help="It did not arrive, and the customer was told by other means.")
@click.argument("delivery", type=int)
@click.option("--reason", required=True, help="How: it stands in the timeline.")
@config_option
@json_option
@click.pass_context
def handled(ctx: click.Context, delivery: int, reason: str, as_json: bool) -> None:
    """Mark DELIVERY (its number) as seen to: it counts as failed no more."""
    run(ctx, lambda core: core.operations.redelivery.handle(delivery, reason, actor=me()))
    _done({"delivery": delivery, "handled": reason}, f"message {delivery} is seen to", as_json)


@click.command("confirm", short_help="Many customers share this address, and that is right.")
@click.argument("address", type=int)
@_REASON
@config_option
@json_option
@click.pass_context
def confirm(ctx: click.Context, address: int, reason: str, as_json: bool) -> None:
    """Write to ADDRESS (its number) from now on; what it had held back is planned."""
    done = run(ctx, lambda core: core.operations.redelivery.confirm(address, actor=me(), reason=reason))
    answer = {"address_id": done.address_id, "deliveries": list(done.planned)}
    _done(answer, f"address {address} is confirmed; {len(done.planned)} held back, planned now", as_json)


@click.command("note", short_help="A line for colleagues; it never leaves the house.")
@click.argument("outage")
@click.argument("text")
@config_option
@json_option
@click.pass_context
def note(ctx: click.Context, outage: str, text: str, as_json: bool) -> None:
    """Keep TEXT in the timeline of OUTAGE."""
    run(ctx, lambda core: core.operations.note(outage, text, actor=me()))
    _done({"id": outage, "note": text}, f"{outage}: the note is kept", as_json)


@click.command("owner", short_help="Who answers for an outage.")
@click.argument("outage")
@click.argument("name", default="")
@config_option
@json_option
@click.pass_context
def owner(ctx: click.Context, outage: str, name: str, as_json: bool) -> None:
    """Hand OUTAGE to NAME; without a name nobody answers for it."""
    run(ctx, lambda core: core.operations.own(outage, name, actor=me()))
    _done({"id": outage, "owner": name}, f"{outage}: {name or 'nobody'} answers for it", as_json)


def _row(item: DeliveryView, zone: ZoneInfo, now: datetime) -> tuple[object, ...]:
    at = item.transmitting_at or item.ended_at or item.due_at
    why = " ".join(filter(None, (item.reason, item.code, item.detail)))
    return (
        item.id,
        item.to or "-",
        f"{item.kind} {item.channel}",
        item.state,
        printable(why) or "-",
        clock(at, zone, now),
    )


def _print_again(done: Redelivered, as_json: bool) -> None:
    answer: dict[str, Any] = {
        "outage_id": done.outage_id,
        "revision": done.revision,
        "deliveries": list(done.planned),
        "refused": done.refused,
    }
    refused = "".join(f"\nnot {count}: {why}" for why, count in done.refused.items())
    _done(answer, f"{len(done.planned)} planned as revision {done.revision} of {done.outage_id}{refused}", as_json)


def _done(answer: dict[str, Any], line: str, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        click.echo(line)
