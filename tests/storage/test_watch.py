"""What another process writes to the file is noticed; nothing happens where nothing was written."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from outagecast.storage import tables
from outagecast.storage.watch import FileWatch
from tests.support import databases

pytestmark = pytest.mark.databases("sqlite")


async def test_commits_are_seen_and_looks_are_not(tmp_path: Path) -> None:
    db = databases.opened("watched.db", tmp_path)
    await db.migrate()
    with closing(FileWatch(tmp_path / "watched.db")) as watch:
        assert not watch.changed()
        with closing(sqlite3.connect(tmp_path / "watched.db")) as raw, raw:
            raw.execute("INSERT INTO meta (key, value) VALUES ('a', '1')")
        assert watch.changed()
        assert not watch.changed()
        async with db.write() as conn:
            await conn.execute(insert(tables.meta).values(key="b", value="2"))
        assert watch.changed()
        async with db.read() as conn:
            await conn.execute(select(tables.meta))
        async with db.write() as conn:  # a claim that finds nothing
            await conn.execute(update(tables.meta).where(tables.meta.c.key == "none").values(value="3"))
        assert not watch.changed(), "else two daemons would wake each other for ever"
    await db.close()
