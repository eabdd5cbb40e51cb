"""Open pages of the desk and a daemon that stops: none of them holds it up, and each sees at once that it is gone."""

import os
import re
import signal
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from time import monotonic
from urllib.parse import urlencode

from tests.support.daemon import DaemonProcess, running, until

PASSWORD = "a-long-enough-sentence-of-bea"
PAGES = 20


def test_open_pages_close_within_a_second_when_the_daemon_stops(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        cookie = sign_in(daemon)
        streams = [open_stream(daemon, cookie) for _ in range(PAGES)]
        for _, stream in streams:
            first_words(stream)
        # A change just before: every stream is in the second between two words when the daemon is told to stop.
        daemon.api().call("POST", "/pause", {"reason": "the test"})
        assert streams[0][1].readline() == b"event: change\n"
        told = monotonic()
        os.kill(daemon.pid, signal.SIGTERM)
        for _, stream in streams:
            while stream.readline():
                pass
        closed = monotonic() - told
        until(lambda: not daemon.alive, "the daemon has ended", within=10)
        ended = monotonic() - told
        assert daemon.wait(1) == 0
        for connection, _ in streams:
            connection.close()
    assert closed < 1.0, f"the streams closed after {closed:.2f} s"
    assert ended < 5.0, f"the daemon ended after {ended:.2f} s"


def sign_in(daemon: DaemonProcess) -> str:
    """The session's cookie of a new operator."""
    secret = daemon.folder / "password"
    secret.write_text(PASSWORD)
    daemon.command("user", "add", "bea", "--role", "operator", "--password-file", str(secret))
    connection = HTTPConnection("127.0.0.1", daemon.port, timeout=10)
    form = urlencode({"name": "bea", "password": PASSWORD, "next": "/desk"})
    connection.request(
        "POST", "/desk/sign-in", body=form, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    answer = connection.getresponse()
    assert answer.status == 303, answer.read()
    found = re.match(r"([\w-]+=[^;]+);", answer.headers["Set-Cookie"])
    assert found is not None
    connection.close()
    return found.group(1)


def open_stream(daemon: DaemonProcess, cookie: str) -> tuple[HTTPConnection, HTTPResponse]:
    connection = HTTPConnection("127.0.0.1", daemon.port, timeout=10)
    connection.request("GET", "/desk/events", headers={"Cookie": cookie, "Accept": "text/event-stream"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
    return connection, answer


def first_words(stream: HTTPResponse) -> None:
    while stream.readline() != b"data: hello\n":
        pass
    assert stream.readline() == b"\n"
