"""Admins: who belongs to the staff, as what; and what happened about them last."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from outagecast.domain.errors import Conflict, FieldError, Invalid, NotFound
from outagecast.domain.outage import Role
from outagecast.engine.roster import Member, Standing
from outagecast.web.desk.agents import browser_name
from outagecast.web.desk.frame import back_to, render
from outagecast.web.desk.setup import by_field, length
from outagecast.web.security import client_address
from outagecast.web.services import FORM, SERVICES, SESSION

STAFF = "/desk/staff"
ROLES: Mapping[str, str] = {
    "viewer": "viewer: sees everything, changes nothing",
    "operator": "operator: declares and updates outages",
    "approver": "approver: also releases what a brake held",
    "admin": "admin: also changes staff and tokens",
}
_SHOWN = 50


async def page(request: web.Request) -> web.Response:
    return await _page(request)


async def invite(request: web.Request) -> web.Response:
    posted = request[FORM]
    given = {name: posted.get(name, "").strip() for name in ("name", "email", "role")}
    try:
        key = await request.app[SERVICES].people.roster.invite(
            given["name"],
            role_of(given["role"]),
            email=given["email"],
            actor=request[SESSION].actor,
            source=client_address(request),
        )
    except Invalid as error:
        return await _page(request, given=given, errors=error.errors, status=422)
    except Conflict as error:
        return await _page(request, given=given, errors=[FieldError(field="name", message=str(error))], status=409)
    return _link_page(request, given["name"], key)


async def one(request: web.Request) -> web.Response:
    return await _one_page(request, await _member(request))


async def new_link(request: web.Request) -> web.Response:
    member = await _member(request)
    key = await request.app[SERVICES].people.roster.new_link(member.id, **_who(request))
    return _link_page(request, member.name, key)


async def change_role(request: web.Request) -> web.Response:
    member = await _member(request)
    try:
        role = role_of(request[FORM].get("role", ""))
        await request.app[SERVICES].people.roster.change_role(member.id, role, **_who(request))
    except Invalid as error:
        return await _one_page(request, member, errors=error.errors, status=422)
    except Conflict as error:
        return await _one_page(request, member, errors=[FieldError(field="role", message=str(error))], status=409)
    return back_to(f"{STAFF}/{member.id}")


async def disable(request: web.Request) -> web.Response:
    member = await _member(request)
    try:
        await request.app[SERVICES].people.roster.disable(member.id, **_who(request))
    except Conflict as error:
        return await _one_page(request, member, errors=[FieldError(field="", message=str(error))], status=409)
    return back_to(f"{STAFF}/{member.id}")


async def enable(request: web.Request) -> web.Response:
    member = await _member(request)
    await request.app[SERVICES].people.roster.enable(member.id, **_who(request))
    return back_to(f"{STAFF}/{member.id}")


async def reset_second_factor(request: web.Request) -> web.Response:
    member = await _member(request)
    await request.app[SERVICES].people.roster.reset_second_factor(member.id, **_who(request))
    return back_to(f"{STAFF}/{member.id}")


async def end_session(request: web.Request) -> web.Response:
    member = await _member(request)
    await request.app[SERVICES].people.sessions.end(member.id, request[FORM].get("id", ""), **_who(request))
    return back_to(f"{STAFF}/{member.id}")


def role_of(text: str) -> Role:
    """Invalid for none, and for the role of programs."""
    if text not in ROLES:
        raise Invalid.one("role", f"is not a role (choose {', '.join(ROLES)})")
    return Role(text)


async def _member(request: web.Request) -> Member:
    given = request.match_info["id"]
    for member in await request.app[SERVICES].people.roster.members():
        if str(member.id) == given:
            return member
    raise NotFound("there is nobody with this number")


def _who(request: web.Request) -> dict[str, Any]:
    return {"actor": request[SESSION].actor, "source": client_address(request)}


async def _page(
    request: web.Request,
    *,
    given: Mapping[str, str] | None = None,
    errors: Sequence[FieldError] = (),
    status: int = 200,
) -> web.Response:
    people = request.app[SERVICES].people
    members = await people.roster.members()
    here = [member for member in members if member.standing is not Standing.DISABLED]
    return render(
        request,
        "desk/staff.html",
        status=status,
        members=[*here, *(member for member in members if member.standing is Standing.DISABLED)],
        active=[member for member in here if member.standing is Standing.ACTIVE],
        happened=await people.happened(_SHOWN),
        roles=ROLES,
        given=given or {"name": "", "email": "", "role": "operator"},
        holds=length(people.rules.invitation),
        errors=errors,
        wrong=by_field(errors),
    )


async def _one_page(
    request: web.Request, member: Member, *, errors: Sequence[FieldError] = (), status: int = 200
) -> web.Response:
    people = request.app[SERVICES].people
    return render(
        request,
        "desk/staff-member.html",
        status=status,
        member=member,
        sessions=await people.sessions.of(member.id),
        browser=browser_name,
        roles=ROLES,
        errors=errors,
        wrong=by_field(errors),
    )


def _link_page(request: web.Request, name: str, key: str) -> web.Response:
    services = request.app[SERVICES]
    link = f"{services.provider.public_url}/desk/join/{key}"
    return render(
        request, "desk/staff-link.html", whose=name, link=link, holds=length(services.people.rules.invitation)
    )
