"""Writers of several processes take turns on a SQLite file instead of sleeping until it happens to be free."""

import asyncio
import fcntl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from outagecast.storage import tables
from outagecast.storage.engine import Connection, Database
from outagecast.storage.turns import Turns
from tests.support import databases

pytestmark = pytest.mark.databases("sqlite")
SHORT = timedelta(seconds=0.2)
LONG = timedelta(seconds=30)
COUNT = """
import asyncio, sys
from datetime import timedelta
from sqlalchemy import text
from outagecast.storage.engine import Database
async def main():
    db = Database.open("sqlite:///" + sys.argv[1], patience=timedelta(seconds=30))
    for n in range(int(sys.argv[2])):
        async with db.write() as conn:
            value = (await conn.execute(text("SELECT value FROM meta WHERE key = 'n'"))).scalar()
            await conn.execute(text("UPDATE meta SET value = :v WHERE key = 'n'"), {"v": str(int(value) + 1)})
    await db.close()
asyncio.run(main())
"""


@contextmanager
def another_writes(database: Path) -> Iterator[None]:
    """Another process has its turn."""
    with database.with_name(f"{database.name}.writer").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


async def test_processes_that_write_all_the_time_lose_no_count(tmp_path: Path) -> None:
    db = databases.opened("turns.db", tmp_path)
    await db.migrate()
    async with db.write() as conn:
        await conn.execute(insert(tables.meta).values(key="n", value="0"))
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", COUNT, str(tmp_path / "turns.db"), "60", stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    said = [(await child.communicate())[1].decode() for child in children]
    assert [child.returncode for child in children] == [0, 0, 0], said
    async with db.read() as conn:
        assert (await conn.execute(text("SELECT value FROM meta WHERE key = 'n'"))).scalar() == "180"
    await db.close()


async def test_who_loses_patience_asks_sqlite_itself_until_his_turn_comes(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    turns = Turns(path, SHORT)
    with another_writes(path):
        async with turns.turn():
            pass
        async with asyncio.timeout(SHORT.total_seconds() / 2):  # nobody is waited for twice
            for _ in range(3):
                async with turns.turn():
                    pass
    async with asyncio.timeout(5):
        while turns._waiting is not None:  # noqa: ASYNC110 - until the turn that nobody wanted is given on
            await asyncio.sleep(0)
    async with turns.turn():
        with path.with_name("x.db.writer").open("a") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    turns.close()


async def test_a_process_that_stands_still_with_its_turn_stops_nobody(tmp_path: Path) -> None:
    db = Database.open("sqlite:///still.db", folder=tmp_path, patience=SHORT)
    await db.migrate()
    with another_writes(tmp_path / "still.db"):
        async with db.write() as conn:
            await conn.execute(insert(tables.meta).values(key="n", value="0"))
    await db.close()


async def test_nor_does_it_stop_a_worker_thread_and_is_not_waited_for_twice(tmp_path: Path) -> None:
    db = Database.open("sqlite:///still.db", folder=tmp_path, patience=timedelta(seconds=1))
    await db.migrate()

    async def work(conn: Connection) -> None:
        await conn.execute(text("UPDATE meta SET value = value"))

    with another_writes(tmp_path / "still.db"):
        await db.transact(work)
        async with asyncio.timeout(0.8):
            await db.transact(work)
    async with asyncio.timeout(0.8):
        await db.transact(work)
    await db.close()


async def test_a_turn_that_nobody_wants_any_more_is_given_on(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    turns, other = Turns(path, LONG), Turns(path, LONG)

    async def write() -> None:
        async with turns.turn():
            pass

    with another_writes(path):
        waiting = asyncio.create_task(write())
        while turns._waiting is None:  # noqa: ASYNC110 - until it queues
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(5), other.turn():
        pass
    async with asyncio.timeout(5), turns.turn():
        pass
    turns.close()
    other.close()


async def test_a_transaction_waits_for_another_process_and_then_writes(tmp_path: Path) -> None:
    db = Database.open("sqlite:///waits.db", folder=tmp_path, patience=LONG)
    await db.migrate()

    async def work(conn: Connection) -> None:
        await conn.execute(insert(tables.meta).values(key="late", value="yes"))

    with another_writes(tmp_path / "waits.db"):
        waiting = asyncio.create_task(db.transact(work))
        async with db.read() as conn:  # readers never wait
            assert (await conn.execute(text("SELECT count(*) FROM meta"))).scalar() == 0
        assert not waiting.done()
    await waiting
    await db.close()


async def test_where_no_lock_file_can_be_made_sqlite_alone_decides(tmp_path: Path) -> None:
    turns = Turns(tmp_path / "no such folder" / "x.db", SHORT)
    async with turns.turn():
        pass
    turns.close()
