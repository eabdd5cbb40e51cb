"""One address over the API: what stands against writing to it, and staff's word on that."""

from typing import Annotated

from aiohttp import web
from pydantic import StringConstraints
from typing_extensions import TypedDict

from outagecast.domain.errors import NotFound
from outagecast.engine.addresses import LONGEST_REASON
from outagecast.web.api.bodies import Body, check_body
from outagecast.web.api.outages import answer
from outagecast.web.ports import AddressNow
from outagecast.web.reading import read_json
from outagecast.web.services import ACTOR, SERVICES

_OWN_WISH = "the person behind it had asked for that; the reason you gave stands in the timeline"
_CARRIER = "; the text gateway refuses a phone that answered STOP until it texts START, which nobody else can do for it"


class WhyBody(Body):
    """Why; it stands in the timeline."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_REASON)]


class AddressAnswer(TypedDict):
    id: int
    channel: str
    to: str
    state: str
    since: str | None
    by: str | None
    note: str


async def get(request: web.Request) -> web.Response:
    return answer(_address(await request.app[SERVICES].addresses.get(_id(request))))


async def suppress(request: web.Request) -> web.Response:
    body = await _body(request)
    found = await request.app[SERVICES].addresses.suppress(_id(request), body.reason, actor=request[ACTOR])
    return answer(_address(found))


async def unsuppress(request: web.Request) -> web.Response:
    body = await _body(request)
    found = await request.app[SERVICES].addresses.unsuppress(_id(request), body.reason, actor=request[ACTOR])
    return answer(_address(found))


async def _body(request: web.Request) -> WhyBody:
    value, _ = await read_json(request)
    return check_body(WhyBody, value)


def _id(request: web.Request) -> int:
    text = request.match_info["id"]
    if not text.isdecimal() or len(text) > 15:
        raise NotFound(f"there is no address {text[:40]}")
    return int(text)


def _address(found: AddressNow) -> AddressAnswer:
    note = (_OWN_WISH if found.was_own_wish else "") + (_CARRIER if found.carrier_may_refuse else "")
    return AddressAnswer(
        id=found.id,
        channel=found.channel,
        to=found.to,
        state=found.against or "active",
        since=found.against_at.isoformat() if found.against_at else None,
        by=found.against_by,
        note=note,
    )
