"""A thread and a connection kept for one who writes all the time, as the ledger does.

Nothing is fetched from a pool and given back, and no executor's futures stand in between: with ten messages in a
transaction, that had cost each of them as much as its own rows do.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar, cast

from sqlalchemy import Connection as SyncConnection
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncConnection as Connection

from outagecast.storage.threads import ThreadConnection, complete

T = TypeVar("T")
Job = Callable[[], None]


class Writer:
    """One transaction after the other, `beside` those of others (storage/engine.py). `place`: until there is room among
    those of this process; `turn`: among other processes. `settle` is told of every new connection.
    """

    def __init__(
        self,
        engine: Engine,
        place: AbstractAsyncContextManager[None],
        turn: Callable[[], AbstractContextManager[None]],
        settle: Callable[[SyncConnection], None],
    ) -> None:
        self._engine = engine
        self._place = place
        self._turn = turn
        self._settle = settle
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._conn: SyncConnection | None = None

    async def transact(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        """As `Database.transact`: whole in the thread, and to its end even where nobody waits for it any more."""
        loop = asyncio.get_running_loop()
        async with self._place:
            done: asyncio.Future[T] = loop.create_future()

            def tell(answer: T | None, error: BaseException | None) -> None:
                if done.cancelled():
                    return
                if error is None:
                    done.set_result(cast(T, answer))
                else:
                    done.set_exception(error)
                    done.exception()  # looked at, for whoever was cancelled while he waited does not

            def job() -> None:
                answer, error = None, None
                try:
                    answer = self._transact(work)
                except BaseException as fault:
                    error = fault
                with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever waited
                    loop.call_soon_threadsafe(tell, answer, error)

            self._start()
            self._jobs.put(job)
            return await asyncio.shield(done)

    async def close(self) -> None:
        """After what is still under way. It may be used again."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(thread.join)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._run, name="writer", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
        self._part()

    def _transact(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        try:
            if self._conn is None:
                self._conn = self._engine.connect()
                self._settle(self._conn)
                self._conn = self._conn.execution_options(outagecast_access="beside")
            with self._turn(), self._conn.begin():
                return complete(work(cast(Connection, ThreadConnection(self._conn))))
        except BaseException:
            self._part()  # whatever went wrong, the next one begins with a connection that is sound
            raise

    def _part(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            with contextlib.suppress(Exception):
                conn.close()
