"""A connection in a worker thread, for queries that are written for the event loop: they run at once."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from sqlalchemy import Connection as SyncConnection
from sqlalchemy import CursorResult, Dialect
from sqlalchemy.ext.asyncio import AsyncConnection as Connection

T = TypeVar("T")


class ThreadConnection:
    """What queries see of a connection, run at once in the present thread: `await conn.execute(…)` never waits."""

    def __init__(self, conn: SyncConnection) -> None:
        self.sync = conn

    async def execute(self, statement: Any, parameters: Any = None) -> CursorResult[Any]:
        return self.sync.execute(statement, parameters)

    async def exec_driver_sql(self, statement: str, parameters: Any = None) -> CursorResult[Any]:
        return self.sync.exec_driver_sql(statement, parameters)

    async def run_sync(self, work: Callable[..., T], *args: Any) -> T:
        return work(self.sync, *args)

    @property
    def dialect(self) -> Dialect:
        return self.sync.dialect


def in_thread(conn: Connection) -> bool:
    """Whether this connection lives in a worker thread, where heavy work may be done on the spot."""
    return isinstance(conn, ThreadConnection)


def complete(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing to its end."""
    try:
        work.send(None)
    except StopIteration as done:
        return cast(T, done.value)
    work.close()
    raise RuntimeError("a transaction in a thread waited for something else than its connection")
