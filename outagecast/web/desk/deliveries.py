"""Who was told what: a page of deliveries with filters, one delivery with its words and what became of it."""

from urllib.parse import urlencode

from aiohttp import web

from outagecast.domain.errors import Conflict, FieldError, Forbidden, Invalid, NotFound
from outagecast.domain.notices import NoticeKind
from outagecast.storage import views, views_board, views_deliveries, views_redeliveries
from outagecast.storage.engine import Connection
from outagecast.storage.views_deliveries import DeliveryView
from outagecast.storage.views_redeliveries import NOTHING_DONE, Wanted
from outagecast.web.desk.board import progress
from outagecast.web.desk.declare import by_field
from outagecast.web.desk.frame import back_to, render
from outagecast.web.desk.outage import STATES
from outagecast.web.problems import BadRequest, status_of
from outagecast.web.services import ACTOR, FORM, SERVICES

SHOWN = 50
KINDS = {"": "all"} | {kind.value: "ETA" if kind is NoticeKind.ETA else kind.value for kind in NoticeKind}
CHANNELS = {"": "all", "email": "e-mail", "sms": "SMS"}


async def page(request: web.Request) -> web.Response:
    """Filters stand in the address; whose they are does not: an address or a name is asked for by `find`."""
    asked = request.query
    wanted = Wanted(
        state=asked.get("state", ""),
        channel=asked.get("channel", ""),
        kind=asked.get("kind", ""),
        customer=asked.get("customer", "")[:200],
    )
    return await _show(request, wanted)


async def find(request: web.Request) -> web.Response:
    """Those to one address, or part of one: posted, so that it stands in nobody's history or log."""
    return await _show(request, Wanted(to=request[FORM].get("to", "").strip()[:200]))


async def one(request: web.Request) -> web.Response:
    return await _one(request, [], {})


async def retry(request: web.Request) -> web.Response:
    return await _do(request, "retry")


async def resend(request: web.Request) -> web.Response:
    return await _do(request, "resend")


async def handled(request: web.Request) -> web.Response:
    return await _do(request, "handled")


async def confirm(request: web.Request) -> web.Response:
    """Many customers share this delivery's address, and that is right."""
    return await _do(request, "confirm")


async def _show(request: web.Request, wanted: Wanted) -> web.Response:
    services = request.app[SERVICES]
    outage_id = request.match_info["id"]
    before = _place(request.query.get("before", ""))
    async with services.database.read() as conn:
        view = await views.outage(conn, outage_id)
        if view is None:
            raise NotFound(f"there is no outage {outage_id}")
        found, following = await views_redeliveries.page(conn, view.id, wanted, before=before, limit=SHOWN)
        done = await views_redeliveries.done_about(conn, [item.id for item in found])
        to_do = await views_redeliveries.to_do(conn, view.id)
        waits = await views_board.quiet_waits(conn, [view.id], services.clock())
    words = await services.words([item.id for item in found if item.speaks])
    here = f"/desk/outages/{view.id}/deliveries"
    kept = {name: getattr(wanted, name) for name in ("state", "channel", "kind", "customer") if getattr(wanted, name)}
    on = f"{here}?{urlencode(kept | {'before': f'{following[0]}.{following[1]}'})}" if following else ""
    return render(
        request,
        "desk/deliveries.html",
        outage=view,
        wanted=wanted,
        filtered=wanted != Wanted(),
        deliveries=[(item, words.get(item.id), done.get(item.id, NOTHING_DONE)) for item in found],
        to_do=to_do,
        on="" if wanted.to else on,
        first=f"{here}?{urlencode(kept)}" if before else "",
        more=following is not None,
        states=STATES,
        kinds=KINDS,
        channels=CHANNELS,
        progress=progress,
        waits=waits.get(view.id, 0),
    )


async def _one(
    request: web.Request, errors: list[FieldError], values: dict[str, str], *, status: int = 200
) -> web.Response:
    services = request.app[SERVICES]
    async with services.database.read() as conn:
        item = await _delivery(conn, request)
        outage = await views.outage(conn, item.outage_id)
        address = await views_redeliveries.address_of(conn, item.id)
        others = (
            await views_redeliveries.to_address(conn, item.outage_id, address.id) if address is not None else [item]
        )
        done = await views_redeliveries.done_about(conn, [other.id for other in others])
    assert outage is not None
    words = await services.words([other.id for other in others if other.speaks])
    return render(
        request,
        "desk/delivery.html",
        status=status,
        outage=outage,
        item=item,
        words=words.get(item.id),
        address=address,
        done=done.get(item.id, NOTHING_DONE),
        others=[(other, words.get(other.id), done.get(other.id, NOTHING_DONE)) for other in others],
        errors=errors,
        wrong=by_field(errors),
        values=values,
    )


async def _do(request: web.Request, what: str) -> web.Response:
    verbs, actor = request.app[SERVICES].operations.redelivery, request[ACTOR]
    reason = request[FORM].get("reason", "").strip()[:500]
    async with request.app[SERVICES].database.read() as conn:
        item = await _delivery(conn, request)
        address = await views_redeliveries.address_of(conn, item.id)
    here = f"/desk/outages/{item.outage_id}/deliveries"
    shown = item.id
    try:
        match what:
            case "retry":
                shown = (await verbs.retry(item.id, actor=actor, reason=reason)).planned[0]
            case "resend":
                shown = (await verbs.resend(item.id, actor=actor, reason=reason)).planned[0]
            case "handled":
                await verbs.handle(item.id, reason, actor=actor)
            case "confirm" if address is not None:
                await verbs.confirm(address.id, actor=actor, reason=reason)
            case _:
                raise Conflict("there is no address to write to")
    except Invalid as error:
        return await _one(request, error.errors, {"reason": reason}, status=422)
    except (Conflict, Forbidden) as error:
        said = [FieldError(field="", message=str(error))]
        return await _one(request, said, {"reason": reason}, status=status_of(error))
    return back_to(f"{here}/{shown}")


async def _delivery(conn: Connection, request: web.Request) -> DeliveryView:
    text = request.match_info["delivery"]
    item = await views_deliveries.delivery(conn, int(text)) if text.isdecimal() and len(text) < 16 else None
    if item is None or item.outage_id != request.match_info["id"]:
        raise NotFound(f"there is no message {text[:40]} of {request.match_info['id']}")
    return item


def _place(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    revision, _, number = text.partition(".")
    if not (revision.isdecimal() and number.isdecimal() and len(text) < 30):
        raise BadRequest("this page of the list is not one of ours: begin at its first page")
    return int(revision), int(number)
