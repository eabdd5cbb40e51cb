"""The migrations and the tables say the same; a database from the future is refused."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from outagecast.storage.engine import Database, DatabaseRefused
from outagecast.storage.migrations import HEAD
from outagecast.storage.tables import metadata
from outagecast.storage.upgrade import script
from tests.support import databases


async def test_migrating_from_nothing_gives_exactly_the_tables(tmp_path: Path) -> None:
    db = Database.open(databases.url("new.db", tmp_path, with_tables=False))
    await db.migrate()
    async with db.read() as conn:
        found = await conn.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync, opts={"compare_type": True}), metadata)
        )
    assert found == []
    assert await db.schema_is_current()
    await db.close()


def test_the_newest_script_is_the_one_we_ask_for() -> None:
    assert script().get_current_head() == HEAD


async def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    db = Database.open(databases.url("twice.db", tmp_path, with_tables=False))
    await db.migrate()
    async with db.write() as conn:
        await conn.execute(text("INSERT INTO meta VALUES ('kept', 'yes')"))
    await db.migrate()
    async with db.read() as conn:
        assert (await conn.execute(text("SELECT value FROM meta WHERE key = 'kept'"))).scalar() == "yes"
    await db.close()


async def test_a_newer_schema_is_refused_with_one_clear_line(tmp_path: Path) -> None:
    db = Database.open(databases.url("future.db", tmp_path, with_tables=False))
    await db.migrate()
    async with db.write() as conn:
        await conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseRefused, match="9999, newer than this program knows"):
        await db.migrate()
    await db.close()


def test_another_kind_of_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match="mysql is not supported; use sqlite"):
        Database.open("mysql://someone@somewhere/db", folder=tmp_path)


@pytest.mark.databases("sqlite")
async def test_a_commit_survives_and_foreign_keys_hold(tmp_path: Path) -> None:
    db = Database.open(databases.url("settings.db", tmp_path, with_tables=False))
    await db.migrate()
    async with db.read() as conn:
        for pragma, wanted in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            assert (await conn.execute(text(f"PRAGMA {pragma}"))).scalar() == wanted
    await db.close()


async def test_a_transaction_in_a_thread_commits_whole_or_not_at_all(tmp_path: Path) -> None:
    db = Database.open(databases.url("thread.db", tmp_path, with_tables=False))
    await db.migrate()

    async def good(conn: object) -> int:
        result = await conn.execute(text("INSERT INTO meta VALUES ('a', '1'), ('b', '2')"))  # type: ignore[attr-defined]
        return int(result.rowcount)

    async def bad(conn: object) -> None:
        await conn.execute(text("INSERT INTO meta VALUES ('c', '3')"))  # type: ignore[attr-defined]
        raise ValueError("in the middle")

    assert await db.transact(good) == 2
    with pytest.raises(ValueError, match="in the middle"):
        await db.transact(bad)
    async with db.read() as conn:
        assert (await conn.execute(text("SELECT count(*) FROM meta WHERE key IN ('a', 'b', 'c')"))).scalar() == 2
    await db.close()
