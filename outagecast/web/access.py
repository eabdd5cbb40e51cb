"""Who may pass which door. Every route declares one of these; there is no way to register a route without."""

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

from aiohttp import web

from outagecast.domain.errors import Forbidden
from outagecast.domain.outage import Actor, Role
from outagecast.engine.people import Session
from outagecast.web.problems import Handler, NotSignedIn
from outagecast.web.reading import read_form
from outagecast.web.security import check_csrf, check_same_origin
from outagecast.web.services import ACTOR, FORM, SERVICES, SESSION

LADDER = (Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN)
"""Each may do what those before it may. `inventory` stands alone: it may do nothing but push the inventory."""
SIGN_IN = "/desk/sign-in"


class Open(StrEnum):
    """Doors without a role, and what guards them instead."""

    EVERYONE = "everyone"
    OWN_PROOF = "own proof"
    """The handler itself checks a monitor's token, a provider's signature, or the secret in a customer's link."""
    SIGN_IN = "sign-in"
    """Forms of people who are not signed in yet: they must come from our own pages."""


@dataclass(frozen=True, slots=True)
class ByToken:
    """The API: a bearer token whose role is among these."""

    roles: frozenset[Role]


@dataclass(frozen=True, slots=True)
class BySession:
    """The desk: somebody signed in whose role is among these; forms carry the session's token."""

    roles: frozenset[Role]


Access = Open | ByToken | BySession


def api(role: Role) -> ByToken:
    """Programs with this role or a higher one."""
    return ByToken(_from(role))


def inventory(*, reads: bool = False) -> ByToken:
    """The inventory: its own role and admins; whoever may declare may read it."""
    return ByToken((_from(Role.OPERATOR) if reads else frozenset({Role.ADMIN})) | {Role.INVENTORY})


def desk(role: Role) -> BySession:
    """Staff with this role or a higher one."""
    return BySession(_from(role))


def guarded(access: Access, handler: Handler) -> Handler:
    """The handler behind its door."""

    async def behind(request: web.Request) -> web.StreamResponse:
        match access:
            case Open.EVERYONE | Open.OWN_PROOF:
                pass
            case Open.SIGN_IN:
                if request.method == "POST":
                    check_same_origin(request)
                    request[FORM] = await read_form(request)
            case ByToken(roles=roles):
                actor = await _token_actor(request)
                _check_role(actor, roles)
                request[ACTOR] = actor
            case BySession(roles=roles):
                session = await current_session(request)
                if session is None:
                    return _to_sign_in(request)
                _check_role(session.actor, roles)
                request[SESSION], request[ACTOR] = session, session.actor
                if request.method == "POST":
                    check_same_origin(request)
                    request[FORM] = await read_form(request)
                    check_csrf(request, session)
        return await handler(request)

    return behind


def cookie_name(https: bool) -> str:
    """`__Host-` binds the cookie to this very host and to https (RFC 6265bis); browsers refuse it on plain http."""
    return "__Host-outagecast" if https else "outagecast"


async def current_session(request: web.Request) -> Session | None:
    services = request.app[SERVICES]
    secret = request.cookies.get(cookie_name(services.provider.https), "")
    return await services.people.session(secret) if secret else None


async def _token_actor(request: web.Request) -> Actor:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotSignedIn("send a token: Authorization: Bearer TOKEN (made by `outagecast token add`)")
    actor = await request.app[SERVICES].people.token_actor(token.strip())
    if actor is None:
        raise NotSignedIn("this token is unknown, revoked or expired")
    return actor


def _check_role(actor: Actor, roles: frozenset[Role]) -> None:
    if actor.role not in roles:
        needed = next((role for role in (*LADDER, Role.INVENTORY) if role in roles), Role.ADMIN)
        raise Forbidden(f"{actor.name} is {actor.role}; this needs {needed}")


def _to_sign_in(request: web.Request) -> web.Response:
    accepted = request.headers.get("Accept", "*/*")
    if request.method not in ("GET", "HEAD") or not ("text/html" in accepted or "*/*" in accepted):
        raise NotSignedIn("you are not signed in (any more): sign in again; nothing was changed")
    return web.Response(status=303, headers={"Location": f"{SIGN_IN}?next={quote(request.path_qs, safe='/')}"})


def _from(role: Role) -> frozenset[Role]:
    return frozenset(LADDER[LADDER.index(role) :])
