"""The side doors: hooks of monitors, callbacks of the SMS provider, the links of customers."""

import base64

import pytest

from outagecast.domain.delivery import Receipt, ReceiptState
from outagecast.domain.event import EventAction
from outagecast.web.hooks import AT_ONCE
from outagecast.web.services import DOORS
from tests.support.web_house import HOOK_TOKEN, NOW, WebHouse, add_delivery, add_impacts, add_network, add_outage

ALERT = {"status": "firing", "labels": {"circuit": "CIR-1"}, "fingerprint": "f1", "startsAt": "2026-03-03T14:00:00Z"}
GROUP = {"version": "4", "status": "firing", "alerts": [ALERT]}
BASIC = base64.b64encode(f"prometheus:{HOOK_TOKEN}".encode()).decode()
WAYS = [
    {"Authorization": f"Bearer {HOOK_TOKEN}"},
    {"Authorization": f"bearer {HOOK_TOKEN}"},
    {"Authorization": f"Basic {BASIC}"},
    {"Authorization": f"GenieKey {HOOK_TOKEN}"},
    {"Authorization": HOOK_TOKEN},
    {"X-API-Key": HOOK_TOKEN},
]
WRONG = [
    {},
    {"Authorization": "Bearer wrong"},
    {"Authorization": "Basic !!!"},
    {"Authorization": "Basic " + base64.b64encode(HOOK_TOKEN.encode()).decode()},
    {"Authorization": "Bearer "},
    {"X-API-Key": HOOK_TOKEN + "x"},
]


@pytest.mark.parametrize("headers", WAYS)
async def test_a_monitor_shows_its_token_in_any_of_the_usual_ways(house: WebHouse, headers: dict[str, str]) -> None:
    answer = await house.client.post("/hooks/alertmanager", json=GROUP, headers=headers)
    assert answer.status == 202
    assert await answer.json() == {"status": "accepted", "events": 1}
    monitor, events, raw = house.taken.events[0]
    assert monitor == "alertmanager"
    assert (events[0].dedup_key, events[0].action, events[0].hints) == (
        "f1",
        EventAction.TRIGGER,
        {"circuit": ("CIR-1",)},
    )
    assert b'"fingerprint"' in raw


@pytest.mark.parametrize("headers", WRONG)
@pytest.mark.parametrize("name", ["alertmanager", "nobody"])
async def test_nobody_else_comes_in(house: WebHouse, headers: dict[str, str], name: str) -> None:
    answer = await house.client.post(f"/hooks/{name}", json=GROUP, headers=headers)
    assert answer.status == 401
    assert house.taken.events == []


async def test_an_unknown_hook_answers_like_a_wrong_token(house: WebHouse) -> None:
    said = [await (await house.client.post(f"/hooks/{name}", json=GROUP)).text() for name in ("generic", "nobody")]
    assert said[0] == said[1]


async def test_what_could_not_be_committed_is_503_so_that_it_is_sent_again(house: WebHouse) -> None:
    for trouble in (TimeoutError(), RuntimeError("database is locked")):
        house.taken.broken = trouble
        answer = await house.client.post("/hooks/alertmanager", json=GROUP, headers=WAYS[0])
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0


async def test_overload_is_503_with_retry_after(house: WebHouse) -> None:
    doors = house.client.server.app[DOORS]  # type: ignore[attr-defined]
    doors.hooks = AT_ONCE
    answer = await house.client.post("/hooks/alertmanager", json=GROUP, headers=WAYS[0])
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert house.taken.events == []
    doors.hooks = 0
    assert (await house.client.post("/hooks/alertmanager", json=GROUP, headers=WAYS[0])).status == 202
    assert doors.hooks == 0


async def test_what_cannot_be_read_is_said_and_not_taken(house: WebHouse) -> None:
    answer = await house.client.post("/hooks/alertmanager", json={"hello": 1}, headers=WAYS[0])
    assert answer.status == 422
    assert (await answer.json())["errors"][0]["field"] == "alerts"
    assert house.taken.events == []


async def test_callbacks_are_believed_only_when_signed_for_our_public_address(house: WebHouse) -> None:
    receipt = Receipt(key="a1", provider_id="SM1", state=ReceiptState.DELIVERED, code="delivered")
    assert house.services.twilio is not None
    object.__setattr__(house.services.twilio, "status", lambda form, query: receipt)
    path = "/callbacks/twilio/status?attempt=a1"
    form = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    for headers in ({}, {"X-Twilio-Signature": f"signed:{house.client.make_url(path)}"}):
        assert (await house.client.post(path, data=form, headers=headers)).status == 403
    assert house.taken.receipts == []
    signed = {"X-Twilio-Signature": f"signed:http://status.example.net{path}"}
    assert (await house.client.post(path, data=form, headers=signed)).status == 204
    assert house.taken.receipts == [receipt]


async def test_a_stop_reaches_the_engine_and_is_answered_with_nothing(house: WebHouse) -> None:
    form = {"From": "+18595550123", "Body": "STOP"}
    assert (await house.client.post("/callbacks/twilio/inbound", data=form)).status == 403
    signed = {"X-Twilio-Signature": "signed:http://status.example.net/callbacks/twilio/inbound"}
    answer = await house.client.post("/callbacks/twilio/inbound", data=form, headers=signed)
    assert answer.content_type == "text/xml"
    assert (await answer.text()).endswith("<Response></Response>")
    assert house.taken.stops == [("+18595550123", "stop")]


async def test_one_click_leaves_and_a_look_does_not(house: WebHouse) -> None:
    await add_network(house.database)
    path = f"/unsubscribe/{house.links.token(1)}"
    looked = await house.client.get(path)
    assert looked.status == 200
    assert 'method="post"' in await looked.text()
    assert house.taken.left == []
    answer = await house.client.post(path, data={"List-Unsubscribe": "One-Click"})
    assert answer.status == 200
    assert house.taken.left == [(1, "one-click")]


async def test_links_that_are_not_ours_are_all_answered_alike(house: WebHouse) -> None:
    await add_network(house.database)
    said = set()
    for token in ("x" * 22, house.links.token(999), house.links.token(1)[:-1] + "_"):
        for method, path in (("GET", "/my/"), ("GET", "/unsubscribe/"), ("POST", "/unsubscribe/"), ("POST", "/my/")):
            answer = await house.client.request(method, path + token)
            assert answer.status == 404
        said.add(await (await house.client.get("/my/" + token)).text())
    assert len(said) == 1
    assert house.taken.left == []


async def test_my_page_shows_my_lines_now_and_nobody_elses(house: WebHouse) -> None:
    await add_network(house.database)
    await add_outage(house.database, "OUT-2026-0001", next_update_by=NOW.replace(minute=44), eta=NOW.replace(hour=17))
    await add_impacts(house.database, "OUT-2026-0001", ("circuit", "CIR-1", "K-1", 3), ("circuit", "CIR-3", "K-2", 3))
    await add_outage(house.database, "OUT-2026-0002", public=False)
    await add_impacts(house.database, "OUT-2026-0002", ("circuit", "CIR-2", "K-1", 3))
    await add_delivery(house.database, 1, transmitting_at=NOW)
    await add_delivery(house.database, 2, address_id=3, transmitting_at=NOW)
    house.words |= {1: {"subject": "Down: Main Office", "text": "Hello Ann"}, 2: {"text": "not for Ann"}}
    text = await (await house.client.get(f"/my/{house.links.token(1)}")).text()
    assert "Your line Main Office is down since" in text
    assert "08:14 CST" in text, "in the contact's own zone"
    assert "Expected back by <strong>" in text
    assert "11:14 CST" in text
    assert "Hello Ann" in text
    assert "Warehouse" in text
    for foreign in ("High School", "not for Ann", "OUT-2026", "Bourbon"):
        assert foreign not in text


async def test_leaving_and_coming_back_on_my_page(house: WebHouse) -> None:
    await add_network(house.database)
    mine, theirs = (f"/my/{house.links.token(address)}" for address in (1, 3))
    assert "Stop writing to noc@acme.example" in await (await house.client.get(mine)).text()
    assert "Write to gone@school.example again" in await (await house.client.get(theirs)).text()
    await house.client.post(mine, data={"do": "leave"})
    await house.client.post(theirs, data={"do": "rejoin"})
    await house.client.post(mine, data={"do": "rejoin"})
    assert house.taken.left == [(1, "page")]
    assert house.taken.rejoined == [3]
    other = await house.client.post(mine, data={"do": "leave"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert other.status == 403
