"""Admins: the tokens of programs. A token is shown once, when it is made; afterwards its beginning only."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from aiohttp import web

from outagecast.domain.errors import Conflict, FieldError, Invalid
from outagecast.domain.outage import Role
from outagecast.storage.people import TokenRow
from outagecast.web.desk.frame import back_to, render
from outagecast.web.desk.setup import by_field
from outagecast.web.security import client_address
from outagecast.web.services import FORM, SERVICES, SESSION

TOKENS = "/desk/tokens"
SCOPES: Mapping[str, str] = {
    "viewer": "viewer: reads outages, deliveries, timelines",
    "operator": "operator: declares and updates outages too",
    "approver": "approver: releases what a brake held, too",
    "admin": "admin: changes the inventory too",
    "inventory": "inventory: changes customers, contacts, circuits; nothing else",
}
LASTS: Mapping[str, tuple[str, timedelta | None]] = {
    "30d": ("30 days", timedelta(days=30)),
    "90d": ("90 days", timedelta(days=90)),
    "365d": ("a year", timedelta(days=365)),
    "": ("until it is revoked", None),
}


async def page(request: web.Request) -> web.Response:
    return await _page(request)


async def make(request: web.Request) -> web.Response:
    posted = request[FORM]
    given = {name: posted.get(name, "").strip() for name in ("name", "role", "lasts")}
    try:
        token = await request.app[SERVICES].people.add_token(
            given["name"],
            _scope(given["role"]),
            expires_in=_length(given["lasts"]),
            actor=request[SESSION].actor,
            source=client_address(request),
        )
    except Invalid as error:
        return await _page(request, given=given, errors=error.errors, status=422)
    except Conflict as error:
        return await _page(request, given=given, errors=[FieldError(field="name", message=str(error))], status=409)
    return render(request, "desk/token.html", whose=given["name"], token=token, scope=SCOPES[given["role"]])


async def revoke(request: web.Request) -> web.Response:
    await request.app[SERVICES].people.revoke_token(
        request[FORM].get("name", ""), actor=request[SESSION].actor, source=client_address(request)
    )
    return back_to(TOKENS)


def _scope(text: str) -> Role:
    if text not in SCOPES:
        raise Invalid.one("role", f"is not something a token may do (choose {', '.join(SCOPES)})")
    return Role(text)


def _length(text: str) -> timedelta | None:
    if text not in LASTS:
        raise Invalid.one("lasts", "is not one of the choices")
    return LASTS[text][1]


async def _page(
    request: web.Request,
    *,
    given: Mapping[str, str] | None = None,
    errors: Sequence[FieldError] = (),
    status: int = 200,
) -> web.Response:
    services = request.app[SERVICES]
    tokens, now = await services.people.tokens(), services.clock()

    def opens(token: TokenRow) -> bool:
        return token.revoked_at is None and (token.expires_at is None or token.expires_at > now)

    return render(
        request,
        "desk/tokens.html",
        status=status,
        tokens=[token for token in tokens if opens(token)],
        over=[token for token in tokens if not opens(token)],
        scopes=SCOPES,
        lasts={key: says for key, (says, _) in LASTS.items()},
        given=given or {"name": "", "role": "operator", "lasts": "90d"},
        errors=errors,
        wrong=by_field(errors),
    )
