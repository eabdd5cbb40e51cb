"""The network on the desk: browsing, finding, and what hangs on one thing."""

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import update

from outagecast.domain.outage import Role
from outagecast.storage import search_index, tables
from tests.support.web_house import WebHouse, add_network, add_outage, add_rows


async def page(house: WebHouse, path: str, status: int = 200) -> str:
    answer = await house.client.get(path)
    assert answer.status == status, (path, answer.status)
    return unescape(await answer.text())


async def furnish(house: WebHouse) -> None:
    """Two more elements with a way out: GEO hangs on LNK-1, which leads to POP-LEX, the gateway; LOST leads nowhere."""
    await add_network(house.database)
    await add_rows(
        house.database,
        needs=[{"id": 1, "text": "POP-GEO"}, {"id": 2, "text": "POP-LEX;LNK-1|LNK-2"}],
        elements=[
            {"id": "POP-GEO", "kind": "pop", "name": "Georgetown POP", "site_id": "GEO"},
            {"id": "LOST-A", "kind": "router", "name": "Lost router", "site_id": None},
            {"id": "LOST-B", "kind": "router", "name": "", "site_id": None},
            {"id": "LNK-2", "kind": "link", "name": "Lost link", "site_id": None, "a": "LOST-A", "z": "LOST-B"},
        ],
    )
    async with house.database.write() as conn:
        e, c = tables.elements, tables.circuits
        await conn.execute(update(e).where(e.c.id == "LNK-1").values(a="POP-LEX", z="POP-GEO", need_id=None))
        await conn.execute(update(e).where(e.c.id == "POP-LEX").values(gateway=True))
        await conn.execute(update(e).where(e.c.id == "BOTH").values(need_id=2))
        await conn.execute(update(c).where(c.c.customer_id == "K-2").values(need_id=1))
        await conn.run_sync(search_index.rebuild)
    await house.sign_in()


async def test_what_hangs_on_an_element(house: WebHouse) -> None:
    await furnish(house)
    text = await page(house, "/desk/network/elements/POP-LEX")
    assert "Lexington POP: 1 customer hangs on it." in text, "over the link, though he needs Georgetown only"
    assert "gateway: the network" in text
    assert "Lexington to Georgetown" in text.partition("1 link")[2]
    fails = text.partition("If it fails")[2]
    assert re.search(
        r'outage"><span[^>]*>■</span> Outage</span></th><td class="num">1</td><td class="num">2</td>', fails
    )
    assert "Bourbon County Schools" in fails
    assert "/desk/network/elements/POP-GEO" in fails, "the chain of causes"
    assert "No open outage touches it." in text
    declare = re.search(r'href="(/desk/declare\?[^"]+)"', text)
    assert declare is not None
    assert parse_qs(urlsplit(declare.group(1)).query) == {"scope": ["element:POP-LEX"]}
    form = await page(house, declare.group(1))
    assert "element:POP-LEX" in form


async def test_needs_are_said_in_words(house: WebHouse) -> None:
    await furnish(house)
    text = re.sub(r"<[^>]+>", "", await page(house, "/desk/network/elements/BOTH"))
    needs = re.sub(r"\s+", " ", text.partition("Needs")[2])
    assert needs.startswith("Lexington POP POP-LEX, and either Lexington to Georgetown LNK-1 or Lost link LNK-2")
    assert "POP-LEX;LNK-1|LNK-2" in needs


async def test_services_and_sites(house: WebHouse) -> None:
    await furnish(house)
    service = await page(house, "/desk/network/services/fiber")
    assert "Fiber Internet: 2 customers hang on it." in service
    assert "shown on the status page" in service
    voice = await page(house, "/desk/network/services/voice")
    assert re.search(r'Outage</span></th><td class="num">1</td><td class="num">0</td><td class="num">1</td>', voice)
    site = await page(house, "/desk/network/sites/GEO")
    assert "Georgetown: 1 customer hangs on it." in site
    assert "1 element at this site" in site
    await page(house, "/desk/network/sites/NOPE", 404)
    await page(house, "/desk/network/areas/GEO", 404)


async def test_how_it_is_now_and_because_of_what(house: WebHouse) -> None:
    await furnish(house)
    scope = [{"kind": "element", "id": "LNK-1", "effect": "outage"}]
    await add_outage(house.database, "OUT-2026-0001", title="Backhoe", scope=scope)
    text = await page(house, "/desk/network/elements/POP-GEO")
    now = text.partition("<h1>")[2].partition("Declare an outage here")[0]
    assert "■</span> Outage" in now
    assert "/desk/network/elements/LNK-1" in now
    assert "Backhoe" in now
    well = await page(house, "/desk/network/elements/LOST-A")
    assert "No open outage touches it." in well


async def test_what_has_no_path_to_a_gateway_is_listed(house: WebHouse) -> None:
    await furnish(house)
    text = await page(house, "/desk/network")
    assert "2 without a path to a gateway" in text
    listed = await page(house, "/desk/network/isolated")
    assert "2 elements have links, but no path to a gateway." in listed
    assert "Lost router" in listed
    assert "POP-GEO" not in listed
    assert "It has links, but no path to a gateway" in await page(house, "/desk/network/elements/LOST-A")


async def test_browsing_and_finding(house: WebHouse) -> None:
    await furnish(house)
    first = await page(house, "/desk/network?limit=3")
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following is not None
    assert "POP-LEX" not in first
    assert "POP-LEX" in await page(house, following.group(1)) + await page(house, "/desk/network?after=LOST-B")
    routers = await page(house, "/desk/network?detail=router")
    assert "Lost router" in routers
    assert "Georgetown POP" not in routers
    assert "Voice" in await page(house, "/desk/network?kind=services")
    found = await page(house, "/desk/network?q=georgetown")
    assert "Georgetown POP" in found
    assert "/desk/network/sites/GEO" in found
    assert "Voice" not in found
    assert "0 matches for “zebu <b>”" in await page(house, "/desk/network?q=zebu%20%3Cb%3E")


async def test_viewers_look_but_are_offered_no_declaration(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in(Role.VIEWER, "vic")
    text = await page(house, "/desk/network/elements/POP-LEX")
    assert "Lexington POP: nobody hangs on it." in text
    assert "Declare an outage here" not in text
