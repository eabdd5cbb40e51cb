"""Who is signed in where: seen, revoked, changed with the password."""

from aiohttp import ClientSession, CookieJar
from yarl import URL

from outagecast.domain.outage import Role
from tests.support.web_house import PASSWORD, WebHouse

ANOTHER = "seven purple bicycles downhill"


async def elsewhere(house: WebHouse, name: str = "ann", password: str = PASSWORD) -> dict[str, str]:
    """The cookie of a second browser that signs in, and what it is called."""
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as phone:
        url = house.client.make_url("/desk/sign-in")
        headers = {"User-Agent": "Phone <b>9</b>", "X-Forwarded-For": "203.0.113.9"}
        async with phone.post(url, data={"name": name, "password": password}, headers=headers) as answer:
            assert answer.status == 200
        cookie = phone.cookie_jar.filter_cookies(URL(str(url)))["outagecast"].value
    return {"Cookie": f"outagecast={cookie}"}


async def opens(house: WebHouse, cookie: dict[str, str]) -> bool:
    async with (
        ClientSession() as bare,
        bare.get(house.client.make_url("/desk"), headers=cookie, allow_redirects=False) as answer,
    ):
        return answer.status == 200


async def test_sessions_say_where_when_and_with_what(house: WebHouse) -> None:
    await house.sign_in()
    await elsewhere(house)
    text = await (await house.client.get("/desk/account")).text()
    assert "203.0.113.9" in text and "127.0.0.1" in text
    assert "Phone &lt;b&gt;9&lt;/b&gt;" in text
    assert text.count("This one") == 1
    assert text.count("<button>Revoke<") == 1, "this session ends by signing out"


async def test_one_session_is_revoked_at_once(house: WebHouse) -> None:
    await house.sign_in()
    phone = await elsewhere(house)
    assert await opens(house, phone)
    text = await (await house.client.get("/desk/account")).text()
    id = text.partition('name="id" value="')[2].partition('"')[0]
    form = {"csrf": await house.csrf(), "id": id}
    assert (await house.client.post("/desk/account/sessions/end", data=form)).url.path == "/desk/account"
    assert not await opens(house, phone)
    assert (await house.client.post("/desk/account/sessions/end", data=form)).status == 404


async def test_nobody_revokes_somebody_elses_as_his_own(house: WebHouse) -> None:
    await house.sign_in(Role.OPERATOR, "bob")
    phone = await elsewhere(house, "bob")
    ids = [one.id for one in await house.people.sessions.of((await house.people.staff())[0].id)]
    house.client.session.cookie_jar.clear()
    await house.sign_in(Role.OPERATOR, "ann")
    for id in ids:
        answer = await house.client.post("/desk/account/sessions/end", data={"csrf": await house.csrf(), "id": id})
        assert answer.status == 404
    assert await opens(house, phone)


async def test_an_admin_ends_a_session_of_somebody(house: WebHouse) -> None:
    await house.sign_in(Role.OPERATOR, "bob")
    phone = await elsewhere(house, "bob")
    house.client.session.cookie_jar.clear()
    await house.sign_in(Role.ADMIN, "ann")
    bob = next(row.id for row in await house.people.staff() if row.name == "bob")
    csrf = await house.csrf()
    for one in await house.people.sessions.of(bob):
        await house.client.post(f"/desk/staff/{bob}/sessions/end", data={"csrf": csrf, "id": one.id})
    assert not await opens(house, phone)


async def test_signing_out_everywhere_else(house: WebHouse) -> None:
    await house.sign_in()
    phones = [await elsewhere(house) for _ in range(2)]
    await house.client.post("/desk/account/sessions/end-others", data={"csrf": await house.csrf()})
    assert not any([await opens(house, phone) for phone in phones])
    assert (await house.client.get("/desk", allow_redirects=False)).status == 200


async def test_a_new_password_ends_every_other_session(house: WebHouse) -> None:
    await house.sign_in()
    phone = await elsewhere(house)
    own = house.client.session.cookie_jar.filter_cookies(house.client.make_url("/"))["outagecast"].value
    csrf = await house.csrf()
    for form, says in (
        ({"current": "guess", "password": ANOTHER, "again": ANOTHER}, "is not your password"),
        ({"current": PASSWORD, "password": "short", "again": "short"}, "is too short"),
        ({"current": PASSWORD, "password": ANOTHER, "again": "x"}, "is not the same"),
    ):
        answer = await house.client.post("/desk/account/password", data={"csrf": csrf, **form})
        assert answer.status == 422
        assert says in await answer.text()
    assert await opens(house, phone)
    form = {"csrf": csrf, "current": PASSWORD, "password": ANOTHER, "again": ANOTHER}
    assert (await house.client.post("/desk/account/password", data=form)).url.path == "/desk/account"
    assert not await opens(house, phone)
    assert not await opens(house, {"Cookie": f"outagecast={own}"}), "this browser's id is a new one too"
    assert (await house.client.get("/desk", allow_redirects=False)).status == 200
    assert await elsewhere(house, password=ANOTHER)
