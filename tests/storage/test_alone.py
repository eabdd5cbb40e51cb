"""A verb sees the world stand still: no claim and no outcome comes between what it reads and what it writes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from outagecast.storage.engine import Connection, Database
from tests.support.databases import opened

pytestmark = pytest.mark.databases("postgresql")
WAITING = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")


@pytest.fixture
async def daemons(tmp_path: Path) -> AsyncIterator[tuple[Database, Database]]:
    """Two processes' ways to one database."""
    one, other = opened("alone.db", tmp_path), opened("alone.db", tmp_path)
    yield one, other
    await one.close()
    await other.close()


async def nothing(conn: Connection) -> None:
    await conn.execute(text("SELECT 1"))


async def somebody_waits(conn: Connection) -> None:
    async with asyncio.timeout(8):
        while True:
            if (await conn.execute(WAITING)).scalar_one():
                return
            await asyncio.sleep(0.01)


async def test_claims_and_outcomes_wait_for_a_verb_of_another_daemon(daemons: tuple[Database, Database]) -> None:
    one, other = daemons
    async with one.write() as conn:
        sends = asyncio.create_task(other.transact(nothing, "beside"))
        await somebody_waits(conn)
        assert not sends.done()
    await sends


async def test_a_verb_waits_for_those_who_send_and_they_do_not_wait_for_each_other(
    daemons: tuple[Database, Database],
) -> None:
    one, other = daemons
    async with one.session() as held:
        await held.execution_options(outagecast_access="beside")
        async with held.begin():
            await other.transact(nothing, "beside")
            verb = asyncio.create_task(other.transact(nothing, "alone"))
            await somebody_waits(held)
            assert not verb.done()
    await verb
