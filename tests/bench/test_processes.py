"""What is read of other processes."""

import socket
import subprocess
import sys
from os import getpid

import pytest

from tests.bench.children import free_port, running
from tests.bench.processes import cpu_seconds, listens, peak_mb

BUSY = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"


def test_the_time_of_children_counts_while_they_live_and_afterwards() -> None:
    before = cpu_seconds(getpid())
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert cpu_seconds(child.pid) >= 0.25
        alive = cpu_seconds(getpid()) - before
        child.communicate(b"\n")
    assert alive >= 0.25
    assert cpu_seconds(getpid()) - before >= alive - 0.02
    assert cpu_seconds(child.pid) == 0


def test_memory_is_that_of_a_process_that_lives() -> None:
    assert peak_mb(getpid()) > 5
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert peak_mb(child.pid) == 0


def test_only_its_own_listener_is_a_process_s() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", free_port()))
        port = one.getsockname()[1]
        assert not listens(getpid(), port)
        one.listen()
        assert listens(getpid(), port)
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
            assert not listens(child.pid, port), "somebody else listens there"
            child.communicate(b"\n")


def test_a_server_that_ends_before_it_listens_is_told() -> None:
    command = [sys.executable, "-c", ""]
    with pytest.raises(RuntimeError, match="ended with 0 before it listened"), running(command, port=1, output=2):
        pass
