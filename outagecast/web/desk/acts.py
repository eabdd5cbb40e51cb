"""The buttons of an outage's page. What cannot be done comes back with the form as it was filled, and why.

Whoever was slower than a colleague sees what the other has changed, with his own text still in the form.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from outagecast.domain.errors import Conflict, FieldError, Forbidden, Invalid, NotFound, OutageCastError, StaleRevision
from outagecast.storage import views
from outagecast.storage.views import OutageView
from outagecast.web.desk import changes
from outagecast.web.desk.changes import Parse
from outagecast.web.desk.declare import Reader
from outagecast.web.desk.frame import back_to, inside, render
from outagecast.web.desk.outage import show
from outagecast.web.desk.viewer import viewer_zone
from outagecast.web.problems import Handler, status_of
from outagecast.web.services import ACTOR, FORM, SERVICES

Act = Callable[[web.Request, OutageView, Reader], Awaitable[None]]


def form_of(act: Act) -> Handler:
    """A handler for one button: finds the outage, does it, shows the page again."""

    async def handler(request: web.Request) -> web.StreamResponse:
        view = await _view(request)
        try:
            await act(request, view, _reader(request))
        except OutageCastError as error:
            return await _refused(request, error)
        return back_to(inside(request[FORM].get("back", "") or f"/desk/outages/{view.id}"))

    return handler


def change_of(parse: Parse) -> Handler:
    """A handler for a form that changes the outage: looked at where it asks for that or has to be, else done."""

    async def handler(request: web.Request) -> web.StreamResponse:
        view = await _view(request)
        if request[FORM].get("do") == "edit":
            return await show(request, _values(request), [])
        reader = _reader(request)
        try:
            wanted = await parse(request, view, reader)
            changes.raise_mistakes(reader)
            seen = await changes.not_stale(request, view)
            looked_at = request[FORM].get("seen") == changes.mark_of(request)
            if request[FORM].get("do") == "look" or (wanted.look_first and not looked_at):
                return await _look(request, view, wanted)
            await changes.do(request, view, wanted, seen)
        except OutageCastError as error:
            return await _refused(request, error)
        return back_to(f"/desk/outages/{view.id}")

    return handler


async def release(request: web.Request, view: OutageView, reader: Reader) -> None:
    typed = request[FORM].get("customers", "").replace(",", "").replace(" ", "").strip()
    if typed and not (typed.isdecimal() and len(typed) < 10):
        raise Invalid.one("customers", "write the number in figures, like 1204")
    await request.app[SERVICES].operations.release(
        view.id, actor=request[ACTOR], undo_for=None, customers=int(typed) if typed else None
    )


async def undo(request: web.Request, view: OutageView, reader: Reader) -> None:
    step = request[FORM].get("step", "")
    number = int(step) if step.isdecimal() and len(step) < 10 else None
    await request.app[SERVICES].operations.undo(view.id, actor=request[ACTOR], revision=number)


async def hold(request: web.Request, view: OutageView, reader: Reader) -> None:
    reason = request[FORM].get("hold_reason", "").strip() or "no reason given"
    await request.app[SERVICES].operations.hold(view.id, reason, actor=request[ACTOR])


async def unhold(request: web.Request, view: OutageView, reader: Reader) -> None:
    await request.app[SERVICES].operations.unhold(view.id, actor=request[ACTOR])


async def note(request: web.Request, view: OutageView, reader: Reader) -> None:
    """A line for colleagues, which never leaves the house."""
    try:
        await request.app[SERVICES].operations.note(view.id, request[FORM].get("private", ""), actor=request[ACTOR])
    except Invalid as error:
        raise Invalid.one("private", error.errors[0].message) from None


async def own(request: web.Request, view: OutageView, reader: Reader) -> None:
    """Taken by whoever presses, or handed to somebody."""
    owner = request[ACTOR].name if request[FORM].get("take") else request[FORM].get("owner", "").strip()[:200]
    await request.app[SERVICES].operations.own(view.id, owner, actor=request[ACTOR])


async def retry_failed(request: web.Request, view: OutageView, reader: Reader) -> None:
    await request.app[SERVICES].operations.redelivery.retry_failed(view.id, actor=request[ACTOR])


async def _look(request: web.Request, view: OutageView, wanted: changes.Wanted) -> web.Response:
    return render(
        request,
        "desk/difference.html",
        outage=view,
        wanted=wanted,
        difference=await changes.look(request, view, wanted),
        fields=changes.fields_of(request),
        seen=changes.mark_of(request),
        revision=changes.seen_revision(request) or view.revision,
        action=request.path,
        message=next((value for name, value in changes.fields_of(request) if name.endswith("message")), ""),
    )


async def _refused(request: web.Request, error: OutageCastError) -> web.StreamResponse:
    values = _values(request)
    match error:
        case Invalid():
            return await show(request, values, error.errors, status=422)
        case StaleRevision():
            return await show(request, values, [], status=412)
        case Conflict() | Forbidden():
            return await show(request, values, [FieldError(field="", message=str(error))], status=status_of(error))
    raise error


async def _view(request: web.Request) -> OutageView:
    async with request.app[SERVICES].database.read() as conn:
        view = await views.outage(conn, request.match_info["id"])
    if view is None:
        raise NotFound(f"there is no outage {request.match_info['id']}")
    return view


def _values(request: web.Request) -> dict[str, str]:
    """The form as it was filled; a field that a form does not have is empty."""
    return {"into": ""} | {name: value.strip() for name, value in request[FORM].items()}


def _reader(request: web.Request) -> Reader:
    return Reader(_values(request), now=request.app[SERVICES].clock(), zone=viewer_zone(request))
