"""The sandbox as a process of its own."""

import asyncio
import json
import os
import signal
import smtplib
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest


async def launch(tmp_path: Path, *more: str) -> tuple[Process, dict[str, Any]]:
    ready = tmp_path / "ready.json"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "outagecast.sandbox", "--smtp-port", "0", "--http-port", "0", "--ready-file", str(ready), *more),
        stderr=PIPE,
    )
    async with asyncio.timeout(20):
        while not ready.exists():
            await asyncio.sleep(0.02)
            assert process.returncode is None
    return process, json.loads(ready.read_text())


async def test_it_says_when_it_is_ready_and_ends_in_order(tmp_path: Path) -> None:
    process, ready = await launch(
        tmp_path, "--state-dir", str(tmp_path / "state"), "--speed", "60", "--epoch", "2020-01-01T00:00:00Z"
    )

    def mail_and_look() -> str:
        with smtplib.SMTP("127.0.0.1", ready["smtp_port"], timeout=5) as client:
            client.sendmail("a@x.example", ["b@y.example"], "Subject: Hi\r\n\r\nHello\r\n")
        with urlopen(ready["url"], timeout=5) as answer:
            return str(answer.read().decode())

    page = await asyncio.to_thread(mail_and_look)
    assert "b@y.example" in page
    assert "60\u00d7 speed" in page
    events = await asyncio.open_connection("127.0.0.1", ready["http_port"])
    events[1].write(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    await events[0].readuntil(b"data: ")
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(5):
        assert await process.wait() == 0
    events[1].close()
    [record] = [json.loads(line) for line in read(ready["log"]).splitlines()]
    assert record["rcpt"] == "b@y.example"
    assert record["at"] > "2026"


async def test_it_goes_with_its_parent(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=PIPE)
    process, _ = await launch(tmp_path, "--parent-pid", str(parent.pid))
    parent.kill()
    async with asyncio.timeout(5):
        assert await process.wait() == 0
    await parent.wait()


async def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path) -> None:
    process, ready = await launch(tmp_path)
    second = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "outagecast.sandbox",
        "--smtp-port",
        str(ready["smtp_port"]),
        "--http-port",
        "0",
        stderr=PIPE,
    )
    async with asyncio.timeout(20):
        _, said = await second.communicate()
    assert second.returncode == 1
    assert said.startswith(b"sandbox: ")
    assert b"in use" in said
    assert said.count(b"\n") == 1
    process.terminate()
    await process.wait()


async def test_ready_fd(tmp_path: Path, until: Callable[..., Any]) -> None:
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "outagecast.sandbox", "--smtp-port", "0", "--http-port", "0", "--ready-fd", str(writing)),
        pass_fds=(writing,),
        stderr=PIPE,
    )
    os.close(writing)
    with os.fdopen(reading) as pipe:
        ready = json.loads(await asyncio.to_thread(pipe.readline))
    assert ready["pid"] == process.pid
    process.terminate()
    assert await process.wait() == 0
    with pytest.raises(FileNotFoundError):
        read(ready["log"])


def read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")
