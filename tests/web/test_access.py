"""Every route is enumerated: nobody passes a door without the role it declares.

`DOORS` says in words who may pass each one. A new route is written down here by hand, or this fails.
"""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData, web
from aiohttp.test_utils import TestClient, TestServer

from outagecast.domain.outage import Role
from outagecast.domain.totp import code_at, step_of
from outagecast.engine.staff_settings import StaffSettings
from outagecast.web.access import LADDER, BySession, ByToken, Open, guarded
from outagecast.web.problems import tell_problems
from outagecast.web.routes import ROUTES, Route
from outagecast.web.security import SECRET_FORMS
from outagecast.web.services import PAGES, SERVICES
from tests.support.web_house import PASSWORD, SETUP, WebHouse, web_house

DOORS = {
    "everyone": r"""
        GET /api/v1/openapi.json
        GET /api/docs
        GET /
        GET /outages/{id}
        GET /history
        GET /healthz
        GET /readyz
        GET /metrics
    """,
    "own proof": r"""
        POST /hooks/{name}
        POST /v2/enqueue
        POST /callbacks/twilio/status
        POST /callbacks/twilio/inbound
        GET /unsubscribe/{token}
        POST /unsubscribe/{token}
        GET /my/{token}
        POST /my/{token}
    """,
    "sign-in": r"""
        GET /desk/sign-in
        POST /desk/sign-in
        GET /desk/sign-in/code
        POST /desk/sign-in/code
        GET /desk/oidc/start
        GET /desk/oidc/callback
        GET /desk/setup
        GET /desk/setup/{key}
        POST /desk/setup
        GET /desk/join/{key}
        POST /desk/join/{key}
    """,
    "own": r"""
        POST /desk/sign-out
        GET /desk/account
        POST /desk/account/password
        GET /desk/account/second-factor
        POST /desk/account/second-factor
        POST /desk/account/second-factor/take-away
        POST /desk/account/recovery-codes
        POST /desk/account/sessions/end
        POST /desk/account/sessions/end-others
    """,
    "viewer": r"""
        GET /desk/restored
        GET /desk/reports
        GET /desk/reports/{month:\d{4}-\d{2}}
        GET /desk/reports/{month:\d{4}-\d{2}}.csv
        GET /desk/reports/{month:\d{4}-\d{2}}/unreached.csv
        GET /desk/outages/{id}/report
        GET /desk/outages/{id}/report.csv
        GET /desk/outages/{id}/words.csv
        GET /desk/outages/{id}/unreached.csv
        GET /desk/phrases
        GET /desk
        GET /desk/events
        GET /desk/outages/{id}
        GET /desk/outages/{id}/release
        GET /desk/outages/{id}/undo
        GET /desk/outages/{id}/hold
        GET /desk/outages/{id}/unhold
        GET /desk/outages/{id}/note
        GET /desk/outages/{id}/owner
        GET /desk/outages/{id}/retry
        GET /desk/outages/{id}/update
        GET /desk/outages/{id}/restore
        GET /desk/outages/{id}/resolve
        GET /desk/outages/{id}/retract
        GET /desk/outages/{id}/reopen
        GET /desk/outages/{id}/remap
        GET /desk/outages/{id}/merge
        GET /desk/outages/{id}/deliveries
        POST /desk/outages/{id}/deliveries
        GET /desk/outages/{id}/deliveries/{delivery}
        GET /desk/outages/{id}/timeline
        GET /desk/outages/{id}/timeline.csv
        GET /desk/outages/{id}/timeline/print
        GET /desk/look
        GET /desk/routes
        GET /desk/handover
        GET /desk/keys
        POST /desk/keys
        GET /desk/zone
        POST /desk/zone
        GET /desk/customers
        POST /desk/customers
        GET /desk/customers/{id}
        GET /desk/network
        GET /desk/network/isolated
        GET /desk/network/{kind:elements|services|sites}/{id}
    """,
    "operator": r"""
        GET /desk/rehearse
        POST /desk/rehearse
        GET /desk/rehearse/{id}
        POST /desk/restored
        POST /desk/phrases
        POST /desk/phrases/{id}/remove
        GET /desk/templates/new
        GET /desk/templates/{id}
        POST /desk/templates
        POST /desk/templates/{id}/remove
        POST /desk/pause
        POST /desk/resume
        GET /desk/declare
        POST /desk/declare
        POST /desk/declare/look
        GET /desk/scope
        POST /desk/outages/{id}/release
        POST /desk/outages/{id}/undo
        POST /desk/outages/{id}/hold
        POST /desk/outages/{id}/unhold
        POST /desk/outages/{id}/note
        POST /desk/outages/{id}/owner
        POST /desk/outages/{id}/retry
        POST /desk/outages/{id}/update
        POST /desk/outages/{id}/restore
        POST /desk/outages/{id}/resolve
        POST /desk/outages/{id}/retract
        POST /desk/outages/{id}/reopen
        POST /desk/outages/{id}/remap
        POST /desk/outages/{id}/merge
        POST /desk/outages/{id}/deliveries/{delivery}/retry
        POST /desk/outages/{id}/deliveries/{delivery}/resend
        POST /desk/outages/{id}/deliveries/{delivery}/handled
        POST /desk/outages/{id}/deliveries/{delivery}/confirm
        POST /desk/customers/{id}/addresses/{address}/suppress
        POST /desk/customers/{id}/addresses/{address}/unsuppress
        POST /desk/customers/{id}/addresses/{address}/confirm
        POST /desk/customers/{id}/addresses/{address}/page
    """,
    "admin": r"""
        GET /desk/import
        POST /desk/import
        GET /desk/import/{id}
        POST /desk/import/{id}
        GET /desk/import/{id}/rejects.csv
        GET /desk/staff
        POST /desk/staff
        GET /desk/staff/{id}
        POST /desk/staff/{id}/link
        POST /desk/staff/{id}/role
        POST /desk/staff/{id}/disable
        POST /desk/staff/{id}/enable
        POST /desk/staff/{id}/second-factor
        POST /desk/staff/{id}/sessions/end
        GET /desk/tokens
        POST /desk/tokens
        POST /desk/tokens/revoke
    """,
    "viewer token": r"""
        GET /api/v1/restored
        GET /api/v1/outages/{id}/report
        GET /api/v1/reports/{month}
        GET /api/v1/phrases
        GET /api/v1/templates
        GET /api/v1/outages
        GET /api/v1/outages/{id}
        GET /api/v1/outages/{id}/impacts
        GET /api/v1/outages/{id}/deliveries
        GET /api/v1/outages/{id}/timeline
        GET /api/v1/deliveries/{id}
    """,
    "operator token": r"""
        POST /api/v1/restored/release
        POST /api/v1/rehearsals
        GET /api/v1/rehearsals/{id}
        POST /api/v1/outages
        POST /api/v1/preview
        POST /api/v1/outages/{id}/updates
        POST /api/v1/outages/{id}/restore
        POST /api/v1/outages/{id}/resolve
        POST /api/v1/outages/{id}/reopen
        POST /api/v1/outages/{id}/retract
        POST /api/v1/outages/{id}/merge
        POST /api/v1/outages/{id}/release
        POST /api/v1/outages/{id}/undo
        POST /api/v1/outages/{id}/hold
        POST /api/v1/outages/{id}/unhold
        POST /api/v1/pause
        POST /api/v1/resume
        GET /api/v1/addresses/{id}
        POST /api/v1/addresses/{id}/suppress
        POST /api/v1/addresses/{id}/unsuppress
        POST /api/v1/deliveries/{id}/retry
        POST /api/v1/deliveries/{id}/resend
        POST /api/v1/deliveries/{id}/handled
        POST /api/v1/addresses/{id}/confirm
        POST /api/v1/outages/{id}/retry
        POST /api/v1/outages/{id}/notes
        POST /api/v1/outages/{id}/owner
        POST /api/v1/outages/{id}/updates/preview
        POST /api/v1/outages/{id}/restore/preview
        POST /api/v1/outages/{id}/resolve/preview
    """,
    "inventory or operator token": r"""
        GET /api/v1/{kind:customers|contacts|circuits|elements|services|sites}/{id}
    """,
    "inventory or admin token": r"""
        PUT /api/v1/{kind:customers|contacts|circuits|elements|services|sites}/{id}
        DELETE /api/v1/{kind:customers|contacts|circuits|elements|services|sites}/{id}
    """,
}
"""`own`: everybody signed in, also before a second factor that the settings ask for is set up."""

TOKEN_ROUTES = [route for route in ROUTES if isinstance(route.access, ByToken)]
DESK_ROUTES = [route for route in ROUTES if isinstance(route.access, BySession)]
LOOKERS = {
    "POST /desk/customers",
    "POST /desk/outages/{id}/deliveries",
    "POST /desk/keys",
    "POST /desk/zone",
}
"""Searches whose words are nobody's business (they would stand in an address), and one's own choices of the view."""
EXAMPLES = {"name": "generic", "token": "x" * 22, "key": "x" * 43, "month": "2026-03", "kind": "customers"}
PASSED = 299


def path_of(route: Route) -> str:
    """The route's path with something in each place: the first choice where its pattern names some."""

    def example(found: re.Match[str]) -> str:
        name, pattern = found[1], found[2] or ""
        return pattern.partition("|")[0] if "|" in pattern else EXAMPLES.get(name, "7")

    return re.sub(r"\{(\w+)(?::((?:[^{}]|\{\d\})*))?\}", example, route.path)


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


def doors() -> dict[str, str]:
    return {line.strip(): who for who, listed in DOORS.items() for line in listed.strip().splitlines()}


def rungs(who: str) -> set[str]:
    """Those of the ladder who pass a door for `who`."""
    ladder = [role.value for role in LADDER]
    return set(ladder[ladder.index(who.removesuffix(" token")) :])


def passes(who: str, caller: str) -> bool:
    """Whether the table lets this caller in."""
    match who:
        case "everyone" | "own proof" | "sign-in":
            return True
        case "own":
            return caller in {"viewer", "operator", "approver", "admin", "not enrolled"}
        case "inventory or operator token":
            return caller in {f"{role} token" for role in ("inventory", "operator", "approver", "admin")}
        case "inventory or admin token":
            return caller in {"inventory token", "admin token"}
        case _ if who.endswith(" token"):
            return caller in {f"{role} token" for role in rungs(who)}
        case _:
            return caller in rungs(who)


def test_every_route_is_written_down() -> None:
    assert doors().keys() == {name_of(route) for route in ROUTES}


def test_the_open_doors_are_those_that_must_be() -> None:
    for route in ROUTES:
        who = doors()[name_of(route)]
        assert (route.access in set(Open)) == (who in set(Open)), name_of(route)
        if isinstance(route.access, Open):
            assert route.access == who, name_of(route)


async def test_the_application_answers_exactly_the_table(house: WebHouse) -> None:
    app = house.client.server.app  # type: ignore[attr-defined]
    served = {(route.method, route.resource.canonical) for route in app.router.routes() if route.method != "HEAD"}
    static = {("GET", "/static")}
    assert len(served - static) == len(ROUTES)


# --- the whole matrix: every door, everybody ---


class Callers:
    """Everybody who may stand before a door: what he sends, and the forms' secret of his session."""

    def __init__(self, house: WebHouse) -> None:
        self.house = house
        self.headers: dict[str, dict[str, str]] = {"nobody": {}}
        self.csrf: dict[str, str] = {}

    async def gather(self) -> None:
        house, people = self.house, self.house.people
        for role in LADDER:
            await self.come_in(role.value, role)
        await self.come_in("not enrolled", Role.APPROVER, enrolled=False)
        await self.come_in("disabled", Role.ADMIN)
        await self.come_in("revoked", Role.ADMIN)
        await self.come_in("idle", Role.ADMIN)
        members = {member.name: member.id for member in await people.roster.members()}
        await people.roster.disable(members["disabled"], actor=SETUP, source="")
        for one in await people.sessions.of(members["revoked"]):
            await people.sessions.end(members["revoked"], one.id, actor=SETUP, source="")
        house.clock.now += people.rules.idle / 2
        for caller in self.csrf.keys() - {"idle"}:
            await people.session(self.headers[caller]["Cookie"].partition("=")[2])
        house.clock.now += people.rules.idle / 2 + people.rules.idle / 100
        for role in Role:
            self.bearer(f"{role} token", await people.add_token(f"{role}", role, actor=SETUP))
        soon = await people.add_token("soon over", Role.ADMIN, expires_in=people.rules.idle / 100, actor=SETUP)
        house.clock.now += people.rules.idle / 100
        self.bearer("expired token", soon)
        self.bearer("revoked token", await people.add_token("gone", Role.ADMIN, actor=SETUP))
        await people.revoke_token("gone", actor=SETUP)
        self.bearer("invented token", "oc_" + "x" * 43)
        self.headers["basic"] = {"Authorization": "Basic YW5uOmFubg=="}
        self.headers["invented session"] = {"Cookie": "outagecast=" + "x" * 43}

    async def come_in(self, name: str, role: Role, *, enrolled: bool = True) -> None:
        people = self.house.people
        await people.add_staff(name, PASSWORD, role, actor=SETUP)
        signed = await people.sign_in(name, PASSWORD, source="192.0.2.1")
        session = await people.session(signed.secret)
        assert session is not None
        if session.must_enrol and enrolled:
            key = await people.factors.begin(session.staff_id)
            code = code_at(key, step_of(self.house.clock.now))
            await people.factors.confirm(session.staff_id, code, actor=session.actor, source="")
        self.headers[name] = {"Cookie": f"outagecast={signed.secret}"}
        self.csrf[name] = session.csrf

    def bearer(self, name: str, token: str) -> None:
        self.headers[name] = {"Authorization": f"Bearer {token}"}


@pytest.fixture
async def callers(tmp_path: Path) -> AsyncIterator[Callers]:
    async with web_house(tmp_path, rules=StaffSettings(require_totp=frozenset({"approver"}))) as house:
        found = Callers(house)
        await found.gather()
        yield found


@pytest.fixture
async def doors_only(callers: Callers) -> "AsyncIterator[TestClient[Any, Any]]":
    """The real doors before rooms that do nothing: whoever passes one gets PASSED."""

    async def room(request: web.Request) -> web.Response:
        return web.Response(status=PASSED)

    app = web.Application(middlewares=[tell_problems])
    real = callers.house.client.server.app  # type: ignore[attr-defined]
    app[SERVICES], app[PAGES] = real[SERVICES], real[PAGES]
    for route in ROUTES:
        app.router.add_route(route.method, route.path, guarded(route.access, room))
    async with TestClient(TestServer(app)) as client:
        client.session.cookie_jar.update_cookies({})
        yield client


async def ask(client: "TestClient[Any, Any]", route: Route, headers: dict[str, str], form: dict[str, str]) -> int:
    posted = form if route.method == "POST" and not isinstance(route.access, ByToken) else None
    answer = await client.request(route.method, path_of(route), headers=headers, data=posted, allow_redirects=False)
    return answer.status


async def test_the_whole_matrix_who_passes_which_door(callers: Callers, doors_only: "TestClient[Any, Any]") -> None:
    table, wrong = doors(), []
    for route in ROUTES:
        who = table[name_of(route)]
        for caller, headers in callers.headers.items():
            status = await ask(doors_only, route, headers, {"csrf": callers.csrf.get(caller, "")})
            known = caller in callers.csrf and caller not in ("disabled", "revoked", "idle")
            if passes(who, caller):
                expected = {PASSED}
            elif who.endswith("token"):
                valid = caller.removesuffix(" token") in set(Role) and caller.endswith(" token")
                expected = {403} if valid else {401}
            elif not known:
                expected = {303} if route.method == "GET" else {401}
            elif caller == "not enrolled":
                expected = {303} if route.method == "GET" else {403}
            else:
                expected = {403}
            if status not in expected:
                wrong.append(f"{name_of(route)} ({who}): {caller} got {status}, not {expected}")
    assert wrong == []


async def test_the_whole_matrix_of_forms_and_whence_they_come(
    callers: Callers, doors_only: "TestClient[Any, Any]"
) -> None:
    """Without the session's own secret, or from another site, no form passes, whoever sends it."""
    forged: dict[str, tuple[dict[str, str], dict[str, str]]] = {
        "no secret": ({}, {}),
        "an empty one": ({}, {"csrf": ""}),
        "somebody else's": ({}, {"csrf": callers.csrf["viewer"]}),
        "another site's": ({"Sec-Fetch-Site": "cross-site"}, {"csrf": callers.csrf["admin"]}),
        "a sister site's": ({"Sec-Fetch-Site": "same-site"}, {"csrf": callers.csrf["admin"]}),
        "another origin's": ({"Origin": "https://evil.example"}, {"csrf": callers.csrf["admin"]}),
        "nobody's origin": ({"Origin": "null"}, {"csrf": callers.csrf["admin"]}),
    }
    wrong = []
    for route in ROUTES:
        if route.method == "GET" or isinstance(route.access, ByToken) or route.access is Open.OWN_PROOF:
            continue
        for what, (headers, form) in forged.items():
            if isinstance(route.access, Open) and not headers:
                continue  # nobody is signed in there yet: where the form comes from is what counts
            if isinstance(route.access, BySession) and route.access.upload and not headers:
                continue  # the room itself reads the form: below
            if what == "nobody's origin" and route.path.startswith(SECRET_FORMS):
                continue  # their own pages send this; the secret in the form is what counts
            status = await ask(doors_only, route, {**callers.headers["admin"], **headers}, form)
            if status != 403:
                wrong.append(f"{name_of(route)}: {what} got {status}")
    assert wrong == []


async def test_what_changes_something_is_no_get_and_needs_more_than_a_look(house: WebHouse) -> None:
    for route in TOKEN_ROUTES + DESK_ROUTES:
        assert isinstance(route.access, ByToken | BySession)
        if route.method != "GET" and name_of(route) not in LOOKERS and doors()[name_of(route)] != "own":
            assert Role.VIEWER not in route.access.roles, name_of(route)
        if "{kind:customers" not in route.path:
            assert Role.INVENTORY not in route.access.roles, name_of(route)


# --- the real rooms behind the doors ---


async def test_programs_need_a_token_with_the_role(house: WebHouse) -> None:
    bearers = {role: await house.bearer(role) for role in Role}
    for route in TOKEN_ROUTES:
        assert isinstance(route.access, ByToken)
        for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic YTpi"}):
            answer = await house.client.request(route.method, path_of(route), headers=headers)
            assert answer.status == 401, name_of(route)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert answer.content_type == "application/problem+json"
        for role, headers in bearers.items():
            body: dict[str, str] | None = {} if route.method != "GET" else None
            answer = await house.client.request(route.method, path_of(route), headers=headers, json=body)
            assert (answer.status == 403) == (role not in route.access.roles), (name_of(route), role, answer.status)
            assert answer.status not in (401, 500), (name_of(route), role)
    assert {how["actor"].role for _, _, how in house.verbs.done} <= {Role.OPERATOR, Role.APPROVER, Role.ADMIN}


async def test_the_desk_needs_somebody_signed_in(house: WebHouse) -> None:
    for route in DESK_ROUTES:
        answer = await house.client.request(route.method, path_of(route), allow_redirects=False)
        if route.method == "GET":
            assert answer.status == 303, name_of(route)
            assert answer.headers["Location"].startswith("/desk/sign-in?next=/desk")
        else:
            assert answer.status == 401, name_of(route)
    events = await house.client.get("/desk/events", headers={"Accept": "text/event-stream"})
    assert events.status == 401


async def test_forms_without_the_role_or_the_secret_change_nothing(house: WebHouse) -> None:
    """In the real rooms: those that read their form themselves, files and all, look at the secret too."""
    await house.sign_in(Role.VIEWER)
    csrf = await house.csrf()
    posts = [route for route in DESK_ROUTES if route.method == "POST"]
    for route in posts:
        assert isinstance(route.access, BySession)
        if Role.VIEWER not in route.access.roles:
            assert (await house.client.post(path_of(route), data={"csrf": csrf})).status == 403, name_of(route)
    await house.sign_in(Role.ADMIN, "bob")
    for route in posts:
        assert isinstance(route.access, BySession)
        answer = await house.client.post(path_of(route), data=form_of(route.access, csrf))
        assert answer.status == 403, name_of(route)
    assert house.verbs.done == []


def form_of(access: BySession, csrf: str) -> dict[str, str] | FormData:
    if not access.upload:
        return {"csrf": csrf}
    form = FormData()
    form.add_field("csrf", csrf)
    form.add_field("files", b"id,name\nLEX,Lexington\n", filename="sites.csv")
    return form


async def test_sign_in_sets_a_cookie_that_scripts_and_other_sites_cannot_use(house: WebHouse) -> None:
    await house.people.add_staff("ann", PASSWORD, Role.OPERATOR, actor=SETUP)
    form = {"name": "ann", "password": PASSWORD, "next": "/desk/declare"}
    answer = await house.client.post("/desk/sign-in", data=form, allow_redirects=False)
    assert answer.headers["Location"] == "/desk/declare"
    cookie = answer.headers["Set-Cookie"]
    for part in ("HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in cookie
    assert "Secure" not in cookie
    for elsewhere in ("https://evil.example", "//evil.example", "/desk\\@evil.example", "/desk/sign-out"):
        answer = await house.client.post("/desk/sign-in", data={**form, "next": elsewhere}, allow_redirects=False)
        assert answer.headers["Location"] == "/desk"
    wrong = await house.client.post("/desk/sign-in", data=form, headers={"Sec-Fetch-Site": "cross-site"})
    assert wrong.status == 403


async def test_signing_out_ends_the_session_itself(house: WebHouse) -> None:
    await house.sign_in()
    secret = house.client.session.cookie_jar.filter_cookies(house.client.make_url("/"))["outagecast"].value
    await house.client.post("/desk/sign-out", data={"csrf": await house.csrf()}, allow_redirects=False)
    answer = await house.client.get("/desk", headers={"Cookie": f"outagecast={secret}"}, allow_redirects=False)
    assert answer.status == 303


async def test_too_many_tries_are_told_to_wait(house: WebHouse) -> None:
    await house.people.add_staff("ann", PASSWORD, Role.OPERATOR, actor=SETUP)
    for _ in range(3):
        answer = await house.client.post("/desk/sign-in", data={"name": "ann", "password": "guess"})
        assert answer.status == 401
    answer = await house.client.post("/desk/sign-in", data={"name": "ann", "password": PASSWORD})
    assert answer.status == 429
    assert int(answer.headers["Retry-After"]) >= 1
