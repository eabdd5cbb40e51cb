"""Where monitoring systems knock: `POST /hooks/{name}`, `POST /v2/enqueue`. 2xx only after the events are committed.

Senders differ in what they do with our answer: Alertmanager retries 5xx only, so overload and every surprise is 503.
"""

import asyncio
import base64
import binascii
import contextlib
from collections.abc import Iterator, Sequence

from aiohttp import web

from outagecast.domain.errors import Invalid
from outagecast.domain.event import Event
from outagecast.engine.people import same_secret
from outagecast.monitors import generic
from outagecast.monitors.mapping import Payload
from outagecast.web import enqueued
from outagecast.web.api.outages import answer
from outagecast.web.problems import NotSignedIn, Overloaded
from outagecast.web.reading import LONGEST_HOOK, read_body
from outagecast.web.services import DOORS, SERVICES, Doors, Services

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
    with _one_of_few(doors):
        raw = await read_body(request, longest=LONGEST_HOOK)
        events = found.read(Payload(body=raw, content_type=request.headers.get("Content-Type", "")))
        await _take(services, name, events, raw)
    return answer({"status": "accepted", "events": len(events)}, status=202)


async def enqueue(request: web.Request) -> web.Response:
    """PagerDuty's Events API v2, which many systems speak already: the `routing_key` is a monitor's token.

    202 `{"status": "success", …, "dedup_key"}` exactly as they expect it (Zabbix looks at both); 400 with `errors`.
    """
    services = request.app[SERVICES]
    with _one_of_few(request.app[DOORS]):
        raw = await read_body(request, longest=LONGEST_HOOK)
        try:
            call = enqueued.read(raw, header=request.headers.get("X-Routing-Key", ""), new_key=services.new_id())
            name = _monitor_of(services, call.routing_key)
            events = generic.read(Payload(body=call.body, content_type="application/json"), services.hooks[name].places)
        except Invalid as error:
            said = [f"{item.field} {item.message}".strip() for item in error.errors]
            return answer({"status": "invalid event", "message": "Event object is invalid", "errors": said}, status=400)
        await _take(services, name, events, call.kept)
    return answer({"status": "success", "message": "Event processed", "dedup_key": call.dedup_key}, status=202)


def _monitor_of(services: Services, key: str) -> str:
    """Every token is compared, so that the time says nothing about how near a guess was."""
    fitting = [name for name, found in services.hooks.items() if same_secret(key, found.token)]
    if not key or not fitting:
        raise Invalid.one("routing_key", "is not the token of a monitor")
    return fitting[0]


@contextlib.contextmanager
def _one_of_few(doors: Doors) -> Iterator[None]:
    if doors.hooks >= AT_ONCE:
        raise Overloaded("too many calls at once: try again")
    doors.hooks += 1
    try:
        yield
    finally:
        doors.hooks -= 1


async def _take(services: Services, name: str, events: Sequence[Event], raw: bytes) -> None:
    """Returns after the commit."""
    try:
        async with asyncio.timeout(TAKE_SECONDS):
            await services.intake.take(name, events, raw)
    except TimeoutError:
        raise Overloaded("the database is busy: try again") from None


def secrets_of(request: web.Request) -> list[str]:
    """Every form in which senders show a token: Bearer, GenieKey, Basic's password, the bare header, X-API-Key."""
    header = request.headers.get("Authorization", "").strip()
    scheme, _, rest = header.partition(" ")
    found = [request.headers.get("X-API-Key", ""), rest.strip() if scheme.lower() in ("bearer", "geniekey") else header]
    if scheme.lower() == "basic":
        with contextlib.suppress(binascii.Error, UnicodeDecodeError):
            found.append(base64.b64decode(rest, validate=True).decode().partition(":")[2])
    return [secret for secret in found if secret]
