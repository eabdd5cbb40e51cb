"""The timeline cannot be changed by our own queries, and whoever changes it otherwise is found out."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from outagecast.domain.outage import Actor, ActorKind, Role
from outagecast.domain.timeline import Happened
from outagecast.engine.seals import Seals
from outagecast.engine.verify import verify
from outagecast.storage import outages, seals
from outagecast.storage.engine import Connection, Database
from tests.support.databases import opened

NOW = datetime(2026, 3, 3, 14, 14, tzinfo=UTC)
ANN = Actor(kind=ActorKind.STAFF, name="ann", role=Role.ADMIN, source="192.0.2.7")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    found = opened("sealed.db", tmp_path)
    await found.migrate()
    yield found
    await found.close()


async def say(database: Database, *whys: str) -> None:
    async with database.write() as conn:
        for why in whys:
            await outages.record(conn, at=NOW, what=Happened.STAFF_CHANGED, actor=ANN, why=why, data={"staff": 1})


async def broken(database: Database) -> list[tuple[str, int]]:
    found = await verify(database, now=NOW)
    return [(finding.invariant, finding.count) for finding in found]


async def tamper(database: Database, *statements: str) -> None:
    """As somebody who has the database's file, or its tables, can."""
    async with database.write() as conn:
        for what in ("update", "delete"):
            at = " ON timeline" if database.is_postgresql else ""
            await conn.execute(text(f"DROP TRIGGER IF EXISTS timeline_no_{what}{at}"))
        for statement in statements:
            await conn.execute(text(statement))


@pytest.mark.parametrize("statement", ["UPDATE timeline SET actor = 'eve'", "DELETE FROM timeline"])
async def test_no_query_of_ours_can_change_or_take_away_a_line(database: Database, statement: str) -> None:
    await say(database, "bob disabled")
    with pytest.raises(DBAPIError, match="only ever added to"):
        async with database.write() as conn:
            await conn.execute(text(statement))
    async with database.read() as conn:
        assert (await conn.execute(text("SELECT actor, why FROM timeline"))).all() == [("ann", "bob disabled")]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE timeline SET actor = 'eve' WHERE id = 2",
        "UPDATE timeline SET at = at + 1 WHERE id = 2",
        "UPDATE timeline SET data = NULL WHERE id = 1",
        "UPDATE timeline SET source = '' WHERE id = 1",
        "DELETE FROM timeline WHERE id = 1",
        "DELETE FROM timeline WHERE id = 2",
        "UPDATE timeline_seals SET hash = 'x' WHERE through_id = 2",
    ],
)
async def test_a_changed_line_breaks_its_seal(database: Database, statement: str) -> None:
    await say(database, "one", "two")
    sealing = Seals(database, lambda: NOW)
    await sealing.seal()
    await say(database, "three")
    await sealing.seal()
    assert await broken(database) == []
    await tamper(database, statement)
    found = await broken(database)
    assert found and found[0][0] == "I27"


async def test_what_is_not_sealed_yet_is_sealed_next(database: Database) -> None:
    sealing = Seals(database, lambda: NOW)
    await sealing.seal()
    async with database.read() as conn:
        assert not await seals.waiting(conn)
    await say(database, "one")
    await sealing.seal()
    await sealing.seal()
    async with database.read() as conn:
        count = (await conn.execute(text("SELECT count(*), max(through_id) FROM timeline_seals"))).one()
    assert tuple(count) == (1, 1)


@pytest.mark.databases("postgresql")
async def test_a_seal_waits_for_lines_under_way(database: Database) -> None:
    """Senders write side by side, so a lower number may be committed after a higher one: never behind a seal."""
    begun, go_on = asyncio.Event(), Event()
    loop = asyncio.get_running_loop()

    async def slowly(conn: Connection) -> None:
        await outages.record(conn, at=NOW, what=Happened.FAILED, actor=ANN, why="slow")
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(30)

    async def quickly(conn: Connection) -> None:
        await outages.record(conn, at=NOW, what=Happened.FAILED, actor=ANN, why="quick")

    slow = asyncio.create_task(database.transact(slowly, access="beside"))
    await begun.wait()
    await database.transact(quickly, access="beside")
    sealing = asyncio.create_task(Seals(database, lambda: NOW).seal())
    await held_up(database)
    async with database.read() as conn:
        assert await seals.waiting(conn), "it has not sealed past the line that is under way"
    go_on.set()
    await asyncio.gather(slow, sealing)
    async with database.read() as conn:
        rows = (await conn.execute(text("SELECT id, why FROM timeline ORDER BY id"))).all()
        assert [row.why for row in rows] == ["slow", "quick"]
        assert not await seals.waiting(conn)
    assert await broken(database) == []


async def held_up(database: Database) -> None:
    """Until somebody waits for a lock."""
    async with asyncio.timeout(30):
        while True:
            async with database.read() as conn:
                query = text("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
                if (await conn.execute(query)).first() is not None:
                    return


async def test_a_long_timeline_is_sealed_in_pieces(database: Database) -> None:
    async with database.write() as conn:
        await conn.execute(
            text(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :most) "
                "INSERT INTO timeline (at, actor_kind, actor, what, why) SELECT i, 'staff', 'ann', 'note', '' FROM n"
            ),
            {"most": seals.SEALED_AT_ONCE * 2 + 10},
        )
    await Seals(database, lambda: NOW).seal()
    async with database.read() as conn:
        sealed = (await conn.execute(text("SELECT through_id FROM timeline_seals ORDER BY 1"))).scalars().all()
        assert sealed == [seals.SEALED_AT_ONCE, seals.SEALED_AT_ONCE * 2, seals.SEALED_AT_ONCE * 2 + 10]
        assert await seals.broken_seals(conn) == []


async def test_free_text_can_be_erased_without_breaking_a_seal(database: Database) -> None:
    async with database.write() as conn:
        await outages.record(conn, at=NOW, what=Happened.NOTE, actor=ANN, text="call Mr Dole at home")
    await Seals(database, lambda: NOW).seal()
    await tamper(database, "UPDATE texts SET text = ''")
    assert await broken(database) == []
