"""The demo for real: declared over its API, seen at its sandbox, ended by Ctrl-C."""

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from outagecast.demo import DemoRefused, free_port, own, usual_folder

FIRST_SECONDS, NEXT_SECONDS = 60, 20
"""A shared machine is slow: what is promised (a minute, two seconds) is measured where nothing else runs."""


async def launch(folder: Path, *more: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "outagecast", "demo", "--folder", str(folder), "--port", "0", "--json", *more,
        stdout=PIPE, stderr=PIPE,
    )  # fmt: skip


async def announced(process: Process, seconds: float) -> dict[str, Any]:
    assert process.stdout is not None
    text = ""
    async with asyncio.timeout(seconds):
        while not text.endswith("\n}\n"):
            line = await process.stdout.readline()
            assert line, (text, await process.stderr.read() if process.stderr else "")
            text += line.decode()
    found: dict[str, Any] = json.loads(text)
    return found


async def interrupt(process: Process) -> float:
    """Ctrl-C, as the terminal sends it; how long the end took."""
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(20):
        await process.communicate()
    return time.monotonic() - began


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


async def log_of(http: ClientSession, where: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    async with http.get(f"{where['inbox']}/control/log", params={"type": kind, "bodies": "0"}) as answer:
        return [json.loads(line) for line in (await answer.text()).splitlines()]


async def until_told(http: ClientSession, where: dict[str, Any], declared: dict[str, Any]) -> None:
    """Until every mail has been taken and texts have arrived; by night some texts wait for the morning."""
    headers = {"Authorization": f"Bearer {where['token']}"}
    async with asyncio.timeout(60):
        while True:
            async with http.get(f"{where['status_page']}api/v1/outages/{declared['id']}", headers=headers) as answer:
                found = (await answer.json())["deliveries"]
            mailed = found.get("email", {}).get("accepted", 0)
            if mailed >= declared["planned"]["email"] and found.get("sms", {}).get("delivered", 0) > 0:
                return
            await asyncio.sleep(0.1)


async def test_the_demo(tmp_path: Path, http: ClientSession) -> None:
    folder = tmp_path / "demo"
    process = await launch(folder, "--speed", "60")
    where = await announced(process, FIRST_SECONDS)
    try:
        second = await launch(folder)
        _, said = await second.communicate()
        assert second.returncode == 1
        assert b"another demo runs here" in said
        for page in ("desk", "status_page", "inbox"):
            async with http.get(where[page]) as answer:
                assert answer.status == 200, page
        body = {"title": "Fibre cut", "scope": {"elements": ["POP-HAZ"]}, "severity": "critical"}
        headers = {"Authorization": f"Bearer {where['token']}"}
        async with http.post(f"{where['status_page']}api/v1/outages", json=body, headers=headers) as answer:
            assert answer.status == 201, await answer.text()
            declared = await answer.json()
        await until_told(http, where, declared)
        mails, texts = await log_of(http, where, "mail"), await log_of(http, where, "sms")
        assert len(mails) >= declared["planned"]["email"] > 0
        assert texts
        # One clock for both, sixty times faster: some seconds on the wire are some minutes there.
        passed = datetime.fromisoformat(mails[0]["at"]) - datetime.fromisoformat(declared["created_at"])
        assert timedelta(0) <= passed < timedelta(minutes=10)
        assert datetime.fromisoformat(mails[-1]["at"]) > datetime.now(UTC) + timedelta(minutes=1)
        hook = {"Authorization": f"Bearer {where['hook_token']}"}
        event = {"key": "demo-1", "element": "POP-CYN", "summary": "does not answer"}
        async with http.post(where["hook"], json=event, headers=hook) as answer:
            assert answer.status == 202, await answer.text()
    finally:
        took = await interrupt(process)
    assert process.returncode == 0
    assert took < 5
    assert sandbox_is_gone(where)
    process = await launch(folder, "--keep")
    kept = await announced(process, NEXT_SECONDS)
    try:
        assert kept["password"] == where["password"]
        headers = {"Authorization": f"Bearer {kept['token']}"}
        async with http.get(f"{kept['status_page']}api/v1/outages/{declared['id']}", headers=headers) as answer:
            assert answer.status == 200
    finally:
        await interrupt(process)
    process = await launch(folder)
    fresh = await announced(process, NEXT_SECONDS)
    try:
        headers = {"Authorization": f"Bearer {fresh['token']}"}
        async with http.get(f"{fresh['status_page']}api/v1/outages/{declared['id']}", headers=headers) as answer:
            assert answer.status == 404
        assert await log_of(http, fresh, "mail") == []
    finally:
        await interrupt(process)


def sandbox_is_gone(where: dict[str, Any]) -> bool:
    port = int(where["inbox"].rpartition(":")[2])
    return free_port(port) == port


def test_the_folder_is_the_users_own() -> None:
    assert usual_folder({"XDG_CACHE_HOME": "/cache"}) == Path("/cache/outagecast-demo")
    assert usual_folder({}) == Path(os.path.expanduser("~/.cache/outagecast-demo"))


def test_one_demo_a_folder_and_one_listener_a_port(tmp_path: Path) -> None:
    with own(tmp_path / "d"):
        assert (tmp_path / "d").stat().st_mode & 0o077 == 0
        with pytest.raises(DemoRefused, match="--folder"), own(tmp_path / "d"):
            pass
    with own(tmp_path / "d"):
        assert free_port(None) > 0
    assert free_port(0) > 0
