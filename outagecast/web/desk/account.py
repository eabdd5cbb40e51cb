"""Everybody's own: password, authenticator app, recovery codes, sessions."""

from collections.abc import Sequence

from aiohttp import web

from outagecast.domain.errors import FieldError, Forbidden, Invalid
from outagecast.domain.totp import enrolment_uri, in_groups
from outagecast.engine.people import SignInRefused
from outagecast.web import cookies
from outagecast.web.desk.agents import browser_name
from outagecast.web.desk.frame import back_to, render
from outagecast.web.desk.setup import by_field, length
from outagecast.web.desk.sign_in import agent_of, with_session
from outagecast.web.qr import qr_code
from outagecast.web.security import client_address
from outagecast.web.services import FORM, SERVICES, SESSION

ACCOUNT = "/desk/account"


async def page(request: web.Request) -> web.Response:
    return await _page(request)


async def change_password(request: web.Request) -> web.Response:
    posted, session = request[FORM], request[SESSION]
    if not session.has_password:
        raise Forbidden("you have no password here: you come in by the OpenID provider")
    try:
        if posted.get("password", "") != posted.get("again", ""):
            raise Invalid.one("again", "is not the same as the new password above")
        secret = await request.app[SERVICES].people.change_password(
            session,
            posted.get("current", ""),
            posted.get("password", ""),
            secret=cookies.read(request, cookies.SESSION),
            source=client_address(request),
            agent=agent_of(request),
        )
    except Invalid as error:
        return await _page(request, errors=error.errors, status=422)
    except SignInRefused as error:
        slow = FieldError(field="current", message=f"{error}")
        return await _page(request, errors=[slow], status=429)
    return with_session(request, secret, ACCOUNT)


async def enrolment(request: web.Request) -> web.Response:
    return await _enrolment_page(request)


async def enrol(request: web.Request) -> web.Response:
    session = request[SESSION]
    try:
        codes = await request.app[SERVICES].people.factors.confirm(
            session.staff_id, request[FORM].get("code", ""), actor=session.actor, source=client_address(request)
        )
    except Invalid as error:
        return await _enrolment_page(request, errors=error.errors, status=422)
    return _codes_page(request, codes, first=True)


async def new_codes(request: web.Request) -> web.Response:
    session = request[SESSION]
    if (refused := await _unproven(request)) is not None:
        return refused
    codes = await request.app[SERVICES].people.factors.new_codes(
        session.staff_id, actor=session.actor, source=client_address(request)
    )
    return _codes_page(request, codes, first=False)


async def take_away(request: web.Request) -> web.Response:
    """The app is no longer asked for. A role that needs one sets up the next one at once."""
    session = request[SESSION]
    if (refused := await _unproven(request)) is not None:
        return refused
    await request.app[SERVICES].people.factors.drop(
        session.staff_id, actor=session.actor, source=client_address(request)
    )
    return back_to(ACCOUNT)


async def end_session(request: web.Request) -> web.Response:
    session = request[SESSION]
    await request.app[SERVICES].people.sessions.end(
        session.staff_id, request[FORM].get("id", ""), actor=session.actor, source=client_address(request)
    )
    return back_to(ACCOUNT)


async def end_others(request: web.Request) -> web.Response:
    session = request[SESSION]
    await request.app[SERVICES].people.sessions.end_others(
        session.staff_id,
        cookies.read(request, cookies.SESSION),
        actor=session.actor,
        source=client_address(request),
    )
    return back_to(ACCOUNT)


async def _unproven(request: web.Request) -> web.Response | None:
    """The page with what is wrong, None where the password is right: a desk left open must not give the phone away."""
    given = request[FORM].get("proof", "")
    try:
        right = await request.app[SERVICES].people.is_password(request[SESSION], given, source=client_address(request))
    except SignInRefused as error:
        return await _page(request, errors=[FieldError(field="proof", message=str(error))], status=429)
    if right:
        return None
    return await _page(request, errors=[FieldError(field="proof", message="is not your password")], status=422)


async def _page(request: web.Request, *, errors: Sequence[FieldError] = (), status: int = 200) -> web.Response:
    people, session = request.app[SERVICES].people, request[SESSION]
    return render(
        request,
        "desk/account.html",
        status=status,
        factors=await people.factors.of(session.staff_id),
        sessions=await people.sessions.of(session.staff_id),
        required=session.role.value in people.rules.require_totp,
        browser=browser_name,
        idle=length(people.rules.idle),
        longest=length(people.rules.longest),
        errors=errors,
        wrong=by_field(errors),
    )


async def _enrolment_page(
    request: web.Request, *, errors: Sequence[FieldError] = (), status: int = 200
) -> web.Response:
    services, session = request.app[SERVICES], request[SESSION]
    if not session.has_password:
        raise Forbidden("you come in by the OpenID provider: it asks for your second factor")
    if (await services.people.factors.of(session.staff_id)).confirmed_at is not None:
        return back_to(ACCOUNT)
    secret = await services.people.factors.begin(session.staff_id)
    uri = enrolment_uri(secret, issuer=services.provider.name, account=session.name)
    return render(
        request,
        "desk/second-factor.html",
        status=status,
        code=qr_code(uri),
        key=in_groups(secret),
        must=session.must_enrol,
        errors=errors,
        wrong=by_field(errors),
    )


def _codes_page(request: web.Request, codes: Sequence[str], *, first: bool) -> web.Response:
    return render(request, "desk/recovery-codes.html", codes=codes, first=first)
