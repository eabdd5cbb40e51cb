"""`serve` as a process: ready, told of what another command wrote, ended by SIGTERM."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from aiohttp import ClientSession

from outagecast.sandbox import Sandbox, SandboxSettings, start
from outagecast.sandbox.settings import DEFAULT_ACCOUNT_SID, DEFAULT_AUTH_TOKEN


def settings(folder: Path, sandbox: Sandbox, port: int) -> Path:
    path = folder / "served.toml"
    path.write_text(
        f'[provider]\nname = "Bluegrass Fiber"\npublic_url = "http://127.0.0.1:8080"\n[server]\nport = {port}\n'
        f'[email]\nhost = "127.0.0.1"\nport = {sandbox.smtp_port}\nfrom = "status@example.net"\n'
        f'[sms]\naccount_sid = "{DEFAULT_ACCOUNT_SID}"\nauth_token = "{DEFAULT_AUTH_TOKEN}"\nfrom = "+18595550100"\n'
        f'api_url = "{sandbox.url}"\nallowed_countries = ["US", "DE"]\n'
    )
    path.chmod(0o600)
    return path


async def launch(*words: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "outagecast",
        *words,
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


async def port_of(process: Process) -> int:
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while line := (await process.stderr.readline()).decode():
            if line.startswith("listening on "):
                return int(line.split()[2].rpartition(":")[2])
    raise AssertionError("it never listened")


async def test_a_command_beside_the_daemon(tmp_path: Path, provider: Path) -> None:
    sandbox = await start(SandboxSettings())
    try:
        config = str(settings(tmp_path, sandbox, 0))
        imported = await launch("--config", config, "import", str(provider), "--json")
        out, said = await imported.communicate()
        assert imported.returncode == 0, said
        assert json.loads(out)["applied"] is True
        daemon = await launch("serve", "--config", config, "--log-level", "warning")
        port = await port_of(daemon)
        async with ClientSession() as http, http.get(f"http://127.0.0.1:{port}/readyz") as answer:
            assert answer.status == 200
        second = await launch("serve", "--config", config)
        _, refused = await second.communicate()
        assert second.returncode == 1
        assert b"another OutageCast daemon" in refused.splitlines()[-1]
        declared = await launch("--config", config, "declare", "Cut", "--element", "POP-HAZ", "--json")
        out, said = await declared.communicate()
        assert declared.returncode == 0, said
        planned = json.loads(out)["planned"]["email"]
        async with asyncio.timeout(30):
            while len(sandbox.records("mail")) < planned:  # noqa: ASYNC110 - a process apart has no event
                await asyncio.sleep(0.05)
        daemon.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            out, _ = await daemon.communicate()
        assert (daemon.returncode, out) == (0, b"")
    finally:
        await sandbox.close()
