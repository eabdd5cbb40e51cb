"""The JSON API as programs use it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from outagecast.domain.levels import Effect
from outagecast.domain.outage import KEEP, OutageStatus, RetractReason, Role, ScopeEntry, Severity
from tests.support.web_house import NOW, WebHouse, add_delivery, add_impacts, add_network, add_outage, add_rows

FULL = {
    "title": "Fibre cut near Georgetown",
    "scope": {"elements": ["POP-LEX", {"id": "LNK-1", "effect": "degraded"}], "areas": ["Scott"]},
    "effect": "outage",
    "severity": "critical",
    "status": "identified",
    "cause": "A backhoe",
    "cause_code": "dig",
    "message": "We are on it.",
    "note": "crew called",
    "eta": "2026-03-03T11:44:00-05:00",
    "eta_from": "2026-03-03T11:00:00-05:00",
    "next_update_in": "30m",
    "started_at": "2026-03-03T14:02:00Z",
    "estimated_customers": 40,
    "external_ref": "JIRA-7",
    "owner": "ann",
    "kind": "outage",
    "undo_for": "10s",
    "release": True,
    "at_risk_until": None,
}


async def call(house: WebHouse, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, Any]:
    given = {**await house.bearer(), **{name.replace("_", "-"): value for name, value in headers.items()}}
    answer = await house.client.request(method, f"/api/v1{path}", json=body, headers=given)
    return answer.status, await answer.json(content_type=None) if answer.status != 204 else None, answer.headers


async def test_declaring_says_everything_the_body_holds(house: WebHouse) -> None:
    status, said, headers = await call(house, "POST", "/outages", FULL)
    assert status == 201
    verb, declaration, how = house.verbs.done[-1]
    assert verb == "declare"
    assert declaration.title == FULL["title"]
    assert declaration.scope == (
        ScopeEntry(kind="element", id="POP-LEX", effect=Effect.OUTAGE),
        ScopeEntry(kind="element", id="LNK-1", effect=Effect.DEGRADED),
        ScopeEntry(kind="area", id="Scott", effect=Effect.OUTAGE),
    )
    assert declaration.eta == datetime(2026, 3, 3, 16, 44, tzinfo=UTC)
    assert (declaration.severity, declaration.status) == (Severity.CRITICAL, OutageStatus.IDENTIFIED)
    assert declaration.next_update_in == 1800
    assert declaration.external_ref == "JIRA-7"
    assert how["undo_for"] == timedelta(seconds=10)
    assert how["actor"].role is Role.OPERATOR
    assert said["id"] == "OUT-2026-0101"
    assert said["status"] == "identified"
    assert said["revision"] == 1
    assert said["state"] == "pending"
    assert said["planned"] == {"email": 2, "sms": 1}
    assert said["impact"] == {"customers": 0, "circuits": 0, "services": 0, "by_level": {}}
    assert said["eta"] == "2026-03-03T16:44:00Z"
    assert headers["Location"] == "/api/v1/outages/OUT-2026-0101"
    assert headers["ETag"] == '"1"'


async def test_the_least_is_a_title_and_a_scope(house: WebHouse) -> None:
    assert (await call(house, "POST", "/outages", {"title": "x", "scope": {"elements": ["POP-LEX"]}}))[0] == 201
    _, declaration, how = house.verbs.done[-1]
    assert (declaration.severity, declaration.effect, declaration.release) == (Severity.MAJOR, Effect.OUTAGE, True)
    assert how["undo_for"] == timedelta(0)


async def test_the_same_key_is_done_once(house: WebHouse) -> None:
    first = await call(house, "POST", "/outages", FULL, Idempotency_Key="k1")
    second = await call(house, "POST", "/outages", FULL, Idempotency_Key="k1")
    other = await call(house, "POST", "/outages", {**FULL, "title": "y"}, Idempotency_Key="k1")
    assert (first[0], second[0], other[0]) == (201, 200, 422)
    assert first[1]["id"] == second[1]["id"]
    assert len(house.verbs.done) == 1


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"title": ""}, "title", "at least 1"),
        ({"title": 7}, "title", "string"),
        ({"titel": "x"}, "titel", "did you mean title?"),
        ({"scope": {"element": ["POP-LEX"]}}, "scope.element", "did you mean elements?"),
        ({"scope": {"elements": [7]}}, "scope.elements[0]", "string"),
        ({"scope": {"elements": [{"id": "A", "effect": "gone"}]}}, "scope.elements[0].effect", "degraded"),
        ({"scope": {"elements": "POP-LEX"}}, "scope.elements", "tuple"),
        ({"severity": "huge"}, "severity", "critical"),
        ({"status": "resolved"}, "status", "investigating"),
        ({"eta": "2026-03-03T11:44:00"}, "eta", "with its offset"),
        ({"eta": "2026-02-30T11:44:00Z"}, "eta", "exists"),
        ({"eta": 1772547240}, "eta", "with its offset"),
        ({"next_update_in": "soon"}, "next_update_in", "is not a duration"),
        ({"next_update_in": -1}, "next_update_in", "between"),
        ({"undo_for": True}, "undo_for", "duration"),
        ({"estimated_customers": 1.5}, "estimated_customers", "int"),
        ({"release": "yes"}, "release", "boolean"),
        ({"kind": "maintenance"}, "kind", "outage"),
    ],
)
async def test_each_mistake_is_named(house: WebHouse, change: dict[str, Any], field: str, says: str) -> None:
    status, said, headers = await call(house, "POST", "/outages", {**FULL, **change})
    assert status == 422
    assert headers["Content-Type"].startswith("application/problem+json")
    assert [error["field"] for error in said["errors"]] == [field]
    assert says in said["errors"][0]["message"]
    assert house.verbs.done == []


async def test_all_mistakes_come_at_once(house: WebHouse) -> None:
    _, said, _ = await call(house, "POST", "/outages", {"severity": "huge", "eta": "x"})
    assert {error["field"] for error in said["errors"]} == {"title", "scope", "severity", "eta"}


async def test_what_the_engine_refuses_keeps_its_field(house: WebHouse) -> None:
    status, said, _ = await call(house, "POST", "/outages", {"title": "x", "scope": {"elements": ["NOPE"]}})
    assert status == 422
    assert said["errors"] == [{"field": "scope.elements[0]", "message": "no element NOPE"}]


async def test_an_update_says_only_what_it_names(house: WebHouse) -> None:
    await add_outage(house.database, "OUT-2026-0001", effect="degraded", revision=4)
    status, said, _ = await call(house, "POST", "/outages/OUT-2026-0001/updates", {"message": "Crew on site."})
    assert status == 201
    assert said["revision"] == 5
    change = house.verbs.done[-1][1]
    assert (change.message, change.eta, change.eta_from, change.status, change.scope) == (
        "Crew on site.",
        KEEP,
        KEEP,
        None,
        None,
    )
    await call(
        house,
        "POST",
        "/outages/OUT-2026-0001/updates",
        {"eta": None, "scope_add": {"circuits": ["CIR-1"]}, "tell": False},
    )
    change = house.verbs.done[-1][1]
    assert change.eta is None
    assert change.tell is False
    assert change.scope_add == (ScopeEntry(kind="circuit", id="CIR-1", effect=Effect.DEGRADED),)


async def test_scope_is_the_whole_or_its_changes(house: WebHouse) -> None:
    await add_outage(house.database, "OUT-2026-0001")
    both = {"scope": {"elements": ["A"]}, "scope_add": {"elements": ["B"]}}
    status, said, _ = await call(house, "POST", "/outages/OUT-2026-0001/updates", both)
    assert (status, said["errors"][0]["field"]) == (422, "scope")


async def test_whoever_was_slower_is_told(house: WebHouse) -> None:
    await add_outage(house.database, "OUT-2026-0001", revision=3)
    for match, expected in (('"2"', 412), ("2", 412), ('W/"3"', 201), ("*", 201), ("x", 400)):
        status, _, _ = await call(house, "POST", "/outages/OUT-2026-0001/updates", {"message": "x"}, If_Match=match)
        assert status == expected, match


async def test_the_other_verbs_reach_the_engine(house: WebHouse) -> None:
    await add_outage(house.database, "OUT-2026-0001")
    path = "/outages/OUT-2026-0001"
    calls: list[tuple[str, dict[str, Any], int]] = [
        ("restore", {"scope": {"circuits": ["CIR-1"]}, "restored_at": "2026-03-03T14:00:00Z"}, 201),
        ("hold", {"reason": "wait"}, 200),
        ("unhold", {}, 200),
        ("merge", {"into": "OUT-2026-0002"}, 201),
        ("release", {}, 200),
        ("undo", {}, 200),
        ("resolve", {"message": "Over", "cause": "dig", "resolved_at": "2026-03-03T14:10:00Z"}, 201),
        ("reopen", {"message": "Again"}, 201),
        ("retract", {"reason": "not_affected"}, 201),
    ]
    for verb, body, expected in calls:
        status, said, _ = await call(house, "POST", f"{path}/{verb}", body)
        assert status == expected, (verb, said)
        assert said["id"] == "OUT-2026-0001"
        if verb == "hold":
            assert said["hold"] == "wait"
    assert [verb for verb, _, _ in house.verbs.done] == [verb for verb, _, _ in calls]
    by_verb = {verb: what for verb, what, _ in house.verbs.done}
    assert by_verb["retract"].reason is RetractReason.NOT_AFFECTED
    assert by_verb["resolve"].resolved_at == datetime(2026, 3, 3, 14, 10, tzinfo=UTC)
    assert by_verb["merge"] == "OUT-2026-0002"


async def test_an_unknown_outage_is_404_and_a_late_undo_409(house: WebHouse) -> None:
    for method, verb in (
        ("GET", ""),
        ("POST", "/updates"),
        ("POST", "/resolve"),
        ("GET", "/deliveries"),
        ("GET", "/timeline"),
    ):
        status, said, _ = await call(house, method, f"/outages/OUT-2026-0009{verb}", {} if method == "POST" else None)
        assert (status, said["title"]) == (404, "Not Found")
    await add_outage(house.database, "OUT-2026-0001")
    await call(house, "POST", "/outages/OUT-2026-0001/undo")
    assert (await call(house, "POST", "/outages/OUT-2026-0001/undo"))[0] == 409


async def test_pausing_and_resuming(house: WebHouse) -> None:
    assert (await call(house, "POST", "/pause", {"reason": "wrong words"}))[1] == {
        "paused": True,
        "reason": "wrong words",
    }
    assert (await call(house, "POST", "/resume"))[1] == {"paused": False, "reason": ""}
    assert [verb for verb, _, _ in house.verbs.done] == ["pause", "resume"]


async def test_a_preview_stores_nothing(house: WebHouse) -> None:
    status, said, _ = await call(house, "POST", "/preview", FULL)
    assert status == 200
    assert said["impact"]["customers"] == 1204
    assert said["impact"]["by_level"]["outage"]["contacts"] == 1400
    assert said["channels"]["sms"] == {"messages": 640, "segments": 1280}
    assert said["unreachable_count"] == 14
    assert len(said["samples"]) == 2
    assert said["last_leaves_at"]["email"] == "2026-03-03T14:14:08Z"
    assert (await call(house, "GET", "/outages"))[1]["outages"] == []


async def test_lists_show_who_is_touched_and_who_was_told(house: WebHouse) -> None:
    await add_network(house.database)
    await add_outage(house.database, "OUT-2026-0001", next_update_by=NOW + timedelta(minutes=30))
    await add_impacts(
        house.database,
        "OUT-2026-0001",
        ("circuit", "CIR-1", "K-1", 3),
        ("circuit", "CIR-2", "K-1", 2),
        ("circuit", "CIR-3", "K-2", 2),
        ("service", "voice", "K-2", 1),
    )
    await add_impacts(house.database, "OUT-2026-0001", ("circuit", "CIR-4", "K-2", 3), to_at=NOW)
    for number, (channel, state) in enumerate([("email", "accepted"), ("email", "accepted"), ("sms", "failed")], 1):
        await add_delivery(house.database, number, channel=channel, state=state, address_id=number)
    await add_delivery(house.database, 9, audience="staff", kind="reminder")
    said = (await call(house, "GET", "/outages/OUT-2026-0001"))[1]
    assert said["impact"] == {
        "customers": 2,
        "circuits": 3,
        "services": 1,
        "by_level": {
            "outage": {"customers": 1, "circuits": 1},
            "degraded": {"customers": 1, "circuits": 2},
            "reduced_redundancy": {"services": 1},
        },
    }
    assert said["deliveries"] == {"email": {"accepted": 2}, "sms": {"failed": 1}}
    assert said["next_update_by"] == "2026-03-03T14:44:00Z"
    assert said["scope"] == [{"kind": "element", "id": "POP-LEX", "effect": "outage"}]


async def test_pages_of_outages_by_status(house: WebHouse) -> None:
    for number in range(1, 6):
        status = "resolved" if number == 3 else "draft" if number == 4 else "monitoring"
        await add_outage(house.database, f"OUT-2026-{number:04d}", status=status)
    seen: list[str] = []
    cursor = ""
    while True:
        _, said, _ = await call(house, "GET", f"/outages?status=open&limit=2{cursor}")
        seen += [item["id"] for item in said["outages"]]
        if said["next_cursor"] is None:
            break
        cursor = f"&cursor={said['next_cursor']}"
    assert seen == ["OUT-2026-0005", "OUT-2026-0002", "OUT-2026-0001"]
    assert [o["id"] for o in (await call(house, "GET", "/outages?status=draft,resolved"))[1]["outages"]] == [
        "OUT-2026-0004",
        "OUT-2026-0003",
    ]
    assert len((await call(house, "GET", "/outages"))[1]["outages"]) == 5
    assert (await call(house, "GET", "/outages?status=broken"))[0] == 422
    assert (await call(house, "GET", "/outages?cursor=x"))[0] == 400
    assert (await call(house, "GET", "/outages?limit=0"))[0] == 400


async def test_deliveries_with_their_attempts_and_words(house: WebHouse) -> None:
    await add_network(house.database)
    await add_outage(house.database, "OUT-2026-0001")
    await add_delivery(house.database, 1, state="accepted", ambiguous=1, transmitting_at=NOW)
    await add_delivery(house.database, 2, state="suppressed", reason="opted_out", channel="sms", address_id=2)
    await add_rows(
        house.database,
        notices=[{"delivery_id": 1, "customer_id": "K-1"}, {"delivery_id": 1, "customer_id": "K-2"}],
        attempts=[
            {"key": "b", "delivery_id": 1, "number": 2, "started_at": NOW, "outcome": "accepted", "ambiguous": False},
            {"key": "a", "delivery_id": 1, "number": 1, "started_at": NOW, "outcome": "ambiguous", "ambiguous": True},
        ],
    )
    house.words[1] = {"subject": "Down", "text": "Hello", "html": "<p>Hello</p>"}
    said = (await call(house, "GET", "/outages/OUT-2026-0001/deliveries"))[1]
    first, second = said["deliveries"]
    assert [(attempt["number"], attempt["ambiguous"]) for attempt in first["attempts"]] == [(1, True), (2, False)]
    assert first["words"] == house.words[1]
    assert first["customers"] == ["K-1", "K-2"]
    assert first["contact"] == "Ann Dole"
    assert first["ambiguous"] is True
    assert (second["reason"], second["words"], second["attempts"]) == ("opted_out", None, [])
    only = (await call(house, "GET", "/outages/OUT-2026-0001/deliveries?state=suppressed&channel=sms"))[1]
    assert [item["id"] for item in only["deliveries"]] == [2]
    page = (await call(house, "GET", "/outages/OUT-2026-0001/deliveries?limit=1"))[1]
    rest = (await call(house, "GET", f"/outages/OUT-2026-0001/deliveries?limit=1&cursor={page['next_cursor']}"))[1]
    assert [item["id"] for item in rest["deliveries"]] == [2]
    assert rest["next_cursor"] is None


async def test_impacts_and_timeline(house: WebHouse) -> None:
    await add_network(house.database)
    await add_outage(house.database, "OUT-2026-0001")
    await add_impacts(house.database, "OUT-2026-0001", ("circuit", "CIR-1", "K-1", 3), ("service", "voice", "K-2", 2))
    await add_rows(
        house.database,
        texts=[{"id": 1, "text": "splice at 11"}],
        timeline=[
            {"at": NOW, "outage_id": "OUT-2026-0001", "what": "declared", "text_id": None},
            {"at": NOW, "outage_id": "OUT-2026-0001", "what": "note", "text_id": 1},
        ],
    )
    found = (await call(house, "GET", "/outages/OUT-2026-0001/impacts"))[1]["impacts"]
    assert [(item["label"], item["level"], item["customer"]) for item in found] == [
        ("Main Office", "outage", "Acme Manufacturing"),
        ("Voice", "degraded", "Bourbon County Schools"),
    ]
    assert found[0]["because"] == ["POP-LEX"]
    lines = (await call(house, "GET", "/outages/OUT-2026-0001/timeline"))[1]["timeline"]
    assert [(line["what"], line["text"]) for line in lines] == [("declared", None), ("note", "splice at 11")]


async def test_the_inventory_by_its_own_role(house: WebHouse) -> None:
    headers = await house.bearer(Role.INVENTORY)
    body = {"name": "Acme", "language": "en"}
    answer = await house.client.put("/api/v1/customers/K-9", json=body, headers=headers)
    assert answer.status == 201, await answer.text()
    assert (await answer.json())["name"] == "Acme"
    again = await house.client.put(
        "/api/v1/customers/K-9", json={**body, "id": "K-9", "name": "Acme Inc"}, headers=headers
    )
    assert again.status == 200
    assert (await house.client.get("/api/v1/customers/K-9", headers=headers)).status == 200
    other = await house.client.put("/api/v1/customers/K-9", json={"id": "K-8"}, headers=headers)
    assert (other.status, (await other.json())["errors"][0]["field"]) == (422, "id")
    assert (await house.client.delete("/api/v1/customers/K-9", headers=headers)).status == 204
    assert (await house.client.get("/api/v1/customers/NOPE", headers=headers)).status == 404
    assert (await house.client.get("/api/v1/monsters/M-1", headers=headers)).status == 404
    assert (await house.client.get("/api/v1/outages", headers=headers)).status == 403


async def test_the_document_is_valid_and_describes_what_is_answered(house: WebHouse) -> None:
    document = await (await house.client.get("/api/v1/openapi.json")).json()
    validate(document)
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]["/api/v1/outages"]) == {"get", "post"}
    schemas = document["components"]["schemas"]
    assert schemas["DeclareBody"]["required"] == ["title", "scope"]
    assert schemas["DeclareBody"]["additionalProperties"] is False
    _, said, _ = await call(house, "POST", "/outages", FULL)
    for name, value in (
        ("ToldAnswer", said),
        ("DeclareBody", FULL),
        ("PreviewAnswer", (await call(house, "POST", "/preview", FULL))[1]),
    ):
        OAS31Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]}).validate(value)
    page = await (await house.client.get("/api/docs")).text()
    for path in document["paths"]:
        assert path in page
