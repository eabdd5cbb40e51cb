"""The buttons of an outage's page. What cannot be done comes back with the form as it was filled, and why."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from outagecast.domain.errors import Conflict, FieldError, Forbidden, Invalid, NotFound, StaleRevision
from outagecast.domain.outage import KEEP, Change, Ending, OutageStatus, Restoration, RetractReason
from outagecast.storage import views
from outagecast.storage.views import OutageView
from outagecast.web.desk.declare import Reader
from outagecast.web.desk.frame import back_to
from outagecast.web.desk.outage import show
from outagecast.web.desk.scope_text import write_entry
from outagecast.web.problems import Handler, status_of
from outagecast.web.services import ACTOR, FORM, SERVICES

Act = Callable[[web.Request, OutageView, Reader], Awaitable[None]]


def form_of(act: Act) -> Handler:
    """A handler for one button: finds the outage, does it, shows the page again."""

    async def handler(request: web.Request) -> web.StreamResponse:
        services = request.app[SERVICES]
        async with services.database.read() as conn:
            view = await views.outage(conn, request.match_info["id"])
        if view is None:
            raise NotFound(f"there is no outage {request.match_info['id']}")
        values = {name: value.strip() for name, value in request[FORM].items()}
        reader = Reader(values, now=services.clock(), zone=services.provider.zone)
        try:
            await act(request, view, reader)
        except Invalid as error:
            return await show(request, values, error.errors, status=422)
        except (Conflict, StaleRevision, Forbidden) as error:
            return await show(request, values, [FieldError(field="", message=str(error))], status=status_of(error))
        return back_to(f"/desk/outages/{view.id}")

    return handler


async def update(request: web.Request, view: OutageView, reader: Reader) -> None:
    form = request[FORM]
    status = reader.one_of("status", OutageStatus, view.status)
    eta = None if form.get("withdraw") else reader.moment("eta")
    added = await reader.scope(request.app[SERVICES].database, view.effect, "scope_add")
    ticked = set(form.getall("scope_remove", []))
    change = Change(
        message=form.get("message", "").strip(),
        note=form.get("note", "").strip(),
        status=status if status is not view.status else None,
        eta=eta if eta is not None or form.get("withdraw") else KEEP,
        cause=form.get("cause", "").strip() or None,
        scope_add=added.entries,
        scope_remove=tuple(entry for entry in view.scope if write_entry(entry) in ticked),
        next_update_in=reader.seconds("next_update_in"),
        tell=not form.get("silent"),
    )
    _raise(reader)
    await request.app[SERVICES].operations.update(
        view.id, change, actor=request[ACTOR], undo_for=None, if_match=_seen(request)
    )


async def remap(request: web.Request, view: OutageView, reader: Reader) -> None:
    """Applies the inventory of today: an update that names the same scope again, and says nothing new by itself."""
    await request.app[SERVICES].operations.update(
        view.id, Change(scope=view.scope), actor=request[ACTOR], undo_for=None, if_match=_seen(request)
    )


async def restore(request: web.Request, view: OutageView, reader: Reader) -> None:
    form = request[FORM]
    ticked = set(form.getall("restored", []))
    chosen = tuple(entry for entry in view.scope if write_entry(entry) in ticked)
    lines = sorted(ticked - {write_entry(entry) for entry in chosen})
    typed = await reader.scope(request.app[SERVICES].database, view.effect, "restore_also", lines)
    if not chosen and not typed.entries:
        reader.errors.append(FieldError(field="restored", message="tick what is back, or write its id"))
    at = reader.past("restored_at")
    _raise(reader)
    restoration = Restoration(
        scope=chosen + typed.entries, restored_at=at, message=form.get("restore_message", "").strip()
    )
    await request.app[SERVICES].operations.restore(
        view.id, restoration, actor=request[ACTOR], undo_for=None, if_match=_seen(request)
    )


async def resolve(request: web.Request, view: OutageView, reader: Reader) -> None:
    form = request[FORM]
    ending = Ending(
        message=form.get("resolve_message", "").strip(),
        cause=form.get("resolve_cause", "").strip() or None,
        resolved_at=reader.past("resolved_at"),
    )
    _raise(reader)
    await request.app[SERVICES].operations.resolve(
        view.id, ending, actor=request[ACTOR], undo_for=None, if_match=_seen(request)
    )


async def retract(request: web.Request, view: OutageView, reader: Reader) -> None:
    reason = reader.one_of("reason", RetractReason, RetractReason.FALSE_ALARM)
    _raise(reader)
    ending = Ending(message=request[FORM].get("retract_message", "").strip(), reason=reason)
    await request.app[SERVICES].operations.retract(
        view.id, ending, actor=request[ACTOR], undo_for=None, if_match=_seen(request)
    )


async def reopen(request: web.Request, view: OutageView, reader: Reader) -> None:
    ending = Ending(message=request[FORM].get("reopen_message", "").strip())
    await request.app[SERVICES].operations.reopen(
        view.id, ending, actor=request[ACTOR], undo_for=None, if_match=_seen(request)
    )


async def merge(request: web.Request, view: OutageView, reader: Reader) -> None:
    into = reader.text("into", "write the number of the outage it is part of, like OUT-2026-0001")
    _raise(reader)
    await request.app[SERVICES].operations.merge(
        view.id, into, actor=request[ACTOR], undo_for=None, if_match=_seen(request)
    )


async def release(request: web.Request, view: OutageView, reader: Reader) -> None:
    await request.app[SERVICES].operations.release(view.id, actor=request[ACTOR])


async def undo(request: web.Request, view: OutageView, reader: Reader) -> None:
    await request.app[SERVICES].operations.undo(view.id, actor=request[ACTOR])


async def hold(request: web.Request, view: OutageView, reader: Reader) -> None:
    reason = request[FORM].get("hold_reason", "").strip() or "no reason given"
    await request.app[SERVICES].operations.hold(view.id, reason, actor=request[ACTOR])


async def unhold(request: web.Request, view: OutageView, reader: Reader) -> None:
    await request.app[SERVICES].operations.unhold(view.id, actor=request[ACTOR])


def _seen(request: web.Request) -> int | None:
    """The revision this page showed: who was slower than a colleague is told so instead of talking over him."""
    text = request[FORM].get("revision", "")
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _raise(reader: Reader) -> None:
    if reader.errors:
        raise Invalid(reader.errors)
