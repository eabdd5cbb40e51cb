"""Whose turn it is to write to a SQLite file, among several processes.

SQLite lets those who find it busy sleep and try again, longer each time: of three that write all the time, one may
starve, and all waste time asleep. So whoever is about to write takes a file lock first, which the kernel hands on in
turn. It is courtesy only: what keeps two writers apart is still SQLite itself. So a process that stands still with the
turn in its hand (SIGSTOP, a debugger) holds nobody up for longer than our patience.
"""

import asyncio
import contextlib
import fcntl
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep

PATIENCE = timedelta(seconds=5)
AGAIN_AFTER = 0.0001
"""Seconds between tries of a thread: a tenth of a commit. A thread of its own that sleeps in the kernel's queue costs
more to start than that.
"""


class Turns:
    """One process's place in the queue; it wants one turn at a time. `patience`: how long to wait for it."""

    def __init__(self, database: Path, patience: timedelta) -> None:
        self._path = database.with_name(f"{database.name}.writer")
        self._patience = patience.total_seconds()
        self._handle: int | None = None
        self._waiting: asyncio.Future[int] | None = None
        self._wanted = False
        self._is_stuck = False
        """Whether patience was lost: until our turn comes at last, SQLite alone decides."""
        self._is_stuck_until = 0.0
        """The same for threads: the monotonic second until which they do not wait."""

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """When it is not our turn in time: without it, and SQLite says whether the file is locked."""
        held = self._own() if self._waiting is None else None
        if held is not None and _take_at_once(held):
            try:
                yield
            finally:
                fcntl.flock(held, fcntl.LOCK_UN)
        elif self._is_stuck or (held is None and self._waiting is None):
            # Stuck; or no room on the disk for an empty file, or none of our business to make one.
            yield
        else:
            waited_for = await self._wait()
            try:
                yield
            finally:
                if waited_for is not None:
                    os.close(waited_for)

    @contextmanager
    def turn_of_thread(self) -> Iterator[None]:
        """The same, waited for on the spot by a worker thread."""
        try:
            handle = _open(self._path)
        except OSError:
            yield
            return
        try:
            self._try_until_ours(handle)
            yield
        finally:
            os.close(handle)  # and with it the lock, if we have it

    def _try_until_ours(self, handle: int) -> None:
        until = monotonic() + (0.0 if self._is_stuck_until > monotonic() else self._patience)
        while not _take_at_once(handle):
            if monotonic() >= until:
                # Nobody waits for whoever stands still twice in a row.
                self._is_stuck_until = max(self._is_stuck_until, monotonic() + self._patience)
                return
            sleep(AGAIN_AFTER)
        self._is_stuck_until = 0.0

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _own(self) -> int | None:
        if self._handle is None:
            with contextlib.suppress(OSError):
                self._handle = _open(self._path)
        return self._handle

    async def _wait(self) -> int | None:
        """In a thread of its own, which keeps our place in the queue even where one caller has lost patience: None."""
        if self._waiting is None:
            self._waiting = self._queue_up()
        waiting, self._wanted = self._waiting, True
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.shield(waiting)
        except BaseException as error:
            if waiting.done():  # it came in the very moment in which we gave up
                os.close(waiting.result())
            if not isinstance(error, TimeoutError):
                raise
            self._is_stuck = not waiting.done()
            return None
        finally:
            self._wanted = False
            if waiting.done():
                self._waiting = None

    def _queue_up(self) -> "asyncio.Future[int]":
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[int] = loop.create_future()
        waiting.add_done_callback(self._came)

        def wait() -> None:
            handle = _open(self._path)
            fcntl.flock(handle, fcntl.LOCK_EX)
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever waited
                loop.call_soon_threadsafe(waiting.set_result, handle)

        threading.Thread(target=wait, name="writer-turn", daemon=True).start()
        return waiting

    def _came(self, waiting: "asyncio.Future[int]") -> None:
        """Our turn has come; where nobody wants it any more it is given on."""
        self._is_stuck = False
        if not self._wanted and not waiting.cancelled():
            os.close(waiting.result())
            self._waiting = None


def _take_at_once(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
