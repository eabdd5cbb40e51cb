"""Signing in by an OpenID provider, against a real one on a socket that can be wrong in every way."""

import logging
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession
from joserfc.jwk import ECKey
from pydantic import SecretStr, ValidationError
from yarl import URL

from outagecast.domain.outage import Role
from outagecast.engine.identities import MOST_PENDING
from outagecast.engine.staff_settings import StaffSettings
from outagecast.web.settings import OidcRoles, OidcSettings
from tests.support.oidc_provider import CLIENT, SECRET, OidcProvider, later, oidc_provider
from tests.support.web_house import PASSWORD, SETUP, Clock, WebHouse, web_house

ROLES = OidcRoles(operator=("noc",), admin=("noc-leads",))


@dataclass(kw_only=True)
class Both:
    house: WebHouse
    provider: OidcProvider

    async def go(self, following: str = "") -> URL:
        """To the provider; answers the address it sends back to."""
        away = await self.house.client.get(
            "/desk/oidc/start", params={"next": following} if following else {}, allow_redirects=False
        )
        assert away.status == 303, await away.text()
        async with ClientSession() as browser, browser.get(away.headers["Location"], allow_redirects=False) as there:
            return URL(there.headers["Location"])

    async def come_back(self, back: URL) -> ClientResponse:
        return await self.house.client.get(back.relative(), allow_redirects=False)

    async def sign_in(self, following: str = "") -> ClientResponse:
        return await self.come_back(await self.go(following))

    async def members(self) -> dict[str, Role]:
        return {member.name: member.role for member in await self.house.people.roster.members()}


@asynccontextmanager
async def opened(folder: Path, migrated: Path, **settings: Any) -> AsyncIterator[Both]:
    """A house and its provider; roles that need a second factor here, to see that elsewhere's is enough."""
    shutil.copy(migrated, folder / "web.db")
    async with oidc_provider(Clock()) as provider:
        usual: dict[str, Any] = {
            "issuer": provider.issuer,
            "client_id": CLIENT,
            "client_secret": SecretStr(SECRET),
            "roles": ROLES,
        }
        rules = StaffSettings(require_totp=frozenset({"admin", "operator"}))
        async with web_house(folder, rules=rules, oidc=OidcSettings(**usual | settings)) as house:
            provider.clock = house.clock
            await house.people.add_staff("ann", PASSWORD, Role.ADMIN, actor=SETUP)
            yield Both(house=house, provider=provider)


@pytest.fixture
async def both(tmp_path: Path, migrated: Path) -> AsyncIterator[Both]:
    async with opened(tmp_path, migrated) as found:
        yield found


async def test_whom_the_provider_vouches_for_comes_in_as_its_groups_say(both: Both) -> None:
    page = await (await both.house.client.get("/desk/sign-in")).text()
    assert "Sign in with single sign-on" in page
    answer = await both.sign_in("/desk/declare")
    assert (answer.status, answer.headers["Location"]) == (303, "/desk/declare")
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    asked = both.provider.asked[0]
    assert asked["code_challenge_method"] == "S256" and len(asked["state"]) > 40 and asked["nonce"] != asked["state"]
    desk = await both.house.client.get("/desk/account")
    assert "You are nora, operator, signed in by the OpenID provider" in await desk.text()
    assert await both.members() == {"ann": Role.ADMIN, "nora": Role.OPERATOR}
    lines = [(line.actor, line.why, line.source) for line in await both.house.people.happened()]
    assert ("nora", "nora added as operator, as the OpenID provider says", "127.0.0.1") in lines


async def test_the_role_follows_the_claims_at_each_sign_in(both: Both) -> None:
    await both.sign_in()
    both.provider.person["groups"] = ["noc", "noc-leads"]
    await both.sign_in()
    assert (await both.members())["nora"] is Role.ADMIN
    both.provider.person["groups"] = ["sales"]
    refused = await both.sign_in()
    assert refused.status == 403
    assert "nobody gave you a role" in await refused.text()
    gone = await both.house.client.get("/desk", allow_redirects=False)
    assert gone.headers["Location"].startswith("/desk/sign-in"), "whom the claims give nothing any more, is signed out"


@pytest.mark.parametrize("groups", [None, [], "", ["NOC"], {"noc": True}, [["noc"]], 7])
async def test_without_a_role_nobody_comes_in(both: Both, groups: Any) -> None:
    both.provider.person["groups"] = groups
    assert (await both.sign_in()).status == 403
    assert "nora" not in await both.members()


async def test_somebody_of_the_same_name_is_somebody_else(both: Both) -> None:
    """An account elsewhere that is called like ours takes nothing over."""
    both.provider.person |= {"preferred_username": "ann", "email": "ann@elsewhere.example"}
    await both.sign_in()
    assert await both.members() == {"ann": Role.ADMIN, "ann@elsewhere.example": Role.OPERATOR}
    both.provider.person |= {"preferred_username": "renamed"}
    await both.sign_in()
    assert len(await both.members()) == 2, "known by the subject, whatever he is called now"


async def test_whom_an_admin_disabled_the_provider_cannot_let_in(both: Both) -> None:
    await both.sign_in()
    nora = next(one.id for one in await both.house.people.roster.members() if one.name == "nora")
    await both.house.people.roster.disable(nora, actor=SETUP, source="")
    answer = await both.sign_in()
    assert answer.status == 403
    assert "disabled" in await answer.text()


BENT: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "another nonce": lambda claims: claims | {"nonce": "of-another-request"},
    "no nonce": lambda claims: {name: value for name, value in claims.items() if name != "nonce"},
    "another audience": lambda claims: claims | {"aud": "another-client"},
    "no audience": lambda claims: claims | {"aud": []},
    "for us and another, given to the other": lambda claims: claims | {"aud": [CLIENT, "x"], "azp": "x"},
    "for several, given to nobody said": lambda claims: claims | {"aud": [CLIENT, "x"]},
    "given to another": lambda claims: claims | {"azp": "x"},
    "another issuer": lambda claims: claims | {"iss": "https://evil.example"},
    "the issuer with a slash": lambda claims: claims | {"iss": claims["iss"] + "/"},
    "expired": lambda claims: later(claims, exp=timedelta(minutes=-7)),
    "no end": lambda claims: {name: value for name, value in claims.items() if name != "exp"},
    "an end that is no time": lambda claims: claims | {"exp": "tomorrow"},
    "issued long ago": lambda claims: later(claims, iat=timedelta(minutes=-20)),
    "issued in the future": lambda claims: later(claims, iat=timedelta(minutes=5)),
    "not yet": lambda claims: claims | {"nbf": claims["iat"] + 600},
    "nobody": lambda claims: claims | {"sub": ""},
}


@pytest.mark.parametrize("bend", BENT.values(), ids=BENT)
async def test_a_token_that_does_not_answer_us_is_refused(
    both: Both, bend: Callable[[dict[str, Any]], dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    both.provider.bend = bend
    with caplog.at_level(logging.WARNING, logger="outagecast.web.oidc"):
        answer = await both.sign_in()
    said = await answer.text()
    assert answer.status == 403
    assert "id_token" not in said, "the reason is for the log"
    assert "refused: the id_token" in caplog.text
    assert (await both.house.client.get("/desk", allow_redirects=False)).status == 303
    assert "nora" not in await both.members()


@pytest.mark.parametrize("alg", ["none", "HS256"])
async def test_a_token_that_anybody_could_sign_is_refused(both: Both, alg: str) -> None:
    """`none`, and the provider's public key taken for a shared secret."""
    both.provider.alg = alg
    assert (await both.sign_in()).status == 403
    assert "nora" not in await both.members()


async def test_keys_of_either_kind_hold(both: Both) -> None:
    both.provider.rotate("RSA")
    assert (await both.sign_in()).status == 303


async def test_a_strangers_key_of_the_same_name_is_refused(both: Both) -> None:
    ours = both.provider.keys[0]
    both.provider.signer = ECKey.generate_key("P-256", {"kid": ours.kid or ""}, auto_kid=False)
    assert (await both.sign_in()).status == 403


async def test_clocks_may_differ_a_little(both: Both) -> None:
    both.provider.bend = lambda claims: later(claims, iat=timedelta(seconds=50), exp=timedelta(seconds=-330))
    assert (await both.sign_in()).status == 303


async def test_new_keys_are_found_when_the_provider_changes_them(both: Both) -> None:
    await both.sign_in()
    assert both.provider.fetched == ["discovery", "jwks"]
    await both.sign_in()
    assert both.provider.fetched == ["discovery", "jwks"], "kept meanwhile"
    both.provider.rotate()
    assert (await both.sign_in()).status == 403, "not looked for with every strange token"
    both.house.clock.now += timedelta(seconds=31)
    assert (await both.sign_in()).status == 303
    assert both.provider.fetched == ["discovery", "jwks", "jwks"]


async def test_an_answer_opens_once(both: Both) -> None:
    back = await both.go()
    assert (await both.come_back(back)).status == 303
    both.provider.codes["code-1"] = both.provider.asked[0]
    assert (await both.come_back(back)).status == 403


async def test_an_answer_opens_for_the_browser_that_asked_and_no_other(both: Both) -> None:
    """Somebody else's answer, put into this browser's mouth, would sign it in as that somebody."""
    back = await both.go()
    both.house.client.session.cookie_jar.clear()
    assert (await both.come_back(back)).status == 403
    await both.go()
    assert (await both.come_back(back)).status == 403, "and this browser's own state is another one"


async def test_an_answer_that_comes_too_late_opens_nothing(both: Both) -> None:
    back = await both.go()
    both.house.clock.now += timedelta(minutes=10)
    assert (await both.come_back(back)).status == 403


async def test_beginning_sign_ins_cannot_fill_the_database(both: Both) -> None:
    for _ in range(MOST_PENDING):
        await both.house.people.identities.begin("")
    assert (await both.house.client.get("/desk/oidc/start", allow_redirects=False)).status == 409
    both.house.clock.now += timedelta(minutes=10)
    assert (await both.sign_in()).status == 303


async def test_whoever_comes_by_the_provider_has_no_password_or_app_here(both: Both) -> None:
    await both.sign_in()
    assert (await both.house.client.get("/desk/account/second-factor")).status == 403
    text = await (await both.house.client.get("/desk/account")).text()
    csrf = text.partition('name="csrf" value="')[2].partition('"')[0]
    form = {"csrf": csrf, "current": "", "password": PASSWORD, "again": PASSWORD}
    assert (await both.house.client.post("/desk/account/password", data=form)).status == 403
    form = {"name": "nora", "password": ""}
    assert (await both.house.client.post("/desk/sign-in", data=form)).status == 401


async def test_an_answer_of_another_issuer_opens_nothing(both: Both) -> None:
    back = await both.go()
    assert (await both.come_back(back.update_query(iss="https://evil.example"))).status == 403


async def test_what_the_provider_refuses_is_refused(both: Both) -> None:
    both.provider.refuses = "access_denied"
    assert (await both.sign_in()).status == 403


async def test_a_code_is_taken_only_with_the_verifier_of_its_request(both: Both) -> None:
    """A code that somebody caught on the way back is worth nothing: the provider holds it against the challenge."""
    back = await both.go()
    both.provider.codes["code-1"] |= {"code_challenge": "of-another-request"}
    assert (await both.come_back(back)).status == 403


async def test_the_discovery_document_must_be_the_issuers_own(both: Both) -> None:
    both.provider.about = {"issuer": "https://evil.example"}
    assert (await both.house.client.get("/desk/oidc/start", allow_redirects=False)).status == 403


async def test_an_unreachable_provider_leaves_the_password_door_open(tmp_path: Path, migrated: Path) -> None:
    async with opened(tmp_path, migrated, issuer="http://127.0.0.1:9") as both:
        assert (await both.house.client.get("/desk/oidc/start", allow_redirects=False)).status == 403
        form = {"name": "ann", "password": PASSWORD}
        assert (await both.house.client.post("/desk/sign-in", data=form, allow_redirects=False)).status == 303


@pytest.mark.parametrize(
    ("person", "status"),
    [
        ({"email": "nora@example.net", "email_verified": True}, 303),
        ({"email": "nora@EXAMPLE.net", "email_verified": True}, 303),
        ({"email": "nora@example.net", "email_verified": False}, 403),
        ({"email": "nora@example.net", "email_verified": "true"}, 403),
        ({"email": "nora@example.net.evil.example", "email_verified": True}, 403),
        ({"email": "", "email_verified": True}, 403),
    ],
)
async def test_only_verified_addresses_of_allowed_domains(
    tmp_path: Path, migrated: Path, person: dict[str, Any], status: int
) -> None:
    async with opened(tmp_path, migrated, allowed_domains=("example.net",)) as both:
        both.provider.person |= person
        assert (await both.sign_in()).status == status


async def test_the_role_may_stand_deeper_in_the_claims(tmp_path: Path, migrated: Path) -> None:
    async with opened(tmp_path, migrated, role_claim="realm_access.roles") as both:
        both.provider.person |= {"groups": ["noc-leads"], "realm_access": {"roles": ["noc"]}}
        await both.sign_in()
        assert (await both.members())["nora"] is Role.OPERATOR


async def test_a_provider_that_takes_the_secret_in_the_form(both: Both) -> None:
    both.provider.about = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert (await both.sign_in()).status == 303


async def test_without_a_provider_there_is_no_such_door(house: WebHouse) -> None:
    for path in ("/desk/oidc/start", "/desk/oidc/callback?state=x&code=y"):
        assert (await house.client.get(path, allow_redirects=False)).status == 404
    await house.people.add_staff("ann", PASSWORD, Role.ADMIN, actor=SETUP)
    assert "Sign in with" not in await (await house.client.get("/desk/sign-in")).text()


@pytest.mark.parametrize("issuer", ["http://login.example.net", "login.example.net", "https://", "https://x/?a=b"])
def test_an_issuer_is_https_and_whole(issuer: str) -> None:
    with pytest.raises(ValidationError):
        OidcSettings(issuer=issuer, client_id=CLIENT)
