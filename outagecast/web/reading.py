"""Reading what comes in: never longer than its limit, never longer than ten seconds, never more than JSON is."""

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import MultiDict, MultiDictProxy

from outagecast.domain.strict_json import parse_json
from outagecast.web.problems import BadRequest, TooLarge, TooSlow

BODY_SECONDS = 10
"""aiohttp waits for a slow body for ever."""
LONGEST_BODY = 1024 * 1024
LONGEST_HOOK = 256 * 1024
MOST_FIELDS = 20_000


async def read_body(request: web.Request, *, longest: int = LONGEST_BODY) -> bytes:
    """The whole body, unpacked; BadRequest, TooLarge or TooSlow."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_chunked(64 * 1024):
                body += chunk
                if len(body) > longest:
                    raise TooLarge(f"the body is larger than {longest // 1024} KiB")
    except TimeoutError:
        raise TooSlow(f"the body did not arrive within {BODY_SECONDS} seconds") from None
    except (web.RequestPayloadError, ValueError) as error:
        raise BadRequest("the body is broken") from error
    return bytes(body)


async def read_json(request: web.Request) -> tuple[Any, str]:
    """The body's value and its hash; an empty body is an empty object. BadRequest for what is not JSON in UTF-8."""
    body = await read_body(request)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("the body is not UTF-8") from None
    try:
        return parse_json(text) if text.strip() else {}, hashlib.sha256(body).hexdigest()
    except ValueError as error:
        raise BadRequest(
            f"the body is {error}" if str(error).startswith("not") else f"the body is not JSON: {error}"
        ) from None


async def read_form(request: web.Request) -> MultiDictProxy[str]:
    """A posted form (application/x-www-form-urlencoded); files are not taken."""
    body = await read_body(request)
    if body and request.content_type != "application/x-www-form-urlencoded":
        raise BadRequest("the form is not application/x-www-form-urlencoded")
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise BadRequest("the form cannot be read") from None
    return MultiDictProxy(MultiDict(pairs))


def query_int(query: Mapping[str, str], name: str, usual: int, *, most: int) -> int:
    """A whole number of the query, from 1 to `most`."""
    text = query.get(name, "")
    if not text:
        return usual
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise BadRequest(f"{name} is not a number from 1 to {most}")
    return min(int(text), most)
