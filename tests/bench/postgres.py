"""A PostgreSQL server of our own for as long as a block lasts: durable as shipped, on a private port and folder.

As root it runs as another user, as it insists on. What is set: `shared_buffers` to 256 MB and 200 connections, what
anybody sets; `fsync`, `synchronous_commit` and `full_page_writes` stay on, unlike in the tests.
"""

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.bench.children import PATIENCE, free_port
from tests.bench.processes import cpu_seconds
from tests.support.postgres import NoServer, binaries

SUPERUSER = "postgres"
USERS = ("postgres", "nobody")
"""Whom it runs as where we are root: the first that the system knows."""
SETTINGS = ("shared_buffers=256MB", "max_connections=200")


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """`pid`: the postmaster, which all others descend from."""

    port: int
    pid: int
    folder: Path

    def url(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str, template: str = "template0") -> None:
        """A new database, a copy of another where one is named."""
        self._do(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')

    def drop(self, database: str) -> None:
        self._do(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def octets(self, database: str) -> int:
        """What the database takes on disk: tables, indexes, the room that dead rows leave."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
            found = conn.execute("SELECT pg_database_size(%s)", (database,)).fetchone()
        assert found is not None
        return int(found[0])

    def cpu_seconds(self) -> float:
        """Of the postmaster and all its children so far."""
        return cpu_seconds(self.pid)

    def _do(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
            conn.execute(statement.encode())


def available() -> str:
    """Why there can be no server here; empty if there can."""
    try:
        binaries()
    except NoServer as error:
        return str(error)
    if os.geteuid() == 0 and (shutil.which("setpriv") is None or _user() is None):
        return "as root, setpriv and a user called postgres or nobody are needed to run PostgreSQL"
    return ""


def server_version() -> str:
    """Like `15.8`; empty where it is not installed."""
    try:
        program = binaries() / "postgres"
    except NoServer:
        return ""
    said = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\d+(\.\d+)*", said)
    return found[0] if found else ""


@contextmanager
def serving_postgres() -> Iterator[Server]:
    """RuntimeError with the server's log where it does not start."""
    port, programs = free_port(), binaries()
    with tempfile.TemporaryDirectory(prefix="outagecast-bench-pg-") as name:
        folder = Path(name)
        if os.geteuid() == 0 and (user := _user()) is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        data, log = folder / "data", folder / "log"
        create = [str(programs / "initdb"), "-D", str(data), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8"]
        subprocess.run(_as_user([*create, "--locale=C"]), check=True, capture_output=True, cwd=folder, timeout=60)
        command = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-k", name, "-h", "127.0.0.1"]
        for setting in SETTINGS:
            command += ["-c", setting]
        with log.open("wb") as file:
            process = subprocess.Popen(_as_user(command), stdout=file, stderr=file, cwd=folder)
        server = Server(port=port, pid=process.pid, folder=folder)
        try:
            _wait(process, server, log)
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # connections are ended, the shutdown is clean
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: "subprocess.Popen[bytes]", server: Server, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            psycopg.connect(server.url("postgres"), connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > until:
                said = log.read_text(errors="replace")
                raise RuntimeError(f"PostgreSQL did not start: {said}") from None
        time.sleep(0.05)


def _user() -> pwd.struct_passwd | None:
    known = {user.pw_name: user for user in pwd.getpwall()}
    return next((known[name] for name in USERS if name in known), None)


def _as_user(command: list[str]) -> list[str]:
    user = _user()
    if os.geteuid() != 0 or user is None:
        return command
    # setpriv replaces itself, so that the process we started is the server.
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *command]
