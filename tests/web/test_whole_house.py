"""The web on the real engine: what the doubles of the other tests promise is what the engine does."""

import asyncio
import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import insert, select, update

from outagecast.app import Core, Daemon, open_core
from outagecast.config import load_config
from outagecast.domain.outage import Role
from outagecast.engine.sent_words import SentWords
from outagecast.sandbox.signature import sign
from outagecast.storage import inventory, tables
from outagecast.web.server import make_app
from tests.support.web_house import PASSWORD, SETUP, add_network

SETTINGS = """
[provider]
name = "Bluegrass Fiber"
public_url = "http://127.0.0.1:8080"
timezone = "America/New_York"
[email]
host = "127.0.0.1"
from = "Bluegrass Fiber <status@example.net>"
[sms]
account_sid = "AC00000000000000000000000000000000"
auth_token = "an-opaque-token"
from = "+18595550100"
[[monitors]]
name = "prometheus"
format = "alertmanager"
token = "hook-token"
"""
BODY = {"title": "Fibre cut near Georgetown", "scope": {"elements": ["POP-LEX"]}, "message": "We are on it."}


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    (tmp_path / "config.toml").write_text(SETTINGS)
    async with open_core(load_config(tmp_path / "config.toml", environ={})) as found:
        await add_network(found.db)
        async with found.db.write() as conn:
            await conn.execute(insert(tables.needs).values(id=1, text="element:POP-LEX"))
            hangs = tables.circuits.c.id.in_(["CIR-1", "CIR-2", "CIR-3"])
            await conn.execute(update(tables.circuits).where(hangs).values(need_id=1))
        yield found


@pytest.fixture
async def client(core: Core) -> "AsyncIterator[TestClient[Any, Any]]":
    async with TestClient(TestServer(make_app(Daemon(core).services()))) as found:
        yield found


async def test_over_the_api(core: Core, client: "TestClient[Any, Any]") -> None:
    token = {"Authorization": f"Bearer {await core.people.add_token('ci', Role.OPERATOR, actor=SETUP)}"}
    seen = await (await client.post("/api/v1/preview", json=BODY, headers=token)).json()
    assert seen["impact"]["customers"] == 2
    assert seen["channels"]["email"]["messages"] == 1
    assert seen["suppressed"] == {"opted_out": 1}
    assert any("Main Office" in sample["text"] for sample in seen["samples"])
    answer = await client.post("/api/v1/outages", json=BODY, headers={**token, "Idempotency-Key": "1"})
    said = await answer.json()
    assert answer.status == 201, said
    assert said["impact"]["by_level"]["outage"] == {"customers": 2, "circuits": 3}
    assert said["deliveries"]["email"]["planned"] == 1
    assert said["next_update_by"] is not None
    again = await client.post("/api/v1/outages", json=BODY, headers={**token, "Idempotency-Key": "1"})
    assert again.status == 200
    path = f"/api/v1/outages/{said['id']}"
    late = await client.post(f"{path}/updates", json={"message": "x"}, headers={**token, "If-Match": "7"})
    assert late.status == 412
    listed = (await (await client.get(f"{path}/deliveries", headers=token)).json())["deliveries"]
    words = {item["channel"]: item["words"] for item in listed if item["words"]}
    assert "2 lines are down" in words["email"]["subject"]
    assert "Main Office" in words["email"]["text"]
    assert words["sms"]["text"].startswith("Bluegrass Fiber")
    kept = await SentWords(core.db, core.words)([item["id"] for item in listed if item["words"]])
    assert {said["text"] for said in kept.values()} == {said["text"] for said in words.values()}
    assert all(item["words"] is None for item in listed if item["state"] == "suppressed")
    assert "Fiber Internet is down for parts of Fayette and Scott" in await (await client.get("/")).text()
    mine = await (await client.get(f"/my/{core.links.token(1)}")).text()
    assert "2 of your 2 lines are affected." in mine


async def test_on_the_desk(core: Core, client: "TestClient[Any, Any]") -> None:
    await core.people.add_staff("ann", PASSWORD, Role.OPERATOR, actor=SETUP)
    board = await (await client.post("/desk/sign-in", data={"name": "ann", "password": PASSWORD})).text()
    csrf = _hidden(board, "csrf")
    form = {"csrf": csrf, "title": "Fibre cut", "scope": "POP-LEX", "message": "We are on it.", "do": "preview"}
    looked = await (await client.post("/desk/declare", data=form)).text()
    assert "Tell 2 customers" in looked
    sent = await client.post("/desk/declare", data={**form, "do": "send", "seen": _hidden(looked, "seen")})
    here = sent.url.path
    assert "Nothing of the last step has left yet." in await sent.text()
    assert "No known outages." in await (await client.get("/")).text(), "nothing is public before it is effective"
    undone = await (await client.post(f"{here}/undo", data={"csrf": csrf})).text()
    assert "A draft: nobody was told." in undone
    released = await (await client.post(f"{here}/release", data={"csrf": csrf})).text()
    assert "Nothing of the last step has left yet." in released, "a release has its way back like any other step"
    resolved = await client.post(f"{here}/resolve", data={"csrf": csrf, "revision": _hidden(released, "revision")})
    assert "resolved by ann" in await resolved.text()


async def test_the_map_changed_is_shown_and_applied_by_hand(core: Core, client: "TestClient[Any, Any]") -> None:
    token = {"Authorization": f"Bearer {await core.people.add_token('ci', Role.OPERATOR, actor=SETUP)}"}
    said = await (await client.post("/api/v1/outages", json=BODY, headers=token)).json()
    path = f"/api/v1/outages/{said['id']}"
    assert (await (await client.get(path, headers=token)).json())["map_changed"] is None
    async with core.db.write() as conn:
        await conn.execute(update(tables.circuits).where(tables.circuits.c.id == "CIR-4").values(need_id=1))
        await conn.execute(update(tables.circuits).where(tables.circuits.c.id == "CIR-2").values(need_id=None))
        await inventory.bump_version(conn)
    assert (await (await client.get(path, headers=token)).json())["map_changed"] == {"more": 1, "fewer": 1}
    before = (await (await client.get(f"{path}/deliveries", headers=token)).json())["deliveries"]
    assert {item["kind"] for item in before} == {"acknowledgement"}, "a change of the inventory never sends"
    await core.people.add_staff("ann", PASSWORD, Role.OPERATOR, actor=SETUP)
    board = await (await client.post("/desk/sign-in", data={"name": "ann", "password": PASSWORD})).text()
    here = f"/desk/outages/{said['id']}"
    shown = await (await client.get(here)).text()
    assert "The map changed: 1 more, 1 fewer." in shown
    form = {"csrf": _hidden(board, "csrf"), "revision": _hidden(shown, "revision")}
    looked = await (await client.post(f"{here}/remap", data=form)).text()
    assert "Apply the map of today: 1 customer hears of it." in looked
    applied = await (await client.post(f"{here}/remap", data={**form, "seen": _hidden(looked, "seen")})).text()
    assert "The map changed" not in applied
    assert "Nothing of the last step has left yet." in applied, "it can be undone like any other step"
    row = await (await client.get(path, headers=token)).json()
    assert row["pending"]["verb"] == "update"


async def test_a_monitor_opens_a_draft_once(core: Core, client: "TestClient[Any, Any]") -> None:
    alert = {"status": "firing", "fingerprint": "f1", "labels": {"alertname": "Down", "element": "POP-LEX"}}
    for _ in range(3):
        answer = await client.post(
            "/hooks/prometheus",
            json={"version": "4", "alerts": [alert]},
            headers={"Authorization": "Bearer hook-token"},
        )
        assert answer.status == 202
    token = {"Authorization": f"Bearer {await core.people.add_token('ci', Role.VIEWER, actor=SETUP)}"}
    async with asyncio.timeout(10):  # what follows from an alert is done right after the answer
        while not (listed := (await (await client.get("/api/v1/outages", headers=token)).json())["outages"]):
            pass
    assert [(item["status"], item["monitor"]) for item in listed] == [("draft", "prometheus")]


async def test_leaving_by_one_click_is_kept(core: Core, client: "TestClient[Any, Any]") -> None:
    link = core.links.token(1)
    await client.post(f"/unsubscribe/{link}", data={"List-Unsubscribe": "One-Click"})
    page = await (await client.get(f"/my/{link}")).text()
    assert "Write to noc@acme.example again" in page
    await client.post(f"/my/{link}", data={"do": "rejoin"})
    assert "Stop writing to noc@acme.example" in await (await client.get(f"/my/{link}")).text()


async def test_a_text_to_our_number_is_believed_only_with_the_accounts_own_signature(
    core: Core, client: "TestClient[Any, Any]"
) -> None:
    form = {"From": "+18595550123", "Body": "STOP", "AccountSid": "AC00000000000000000000000000000000"}
    stranger = form | {"AccountSid": "AC11111111111111111111111111111111"}
    url = "http://127.0.0.1:8080/callbacks/twilio/inbound"
    for said, token in ((form, "another-token"), (stranger, "an-opaque-token")):
        signed = {"X-Twilio-Signature": sign(token, url, said.items())}
        assert (await client.post("/callbacks/twilio/inbound", data=said, headers=signed)).status == 403
    assert await _stopped(core) == []
    signed = {"X-Twilio-Signature": sign("an-opaque-token", url, form.items())}
    assert (await client.post("/callbacks/twilio/inbound", data=form, headers=signed)).status == 200
    assert await _stopped(core) == ["+18595550123"]


async def _stopped(core: Core) -> list[str]:
    async with core.db.read() as conn:
        wanted = select(tables.addresses.c.value).where(
            tables.addresses.c.suppressed.is_not(None), tables.addresses.c.channel == "sms"
        )
        return list((await conn.execute(wanted)).scalars())


def _hidden(text: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', text)
    assert found is not None
    return unescape(found.group(1))
