"""Emails and texts, from the declaration to the last provider's answer, against the fastest there is on the same wire.

Every round runs the limit first and the product after it, each in processes of its own, to a fresh sink on its own
port. What counts is the ratio within a round: absolute rates move with whatever else the machine does.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.children import LONGEST, call, free_port, idling, running, serving
from tests.bench.report import Figure, spread

SESSIONS = 10
LAG_P99_AT_MOST_MS = 20.0
MEMORY_AT_MOST_MB = 300.0
EMAIL_RATIO_AT_LEAST = 0.05
SMS_RATIO_AT_LEAST = 0.3
_HEADERS = 250
"""Octets that `smtp-source -l` adds for its own headers, about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """Messages a second of either, and what the product says of itself."""

    limit: float
    product: float
    took: dict[str, Any]

    @property
    def ratio(self) -> float:
        """From the declaration to the last answer."""
        return self.product / self.limit

    @property
    def ratio_on_the_wire(self) -> float:
        """From the answered declaration, when every row is committed, to the last answer."""
        took = float(self.took["seconds"])
        return self.ratio * took / (took - float(self.took["planned_seconds"]))


def emails(count: int, rounds: int) -> list[Figure]:
    """Personalised emails over ten kept connections."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        octets, checked = _checked_emails(folder, count)
        postfix = _postfix()
        _provider(folder, count)
        found = [_email_round(folder, count, octets, postfix) for _ in range(rounds)]
    peer = f"smtp-source -d -s {SESSIONS}" if postfix else "our own pipelining client (no Postfix tools here)"
    return [
        Figure(name="emails: checked at our own sink, each once", value=checked, note=f"{octets:,} octets each"),
        *_figures("emails", found, count, f"{peer} -l {octets}", EMAIL_RATIO_AT_LEAST),
    ]


def texts(count: int, rounds: int) -> list[Figure]:
    """Texts, twenty in flight."""
    with tempfile.TemporaryDirectory() as name:
        _provider(Path(name), count)
        found = [_text_round(Path(name), count) for _ in range(rounds)]
    wire = [one.ratio_on_the_wire for one in found]
    return [
        *_figures("sms", found, count, "bare aiohttp form POSTs, 20 in flight", None),
        Figure(
            name="sms: product ÷ limit from the committed rows on",
            value=median(wire),
            at_least=SMS_RATIO_AT_LEAST,
            note=spread(wire),
        ),
    ]


def _figures(name: str, rounds: list[Round], count: int, peer: str, at_least: float | None) -> list[Figure]:
    def middle(read: Callable[[Round], float]) -> float:
        return median(read(one) for one in rounds)

    ratios, limits = [one.ratio for one in rounds], spread(one.limit for one in rounds)
    products = spread(one.product for one in rounds)
    memory = max(one.took["memory_mb"] for one in rounds)
    cpu = middle(lambda one: one.took["cpu_seconds"]) / count * 1e6
    lag, lags = middle(lambda one: one.took["lag_p99_ms"]), spread(one.took["lag_p99_ms"] for one in rounds)
    idle = middle(lambda one: one.took["idle_lag_p99_ms"])
    beside = f"an idle loop beside it {idle:.1f} ms; {lags}"
    planning = middle(lambda one: one.took["planned_seconds"])
    return [
        Figure(name=f"{name}: limit", value=middle(lambda one: one.limit), unit="msg/s", note=f"{peer}; {limits}"),
        Figure(name=f"{name}: product", value=middle(lambda one: one.product), unit="msg/s", note=products),
        Figure(name=f"{name}: product ÷ limit", value=median(ratios), at_least=at_least, note=spread(ratios)),
        Figure(name=f"{name}: CPU per message", value=cpu, unit="µs", note="all threads, planning included"),
        Figure(name=f"{name}: until the declaration is answered", value=planning, unit="s", note=f"of {count:,} rows"),
        Figure(name=f"{name}: event-loop lag p99", value=lag, unit="ms", at_most=LAG_P99_AT_MOST_MS, note=beside),
        Figure(name=f"{name}: peak memory", value=memory, unit="MB", at_most=MEMORY_AT_MOST_MB),
    ]


def _checked_emails(folder: Path, count: int) -> tuple[int, int]:
    """A smaller wave to a sink that knows every recipient: (octets of a mail, mails)."""
    some = count // 10
    provider = folder / "check"
    provider.mkdir()
    _provider(provider, some)
    took, counted = send_emails(provider, some)
    assert_once(took, counted, some)
    return counted["octets"] // some, some


def send_emails(folder: Path, count: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """One wave to our own sink: what the product says it did, and what the sink heard."""
    port = free_port()
    with serving("own_smtp", "sink", str(port), port=port) as counted:
        took = _product("email", folder, count, port)
    return took, counted


def send_texts(folder: Path, count: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """One wave to our own gateway: what the product says it did, and what the gateway heard."""
    port = free_port()
    with serving("own_gateway", "serve", str(port), port=port) as counted:
        took = _product("sms", folder, count, port)
    return took, counted


def assert_once(took: dict[str, Any], counted: dict[str, Any], count: int) -> None:
    """Rows accepted = attempts = messages at the sink = recipients = what was asked for."""
    numbers = (took["accepted"], took["attempts"], counted["messages"], counted["recipients"])
    assert numbers == (count,) * 4, f"accepted, attempts, arrived, recipients: {numbers}, not {count}"


def _email_round(folder: Path, count: int, octets: int, postfix: bool) -> Round:
    port = free_port()
    if not postfix:
        with serving("own_smtp", "sink", str(port), port=port) as counted:
            seconds = call("own_smtp", "source", str(port), str(count), str(octets))["seconds"]
        assert counted["messages"] == count
        took, counted = send_emails(folder, count)
        assert_once(took, counted, count)
        return Round(limit=count / seconds, product=count / took["seconds"], took=took)
    seconds = _smtp_source(folder, port, count, octets)
    port = free_port()
    with _SmtpSink(folder, port) as sink:
        took = _product("email", folder, count, port)
    arrived = sink.messages()
    assert (took["accepted"], took["attempts"], arrived) == (count, count, count), (took, arrived)
    return Round(limit=count / seconds, product=count / took["seconds"], took=took)


def _text_round(folder: Path, count: int) -> Round:
    port = free_port()
    with serving("own_gateway", "serve", str(port), port=port) as counted:
        seconds = call("own_gateway", "source", str(port), str(count))["seconds"]
    assert counted["messages"] == count, counted
    took, counted = send_texts(folder, count)
    assert_once(took, counted, count)
    return Round(limit=count / seconds, product=count / took["seconds"], took=took)


def _product(channel: str, folder: Path, count: int, port: int) -> dict[str, Any]:
    """A wave on a copy of the database, so that each starts from the same one."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        shutil.copy(folder / "bench.db", own)
        with idling() as idle:
            took = call("product", channel, own, str(count), str(port))
        return took | idle


def _provider(folder: Path, customers: int) -> None:
    call("product", "fill", str(folder), str(customers))


# --- Postfix's own tools ---


def _postfix() -> bool:
    return all(_tool(name) for name in ("smtp-source", "smtp-sink"))


def _tool(name: str) -> str | None:
    # Debian keeps them where a user's PATH does not look.
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


class _SmtpSink:
    """Postfix's sink as long as the block lasts; it counts what arrives."""

    def __init__(self, folder: Path, port: int) -> None:
        self._out = folder / f"sink-{port}"
        # It refuses to run as root.
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self._command = [str(_tool("smtp-sink")), "-c", *user, f"127.0.0.1:{port}", "100"]
        self._port = port

    def __enter__(self) -> "_SmtpSink":
        self._file = self._out.open("wb")
        self._running = running(self._command, port=self._port, output=self._file)
        self._running.__enter__()
        return self

    def __exit__(self, *why: Any) -> None:
        self._running.__exit__(*why)
        self._file.close()

    def messages(self) -> int:
        """It writes its counters anew at each message: the last one stands."""
        found = re.findall(rb"mesg=(\d+)", self._out.read_bytes())
        return int(found[-1]) if found else 0


def _smtp_source(folder: Path, port: int, count: int, octets: int) -> float:
    words = ["-d", "-s", str(SESSIONS), "-m", str(count), "-l", str(max(1, octets - _HEADERS)), f"127.0.0.1:{port}"]
    with _SmtpSink(folder, port) as sink:
        started = time.perf_counter()
        subprocess.run([str(_tool("smtp-source")), *words], check=True, timeout=LONGEST)
        seconds = time.perf_counter() - started
    assert sink.messages() == count
    return seconds
