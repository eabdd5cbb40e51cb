"""The demo's surroundings: its folder, its settings, its sample provider, and the sandbox as a child process.

Imports nothing of the daemon, so that the sandbox can start while the daemon's libraries are still being read.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from outagecast import __version__
from outagecast.sandbox.provider import DEFAULT_SEED, PROVIDER_NAME, PROVIDER_TIMEZONE, Walkthrough, write_provider
from outagecast.sandbox.settings import DEFAULT_ACCOUNT_SID, DEFAULT_AUTH_TOKEN

HOST = "127.0.0.1"
USUAL_PORT = 8080
INBOX_PORT = 8025
SMTP_PORT = 2525
STAFF_NAME = "noc"
MONITOR = "demo"
DATABASE = "outagecast.db"
SAMPLE_HALF = "sample-half.db"
"""Where the sample's database is made: what a start that broke off left there goes with the next one."""
_PORTS_TRIED = 100
_GOODBYE_SECONDS = 1.5
_PACKAGE = Path(__file__).resolve().parent
_SHAPING = (
    "storage/tables.py",
    "storage/migrations/versions/*.py",
    "sandbox/provider*.py",
    "domain/inventory.py",
    "demo.py",
)
"""What the prepared sample is made from: a change here makes it anew."""
CONFIG = """\
# Written by `outagecast demo`, anew at each start.
[provider]
name = "{provider}"
public_url = "http://{host}:{port}"
support_phone = "+1 859 555 0100"
support_email = "noc@bluegrass.example"
timezone = "{timezone}"

[server]
host = "{host}"
port = {port}

[database]
url = "sqlite:///outagecast.db"

[email]
host = "{host}"
port = {smtp_port}
from = "{provider} <status@bluegrass.example>"

[sms]
account_sid = "{account_sid}"
auth_token = "{auth_token}"
from = "+18595550100"
api_url = "{gateway}"
rate_per_second = 0
price_per_segment = 0.0083
allowed_countries = ["US", "DE"]

[cadence.critical]
undo_for = "5s"

[cadence.major]
undo_for = "5s"

[cadence.minor]
undo_for = "5s"

[[staff_alerts]]
email = "noc@bluegrass.example"
phone = "+18595550111"

[[monitors]]
name = "{monitor}"
format = "generic"
token = "{hook_token}"
action = "declare"
hold_down = "0s"
on_clear = "resolve"
clear_after = "5s"
"""


class DemoRefused(Exception):
    """The demo cannot start: one clear line with the mend."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Keys:
    """What opens the demo's doors; made with the sample, the same until it is made anew."""

    password: str
    token: str
    hook_token: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """The prepared sample: the provider's files, and (once `is_ready`) its database with staff and token."""

    files: Path
    database: Path
    keys: Path

    @property
    def is_ready(self) -> bool:
        return self.database.exists() and self.keys.exists()

    @property
    def walkthrough(self) -> Walkthrough:
        return Walkthrough(**json.loads((self.files / "walkthrough.json").read_text(encoding="utf-8")))

    def read_keys(self) -> Keys:
        return Keys(**json.loads(self.keys.read_text(encoding="utf-8")))


def usual_folder(environ: Mapping[str, str]) -> Path:
    """The same for each user at each start."""
    cache = environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(cache) / "outagecast-demo"


@contextlib.contextmanager
def own(folder: Path) -> Iterator[None]:
    """The folder for ourselves, made where it is missing. DemoRefused if another demo runs in it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "demo.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DemoRefused(f"{folder}: another demo runs here; stop it, or give this one its own --folder") from None
        yield


def prepare_files(folder: Path) -> Sample:
    """The sample of this version, its provider's files written; what older versions left goes."""
    key = _fingerprint()
    sample = Sample(
        files=folder / f"provider-{key}",
        database=folder / f"sample-{key}.db",
        keys=folder / f"sample-{key}.json",
    )
    for old in [*folder.glob("provider-*"), *folder.glob("sample-*")]:
        if old not in (sample.files, sample.database, sample.keys):
            _remove(old)
    if not sample.files.exists():
        half = folder / "provider-new"
        _remove(half)
        found = write_provider(half)
        (half / "walkthrough.json").write_text(json.dumps(asdict(found)), encoding="utf-8")
        half.replace(sample.files)
    return sample


def write_keys(sample: Sample, token: str, password: str, hook_token: str) -> None:
    keys = Keys(password=password, token=token, hook_token=hook_token)
    write_private(sample.keys, json.dumps(asdict(keys)))


def clear(folder: Path, *, sample_too: bool) -> None:
    """Forget what the last demo did; with `sample_too` the prepared sample as well."""
    patterns = ["outagecast.db*", "sandbox", "demo.log", *(["provider-*", "sample-*"] if sample_too else [])]
    for pattern in patterns:
        for path in folder.glob(pattern):
            _remove(path)


def free_port(wanted: int | None) -> int:
    """A port nobody listens on: the one wanted (0: any), else the first free one from 8080. DemoRefused."""
    if wanted is not None:
        found = _try_port(wanted)
        if found is None:
            raise DemoRefused(f"--port: {HOST}:{wanted} is taken; give another one, or none")
        return found
    tried = (_try_port(USUAL_PORT + step) for step in range(_PORTS_TRIED))
    return next((port for port in tried if port is not None), 0) or free_port(0)


def new_secret() -> str:
    """Twelve characters or more, good to type."""
    return "-".join(secrets.token_hex(2) for _ in range(4))


def config_text(*, port: int, keys: Keys, ready: Mapping[str, Any]) -> str:
    """The settings of this start."""
    return CONFIG.format(
        host=HOST,
        port=port,
        provider=PROVIDER_NAME,
        timezone=PROVIDER_TIMEZONE,
        smtp_port=ready["smtp_port"],
        gateway=ready["url"],
        account_sid=DEFAULT_ACCOUNT_SID,
        auth_token=DEFAULT_AUTH_TOKEN,
        monitor=MONITOR,
        hook_token=keys.hook_token,
    )


def write_private(path: Path, text: str) -> None:
    """For this user's eyes only, and never half."""
    half = path.with_name(path.name + ".new")
    with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    half.replace(path)


class SandboxProcess:
    """The sandbox as a child: it ends with us, whatever ends us."""

    def __init__(self, folder: Path, sample: Sample, *, port: int, speed: float, epoch: datetime) -> None:
        reading, writing = os.pipe()
        self._pipe: IO[str] = os.fdopen(reading, encoding="utf-8")
        self._log = (folder / "sandbox.log").open("w", encoding="utf-8")
        words = [
            *(
                "--host",
                HOST,
                "--smtp-port",
                str(_try_port(SMTP_PORT) or 0),
                "--http-port",
                str(_try_port(INBOX_PORT) or 0),
            ),
            *("--state-dir", str(folder / "sandbox"), "--people", str(sample.files), "--timezone", PROVIDER_TIMEZONE),
            *("--speed", str(speed), "--epoch", epoch.isoformat(), "--ready-fd", str(writing)),
            *("--inbound-url", f"http://{HOST}:{port}/callbacks/twilio/inbound", "--parent-pid", str(os.getpid())),
        ]
        # In a session of its own, Ctrl-C reaches the daemon alone, which still has answers to wait for.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "outagecast.sandbox", *words],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=(writing,),
            start_new_session=True,
        )
        os.close(writing)

    def ready(self) -> Mapping[str, Any]:
        """Its ports and addresses, once it listens. DemoRefused if it ended instead."""
        line = self._pipe.readline()
        if not line:
            self.stop()
            said = Path(self._log.name).read_text(encoding="utf-8").strip().splitlines()
            raise DemoRefused(f"the sandbox did not start: {said[-1] if said else 'it said nothing'}")
        found: dict[str, Any] = json.loads(line)
        return found

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_GOODBYE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._pipe.close()
        self._log.close()


def _fingerprint() -> str:
    shaped = hashlib.sha256(f"{__version__} {DEFAULT_SEED}".encode())
    for pattern in _SHAPING:
        for path in sorted(_PACKAGE.glob(pattern)):
            shaped.update(path.read_bytes())
    return shaped.hexdigest()[:12]


def _try_port(port: int) -> int | None:
    """The port if it is free now (0: any that is)."""
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((HOST, port))
        except OSError:
            return None
        return int(door.getsockname()[1])


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
