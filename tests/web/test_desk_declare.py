"""Declaring with eyes open: the right half while one types, words to look at again, lists as they are pasted, a map."""

import re
from html import unescape

from outagecast.domain.levels import Effect
from outagecast.domain.outage import Role, ScopeEntry
from outagecast.storage.views_map import NetworkMap, Place, Way, network_map
from outagecast.web.desk.map import draw
from tests.support.web_house import Seen, WebHouse, add_network, add_rows

USUAL = {"title": "Fibre cut", "scope": "POP-LEX", "effect": "outage", "severity": "major", "status": "investigating"}


async def post(house: WebHouse, path: str, expected: int = 200, **fields: str | list[str]) -> str:
    pairs = [("csrf", await house.csrf())]
    for name, value in fields.items():
        pairs += [(name, one) for one in ([value] if isinstance(value, str) else value)]
    answer = await house.client.post(path, data=pairs, allow_redirects=False)
    text = await answer.text()
    assert answer.status == expected, text
    return unescape(text)


async def look(house: WebHouse, **fields: str) -> str:
    return await post(house, "/desk/declare/look", 200, **{**USUAL, **fields})


async def here(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in()


async def test_the_right_half_comes_alone_while_one_types(house: WebHouse) -> None:
    await here(house)
    text = await look(house, eta="+90")
    assert "<html" not in text
    assert "It touches 1,204 customers" in text
    assert re.search(r'name="seen" value="\w{64}"', text)
    assert 'value="send" title' in text, "it can be sent"
    assert house.verbs.done[-1][0] == "preview"
    empty = await look(house, scope="")
    assert "Who will hear of it" in empty
    assert 'name="seen" value=""' in empty
    assert len(house.verbs.done) == 1


async def test_what_was_seen_while_typing_is_what_is_sent(house: WebHouse) -> None:
    await here(house)
    fields = {**USUAL, "message": "Two\nlines", "no_estimate": "yes"}
    seen = re.search(r'name="seen" value="(\w+)"', await look(house, **fields))
    assert seen is not None
    as_form = {**fields, "message": "Two\r\nlines", "seen": seen.group(1), "do": "send"}
    await post(house, "/desk/declare", 303, **as_form)
    assert [verb for verb, _, _ in house.verbs.done] == ["preview", "declare"]
    changed = await post(house, "/desk/declare", 200, **{**as_form, "message": "Other words"})
    assert "You changed something since the last look" in changed


async def test_a_title_may_come_last(house: WebHouse) -> None:
    await here(house)
    text = await look(house, title="")
    assert "It touches 1,204 customers" in text
    assert "Before it can be sent:" in text
    assert "the title is missing" in text
    assert re.search(r'value="send" disabled', text)
    refused = await post(house, "/desk/declare", 422, do="preview", **{**USUAL, "title": ""})
    assert "Nothing was sent." in refused


async def test_words_are_flagged_in_place_and_do_not_stop_anything(house: WebHouse) -> None:
    await here(house)
    text = await look(house, title="OLT down", message="The digger is to blame. Back by 09:00.")
    for says in (
        "No time:", "“OLT” in the title: would a customer know?", "“to blame” in the message says whose fault it is.",
        "“Back by 09:00” in the message is over already.",
    ):  # fmt: skip
        assert says in text, says
    assert 'value="send" title' in text
    calm = await look(house, message="A cable was cut.", no_estimate="yes")
    assert "flagged" not in calm
    house.verbs.preview_answer = Seen(
        samples=[{"channel": "sms", "to": "+1", "name": "Ann", "text": "x" * 400, "segments": 3}]
    )
    assert "an SMS of 3 segments leaves" in await look(house, no_estimate="yes")


async def test_lists_as_they_are_pasted(house: WebHouse) -> None:
    await here(house)
    for pasted in ("POP-LEX\nfiber\nCIR-1", "POP-LEX, fiber; CIR-1", "POP-LEX fiber CIR-1", "POP-LEX\tfiber CIR-1\n\n"):
        await look(house, scope=pasted)
        entries = house.verbs.done[-1][1].scope
        assert [entry.id for entry in entries] == ["POP-LEX", "fiber", "CIR-1"], pasted
    await look(house, scope="POP-LEX degraded LNK-1, element:POP-LEX")
    assert house.verbs.done[-1][1].scope[1] == ScopeEntry(kind="element", id="LNK-1", effect=Effect.OUTAGE)
    assert len(house.verbs.done[-1][1].scope) == 2
    wrong = await look(house, scope="POP-LEX POP-LEXX; nonsense")
    assert "POP-LEXX: did you mean element POP-LEX?" in wrong
    assert "nonsense: use the search field to find it" in wrong
    assert "It touches" not in wrong


async def test_reading_as_any_customer(house: WebHouse) -> None:
    await here(house)
    house.verbs.preview_answer = Seen(
        impacts_sample=[
            {
                "thing": "circuit:CIR-1", "label": "Main Office", "customer": "Acme", "customer_id": "K-1",
                "level": "outage", "because": ["element:OLT-1", "element:POP-LEX"],
            }
        ]
    )  # fmt: skip
    text = await look(house)
    assert "what K-1 reads" in text
    assert re.search(r"OLT-1</span> .*←.*POP-LEX</span>", text)
    assert "As they will read it" in text
    assert "As K-1 will read it" in await look(house, read_as="K-1")
    assert house.verbs.done[-1][2]["customer_id"] == "K-1"
    text = await look(house, reader="bourbon")
    assert "As K-2 will read it" in text
    assert 'value="bourbon"' in text
    whole = await post(house, "/desk/declare", 200, read_as="K-1", **USUAL)
    assert "As K-1 will read it" in whole


async def test_about_is_said_where_it_is_about(house: WebHouse) -> None:
    await here(house)
    assert "about <strong>" not in await look(house)
    house.verbs.preview_answer = Seen(estimated=("segments",), cost={"amount": 12.5, "currency": "USD"})
    text = await look(house)
    assert "(about 1,280 segments)" in text
    assert "about <strong>" not in text
    assert "SMS cost about 12.50 USD" in text
    assert "The last message will have left by" in text


async def test_only_who_may_declare_may_look(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in(Role.VIEWER)
    answer = await house.client.post("/desk/declare/look", data={"csrf": await house.csrf(), **USUAL})
    assert answer.status == 403


async def test_the_map_shows_what_is_touched(house: WebHouse) -> None:
    await add_rows(
        house.database,
        sites=[
            {"id": "LEX", "name": "Lexington", "latitude": 38.0, "longitude": -84.5},
            {"id": "GEO", "name": "Georgetown", "latitude": 38.2, "longitude": -84.6},
            {"id": "HAZ", "name": "Hazard", "latitude": 37.2, "longitude": -83.2},
            {"id": "NOWHERE", "name": "Depot"},
        ],
        elements=[
            {"id": "POP-LEX", "kind": "pop", "site_id": "LEX"},
            {"id": "POP-GEO", "kind": "pop", "site_id": "GEO"},
            {"id": "POP-HAZ", "kind": "pop", "site_id": "HAZ"},
            {"id": "POP-X", "kind": "pop", "site_id": "NOWHERE"},
            {"id": "LNK-1", "kind": "link", "a": "POP-LEX", "z": "POP-GEO"},
            {"id": "LNK-2", "kind": "link", "a": "POP-GEO", "z": "POP-LEX"},
            {"id": "LNK-3", "kind": "link", "a": "POP-LEX", "z": "POP-HAZ"},
        ],
    )
    levels = {
        "element:POP-GEO": "outage", "element:LNK-1": "degraded", "element:LNK-2": "outage",
        "site:HAZ": "reduced_redundancy", "element:POP-X": "outage",
    }  # fmt: skip
    async with house.database.read() as conn:
        network = await network_map(conn, levels)
    assert {place.id: place.level for place in network.places} == {
        "GEO": "outage", "HAZ": "reduced_redundancy", "LEX": "",
    }  # fmt: skip
    assert {(way.a, way.z): (way.level, way.links) for way in network.ways} == {
        ("GEO", "LEX"): ("outage", ("LNK-1", "LNK-2")), ("HAZ", "LEX"): ("", ("LNK-3",)),
    }  # fmt: skip
    assert network.unplaced == 1
    picture = draw(network, href=lambda ref: f"?branch={ref}")
    assert picture is not None
    dots = {dot.id: dot for dot in picture.dots}
    assert dots["GEO"].says == "Georgetown: down (POP-GEO)"
    assert dots["GEO"].href == "?branch=site:GEO"
    assert dots["LEX"].href is None
    assert dots["GEO"].y < dots["LEX"].y < dots["HAZ"].y, "north is up"
    assert dots["GEO"].x < dots["LEX"].x < dots["HAZ"].x, "east is right"
    assert all(0 <= dot.x <= picture.width and 0 <= dot.y <= picture.height for dot in picture.dots)
    assert [place.id for place in picture.touched] == ["GEO", "HAZ"]

    await house.sign_in()
    house.verbs.preview_answer = Seen(reached=levels)
    text = await look(house, scope="POP-GEO", no_estimate="yes")
    assert 'aria-label="Map of the network: 2 of 3 sites touched"' in text
    assert "<title>Georgetown to Lexington: down (LNK-1, LNK-2)</title>" in text
    assert "1 touched element without a place on the map." in text


def test_a_map_of_one_place_and_of_none() -> None:
    lone = Place(id="A", name="Alone", latitude=10.0, longitude=20.0, level="outage")
    picture = draw(NetworkMap(places=(lone,), ways=()))
    assert picture is not None
    assert (picture.dots[0].x, picture.dots[0].y) == (picture.width / 2, picture.height / 2)
    assert picture.dots[0].label == "Alone"
    assert draw(NetworkMap(places=(), ways=())) is None
    crowd = tuple(
        Place(id=str(n), name="A rather long name", latitude=10 + n / 1e6, longitude=20.0, level="outage")
        for n in range(9)
    )
    far = Place(id="far", name="Far", latitude=12.0, longitude=23.0, level="")
    way = Way(a="0", z="far", level="", links=("L",))
    crowded = draw(NetworkMap(places=(*crowd, far), ways=(way,)))
    assert crowded is not None
    assert sum(bool(dot.label) for dot in crowded.dots) == 1, "labels are not written over each other"
