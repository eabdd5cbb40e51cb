"""Who is calling, what he is told, how he is reached: the desk's look-up and one customer's page."""

import re
from datetime import timedelta
from html import unescape

import pytest
from sqlalchemy import select

from outagecast.domain.levels import Level
from outagecast.domain.outage import Role
from outagecast.storage import search_index, tables
from tests.support.web_house import (
    NOW,
    WebHouse,
    add_delivery,
    add_impacts,
    add_network,
    add_outage,
    add_rows,
)


async def page(house: WebHouse, path: str) -> str:
    answer = await house.client.get(path)
    assert answer.status == 200, (path, answer.status)
    return unescape(await answer.text())


async def post(house: WebHouse, path: str, expected: int, **fields: str) -> tuple[str, str]:
    """The answer's text and where it leads."""
    answer = await house.client.post(path, data={"csrf": await house.csrf(), **fields}, allow_redirects=False)
    text = await answer.text()
    assert answer.status == expected, text
    return unescape(text), answer.headers.get("Location", "")


async def furnish(house: WebHouse) -> None:
    await add_network(house.database)
    async with house.database.write() as conn:
        await conn.run_sync(search_index.rebuild)
    await house.sign_in()


async def down(house: WebHouse) -> None:
    """Acme's main office is down, and Ann was texted about it."""
    await add_outage(
        house.database,
        "OUT-2026-0001",
        eta=NOW + timedelta(hours=2),
        next_update_by=NOW + timedelta(minutes=30),
    )
    await add_impacts(
        house.database,
        "OUT-2026-0001",
        ("circuit", "CIR-1", "K-1", int(Level.OUTAGE)),
        because=["element:LNK-1", "element:POP-LEX"],
    )
    await add_delivery(
        house.database,
        7,
        channel="sms",
        address_id=2,
        to="+18595550123",
        transmitting_at=NOW + timedelta(minutes=1),
        eta=NOW + timedelta(hours=2),
        promise=NOW + timedelta(minutes=30),
    )
    await add_rows(house.database, notices=[{"delivery_id": 7, "customer_id": "K-1"}])
    house.words[7] = {"text": "Bluegrass Fiber: your line Main Office is down <since> 09:14 EST.", "segments": 1}


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ("+1 859 555 0123", "/desk/customers/K-1?contact=C-1"),
        ("(859) 555-0123", "/desk/customers/K-1?contact=C-1"),
        ("859.555.0123 ext 7", "/desk/customers/K-1?contact=C-1"),
        ("001 859 5550123", "/desk/customers/K-1?contact=C-1"),
        ("5550123", "/desk/customers/K-1?contact=C-1"),
        ("50123", "/desk/customers/K-1?contact=C-1"),
        ("NOC@acme.example", "/desk/customers/K-1?contact=C-1"),
        ("gone@sch", "/desk/customers/K-2?contact=C-2"),
        ("K-2", "/desk/customers/K-2"),
        ("k-2", "/desk/customers/K-2"),
        ("cir 3", "/desk/customers/K-2?circuit=CIR-3"),
        ("CIR-3", "/desk/customers/K-2?circuit=CIR-3"),
        ("Ann", "/desk/customers/K-1?contact=C-1"),
        ("dole", "/desk/customers/K-1?contact=C-1"),
        ("acme", "/desk/customers/K-1"),
        ("county school", "/desk/customers/K-2"),
        ("schools bourbon", "/desk/customers/K-2"),
        ("main off", "/desk/customers/K-1"),
        ("12 Mill St", "/desk/customers/K-1"),
    ],
)
async def test_whatever_a_caller_says_leads_straight_to_him(house: WebHouse, words: str, where: str) -> None:
    await furnish(house)
    _, location = await post(house, "/desk/customers", 303, words=words)
    assert location == where
    assert "Acme" in await page(house, location) or "Bourbon" in await page(house, location)


async def test_several_are_listed_and_nobody_is_said_to_be_nobody(house: WebHouse) -> None:
    await furnish(house)
    await add_rows(
        house.database,
        customers=[{"id": "K-9", "name": "Acme Storage"}],
        contacts=[{"id": "C-9", "customer_id": "K-9", "name": "Ann Dole", "email_id": None, "phone_id": 2}],
    )
    async with house.database.write() as conn:
        await conn.run_sync(search_index.rebuild)
    for words in ("859 555 0123", "acme"):
        text, _ = await post(house, "/desk/customers", 200, words=words)
        assert "Acme Manufacturing" in text
        assert "Acme Storage" in text
    assert "■" not in text
    await down(house)
    piece, _ = await post(house, "/desk/customers", 200, words="acme", part="list")
    assert piece.count("■") == 1, "whose lines are down shows before one chooses"
    assert "<html" not in piece
    assert "/desk/customers/K-9" in piece
    text, _ = await post(house, "/desk/customers", 200, words="Zebulon <b>")
    assert "Nobody is known by “Zebulon <b>”" in text
    answer = await house.client.get("/desk/customers?words=acme")
    assert "Acme Storage" not in (await answer.text()).partition("All customers")[0], "not by the address line"


async def test_the_callers_screen(house: WebHouse) -> None:
    await furnish(house)
    await down(house)
    text = await page(house, "/desk/customers/K-1?contact=C-1")
    assert "Acme Manufacturing: 1 of 2 lines is down." in text
    said = re.sub(r"<[^>]+>", "", text.partition('class="say-box"')[2].partition("</div>")[0])
    # In Ann's own time, Chicago's, and as the message had it.
    assert "Your line Main Office has been down since 08:14 CST." in said
    assert "We expect it back by 10:14 CST." in said
    assert "We wrote to you about it at 08:15 CST, to +18595550123." in said
    assert "You will hear from us again by 08:44 CST." in said
    for shown in (
        "Lexington to Georgetown",
        "Lexington POP",
        "OUT-2026-0001",
        "your line Main Office is down <since> 09:14 EST.",
        "is calling",
        "1 e-mail address and 1 phone",
        "outage, degraded",
        "(usual)",
    ):
        assert shown in text, shown
    assert "they were told <time" not in text


async def test_what_nobody_told_him_is_not_read_out_as_told(house: WebHouse) -> None:
    await furnish(house)
    await down(house)
    async with house.database.write() as conn:
        await conn.execute(tables.outages.update().values(eta=NOW + timedelta(hours=5)))
    text = await page(house, "/desk/customers/K-1")
    box = text.partition('class="say-box"')[2].partition("</div>")[0]
    assert "10:14 CST" in box
    assert "13:14" not in box
    assert "14:14 EST" in text, "but the desk knows"
    assert re.search(r"they were told <time[^>]*>11:14 EST", text)


async def test_without_a_message_the_present_facts_are_read_out(house: WebHouse) -> None:
    await furnish(house)
    due = NOW + timedelta(minutes=30)
    await add_outage(house.database, "OUT-2026-0001", status="identified", next_update_by=due)
    await add_impacts(house.database, "OUT-2026-0001", ("service", "voice", "K-2", int(Level.DEGRADED)))
    text = await page(house, "/desk/customers/K-2")
    assert "Bourbon County Schools: 1 of 3 lines is degraded." in text
    assert "Your line Voice has been degraded since" in text
    assert "We do not know yet when it will be back." in text
    assert "The next news is due by" in text
    assert "You will hear from us" not in text, "for nothing reaches them"
    assert "nothing has left for them yet" in text
    assert 'How they are reached: <span class="bad">not at all</span>' in text
    assert "does not want to be told" in text


async def test_what_has_not_taken_effect_is_not_said_to_callers(house: WebHouse) -> None:
    await furnish(house)
    await add_outage(house.database, "OUT-2026-0001", public=False)
    await add_impacts(house.database, "OUT-2026-0001", ("circuit", "CIR-1", "K-1", int(Level.OUTAGE)))
    text = await page(house, "/desk/customers/K-1")
    assert "all 2 lines work" in text
    assert "All your 2 lines work, as far as we know." in text


@pytest.mark.parametrize(("ago", "said"), [(timedelta(hours=3), True), (timedelta(days=2), False)])
async def test_what_is_over_is_told_for_a_day(house: WebHouse, ago: timedelta, said: bool) -> None:
    await furnish(house)
    await add_outage(house.database, "OUT-2026-0001", status="resolved", ended_at=NOW - ago)
    line = ("circuit", "CIR-1", "K-1", int(Level.OUTAGE))
    since = NOW - ago - timedelta(minutes=40)
    await add_impacts(house.database, "OUT-2026-0001", line, from_at=since, to_at=NOW - ago)
    text = await page(house, "/desk/customers/K-1")
    assert ("Your line was down from" in text) is said
    assert "40 min" in text.partition('id="past"')[2]


async def test_resellers_and_their_customers(house: WebHouse) -> None:
    await furnish(house)
    await add_rows(
        house.database, customers=[{"id": "K-3", "name": "Corner Shop", "parent_id": "K-1", "told_via": "parent"}]
    )
    shop = await page(house, "/desk/customers/K-3")
    assert "Only the reseller" in shop
    assert "noc@acme.example" in shop
    assert "no lines" in shop
    assert "Corner Shop" in (await page(house, "/desk/customers/K-1")).partition("Resells to")[2]


async def test_many_lines_the_affected_ones_first(house: WebHouse) -> None:
    await furnish(house)
    await add_rows(
        house.database,
        circuits=[
            {
                "id": f"BIG-{n:03}",
                "customer_id": "BOTH",
                "service_id": "fiber",
                "label": f"Shop {n:03}",
                "site_id": None,
                "place": "",
            }
            for n in range(120)
        ],
    )
    await add_outage(house.database, "OUT-2026-0001")
    await add_impacts(house.database, "OUT-2026-0001", ("circuit", "BIG-118", "BOTH", int(Level.OUTAGE)))
    text = await page(house, "/desk/customers/BOTH")
    assert "Shop 118" in text
    assert "Shop 010" in text
    assert "Shop 100" not in text
    assert "All 120 lines" in text
    assert "Shop 100" in await page(house, "/desk/customers/BOTH?lines=all")


async def test_customers_are_browsed_by_id(house: WebHouse) -> None:
    await furnish(house)
    first = await page(house, "/desk/customers?limit=2")
    assert "Acme Manufacturing" in first
    assert "Bourbon County Schools" not in first
    following = re.search(r'href="(/desk/customers\?after=[^"]+)"', first)
    assert following is not None
    assert "Bourbon County Schools" in await page(house, following.group(1))
    assert "None like that." in await page(house, "/desk/customers?status=ended")


async def test_older_messages_page_by_page(house: WebHouse) -> None:
    await furnish(house)
    await add_outage(house.database, "OUT-2026-0001", status="resolved")
    for n in range(1, 13):
        await add_delivery(house.database, n, revision=n, to=f"noc+{n:02}@acme.example", transmitting_at=NOW)
    await add_rows(house.database, notices=[{"delivery_id": n, "customer_id": "K-1"} for n in range(1, 13)])
    first = (await page(house, "/desk/customers/K-1")).partition('id="told"')[2].partition('id="reached"')[0]
    assert "noc+12@" in first
    assert "noc+04@" not in first
    following = re.search(r'href="(/desk/customers/K-1\?before=\d+)', first)
    assert following is not None
    assert "noc+04@" in await page(house, following.group(1))


async def test_suppress_and_lift_with_a_reason(house: WebHouse) -> None:
    await furnish(house)
    await add_delivery(house.database, 1, state="planned")
    here = "/desk/customers/K-1/addresses/1"
    text, _ = await post(house, f"{here}/suppress", 422, reason=" ")
    assert "say why" in text
    _, where = await post(house, f"{here}/suppress", 303, reason="Left the firm")
    assert where == "/desk/customers/K-1#reached"
    shown = await page(house, "/desk/customers/K-1")
    assert "switched off by staff" in shown
    assert re.search(r"by ann, <time[^>]*>09:14 EST</time>: Left the firm", shown)
    async with house.database.read() as conn:
        delivery = (await conn.execute(select(tables.deliveries))).one()
        lines = (
            await conn.execute(
                select(tables.timeline, tables.texts.c.text).join(
                    tables.texts, tables.texts.c.id == tables.timeline.c.text_id
                )
            )
        ).all()
    assert (delivery.state, delivery.reason) == ("suppressed", "by_staff"), "nor what waited to leave"
    assert [(line.what, line.actor, line.text) for line in lines] == [("suppressed", "ann", "Left the firm")]
    text, _ = await post(house, f"{here}/suppress", 409, reason="again")
    assert "That was not done:" in text
    await post(house, f"{here}/unsuppress", 303, reason="He is back")
    assert "switched off by staff" not in await page(house, "/desk/customers/K-1")
    await post(house, f"{here}/unsuppress", 409, reason="twice")
    await post(house, "/desk/customers/K-2/addresses/1/suppress", 404, reason="not his")


async def test_a_customers_own_wish_is_named_before_it_is_lifted(house: WebHouse) -> None:
    await furnish(house)
    await add_rows(
        house.database, contacts=[{"id": "C-8", "customer_id": "K-2", "name": "Sue", "email_id": None, "phone_id": 2}]
    )
    async with house.database.write() as conn:
        await conn.execute(
            tables.addresses.update()
            .where(tables.addresses.c.id == 2)
            .values(suppressed="opted_out", suppressed_by="sms")
        )
    text = await page(house, "/desk/customers/K-2")
    assert text.count("own wish.</strong>") == 2
    assert text.count("text START") == 1, "of the phone only"


async def test_what_he_sees_without_his_buttons(house: WebHouse) -> None:
    await furnish(house)
    await down(house)
    text, _ = await post(house, "/desk/customers/K-1/addresses/2/page", 200)
    assert "Your line Main Office is down since" in text
    assert "You see what Ann Dole sees" in text
    assert "<button" not in text
    assert house.links.my(2) in text
    async with house.database.read() as conn:
        looked = (await conn.execute(select(tables.timeline).where(tables.timeline.c.what == "looked"))).one()
    assert (looked.actor, looked.data) == ("ann", {"address": 2})


async def test_viewers_look_up_but_decide_nothing(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in(Role.VIEWER, "vic")
    _, where = await post(house, "/desk/customers", 303, words="K-1")
    text = await page(house, where)
    assert "Write to it no more" not in text
    for verb in ("suppress", "unsuppress", "page"):
        await post(house, f"/desk/customers/K-1/addresses/1/{verb}", 403, reason="x")
    await post(house, "/desk/customers/NOPE/addresses/1/suppress", 403, reason="x")
    assert (await house.client.get("/desk/customers/NOPE")).status == 404


async def test_the_api_suppresses_too(house: WebHouse) -> None:
    await add_network(house.database)
    auth = await house.bearer()
    at = "/api/v1/addresses/3"
    answer = await house.client.post(f"{at}/unsuppress", json={"reason": "He rang and asked for it"}, headers=auth)
    assert answer.status == 200, await answer.text()
    body = await answer.json()
    assert (body["state"], body["to"]) == ("active", "gone@school.example")
    assert "had asked for that" in body["note"]
    assert "START" not in body["note"]
    answer = await house.client.post(f"{at}/suppress", json={"reason": "Dead"}, headers=auth)
    assert (await answer.json())["state"] == "by_staff"
    assert (await (await house.client.get(at, headers=auth)).json())["since"].startswith("2026-03-03T14:14")
    for path, sent, status in (
        (f"{at}/suppress", {"reason": "x"}, 409),
        (f"{at}/suppress", {}, 422),
        (f"{at}/suppress", {"reason": "  "}, 422),
        ("/api/v1/addresses/99/suppress", {"reason": "x"}, 404),
        ("/api/v1/addresses/x/suppress", {"reason": "x"}, 404),
    ):
        answer = await house.client.post(path, json=sent, headers=auth)
        assert answer.status == status, (path, sent)
    viewer = await house.bearer(Role.VIEWER)
    assert (await house.client.post(f"{at}/suppress", json={"reason": "x"}, headers=viewer)).status == 403
    paths = (await (await house.client.get("/api/v1/openapi.json")).json())["paths"]
    assert {"/api/v1/addresses/{id}/suppress", "/api/v1/addresses/{id}/unsuppress"} <= paths.keys()


async def test_a_shared_address_waits_until_somebody_confirms_it(house: WebHouse) -> None:
    await furnish(house)
    async with house.database.write() as conn:
        await conn.execute(tables.addresses.update().where(tables.addresses.c.id == 1).values(shared=True))
    text = await page(house, "/desk/customers/K-1")
    assert "shared by many customers, to be confirmed" in text
    assert "1 phone; 1 not in use" in text
    _, where = await post(house, "/desk/customers/K-1/addresses/1/confirm", 303, reason="Their agency")
    assert where == "/desk/customers/K-1#reached"
    verb, address_id, how = house.verbs.done[-1]
    assert (verb, address_id, how["reason"]) == ("confirm", 1, "Their agency")


async def test_what_is_not_reckoned_is_not_called_well(house: WebHouse) -> None:
    await furnish(house)
    async with house.database.write() as conn:
        await conn.execute(tables.circuits.update().where(tables.circuits.c.id == "CIR-2").values(status="suspended"))
        await conn.execute(tables.customers.update().where(tables.customers.c.id == "K-2").values(status="suspended"))
    assert "suspended: not reckoned" in await page(house, "/desk/customers/K-1")
    text = await page(house, "/desk/customers/K-2")
    assert "Bourbon County Schools: 3 lines, suspended." in text
    assert "nothing can be said about its lines" in text
    assert "works" not in text.partition("<main")[2]


async def test_an_address_of_several_says_how_many_it_goes_for(house: WebHouse) -> None:
    await furnish(house)
    await add_rows(
        house.database,
        customers=[{"id": "K-9", "name": "Acme Storage"}],
        contacts=[{"id": "C-9", "customer_id": "K-9", "name": "Ann Dole", "email_id": None, "phone_id": 2}],
    )
    text = await page(house, "/desk/customers/K-1")
    assert text.count("2 customers heard at this address: this goes for all of them.") == 1


async def test_a_second_outage_on_the_same_line_is_not_read_out_twice(house: WebHouse) -> None:
    await furnish(house)
    await down(house)
    await add_outage(house.database, "OUT-2026-0002", title="And the power is off")
    await add_impacts(house.database, "OUT-2026-0002", ("circuit", "CIR-1", "K-1", int(Level.DEGRADED)))
    text = await page(house, "/desk/customers/K-1")
    assert text.count('<p class="say">') == 1
    assert "And the power is off" in text.partition('id="why"')[2].partition('id="lines"')[0]


async def test_what_was_told_before_it_opened_again_counts_no_more(house: WebHouse) -> None:
    await furnish(house)
    await down(house)
    async with house.database.write() as conn:
        await conn.execute(tables.outages.update().values(episode=2))
        await conn.execute(tables.impacts.update().values(episode=2))
    text = await page(house, "/desk/customers/K-1")
    assert "nothing has left for them yet" in text
    assert "We wrote to you" not in text
