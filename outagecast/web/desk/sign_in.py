"""Coming in and going out."""

import math

from aiohttp import web

from outagecast.engine.people import LONGEST, SignInRefused
from outagecast.web.access import cookie_name, current_session
from outagecast.web.desk.frame import back_to
from outagecast.web.security import client_address
from outagecast.web.services import FORM, PAGES, SERVICES


async def form(request: web.Request) -> web.Response:
    if await current_session(request) is not None:
        return back_to("/desk")
    services = request.app[SERVICES]
    first = not await services.people.has_staff()
    return request.app[PAGES].render(
        "desk/sign-in.html", first=first, name="", next=_inside(request.query.get("next", "")), refused="", wait=0
    )


async def sign_in(request: web.Request) -> web.Response:
    services, posted = request.app[SERVICES], request[FORM]
    name, following = posted.get("name", "").strip(), _inside(posted.get("next", ""))
    try:
        secret = await services.people.sign_in(
            name,
            posted.get("password", ""),
            source=client_address(request),
            agent=request.headers.get("User-Agent", ""),
        )
    except SignInRefused as error:
        wait = math.ceil(error.wait.total_seconds())
        response = request.app[PAGES].render(
            "desk/sign-in.html",
            status=429 if wait else 401,
            first=False,
            name=name,
            next=following,
            refused=str(error),
            wait=wait,
        )
        if wait:
            response.headers["Retry-After"] = str(wait)
        return response
    response = back_to(following or "/desk")
    https = services.provider.https
    response.set_cookie(
        cookie_name(https),
        secret,
        max_age=int(LONGEST.total_seconds()),
        path="/",
        httponly=True,
        samesite="Lax",
        secure=https,
    )
    return response


async def sign_out(request: web.Request) -> web.Response:
    services = request.app[SERVICES]
    https = services.provider.https
    await services.people.sign_out(request.cookies.get(cookie_name(https), ""))
    response = back_to("/desk/sign-in")
    response.del_cookie(cookie_name(https), path="/", secure=https, httponly=True, samesite="Lax")
    return response


def _inside(path: str) -> str:
    """A page of the desk to go on to, "" for anything else: never another site."""
    return path if path.startswith("/desk") and not path.startswith("/desk/sign") and "\\" not in path else ""
