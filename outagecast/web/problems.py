"""What went wrong, to programs as application/problem+json (RFC 9457), to people as a page. Never a traceback."""

import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import web

from outagecast.domain.errors import Conflict, FieldError, Forbidden, Invalid, NotFound, OutageCastError, StaleRevision
from outagecast.storage.engine import DatabaseAway
from outagecast.web.services import PAGES, SERVICES

log = logging.getLogger("outagecast.web")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
FOR_PROGRAMS = ("/api/", "/hooks/", "/v2/", "/callbacks/", "/unsubscribe/")
_STATUS: dict[type[OutageCastError], int] = {
    Invalid: 422,
    NotFound: 404,
    Forbidden: 403,
    Conflict: 409,
    StaleRevision: 412,
}


class BadRequest(OutageCastError):
    """The request cannot be read at all: 400."""


class NotSignedIn(OutageCastError):
    """Nobody we know: 401."""


class TooLarge(OutageCastError):
    """413."""


class Overloaded(OutageCastError):
    """Not now: 503 with Retry-After. Alertmanager drops what is answered 4xx, 429 included."""


class TooSlow(OutageCastError):
    """The body did not arrive in time: 408."""


_STATUS |= {BadRequest: 400, NotSignedIn: 401, TooLarge: 413, Overloaded: 503, TooSlow: 408}


@web.middleware
async def tell_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever is raised becomes one clear answer; the unforeseen gives its number only, and is logged."""
    try:
        return await handler(request)
    except OutageCastError as error:
        return answer(request, status_of(error), str(error), _errors(error))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return answer(request, error.status, _PLAIN.get(error.status, error.reason), allow=error.headers.get("Allow"))
    except ConnectionResetError:
        # A page that asks while somebody types takes back what it asked before: nobody hears this answer.
        return answer(request, 400, "the request broke off before its end")
    except DatabaseAway as fault:
        why = str(fault.__cause__ or fault)[:200]
        log.error("the database did not take %s %s: %s", request.method, _route(request), why)
        return answer(request, 503, "the database cannot be reached or written at the moment: try again")
    except Exception:
        number = request.app[SERVICES].new_id()
        # Logged with its number, so that the person who reports it and the person who looks find each other.
        log.exception("unforeseen error %s in %s %s", number, request.method, _route(request))
        said = (
            f"Something went wrong on our side. It is recorded as {number}; please try again, and tell us that number."
        )
        return answer(request, 503 if request.path.startswith("/hooks/") else 500, said)


def _route(request: web.Request) -> str:
    return request.match_info.route.name or "?"


_PLAIN = {404: "there is nothing here", 405: "this cannot be done here", 413: "the request is too large"}


def status_of(error: OutageCastError) -> int:
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)


def answer(
    request: web.Request, status: int, detail: str, errors: Sequence[FieldError] = (), allow: str | None = None
) -> web.Response:
    """A problem as JSON or as a page, whoever asks."""
    response = _for_program(status, detail, errors) if _wants_json(request) else _for_person(request, status, detail)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        response.headers["Retry-After"] = "5"
    if allow:
        response.headers["Allow"] = allow
    return response


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _wants_json(request: web.Request) -> bool:
    return request.path.startswith(FOR_PROGRAMS) or "application/json" in request.headers.get("Accept", "")


def _for_program(status: int, detail: str, errors: Sequence[FieldError]) -> web.Response:
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    listed = {"errors": [{"field": e.field, "message": e.message} for e in errors]} if errors else {}
    return web.Response(text=as_json(body | listed), status=status, content_type="application/problem+json")


def _for_person(request: web.Request, status: int, detail: str) -> web.Response:
    home = "/desk" if request.path.startswith("/desk") else "/"
    said = detail[:1].upper() + detail[1:]
    return request.app[PAGES].render(
        "problem.html", status=status, heading=HTTPStatus(status).phrase, said=said, home=home
    )


def _errors(error: OutageCastError) -> Sequence[FieldError]:
    return error.errors if isinstance(error, Invalid) else ()
