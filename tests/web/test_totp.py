"""The second factor on the pages: setting it up, signing in with it, losing the phone."""

import re
import shutil
from pathlib import Path

from aiohttp import ClientResponse

from outagecast.domain.outage import Role
from outagecast.domain.totp import code_at, step_of
from outagecast.engine.staff_settings import StaffSettings
from tests.support.web_house import PASSWORD, SETUP, WebHouse, web_house

ENROL, CODE = "/desk/account/second-factor", "/desk/sign-in/code"


def key_of(text: str) -> str:
    return text.partition('class="key">')[2].partition("<")[0].replace(" ", "")


def code_now(house: WebHouse, key: str) -> str:
    return code_at(key, step_of(house.clock.now))


async def account_csrf(house: WebHouse) -> str:
    """While a second factor is missing the board does not open."""
    text = await (await house.client.get("/desk/account")).text()
    return text.partition('name="csrf" value="')[2].partition('"')[0]


async def enrol(house: WebHouse) -> tuple[str, list[str]]:
    key = key_of(await (await house.client.get(ENROL)).text())
    form = {"csrf": await account_csrf(house), "code": code_now(house, key)}
    text = await (await house.client.post(ENROL, data=form)).text()
    house.clock.now += house.people.rules.idle / 30
    return key, re.findall(r"<code>([a-z2-7-]{19})</code>", text)


async def password(house: WebHouse, name: str = "ann", following: str = "") -> ClientResponse:
    house.client.session.cookie_jar.clear()
    form = {"name": name, "password": PASSWORD, "next": following}
    return await house.client.post("/desk/sign-in", data=form, allow_redirects=False)


async def test_the_app_is_set_up_from_a_picture_or_a_text(house: WebHouse) -> None:
    await house.sign_in(Role.OPERATOR)
    text = await (await house.client.get(ENROL)).text()
    assert '<svg viewBox="0 0' in text and "style=" not in text and "<script>" not in text
    key = key_of(text)
    assert len(key) == 32
    assert key_of(await (await house.client.get(ENROL)).text()) == key
    csrf = await house.csrf()
    wrong = await house.client.post(ENROL, data={"csrf": csrf, "code": "000000"})
    assert wrong.status == 422
    assert key_of(await wrong.text()) == key
    done = await house.client.post(ENROL, data={"csrf": csrf, "code": code_now(house, key)})
    codes = re.findall(r"<code>([a-z2-7-]{19})</code>", await done.text())
    assert len(set(codes)) == 10
    account = await (await house.client.get("/desk/account")).text()
    assert "with a second factor" in account and "10 recovery codes left" in account
    assert not any(code in account for code in codes), "shown once"
    assert (await house.client.get(ENROL)).url.path == "/desk/account"


async def test_signing_in_asks_for_the_code_and_goes_on_where_one_wanted(house: WebHouse) -> None:
    await house.sign_in(Role.OPERATOR)
    key, _ = await enrol(house)
    half = await password(house, following="/desk/declare")
    assert half.headers["Location"] == f"{CODE}?next=/desk/declare"
    assert "HttpOnly" in half.headers["Set-Cookie"]
    assert (await house.client.get("/desk", allow_redirects=False)).status == 303, "the password alone opens nothing"
    page = await (await house.client.get(half.headers["Location"])).text()
    assert 'autocomplete="one-time-code"' in page and 'value="/desk/declare"' in page
    refused = await house.client.post(CODE, data={"code": "000000"})
    assert refused.status == 401
    form = {"code": code_now(house, key), "next": "/desk/declare"}
    done = await house.client.post(CODE, data=form, allow_redirects=False)
    assert done.headers["Location"] == "/desk/declare"
    assert (await house.client.get("/desk", allow_redirects=False)).status == 200


async def test_a_code_that_somebody_watched_opens_nothing(house: WebHouse) -> None:
    await house.sign_in(Role.OPERATOR)
    key, _ = await enrol(house)
    await password(house)
    form = {"code": code_now(house, key)}
    assert (await house.client.post(CODE, data=form, allow_redirects=False)).status == 303
    await password(house)
    assert (await house.client.post(CODE, data=form, allow_redirects=False)).status == 401


async def test_codes_cannot_be_guessed_through(house: WebHouse) -> None:
    await house.sign_in(Role.OPERATOR)
    key, _ = await enrol(house)
    await password(house)
    for number in range(3):
        assert (await house.client.post(CODE, data={"code": f"{number:06}"})).status == 401
    slowed = await house.client.post(CODE, data={"code": code_now(house, key)})
    assert slowed.status == 429
    assert int(slowed.headers["Retry-After"]) >= 1
    for _ in range(2):
        house.clock.now += house.people.rules.idle / 60
        await house.client.post(CODE, data={"code": "999999"})
    house.clock.now += house.people.rules.idle / 60
    over = await house.client.post(CODE, data={"code": code_now(house, key)})
    assert over.status == 401
    assert "Begin anew" in await over.text()


async def test_without_the_password_step_there_is_no_code_to_ask_for(house: WebHouse) -> None:
    assert (await house.client.get(CODE, allow_redirects=False)).headers["Location"] == "/desk/sign-in"
    assert (await house.client.post(CODE, data={"code": "123456"})).status == 401


async def test_a_lost_phone(house: WebHouse) -> None:
    await house.sign_in(Role.OPERATOR)
    _, codes = await enrol(house)
    await password(house)
    assert (await house.client.post(CODE, data={"code": codes[0]}, allow_redirects=False)).status == 303
    assert "9 recovery codes left" in await (await house.client.get("/desk/account")).text()
    csrf = await house.csrf()
    for form in ({"csrf": csrf}, {"csrf": csrf, "proof": "guess"}):
        for path in ("/desk/account/recovery-codes", f"{ENROL}/take-away"):
            assert (await house.client.post(path, data=form)).status in (422, 429)
    house.clock.now += house.people.rules.idle / 60
    fresh = await house.client.post("/desk/account/recovery-codes", data={"csrf": csrf, "proof": PASSWORD})
    assert codes[1] not in await fresh.text()
    await house.client.post(f"{ENROL}/take-away", data={"csrf": csrf, "proof": PASSWORD})
    assert (await password(house)).headers["Location"] == "/desk"


async def test_a_role_that_needs_it_does_nothing_before(tmp_path: Path, migrated: Path) -> None:
    shutil.copy(migrated, tmp_path / "web.db")
    rules = StaffSettings(require_totp=frozenset({"approver", "admin"}))
    async with web_house(tmp_path, rules=rules) as house:
        await house.people.add_staff("zoe", PASSWORD, Role.ADMIN, actor=SETUP)
        await house.sign_in(Role.APPROVER)
        for path in ("/desk", "/desk/declare", "/desk/outages/OUT-2026-0001"):
            answer = await house.client.get(path, allow_redirects=False)
            assert (answer.status, answer.headers["Location"]) == (303, ENROL)
        csrf = await account_csrf(house)
        paused = await house.client.post("/desk/pause", data={"csrf": csrf, "reason": "x"})
        assert paused.status == 403
        assert "set up your authenticator app first" in (await paused.text()).lower()
        assert house.verbs.done == []
        assert "set it up to go on" in await (await house.client.get(ENROL)).text()
        await enrol(house)
        assert (await house.client.get("/desk", allow_redirects=False)).status == 200
