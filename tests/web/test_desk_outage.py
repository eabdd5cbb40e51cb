"""One outage on the desk, on the real engine: looked at before it is sent, said again, seen to, written down."""

import csv
import io
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import insert, text, update

from outagecast.app import Core, Daemon, open_core
from outagecast.config import load_config
from outagecast.domain.delivery import DeliveryState as S
from outagecast.domain.levels import Effect
from outagecast.domain.outage import Actor, ActorKind, Change, Declaration, Role, ScopeEntry
from outagecast.storage import tables
from outagecast.web.server import make_app
from tests.support.healthy import Post
from tests.support.web_house import PASSWORD, SETUP, add_network
from tests.web.test_whole_house import SETTINGS

NOW = datetime(2026, 3, 3, 14, 14, tzinfo=UTC)
"""09:14 in New York."""
BEA = Actor(kind=ActorKind.STAFF, name="bea", role=Role.OPERATOR)


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


class Desk:
    """Ann at her desk, with one outage declared at POP-LEX that touches two customers."""

    def __init__(self, core: Core, client: "TestClient[Any, Any]", clock: Clock) -> None:
        self.core, self.client, self.clock = core, client, clock
        self.here = "/desk/outages/OUT-2026-0001"
        self.csrf = ""
        self.post = Post(core.db, clock)  # type: ignore[arg-type]

    async def page(self, path: str = "") -> str:
        answer = await self.client.get(f"{self.here}{path}")
        assert answer.status == 200, (path, answer.status)
        return unescape(await answer.text())

    async def press(self, path: str, expected: int = 200, /, **fields: str | list[str]) -> str:
        """The page that follows a button."""
        pairs = [("csrf", self.csrf)]
        for name, value in fields.items():
            pairs += [(name, one) for one in ([value] if isinstance(value, str) else value)]
        answer = await self.client.post(f"{self.here}{path}", data=pairs)
        said = unescape(await answer.text())
        assert answer.status == expected, said.partition("<main")[2]
        return said

    async def revision(self) -> str:
        return hidden(await self.page(), "revision")

    async def rows(self, sql: str, **values: Any) -> list[Any]:
        async with self.core.db.read() as conn:
            return list((await conn.execute(text(sql), values)).all())

    async def take_effect(self) -> None:
        self.clock.now += timedelta(seconds=31)
        await self.core.operations.take_due()


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, name
    return found.group(1)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    (tmp_path / "config.toml").write_text(SETTINGS)
    clock = Clock()
    async with open_core(load_config(tmp_path / "config.toml", environ={}), clock=clock) as core:
        await add_network(core.db)
        async with core.db.write() as conn:
            await conn.execute(insert(tables.needs).values(id=1, text="element:POP-LEX"))
            hangs = tables.circuits.c.id.in_(["CIR-1", "CIR-2", "CIR-3"])
            await conn.execute(update(tables.circuits).where(hangs).values(need_id=1))
            await conn.execute(update(tables.addresses).where(tables.addresses.c.id == 3).values(suppressed=None))
        scope = (ScopeEntry(kind="element", id="POP-LEX", effect=Effect.OUTAGE),)
        await core.operations.declare(Declaration(title="Fibre cut", scope=scope, message="We are on it."), actor=BEA)
        async with TestClient(TestServer(make_app(Daemon(core).services()))) as client:
            found = Desk(core, client, clock)
            await core.people.add_staff("ann", PASSWORD, Role.OPERATOR, actor=SETUP)
            board = await (await client.post("/desk/sign-in", data={"name": "ann", "password": PASSWORD})).text()
            found.csrf = hidden(board, "csrf")
            yield found


async def test_the_estimate_moves_at_one_click(desk: Desk) -> None:
    await desk.post.send()
    assert "Tell 2 customers" in await desk.page()
    said = await desk.press("/update", revision=await desk.revision(), by="60", message="Splicing.")
    assert "updated by ann" in said
    await desk.take_effect()
    row = (await desk.rows("SELECT eta, eta_slips FROM outages"))[0]
    at = (NOW + timedelta(hours=1)).timestamp() * 1_000_000
    assert (row.eta, row.eta_slips) == (at, 0)
    page = await desk.page()
    assert "+15 min" in page
    assert "10:29 EST" in page, "where one click would move it"
    await desk.press("/update", revision=await desk.revision(), by="15")
    await desk.take_effect()
    row = (await desk.rows("SELECT eta, eta_slips FROM outages"))[0]
    assert (row.eta, row.eta_slips) == (at + 15 * 60 * 1_000_000, 1)
    for written, zone in (("16:00", "Europe/London"), ("16:00 Europe/London", ""), ("11:00", "")):
        await desk.press("/update", revision=await desk.revision(), eta=written, eta_zone=zone)
        await desk.take_effect()
        expected = NOW.replace(hour=16, minute=0).timestamp() * 1_000_000
        assert (await desk.rows("SELECT eta FROM outages"))[0].eta == expected, (written, zone)
    wrong = await desk.press("/update", 422, eta="16:00", eta_zone="Europe/Lodnon")
    assert "Europe/Lodnon is no time zone" in wrong
    assert "move it by a number of minutes" in await desk.press("/update", 422, by="soon")
    nothing = await desk.press("/update", 422, message="kept", eta="", eta_zone="")
    assert "write a time, like 14:30" in nothing
    assert ">kept</textarea>" in nothing


async def test_what_is_back_is_shown_before_it_is_sent(desk: Desk) -> None:
    await desk.post.send()
    page = await desk.page()
    assert 'value="site:LEX"' in page, "branches by site"
    assert "Lexington" in page
    form = {"revision": hidden(page, "revision"), "restored": "site:LEX", "restore_message": "Spliced."}
    looked = await desk.press("/restore", **form)
    assert "These are back: 1 customer hears of it." in looked
    assert "Acme Manufacturing" in looked
    assert "Main Office, Warehouse" in looked
    assert "Tell 1 customer<" in looked
    assert "As it will be read" in looked
    assert "Spliced." in looked.partition("As it will be read")[2]
    assert await desk.rows("SELECT * FROM revisions WHERE verb = 'restore'") == []
    changed = await desk.press("/restore", **{**form, "restored": "circuit:CIR-1", "seen": hidden(looked, "seen")})
    assert "These are back: 1 customer" in changed, "changed after the look: looked at once more"
    back = await desk.press("/restore", do="edit", **form)
    assert "Spliced." in back
    assert re.search(r'value="site:LEX" checked', back), "what was ticked stays ticked"
    sent = await desk.press("/restore", do="send", seen=hidden(looked, "seen"), **form)
    assert "said to be back by ann" in sent
    await desk.take_effect()
    said = await desk.post.send()
    assert {(row.to, row.kind) for row in said} == {
        ("noc@acme.example", "resolution"),
        ("+18595550123", "resolution"),
    }


async def test_a_click_on_the_map_ticks_a_branch_without_scripts(desk: Desk) -> None:
    assert "<svg" not in await desk.page(), "no coordinates, no map"
    async with desk.core.db.write() as conn:
        for site, north in (("LEX", 38.04), ("GEO", 38.21)):
            at = update(tables.sites).where(tables.sites.c.id == site)
            await conn.execute(at.values(latitude=north, longitude=-84.5))
        moved = update(tables.circuits).where(tables.circuits.c.id == "CIR-2")
        await conn.execute(moved.values(site_id="GEO"))
    page = await desk.page()
    links = dict(re.findall(r'<a href="[^"]*(\?[^"#]*)#back">.*?<title>(\w+)', page, re.S))
    by_name = {name: query for query, name in links.items()}
    assert sorted(by_name) == ["Georgetown", "Lexington"]
    ticked = await desk.page(by_name["Georgetown"])
    assert re.search(r'value="site:GEO" checked', ticked)
    assert '<details class="panel" id="back" open>' in ticked
    cause = await desk.page(by_name["Lexington"])
    assert re.search(r'value="element:POP-LEX" checked', cause), "where the cause stands, all that hangs on it"
    again = dict(re.findall(r'<a href="[^"]*(\?[^"#]*)#back">.*?<title>(\w+)', ticked, re.S))
    off = next(query for query, name in again.items() if name == "Georgetown")
    assert not re.search(r'value="site:GEO" checked', await desk.page(off)), "clicked twice is not ticked"


async def test_more_and_less_scope_is_shown_before_it_is_sent(desk: Desk) -> None:
    await desk.post.send()
    looked = await desk.press("/update", scope_add="voice", message="", status="investigating")
    assert "The scope changes: 1 customer hears of it." in looked
    assert "Bourbon County Schools" in looked
    assert "<dt>Newly down</dt><dd>1 line</dd>" in looked
    only_words = await desk.press("/update", do="look", message="A crew is on site.", status="investigating")
    assert "Say what is new: 2 customers hear of it." in only_words
    assert "A crew is on site." in only_words


async def test_who_was_slower_sees_what_changed_and_loses_no_text(desk: Desk) -> None:
    await desk.post.send()
    page = await desk.page()
    mine = {"revision": hidden(page, "revision"), "status_was": "investigating", "status": "investigating"}
    change = Change(message="The crew has found it.", status=None, eta=NOW + timedelta(hours=2))
    await desk.core.operations.update("OUT-2026-0001", change, actor=BEA)
    said = await desk.press("/update", 412, message="my own words", scope_add="voice", **mine)
    assert "While you were writing, this has changed." in said
    since = said.partition('id="since"')[2].partition("</ol>")[0]
    assert "The crew has found it." in since
    assert "bea" in since
    assert "11:14 EST" in since, "the estimate as a time"
    assert "my own words" in said
    assert ">voice</textarea>" in said
    assert hidden(said, "revision") == "2"
    assert "Fibre cut" in await desk.page("/update"), "asked for again, it is the outage's page"
    await desk.press("/update", message="my own words", revision="2", status="investigating")
    assert (await desk.rows("SELECT actor, message FROM revisions WHERE number = 3")) == [("ann", "my own words")]


async def test_what_the_daemon_said_meanwhile_turns_nobody_away(desk: Desk) -> None:
    await desk.post.send(lambda row: S.FAILED if row.to == "noc@acme.example" else S.ACCEPTED)
    failed = (await desk.rows("SELECT id FROM deliveries WHERE state = 'failed'"))[0].id
    await desk.core.operations.redelivery.retry(failed, actor=BEA)
    said = await desk.press("/update", message="my own words", revision="1", status="investigating")
    assert "updated by ann" in said


async def test_an_untouched_state_does_not_turn_back_a_colleagues(desk: Desk) -> None:
    await desk.core.operations.update("OUT-2026-0001", Change(message="Found.", status=None), actor=BEA)
    fields = {"status_was": "investigating", "status": "investigating", "message": "x", "revision": "2"}
    async with desk.core.db.write() as conn:
        await conn.execute(text("UPDATE outages SET status = 'identified'"))
    await desk.press("/update", **fields)
    await desk.take_effect()
    assert (await desk.rows("SELECT status FROM outages"))[0].status == "identified"


async def test_a_failed_message_is_tried_again_or_seen_to(desk: Desk) -> None:
    await desk.post.send(lambda row: S.FAILED)
    page = await desk.page()
    assert "3 messages did not arrive" in page
    listed = await desk.page("/deliveries?state=to_do")
    assert "noc@acme.example" in listed
    numbers = {row.to: row.id for row in await desk.rows('SELECT id, "to" FROM deliveries')}
    mail, phone = numbers["noc@acme.example"], numbers["+18595550123"]
    one = await desk.page(f"/deliveries/{mail}")
    assert "Main Office" in one, "the words as sent"
    assert "rejected" in one
    again = await desk.press(f"/deliveries/{mail}/retry", reason="their server was down")
    assert f'it says again <a href="{desk.here}/deliveries/{mail}">' in again
    assert "Retried by ann" in again
    twice = await desk.press(f"/deliveries/{mail}/retry", 409, reason="kept words")
    assert "newer message has been planned" in twice
    assert "kept words" in twice
    assert "say in a few words" in await desk.press(f"/deliveries/{phone}/handled", 422)
    handled = await desk.press(f"/deliveries/{phone}/handled", reason="rang Mr Dole")
    assert "Seen to by ann" in handled
    assert "1 message did not arrive" in await desk.page()
    await desk.press("/retry")
    assert "did not arrive" not in await desk.page()
    assert {row.to for row in await desk.post.send()} == {"noc@acme.example", "gone@school.example"}
    mails = await desk.rows("SELECT id FROM deliveries WHERE revision > 1 ORDER BY id")
    once_more = await desk.press(f"/deliveries/{mails[0].id}/resend")
    assert "Resent by ann" in once_more


async def test_a_shared_address_is_confirmed_from_its_message(desk: Desk) -> None:
    async with desk.core.db.write() as conn:
        await conn.execute(update(tables.addresses).where(tables.addresses.c.id == 3).values(shared=True))
    await desk.core.operations.update("OUT-2026-0001", Change(scope=()), actor=BEA)
    scope = (ScopeEntry(kind="element", id="POP-LEX", effect=Effect.OUTAGE),)
    told = await desk.core.operations.declare(Declaration(title="Again", scope=scope), actor=BEA)
    held = (await desk.rows("SELECT id FROM deliveries WHERE reason = 'shared_address' AND outage_id = :o",
                            o=told.outage_id))[0].id  # fmt: skip
    desk.here = f"/desk/outages/{told.outage_id}"
    assert "Many share this address, and that is right: tell it" in await desk.page(f"/deliveries/{held}")
    after = await desk.press(f"/deliveries/{held}/confirm", reason="their own NOC")
    assert "Said again as" in after
    assert "gone@school.example" in {row.to for row in await desk.post.send() if row.outage_id == told.outage_id}


async def test_lists_are_filtered_and_paged_without_addresses_in_the_url(desk: Desk) -> None:
    async with desk.core.db.write() as conn:
        row = (await conn.execute(tables.deliveries.select())).mappings().first()
        assert row is not None
        more = [{**row, "id": 100 + n, "address_id": 500 + n, "to": f"n{n:03}@example.org"} for n in range(120)]
        await conn.execute(insert(tables.deliveries), more)
        await conn.execute(insert(tables.notices), [{"delivery_id": r["id"], "customer_id": "K-1"} for r in more])
    seen: list[str] = []
    path: str | None = "/deliveries?channel=email&customer=K-1"
    while path:
        shown = await desk.page(path)
        seen += re.findall(r">(n\d{3}@example\.org)<", shown)
        on = re.search(r'rel="next" href="[^"]*(/deliveries[^"]*)"', shown)
        path = on.group(1) if on else None
    assert seen == [f"n{n:03}@example.org" for n in reversed(range(120))], "each once, the newest first"
    found = await desk.press("/deliveries", to="n017")
    assert "n017@example.org" in found
    assert "n018@example.org" not in found
    assert "None like that." in await desk.page("/deliveries?kind=resolution")
    assert (await desk.client.get(f"{desk.here}/deliveries?before=x")).status == 400
    assert (await desk.client.get(f"{desk.here}/deliveries/99999")).status == 404
    assert (await desk.client.get("/desk/outages/OUT-2026-0009/deliveries")).status == 404


async def test_notes_and_owner(desk: Desk) -> None:
    await desk.post.send()
    page = await desk.press("/note", private="Carrier ticket 4711")
    assert "Carrier ticket 4711" in page.partition('id="notes"')[2].partition("</ol>")[0]
    assert "write something" in await desk.press("/note", 422, private=" ")
    assert await desk.post.send() == []
    taken = await desk.press("/owner", take="yes", owner="")
    assert "Take it" not in taken
    assert (await desk.rows("SELECT owner FROM outages"))[0].owner == "ann"
    await desk.press("/owner", owner="bea")
    assert (await desk.rows("SELECT owner FROM outages"))[0].owner == "bea"
    public = await (await desk.client.get("/outages/OUT-2026-0001")).text()
    assert "4711" not in public
    mine = await (await desk.client.get(f"/my/{desk.core.links.token(1)}")).text()
    assert "4711" not in mine


async def test_the_timeline_is_filtered_exported_and_printed(desk: Desk) -> None:
    await desk.core.operations.note("OUT-2026-0001", '=HYPERLINK("https://evil.example","x")', actor=BEA)
    await desk.press("/owner", take="yes", owner="")
    everything = await desk.page("/timeline")
    assert "declared" in everything
    only = (await desk.page("/timeline?what=note")).partition('id="lines"')[2]
    assert "HYPERLINK" in only
    assert "<strong>declared" not in only
    assert "<strong>note" not in (await desk.page("/timeline?actor=ann")).partition('id="lines"')[2]
    for cell in ("+1", "-1", "@SUM(A1)", "\t=1"):
        async with desk.core.db.write() as conn:
            text_id = (
                await conn.execute(insert(tables.texts).values(text=cell).returning(tables.texts.c.id))
            ).scalar_one()
            line = {"at": NOW, "outage_id": "OUT-2026-0001", "what": "note", "actor": "=bea", "text_id": text_id}
            await conn.execute(insert(tables.timeline).values(**line))
    answer = await desk.client.get(f"{desk.here}/timeline.csv")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="OUT-2026-0001-timeline.csv"'
    body = (await answer.read()).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(body)))
    assert [row["what"] for row in rows] == ["declared", "note", "owned", *["note"] * 4]
    assert [row["text"] for row in rows[3:]] == ["'+1", "'-1", "'@SUM(A1)", "'\t=1"]
    assert {row["actor"] for row in rows[3:]} == {"'=bea"}
    assert rows[0]["local time"] == "2026-03-03T09:14:00-05:00"
    assert rows[1]["text"].startswith("'=HYPERLINK")
    assert (rows[2]["actor"], rows[2]["kind of actor"]) == ("ann", "staff")
    printed = await desk.page("/timeline/print")
    assert printed.index("declared") < printed.index("HYPERLINK")


async def test_overlaps_say_who_speaks_to_whom(desk: Desk) -> None:
    await desk.post.send()
    scope = (ScopeEntry(kind="circuit", id="CIR-1", effect=Effect.OUTAGE),)
    await desk.core.operations.declare(Declaration(title="A second cut", scope=scope), actor=BEA)
    page = await desk.page()
    assert "this one speaks to 1 customer of both" in page
    assert '<option value="OUT-2026-0002">A second cut' in page
    looked = await desk.press("/merge", into="OUT-2026-0002")
    assert "It is part of OUT-2026-0002: 2 customers hear of it." in looked
    assert "hear that another outage keeps them down" in looked
    wrong = await desk.press("/merge", 422, into="OUT-2026-0001")
    assert "is not another open outage" in wrong
    assert "choose the outage it is part of" in await desk.press("/merge", 422)
    desk.here = "/desk/outages/OUT-2026-0002"
    assert "it speaks to 1 customer of both" in await desk.page()


async def test_over_the_api(desk: Desk) -> None:
    await desk.post.send(lambda row: S.FAILED)
    token = {"Authorization": f"Bearer {await desk.core.people.add_token('ci', Role.OPERATOR, actor=SETUP)}"}
    one = (await desk.rows("SELECT id FROM deliveries WHERE \"to\" = 'noc@acme.example'"))[0].id

    async def call(path: str, expected: int, body: dict[str, Any] | None = None) -> Any:
        answer = await desk.client.post(f"/api/v1{path}", json=body or {}, headers=token)
        assert answer.status == expected, await answer.text()
        return await answer.json() if answer.status != 204 else None

    again = await call(f"/deliveries/{one}/retry", 201, {"reason": "greylisted"})
    assert (again["revision"], len(again["deliveries"]), again["refused"]) == (2, 1, {})
    assert (await call(f"/deliveries/{one}/retry", 409))["status"] == 409
    shown = await (await desk.client.get(f"/api/v1/deliveries/{again['deliveries'][0]}", headers=token)).json()
    assert (shown["repeats"], shown["state"], shown["handled"]) == (one, "planned", None)
    assert "Main Office" in shown["words"]["text"]
    other = (await desk.rows("SELECT id FROM deliveries WHERE channel = 'sms'"))[0].id
    assert (await call(f"/deliveries/{other}/handled", 422))["errors"][0]["field"] == "reason"
    assert (await call(f"/deliveries/{other}/handled", 200, {"reason": "rang"}))["handled_by"] == "ci"
    assert len((await call("/outages/OUT-2026-0001/retry", 201))["deliveries"]) == 1
    assert (await call("/deliveries/424242/resend", 404))["status"] == 404
    assert (await call("/addresses/1/confirm", 409))["detail"] == "few enough customers share it"
    await call("/outages/OUT-2026-0001/notes", 204, {"note": "ticket 12"})
    await call("/outages/OUT-2026-0001/owner", 204, {"owner": "ann"})
    looked = await call("/outages/OUT-2026-0001/restore/preview", 200, {"scope": {"sites": ["LEX"]}})
    assert looked["told"] >= 1
    assert (await call("/outages/OUT-2026-0001/resolve/preview", 200))["told"] == 2
    more = await call("/outages/OUT-2026-0001/updates/preview", 200, {"scope_add": {"services": ["voice"]}})
    assert more["more"] == 1
    document = await (await desk.client.get("/api/v1/openapi.json")).json()
    for path in ("/deliveries/{id}/retry", "/deliveries/{id}/handled", "/deliveries/{id}/resend",
                 "/addresses/{id}/confirm", "/outages/{id}/restore/preview"):  # fmt: skip
        assert f"/api/v1{path}" in document["paths"]


async def test_a_viewer_reads_and_presses_nothing(desk: Desk) -> None:
    await desk.post.send(lambda row: S.FAILED)
    await desk.client.post("/desk/sign-out", data={"csrf": desk.csrf})
    await desk.core.people.add_staff("vic", PASSWORD, Role.VIEWER, actor=SETUP)
    board = await (await desk.client.post("/desk/sign-in", data={"name": "vic", "password": PASSWORD})).text()
    one = (await desk.rows("SELECT id FROM deliveries"))[0].id
    for path in ("", "/deliveries", f"/deliveries/{one}", "/timeline", "/timeline/print"):
        shown = await desk.page(path)
        forms = set(re.findall(r'<form method="post"[^>]*action="([^"]+)"', shown))
        assert forms <= {"/desk/sign-out", f"{desk.here}/deliveries"}, path
    desk.csrf = hidden(board, "csrf")
    for path in ("/retry", "/note", "/owner", f"/deliveries/{one}/retry", f"/deliveries/{one}/handled", "/restore"):
        await desk.press(path, 403)
