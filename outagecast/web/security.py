"""What protects every answer and every form: headers, whence a request comes, who really asks behind proxies."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from urllib.parse import urlsplit

from aiohttp import web

from outagecast.domain.errors import Forbidden
from outagecast.engine.people import Session, same_secret
from outagecast.web.services import FORM, SERVICES

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
PUBLIC_CACHE = "public, max-age=5"
CSRF_FIELD = "csrf"
SECRET_PATHS = ("/my/", "/unsubscribe/", "/desk/setup/", "/desk/join/", "/desk/oidc/")
"""Addresses that are secrets themselves: no other page hears them."""
SECRET_FORMS = ("/my/", "/desk/setup", "/desk/join/")
"""Forms of those pages: they carry the secret, which another site would have to know first."""


async def before_sending(request: web.Request, response: web.StreamResponse) -> None:
    """For every answer, the error pages and streams too (a signal, because a middleware is too late for a stream)."""
    headers = response.headers
    headers["Content-Security-Policy"] = POLICY
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer" if request.path.startswith(SECRET_PATHS) else "same-origin"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
    headers.setdefault("Cache-Control", "no-store")
    headers["Server"] = "outagecast"
    if request.app[SERVICES].provider.https:
        headers["Strict-Transport-Security"] = "max-age=31536000"
    if request.path.startswith(("/desk", "/my/", "/unsubscribe/", "/api/")):
        headers["X-Robots-Tag"] = "noindex"


def check_same_origin(request: web.Request) -> None:
    """Forbidden for a form that another site sent. Browsers say so in Sec-Fetch-Site, older ones (and all of them where
    we are plain http on another machine) in Origin only. `null` is what a page sends that tells nobody where it is.
    """
    site, origin = request.headers.get("Sec-Fetch-Site", "none"), request.headers.get("Origin")
    if site == "same-origin":
        return
    if site != "none":
        raise Forbidden("this form was sent from another site")
    if origin is None or (origin == "null" and request.path.startswith(SECRET_FORMS)):
        return
    ours = urlsplit(request.app[SERVICES].provider.public_url)
    if urlsplit(origin).netloc not in (request.host, ours.netloc):
        raise Forbidden("this form was sent from another site")


def check_csrf(request: web.Request, session: Session) -> None:
    """Forbidden unless the form carries this session's own token."""
    given = request[FORM].get(CSRF_FIELD, "")
    if not same_secret(given, session.csrf):
        raise Forbidden("this form is too old: go back, load the page anew and send it again; nothing was changed")


def client_address(request: web.Request) -> str:
    """Who asks: the peer, or, behind a trusted proxy, the last address in X-Forwarded-For that is no trusted proxy."""
    trusted = request.app[SERVICES].trusted_proxies
    hops = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
    address = request.remote or ""
    while hops and _is_in(address, trusted):
        address = hops.pop()
    return address


def _is_in(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)
