"""The board, what stands over every page, the way back, the hand-over, zones and keys: by forms alone, no scripts."""

import asyncio
import re
from datetime import datetime, timedelta
from html import unescape
from typing import Any

from sqlalchemy import insert

from outagecast.domain.outage import Role
from outagecast.storage import tables
from outagecast.web.desk.events import MOST_STREAMS
from outagecast.web.services import DOORS
from tests.support.web_house import (
    NOW,
    WebHouse,
    add_delivery,
    add_impacts,
    add_network,
    add_outage,
    add_revision,
    add_rows,
)

HERE = "/desk/outages/OUT-2026-0001"


async def page(house: WebHouse, path: str) -> str:
    answer = await house.client.get(path)
    assert answer.status == 200, (path, answer.status)
    return await answer.text()


async def post(house: WebHouse, path: str, expected: int, **fields: str) -> tuple[str, str]:
    answer = await house.client.post(path, data={"csrf": await house.csrf(), **fields}, allow_redirects=False)
    text = await answer.text()
    assert answer.status == expected, text
    return text, answer.headers.get("Location", "")


def words(html: str) -> str:
    """What a page says, without its tags."""
    said = " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())
    return re.sub(r"(?<=\() | (?=[):.,;])", "", said)


def part(html: str, id: str) -> str:
    """From an element's id to the next heading of the same rank, in words."""
    return words("<x " + html.partition(f'id="{id}"')[2].split("<h2")[0])


async def add_line(house: WebHouse, what: str, at: datetime, **values: Any) -> None:
    row = {"at": at, "actor_kind": "staff", "actor": "bea", "what": what, "why": "", "data": None, **values}
    async with house.database.write() as conn:
        await conn.execute(insert(tables.timeline).values(row))


async def test_each_open_outage_says_when_it_must_speak_how_often_its_estimate_moved_and_whom_it_touches(
    house: WebHouse,
) -> None:
    await add_network(house.database)
    await house.sign_in()
    await add_outage(
        house.database,
        "OUT-2026-0001",
        title="Cut near Paris",
        next_update_by=NOW + timedelta(minutes=6),
        eta=NOW + timedelta(hours=1),
        eta_slips=2,
        strikes=1,
        owner="bea",
    )
    await add_impacts(house.database, "OUT-2026-0001", ("circuit", "CIR-1", "K-1", 3), ("circuit", "CIR-3", "K-2", 3))
    said = words(await page(house, "/desk"))
    for shown in (
        "1 outage open, next promise due in 6 min (OUT-2026-0001)",
        "by 09:20 EST",
        "10:14 EST in 1 h 00 min moved 2 times",
        "2 2 circuits",
        "bea has it",
        "1 holding notice since the desk spoke",
    ):
        assert shown in said, shown


async def test_what_is_overdue_stands_at_the_top_in_words(house: WebHouse) -> None:
    await house.sign_in()
    await add_outage(house.database, "OUT-2026-0001", title="Later", next_update_by=NOW + timedelta(minutes=50))
    await add_outage(
        house.database,
        "OUT-2026-0002",
        title="Late",
        next_update_by=NOW - timedelta(minutes=3),
        eta=NOW - timedelta(minutes=9),
    )
    text = await page(house, "/desk")
    said = words(text)
    assert said.index("Late ■") < said.index("Later ■")
    assert "a promise is overdue (OUT-2026-0002), next promise due in 50 min (OUT-2026-0001)" in said
    assert "‼ Overdue 3 min ago by 09:11 EST" in said
    assert "‼ passed 09:05 EST" in said
    assert "<title>‼ 1 overdue, 2 open" in text
    row = text.partition('<tr class="late">')[2].partition("</tr>")[0]
    assert "Late" in row
    assert "Later" not in row


async def test_texts_that_wait_for_the_morning_are_not_on_the_way(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in()
    await add_outage(house.database, "OUT-2026-0001")
    morning = NOW + timedelta(hours=6)
    await add_delivery(house.database, 1, state="planned")
    await add_delivery(house.database, 2, state="planned", channel="sms", address_id=2, due_at=morning)
    await add_delivery(house.database, 3, state="planned", address_id=3, due_at=NOW + timedelta(minutes=1), attempt=1)
    said = words(await page(house, "/desk"))
    assert "2 on the way" in said, "one is due, one is tried again"
    assert "1 after quiet hours" in said


async def test_what_waits_for_a_person_says_from_whom_and_why(house: WebHouse) -> None:
    await house.sign_in()
    await add_outage(
        house.database, "OUT-2026-0001", status="draft", public=False, title="From a monitor", monitor="prtg"
    )
    await add_outage(
        house.database,
        "OUT-2026-0002",
        status="draft",
        public=False,
        title="Too loud",
        created_by="cal",
        held_because="approve_above",
    )
    await add_outage(house.database, "OUT-2026-0003", title="Open one")
    await add_revision(
        house.database, "OUT-2026-0003", 2, "update", "held", held_because="link_hosts", actor="dan", effective_at=None
    )
    text = await page(house, "/desk")
    assert "2 drafts and 1 step wait for you." in words(text)
    said = part(text, "waiting")
    for shown in (
        "From a monitor OUT-2026-0001 a draft: nobody was told prtg a monitor opened it: look and release",
        "cal it reaches more customers than may be told without a second look",
        "Open one OUT-2026-0003 a step of it: update dan it links to a host that is not ours",
    ):
        assert shown in said, shown


async def test_what_did_not_arrive_stays_until_somebody_has_seen_to_it(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in()
    await add_outage(house.database, "OUT-2026-0001", title="Cut near Paris")
    await add_delivery(house.database, 1, state="failed")
    await add_delivery(house.database, 2, state="undelivered", channel="sms", address_id=2, customer_id="K-2")
    await add_delivery(house.database, 3, state="failed", address_id=3)
    await add_delivery(house.database, 4, state="failed", audience="staff", address_id=None)
    text = await page(house, "/desk")
    assert "3 messages did not arrive." in words(text)
    assert f'href="{HERE}?state=failed#told"' in text
    await add_rows(
        house.database,
        handled=[{"delivery_id": 1, "at": NOW, "actor": "bea"}],
        redeliveries=[{"delivery_id": 9, "of_id": 2, "how": "retried", "at": NOW, "actor": "bea"}],
    )
    assert "1 message did not arrive." in words(await page(house, "/desk"))


async def test_every_page_says_that_all_is_paused_by_whom_since_when_and_why(house: WebHouse) -> None:
    await add_network(house.database)
    await add_outage(house.database, "OUT-2026-0001")
    await house.sign_in(Role.OPERATOR, "bea")
    await post(house, "/desk/pause", 303, reason="twice <each>")
    async with house.database.write() as conn:
        await conn.execute(insert(tables.meta).values(key="paused_at", value=str(int(NOW.timestamp() * 1_000_000))))
    for path in ("/desk", HERE, "/desk/declare", "/desk/handover", "/desk/keys", "/desk/zone", "/desk/look"):
        text = await page(house, path)
        assert "All sending is paused by bea since 09:14 EST: twice <each>" in words(text), path
        assert 'action="/desk/resume"' in text, path
    await post(house, "/desk/resume", 303)
    assert "All sending is paused" not in await page(house, HERE)
    assert "● Sending" in words(await page(house, HERE))


async def test_every_page_says_what_is_held_by_hand(house: WebHouse) -> None:
    await house.sign_in()
    await add_outage(house.database, "OUT-2026-0001", hold_reason="legal reads it")
    await add_outage(house.database, "OUT-2026-0002", hold_reason="over", status="resolved", ended_at=NOW)
    await add_line(house, "held", NOW - timedelta(hours=3), outage_id="OUT-2026-0001", actor="cal")
    await add_line(house, "held", NOW - timedelta(minutes=4), outage_id="OUT-2026-0001")
    for path in ("/desk", "/desk/declare", "/desk/handover"):
        said = words(await page(house, path))
        assert "OUT-2026-0001 is held by bea since 09:10 EST: legal reads it" in said, path
        assert "OUT-2026-0002 is held" not in said


async def test_a_way_out_that_is_down_is_said_on_every_page(house: WebHouse) -> None:
    await house.sign_in()
    house.routes["sms"] = Down(NOW - timedelta(minutes=5), "connection refused")
    for path in ("/desk", "/desk/keys"):
        said = words(await page(house, path))
        assert "SMS: nothing has left since 09:09 EST: connection refused" in said
    house.routes["sms"] = Down(None, "")
    assert "nothing has left" not in await page(house, "/desk")


async def test_the_way_back_is_on_every_page_with_its_clock_time(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in()
    await add_outage(house.database, "OUT-2026-0001", title="Cut near Paris", public=False)
    await add_revision(
        house.database, "OUT-2026-0001", 1, "declare", "pending", effective_at=NOW + timedelta(seconds=24)
    )
    for path in ("/desk", HERE, "/desk/handover"):
        text = await page(house, path)
        said = words(text)
        assert "Nothing of the last step has left yet. OUT-2026-0001 Cut near Paris: declared by ann." in said
        assert "It leaves in 24 s at 09:14:24 EST" in said, "who has no scripts reads when"
        assert text.count(f'action="{HERE}/undo"') == 1
        assert '<input type="hidden" name="step" value="1">' in text
    await post(house, f"{HERE}/undo", 303, step="1")
    assert house.verbs.done[-1][0] == "undo"
    house.clock.now = NOW + timedelta(seconds=25)
    assert "Nothing of the last step" not in await page(house, "/desk")


async def test_two_ways_back_are_told_apart(house: WebHouse) -> None:
    await house.sign_in()
    for number in (1, 2):
        id = f"OUT-2026-000{number}"
        await add_outage(house.database, id)
        await add_revision(house.database, id, 2, "update", "pending", effective_at=NOW + timedelta(seconds=9))
    await add_revision(
        house.database, "OUT-2026-0001", 3, "resolve", "pending", effective_at=NOW + timedelta(seconds=20)
    )
    text = await page(house, "/desk")
    assert text.count("Nothing of the last step has left yet.") == 2
    assert 'data-key="u"' not in text, "one key for two would take back the wrong one"
    assert "OUT-2026-0001 Fibre cut near Georgetown: resolved by ann" in words(text), "undo takes the newest step"
    assert (await page(house, HERE)).count('data-key="u"') == 1


async def test_a_release_from_the_desk_has_its_way_back_and_carries_the_typed_number(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in()
    await add_outage(house.database, "OUT-2026-0001", status="draft", public=False, held_because="approve_above")
    house.verbs.refusal = "type_number"
    assert "Type how many customers it reaches: 1,204" in words(await page(house, HERE))
    await post(house, f"{HERE}/release", 303, customers="1,204")
    verb, _, how = house.verbs.done[-1]
    assert (verb, how["customers"], how["undo_for"]) == ("release", 1204, None)
    text, _ = await post(house, f"{HERE}/release", 422, customers="many")
    assert "write the number in figures" in text
    house.verbs.refusal = ""
    await post(house, f"{HERE}/release", 303)
    assert house.verbs.done[-1][2]["customers"] is None


async def test_over_the_api_the_number_is_given_with_the_release(house: WebHouse) -> None:
    await add_outage(house.database, "OUT-2026-0001", status="draft", public=False)
    path, bearer = "/api/v1/outages/OUT-2026-0001/release", await house.bearer()
    answer = await house.client.post(path, json={"customers": 1204, "undo_for": "30s"}, headers=bearer)
    assert answer.status == 200, await answer.text()
    _, _, how = house.verbs.done[-1]
    assert (how["customers"], how["undo_for"]) == (1204, timedelta(seconds=30))
    await house.client.post(path, json={}, headers=bearer)
    assert house.verbs.done[-1][2]["customers"] is None
    assert (await house.client.post(path, json={"customers": "many"}, headers=bearer)).status == 422


async def test_the_next_shift_reads_what_it_takes_over(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in()
    await add_outage(
        house.database, "OUT-2026-0001", title="Unowned", next_update_by=NOW - timedelta(minutes=2), strikes=2
    )
    await add_outage(
        house.database, "OUT-2026-0002", title="Kept", owner="cal", next_update_by=NOW + timedelta(hours=1)
    )
    await add_outage(house.database, "OUT-2026-0003", title="Waits", status="draft", monitor="prtg", public=False)
    await add_outage(
        house.database,
        "OUT-2026-0004",
        title="Mended",
        status="resolved",
        ended_at=NOW - timedelta(hours=2),
        cause="ice",
    )
    await add_outage(
        house.database, "OUT-2026-0005", title="Long ago", status="resolved", ended_at=NOW - timedelta(days=2)
    )
    await add_delivery(house.database, 1, outage_id="OUT-2026-0002", state="failed")
    await add_line(house, "note", NOW - timedelta(hours=30), outage_id="OUT-2026-0001", why="the day before")
    await add_line(house, "updated", NOW - timedelta(hours=9), outage_id="OUT-2026-0002", why="the crew is there")
    await add_line(house, "failed", NOW - timedelta(hours=1), outage_id="OUT-2026-0002", actor="outagecast")
    text = await page(house, "/desk/handover")
    said = words(text)
    for shown in (
        "2 outages to hand over, 1 asks something of you. 1 draft waits.",
        "Unowned OUT-2026-0001: its promise is overdue; nobody owns it; "
        "the daemon kept its promise 2 times in a row, the desk has not spoken since.",
        "Waits OUT-2026-0003: a draft from prtg",
        "Kept OUT-2026-0002: 1 message to 1 customer",
        "Mended OUT-2026-0004: resolved 07:14 EST",
        "updated Kept the crew is there bea",
        "Besides: 1 messages failed",
    ):
        assert shown in said, shown
    assert "Long ago" not in said
    assert "the day before" not in said
    short = words(await page(house, "/desk/handover?hours=8"))
    assert "the crew is there" not in short


async def test_times_are_read_and_written_in_the_zone_one_chose(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in()
    await add_outage(house.database, "OUT-2026-0001")
    text = await page(house, "/desk/zone?next=/desk/handover%3Fhours%3D8")
    assert "it is 09:14 EST" in words(text)
    assert 'value="/desk/handover?hours=8"' in text
    _, where = await post(house, "/desk/zone", 303, zone="Europe/Berlin", next="/desk/handover?hours=8")
    assert where == "/desk/handover?hours=8"
    said = words(await page(house, "/desk/handover"))
    assert "As of 15:14 CET" in said
    assert "Times in Europe/Berlin" in said
    await post(house, f"{HERE}/update", 303, eta="16:00", status="investigating")
    assert house.verbs.done[-1][1].eta == NOW.replace(hour=15, minute=0), "16:00 in Berlin"
    await post(house, "/desk/zone", 303, zone="", next="/desk")
    assert "Times in America/New York" in words(await page(house, "/desk"))


async def test_a_zone_that_is_none_and_a_way_back_elsewhere_are_refused(house: WebHouse) -> None:
    await house.sign_in()
    house.client.session.cookie_jar.update_cookies({"outagecast_zone": "../../etc/passwd"})
    assert "EST" in await page(house, "/desk/zone")
    text, _ = await post(house, "/desk/zone", 422, zone="../../etc/passwd")
    assert "is no time zone" in text
    for elsewhere in ("https://evil.example", "//evil.example", "/desk\\evil", "/deskevil"):
        _, where = await post(house, "/desk/zone", 303, zone="UTC", next=elsewhere)
        assert where == "/desk"


async def test_all_keys_stand_on_a_page_and_single_letters_can_be_switched_off(house: WebHouse) -> None:
    await house.sign_in()
    text = await page(house, "/desk/keys")
    for key in ("<kbd>d</kbd>", "<kbd>u</kbd>", "<kbd>Ctrl+Enter</kbd>"):
        assert key in text
    assert 'data-keys="on"' in text
    await post(house, "/desk/keys", 303, keys="off")
    text = await page(house, "/desk")
    assert "data-keys" in text
    assert 'data-keys="on"' not in text
    await post(house, "/desk/keys", 303, keys="on")
    assert 'data-keys="on"' in await page(house, "/desk")


async def test_without_scripts_the_board_loads_itself_anew(house: WebHouse) -> None:
    await house.sign_in()
    assert '<noscript><meta http-equiv="refresh" content="30"></noscript>' in await page(house, "/desk")


async def test_no_more_streams_than_the_house_can_bear(house: WebHouse) -> None:
    await house.sign_in()
    assert house.client.app is not None
    streams = house.client.app[DOORS].streams
    full = {asyncio.create_task(asyncio.Event().wait()) for _ in range(MOST_STREAMS)}
    streams.update(full)
    try:
        refused = await house.client.get("/desk/events")
        assert refused.status == 503
        assert refused.headers["Retry-After"] == "60"
    finally:
        streams.difference_update(full)
        for each in full:
            each.cancel()


class Down:
    """A channel's way out since when it is down."""

    messages = 0

    def __init__(self, since: datetime | None, reason: str) -> None:
        self.since = since
        self.reason = reason
