"""Phrases and templates on the desk: kept, edited by operators only, each change a line of the timeline; rehearsing."""

import asyncio
import csv
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from outagecast.domain.outage import Role
from outagecast.domain.phrases import MOST, OutageTemplate, Phrase, check_phrase, check_template
from outagecast.sandbox.provider import write_provider
from outagecast.sandbox.provider_phrases import PHRASES, TEMPLATES
from outagecast.storage import tables
from tests.support.web_house import SETUP, WebHouse, add_network

TEMPLATE = {
    "name": "Power at Lexington", "title": "Power failure in Lexington", "scope": "POP-LEX\nLNK-1 degraded",
    "effect": "outage", "severity": "critical", "status": "identified", "eta": "+4h", "message": "We run on batteries.",
    "cause": "power", "cause_code": "power", "note": "ring the utility", "next_update_in": "45",
}  # fmt: skip


async def page(house: WebHouse, path: str, expected: int = 200) -> str:
    answer = await house.client.get(path)
    text = await answer.text()
    assert answer.status == expected, (path, text)
    return text


async def post(house: WebHouse, path: str, expected: int = 303, /, **fields: str) -> tuple[str, str]:
    answer = await house.client.post(path, data={"csrf": await house.csrf(), **fields}, allow_redirects=False)
    text = await answer.text()
    assert answer.status == expected, text
    return text, answer.headers.get("Location", "")


async def happened(house: WebHouse) -> list[tuple[str, str, Any, str | None]]:
    async with house.database.read() as conn:
        query = select(tables.timeline, tables.texts.c.text).outerjoin(
            tables.texts, tables.texts.c.id == tables.timeline.c.text_id
        )
        rows = await conn.execute(
            query.where(tables.timeline.c.what == "phrase_changed").order_by(tables.timeline.c.id)
        )
        # Who came from where stands there as well, for whatever is done in a browser.
        return [(row.actor, row.why, {k: v for k, v in row.data.items() if k != "from"}, row.text) for row in rows]


async def test_a_phrase_is_added_changed_and_removed_with_its_lines(house: WebHouse) -> None:
    await house.sign_in()
    assert "stand here, by cause" in await page(house, "/desk/phrases")
    await post(house, "/desk/phrases", id="", name="Crew", text="A crew is on its way.", cause_code="fibre_cut")
    text = await page(house, "/desk/phrases")
    assert "1 phrase and 0 templates" in text and "A crew is on its way." in text and "fibre_cut" in text
    assert 'value="Crew"' in await page(house, "/desk/phrases?edit=1")
    await post(house, "/desk/phrases", id="1", name="Crew", text="A crew is <on site>.", cause_code="")
    assert "A crew is &lt;on site&gt;." in await page(house, "/desk/phrases")
    await post(house, "/desk/phrases/1/remove")
    assert "A crew" not in await page(house, "/desk/phrases")
    assert await happened(house) == [
        ("ann", "added", {"phrase": 1, "name": "Crew"}, "A crew is on its way."),
        ("ann", "changed", {"phrase": 1, "name": "Crew"}, "A crew is <on site>."),
        ("ann", "removed", {"phrase": 1, "name": "Crew"}, None),
    ]
    await post(house, "/desk/phrases/1/remove", 404)
    await post(house, "/desk/phrases", 404, id="7", name="Gone", text="Gone.")


async def test_what_is_wrong_comes_back_in_the_form_and_changes_nothing(house: WebHouse) -> None:
    await house.sign_in()
    await post(house, "/desk/phrases", id="", name="Crew", text="On its way.", cause_code="")
    text, _ = await post(house, "/desk/phrases", 422, id="", name="crew", text="Another.", cause_code="")
    assert "Nothing was changed" in text and "another phrase's name" in unescape(text) and "Another." in text
    text, _ = await post(house, "/desk/phrases", 422, id="", name="Long", text="x" * 1001, cause_code="")
    assert "longer than 1000 characters" in text
    text, _ = await post(house, "/desk/phrases", 422, id="", name="Empty", text=" ", cause_code="")
    assert "is missing" in text
    assert len(await happened(house)) == 1


async def test_there_is_an_end_to_how_many(house: WebHouse) -> None:
    await house.sign_in()
    for number in range(MOST):
        await house.services.phrases.put(Phrase(name=f"Phrase {number}", text="Words."), actor=SETUP)
    text, _ = await post(house, "/desk/phrases", 422, id="", name="One more", text="Words.", cause_code="")
    assert f"there are {MOST} already" in text


async def test_a_template_is_kept_as_it_was_typed_and_checked_first(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in()
    await page(house, "/desk/templates/new")
    wrong = TEMPLATE | {"scope": "POP-NOWHERE", "eta": "soon", "severity": "awful"}
    text, _ = await post(house, "/desk/templates", 422, id="", **wrong)
    assert "no element, site, area" in text and "is not a time" in text
    _, where = await post(house, "/desk/templates", id="", **TEMPLATE)
    assert where == "/desk/phrases#templates"
    listed = await page(house, "/desk/phrases")
    assert "Power at Lexington" in listed and "/desk/declare?template=1" in listed
    form = unescape(await page(house, "/desk/templates/1"))
    for value in ("Power failure in Lexington", "+4h", "ring the utility", 'value="45"'):
        assert value in form
    assert "POP-LEX\nLNK-1 degraded" in form
    await post(house, "/desk/templates", id="1", **TEMPLATE | {"eta": "+2h"})
    assert "+2h" in await page(house, "/desk/templates/1")
    await post(house, "/desk/templates/1/remove")
    await page(house, "/desk/templates/1", 404)
    assert [(why, data["name"]) for _, why, data, _ in await happened(house)] == [
        ("added", "Power at Lexington"),
        ("changed", "Power at Lexington"),
        ("removed", "Power at Lexington"),
    ]


async def test_phrases_and_templates_are_read_over_the_api(house: WebHouse) -> None:
    await house.services.phrases.put(Phrase(name="Crew", text="On its way.", cause_code="power"), actor=SETUP)
    await house.services.phrases.put(OutageTemplate(**TEMPLATE), actor=SETUP)  # type: ignore[arg-type]
    token = await house.bearer(Role.VIEWER)
    (phrase,) = (await (await house.client.get("/api/v1/phrases", headers=token)).json())["phrases"]
    assert (phrase["name"], phrase["text"], phrase["cause_code"]) == ("Crew", "On its way.", "power")
    (template,) = (await (await house.client.get("/api/v1/templates", headers=token)).json())["templates"]
    assert {name: template[name] for name in TEMPLATE} == TEMPLATE


async def test_viewers_look_and_operators_edit(house: WebHouse) -> None:
    await house.services.phrases.put(Phrase(name="Crew", text="On its way."), actor=SETUP)
    await house.sign_in(Role.VIEWER)
    text = await page(house, "/desk/phrases")
    assert "On its way." in text
    assert "/remove" not in text and 'name="text"' not in text
    for path in ("/desk/phrases", "/desk/phrases/1/remove", "/desk/templates", "/desk/templates/1/remove"):
        await post(house, path, 403, name="x", text="y")
    for path in ("/desk/templates/new", "/desk/rehearse"):
        await page(house, path, 403)
    assert "On its way." in await page(house, "/desk/phrases")


async def rehearsed(house: WebHouse, where: str) -> str:
    """The page once it is done, without what is no text."""
    for _ in range(200):
        answer = await house.client.get(where)
        text = await answer.text()
        assert answer.status == 200, text
        if "Refresh" not in answer.headers:
            return " ".join(unescape(re.sub(r"<[^>]+>", " ", text.partition("<main")[2])).split())
        assert "nothing is sent" in text
        await asyncio.sleep(0.05)
    raise AssertionError("the rehearsal does not end")


async def test_a_rehearsal_from_a_template(house: WebHouse) -> None:
    await add_network(house.database)
    async with house.database.write() as conn:
        await conn.execute(tables.needs.insert().values(id=1, text="element:POP-LEX"))
        await conn.execute(tables.circuits.update().values(need_id=1))
    await house.sign_in()
    await post(house, "/desk/templates", id="", **TEMPLATE)
    form = unescape(await page(house, "/desk/rehearse?template=1"))
    assert "Power failure in Lexington" in form and "POP-LEX" in form and "We run on batteries." in form
    given = {name: TEMPLATE[name] for name in ("title", "scope", "effect", "severity", "status", "eta", "message")}
    _, where = await post(house, "/desk/rehearse", **given, script="+20m eta +1h\n+30m restore CIR-1\n+1h resolve")
    text = await rehearsed(house, where)
    assert "2 customers touched" in text and "nothing was stored and nothing was sent" in text
    assert "the desk: restore" in text and "Bluegrass Fiber" in text
    assert house.verbs.done == []
    async with house.database.read() as conn:
        assert (await conn.execute(select(tables.outages))).all() == []


async def test_a_rehearsal_over_the_api(house: WebHouse) -> None:
    await add_network(house.database)
    async with house.database.write() as conn:
        await conn.execute(tables.needs.insert().values(id=1, text="element:POP-LEX"))
        await conn.execute(tables.circuits.update().values(need_id=1))
    token = await house.bearer(Role.OPERATOR)
    body = {"title": "Cut", "scope": {"elements": ["POP-LEX"]}, "script": "+20m eta +1h\n+1h resolve"}
    answer = await house.client.post("/api/v1/rehearsals", json=body, headers=token)
    found = await answer.json()
    assert (answer.status, found["state"]) == (200, "done")
    assert [wave["verb"] for wave in found["answer"]["waves"]] == ["declare", "update", "resolve"]
    assert found["answer"]["figures"]["customers"] == 2
    again = await house.client.get(answer.headers["Location"], headers=token)
    assert await again.json() == found
    wrong = await house.client.post("/api/v1/rehearsals", json=body | {"script": "+20m dance"}, headers=token)
    assert (wrong.status, (await wrong.json())["errors"][0]["field"]) == (422, "script")
    viewer = await house.bearer(Role.VIEWER)
    assert (await house.client.post("/api/v1/rehearsals", json=body, headers=viewer)).status == 403


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"scope": "", "script": ""}, "name what would be down"),
        ({"scope": "POP-NOWHERE", "script": ""}, "no element, site"),
        ({"scope": "POP-LEX", "script": "+20m dance"}, "line 1: is no step"),
        ({"scope": "POP-LEX", "script": "+20m restore NOBODY"}, "no element, site"),
        ({"scope": "POP-LEX", "script": "", "eta": "soon"}, "is not a time"),
    ],
)
async def test_a_rehearsal_that_cannot_be_played_says_why(house: WebHouse, fields: dict[str, str], wrong: str) -> None:
    await add_network(house.database)
    await house.sign_in()
    text, _ = await post(house, "/desk/rehearse", 422, title="A test", **fields)
    assert "Nothing was played" in text and wrong in unescape(text)
    assert "A test" in text


async def test_the_declare_form_can_be_rehearsed_and_the_forgotten_is_said_so(house: WebHouse) -> None:
    await house.sign_in()
    text, _ = await post(house, "/desk/rehearse", 200, title="From the declare form", scope="POP-LEX")
    assert "From the declare form" in text and 'name="script"' in text
    assert "forgotten" in await page(house, "/desk/rehearse/nothing", 404)


def test_what_is_shipped_with_the_demo_is_sound(tmp_path: Path) -> None:
    """Phrases and templates that nothing is wrong with, each name once, naming what the sample provider has."""
    write_provider(tmp_path, customers=20)
    texts = [(tmp_path / f"{name}.csv").read_text() for name in ("elements", "services")]
    ids = {row["id"] for text in texts for row in csv.DictReader(text.splitlines())}
    phrases = [Phrase(**each) for each in PHRASES]  # type: ignore[arg-type]
    templates = [OutageTemplate(**each) for each in TEMPLATES]  # type: ignore[arg-type]
    for place, phrase in enumerate(phrases):
        assert check_phrase(phrase, [other.name for other in phrases[:place]]) == []
    for place, template in enumerate(templates):
        assert check_template(template, [other.name for other in templates[:place]]) == []
        assert template.scope.removeprefix("service:") in ids
