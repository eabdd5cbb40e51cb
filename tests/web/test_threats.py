"""What somebody may try, over the whole application: each test is named after what it prevents."""

import asyncio
import csv
import io
import re
import threading
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from argon2 import PasswordHasher
from sqlalchemy import insert, text, update

from outagecast.app import Core, Daemon, open_core
from outagecast.config import parse_config
from outagecast.domain.outage import Role
from outagecast.engine.passwords import HASHES_AT_ONCE
from outagecast.engine.people import People, SignInRefused
from outagecast.storage import tables
from outagecast.storage.engine import Database
from outagecast.web.access import BySession, ByToken, Open
from outagecast.web.routes import ROUTES, Route
from outagecast.web.server import make_app
from tests.support.web_house import (
    NOW,
    PASSWORD,
    SETUP,
    WebHouse,
    add_delivery,
    add_impacts,
    add_network,
    add_outage,
    add_revision,
    web_house,
)

OUTAGE = "OUT-2026-0001"
SCRIPT = "<script>alert(1)</script>"
HOSTILE = f"\"'>{SCRIPT}<img src=x onerror=alert(1)>{{{{ 7*7 }}}}"
QUOTES = "x' OR '1'='1'; DROP TABLE staff; --"
FORMULA = "=HYPERLINK(A1)"
PLACES = {
    "id": OUTAGE,
    "month": "2026-03",
    "delivery": "1",
    "address": "1",
    "name": "generic",
    "key": "x",
    "token": "x",
}


def path_of(route: Route, **places: str) -> str:
    """The route's path with something that exists in each place."""

    def place(found: re.Match[str]) -> str:
        name, pattern = found[1], found[2] or ""
        return places.get(name) or (pattern.partition("|")[0] if "|" in pattern else PLACES.get(name, "1"))

    return re.sub(r"\{(\w+)(?::((?:[^{}]|\{\d\})*))?\}", place, route.path)


def looking() -> list[Route]:
    """Every page and list that can be looked at but the live stream, which never ends."""
    return [route for route in ROUTES if route.method == "GET" and route.path != "/desk/events"]


def things() -> list[tuple[Route, dict[str, str]]]:
    """Those routes with what stands in their places: an outage, a customer, an element …"""
    found = []
    for route in looking():
        if "customers/{id}" in route.path:
            found.append((route, {"id": "K-1"}))
        elif "{kind" in route.path:
            kinds = re.search(r"\{kind:([^}]+)\}", route.path)
            ids = {"customers": "K-1", "contacts": "C-1", "circuits": "CIR-1", "sites": "LEX", "services": "fiber"}
            for kind in kinds[1].split("|") if kinds else ():
                found.append((route, {"kind": kind, "id": ids.get(kind, "POP-LEX")}))
        elif "staff/{id}" in route.path:
            found.append((route, {"id": "1"}))
        else:
            found.append((route, {}))
    return found


async def full(house: WebHouse) -> None:
    """One outage that touches a customer, with deliveries, lines of the timeline, staff and a token."""
    await add_network(house.database)
    await add_outage(house.database, OUTAGE, next_update_by=NOW)
    await add_revision(house.database, OUTAGE, 1, "declare", "effective")
    await add_impacts(house.database, OUTAGE, ("circuit", "CIR-1", "K-1", 3))
    await add_delivery(house.database, 1)
    await house.sign_in(Role.ADMIN)


async def snapshot(database: Database) -> dict[str, list[Any]]:
    async with database.read() as conn:
        return {
            name: sorted(map(repr, (await conn.execute(table.select())).all()))
            for name, table in tables.metadata.tables.items()
        }


def bearer(route: Route, token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if isinstance(route.access, ByToken) else {}


# --- guessing ---


class CountingHasher(PasswordHasher):
    """Counts how many hashes are under way at once, and how many were made or checked at all."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.lock, self.now, self.most, self.all = threading.Lock(), 0, 0, 0
        self.pause = threading.Event()

    def verify(self, hash: Any, password: Any) -> Any:
        with self.lock:
            self.now += 1
            self.all += 1
            self.most = max(self.most, self.now)
        self.pause.wait(0.02)
        try:
            return super().verify(hash, password)
        finally:
            with self.lock:
                self.now -= 1


async def test_guessing_many_passwords_at_once_does_not_starve_the_daemon(house: WebHouse) -> None:
    hasher = CountingHasher()
    people = People(house.database, clock=house.clock, secret=house.services.new_id, hasher=hasher)
    await people.add_staff("ann", PASSWORD, Role.ADMIN, actor=SETUP)
    guesses = [people.sign_in(f"name-{number}", "guess", source=f"192.0.2.{number}") for number in range(24)]
    refused = await asyncio.gather(*guesses, return_exceptions=True)
    assert all(isinstance(each, SignInRefused) for each in refused)
    assert 1 < hasher.most <= HASHES_AT_ONCE


async def test_the_time_taken_does_not_tell_which_names_exist(house: WebHouse) -> None:
    """A name that nobody has, one that is disabled, one without a password yet: each costs one hash, and says alike."""
    hasher = CountingHasher()
    people = People(house.database, clock=house.clock, secret=house.services.new_id, hasher=hasher)
    for name in ("ann", "gone"):
        await people.add_staff(name, PASSWORD, Role.ADMIN, actor=SETUP)
    await people.roster.invite("new", Role.VIEWER, actor=SETUP, source="")
    await people.disable_staff("gone", actor=SETUP)
    said = set()
    for number, (name, password) in enumerate(
        [("ann", "guess"), ("nobody", PASSWORD), ("gone", PASSWORD), ("new", "")]
    ):
        before = hasher.all
        with pytest.raises(SignInRefused) as refused:
            await people.sign_in(name, password, source=f"192.0.2.{number}")
        said.add((str(refused.value), hasher.all - before))
    assert said == {("that name and password do not go together", 1)}


async def test_the_pages_do_not_tell_which_names_exist(house: WebHouse) -> None:
    await house.people.add_staff("ann", PASSWORD, Role.ADMIN, actor=SETUP)
    said = set()
    for number, name in enumerate(("ann", "bob")):
        headers = {"X-Forwarded-For": f"203.0.113.{number}"}
        form = {"name": name, "password": "guess"}
        answer = await house.client.post("/desk/sign-in", data=form, headers=headers)
        said.add((answer.status, (await answer.text()).replace(f'value="{name}"', "")))
    assert len(said) == 1


async def test_guessing_locks_nobody_out_of_his_own_house(house: WebHouse) -> None:
    """Strangers can slow a name down everywhere by half a minute at the most: the only admin still gets in."""
    await house.people.add_staff("ann", PASSWORD, Role.ADMIN, actor=SETUP)
    for number in range(40):
        headers = {"X-Forwarded-For": f"198.51.100.{number}"}
        await house.client.post("/desk/sign-in", data={"name": "ann", "password": "guess"}, headers=headers)
    slowed = await house.client.post("/desk/sign-in", data={"name": "ann", "password": PASSWORD})
    assert slowed.status == 429
    assert int(slowed.headers["Retry-After"]) <= 30
    house.clock.now += house.people.rules.idle / 60
    form = {"name": "ann", "password": PASSWORD}
    assert (await house.client.post("/desk/sign-in", data=form, allow_redirects=False)).status == 303


async def test_guessing_is_on_record_once_and_cannot_flood_it(house: WebHouse) -> None:
    await house.people.add_staff("ann", PASSWORD, Role.ADMIN, actor=SETUP)
    for _ in range(30):
        await house.client.post("/desk/sign-in", data={"name": "ann", "password": "guess"})
        house.clock.now += house.people.rules.idle / 60
    lines = [line for line in await house.people.happened() if line.what == "sign_in_refused"]
    assert [(line.actor, line.why, line.source) for line in lines] == [
        ("ann", "3 wrong passwords for ann", "127.0.0.1")
    ]


async def test_no_account_is_shipped(house: WebHouse) -> None:
    for name in ("admin", "root", "outagecast", "demo", "anna", ""):
        for password in ("", "admin", "password", "outagecast", "changeme", name):
            with pytest.raises(SignInRefused):
                await house.people.sign_in(name, password, source=f"{name}/{password}")
    assert await house.people.staff() == []
    assert (await house.client.get("/desk")).url.path == "/desk/setup"


@pytest.mark.parametrize("secret", ["", "x", "x" * 22, "A" * 21, "-" * 22, "ÄÖÜ", "%00", "..%2Fdesk", "0" * 200])
async def test_guessed_links_open_nothing_and_look_alike(house: WebHouse, secret: str) -> None:
    await add_network(house.database)
    for kind in ("my", "unsubscribe"):
        answer = await house.client.get(f"/{kind}/{secret}")
        assert answer.status == 404
    assert house.taken.left == []


async def test_altered_links_open_nothing(house: WebHouse) -> None:
    """One link is worth nothing for finding another: neither a neighbour's number nor a changed character holds."""
    await add_network(house.database)
    link = house.links.token(1)
    said = set()
    for place in range(len(link)):
        for other in "AZ09_-":
            if other != link[place] and house.links.read(link[:place] + other + link[place + 1 :]) is not None:
                assert place == len(link) - 1, "the last character's spare bits say nothing"
    for path in (f"/my/{house.links.token(2)[:7]}{link[7:]}", f"/my/{house.links.token(999)}", "/my/guess"):
        answer = await house.client.get(path)
        said.add((answer.status, await answer.text()))
    assert len(said) == 1, "whether such an address exists is not told"


# --- in somebody's place ---


async def test_a_session_id_planted_beforehand_is_not_taken_over(house: WebHouse) -> None:
    planted = "x" * 43
    await house.people.add_staff("ann", PASSWORD, Role.ADMIN, actor=SETUP)
    form, headers = {"name": "ann", "password": PASSWORD}, {"Cookie": f"outagecast={planted}"}
    answer = await house.client.post("/desk/sign-in", data=form, headers=headers, allow_redirects=False)
    assert planted not in answer.headers["Set-Cookie"]
    house.client.session.cookie_jar.clear()
    refused = await house.client.get("/desk", headers=headers, allow_redirects=False)
    assert refused.status == 303


async def test_a_stolen_database_opens_no_session(house: WebHouse) -> None:
    """What is kept of sessions, tokens, links and recovery codes does not open anything by itself."""
    await house.sign_in(Role.ADMIN)
    await house.people.add_token("ci", Role.ADMIN, actor=SETUP)
    async with house.database.read() as conn:
        kept = [(await conn.execute(text(query))).scalar_one() for query in (
            "SELECT id_hash FROM sessions", "SELECT hash FROM tokens")]  # fmt: skip
    house.client.session.cookie_jar.clear()
    for secret in kept:
        cookie = {"Cookie": f"outagecast={secret}"}
        assert (await house.client.get("/desk", headers=cookie, allow_redirects=False)).status == 303
        answer = await house.client.get("/api/v1/outages", headers={"Authorization": f"Bearer {secret}"})
        assert answer.status == 401


async def test_a_browsers_cookie_opens_no_api(house: WebHouse) -> None:
    """Whatever another site makes a browser send, it sends no bearer token."""
    await full(house)
    for route in ROUTES:
        if isinstance(route.access, ByToken):
            answer = await house.client.request(route.method, path_of(route), json={})
            assert answer.status == 401, route.path
    assert house.verbs.done == []


async def test_no_link_changes_anything(house: WebHouse) -> None:
    """A picture on another site, a scanner of mails, a browser that looks ahead: a GET changes nothing.

    But how late somebody was seen, and the key of an authenticator app that nobody confirmed: it opens nothing.
    """
    await full(house)
    token = await house.token(Role.ADMIN)
    link = house.links.token(1)
    invitation = await house.people.roster.invite("bob", Role.VIEWER, actor=SETUP, source="")
    before = await snapshot(house.database)
    for route, places in things():
        secret = link if route.access is Open.OWN_PROOF else invitation
        path = path_of(route, token=link, key=secret, **places)
        answer = await house.client.get(path, headers=bearer(route, token), allow_redirects=False)
        assert answer.status < 500, path
    after = await snapshot(house.database)
    assert {name for name in before if before[name] != after[name]} <= {"tokens", "second_factors"}
    assert house.verbs.done == [] and house.taken.left == []
    assert await house.people.roster.invited(invitation)


# --- words that are more than words ---


async def test_no_name_becomes_markup_on_any_page(house: WebHouse) -> None:
    """What customers, monitors, colleagues and browsers call themselves is shown as it is written."""
    await full(house)
    async with house.database.write() as conn:
        for name in ("customers", "contacts", "circuits", "sites", "elements", "services", "outages"):
            table = tables.metadata.tables[name]
            for column in ("name", "label", "place", "title", "cause", "owner", "created_by", "monitor", "area"):
                if column in table.c:
                    await conn.execute(update(table).values({column: HOSTILE}))
        await conn.execute(
            insert(tables.timeline).values(
                at=NOW, outage_id=OUTAGE, actor_kind="monitor", actor=HOSTILE, what="monitor", why=HOSTILE
            )
        )
        await conn.execute(update(tables.revisions).values(message=HOSTILE, actor=HOSTILE))
        await conn.execute(update(tables.deliveries).values(detail=HOSTILE, code=HOSTILE))
        await conn.execute(update(tables.sessions).values(agent=HOSTILE, source=HOSTILE))
    await house.people.add_token(HOSTILE[:60], Role.VIEWER, actor=SETUP)
    await house.people.roster.invite(HOSTILE[:60], Role.VIEWER, email=HOSTILE, actor=SETUP, source=HOSTILE)
    house.words[1] = {"subject": HOSTILE, "text": HOSTILE, "html": HOSTILE}
    token, link, seen = await house.token(Role.ADMIN), house.links.token(1), 0
    for route, places in things():
        path = path_of(route, token=link, **places)
        answer = await house.client.get(path, headers=bearer(route, token))
        said = await answer.text()
        assert answer.status != 500, path
        if "html" in answer.content_type:
            assert SCRIPT not in said and "<img src=x" not in said, path
            assert "49" not in re.findall(r'>"\'&gt;.*?49', said), path
            seen += unescape(said).count(SCRIPT)
        else:
            assert answer.headers["X-Content-Type-Options"] == "nosniff", path
    assert seen > 10, "and it is shown, not swallowed"


async def test_no_cell_of_an_export_runs_in_a_spreadsheet(house: WebHouse) -> None:
    await full(house)
    async with house.database.write() as conn:
        for name in ("customers", "contacts", "circuits", "outages"):
            table = tables.metadata.tables[name]
            for column in ("name", "label", "place", "title", "cause"):
                if column in table.c:
                    await conn.execute(update(table).values({column: FORMULA}))
        for hostile in (FORMULA, "+1+cmd", "-1+cmd", "@SUM(A1)", "\t=1", "\r=1"):
            await conn.execute(
                insert(tables.timeline).values(
                    at=NOW, outage_id=OUTAGE, actor_kind="staff", actor=hostile, what="note", why=hostile
                )
            )
        await conn.execute(update(tables.deliveries).values(state="failed", detail=FORMULA, code=FORMULA))
    checked = 0
    for route in looking():
        if not route.path.endswith(".csv") or "import" in route.path:
            continue
        answer = await house.client.get(path_of(route))
        assert answer.status == 200, route.path
        assert answer.headers["Content-Disposition"].startswith("attachment"), route.path
        for row in csv.reader(io.StringIO(await answer.text())):
            for cell in row:
                assert not cell.startswith(("=", "@", "\t", "\r")), (route.path, cell)
                assert not re.match(r"[+-].*[^\d.,: -]", cell), (route.path, cell)
                checked += "'=" in cell
    assert checked > 3, "and the cells are there, defused"


async def test_no_text_becomes_a_query(house: WebHouse) -> None:
    """In every place of an address, every query and every search."""
    await full(house)
    token = await house.token(Role.ADMIN)
    asked = {name: QUOTES for name in (
        "q", "next", "cursor", "status", "state", "channel", "what", "actor", "kind", "after", "before", "limit",
        "detail", "contact", "circuit", "edit", "template", "scope", "lines", "hours", "since")}  # fmt: skip
    for route in looking():
        if route.path.startswith("/desk/oidc"):
            continue
        whole = path_of(route, id=QUOTES.replace("/", "")) if "{kind" not in route.path else path_of(route, id="1' --")
        for path, query in ((whole, {}), (path_of(route), asked), (path_of(route), {"q": QUOTES, "after": QUOTES})):
            answer = await house.client.get(path, params=query, headers=bearer(route, token))
            assert answer.status < 500, (route.path, query, answer.status)
    for form in ({"q": QUOTES}, {"words": QUOTES}, {"search": QUOTES, "find": QUOTES}):
        for path in ("/desk/customers", f"/desk/outages/{OUTAGE}/deliveries", "/desk/declare"):
            answer = await house.client.post(path, data={"csrf": await house.csrf(), **form})
            assert answer.status < 500, path
    signed = await house.client.post("/desk/sign-in", data={"name": QUOTES, "password": QUOTES})
    assert signed.status == 401
    assert [row.name for row in await house.people.staff()] == ["ann"]


# --- what browsers are told ---


async def test_no_page_can_be_framed_sniffed_kept_or_scripted_from_elsewhere(house: WebHouse) -> None:
    await full(house)
    token = await house.token(Role.ADMIN)
    for route, places in things():
        answer = await house.client.get(path_of(route, **places), headers=bearer(route, token), allow_redirects=False)
        headers = answer.headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy, route.path
        assert "unsafe" not in policy and "*" not in policy, route.path
        assert headers["X-Content-Type-Options"] == "nosniff", route.path
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin", route.path
        assert "Referrer-Policy" in headers, route.path
        if isinstance(route.access, BySession | ByToken) or route.access in (Open.SIGN_IN, Open.OWN_PROOF):
            assert headers["Cache-Control"] == "no-store", route.path


async def test_no_page_of_the_desk_needs_what_the_policy_forbids(house: WebHouse) -> None:
    await full(house)
    for route, places in things():
        if not isinstance(route.access, BySession):
            continue
        answer = await house.client.get(path_of(route, **places))
        said = (await answer.text()).replace("http://status.example.net", "")
        if "html" not in answer.content_type:
            continue
        for forbidden in (" style=", "<style", " onclick=", "<script>", "javascript:", "//cdn"):
            assert forbidden not in said, (route.path, forbidden)
        assert not re.search(r'(?:src|href|action)="https?://', said), route.path


async def test_plain_http_is_left_behind(tmp_path: Path) -> None:
    async with web_house(tmp_path, public_url="https://status.example.net") as house:
        for path in ("/", "/desk", "/desk/setup", "/healthz", "/api/v1/outages", "/nowhere"):
            answer = await house.client.get(path, allow_redirects=False)
            assert "max-age=31536000" in answer.headers["Strict-Transport-Security"], path


# --- telling the wrong ones, and denying it ---


SETTINGS = """
[provider]
name = "Bluegrass Fiber"
public_url = "http://127.0.0.1:8080"
[email]
host = "127.0.0.1"
from = "Bluegrass Fiber <status@example.net>"
[safety]
approve_above = 1
[[monitors]]
name = "eager"
format = "generic"
token = "hook-token"
action = "declare"
hold_down = "0s"
max_customers = 1
"""
DECLARE = {"title": "Fibre cut", "scope": {"elements": ["POP-LEX"]}, "message": "We are on it."}


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    config = parse_config(SETTINGS, name="config.toml", folder=tmp_path, environ={})
    async with open_core(config) as found:
        await add_network(found.db)
        async with found.db.write() as conn:
            await conn.execute(insert(tables.needs).values(id=1, text="element:POP-LEX"))
            hangs = tables.circuits.c.id.in_(["CIR-1", "CIR-3"])
            await conn.execute(update(tables.circuits).where(hangs).values(need_id=1))
        yield found


async def told(core: Core) -> int:
    async with core.db.read() as conn:
        return int(
            (await conn.execute(text("SELECT count(*) FROM deliveries WHERE state <> 'suppressed'"))).scalar_one()
        )


async def test_no_single_person_program_or_monitor_tells_everybody(core: Core) -> None:
    """Above the limit each of the three doors gives a draft, and nobody releases what is his own."""
    daemon = Daemon(core)
    async with TestClient(TestServer(make_app(daemon.services()))) as client:
        for name in ("ann", "bob"):
            await core.people.add_staff(name, PASSWORD, Role.APPROVER, actor=SETUP)
        token = {"Authorization": f"Bearer {await core.people.add_token('ci', Role.ADMIN, actor=SETUP)}"}
        made = await (await client.post("/api/v1/outages", json=DECLARE, headers=token)).json()
        assert (made["status"], made["held_because"]) == ("draft", "approve_above")
        own = await client.post(f"/api/v1/outages/{made['id']}/release", json={}, headers=token)
        assert own.status == 403
        hooked = await client.post(
            "/hooks/eager",
            json={"event": "trigger", "key": "1", "element": "POP-LEX", "summary": "down"},
            headers={"Authorization": "Bearer hook-token"},
        )
        assert hooked.status == 202
        await daemon.intake.act()
        assert await told(core) == 0
        page = await (await client.post("/desk/sign-in", data={"name": "ann", "password": PASSWORD})).text()
        form = {"csrf": _hidden(page, "csrf"), "title": "Cut", "scope": "POP-LEX", "message": "x", "do": "preview"}
        looked = await (await client.post("/desk/declare", data=form)).text()
        sent = await client.post("/desk/declare", data={**form, "do": "send", "seen": _hidden(looked, "seen")})
        mine = await client.post(f"{sent.url.path}/release", data={"csrf": form["csrf"], "customers": "2"})
        assert mine.status in (403, 409, 422)
        assert await told(core) == 0
        page = await (await client.post("/desk/sign-in", data={"name": "bob", "password": PASSWORD})).text()
        form = {"csrf": _hidden(page, "csrf"), "customers": "2"}
        released = await client.post(f"{sent.url.path}/release", data=form)
        assert "Nothing of the last step has left yet." in await released.text(), "and a second person can"


async def test_nobody_can_deny_what_he_did(house: WebHouse) -> None:
    """Who came in, who was let in as what, and from where: on record, and the record cannot be changed."""
    await house.sign_in(Role.ADMIN)
    csrf = {"csrf": await house.csrf()}
    source = {"X-Forwarded-For": "203.0.113.9"}
    for path, form in (
        ("/desk/staff", {"name": "bob", "email": "", "role": "viewer"}),
        ("/desk/staff/2/role", {"role": "operator"}),
        ("/desk/staff/2/link", {}),
        ("/desk/staff/2/second-factor", {}),
        ("/desk/staff/2/disable", {}),
        ("/desk/staff/2/enable", {}),
        ("/desk/tokens", {"name": "ci", "role": "viewer", "lasts": "30d"}),
        ("/desk/tokens/revoke", {"name": "ci"}),
        ("/desk/account/sessions/end-others", {}),
        ("/desk/sign-out", {}),
    ):
        answer = await house.client.post(path, data={**csrf, **form}, headers=source, allow_redirects=False)
        assert answer.status < 400, (path, answer.status)
    lines = [(line.actor, line.source) for line in await house.people.happened()]
    assert lines[:10] == [("ann", "203.0.113.9")] * 10
    assert lines[10] == ("ann", "127.0.0.1"), "her coming in"
    for statement in ("UPDATE timeline SET actor = 'bob'", "DELETE FROM timeline"):
        with pytest.raises(Exception, match="only ever added to"):
            async with house.database.write() as conn:
                await conn.execute(text(statement))


async def test_what_somebody_does_to_an_outage_says_from_where(core: Core) -> None:
    async with TestClient(TestServer(make_app(Daemon(core).services()))) as client:
        token = {"Authorization": f"Bearer {await core.people.add_token('ci', Role.ADMIN, actor=SETUP)}"}
        made = await (await client.post("/api/v1/outages", json=DECLARE, headers=token)).json()
        async with core.db.read() as conn:
            line = text("SELECT actor, source FROM timeline WHERE outage_id = :id")
            rows = (await conn.execute(line, {"id": made["id"]})).all()
        assert tuple(rows[0]) == ("ci", "127.0.0.1")


def _hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, page
    return unescape(found.group(1))
