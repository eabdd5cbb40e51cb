"""The hold after an older database was put back, over the API."""

from typing import Annotated, Literal

from aiohttp import web
from pydantic import StringConstraints
from typing_extensions import TypedDict

from outagecast.domain.errors import NotFound
from outagecast.engine.backup import choice_of
from outagecast.web import ports
from outagecast.web.api.bodies import Body, check_body
from outagecast.web.api.outages import answer
from outagecast.web.reading import read_json
from outagecast.web.services import ACTOR, SERVICES


class ReleaseRestoreBody(Body):
    """What becomes of the messages that may have been sent already: they count as `said`, or `send` them."""

    choice: Literal["said", "send"]
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)] = ""


class RestoreAnswer(TypedDict):
    held: bool
    reason: str
    found_at: str | None
    as_of: str | None
    undecided: int


class RestoreReleasedAnswer(TypedDict):
    held: bool
    messages: int


async def look(request: web.Request) -> web.Response:
    held = await hold_of(request).look()
    return answer(
        RestoreAnswer(
            held=held is not None,
            reason=held.reason if held else "",
            found_at=held.found_at.isoformat() if held else None,
            as_of=held.as_of.isoformat() if held and held.as_of else None,
            undecided=held.undecided if held else 0,
        )
    )


async def release(request: web.Request) -> web.Response:
    value, _ = await read_json(request)
    body = check_body(ReleaseRestoreBody, value)
    done = await hold_of(request).release(choice_of(body.choice), actor=request[ACTOR], reason=body.reason)
    return answer(RestoreReleasedAnswer(held=False, messages=done.decided))


def hold_of(request: web.Request) -> ports.RestoreHold:
    """NotFound where this daemon has nothing that could be held."""
    hold = request.app[SERVICES].restored
    if hold is None:
        raise NotFound("nothing is held after a restore")
    return hold
