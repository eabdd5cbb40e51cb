"""Where the SMS provider calls back: what became of a text, and texts to our number. Unsigned calls are refused."""

from aiohttp import web
from multidict import MultiDictProxy

from outagecast.domain.errors import Forbidden, NotFound
from outagecast.web.reading import read_form
from outagecast.web.services import SERVICES, TwilioCallbacks

EMPTY_ANSWER = '<?xml version="1.0" encoding="UTF-8"?><Response></Response>'
"""TwiML that says nothing back."""


async def twilio_status(request: web.Request) -> web.Response:
    twilio, form = await _signed(request)
    receipt = twilio.status(form, request.query)
    if receipt is not None:
        await request.app[SERVICES].receipts.record(receipt)
    return web.Response(status=204)


async def twilio_inbound(request: web.Request) -> web.Response:
    twilio, form = await _signed(request)
    asked = twilio.inbound(form)
    if asked is not None:
        phone, word = asked
        await request.app[SERVICES].receipts.stop(phone, word, "sms")
    return web.Response(text=EMPTY_ANSWER, content_type="text/xml")


async def _signed(request: web.Request) -> tuple[TwilioCallbacks, MultiDictProxy[str]]:
    """The form, once its signature is known to be good. It covers our public address, not the one behind a proxy."""
    services = request.app[SERVICES]
    if services.twilio is None:
        raise NotFound("no SMS provider is set up")
    form = await read_form(request)
    url = services.provider.public_url + request.raw_path
    if not services.twilio.verify(url, form, request.headers.get("X-Twilio-Signature")):
        raise Forbidden("the signature is missing or wrong")
    return services.twilio, form
