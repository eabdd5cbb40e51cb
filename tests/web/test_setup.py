"""The first run: no password is shipped, a link that opens once makes the first admin; then invitations."""

from html import unescape

import pytest

from outagecast.domain.outage import Role
from tests.support.web_house import PASSWORD, SETUP, WebHouse

LEAD = "The daemon printed a set-up link when it started"


async def setup_key(house: WebHouse) -> str:
    key = await house.people.roster.new_setup()
    assert key is not None
    return key


async def test_with_nobody_there_the_desk_leads_to_the_set_up(house: WebHouse) -> None:
    answer = await house.client.get("/desk")
    assert answer.url.path == "/desk/setup"
    text = await answer.text()
    assert LEAD in text
    assert "outagecast user add" in text
    await house.people.add_staff("ann", PASSWORD, Role.OPERATOR, actor=SETUP)
    assert (await house.client.get("/desk")).url.path == "/desk/sign-in"
    assert (await house.client.get("/desk/setup")).url.path == "/desk/sign-in"


@pytest.mark.parametrize("typed", [False, True], ids=["by the link", "by the key typed"])
async def test_the_link_makes_the_first_admin_and_signs_in(house: WebHouse, typed: bool) -> None:
    key = await setup_key(house)
    page = await house.client.get(f"/desk/setup/{key}")
    assert "You will be the first admin." in await page.text()
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"
    given = f"http://status.example.net/desk/setup/{key}" if typed else key
    form = {"key": given, "name": "ann", "password": PASSWORD, "again": PASSWORD}
    answer = await house.client.post("/desk/setup", data=form)
    assert answer.url.path == "/desk/account/second-factor", "the next thing worth doing"
    assert "You are ann, admin" in await (await house.client.get("/desk/account")).text()
    again = await house.client.post("/desk/setup", data={**form, "name": "eve"})
    assert again.status == 403
    assert [row.name for row in await house.people.staff()] == ["ann"]


async def test_looking_at_the_link_uses_nothing_up(house: WebHouse) -> None:
    """What scans links in mails and chats opens them before their reader does."""
    key = await setup_key(house)
    for _ in range(3):
        assert (await house.client.get(f"/desk/setup/{key}")).status == 200
    assert await house.people.roster.setup_opens(key)


async def test_a_guessed_key_opens_nothing(house: WebHouse) -> None:
    await setup_key(house)
    assert (await house.client.get("/desk/setup/guess")).status == 403
    for key in ("", "guess", "%"):
        form = {"key": key, "name": "eve", "password": PASSWORD, "again": PASSWORD}
        assert (await house.client.post("/desk/setup", data=form)).status == 403
    assert not await house.people.has_staff()


@pytest.mark.parametrize(
    ("password", "again", "says"),
    [
        ("short", "short", "is too short"),
        ("password12345", "password12345", "common password"),
        (PASSWORD, PASSWORD + "x", "is not the same"),
    ],
)
async def test_mistakes_are_said_and_the_key_stays(house: WebHouse, password: str, again: str, says: str) -> None:
    key = await setup_key(house)
    form = {"key": key, "name": "ann", "password": password, "again": again}
    answer = await house.client.post("/desk/setup", data=form)
    text = await answer.text()
    assert answer.status == 422
    assert says in text
    assert 'value="ann"' in text and f'value="{password}"' not in text
    assert await house.people.roster.setup_opens(key)
    assert not await house.people.has_staff()


async def test_another_sites_form_makes_nobody_admin(house: WebHouse) -> None:
    form = {"key": await setup_key(house), "name": "eve", "password": PASSWORD, "again": PASSWORD}
    answer = await house.client.post("/desk/setup", data=form, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 403
    assert not await house.people.has_staff()


# --- invitations ---


async def invite(house: WebHouse, name: str = "bob", role: str = "operator") -> str:
    """The path of the link that an admin is shown."""
    form = {"csrf": await house.csrf(), "name": name, "email": "", "role": role}
    answer = await house.client.post("/desk/staff", data=form)
    text = await answer.text()
    assert answer.status == 200, text
    link = unescape(text.partition('id="link"')[2].partition(">")[2].partition("<")[0])
    assert link.startswith("http://status.example.net/desk/join/")
    return link.removeprefix("http://status.example.net")


async def test_an_invited_person_chooses_the_password(house: WebHouse) -> None:
    await house.sign_in(Role.ADMIN)
    path = await invite(house)
    assert path not in await (await house.client.get("/desk/staff")).text(), "shown once"
    house.client.session.cookie_jar.clear()
    page = await house.client.get(path)
    assert "bob, choose your password." in await page.text()
    assert page.headers["Referrer-Policy"] == "no-referrer"
    weak = await house.client.post(path, data={"password": "bob", "again": "bob"})
    assert weak.status == 422
    answer = await house.client.post(path, data={"password": PASSWORD, "again": PASSWORD})
    assert answer.url.path == "/desk"
    assert "bob, operator" in await answer.text()
    for method in ("GET", "POST"):
        over = await house.client.request(method, path, data={"password": PASSWORD, "again": PASSWORD})
        assert over.status == 403
        assert "does not open anything" in await over.text()


async def test_an_unknown_a_used_and_a_lapsed_link_look_alike(house: WebHouse) -> None:
    await house.sign_in(Role.ADMIN)
    lapsed = await invite(house, "cid")
    house.clock.now += house.people.rules.invitation
    said = set()
    for path in (lapsed, "/desk/join/guess"):
        answer = await house.client.get(path)
        said.add((answer.status, await answer.text()))
    assert len(said) == 1


async def test_staff_are_changed_by_admins(house: WebHouse) -> None:
    await house.sign_in(Role.ADMIN)
    path = await invite(house)
    csrf = {"csrf": await house.csrf()}
    bob = next(one.id for one in await house.people.roster.members() if one.name == "bob")
    here = f"/desk/staff/{bob}"
    assert "invited and not come yet" in await (await house.client.get(here)).text()
    changed = await house.client.post(f"{here}/role", data={**csrf, "role": "approver"})
    assert "bob is an approver" in await changed.text()
    for role in ("inventory", "", "root"):
        assert (await house.client.post(f"{here}/role", data={**csrf, "role": role})).status == 422
    renewed = await (await house.client.post(f"{here}/link", data=csrf)).text()
    assert "Hand this link to bob" in renewed
    assert (await house.client.get(path)).status == 403, "the link before it is void"
    assert "disabled" in await (await house.client.post(f"{here}/disable", data=csrf)).text()
    link = renewed.partition("/desk/join/")[2].partition("<")[0]
    assert (await house.client.get(f"/desk/join/{link}")).status == 403
    assert "Disable bob" in await (await house.client.post(f"{here}/enable", data=csrf)).text()
    taken = await house.client.post("/desk/staff", data={**csrf, "name": "bob", "email": "", "role": "viewer"})
    assert taken.status == 409
    assert "there is somebody called bob already" in await taken.text()
    assert (await house.client.get("/desk/staff/999")).status == 404


async def test_the_last_admin_stays_one(house: WebHouse) -> None:
    await house.sign_in(Role.ADMIN)
    await invite(house, "bob", "admin")
    csrf = {"csrf": await house.csrf()}
    ann = next(one.id for one in await house.people.roster.members() if one.name == "ann")
    for verb, form in (("disable", csrf), ("role", {**csrf, "role": "viewer"})):
        answer = await house.client.post(f"/desk/staff/{ann}/{verb}", data=form)
        assert answer.status == 409
        assert "ann is the last admin" in await answer.text()
    assert (await house.client.get("/desk/staff", allow_redirects=False)).status == 200


async def test_what_happened_says_who_what_and_from_where(house: WebHouse) -> None:
    await house.sign_in(Role.ADMIN)
    csrf = await house.csrf()
    form = {"csrf": csrf, "name": "bob", "email": "", "role": "viewer"}
    await house.client.post("/desk/staff", data=form, headers={"X-Forwarded-For": "203.0.113.9"})
    text = await (await house.client.get("/desk/staff")).text()
    line = text.partition("bob added as viewer")
    assert line[1] and "203.0.113.9" in line[2].partition("</tr>")[0]
