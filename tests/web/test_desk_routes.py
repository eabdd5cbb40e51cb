"""The desk's page of routes, the line over every page, and by when an outage's last message will have left."""

from datetime import datetime, timedelta
from typing import Any

from outagecast.domain.outage import Role
from outagecast.domain.routes import Carries, Passage
from outagecast.engine.route_watch import CutOff, RouteView
from tests.support.web_house import NOW, WebHouse, add_delivery, add_network, add_outage
from tests.web.test_desk_board import page, words

HERE = "/desk/outages/OUT-2026-0001"
MINUTE = timedelta(minutes=1)


def _words(html: str) -> str:
    """In words; what a table leaves empty as a hyphen."""
    return words(html).replace("\N{EN DASH}", "-")


def view(name: str, place: int, **more: Any) -> RouteView:
    values: dict[str, Any] = {
        "channel": "email", "name": name, "place": place, "passage": Passage.UP, "carries": Carries.NOTHING,
        "since": None, "code": "", "reason": "", "opened": 0, "sent": 0, "rate": 5.0, "last_left_at": None,
        "senders": 1, "stuck": 0,
    }  # fmt: skip
    return RouteView(**values | more)


def down(name: str, place: int, since: datetime = NOW - 9 * MINUTE, **more: Any) -> RouteView:
    return view(
        name,
        place,
        **{"passage": Passage.DOWN, "carries": Carries.ALL, "since": since, "reason": "421 closing", "opened": 1}
        | {"stuck": 1}
        | more,
    )


async def test_who_carries_and_who_stands_by(house: WebHouse) -> None:
    await house.sign_in(Role.VIEWER, "vic")
    house.route_views += [
        view("main", 0, carries=Carries.ALL, sent=1204, last_left_at=NOW - MINUTE),
        view("backup", 1),
        view("main", 0, channel="sms", carries=Carries.CUSTOMERS),
        view("noc", -1, channel="sms", carries=Carries.STAFF),
    ]
    house.waiting["email"] = 600
    house.rates["email"] = 5.0
    said = _words(await page(house, "/desk/routes"))
    assert "Everything gets out." in said
    assert "600 messages wait; at the present rate the last one leaves by 09:16 EST, in 2 min" in said
    assert "main ● Gets through customers and staff alerts - - 09:13 EST 5 1,204" in said
    assert "backup ○ Stands by - - - - 5 0" in said
    assert "noc for staff alerts alone ● Gets through staff alerts" in said
    assert "SMS Nothing waits." in said
    board = await page(house, "/desk")
    assert "● Sending" in words(board) and 'href="/desk/routes"' in board


async def test_a_detour_is_said_on_every_page(house: WebHouse) -> None:
    await house.sign_in()
    house.route_views += [down("main", 0), view("backup", 1, carries=Carries.ALL)]
    for path in ("/desk", "/desk/keys"):
        said = words(await page(house, path))
        assert "◐ E-mail goes by backup: main is down since 09:05 EST: 421 closing" in said
        assert "● Sending" not in said
    said = _words(await page(house, "/desk/routes"))
    assert "Everything gets out, E-mail by backup." in said
    assert "main ✕ Down one to try 09:05 EST 9 min ago 421 closing - 5 0 went down 1 time" in said
    assert "backup ● Gets through customers and staff alerts" in said


async def test_staff_who_go_the_customers_way_and_a_route_that_is_tried(house: WebHouse) -> None:
    await house.sign_in()
    house.route_views += [
        down("noc", -1, carries=Carries.STAFF, passage=Passage.PROBING),
        view("main", 0, carries=Carries.ALL, senders=2, stuck=1),
    ]
    assert "E-mail for staff goes by main: noc is down since 09:05 EST" in words(await page(house, "/desk"))
    said = _words(await page(house, "/desk/routes"))
    assert "noc for staff alerts alone ◐ Is being tried one to try" in said
    assert "● Gets through down at 1 of 2 daemons" in said


async def test_nothing_leaves(house: WebHouse) -> None:
    await house.sign_in()
    house.route_views.append(down("main", 0))
    house.routes["email"] = CutOff(since=NOW - 9 * MINUTE, code="421", reason="421 closing", messages=1204)
    house.waiting["email"] = 1204
    strip = words(await page(house, "/desk"))
    assert "‼ E-mail: nothing has left since 09:05 EST, 1,204 messages wait: 421 closing" in strip
    said = _words(await page(house, "/desk/routes"))
    assert "E-mail: nothing has left since 09:05 EST." in said
    assert "✕ Nothing leaves since 09:05 EST, 9 min ago: 421 closing." in said
    assert "1,204 messages wait; when they leave, nobody can say." in said


async def test_before_any_daemon_sends(house: WebHouse) -> None:
    await house.sign_in()
    said = _words(await page(house, "/desk/routes"))
    assert "No daemon sends." in said and "stand here as soon as a daemon sends by them" in said


async def test_by_when_the_last_message_of_an_outage_leaves(house: WebHouse) -> None:
    await house.sign_in()
    await add_network(house.database)
    for number in (1, 2):
        await add_outage(house.database, f"OUT-2026-000{number}")
    for n in range(24):
        outage = 1 if n % 2 else 2
        await add_delivery(
            house.database, 100 + n, outage_id=f"OUT-2026-000{outage}", state="planned", channel="sms", rank=n // 2,
            due_at=NOW - MINUTE, address_id=n,
        )  # fmt: skip
    house.rates["sms"] = 0.1
    said = words(await page(house, HERE))
    assert "the last of 12 texts leaves by 09:18 EST, in 4 min, after 12 for other outages" in said
    house.rates.clear()
    assert "12 texts wait: nothing leaves at present" in words(await page(house, HERE))
