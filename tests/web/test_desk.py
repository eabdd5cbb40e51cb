"""The desk as an engineer uses it: without scripts, by forms alone."""

import asyncio
import re
from datetime import timedelta
from html import unescape

from outagecast.domain.levels import Effect
from outagecast.domain.outage import KEEP, OutageStatus, RetractReason, Role, ScopeEntry, Severity
from tests.support.web_house import (
    NOW,
    MapChanged,
    Seen,
    WebHouse,
    add_delivery,
    add_impacts,
    add_network,
    add_outage,
    add_revision,
    add_rows,
)


async def page(house: WebHouse, path: str) -> str:
    answer = await house.client.get(path)
    assert answer.status == 200, (path, answer.status)
    return await answer.text()


async def post(house: WebHouse, path: str, expected: int, **fields: str | list[str]) -> tuple[str, str]:
    """The answer's text and where it leads."""
    pairs = [("csrf", await house.csrf())]
    for name, value in fields.items():
        pairs += [(name, one) for one in ([value] if isinstance(value, str) else value)]
    answer = await house.client.post(path, data=pairs, allow_redirects=False)
    text = await answer.text()
    assert answer.status == expected, text
    return text, answer.headers.get("Location", "")


async def looked_at(house: WebHouse, path: str, **fields: str | list[str]) -> None:
    """A change of who is touched is shown before it is sent: the first press looks, the second sends."""
    before = len(house.verbs.done)
    text, _ = await post(house, path, 200, **fields)
    assert [verb for verb, _, _ in house.verbs.done[before:]] == ["look"]
    await post(house, path, 303, seen=hidden(text, "seen"), do="send", **fields)


def hidden(text: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', text)
    assert found is not None
    return found.group(1)


DECLARE = {
    "title": "Fibre cut near Georgetown",
    "scope": "POP-LEX\nLNK-1 degraded",
    "effect": "outage",
    "severity": "critical",
    "status": "investigating",
    "eta": "+90",
    "message": "We are on it.",
}


async def test_declare_preview_send(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in()
    empty = await page(house, "/desk/declare")
    assert "Tell" not in empty.partition("<main")[2].replace("Telling", "")
    looked, _ = await post(house, "/desk/declare", 200, do="preview", key=hidden(empty, "key"), **DECLARE)
    assert "Tell 1,100 customers" in looked
    for shown in (
        "1,190",
        "1,280 segments",
        "14 customers cannot be reached",
        "does not want to be told",
        "told to those who asked for it",
        "Lexington POP",
        "1,502",
        "10:44 EST",
    ):
        assert shown in looked, shown
    assert "your line Main Office is down since 09:14 EST" in looked
    assert [verb for verb, _, _ in house.verbs.done] == ["preview"]
    sent = {**DECLARE, "key": hidden(looked, "key"), "seen": hidden(looked, "seen")}
    _, where = await post(house, "/desk/declare", 303, do="send", **sent)
    assert where == "/desk/outages/OUT-2026-0101"
    verb, declaration, how = house.verbs.done[-1]
    assert verb == "declare"
    assert how["undo_for"] is None
    assert (how["actor"].name, how["actor"].role) == ("ann", Role.OPERATOR)
    assert declaration.scope == (
        ScopeEntry(kind="element", id="POP-LEX", effect=Effect.OUTAGE),
        ScopeEntry(kind="element", id="LNK-1", effect=Effect.DEGRADED),
    )
    assert declaration.severity is Severity.CRITICAL
    assert declaration.eta == NOW + timedelta(minutes=90)
    again = await post(house, "/desk/declare", 303, do="send", **sent)
    assert again[1] == where, "twice pressed is once declared"
    after = await page(house, where)
    assert "Undo" in after
    assert "in 30 s" in after


async def test_what_was_changed_after_the_look_is_shown_again(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in()
    looked, _ = await post(house, "/desk/declare", 200, do="preview", **DECLARE)
    changed = {**DECLARE, "scope": "fiber", "seen": hidden(looked, "seen")}
    text, _ = await post(house, "/desk/declare", 200, do="send", **changed)
    assert "You changed something since the last look" in text
    assert "declare" not in [verb for verb, _, _ in house.verbs.done]
    text, _ = await post(house, "/desk/declare", 200, do="send", **DECLARE)
    assert "declare" not in [verb for verb, _, _ in house.verbs.done]


async def test_a_draft_and_a_brake(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in()
    house.verbs.preview_answer = Seen(held_because="approve_above")
    looked, _ = await post(house, "/desk/declare", 200, do="preview", **DECLARE)
    assert "Hand in for release: 1,100 customers" in looked
    _, where = await post(house, "/desk/declare", 303, do="draft", seen=hidden(looked, "seen"), **DECLARE)
    assert house.verbs.done[-1][1].release is False
    text = await page(house, where)
    assert "A draft: nobody was told." in text
    assert "Release: tell 1,100 customers" in text
    board = await page(house, "/desk")
    assert "1 draft" in board


async def test_who_may_not_release_is_told_who_may(house: WebHouse) -> None:
    await add_network(house.database)
    here = "/desk/outages/OUT-2026-0001"
    await add_outage(
        house.database, "OUT-2026-0001", status="draft", public=False, created_by="ann", held_because="approve_above"
    )
    await add_revision(house.database, "OUT-2026-0001", 1, "declare", "held", held_because="approve_above", actor="ann")
    await house.sign_in(Role.OPERATOR, "oli")
    for refusal, says, release in (
        ("needs_approver", "Someone with the approver's role releases it; you are operator.", False),
        ("second_person", "It is your own work: a second approver releases it.", False),
        ("", "Release: tell 1,100 customers", True),
    ):
        house.verbs.refusal = refusal
        seen = await page(house, here)
        assert says in unescape(seen)
        assert (f'action="{here}/release"' in seen) is release
    house.verbs.refused = "this reaches 1204 customers: above 500 a second person releases it"
    text, _ = await post(house, f"{here}/release", 403)
    assert "That was not done:" in text
    assert "above 500 a second person releases it" in text


async def test_what_only_few_asked_for_is_not_called_telling_everybody(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in()
    house.verbs.preview_answer = Seen(by_level={"reduced_redundancy": {"customers": 1204, "circuits": 1310}})
    looked, _ = await post(house, "/desk/declare", 200, do="preview", **DECLARE)
    assert "Tell those who asked for it" in looked
    assert "Tell 1,204" not in looked


async def test_mistakes_come_back_with_what_was_filled_in(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in()
    wrong = {**DECLARE, "title": "", "scope": "POP-LEXX\nBOTH", "eta": "soonish", "message": "keep <this>"}
    text, _ = await post(house, "/desk/declare", 422, do="preview", **wrong)
    said = unescape(text)
    assert "Nothing was sent." in said
    assert "no element, site, area, service, customer or circuit POP-LEXX" in said
    assert "BOTH is an element and a customer: write element:BOTH or customer:BOTH" in said
    assert "is not a time: write 14:30" in said
    assert "keep &lt;this&gt;" in text
    assert house.verbs.done == []
    named, _ = await post(house, "/desk/declare", 200, do="preview", **{**DECLARE, "scope": "customer:BOTH"})
    assert "A customer called like a POP" in named


async def test_finding_without_scripts(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in()
    text, _ = await post(house, "/desk/declare", 200, do="find", find="lex", title="kept")
    for found in ("element:POP-LEX", "element:LNK-1", "site:LEX"):
        assert f'value="{found}"' in text
    assert 'value="kept"' in text
    text, _ = await post(
        house, "/desk/declare", 200, do="preview", pick=["element:POP-LEX"], **{**DECLARE, "scope": ""}
    )
    assert house.verbs.done[-1][1].scope == (ScopeEntry(kind="element", id="POP-LEX", effect=Effect.OUTAGE),)
    for words, expected in (
        ("fayette", "area:Fayette"),
        ("voice", "service:voice"),
        ("acme", "customer:K-1"),
        ("cir-1", "circuit:CIR-1"),
    ):
        assert f'value="{expected}"' in await page(house, f"/desk/scope?q={words}")
    assert "Nothing is called" in await page(house, "/desk/scope?q=%25")


async def test_the_board_puts_the_next_promise_first(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in()
    assert "Nothing is open." in await page(house, "/desk")
    await add_outage(house.database, "OUT-2026-0001", title="Later", next_update_by=NOW + timedelta(minutes=50))
    await add_outage(
        house.database,
        "OUT-2026-0002",
        title="Soon",
        next_update_by=NOW + timedelta(minutes=6),
        eta=NOW + timedelta(hours=1),
    )
    await add_outage(house.database, "OUT-2026-0003", title="Without")
    await add_impacts(house.database, "OUT-2026-0002", ("circuit", "CIR-1", "K-1", 3), ("circuit", "CIR-3", "K-2", 3))
    await add_delivery(house.database, 1, outage_id="OUT-2026-0002")
    await add_delivery(house.database, 2, outage_id="OUT-2026-0002", state="ambiguous", address_id=2)
    text = await page(house, "/desk")
    assert "3 outages open, next promise due" in text
    assert text.index("Soon") < text.index("Later") < text.index("Without")
    assert "in 6 min" in text
    assert "1</strong> sent" in text
    assert "1</strong> unknown" in text
    house.clock.now = NOW + timedelta(minutes=7)
    late = await page(house, "/desk")
    assert "a promise is overdue" in late
    assert "Overdue" in late


async def test_pausing_shows_to_everyone(house: WebHouse) -> None:
    await house.sign_in()
    await post(house, "/desk/pause", 303, reason="wrong words")
    text = await page(house, "/desk")
    assert "All sending is paused" in text
    assert "wrong words" in text
    await post(house, "/desk/resume", 303)
    assert "All sending is paused" not in await page(house, "/desk")


async def test_an_update_from_the_page(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in()
    scope = [{"kind": "element", "id": id, "effect": "degraded"} for id in ("POP-LEX", "LNK-1")]
    await add_outage(house.database, "OUT-2026-0001", scope=scope, effect="degraded", revision=2, eta=NOW)
    await add_impacts(house.database, "OUT-2026-0001", ("circuit", "CIR-1", "K-1", 2))
    lead = {"outage_id": "OUT-2026-0001", "episode": 1, "address_id": 1, "thing_kind": "circuit", "thing_id": "CIR-1"}
    lead |= {"customer_id": "K-1", "role": "leads", "level": 2, "since_at": NOW, "contact_id": "C-1"}
    await add_rows(house.database, leads=[lead])
    here = "/desk/outages/OUT-2026-0001"
    assert "Tell 1 customer<" in await page(house, here)
    await looked_at(
        house,
        f"{here}/update",
        revision="2",
        message="Crew on site.",
        eta="12:30",
        status="identified",
        next_update_in="45",
        scope_add="voice",
        scope_remove="element:LNK-1",
        cause="dig",
    )
    verb, change, how = house.verbs.done[-1]
    assert (verb, how["if_match"], how["undo_for"]) == ("update", 2, None)
    assert change.eta == NOW.replace(hour=17, minute=30)
    assert (change.status, change.next_update_in, change.cause) == (OutageStatus.IDENTIFIED, 2700, "dig")
    assert change.scope_add == (ScopeEntry(kind="service", id="voice", effect=Effect.DEGRADED),)
    assert change.scope_remove == (ScopeEntry(kind="element", id="LNK-1", effect=Effect.DEGRADED),)
    await post(house, f"{here}/update", 303, revision="3", message="only words", status="investigating")
    assert house.verbs.done[-1][1].eta is KEEP
    await post(house, f"{here}/update", 303, revision="4", withdraw="yes", status="investigating")
    assert house.verbs.done[-1][1].eta is None


async def test_the_changed_map_is_applied_by_naming_the_scope_again(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in()
    scope = [{"kind": "element", "id": "POP-LEX", "effect": "outage"}]
    await add_outage(house.database, "OUT-2026-0001", scope=scope, revision=3)
    here = "/desk/outages/OUT-2026-0001"
    assert "The map changed" not in await page(house, here)
    house.verbs.map_answer = MapChanged(more=12, fewer=3)
    text = await page(house, here)
    assert "The map changed: 12 more, 3 fewer." in text
    assert "Look at the 15 lines" in text
    await looked_at(house, f"{here}/remap", revision="3")
    verb, change, how = house.verbs.done[-1]
    assert (verb, how["if_match"], how["undo_for"]) == ("update", 3, None)
    assert change.scope == (ScopeEntry(kind="element", id="POP-LEX", effect=Effect.OUTAGE),)
    assert (change.message, change.tell) == ("", True)
    await house.client.post("/desk/sign-out", data={"csrf": await house.csrf()})
    await house.sign_in(Role.VIEWER, "vic")
    seen = await page(house, here)
    assert "The map changed" in seen
    assert "Look at the" not in seen


async def test_a_colleague_who_was_quicker_is_not_talked_over(house: WebHouse) -> None:
    await house.sign_in()
    await add_outage(house.database, "OUT-2026-0001", revision=5)
    text, _ = await post(
        house, "/desk/outages/OUT-2026-0001/update", 412, revision="4", message="my words", status="investigating"
    )
    assert "at revision 5 now" in text
    assert "my words" in text
    assert house.verbs.done == []


async def test_every_other_button(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in()
    await add_outage(house.database, "OUT-2026-0001")
    here = "/desk/outages/OUT-2026-0001"
    text, _ = await post(house, f"{here}/restore", 422)
    assert "tick what is back" in text
    await looked_at(
        house, f"{here}/restore", restored="element:POP-LEX", restored_at="-20", restore_also="circuit:CIR-1"
    )
    restoration = house.verbs.done[-1][1]
    assert [entry.id for entry in restoration.scope] == ["POP-LEX", "CIR-1"]
    assert restoration.restored_at == NOW - timedelta(minutes=20)
    await post(house, f"{here}/hold", 303, hold_reason="wait")
    assert "Its messages are held" in await page(house, here)
    for verb, fields in (
        ("unhold", {}),
        ("release", {}),
        ("undo", {}),
        ("resolve", {"resolved_at": "09:00", "resolve_cause": "dig"}),
        ("reopen", {}),
        ("retract", {"reason": "not_affected"}),
    ):
        await post(house, f"{here}/{verb}", 303, **fields)
        assert house.verbs.done[-1][0] == verb
    await looked_at(house, f"{here}/merge", into="OUT-2026-0002")
    by_verb = {verb: what for verb, what, _ in house.verbs.done}
    assert by_verb["resolve"].resolved_at == NOW.replace(minute=0)
    assert by_verb["retract"].reason is RetractReason.NOT_AFFECTED
    await post(house, f"{here}/undo", 303)
    text, _ = await post(house, f"{here}/undo", 409)
    assert "nothing can be undone" in text


async def test_a_viewer_looks_and_has_no_buttons(house: WebHouse) -> None:
    await add_outage(house.database, "OUT-2026-0001")
    await house.sign_in(Role.VIEWER)
    for path in ("/desk", "/desk/outages/OUT-2026-0001"):
        text = await page(house, path)
        assert re.findall(r'<form method="post" (?:class="\w+" )?action="([^"]+)"', text) in ([], ["/desk/sign-out"])
        assert "/desk/declare" not in text


async def test_who_was_told_what(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in()
    await add_outage(house.database, "OUT-2026-0001")
    await add_revision(house.database, "OUT-2026-0001", 1, "declare", "effective")
    await add_delivery(house.database, 1, ambiguous=1, state="accepted", transmitting_at=NOW)
    await add_delivery(house.database, 2, channel="sms", address_id=2, to="", state="suppressed", reason="no_address")
    await add_rows(
        house.database,
        attempts=[
            {"key": "a", "delivery_id": 1, "number": 1, "started_at": NOW, "outcome": "ambiguous", "ambiguous": True}
        ],
    )
    house.words[1] = {"subject": "Down: Main Office", "text": "Hello <Ann>"}
    text = await page(house, "/desk/outages/OUT-2026-0001")
    for shown in ("noc@acme.example", "Hello &lt;Ann&gt;", "ambiguous", "no address", "accepted"):
        assert shown in text
    only = await page(house, "/desk/outages/OUT-2026-0001?state=suppressed&channel=sms")
    assert "noc@acme.example" not in only.partition('id="told"')[2]


async def test_live_pages_hear_of_changes_and_let_the_server_stop(house: WebHouse) -> None:
    await house.sign_in()
    stream = await house.client.get("/desk/events", headers={"Accept": "text/event-stream"})
    assert stream.status == 200
    assert stream.content_type == "text/event-stream"
    async with asyncio.timeout(5):
        while (await stream.content.readline()) != b"data: hello\n":
            pass
        house.changes.notify()
        while (await stream.content.readline()) != b"data: look\n":
            pass
        await house.client.server.runner.shutdown()  # type: ignore[union-attr]
        while await stream.content.readline():
            pass
