"""Our cookies: the session's, and those of a sign-in under way. None can be read by scripts or sent by other sites."""

from datetime import timedelta

from aiohttp import web

from outagecast.web.services import SERVICES

SESSION = "outagecast"
STEP = "outagecast-step"
"""The password was right, the code is awaited."""
ELSEWHERE = "outagecast-elsewhere"
"""The state of a sign-in at the OpenID provider: whoever comes back is the browser that went."""


def name_of(cookie: str, *, https: bool) -> str:
    """`__Host-` binds the cookie to this very host and to https (RFC 6265bis); browsers refuse it on plain http."""
    return f"__Host-{cookie}" if https else cookie


def read(request: web.Request, cookie: str) -> str:
    """The secret in it, "" without one."""
    return request.cookies.get(name_of(cookie, https=request.app[SERVICES].provider.https), "")


def put(request: web.Request, response: web.Response, cookie: str, secret: str, holds: timedelta) -> None:
    https = request.app[SERVICES].provider.https
    response.set_cookie(
        name_of(cookie, https=https),
        secret,
        max_age=int(holds.total_seconds()),
        path="/",
        httponly=True,
        # Lax, not Strict: links in our own mails to staff lead to the desk.
        samesite="Lax",
        secure=https,
    )


def drop(request: web.Request, response: web.Response, cookie: str) -> None:
    https = request.app[SERVICES].provider.https
    response.del_cookie(name_of(cookie, https=https), path="/", secure=https, httponly=True, samesite="Lax")
