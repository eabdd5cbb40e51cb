"""Prometheus Alertmanager: every recipient an alert, which its route makes a group and so a mail of its own.

It keeps no durable record of a mail before sending, and opens a connection for each. Debian's package is installed by
apt, as root, without its service being started: the program reads its template from the package's own place.
"""

import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from tests.bench.children import PATIENCE, free_port, running
from tests.bench.letters import SENDER, Letter
from tests.bench.peers.base import RUN_AT_MOST, Availability, Job, Spent, cache, step
from tests.bench.processes import cpu_seconds

NAME = "Prometheus Alertmanager"
HOW = "an alert a recipient, posted by 500, group_wait 0 s; a connection a mail, nothing durable"
SHARE = 0.5
NEEDS_POSTGRES = False
_AT_ONCE = 500
_PACKAGE = "prometheus-alertmanager"
_NAMES = ("Anna", "Bashir", "Chloé", "Dmitri", "Emeka", "Freya", "Zoë")
_TRIED = re.compile(rb'^alertmanager_notification_requests_total\{integration="email"\} (\S+)$', re.M)
_FAILED = re.compile(rb'^alertmanager_notification_requests_failed_total\{integration="email"\} (\S+)$', re.M)


def available() -> Availability:
    program = shutil.which(_PACKAGE)
    if program is None:
        can = shutil.which("apt-get") is not None and os.geteuid() == 0
        return Availability(missing=f"Debian's {_PACKAGE} is not installed (apt, as root)", can_install=can)
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"revision: ([^)\s]+)", said.stdout + said.stderr)
    return Availability(version=f"Alertmanager {found[1] if found else 'of an unknown version'}")


def install() -> None:
    # What Debian asks before it starts a service; 101 is "no".
    guard = Path("/usr/sbin/policy-rc.d")
    ours = not guard.exists()
    if ours:
        guard.write_text("#!/bin/sh\nexit 101\n")
        guard.chmod(0o755)
    try:
        step("apt-get", "install", "-q", "-y", "--no-install-recommends", _PACKAGE, cwd=cache("alertmanager"))
    finally:
        if ours:
            guard.unlink()


def run(job: Job) -> Spent:
    """From the first alert posted until it has had an answer for each mail."""
    port = free_port()
    settings = job.folder / "alertmanager.yml"
    settings.write_text(json.dumps(_settings(job.letter, job.port)))  # JSON is YAML
    data = job.folder / "alertmanager"
    command = [
        _PACKAGE, f"--config.file={settings}", f"--storage.path={data}", "--log.level=error",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    ]  # fmt: skip
    with running(command, port=port, output=subprocess.DEVNULL) as process:
        _wait_until_ready(port)
        before, started = cpu_seconds(process.pid), time.monotonic()
        numbers = iter(range(job.count))
        ends = datetime.now(UTC) + timedelta(hours=1)
        while some := list(islice(numbers, _AT_ONCE)):
            _post(port, some, ends)
        while (done := _answered(port)) < job.count:
            if time.monotonic() - started > RUN_AT_MOST:
                raise TimeoutError(f"Alertmanager sent {done} of {job.count} mails")
            time.sleep(0.05)
        seconds, used = time.monotonic() - started, cpu_seconds(process.pid) - before
    shutil.rmtree(data, ignore_errors=True)
    return Spent(seconds=seconds, cpu_seconds=used)


def _settings(letter: Letter, port: int) -> dict[str, object]:
    words = letter.with_places("{{ .CommonLabels.name }}", "{{ .CommonLabels.number }}")
    mail = {
        "to": "{{ .CommonLabels.email }}",
        "headers": {"Subject": words.subject},
        "text": words.text,
        "html": words.html,
        "send_resolved": False,
    }
    return {
        "global": {
            "smtp_smarthost": f"127.0.0.1:{port}",
            "smtp_from": SENDER,
            "smtp_require_tls": False,
            "smtp_hello": "bench.example.net",
        },
        "route": {
            "receiver": "customer", "group_by": ["number"], "group_wait": "0s",
            "group_interval": "1h", "repeat_interval": "24h",
        },
        "receivers": [{"name": "customer", "email_configs": [mail]}],
    }  # fmt: skip


def _post(port: int, numbers: list[int], ends: datetime) -> None:
    alerts = [
        {
            "labels": {
                "alertname": "Outage",
                "number": str(number),
                "name": f"{_NAMES[number % len(_NAMES)]} Person{number}",
                "email": f"c{number}@customers.example",
            },
            "endsAt": ends.isoformat(),
        }
        for number in numbers
    ]
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v2/alerts",
        data=json.dumps(alerts).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        assert answer.status == 200


def _answered(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
        metrics = answer.read()
    tried, failed = (one.search(metrics) for one in (_TRIED, _FAILED))
    return int(float(tried[1])) - int(float(failed[1])) if tried and failed else 0


def _wait_until_ready(port: int) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=PATIENCE):
                return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
