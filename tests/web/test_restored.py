"""The hold after an older database was put back: every page of the desk says so, an operator releases it."""

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from outagecast.app import Core, Daemon, open_core
from outagecast.config import load_config
from outagecast.domain.outage import Role
from outagecast.web.server import make_app
from tests.support.web_house import PASSWORD, SETUP

SETTINGS = """
[provider]
name = "Bluegrass Fiber"
public_url = "http://127.0.0.1:8080"
timezone = "America/New_York"
[email]
host = "127.0.0.1"
from = "Bluegrass Fiber <status@example.net>"
"""


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    (tmp_path / "config.toml").write_text(SETTINGS)
    async with open_core(load_config(tmp_path / "config.toml", environ={})) as found:
        yield found


@pytest.fixture
async def client(core: Core) -> "AsyncIterator[TestClient[Any, Any]]":
    async with TestClient(TestServer(make_app(Daemon(core).services()))) as found:
        yield found


async def sign_in(core: Core, client: "TestClient[Any, Any]", role: Role) -> str:
    await core.people.add_staff("ann", PASSWORD, role, actor=SETUP)
    board = await (await client.post("/desk/sign-in", data={"name": "ann", "password": PASSWORD})).text()
    return hidden(board, "csrf")


async def test_every_page_says_so_until_it_is_released(core: Core, client: "TestClient[Any, Any]") -> None:
    csrf = await sign_in(core, client, Role.OPERATOR)
    assert "After the restore" not in await (await client.get("/desk")).text()
    assert "Nothing is held after a restore." in await (await client.get("/desk/restored")).text()
    await core.restored.hold(actor=SETUP)
    for page in ("/desk", "/desk/handover", "/desk/look"):
        text = await (await client.get(page)).text()
        assert "All sending: nothing has left since" in text, page
        assert "0 messages planned before it may have been sent already" in text, page
        assert 'href="/desk/restored"' in text, page
    page = await (await client.get("/desk/restored")).text()
    assert "Nothing is sent: an older database was put back." in page
    wrong = await client.post("/desk/restored", data={"csrf": csrf, "choice": "burn"})
    assert wrong.status == 422
    assert "choose what becomes of the messages" in await wrong.text()
    done = await client.post("/desk/restored", data={"csrf": csrf, "choice": "said", "reason": "looked"})
    assert (done.status, done.url.path) == (200, "/desk")
    assert "After the restore" not in await done.text()
    assert await core.restored.look() is None
    late = await client.post("/desk/restored", data={"csrf": csrf, "choice": "said"})
    assert late.status == 409


async def test_a_viewer_sees_it_and_cannot_release_it(core: Core, client: "TestClient[Any, Any]") -> None:
    csrf = await sign_in(core, client, Role.VIEWER)
    await core.restored.hold(actor=SETUP)
    assert "An operator can release it." in await (await client.get("/desk/restored")).text()
    assert (await client.post("/desk/restored", data={"csrf": csrf, "choice": "said"})).status == 403
    token = {"Authorization": f"Bearer {await core.people.add_token('ci', Role.VIEWER, actor=SETUP)}"}
    seen = await (await client.get("/api/v1/restored", headers=token)).json()
    assert (seen["held"], seen["undecided"]) == (True, 0)
    body = {"choice": "said"}
    assert (await client.post("/api/v1/restored/release", json=body, headers=token)).status == 403
    operator = {"Authorization": f"Bearer {await core.people.add_token('op', Role.OPERATOR, actor=SETUP)}"}
    odd = await client.post("/api/v1/restored/release", json={"choice": "burn"}, headers=operator)
    assert odd.status == 422
    assert (await client.post("/api/v1/restored/release", json=body, headers=operator)).status == 200
    assert (await client.post("/api/v1/restored/release", json=body, headers=operator)).status == 409


def hidden(text: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', text)
    assert found is not None
    return unescape(found.group(1))
