"""The page of the hold after an older database was put back: what is known, and what becomes of its messages."""

from aiohttp import web

from outagecast.domain.errors import Conflict, Invalid
from outagecast.domain.outage import OPEN
from outagecast.engine.backup import choice_of
from outagecast.storage import views
from outagecast.web.api.restored import hold_of
from outagecast.web.desk.frame import back_to, render
from outagecast.web.services import ACTOR, FORM, SERVICES

_OPEN_SHOWN = 50


async def page(request: web.Request) -> web.Response:
    return await _show(request)


async def release(request: web.Request) -> web.Response:
    form = request[FORM]
    try:
        choice = choice_of(form.get("choice", ""))
        await hold_of(request).release(choice, actor=request[ACTOR], reason=form.get("reason", ""))
    except Invalid:
        return await _show(request, "choose what becomes of the messages", status=422)
    except Conflict as error:
        return await _show(request, str(error), status=409)
    return back_to("/desk")


async def _show(request: web.Request, wrong: str = "", *, status: int = 200) -> web.Response:
    held = await hold_of(request).look()
    async with request.app[SERVICES].database.read() as conn:
        opened, _ = await views.outage_list(conn, statuses=list(OPEN), cursor=None, limit=_OPEN_SHOWN)
    return render(request, "desk/restored.html", status=status, held=held, opened=opened, wrong=wrong)
