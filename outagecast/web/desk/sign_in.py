"""Coming in and going out: name and password, then, where it is set up, the code of the authenticator app."""

import math
from datetime import timedelta
from urllib.parse import quote

from aiohttp import web

from outagecast.engine.one_time import SECOND_STEP_HOLDS
from outagecast.engine.people import CodeRefused, SignInRefused, StepOver
from outagecast.web import cookies
from outagecast.web.access import SIGN_IN, current_session
from outagecast.web.desk.frame import back_to
from outagecast.web.security import client_address
from outagecast.web.services import FORM, PAGES, SERVICES

CODE = f"{SIGN_IN}/code"
SETUP = "/desk/setup"


async def form(request: web.Request) -> web.Response:
    if await current_session(request) is not None:
        return back_to("/desk")
    if not await request.app[SERVICES].people.has_staff():
        return back_to(SETUP)
    return _page(request, following=inside(request.query.get("next", "")))


async def sign_in(request: web.Request) -> web.Response:
    people, posted = request.app[SERVICES].people, request[FORM]
    name, following = posted.get("name", "").strip(), inside(posted.get("next", ""))
    try:
        signed = await people.sign_in(
            name,
            posted.get("password", ""),
            source=client_address(request),
            agent=agent_of(request),
            replaces=cookies.read(request, cookies.SESSION),
        )
    except SignInRefused as error:
        return _waiting(_page(request, name=name, following=following, refused=True, wait=error.wait), error.wait)
    if signed.complete:
        return with_session(request, signed.secret, following)
    response = back_to(f"{CODE}?next={quote(following, safe='/')}" if following else CODE)
    cookies.put(request, response, cookies.STEP, signed.secret, SECOND_STEP_HOLDS)
    return response


async def code_form(request: web.Request) -> web.Response:
    if not cookies.read(request, cookies.STEP):
        return back_to(SIGN_IN)
    return _code_page(request, following=inside(request.query.get("next", "")))


async def second_step(request: web.Request) -> web.Response:
    people, posted = request.app[SERVICES].people, request[FORM]
    following = inside(posted.get("next", ""))
    try:
        secret = await people.second_step(
            cookies.read(request, cookies.STEP),
            posted.get("code", ""),
            source=client_address(request),
            agent=agent_of(request),
            replaces=cookies.read(request, cookies.SESSION),
        )
    except CodeRefused as error:
        return _waiting(_code_page(request, following=following, refused=True, wait=error.wait), error.wait)
    except StepOver:
        response = _page(request, following=following, over=True, status=401)
        cookies.drop(request, response, cookies.STEP)
        return response
    response = with_session(request, secret, following)
    cookies.drop(request, response, cookies.STEP)
    return response


async def sign_out(request: web.Request) -> web.Response:
    await request.app[SERVICES].people.sign_out(cookies.read(request, cookies.SESSION), source=client_address(request))
    response = back_to(SIGN_IN)
    cookies.drop(request, response, cookies.SESSION)
    return response


def with_session(request: web.Request, secret: str, following: str = "") -> web.Response:
    """On to the desk, signed in."""
    response = back_to(following or "/desk")
    cookies.put(request, response, cookies.SESSION, secret, request.app[SERVICES].people.sessions.longest)
    return response


def inside(path: str) -> str:
    """A page of the desk to go on to, "" for anything else: never another site."""
    return path if path.startswith("/desk") and not path.startswith("/desk/sign") and "\\" not in path else ""


def agent_of(request: web.Request) -> str:
    """What the browser calls itself, without what could disturb a page or a log."""
    return "".join(char for char in request.headers.get("User-Agent", "") if char.isprintable())


def _page(
    request: web.Request,
    *,
    following: str,
    name: str = "",
    refused: bool = False,
    over: bool = False,
    wait: timedelta = timedelta(0),
    status: int = 200,
) -> web.Response:
    oidc = request.app[SERVICES].oidc
    return request.app[PAGES].render(
        "desk/sign-in.html",
        status=429 if wait else 401 if refused else status,
        name=name,
        next=following,
        refused=refused,
        over=over,
        wait=_seconds(wait),
        elsewhere=oidc.name if oidc is not None else "",
    )


def _code_page(
    request: web.Request, *, following: str, refused: bool = False, wait: timedelta = timedelta(0)
) -> web.Response:
    status = 429 if wait else 401 if refused else 200
    return request.app[PAGES].render(
        "desk/sign-in-code.html", status=status, next=following, refused=refused, wait=_seconds(wait)
    )


def _waiting(response: web.Response, wait: timedelta) -> web.Response:
    if wait:
        response.headers["Retry-After"] = str(_seconds(wait))
    return response


def _seconds(wait: timedelta) -> int:
    return math.ceil(wait.total_seconds())
