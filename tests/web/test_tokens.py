"""Tokens of programs on the desk: shown once, by scope, until they expire or are revoked."""

from datetime import timedelta

import pytest

from outagecast.domain.outage import Role
from tests.support.web_house import WebHouse

OUTAGES = "/api/v1/outages"


async def make(house: WebHouse, **form: str) -> str:
    usual = {"csrf": await house.csrf(), "name": "ci", "role": "viewer", "lasts": "90d"}
    answer = await house.client.post("/desk/tokens", data={**usual, **form})
    text = await answer.text()
    assert answer.status == 200, text
    return text.partition('id="token"')[2].partition(">")[2].partition("<")[0]


async def status(house: WebHouse, token: str, method: str = "GET") -> int:
    answer = await house.client.request(method, OUTAGES, headers={"Authorization": f"Bearer {token}"}, json={})
    return answer.status


async def test_a_token_is_shown_once_and_opens_its_scope_only(house: WebHouse) -> None:
    await house.sign_in(Role.ADMIN)
    token = await make(house)
    assert token.startswith("oc_")
    listed = await (await house.client.get("/desk/tokens")).text()
    assert token not in listed and token[:8] in listed
    assert "never" in listed
    assert await status(house, token) == 200
    assert await status(house, token, "POST") == 403, "a viewer's token declares nothing"
    assert "never" not in await (await house.client.get("/desk/tokens")).text()


async def test_a_token_ends_when_it_expires_or_is_revoked(house: WebHouse) -> None:
    await house.sign_in(Role.ADMIN)
    short, other = await make(house, lasts="30d"), await make(house, name="billing", role="inventory", lasts="")
    csrf = await house.csrf()
    await house.client.post("/desk/tokens/revoke", data={"csrf": csrf, "name": "billing"})
    assert await status(house, other) == 401
    house.clock.now += timedelta(days=30)
    assert await status(house, short) == 401
    house.client.session.cookie_jar.clear()
    await house.sign_in(Role.ADMIN, "bob")
    text = await (await house.client.get("/desk/tokens")).text()
    assert "No program may use the API." in text
    assert "revoked " in text and "expired " in text


@pytest.mark.parametrize(
    ("form", "code"),
    [({"name": ""}, 422), ({"name": "x" * 61}, 422), ({"role": "root"}, 422), ({"lasts": "9999d"}, 422), ({}, 409)],
)
async def test_mistakes_make_no_token(house: WebHouse, form: dict[str, str], code: int) -> None:
    await house.sign_in(Role.ADMIN)
    await make(house)
    usual = {"csrf": await house.csrf(), "name": "ci" if code == 409 else "other", "role": "viewer", "lasts": "90d"}
    answer = await house.client.post("/desk/tokens", data={**usual, **form})
    assert answer.status == code
    assert [row.name for row in await house.people.tokens()] == ["ci"]


async def test_tokens_are_on_record(house: WebHouse) -> None:
    await house.sign_in(Role.ADMIN)
    await make(house)
    await house.client.post("/desk/tokens/revoke", data={"csrf": await house.csrf(), "name": "ci"})
    said = [(line.actor, line.why, line.source) for line in await house.people.happened(2)]
    assert said == [("ann", "ci revoked", "127.0.0.1"), ("ann", "ci added as viewer", "127.0.0.1")]
