"""Importing over the web: files come in, the difference is shown, one button applies it. Nothing of it sends anything.

For admins: whoever may bring in an inventory decides who is told anything at all.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import BodyPartReader, web
from multidict import MultiDict, MultiDictProxy

from outagecast.domain.errors import Conflict, FieldError, Invalid
from outagecast.domain.inventory import COLUMNS, InventoryKind
from outagecast.domain.outage import OPEN
from outagecast.engine.imports import Stage, Staged, Wanted
from outagecast.importers.uploads import LONGEST_UPLOAD, MOST_FILES
from outagecast.storage import views
from outagecast.storage.views import OutageView
from outagecast.web.desk.frame import back_to, render
from outagecast.web.ports import MapChange
from outagecast.web.problems import BadRequest, TooLarge, TooSlow
from outagecast.web.reading import BODY_SECONDS
from outagecast.web.security import check_csrf
from outagecast.web.services import ACTOR, FORM, SERVICES, SESSION

REFRESH_SECONDS = 2
MISTAKES_SHOWN = 200
_CHUNK = 256 * 1024
_LONGEST_FIELD = 4 * 1024
_FIELDS = 20


async def form(request: web.Request) -> web.Response:
    return _form(request, [])


async def upload(request: web.Request) -> web.Response:
    """The files as they come, each written as it is read; the form's token is looked at before the first of them."""
    imports = request.app[SERVICES].imports
    staged: Staged | None = None
    fields: MultiDict[str] = MultiDict()
    try:
        async for part in _parts(request):
            if part.filename is None:
                fields[part.name or ""] = await _text(part)
                continue
            if staged is None:
                _check(request, fields)
                staged = await imports.open(actor=request[ACTOR])
            if part.filename:
                await imports.add(staged, part.filename, _chunks(part))
        _check(request, fields)
        if staged is None:
            raise Invalid.one("files", "choose at least one CSV file, or a zip of them")
        imports.look(staged, Wanted(complete="complete" in fields, strict="strict" in fields))
    except (Invalid, Conflict) as error:
        if staged is not None:
            await imports.discard(staged)
        errors = error.errors if isinstance(error, Invalid) else [FieldError(field="", message=str(error))]
        return _form(request, errors, status=422)
    except BaseException:
        if staged is not None:
            await imports.discard(staged)
        raise
    return back_to(f"/desk/import/{staged.id}")


async def page(request: web.Request) -> web.Response:
    """One staged import: how far it is, what it would do, what it did."""
    return await _show(request, [])


async def act(request: web.Request) -> web.Response:
    """The buttons: apply, look again with another wish, throw away."""
    imports, posted = request.app[SERVICES].imports, request[FORM]
    staged = imports.get(request.match_info["id"])
    match posted.get("do", ""):
        case "apply":
            imports.apply(staged, actor=request[ACTOR])
        case "allow":
            try:
                imports.look(staged, _allowing(staged, posted.get("removals", "").strip()))
            except Invalid as error:
                return await _show(request, error.errors, status=422)
        case "again":
            imports.look(staged, staged.wanted)
        case "discard":
            await imports.discard(staged)
            return back_to("/desk/import")
        case _:
            raise BadRequest("that button is not known")
    return back_to(f"/desk/import/{staged.id}")


async def rejects(request: web.Request) -> web.StreamResponse:
    """The bad cells as a file, with formulas defused."""
    path = request.app[SERVICES].imports.get(request.match_info["id"]).rejects
    if path is None:
        raise web.HTTPNotFound
    return web.FileResponse(
        path,
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": 'attachment; filename="rejects.csv"',
            "Cache-Control": "no-store",
        },
    )


async def _show(request: web.Request, errors: list[FieldError], *, status: int = 200) -> web.Response:
    services = request.app[SERVICES]
    staged = services.imports.get(request.match_info["id"])
    applied = staged.stage is Stage.APPLIED
    response = render(
        request,
        "desk/staged.html",
        status=status,
        errors=errors,
        staged=staged,
        stage=staged.stage,
        report=staged.report,
        errors_shown=staged.errors[:MISTAKES_SHOWN],
        maps=await _maps(request) if applied else [],
        isolated=await services.blast.isolated() if applied else (),
        waits_for=_others(staged, services.imports.latest()),
    )
    if staged.busy:
        # Works without scripts; the page holds nothing that somebody might be typing.
        response.headers["Refresh"] = str(REFRESH_SECONDS)
    return response


def _form(request: web.Request, errors: list[FieldError], *, status: int = 200) -> web.Response:
    return render(
        request,
        "desk/import.html",
        status=status,
        errors=errors,
        staged=request.app[SERVICES].imports.latest(),
        columns={kind: COLUMNS[kind] for kind in InventoryKind},
        longest=LONGEST_UPLOAD // (1024 * 1024),
        most_files=MOST_FILES,
    )


async def _parts(request: web.Request) -> AsyncIterator[BodyPartReader]:
    """The parts of a form with files; what is no such form has none, and so no token either."""
    if request.content_type != "multipart/form-data":
        return
    if (request.content_length or 0) > LONGEST_UPLOAD + 1024 * 1024:
        raise TooLarge(f"more than {LONGEST_UPLOAD >> 20} MiB were sent; nothing was changed")
    try:
        reader = await request.multipart()
        while True:
            async with asyncio.timeout(BODY_SECONDS):
                part = await reader.next()
            if part is None:
                return
            if not isinstance(part, BodyPartReader):
                raise BadRequest("the form holds another form")
            yield part
    except TimeoutError:
        raise TooSlow(f"nothing came for {BODY_SECONDS} seconds; nothing was changed") from None
    except ValueError as error:
        raise BadRequest("the form cannot be read") from error


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while True:
        async with asyncio.timeout(BODY_SECONDS):
            chunk = await part.read_chunk(_CHUNK)
        if not chunk:
            return
        yield chunk


async def _text(part: BodyPartReader) -> str:
    body = b""
    async for chunk in _chunks(part):
        body += chunk
        if len(body) > _LONGEST_FIELD:
            raise BadRequest("a field of the form is far too long")
    return body.decode("utf-8", "replace")


def _check(request: web.Request, fields: MultiDict[str]) -> None:
    if len(fields) > _FIELDS:
        raise BadRequest("the form holds too many fields")
    request[FORM] = MultiDictProxy(fields)
    check_csrf(request, request[SESSION])


def _allowing(staged: Staged, removals: str) -> Wanted:
    """The number has to be typed: that of those that would end, so that nobody ends a thousand by one click."""
    if not removals.isdecimal() or len(removals) > 9 or int(removals) != staged.removals:
        raise Invalid.one("removals", f"type the number, {staged.removals}, to end so many")
    return Wanted(complete=staged.wanted.complete, strict=staged.wanted.strict, allow_removals=int(removals))


async def _maps(request: web.Request) -> list[tuple[OutageView, MapChange]]:
    """The open outages that were reckoned on the map as it was, with what would change for each."""
    services = request.app[SERVICES]
    async with services.database.read() as conn:
        opened, _ = await views.outage_list(conn, statuses=OPEN, cursor=None, limit=50)
    found = [(view, await services.operations.map_change(view.id)) for view in opened]
    return [(view, change) for view, change in found if change is not None and (change.more or change.fewer)]


def _others(staged: Staged, all_of_them: list[Staged]) -> Any:
    return [each for each in all_of_them if each is not staged and each.busy] if staged.stage is Stage.WAITING else []
