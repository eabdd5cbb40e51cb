"""The API's verbs about outages: read the body, call the engine, answer after its commit."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aiohttp import web

from outagecast.domain.errors import Invalid, NotFound
from outagecast.domain.outage import OPEN, OutageStatus
from outagecast.storage import views, views_deliveries
from outagecast.storage.views import OutageView
from outagecast.web.api import answers, bodies
from outagecast.web.api.bodies import B, check_body
from outagecast.web.ports import Told
from outagecast.web.problems import BadRequest, as_json
from outagecast.web.reading import query_int, read_json
from outagecast.web.services import ACTOR, SERVICES, Services

PAGE = 100
MOST = 500
_LONGEST_KEY = 255
_WORDS_AT_ONCE = 25


@dataclass(frozen=True, kw_only=True, slots=True)
class IdempotencyKey:
    """A caller's key with the hash of the body it came with."""

    key: str
    body_hash: str


async def declare(request: web.Request) -> web.Response:
    value, body_hash = await read_json(request)
    body = check_body(bodies.DeclareBody, value)
    key = request.headers.get("Idempotency-Key", "").strip()
    if len(key) > _LONGEST_KEY:
        raise BadRequest(f"Idempotency-Key is longer than {_LONGEST_KEY} characters")
    told = await request.app[SERVICES].operations.declare(
        body.declaration(),
        actor=request[ACTOR],
        undo_for=timedelta(seconds=body.undo_for),
        idempotency=IdempotencyKey(key=key, body_hash=body_hash) if key else None,
    )
    return await _told(request, told, status=201 if told.created else 200)


async def preview(request: web.Request) -> web.Response:
    body = check_body(bodies.DeclareBody, (await read_json(request))[0])
    found = await request.app[SERVICES].previews.preview(body.declaration(), actor=request[ACTOR])
    return answer(answers.preview_answer(found))


async def outage_list(request: web.Request) -> web.Response:
    limit = query_int(request.query, "limit", PAGE, most=MOST)
    statuses = _statuses(request.query.get("status", ""))
    async with request.app[SERVICES].database.read() as conn:
        try:
            cursor = request.query.get("cursor") or None
            found, following = await views.outage_list(conn, statuses=statuses, cursor=cursor, limit=limit)
        except (ValueError, OverflowError):
            raise BadRequest("cursor is not one of ours: take next_cursor from the page before") from None
    return answer(answers.OutagesAnswer(outages=[answers.outage_answer(view) for view in found], next_cursor=following))


async def outage(request: web.Request) -> web.Response:
    view = await _outage(request)
    change = await request.app[SERVICES].operations.map_change(view.id)
    return answer(answers.one_outage_answer(view, change), headers={"ETag": f'"{view.revision}"'})


async def update(request: web.Request) -> web.Response:
    body = await _body(request, bodies.UpdateBody)
    view = await _outage(request)
    told = await request.app[SERVICES].operations.update(
        view.id, body.change(view.effect), actor=request[ACTOR], **_how(request, body.undo_for)
    )
    return await _told(request, told, status=201)


async def restore(request: web.Request) -> web.Response:
    body = await _body(request, bodies.RestoreBody)
    view = await _outage(request)
    told = await request.app[SERVICES].operations.restore(
        view.id, body.restoration(view.effect), actor=request[ACTOR], **_how(request, body.undo_for)
    )
    return await _told(request, told, status=201)


async def resolve(request: web.Request) -> web.Response:
    return await _end(request, bodies.EndBody, request.app[SERVICES].operations.resolve)


async def reopen(request: web.Request) -> web.Response:
    return await _end(request, bodies.EndBody, request.app[SERVICES].operations.reopen)


async def retract(request: web.Request) -> web.Response:
    return await _end(request, bodies.RetractBody, request.app[SERVICES].operations.retract)


async def merge(request: web.Request) -> web.Response:
    body = await _body(request, bodies.MergeBody)
    told = await request.app[SERVICES].operations.merge(
        _id(request), body.into, actor=request[ACTOR], **_how(request, body.undo_for)
    )
    return await _told(request, told, status=201)


async def release(request: web.Request) -> web.Response:
    body = await _body(request, bodies.ReleaseBody)
    told = await request.app[SERVICES].operations.release(
        _id(request),
        actor=request[ACTOR],
        undo_for=timedelta(seconds=body.undo_for),
        customers=body.customers,
    )
    return await _told(request, told, status=200)


async def undo(request: web.Request) -> web.Response:
    await _body(request, bodies.NoBody)
    told = await request.app[SERVICES].operations.undo(_id(request), actor=request[ACTOR])
    return await _told(request, told, status=200)


async def hold(request: web.Request) -> web.Response:
    value, _ = await read_json(request)
    body = check_body(bodies.HoldBody, value)
    await request.app[SERVICES].operations.hold(_id(request), body.reason or body.message, actor=request[ACTOR])
    return answer(answers.outage_answer(await _outage(request)))


async def unhold(request: web.Request) -> web.Response:
    await _body(request, bodies.NoBody)
    await request.app[SERVICES].operations.unhold(_id(request), actor=request[ACTOR])
    return answer(answers.outage_answer(await _outage(request)))


async def impacts(request: web.Request) -> web.Response:
    view = await _outage(request)
    limit = query_int(request.query, "limit", MOST, most=5000)
    async with request.app[SERVICES].database.read() as conn:
        found, following = await views_deliveries.impact_page(conn, view.id, after=_after(request), limit=limit)
    return answer(
        answers.ImpactsAnswer(impacts=[answers.impact_answer(item) for item in found], next_cursor=_cursor(following))
    )


async def deliveries(request: web.Request) -> web.Response:
    view = await _outage(request)
    services = request.app[SERVICES]
    limit = query_int(request.query, "limit", PAGE, most=MOST)
    async with services.database.read() as conn:
        found, following = await views_deliveries.delivery_page(
            conn,
            view.id,
            state=request.query.get("state"),
            channel=request.query.get("channel"),
            after=_after(request),
            limit=limit,
        )
    words = await _words(services, [item.id for item in found if item.speaks])
    listed = [answers.delivery_answer(item, words.get(item.id)) for item in found]
    return answer(answers.DeliveriesAnswer(deliveries=listed, next_cursor=_cursor(following)))


async def timeline(request: web.Request) -> web.Response:
    view = await _outage(request)
    limit = query_int(request.query, "limit", MOST, most=5000)
    async with request.app[SERVICES].database.read() as conn:
        found = await views.timeline_page(conn, view.id, after=_after(request), limit=limit + 1)
    following = found[limit - 1].id if len(found) > limit else None
    return answer(
        answers.TimelineAnswer(
            timeline=[answers.timeline_line(item) for item in found[:limit]], next_cursor=_cursor(following)
        )
    )


async def pause(request: web.Request) -> web.Response:
    body = await _body(request, bodies.ReasonBody)
    await request.app[SERVICES].operations.pause(body.reason, actor=request[ACTOR])
    return answer(answers.PauseAnswer(paused=True, reason=body.reason))


async def resume(request: web.Request) -> web.Response:
    await _body(request, bodies.ReasonBody)
    await request.app[SERVICES].operations.resume(actor=request[ACTOR])
    return answer(answers.PauseAnswer(paused=False, reason=""))


def answer(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(text=as_json(value), status=status, content_type="application/json", headers=headers)


async def _words(services: Services, delivery_ids: Sequence[int]) -> dict[int, Mapping[str, Any]]:
    """The words as sent, some at a time: they are put together again from the facts, on the loop that also sends."""
    words: dict[int, Mapping[str, Any]] = {}
    for start in range(0, len(delivery_ids), _WORDS_AT_ONCE):
        words |= await services.words(delivery_ids[start : start + _WORDS_AT_ONCE])
    return words


Verb = Callable[..., Awaitable[Told]]


async def _end(request: web.Request, model: type[bodies.EndBody], verb: Verb) -> web.Response:
    body = await _body(request, model)
    told = await verb(_id(request), body.ending(), actor=request[ACTOR], **_how(request, body.undo_for))
    return await _told(request, told, status=201)


async def _body(request: web.Request, model: type[B]) -> B:
    return check_body(model, (await read_json(request))[0])


def _how(request: web.Request, undo_for: float) -> dict[str, Any]:
    return {"undo_for": timedelta(seconds=undo_for), "if_match": if_match(request)}


def if_match(request: web.Request) -> int | None:
    """The revision of an If-Match header (`"3"`, `3`); None for `*` and where there is none."""
    text = request.headers.get("If-Match", "").strip().removeprefix("W/").strip('"')
    if text in ("", "*"):
        return None
    if not text.isdecimal() or len(text) > 9:
        raise BadRequest("If-Match is not a revision's number")
    return int(text)


async def _told(request: web.Request, told: Told, *, status: int) -> web.Response:
    async with request.app[SERVICES].database.read() as conn:
        view = await views.outage(conn, told.outage_id)
    if view is None:
        raise NotFound(f"there is no outage {told.outage_id}")
    headers = {"ETag": f'"{told.revision}"', "Location": f"/api/v1/outages/{view.id}"}
    return answer(answers.told_answer(view, told), status=status, headers=headers)


async def _outage(request: web.Request) -> OutageView:
    async with request.app[SERVICES].database.read() as conn:
        view = await views.outage(conn, _id(request))
    if view is None:
        raise NotFound(f"there is no outage {_id(request)}")
    return view


def _id(request: web.Request) -> str:
    return request.match_info["id"]


def _statuses(text: str) -> frozenset[OutageStatus] | None:
    """`open`, or statuses with commas between; None for all."""
    found: set[OutageStatus] = set()
    for word in filter(None, text.split(",")):
        if word == "open":
            found |= OPEN
        elif word in set(OutageStatus):
            found.add(OutageStatus(word))
        else:
            raise Invalid.one("status", f"is none of open, {', '.join(OutageStatus)}")
    return frozenset(found) if text else None


def _after(request: web.Request) -> int:
    text = request.query.get("cursor", "") or "0"
    if not text.isdecimal() or len(text) > 18:
        raise BadRequest("cursor is not one of ours: take next_cursor from the page before")
    return int(text)


def _cursor(number: int | None) -> str | None:
    return None if number is None else str(number)
