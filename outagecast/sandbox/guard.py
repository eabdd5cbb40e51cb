"""What keeps other web pages out: the sandbox has no sign-in, so it listens to its own pages and to programs only."""

import ipaddress
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """403 for what a foreign page sends here; strict headers on every answer."""
    if foreign(request.method, request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site"), request.host):
        return web.Response(status=403, text="This comes from another site.\n")
    try:
        response = await handler(request)
    except web.HTTPException as error:
        error.headers.update({key: value for key, value in PAGE_HEADERS.items() if key not in error.headers})
        raise
    if not response.prepared:
        for key, value in PAGE_HEADERS.items():
            response.headers.setdefault(key, value)
    return response


def foreign(method: str, origin: str | None, fetch_site: str | None, host: str) -> bool:
    """Whether a browser sent this on behalf of another site (CSRF, and DNS rebinding by the Host name)."""
    if method in ("GET", "HEAD"):
        return False
    if fetch_site not in (None, "same-origin", "none"):
        return True
    if origin is None:
        return False
    sender = urlsplit(origin)
    return sender.netloc != host or not _is_address(sender.hostname or "")


def _is_address(name: str) -> bool:
    """A name that DNS cannot point elsewhere."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost"
    return True
