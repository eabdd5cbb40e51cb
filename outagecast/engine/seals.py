"""Seals the timeline now and then, and says each seal to the log: a copy of the chain outside the database."""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from outagecast.storage import seals
from outagecast.storage.engine import Connection, Database

SEAL_EVERY = timedelta(minutes=1)
log = structlog.get_logger(__name__)


class Seals:
    """`seal` is called by the clock; a transaction for each few thousand lines, none where nothing happened."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def seal(self) -> None:
        while await self._waiting():
            made = await self._database.transact(self._next)
            if made is not None:
                log.info("timeline sealed", through=made.through_id, hash=made.hash)

    async def _waiting(self) -> bool:
        async with self._database.read() as conn:
            return await seals.waiting(conn)

    async def _next(self, conn: Connection) -> seals.Seal | None:
        return await seals.seal(conn, self._clock())
