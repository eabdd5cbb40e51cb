"""Who may pass which door. Every route declares one of these; there is no way to register a route without."""

from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import quote

from aiohttp import web

from outagecast.domain.errors import Forbidden
from outagecast.domain.outage import Actor, Role
from outagecast.engine.people import Session
from outagecast.storage.views_board import Standing, standing
from outagecast.web import cookies
from outagecast.web.problems import Handler, NotSignedIn
from outagecast.web.reading import read_form
from outagecast.web.security import check_csrf, check_same_origin, client_address
from outagecast.web.services import ACTOR, FORM, SERVICES, SESSION, STANDING

LADDER = (Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN)
"""Each may do what those before it may. `inventory` stands alone: it may do nothing but push the inventory."""
SIGN_IN = "/desk/sign-in"
ENROL = "/desk/account/second-factor"


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
    """The desk: somebody signed in whose role is among these; forms carry the session's token.

    `framed`: it answers with a page, which says what stands over all of them (desk/frame.html).
    `upload`: the handler reads the form itself, files and all, and checks its token before the first of them
    (desk/importing.py).
    `while_enrolling`: open to those too of whom the settings ask a second factor that is not set up yet.
    """

    roles: frozenset[Role]
    framed: bool = True
    while_enrolling: bool = False
    upload: bool = False


Access = Open | ByToken | BySession


def api(role: Role) -> ByToken:
    """Programs with this role or a higher one."""
    return ByToken(_from(role))


def inventory(*, reads: bool = False) -> ByToken:
    """The inventory: its own role and admins; whoever may declare may read it."""
    return ByToken((_from(Role.OPERATOR) if reads else frozenset({Role.ADMIN})) | {Role.INVENTORY})


def desk(role: Role, *, framed: bool = True) -> BySession:
    """Staff with this role or a higher one."""
    return BySession(_from(role), framed)


def desk_upload(role: Role) -> BySession:
    """A form with files."""
    return BySession(_from(role), upload=True)


def own() -> BySession:
    """What everybody has for himself: his password, his second factor, his sessions."""
    return BySession(_from(Role.VIEWER), while_enrolling=True)


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
                actor = replace(await _token_actor(request), source=client_address(request))
                _check_role(actor, roles)
                request[ACTOR] = actor
            case BySession(roles=roles, framed=framed, while_enrolling=while_enrolling, upload=upload):
                session = await current_session(request)
                if session is None:
                    return _to_sign_in(request)
                if session.must_enrol and not while_enrolling:
                    return _to_enrolment(request)
                _check_role(session.actor, roles)
                request[SESSION] = session
                request[ACTOR] = replace(session.actor, source=client_address(request))
                if request.method == "POST":
                    check_same_origin(request)
                    if not upload:
                        request[FORM] = await read_form(request)
                        check_csrf(request, session)
                if framed:
                    request[STANDING] = await _standing(request)
        return await handler(request)

    return behind


async def current_session(request: web.Request) -> Session | None:
    secret = cookies.read(request, cookies.SESSION)
    return await request.app[SERVICES].people.session(secret) if secret else None


async def _standing(request: web.Request) -> Standing:
    services = request.app[SERVICES]
    async with services.database.read() as conn:
        return await standing(conn, services.clock())


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


def _to_enrolment(request: web.Request) -> web.Response:
    if request.method not in ("GET", "HEAD"):
        raise Forbidden("set up your authenticator app first: your role needs it; nothing was changed")
    return web.Response(status=303, headers={"Location": ENROL})


def _from(role: Role) -> frozenset[Role]:
    return frozenset(LADDER[LADDER.index(role) :])
