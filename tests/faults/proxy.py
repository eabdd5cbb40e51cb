"""A TCP proxy that misbehaves: between the daemon and whatever it speaks to, in a thread with a loop of its own.

What it holds back is gone: nothing that a fault has stopped arrives later, so that the ground truth behind it stays in
order.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

CHUNK = 65_536
NO_LINGER = struct.pack("ii", 1, 0)


class Toxic(StrEnum):
    CLOSE = "close"
    """Both ends are closed; what was passed on before still arrives."""
    RESET = "reset"
    """Both ends get a TCP reset: what is on its way may be lost."""
    SWALLOW = "swallow"
    """From here on everything is read and nothing is passed on, either way."""
    HALF_CLOSE = "half_close"
    """The far end sees the end of this direction; the other direction goes on."""
    REFUSE = "refuse"
    """New connections are reset before a byte is passed on."""
    DELAY = "delay"
    """Each chunk waits `seconds`."""
    THROTTLE = "throttle"
    """`rate` bytes a second, in small pieces."""


class Way(StrEnum):
    """The direction whose bytes are counted."""

    THERE = "there"
    """From the daemon to its server."""
    BACK = "back"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """A toxic in one direction, played on each connection once `after` bytes have passed, `count` times in all."""

    toxic: Toxic
    way: Way = Way.THERE
    after: int = 0
    seconds: float = 0.0
    rate: int = 2_000
    count: int | None = None


class _Over(Exception):
    """This connection has met its fate."""


@dataclass
class FaultProxy:
    """Start it with `start()`; `play()` and `clear()` hold for what passes from then on. Thread-safe."""

    target: int
    """The port on loopback that is spoken to; `retarget()` changes it."""
    port: int = 0
    played: dict[str, int] = field(default_factory=dict)
    """How often each toxic struck."""
    connections: int = 0
    _troubles: list[Trouble] = field(default_factory=list)
    _pairs: set["_Pair"] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _thread: threading.Thread | None = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self) -> "FaultProxy":
        ready: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True, name="fault-proxy")
        self._thread.start()
        self.port = ready.result(10)
        return self

    def end(self) -> None:
        if self._thread is not None:
            self._call(self._stop.set)
            self._thread.join(10)

    def play(self, *troubles: Trouble) -> None:
        self._call(lambda: self._troubles.extend(troubles))

    def clear(self) -> None:
        """No more faults; connections that a fault holds are closed, so that nobody waits for what is gone."""

        def clear() -> None:
            self._troubles.clear()
            for pair in list(self._pairs):
                if pair.struck:
                    pair.cut(reset=True)

        self._call(clear)

    def retarget(self, port: int) -> None:
        """From now on another server is behind it; connections to the old one are cut."""
        self.target = port
        self.cut()

    def cut(self) -> None:
        """Reset every connection that is open."""

        def cut() -> None:
            for pair in list(self._pairs):
                pair.cut(reset=True)

        self._call(cut)

    def _call(self, do: Callable[[], Any]) -> None:
        done: Future[None] = Future()

        def run() -> None:
            do()
            done.set_result(None)

        self._loop.call_soon_threadsafe(run)
        done.result(10)

    def _run(self, ready: "Future[int]") -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(ready))

    async def _serve(self, ready: "Future[int]") -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK, backlog=512)
        ready.set_result(server.sockets[0].getsockname()[1])
        await self._stop.wait()
        server.close()
        for pair in list(self._pairs):
            pair.cut(reset=True)
        await asyncio.gather(*(pair.task for pair in self._pairs), return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        pair = _Pair(task, writer)
        self._pairs.add(pair)
        try:
            if self.take(Toxic.REFUSE):
                return
            far_reader, pair.far = await asyncio.open_connection("127.0.0.1", self.target, limit=CHUNK)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(pair, Way.THERE, reader, pair.far))
                both.create_task(self._pass(pair, Way.BACK, far_reader, writer))
        except* (OSError, _Over, asyncio.CancelledError):
            pass
        finally:
            pair.cut(reset=True)
            self._pairs.discard(pair)

    async def _pass(self, pair: "_Pair", way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        while True:
            trouble = None if pair.swallowing else self.due(way, passed)
            room = _room(self._troubles, way, passed)
            if trouble is not None:
                await self._strike(pair, trouble, reader, writer)
            data = await reader.read(min(CHUNK, room))
            if not data:
                with contextlib.suppress(OSError, RuntimeError):
                    writer.write_eof()
                return
            if pair.swallowing:
                continue
            await self._slowly(way, data, writer)
            passed += len(data)

    async def _strike(
        self, pair: "_Pair", trouble: Trouble, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        pair.struck = True
        match trouble.toxic:
            case Toxic.SWALLOW:
                pair.swallowing = True
            case Toxic.HALF_CLOSE:
                writer.write_eof()
                while await reader.read(CHUNK):
                    pass
                raise _Over
            case Toxic.CLOSE:
                pair.cut(reset=False)
                raise _Over
            case _:
                pair.cut(reset=True)
                raise _Over

    async def _slowly(self, way: Way, data: bytes, writer: asyncio.StreamWriter) -> None:
        for trouble in self._troubles:
            if trouble.way is way and trouble.toxic is Toxic.DELAY:
                await asyncio.sleep(trouble.seconds)
            if trouble.way is way and trouble.toxic is Toxic.THROTTLE:
                step = max(1, trouble.rate // 50)
                for start in range(0, len(data) - step, step):
                    writer.write(data[start : start + step])
                    await asyncio.sleep(step / trouble.rate)
                data = data[(len(data) - 1) // step * step :]
        writer.write(data)
        await writer.drain()

    def take(self, *toxics: Toxic) -> bool:
        """Whether one of these toxics is in force at the start of a connection; counted."""
        return any(self._count(trouble) for trouble in list(self._troubles) if trouble.toxic in toxics)

    def due(self, way: Way, passed: int) -> Trouble | None:
        """What strikes after so many bytes of this direction."""
        for trouble in list(self._troubles):
            if _strikes(trouble, way) and trouble.after == passed and self._count(trouble):
                return trouble
        return None

    def _count(self, trouble: Trouble) -> bool:
        if trouble not in self._troubles:
            return False
        self.played[trouble.toxic] = self.played.get(trouble.toxic, 0) + 1
        if trouble.count is not None:
            place = self._troubles.index(trouble)
            left = trouble.count - 1
            self._troubles[place : place + 1] = [replace(trouble, count=left)] if left else []
        return True


class _Pair:
    """The two ends of one connection."""

    def __init__(self, task: "asyncio.Task[None]", near: asyncio.StreamWriter) -> None:
        self.task = task
        self.near = near
        self.far: asyncio.StreamWriter | None = None
        self.struck = self.swallowing = False

    def cut(self, *, reset: bool) -> None:
        for writer in (self.near, self.far):
            if writer is None or writer.is_closing():
                continue
            if not reset:
                writer.close()
                continue
            connection = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            writer.transport.abort()


def _strikes(trouble: Trouble, way: Way) -> bool:
    return trouble.way is way and trouble.toxic not in (Toxic.REFUSE, Toxic.DELAY, Toxic.THROTTLE)


def _room(troubles: list[Trouble], way: Way, passed: int) -> int:
    """How many bytes may pass before something strikes."""
    ahead = [t.after - passed for t in troubles if _strikes(t, way) and t.after > passed]
    return min(ahead, default=CHUNK)
