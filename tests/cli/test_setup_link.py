"""`serve` on an empty house prints the set-up link; the way back in from the machine itself."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from tests.cli.conftest import CONFIG

Run = Callable[..., Any]
PASSWORD = "correct horse battery staple"


async def serve(config: Path) -> Process:
    words = ("-m", "outagecast", "serve", "--config", str(config), "--log-level", "warning")
    return await asyncio.create_subprocess_exec(
        sys.executable, *words, stdout=PIPE, stderr=PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )


async def lines_until(process: Process, begin: str) -> list[str]:
    assert process.stderr is not None
    lines: list[str] = []
    async with asyncio.timeout(60):
        while line := (await process.stderr.readline()).decode():
            lines.append(line.strip())
            if line.startswith(begin):
                return lines
    raise AssertionError(f"it never said {begin!r}: {lines}")


async def end(process: Process) -> str:
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(30):
        _, said = await process.communicate()
    return said.decode()


async def test_serve_prints_a_link_that_makes_the_first_admin(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG + "\n[server]\nport = 0\n")
    config.chmod(0o600)
    links = []
    for _ in range(2):
        daemon = await serve(config)
        said = await lines_until(daemon, "nobody can sign in yet")
        port = next(line for line in said if line.startswith("listening")).split()[2].rpartition(":")[2]
        links.append(re.findall(r"http://127\.0\.0\.1:8080(/desk/setup/\S+)", said[-1])[0])
        if len(links) == 1:
            await end(daemon)
    assert links[0] != links[1], "a new one with each start"
    url = f"http://127.0.0.1:{port}"
    async with ClientSession() as http:
        async with http.get(f"{url}{links[0]}") as answer:
            assert answer.status == 403, "the one before is void"
        key = links[1].rpartition("/")[2]
        form = {"key": key, "name": "ann", "password": PASSWORD, "again": PASSWORD}
        async with http.post(f"{url}/desk/setup", data=form, allow_redirects=False) as answer:
            assert answer.status == 303
    await end(daemon)
    daemon = await serve(config)
    await lines_until(daemon, "listening on")
    assert "nobody can sign in" not in await end(daemon)


def test_the_way_back_in_from_the_machine(oc: Run) -> None:
    assert oc("user", "add", "ann", "--role", "admin", "--password-stdin", stdin=PASSWORD).code == 0
    link = oc("user", "link", "ann", "--json").json["link"]
    assert link.startswith("http://127.0.0.1:8080/desk/join/")
    invited = oc("user", "invite", "bob", "--role", "operator")
    assert invited.out.startswith("http://127.0.0.1:8080/desk/join/")
    assert oc("user", "link", "nobody").code == 2
    assert oc("user", "invite", "bob", "--role", "viewer").code == 1
    assert oc("user", "reset-second-factor", "ann", "--json").json == {"name": "ann", "second_factor": False}
    assert oc("user", "reset-second-factor", "nobody").code == 2
