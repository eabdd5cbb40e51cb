"""A small HTTP client that keeps so many connections busy: requests a second and how long each took.

`python -m tests.bench.load FILE` reads a job as JSON (`port`, `connections`, `requests`: a list of `[method, path,
headers, body]`, `count` and `seconds`: how much at the most) and prints what it measured. Requests are written as ready
bytes and answers are cut by their Content-Length, so that the client costs a tenth of what it measures. `{n}` in a body
is the number of the request.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop

from tests.bench.arithmetic import percentile
from tests.bench.children import call

LONGEST = 8.0
"""Seconds for one load: where a server is slow, fewer requests say so as well."""
Request = tuple[str, str, dict[str, str], str]
"""Method, path, headers, body."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """`statuses`: how many answers of each; times in milliseconds, from the first byte out to the last byte in, of all
    answers alike; `per_second` counts the good ones only."""

    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    worst_ms: float
    octets: int
    statuses: dict[str, int]


def load(
    folder: Path, port: int, requests: Sequence[Request], *, count: int, connections: int, good: str, refusals: str = ""
) -> Load:
    """In a process of its own; no new request after `LONGEST`. RuntimeError if any answer has a status other than
    `good` and, where a server may refuse what is too much for it, `refusals`.
    """
    job = folder / f"load-{port}.json"
    words = {"port": port, "connections": connections, "requests": requests, "count": count, "good": good}
    job.write_text(json.dumps(words | {"seconds": LONGEST}))
    found = Load(**call("load", str(job)))
    job.unlink()
    if strange := set(found.statuses) - {good, refusals}:
        raise RuntimeError(f"{requests[0][:2]}: answers {strange} among {found.statuses}")
    return found


async def _run(job: dict[str, Any]) -> Load:
    took: list[float] = []
    statuses: Counter[str] = Counter()
    sizes: list[int] = []
    ready = _messages([tuple(one) for one in job["requests"]], int(job["count"]), int(job["port"]))
    started = time.perf_counter()
    ready = _until(started + float(job["seconds"]), ready)
    tasks = [_connection(int(job["port"]), ready, took, statuses, sizes) for _ in range(int(job["connections"]))]
    await asyncio.gather(*tasks)
    seconds = time.perf_counter() - started
    return Load(
        per_second=statuses[job["good"]] / seconds,
        p50_ms=percentile(took, 0.5) * 1000,
        p95_ms=percentile(took, 0.95) * 1000,
        p99_ms=percentile(took, 0.99) * 1000,
        worst_ms=max(took) * 1000,
        octets=max(sizes),
        statuses=dict(statuses),
    )


def _until(end: float, ready: Iterator[bytes]) -> Iterator[bytes]:
    while time.perf_counter() < end and (message := next(ready, None)) is not None:
        yield message


def _messages(requests: Sequence[Any], count: int, port: int) -> Iterator[bytes]:
    for number in range(count):
        method, path, headers, body = requests[number % len(requests)]
        content = body.replace("{n}", str(number)).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *(f"{k}: {v}" for k, v in headers.items())]
        if content or method == "POST":
            lines.append(f"Content-Length: {len(content)}")
        yield "\r\n".join([*lines, "", ""]).encode() + content


async def _connection(
    port: int, ready: Iterator[bytes], took: list[float], statuses: Counter[str], sizes: list[int]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    for message in ready:
        before = time.perf_counter()
        writer.write(message)
        status, size = await _answer(reader)
        took.append(time.perf_counter() - before)
        statuses[status] += 1
        sizes.append(size)
    writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[str, int]:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    fields = dict(line.partition(b":")[::2] for line in lines[1:] if line)
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        return lines[0].split()[1].decode(), await _chunks(reader)
    length = int(fields.get(b"content-length", b"0"))
    if length:
        await reader.readexactly(length)
    return lines[0].split()[1].decode(), length


async def _chunks(reader: asyncio.StreamReader) -> int:
    total = 0
    while True:
        length = int((await reader.readline()).partition(b";")[0], 16)
        await reader.readexactly(length + 2)
        total += length
        if length == 0:
            return total


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(asdict(runner.run(_run(json.loads(Path(sys.argv[1]).read_text()))))))
