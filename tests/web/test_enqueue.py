"""`POST /v2/enqueue`: systems that speak PagerDuty's Events v2 are answered as they expect."""

from typing import Any

import pytest

from outagecast.domain.event import EventAction
from outagecast.domain.outage import Severity
from outagecast.web.hooks import AT_ONCE
from outagecast.web.services import DOORS
from tests.support.web_house import HOOK_TOKEN, WebHouse

TRIGGER: dict[str, Any] = {
    "payload": {
        "summary": "DISK at 99% on machine prod-datapipe03.example.com",
        "timestamp": "2015-07-17T08:42:58.315+0000",
        "severity": "critical",
        "source": "prod-datapipe03.example.com",
        "component": "mysql",
        "custom_details": {"free space": "1%", "load avg": 0.75},
    },
    "routing_key": HOOK_TOKEN,
    "dedup_key": "srv01/mysql",
    "event_action": "trigger",
    "client": "Sample Monitoring Service",
    "client_url": "https://monitoring.service.com",
    "links": [{"href": "http://pagerduty.example.com", "text": "An example link."}],
}


async def enqueue(house: WebHouse, body: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    answer = await house.client.post("/v2/enqueue", json=body, headers=headers)
    return answer.status, await answer.json()


async def test_the_documented_event_is_taken_and_answered_to_the_letter(house: WebHouse) -> None:
    assert await enqueue(house, TRIGGER) == (
        202,
        {"status": "success", "message": "Event processed", "dedup_key": "srv01/mysql"},
    )
    _, events, raw = house.taken.events[0]
    (event,) = events
    assert (event.dedup_key, event.action, event.severity) == ("srv01/mysql", EventAction.TRIGGER, Severity.CRITICAL)
    assert event.summary == "DISK at 99% on machine prod-datapipe03.example.com"
    assert event.hints == {"element": ("prod-datapipe03.example.com",)}
    assert event.link == "http://pagerduty.example.com"
    assert event.occurred_at is not None
    assert event.occurred_at.year == 2015
    assert HOOK_TOKEN.encode() not in raw, "the secret is not kept with the event"


async def test_details_name_what_is_down(house: WebHouse) -> None:
    details = {"circuit": "CIR-1", "element": "POP-LEX"}
    body = TRIGGER | {"payload": TRIGGER["payload"] | {"custom_details": details}}
    assert (await enqueue(house, body))[0] == 202
    assert house.taken.events[0][1][0].hints == {"circuit": ("CIR-1",), "element": ("POP-LEX",)}


async def test_an_alert_without_a_key_gets_one_and_a_resolve_needs_it(house: WebHouse) -> None:
    without = {name: value for name, value in TRIGGER.items() if name != "dedup_key"}
    status, said = await enqueue(house, without)
    assert status == 202
    resolve = {"routing_key": HOOK_TOKEN, "event_action": "resolve", "dedup_key": said["dedup_key"]}
    assert (await enqueue(house, resolve))[0] == 202
    assert [events[0].action for _, events, _ in house.taken.events] == [EventAction.TRIGGER, EventAction.RESOLVE]
    assert house.taken.events[0][1][0].dedup_key == house.taken.events[1][1][0].dedup_key == said["dedup_key"]
    status, said = await enqueue(house, {"routing_key": HOOK_TOKEN, "event_action": "acknowledge"})
    assert (status, said["status"]) == (400, "invalid event")
    assert said["errors"] == ["dedup_key is missing: which alert is it?"]


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        (TRIGGER | {"routing_key": "wrong"}, ["routing_key is not the token of a monitor"]),
        (TRIGGER | {"routing_key": ""}, ["routing_key is not the token of a monitor"]),
        (TRIGGER | {"routing_key": {"a": 1}}, ["routing_key is not the token of a monitor"]),
        (
            {"routing_key": HOOK_TOKEN, "event_action": "shout", "dedup_key": 7},
            [
                "event_action is none of trigger, acknowledge, resolve",
                "dedup_key is not a text of at most 255 characters",
            ],
        ),
        (TRIGGER | {"payload": "text"}, ["payload.summary is missing or blank"]),
        (TRIGGER | {"dedup_key": "k" * 256}, ["dedup_key is not a text of at most 255 characters"]),
        ([TRIGGER], ["the event is not a JSON object"]),
    ],
)
async def test_mistakes_are_all_named_and_nothing_is_taken(house: WebHouse, body: Any, errors: list[str]) -> None:
    status, said = await enqueue(house, body)
    assert (status, said["errors"]) == (400, errors)
    assert house.taken.events == []


async def test_a_broken_body_and_too_much_at_once(house: WebHouse) -> None:
    answer = await house.client.post("/v2/enqueue", data=b"{not json")
    assert answer.status == 400
    assert (await answer.json())["errors"] == ["JSON parse error"]
    assert house.client.app is not None
    house.client.app[DOORS].hooks = AT_ONCE
    busy = await house.client.post("/v2/enqueue", json=TRIGGER)
    assert busy.status == 503
    assert busy.headers["Retry-After"] == "5"


async def test_the_key_may_come_as_a_header(house: WebHouse) -> None:
    body = {name: value for name, value in TRIGGER.items() if name != "routing_key"}
    assert (await enqueue(house, body, **{"X-Routing-Key": HOOK_TOKEN}))[0] == 202
