"""A real daemon and a real sandbox, each a process of its own on free loopback ports, and a client for the API.

Everything waits with a deadline and says what it waited for. What the tests believe is what the sandbox wrote down.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from tests.support import databases

REPOSITORY = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-m", "outagecast")
KILLED = -signal.SIGKILL
CRASHED = 137
"""The exit status of a daemon that reached its crash point."""
UNSETTLED = ("planned", "leased", "transmitting")
ACCOUNT = "AC5a4d0b0c5a4d0b0c5a4d0b0c5a4d0b0c"
PHONE_TOKEN = "the-gateway-of-the-tests"
T = TypeVar("T")
Json = dict[str, Any]


class TooLate(AssertionError):
    """Something did not come true in time."""


class Refused(AssertionError):
    """The daemon answered with a status that the test had not expected."""

    def __init__(self, status: int, answer: Any) -> None:
        super().__init__(f"HTTP {status}: {answer}")
        self.status = status
        self.answer = answer


def until(true: Callable[[], T], what: str, *, within: float = 20.0, every: float = 0.02) -> T:
    """The first answer of `true()` that holds; TooLate after `within` seconds, naming `what`."""
    deadline = monotonic() + within
    while not (found := true()):
        if monotonic() > deadline:
            raise TooLate(f"{what}: not within {within} s")
        sleep(every)
    return found


def free_port() -> int:
    """A port that nobody listens on; whoever asks should take it soon."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- processes ---


@dataclass(kw_only=True)
class _Process:
    """One child with its output in a file, so that no pipe can fill up."""

    folder: Path
    name: str
    child: "subprocess.Popen[bytes] | None" = None

    def launch(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        assert not self.alive, f"{self.name} runs already"
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=REPOSITORY, env=dict(environ)
            )

    @property
    def alive(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def log(self) -> str:
        path = self.folder / f"{self.name}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def signal(self, number: int, within: float) -> int:
        """Send a signal and wait for the end; the exit status (negative: the signal that ended it)."""
        assert self.child is not None, f"{self.name} was never started"
        if self.alive:
            self.child.send_signal(number)
        return self.wait(within)

    def wait(self, within: float) -> int:
        assert self.child is not None, f"{self.name} was never started"
        try:
            return self.child.wait(within)
        except subprocess.TimeoutExpired:
            raise TooLate(f"{self.name} still runs after {within} s:\n{self.log()[-4000:]}") from None

    def end(self) -> None:
        """Whatever happened: afterwards it is gone."""
        if self.child is not None and self.alive:
            self.child.kill()
            self.child.wait(10)


class SandboxProcess:
    """`python -m outagecast.sandbox`: mailboxes and phones. `records()` is the truth about what arrived."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self._arguments = arguments
        self._process = _Process(folder=folder, name="sandbox")
        self._ready: Json = {}
        self._read = 0
        self._records: list[Json] = []

    def start(self) -> "SandboxProcess":
        ready = self.folder / "sandbox.ready.json"
        ready.unlink(missing_ok=True)
        (self.folder / "sandbox-state").mkdir(exist_ok=True)
        doors = ("smtp", "http", "sms")
        # A restart keeps its ports: the daemon's settings name them.
        ports = [word for door in doors for word in (f"--{door}-port", str(self.port(door) if self._ready else 0))]
        command = [
            *(sys.executable, "-m", "outagecast.sandbox", *ports),
            *("--ready-file", str(ready), "--state-dir", str(self.folder / "sandbox-state")),
            *("--account-sid", ACCOUNT, "--auth-token", PHONE_TOKEN, "--parent-pid", str(os.getpid())),
            *self._arguments,
        ]
        self._process.launch(command, os.environ)
        until(lambda: ready.exists() or not self._process.alive, "the sandbox is ready")
        assert ready.exists(), self._process.log()
        self._ready = json.loads(ready.read_text(encoding="utf-8"))
        return self

    def port(self, name: str) -> int:
        """`smtp`, `http` (inbox and control) or `sms` (the gateway only)."""
        return int(self._ready[f"{name}_port"])

    @property
    def sms_url(self) -> str:
        return str(self._ready["sms_url"])

    def kill(self) -> int:
        return self._process.signal(signal.SIGKILL, 10)

    def stop(self) -> int:
        return self._process.signal(signal.SIGTERM, 10)

    def end(self) -> None:
        self._process.end()

    # what arrived

    def records(self, *kinds: str, after: int = 0) -> list[Json]:
        """The log's records of these types (all without one) whose number is above `after`."""
        self._read_on()
        return [record for record in self._records[after:] if not kinds or record["type"] in kinds]

    def mark(self) -> int:
        """The number of the last record: `records(after=mark)` is what came since."""
        self._read_on()
        return len(self._records)

    def mails(self, *, to: str = "", after: int = 0) -> list[Json]:
        return [record for record in self.records("mail", after=after) if to in ("", record["rcpt"])]

    def texts(self, *, to: str = "", after: int = 0) -> list[Json]:
        return [record for record in self.records("sms", after=after) if to in ("", record["to"])]

    def _read_on(self) -> None:
        """The log itself is read, not the control API: it tells the truth even while the sandbox is stopped."""
        with Path(self._ready["log"]).open("rb") as log:
            log.seek(self._read)
            whole = log.read()
        whole = whole[: whole.rfind(b"\n") + 1]
        self._read += len(whole)
        self._records += [json.loads(line) for line in whole.splitlines()]

    # what is played

    def fault(self, *faults: Mapping[str, Any]) -> None:
        """Play these from now on, as `POST /control/faults` takes them."""
        self.control("POST", "/control/faults", list(faults))

    def clear_faults(self) -> None:
        self.control("DELETE", "/control/faults")

    def set(self, **rules: Any) -> None:
        """Change the rules of the callbacks: sent_after, delivered_after, repeat, drop, forge, shuffle, inbound_url."""
        self.control("POST", "/control/settings", rules)

    def answer(self, phone: str, body: str) -> None:
        """The person at `phone` texts back."""
        self.control("POST", "/control/answer", {"from": phone, "body": body})

    def control(self, method: str, path: str, body: Any = None) -> Any:
        status, _, text = exchange("127.0.0.1", self.port("http"), method, path, body=body)
        if status >= 300:
            raise Refused(status, text)
        return json.loads(text)


class DaemonProcess:
    """`outagecast serve` on a folder of its own. The port stays the same over restarts.

    `config`: tables over the usual ones (a value of None takes a key or table away); `speed` for the house's clock.
    """

    def __init__(
        self,
        folder: Path,
        sandbox: SandboxProcess,
        *,
        config: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.port = free_port()
        usual = merged(usual_config(self.port, sandbox), {"database": {"url": self._usual_database()}})
        self.settings = merged(usual, config or {})
        self.config_path = folder / "config.toml"
        self._environ = {**os.environ, **(environ or {})}
        self._arguments = tuple(arguments)
        self._program = tuple(program)
        self._process = _Process(folder=folder, name="daemon")
        self._tokens: dict[str, str] = {}
        self._write_config()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _usual_database(self) -> str:
        kind = databases.chosen()
        return "sqlite:///outagecast.db" if kind == "sqlite" else databases.url("outagecast.db", self.folder)

    @property
    def database(self) -> Path:
        """The file, where it is SQLite's."""
        return self.folder / "outagecast.db"

    @property
    def pid(self) -> int:
        assert self._process.child is not None
        return self._process.child.pid

    @property
    def alive(self) -> bool:
        return self._process.alive

    def log(self) -> str:
        return self._process.log()

    # --- its life ---

    def start(self, *, crashpoint: str = "", within: float = 30.0) -> "DaemonProcess":
        """Run it and wait for `/readyz`. `crashpoint`: `name` or `name:n`, where it is to die as if by SIGKILL."""
        self.spawn(crashpoint=crashpoint)
        until(lambda: self.ready() or not self.alive, "the daemon is ready", within=within)
        if not self.alive and not crashpoint:
            raise AssertionError(f"the daemon ended by itself:\n{self.log()[-6000:]}")
        return self

    def spawn(self, *, crashpoint: str = "") -> None:
        """Run it without waiting for anything."""
        environ = {**self._environ, "OUTAGECAST_CRASHPOINT": crashpoint} if crashpoint else self._environ
        command = [*self._program, "serve", "--config", str(self.config_path), *self._arguments]
        self._process.launch(command, environ)

    def kill(self) -> int:
        """SIGKILL, at once."""
        return self._process.signal(signal.SIGKILL, 10)

    def stop(self, within: float = 40.0) -> int:
        """SIGTERM, and wait for the orderly end; its exit status."""
        return self._process.signal(signal.SIGTERM, within)

    def wait(self, within: float = 30.0) -> int:
        """Wait until it ends by itself; its exit status (CRASHED at a crash point)."""
        return self._process.wait(within)

    def restart(self, *, crashpoint: str = "") -> "DaemonProcess":
        """Kill it if it still runs, and start it on the same folder and port."""
        if self.alive:
            self.kill()
        return self.start(crashpoint=crashpoint)

    def end(self) -> None:
        self._process.end()

    def ready(self) -> bool:
        try:
            return exchange("127.0.0.1", self.port, "GET", "/readyz", timeout=2)[0] == 200
        except (OSError, HTTPException):
            return False

    def change_config(self, config: Mapping[str, Any]) -> None:
        """Other settings, from the next start on."""
        self.settings = merged(self.settings, config)
        self._write_config()

    def _write_config(self) -> None:
        self.config_path.write_text(toml(self.settings), encoding="utf-8")

    # --- what is done with it ---

    def command(self, *arguments: str, within: float = 60.0) -> str:
        """Another `outagecast` command on the same settings; its stdout. AssertionError with its stderr if it fails."""
        command = [*self._program, "--config", str(self.config_path), *arguments]
        done = subprocess.run(
            command, cwd=REPOSITORY, env=self._environ, capture_output=True, text=True, timeout=within, check=False
        )
        assert done.returncode == 0, f"outagecast {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def api(self, role: str = "admin", name: str = "") -> "ApiClient":
        """A client with a token of this role; the same name keeps its token."""
        name = name or f"the {role}"
        if name not in self._tokens:
            self._tokens[name] = json.loads(self.command("token", "add", name, "--role", role, "--json"))["token"]
        return ApiClient(port=self.port, token=self._tokens[name])


@contextmanager
def running(
    folder: Path, *, config: Mapping[str, Any] | None = None, sandbox: Sequence[str] = (), **more: Any
) -> Iterator[DaemonProcess]:
    """A sandbox and a daemon that is ready; both are gone at the end, whatever happens."""
    phones = SandboxProcess(folder, *sandbox)
    daemon: DaemonProcess | None = None
    try:
        phones.start()
        daemon = DaemonProcess(folder, phones, config=config, **more)
        yield daemon.start()
    finally:
        if daemon is not None:
            daemon.end()
        phones.end()


# --- the API ---


@dataclass(frozen=True, kw_only=True)
class ApiClient:
    """Speaks to `/api/v1` with one token; answers are JSON. Refused unless the status is a 2xx."""

    port: int
    token: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """`headers` in snake case: `if_match="3"`, `idempotency_key="x"`."""
        sent = {"Authorization": f"Bearer {self.token}", **self.headers}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        target = path if path.startswith("/") and not path.startswith("//") else f"/{path}"
        target = target if target.startswith("/api/") else f"/api/v1{target}"
        status, _, text = exchange("127.0.0.1", self.port, method, target, body=body, headers=sent)
        answer = json.loads(text) if text.startswith(("{", "[")) else text
        if not 200 <= status < 300:
            raise Refused(status, answer)
        return answer

    def get(self, path: str, **query: str) -> Any:
        return self.call("GET", f"{path}?{urlencode(query)}" if query else path)

    def declare(self, title: str, scope: Mapping[str, Any], **more: Any) -> Json:
        answer: Json = self.call("POST", "/outages", {"title": title, "scope": scope, **more})
        return answer

    def verb(self, outage_id: str, verb: str, **body: Any) -> Json:
        """`updates`, `restore`, `resolve`, `retract`, `reopen`, `release`, `undo`, `hold`, `unhold`, `merge`."""
        answer: Json = self.call("POST", f"/outages/{outage_id}/{verb}", body)
        return answer

    def outage(self, outage_id: str) -> Json:
        answer: Json = self.get(f"/outages/{outage_id}")
        return answer

    def pages(self, path: str, key: str, **query: str) -> Iterator[Json]:
        """All of a list, page by page."""
        cursor: str | None = ""
        while cursor is not None:
            page = self.get(path, **query, **({"cursor": cursor} if cursor else {}))
            yield from page[key]
            cursor = page["next_cursor"]

    def outages(self) -> list[Json]:
        return list(self.pages("/outages", "outages", limit="500"))

    def deliveries(self, outage_id: str, **query: str) -> list[Json]:
        return list(self.pages(f"/outages/{outage_id}/deliveries", "deliveries", limit="500", **query))

    def timeline(self, outage_id: str) -> list[Json]:
        return list(self.pages(f"/outages/{outage_id}/timeline", "timeline", limit="500"))

    def unsettled(self) -> int:
        """How many messages of all outages have neither left nor ended."""
        counts = (states for outage in self.outages() for states in outage["deliveries"].values())
        return sum(states.get(state, 0) for states in counts for state in UNSETTLED)

    def rest(self, *, waiting: int = 0, within: float = 60.0) -> None:
        """Wait until the outbox has come to rest: nothing to send but `waiting` messages that are due later."""
        until(lambda: self.unsettled() == waiting, "the outbox is at rest", within=within, every=0.1)


def exchange(
    host: str,
    port: int,
    method: str,
    path: str,
    *,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60.0,
) -> tuple[int, Mapping[str, str], str]:
    """One HTTP request: status, headers in lower case, body. A dict or list is sent as JSON, a text as it is."""
    sent = dict(headers or {})
    if isinstance(body, dict | list):
        body = json.dumps(body)
        sent.setdefault("Content-Type", "application/json")
    connection = HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=sent)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text
    finally:
        connection.close()


def post_form(url: str, fields: Mapping[str, str], **headers: str) -> int:
    """What a mail program does with a one-click link; the status."""
    parts = urlsplit(url)
    sent = {"Content-Type": "application/x-www-form-urlencoded"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return exchange(parts.hostname or "", parts.port or 80, "POST", parts.path, body=urlencode(fields), headers=sent)[0]


# --- settings ---


def usual_config(port: int, sandbox: SandboxProcess) -> Json:
    """Bluegrass Fiber on this port, both channels into the sandbox, no rate limits."""
    return {
        "provider": {
            "name": "Bluegrass Fiber",
            "public_url": f"http://127.0.0.1:{port}",
            "support_phone": "+1 859 555 0100",
            "support_email": "noc@bluegrass.example",
            "timezone": "America/New_York",
        },
        "server": {"port": port},
        "database": {"url": "sqlite:///outagecast.db"},
        "email": {
            "host": "127.0.0.1",
            "port": sandbox.port("smtp"),
            "from": "Bluegrass Fiber <status@bluegrass.example>",
        },
        "sms": {
            "account_sid": ACCOUNT,
            "auth_token": PHONE_TOKEN,
            "from": "+18595550100",
            "api_url": sandbox.sms_url,
            "rate_per_second": 0,
            "allowed_countries": ["US"],
        },
    }


def merged(settings: Mapping[str, Any], over: Mapping[str, Any]) -> Json:
    """`settings` with `over` laid over it, table by table; None takes away."""
    found = dict(settings)
    for key, value in over.items():
        if isinstance(value, Mapping):
            found[key] = merged(found.get(key, {}), value)
        else:
            found[key] = value
    return {key: value for key, value in found.items() if value is not None}


def toml(settings: Mapping[str, Any]) -> str:
    """Nested dicts as a settings file; a list of dicts becomes an array of tables."""
    return "\n".join(_toml_lines(settings, ())) + "\n"


def _toml_lines(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterable[str]:
    tables = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    arrays = {key: value for key, value in table.items() if _is_tables(value)}
    for key, value in table.items():
        if key not in tables and key not in arrays:
            yield f"{_toml_key(key)} = {_toml_value(value)}"
    for key, value in tables.items():
        yield f"[{'.'.join(map(_toml_key, (*path, key)))}]"
        yield from _toml_lines(value, (*path, key))
    for key, value in arrays.items():
        for item in value:
            yield f"[[{'.'.join(map(_toml_key, (*path, key)))}]]"
            yield from _toml_lines(item, (*path, key))


def _is_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)


def _toml_value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    return json.dumps(value)  # texts, numbers and booleans are written alike in JSON and TOML
