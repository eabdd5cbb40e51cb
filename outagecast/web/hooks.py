"""Where monitoring systems knock: `POST /hooks/{name}`. 2xx only after the events are committed.

Senders differ in what they do with our answer: Alertmanager retries 5xx only, so overload and every surprise is 503.
"""

import asyncio
import base64
import binascii
import contextlib

from aiohttp import web

from outagecast.engine.people import same_secret
from outagecast.monitors.mapping import Payload
from outagecast.web.api.outages import answer
from outagecast.web.problems import NotSignedIn, Overloaded
from outagecast.web.reading import LONGEST_HOOK, read_body
from outagecast.web.services import DOORS, SERVICES

AT_ONCE = 64
"""Calls under way; senders give up after 10 to 15 s, so that waiting longer in a queue helps nobody."""
TAKE_SECONDS = 6


async def hook(request: web.Request) -> web.Response:
    services, doors, name = request.app[SERVICES], request.app[DOORS], request.match_info["name"]
    found = services.hooks.get(name)
    given = secrets_of(request)
    # An unknown name costs the same comparison and gives the same answer as a wrong token.
    expected = found.token if found is not None else services.new_id()
    fits = [same_secret(secret, expected) for secret in given]
    if found is None or not any(fits):
        raise NotSignedIn("this hook needs its token (Authorization: Bearer TOKEN)")
    if doors.hooks >= AT_ONCE:
        raise Overloaded("too many calls at once: try again")
    doors.hooks += 1
    try:
        raw = await read_body(request, longest=LONGEST_HOOK)
        events = found.read(Payload(body=raw, content_type=request.headers.get("Content-Type", "")))
        async with asyncio.timeout(TAKE_SECONDS):
            await services.intake.take(name, events, raw)
    except TimeoutError:
        raise Overloaded("the database is busy: try again") from None
    finally:
        doors.hooks -= 1
    return answer({"status": "accepted", "events": len(events)}, status=202)


def secrets_of(request: web.Request) -> list[str]:
    """Every form in which senders show a token: Bearer, GenieKey, Basic's password, the bare header, X-API-Key."""
    header = request.headers.get("Authorization", "").strip()
    scheme, _, rest = header.partition(" ")
    found = [request.headers.get("X-API-Key", ""), rest.strip() if scheme.lower() in ("bearer", "geniekey") else header]
    if scheme.lower() == "basic":
        with contextlib.suppress(binascii.Error, UnicodeDecodeError):
            found.append(base64.b64decode(rest, validate=True).decode().partition(":")[2])
    return [secret for secret in found if secret]
