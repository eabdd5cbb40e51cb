"""Signing in by an OpenID provider: away to it, and back."""

import logging

from aiohttp import web

from outagecast.domain.errors import NotFound
from outagecast.engine.one_time import ELSEWHERE_HOLDS
from outagecast.engine.people import same_secret
from outagecast.web import cookies
from outagecast.web.desk.sign_in import agent_of, inside, with_session
from outagecast.web.oidc import OidcClient, OidcRefused, Pending
from outagecast.web.security import client_address
from outagecast.web.services import SERVICES

log = logging.getLogger("outagecast.web.oidc")


async def start(request: web.Request) -> web.Response:
    """A link, not a form: our own policy lets no form lead elsewhere. It changes nothing but what it keeps for the
    way back.
    """
    people, oidc = request.app[SERVICES].people, _client(request)
    following = inside(request.query.get("next", ""))
    begun = await people.identities.begin(following)
    pending = Pending(state=begun.state, nonce=begun.nonce, verifier=begun.verifier)
    try:
        there = await oidc.way_there(pending)
    except OidcRefused as error:
        log.warning("sign-in by the OpenID provider cannot begin: %s", error.reason)
        raise
    response = web.Response(status=303, headers={"Location": there})
    cookies.put(request, response, cookies.ELSEWHERE, begun.state, ELSEWHERE_HOLDS)
    return response


async def come_back(request: web.Request) -> web.Response:
    people, oidc = request.app[SERVICES].people, _client(request)
    state, kept = request.query.get("state", ""), cookies.read(request, cookies.ELSEWHERE)
    try:
        if not kept or not same_secret(state, kept):
            raise OidcRefused("the answer's state is not this browser's")
        begun = await people.identities.come_back(state)
        if begun is None:
            raise OidcRefused("the answer's state is used or too old")
        pending = Pending(state=state, nonce=begun.nonce, verifier=begun.verifier)
        vouched = await oidc.vouched(pending, dict(request.query))
    except OidcRefused as error:
        log.warning("sign-in by the OpenID provider refused: %s", error.reason)
        raise
    secret = await people.identities.sign_in(
        vouched,
        source=client_address(request),
        agent=agent_of(request),
        replaces=cookies.read(request, cookies.SESSION),
    )
    response = with_session(request, secret, begun.following)
    cookies.drop(request, response, cookies.ELSEWHERE)
    return response


def _client(request: web.Request) -> OidcClient:
    oidc = request.app[SERVICES].oidc
    if oidc is None:
        raise NotFound("no OpenID provider is set up here")
    return oidc
