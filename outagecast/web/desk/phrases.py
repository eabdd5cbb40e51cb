"""Ready-made words on the desk: phrases for a message, templates for a declaration; looked at by all, edited by
operators.
"""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from outagecast.domain.errors import FieldError, Invalid
from outagecast.domain.levels import Effect
from outagecast.domain.phrases import TEMPLATE_FIELDS, OutageTemplate, Phrase
from outagecast.storage import views_phrases
from outagecast.storage.phrases import Kind
from outagecast.web.desk.declare import CHOICES, Reader, by_field
from outagecast.web.desk.frame import back_to, render
from outagecast.web.desk.ready_made import number, number_of, template_of
from outagecast.web.desk.viewer import viewer_zone
from outagecast.web.services import ACTOR, FORM, SERVICES

PAGE = "/desk/phrases"


async def page(request: web.Request) -> web.Response:
    return await _show(request, {}, [])


async def put(request: web.Request) -> web.Response:
    """A new phrase, or (with its number) a changed one."""
    values = {name: request[FORM].get(name, "").strip() for name in ("id", "name", "text", "cause_code")}
    phrase = Phrase(name=values["name"], text=values["text"], cause_code=values["cause_code"])
    try:
        await request.app[SERVICES].phrases.put(phrase, actor=request[ACTOR], id=number(values["id"]))
    except Invalid as error:
        return await _show(request, values, error.errors, status=422)
    return back_to(PAGE)


async def remove(request: web.Request) -> web.Response:
    await request.app[SERVICES].phrases.remove(
        Kind.PHRASE, number_of(request.match_info["id"], Kind.PHRASE), actor=request[ACTOR]
    )
    return back_to(PAGE)


async def template_form(request: web.Request) -> web.Response:
    """An empty form, or one template's."""
    text = request.match_info.get("id", "")
    if not text:
        usual = OutageTemplate(name="")
        return _form(request, {name: getattr(usual, name) for name in ("name", *TEMPLATE_FIELDS)}, "", [])
    template = await template_of(request, text)
    return _form(request, {name: getattr(template, name) for name in ("name", *TEMPLATE_FIELDS)}, text, [])


async def put_template(request: web.Request) -> web.Response:
    posted = request[FORM]
    values = {name: posted.get(name, "").strip() for name in ("name", *TEMPLATE_FIELDS)}
    given: dict[str, Any] = {**values}
    id = posted.get("id", "")
    try:
        await _check(request, values)
        await request.app[SERVICES].phrases.put(OutageTemplate(**given), actor=request[ACTOR], id=number(id))
    except Invalid as error:
        return _form(request, values, id, error.errors, status=422)
    return back_to(f"{PAGE}#templates")


async def remove_template(request: web.Request) -> web.Response:
    await request.app[SERVICES].phrases.remove(
        Kind.TEMPLATE, number_of(request.match_info["id"], Kind.TEMPLATE), actor=request[ACTOR]
    )
    return back_to(f"{PAGE}#templates")


# --- below ---


async def _show(
    request: web.Request, values: Mapping[str, str], errors: list[FieldError], *, status: int = 200
) -> web.Response:
    async with request.app[SERVICES].database.read() as conn:
        found = await views_phrases.phrase_list(conn)
        templates = await views_phrases.template_list(conn)
    editing = values.get("id") or request.query.get("edit", "")
    chosen = next((view.phrase for view in found if str(view.id) == editing), Phrase(name="", text=""))
    usual = {"name": chosen.name, "text": chosen.text, "cause_code": chosen.cause_code}
    return render(
        request,
        "desk/phrases.html",
        status=status,
        phrases=found,
        templates=templates,
        editing=editing,
        values=usual | dict(values),
        errors=errors,
        wrong=by_field(errors),
        codes=sorted({view.phrase.cause_code for view in found} - {""}),
    )


def _form(
    request: web.Request, values: Mapping[str, str], id: str, errors: list[FieldError], *, status: int = 200
) -> web.Response:
    return render(
        request,
        "desk/template.html",
        status=status,
        id=id,
        values=values,
        errors=errors,
        wrong=by_field(errors),
        choices=CHOICES,
    )


async def _check(request: web.Request, values: Mapping[str, str]) -> None:
    """Invalid for a scope or a time that the declare form could not read either."""
    services = request.app[SERVICES]
    reader = Reader(values, now=services.clock(), zone=viewer_zone(request))
    reader.moment("eta")
    reader.seconds("next_update_in")
    if values["scope"]:
        await reader.scope(services.database, reader.one_of("effect", Effect, Effect.OUTAGE))
    if reader.errors:
        raise Invalid(reader.errors)
