"""Every route is enumerated: nobody passes a door without the role it declares."""

import pytest

from outagecast.domain.outage import Role
from outagecast.web.access import LADDER, BySession, ByToken, Open
from outagecast.web.routes import ROUTES, Route
from tests.support.web_house import PASSWORD, SETUP, WebHouse

TOKEN_ROUTES = [route for route in ROUTES if isinstance(route.access, ByToken)]
DESK_ROUTES = [route for route in ROUTES if isinstance(route.access, BySession)]


def path_of(route: Route) -> str:
    return route.path.replace("{id}", "OUT-2026-0001").replace("{name}", "generic").partition("{kind")[0] + (
        "customers/K-1" if "{kind" in route.path else ""
    )


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


def test_only_the_doors_that_must_be_are_open() -> None:
    """A new open door is written down here by hand, or this fails."""
    assert {name_of(route) for route in ROUTES if route.access is Open.EVERYONE} == {
        "GET /",
        "GET /outages/{id}",
        "GET /history",
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
        "GET /api/v1/openapi.json",
        "GET /api/docs",
    }
    assert {name_of(route) for route in ROUTES if route.access is Open.OWN_PROOF} == {
        "POST /hooks/{name}",
        "POST /v2/enqueue",
        "POST /callbacks/twilio/status",
        "POST /callbacks/twilio/inbound",
        "GET /unsubscribe/{token}",
        "POST /unsubscribe/{token}",
        "GET /my/{token}",
        "POST /my/{token}",
    }
    assert {route.path for route in ROUTES if route.access is Open.SIGN_IN} == {"/desk/sign-in"}


def test_what_changes_something_needs_more_than_a_look() -> None:
    for route in TOKEN_ROUTES + DESK_ROUTES:
        assert isinstance(route.access, ByToken | BySession)
        if route.method != "GET" and route.path != "/desk/sign-out":
            assert Role.VIEWER not in route.access.roles, name_of(route)
        if "{kind" not in route.path:
            assert Role.INVENTORY not in route.access.roles, name_of(route)


async def test_the_application_answers_exactly_the_table(house: WebHouse) -> None:
    app = house.client.server.app  # type: ignore[attr-defined]
    served = {(route.method, route.resource.canonical) for route in app.router.routes() if route.method != "HEAD"}
    static = {("GET", "/static")}
    assert len(served - static) == len(ROUTES)


@pytest.mark.parametrize("route", TOKEN_ROUTES, ids=name_of)
async def test_programs_need_a_token_with_the_role(house: WebHouse, route: Route) -> None:
    assert isinstance(route.access, ByToken)
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic YTpi"}):
        answer = await house.client.request(route.method, path_of(route), headers=headers)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.content_type == "application/problem+json"
    for role in Role:
        answer = await house.client.request(
            route.method, path_of(route), headers=await house.bearer(role), json={} if route.method != "GET" else None
        )
        assert (answer.status == 403) == (role not in route.access.roles), (role, answer.status)
        assert answer.status not in (401, 500)
    assert house.verbs.done == [] or route.path.endswith(("pause", "resume"))


@pytest.mark.parametrize("route", DESK_ROUTES, ids=name_of)
async def test_the_desk_needs_somebody_signed_in(house: WebHouse, route: Route) -> None:
    answer = await house.client.request(route.method, path_of(route), allow_redirects=False)
    if route.method == "GET":
        assert answer.status == 303
        assert answer.headers["Location"].startswith("/desk/sign-in?next=/desk")
    else:
        assert answer.status == 401
    events = await house.client.get("/desk/events", headers={"Accept": "text/event-stream"})
    assert events.status == 401


@pytest.mark.parametrize("route", [r for r in DESK_ROUTES if r.method == "POST"], ids=name_of)
async def test_forms_need_the_role_and_the_sessions_own_secret(house: WebHouse, route: Route) -> None:
    assert isinstance(route.access, BySession)
    await house.sign_in(LADDER[LADDER.index(Role.VIEWER)])
    csrf = await house.csrf()
    if Role.VIEWER not in route.access.roles:
        answer = await house.client.post(path_of(route), data={"csrf": csrf})
        assert answer.status == 403
    await house.sign_in(Role.ADMIN, "bob")
    for form in ({}, {"csrf": ""}, {"csrf": csrf}):
        answer = await house.client.post(path_of(route), data=form)
        assert answer.status == 403
    own = {"csrf": await house.csrf()}
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        answer = await house.client.post(path_of(route), data=own, headers=headers)
        assert answer.status == 403
    assert house.verbs.done == []


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


async def test_the_first_run_says_how_to_make_somebody(house: WebHouse) -> None:
    text = await (await house.client.get("/desk")).text()
    assert "outagecast user add" in text
    await house.people.add_staff("ann", PASSWORD, Role.OPERATOR, actor=SETUP)
    assert "outagecast user add" not in await (await house.client.get("/desk")).text()
