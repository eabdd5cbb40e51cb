"""Rehearsing on the desk: the declare form once more with a script of what the desk would do, then the whole outage as
it would go. Nothing is stored and nothing is sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aiohttp import web

from outagecast.domain.errors import Conflict, FieldError, Invalid
from outagecast.domain.levels import Effect
from outagecast.domain.outage import Declaration, OutageStatus, Severity
from outagecast.domain.script import EXAMPLE, Step, read_script
from outagecast.engine.rehearsal import Rehearsed
from outagecast.web.desk.declare import CHOICES, USUAL, Reader, by_field
from outagecast.web.desk.frame import back_to, render
from outagecast.web.desk.ready_made import prefill, templates
from outagecast.web.desk.reports import CHANNELS, eta_chart
from outagecast.web.desk.viewer import viewer_zone
from outagecast.web.problems import status_of
from outagecast.web.script_scopes import with_scopes
from outagecast.web.services import ACTOR, FORM, SERVICES

FIELDS = (
    "title", "scope", "effect", "at_risk_until", "severity", "status", "eta", "message", "cause", "next_update_in",
    "started_at", "script",
)  # fmt: skip
AT_ONCE = timedelta(seconds=3)
"""How long a small rehearsal is waited for before its progress is shown instead."""
PATH = "/desk/rehearse"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    declaration: Declaration
    script: tuple[Step, ...]


async def form(request: web.Request) -> web.Response:
    """The empty form; `?template=ID` fills it in."""
    values = {field: "" for field in FIELDS} | USUAL | {"scope": request.query.get("scope", "")}
    filled = await prefill(request)
    return await _show(request, values | {name: text for name, text in filled.items() if name in values}, [])


async def act(request: web.Request) -> web.Response:
    """Play it. A form that comes from the declare page has no script yet: it is shown to be completed."""
    posted = request[FORM]
    values = {field: posted.get(field, "").strip() for field in FIELDS}
    if "script" not in posted:
        return await _show(request, values, [])
    rehearsals = request.app[SERVICES].rehearsals
    try:
        wanted = await _read(request, values)
        found = await rehearsals.start(wanted.declaration, wanted.script, actor=request[ACTOR])
    except Invalid as error:
        return await _show(request, values, error.errors, status=422)
    except Conflict as error:
        return await _show(request, values, [FieldError(field="", message=str(error))], status=status_of(error))
    await rehearsals.wait(found, AT_ONCE)
    return back_to(f"{PATH}/{found.id}")


async def page(request: web.Request) -> web.Response:
    """How far it is; what would happen, once it is done."""
    found = request.app[SERVICES].rehearsals.get(request.match_info["id"])
    played = found.answer
    if played is None:
        response = render(request, "desk/rehearsing.html", rehearsal=found)
        if not found.failed:
            response.headers["Refresh"] = "1"
        return response
    judged = played.judged
    return render(
        request,
        "desk/rehearsed.html",
        rehearsal=found,
        played=played,
        judged=judged,
        promised={promise.revision: promise for promise in judged.promises},
        eta_chart=eta_chart(judged, viewer_zone(request), judged.head.ended_at or played.started_at),
        channel_names=CHANNELS,
        escalations=[at for at, what in played.asked if what == "escalation"],
        again=_again(played),
    )


# --- below ---


async def _show(
    request: web.Request, values: Mapping[str, str], errors: list[FieldError], *, status: int = 200
) -> web.Response:
    return render(
        request,
        "desk/rehearse.html",
        status=status,
        values=values,
        errors=errors,
        wrong=by_field(errors),
        choices=CHOICES,
        example=EXAMPLE,
        templates=await templates(request),
    )


async def _read(request: web.Request, values: Mapping[str, str]) -> _Wanted:
    """The form as a declaration and a script; Invalid lists each wrong field."""
    services = request.app[SERVICES]
    reader = Reader(values, now=services.clock(), zone=viewer_zone(request))
    effect = reader.one_of("effect", Effect, Effect.OUTAGE)
    given: dict[str, Any] = {
        "effect": effect,
        "severity": reader.one_of("severity", Severity, Severity.MAJOR),
        "status": reader.one_of("status", OutageStatus, OutageStatus.INVESTIGATING),
        "eta": reader.moment("eta"),
        "at_risk_until": reader.moment("at_risk_until"),
        "started_at": reader.past("started_at"),
        "next_update_in": reader.seconds("next_update_in"),
    }
    if not values["scope"]:
        reader.errors.append(FieldError(field="scope", message="name what would be down: an element, a site …"))
    named = await reader.scope(services.database, effect)
    script: tuple[Step, ...] = ()
    try:
        script = await with_scopes(services.database, read_script(values["script"]))
    except Invalid as error:
        reader.errors += error.errors
    if reader.errors:
        raise Invalid(reader.errors)
    declaration = Declaration(
        title=values["title"] or "Rehearsal", scope=named.entries, message=values["message"], cause=values["cause"],
        **given,
    )  # fmt: skip
    return _Wanted(declaration=declaration, script=script)


def _again(played: Rehearsed) -> dict[str, str]:
    """The declare form's fields that this rehearsal was played with: what `Declare it` posts."""
    declaration = played.declaration
    return {
        "title": declaration.title,
        "scope": "\n".join(
            f"{entry.kind}:{entry.id}" + ("" if entry.effect is declaration.effect else f" {entry.effect}")
            for entry in declaration.scope
        ),
        "effect": declaration.effect.value,
        "severity": declaration.severity.value,
        "status": declaration.status.value,
        "message": declaration.message,
        "cause": declaration.cause,
    }
