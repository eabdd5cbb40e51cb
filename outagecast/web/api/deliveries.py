"""Single messages over the API: one with its words, said again, seen to; an address that many customers share."""

from typing import Annotated, Any

from aiohttp import web
from pydantic import Field, StringConstraints
from typing_extensions import TypedDict

from outagecast.domain.errors import NotFound
from outagecast.domain.outage import Verb
from outagecast.storage import views, views_deliveries, views_redeliveries
from outagecast.storage.views import OutageView
from outagecast.storage.views_redeliveries import NOTHING_DONE, Done
from outagecast.web.api import answers, bodies
from outagecast.web.api.bodies import Body, check_body
from outagecast.web.api.outages import answer
from outagecast.web.ports import Difference, Redelivered
from outagecast.web.reading import read_json
from outagecast.web.services import ACTOR, SERVICES

LONGEST_REASON = 500
Reason = Annotated[str, Field(max_length=LONGEST_REASON)]


class AgainBody(Body):
    """Why it is said again; it stands in the timeline."""

    reason: Reason = ""


class HandledBody(Body):
    """How the customer was told by other means; it stands in the timeline."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_REASON)]


class NoteBody(Body):
    """A line for colleagues. It never leaves the house."""

    note: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=5000)]


class OwnerBody(Body):
    """Who answers for it from now on; empty: nobody."""

    owner: bodies.Short = ""


class OneDeliveryAnswer(answers.DeliveryAnswer):
    """`repeats`: the delivery it says again by a person's decision, `repeated_by` those that say it again;
    `handled`: how a person has seen to it by other means.
    """

    repeats: int | None
    repeated_by: list[int]
    handled: str | None
    handled_by: str | None
    handled_at: str | None


class RedeliveredAnswer(TypedDict):
    """`deliveries`: the new ones; `refused`: why others were not said again, with how many each."""

    outage_id: str
    revision: int
    deliveries: list[int]
    refused: dict[str, int]


class ConfirmedAnswer(TypedDict):
    """`deliveries`: what the address had held back, planned now."""

    address_id: int
    deliveries: list[int]


class AffectedAnswer(TypedDict):
    customer_id: str
    name: str
    lines: list[str]


class GroupAnswer(TypedDict):
    """`news`: newly, worse, back, free, part, better, passed or word."""

    news: str
    customers: int
    first: list[AffectedAnswer]


class DifferenceAnswer(TypedDict):
    """Who would hear what; nothing is stored. `exact` false: too many to plan for a look."""

    told: int
    groups: list[GroupAnswer]
    messages: dict[str, int]
    suppressed: dict[str, int]
    more: int
    fewer: int
    exact: bool
    samples: list[dict[str, Any]]
    held_because: str | None


async def one(request: web.Request) -> web.Response:
    delivery_id = _id(request)
    services = request.app[SERVICES]
    async with services.database.read() as conn:
        view = await views_deliveries.delivery(conn, delivery_id)
        done = (await views_redeliveries.done_about(conn, [delivery_id])).get(delivery_id, NOTHING_DONE)
    if view is None:
        raise NotFound(f"there is no delivery {delivery_id}")
    words = await services.words([delivery_id]) if view.speaks else {}
    return answer(_one(answers.delivery_answer(view, words.get(delivery_id)), done))


async def retry(request: web.Request) -> web.Response:
    body = await _body(request, AgainBody)
    verbs = request.app[SERVICES].operations.redelivery
    return _redelivered(await verbs.retry(_id(request), actor=request[ACTOR], reason=body.reason))


async def resend(request: web.Request) -> web.Response:
    body = await _body(request, AgainBody)
    verbs = request.app[SERVICES].operations.redelivery
    return _redelivered(await verbs.resend(_id(request), actor=request[ACTOR], reason=body.reason))


async def retry_failed(request: web.Request) -> web.Response:
    body = await _body(request, AgainBody)
    verbs = request.app[SERVICES].operations.redelivery
    found = await verbs.retry_failed(request.match_info["id"], actor=request[ACTOR], reason=body.reason)
    return _redelivered(found)


async def handled(request: web.Request) -> web.Response:
    body = await _body(request, HandledBody)
    await request.app[SERVICES].operations.redelivery.handle(_id(request), body.reason, actor=request[ACTOR])
    return await one(request)


async def confirm(request: web.Request) -> web.Response:
    body = await _body(request, AgainBody)
    verbs = request.app[SERVICES].operations.redelivery
    found = await verbs.confirm(_id(request), actor=request[ACTOR], reason=body.reason)
    return answer(ConfirmedAnswer(address_id=found.address_id, deliveries=list(found.planned)), status=201)


async def note(request: web.Request) -> web.Response:
    body = await _body(request, NoteBody)
    await request.app[SERVICES].operations.note(request.match_info["id"], body.note, actor=request[ACTOR])
    return web.Response(status=204)


async def own(request: web.Request) -> web.Response:
    body = await _body(request, OwnerBody)
    await request.app[SERVICES].operations.own(request.match_info["id"], body.owner, actor=request[ACTOR])
    return web.Response(status=204)


async def look_at_update(request: web.Request) -> web.Response:
    body, view = await _body(request, bodies.UpdateBody), await _outage(request)
    verbs = request.app[SERVICES].operations
    return answer(difference_answer(await verbs.look_at(view.id, body.change(view.effect), actor=request[ACTOR])))


async def look_at_restore(request: web.Request) -> web.Response:
    body, view = await _body(request, bodies.RestoreBody), await _outage(request)
    verbs = request.app[SERVICES].operations
    return answer(difference_answer(await verbs.look_at(view.id, body.restoration(view.effect), actor=request[ACTOR])))


async def look_at_resolve(request: web.Request) -> web.Response:
    body, view = await _body(request, bodies.EndBody), await _outage(request)
    verbs = request.app[SERVICES].operations
    found = await verbs.look_at(view.id, body.ending(), actor=request[ACTOR], verb=Verb.RESOLVE)
    return answer(difference_answer(found))


def difference_answer(found: Difference) -> DifferenceAnswer:
    return DifferenceAnswer(
        told=found.told,
        groups=[
            GroupAnswer(
                news=str(group.news),
                customers=group.customers,
                first=[
                    AffectedAnswer(customer_id=each.customer_id, name=each.name, lines=list(each.lines))
                    for each in group.first
                ],
            )
            for group in found.groups
        ],
        messages=dict(found.messages),
        suppressed=dict(found.silent),
        more=found.more,
        fewer=found.fewer,
        exact=found.exact,
        samples=[dict(sample) for sample in found.samples],
        held_because=found.held_because,
    )


async def _body(request: web.Request, model: type[bodies.B]) -> bodies.B:
    return check_body(model, (await read_json(request))[0])


async def _outage(request: web.Request) -> OutageView:
    async with request.app[SERVICES].database.read() as conn:
        view = await views.outage(conn, request.match_info["id"])
    if view is None:
        raise NotFound(f"there is no outage {request.match_info['id']}")
    return view


def _redelivered(found: Redelivered) -> web.Response:
    said = RedeliveredAnswer(
        outage_id=found.outage_id,
        revision=found.revision,
        deliveries=list(found.planned),
        refused=dict(found.refused),
    )
    return answer(said, status=201)


def _one(view: answers.DeliveryAnswer, done: Done) -> OneDeliveryAnswer:
    return OneDeliveryAnswer(
        **view,
        repeats=done.of_id,
        repeated_by=list(done.again),
        handled=done.handled_how or None,
        handled_by=done.handled_by or None,
        handled_at=answers.when(done.handled_at),
    )


def _id(request: web.Request) -> int:
    text = request.match_info["id"]
    if not text.isdecimal() or len(text) > 15:
        raise NotFound(f"there is nothing with the number {text[:40]}")
    return int(text)
