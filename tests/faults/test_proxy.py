"""The proxy does what it says, to the byte."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from tests.faults.proxy import FaultProxy, Toxic, Trouble, Way


@contextmanager
def echoing() -> Iterator[tuple[FaultProxy, list[bytes]]]:
    """An echo behind a proxy, and all that reached it."""
    door = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(4096):
                    heard.append(data)
                    connection.sendall(data)
            except OSError:
                pass

    def accept() -> None:
        while True:
            try:
                connection, _ = door.accept()
            except OSError:
                return
            Thread(target=serve, args=(connection,), daemon=True).start()

    Thread(target=accept, daemon=True).start()
    proxy = FaultProxy(target=door.getsockname()[1]).start()
    try:
        yield proxy, heard
    finally:
        proxy.end()
        door.shutdown(socket.SHUT_RDWR)
        door.close()


def connected(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def all_of(client: socket.socket) -> bytes:
    found = b""
    while data := client.recv(4096):
        found += data
    return found


def test_nothing_is_changed_without_a_fault() -> None:
    with echoing() as (proxy, heard), connected(proxy) as client:
        client.sendall(b"x" * 200_000)
        client.shutdown(socket.SHUT_WR)
        assert all_of(client) == b"x" * 200_000
        assert sum(map(len, heard)) == 200_000


@pytest.mark.parametrize("way", list(Way))
def test_cut_after_so_many_bytes(way: Way) -> None:
    with echoing() as (proxy, heard):
        proxy.play(Trouble(toxic=Toxic.CLOSE, way=way, after=5, count=1))
        with connected(proxy) as client:
            client.sendall(b"0123456789")
            assert all_of(client) == b"01234" if way is Way.BACK else all_of(client) in (b"", b"01234")
        if way is Way.THERE:
            assert b"".join(heard) == b"01234"
        with connected(proxy) as client:  # the second connection is spared
            client.sendall(b"0123456789")
            assert client.recv(10) == b"0123456789"
        assert proxy.played == {"close": 1}


def test_reset_refuse_and_swallow() -> None:
    with echoing() as (proxy, heard):
        proxy.play(Trouble(toxic=Toxic.RESET, after=3))
        with connected(proxy) as client, pytest.raises(ConnectionResetError):
            client.sendall(b"012345")
            while True:
                client.recv(10)
        proxy.clear()
        proxy.play(Trouble(toxic=Toxic.REFUSE))
        with connected(proxy) as client, pytest.raises(ConnectionResetError):
            client.recv(10)
        proxy.clear()
        before = len(b"".join(heard))
        proxy.play(Trouble(toxic=Toxic.SWALLOW, after=2))
        with connected(proxy) as client:
            client.sendall(b"0123")
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):
                while True:
                    client.recv(10)
        assert len(b"".join(heard)) - before == 2


def test_half_closed_goes_on_the_other_way() -> None:
    with echoing() as (proxy, _):
        proxy.play(Trouble(toxic=Toxic.HALF_CLOSE, after=4))
        with connected(proxy) as client:
            client.sendall(b"01234567")
            assert client.recv(10) == b"0123"


def test_slow_ways_and_another_server() -> None:
    with echoing() as (first, heard), echoing() as (second, other):
        first.play(Trouble(toxic=Toxic.THROTTLE, rate=1000), Trouble(toxic=Toxic.DELAY, way=Way.BACK, seconds=0.02))
        loop = asyncio.new_event_loop()
        began = loop.time()
        with connected(first) as client:
            client.sendall(b"x" * 200)
            client.shutdown(socket.SHUT_WR)
            assert all_of(client) == b"x" * 200
        assert loop.time() - began > 0.18
        loop.close()
        first.clear()
        with connected(first) as client:
            client.sendall(b"a")
            assert client.recv(1) == b"a"
            first.retarget(second.target)
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        with connected(first) as client:
            client.sendall(b"b")
            assert client.recv(1) == b"b"
        assert b"".join(heard).endswith(b"a") and b"".join(other) == b"b"
