"""What a verb answers, as the API gives it and as people read it."""

from typing import Any

import click

from outagecast.app import Core
from outagecast.commands.shown import print_facts, print_json
from outagecast.domain.errors import NotFound
from outagecast.engine.operations import Told
from outagecast.storage import views
from outagecast.storage.views import OutageView
from outagecast.web.api.answers import ToldAnswer, told_answer


async def view_of(core: Core, outage_id: str) -> OutageView:
    """The outage as it stands. NotFound."""
    async with core.db.read() as conn:
        view = await views.outage(conn, outage_id)
    if view is None:
        raise NotFound(f"no outage {outage_id}")
    return view


async def verb_answer(core: Core, told: Told) -> ToldAnswer:
    return told_answer(await view_of(core, told.outage_id), told)


def print_told(what: str, answer: ToldAnswer, *, as_json: bool) -> None:
    """The outage after a verb; as JSON the same document as the API's."""
    if as_json:
        print_json(answer)
        return
    click.echo(f"{answer['id']} {what}")
    impact = answer["impact"]
    print_facts(
        {
            "title": answer["title"],
            "status": answer["status"],
            "revision": answer["revision"],
            "state": _state(answer),
            "touched": f"{impact['customers']} customers, {impact['circuits']} circuits, {impact['services']} services",
            "planned": ", ".join(f"{count} {name}" for name, count in answer["planned"].items() if count),
            "ETA": answer["eta"],
            "next update by": answer["next_update_by"],
        }
    )


def _state(answer: ToldAnswer) -> str:
    details: dict[str, Any] = {
        "pending": f"takes effect at {answer['effective_at']}; until then: outagecast undo {answer['id']}",
        "held": f"held back ({answer['held_because']}); to let it go: outagecast release {answer['id']}",
        "draft": f"a draft ({answer['held_because'] or 'as asked'}); to declare it: outagecast release {answer['id']}",
    }
    return str(details.get(answer["state"], answer["state"]))
