"""What protects every answer, and what comes in."""

import asyncio
import gzip
import io
import logging
from pathlib import Path

import pytest
from aiohttp import ClientSession

from outagecast.domain.outage import Role
from outagecast.web.server import make_app, serve
from tests.support.web_house import HOOK_TOKEN, NOW, PASSWORD, SETUP, WebHouse, add_network, add_outage, web_house

PAGES = ("/", "/history", "/desk/sign-in", "/api/docs", "/nowhere", "/healthz", "/api/v1/outages", "/static/desk.css")


@pytest.mark.parametrize("path", PAGES)
async def test_every_answer_tells_browsers_what_is_allowed(house: WebHouse, path: str) -> None:
    headers = (await house.client.get(path)).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "aiohttp" not in headers["Server"]
    assert "Python" not in headers["Server"]
    assert "Strict-Transport-Security" not in headers


async def test_private_pages_are_not_kept_and_links_not_passed_on(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in()
    for path in ("/desk", f"/my/{house.links.token(1)}"):
        headers = (await house.client.get(path)).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Robots-Tag"] == "noindex"
    assert (await house.client.get(f"/my/{house.links.token(1)}")).headers["Referrer-Policy"] == "no-referrer"


async def test_pages_need_nothing_that_the_policy_forbids(house: WebHouse) -> None:
    await add_network(house.database)
    await add_outage(house.database, "OUT-2026-0001", next_update_by=NOW)
    await house.sign_in()
    for path in ("/", "/desk", "/desk/declare", "/desk/outages/OUT-2026-0001", f"/my/{house.links.token(1)}"):
        text = await (await house.client.get(path)).text()
        for forbidden in ("style=", "<style", "onclick=", "<script>", "javascript:", "http://", "https://", "//cdn"):
            assert forbidden not in text.replace("http://status.example.net", ""), (path, forbidden)


async def test_behind_https_the_cookie_is_bound_to_the_host(tmp_path: Path) -> None:
    async with web_house(tmp_path, public_url="https://status.example.net") as house:
        await house.people.add_staff("ann", PASSWORD, Role.OPERATOR, actor=SETUP)
        answer = await house.client.post(
            "/desk/sign-in", data={"name": "ann", "password": PASSWORD}, allow_redirects=False
        )
        assert answer.headers["Set-Cookie"].startswith("__Host-outagecast=")
        assert "Secure" in answer.headers["Set-Cookie"]
        assert "max-age=" in answer.headers["Strict-Transport-Security"]


BAD_BODIES = {
    "nothing": b"",
    "not json": b"{",
    "nan": b'{"title": NaN}',
    "deep": b"[" * 100_000,
    "huge number": b"9" * 5000,
    "not utf-8": b'{"title": "\xff"}',
    "a list": b"[]",
    "a text": b'"x"',
    "null": b"null",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
async def test_bodies_that_are_none_are_refused_with_a_problem(house: WebHouse, body: bytes) -> None:
    answer = await house.client.post("/api/v1/outages", data=body, headers=await house.bearer())
    assert answer.status in (400, 422)
    assert answer.content_type == "application/problem+json"
    assert (await answer.json())["status"] == answer.status
    hook = await house.client.post("/hooks/alertmanager", data=body, headers={"Authorization": f"Bearer {HOOK_TOKEN}"})
    assert hook.status == 422
    assert house.taken.events == []


async def test_large_bodies_and_packed_bombs_are_refused(house: WebHouse) -> None:
    headers = await house.bearer()
    answer = await house.client.post("/api/v1/outages", data=io.BytesIO(b"x" * (1024 * 1024 + 1)), headers=headers)
    assert answer.status == 413
    bomb = gzip.compress(b"\0" * 20_000_000)
    answer = await house.client.post("/api/v1/outages", data=bomb, headers={**headers, "Content-Encoding": "gzip"})
    assert answer.status == 413
    hook = {"Authorization": f"Bearer {HOOK_TOKEN}"}
    assert (await house.client.post("/hooks/generic", data=b"x" * 300_000, headers=hook)).status == 413


async def test_the_unforeseen_shows_a_number_only(house: WebHouse, caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> list[str]:
        raise RuntimeError("password is hunter2")

    object.__setattr__(house.services, "ready", broken)
    with caplog.at_level(logging.ERROR):
        answer = await house.client.get("/readyz", headers={"Accept": "application/json"})
    said = await answer.text()
    assert answer.status == 500
    assert "hunter2" not in said
    assert "Traceback" not in said
    number = said.partition("recorded as ")[2].partition(";")[0]
    assert number and number in caplog.text


async def test_the_access_log_holds_no_secret_and_no_query(house: WebHouse, caplog: pytest.LogCaptureFixture) -> None:
    """On a real socket, as the daemon serves it."""
    await add_network(house.database)
    token = house.links.token(1)
    with caplog.at_level(logging.INFO, logger="outagecast.web.access"):
        async with serve(make_app(house.services), host="127.0.0.1", port=0) as port, ClientSession() as client:
            answer = await client.get(f"http://127.0.0.1:{port}/my/{token}?q=private")
            assert answer.status == 200
            await answer.read()
    lines = [record.getMessage() for record in caplog.records if record.name == "outagecast.web.access"]
    assert len(lines) == 1
    assert lines[0].startswith("GET /my/{token} 200 ")
    assert token not in lines[0]
    assert "private" not in lines[0]


async def test_a_strangers_forwarded_address_is_not_believed(house: WebHouse) -> None:
    """The peer is a trusted proxy here: its last untrusted hop counts, not what the client wrote in front of it."""
    await house.people.add_staff("ann", PASSWORD, Role.OPERATOR, actor=SETUP)
    wrong = {"name": "ann", "password": "guess"}
    for number in range(4):
        forged = {"X-Forwarded-For": f"198.51.100.{number}, 203.0.113.5"}
        answer = await house.client.post("/desk/sign-in", data=wrong, headers=forged)
    assert answer.status == 429
    house.clock.now = NOW.replace(hour=15)


async def test_pages_that_tell_nobody_where_they_are_can_send_their_forms(house: WebHouse) -> None:
    """Browsers send `Origin: null` from a page with `Referrer-Policy: no-referrer`; its secret is what counts there."""
    await add_network(house.database)
    path = f"/my/{house.links.token(1)}"
    for headers in ({"Origin": "null"}, {"Origin": "null", "Sec-Fetch-Site": "same-origin"}):
        answer = await house.client.post(path, data={"do": "leave"}, headers=headers, allow_redirects=False)
        assert answer.status == 303
    assert len(house.taken.left) == 2
    for headers in ({"Origin": "null", "Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert (await house.client.post(path, data={"do": "leave"}, headers=headers)).status == 403
    await house.sign_in()
    form = {"csrf": await house.csrf(), "reason": "x"}
    assert (await house.client.post("/desk/pause", data=form, headers={"Origin": "null"})).status == 403
    assert len(house.taken.left) == 2 and house.verbs.done == []


async def test_methods_that_a_door_does_not_know(house: WebHouse) -> None:
    answer = await house.client.delete("/healthz", headers={"Accept": "application/json"})
    assert answer.status == 405
    assert "GET" in answer.headers["Allow"]
    assert (await house.client.head("/")).status == 200


async def test_a_slow_body_is_not_waited_for(house: WebHouse) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.client.port)
    token = await house.token()
    writer.write(
        b"POST /api/v1/outages HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
        b"Authorization: Bearer " + token.encode() + b"\r\n\r\n{"
    )
    writer.write_eof()
    line = await asyncio.wait_for(reader.read(), 12)
    assert b" 400 " in line[:20] or line == b""
    writer.close()
