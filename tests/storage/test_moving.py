"""A whole database into an empty one of either kind: the same rows, numbers that go on, or nothing at all."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import Table, insert, select, text

from outagecast.engine.verify import verify
from outagecast.storage import moving, tables
from outagecast.storage.engine import Database
from outagecast.storage.moving import Stopped
from outagecast.storage.refused import DatabaseRefused
from tests.support import databases, healthy


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, database_kind: str) -> tuple[Path, datetime]:
    """A database in which everything has happened: its folder, and the time it is in it."""
    folder = tmp_path_factory.mktemp("lived")
    databases.url("outagecast.db", folder)  # the server is started before there is an event loop
    return folder, healthy.make(folder)


@pytest.fixture
async def source(made: tuple[Path, datetime]) -> AsyncIterator[Database]:
    db = databases.opened("outagecast.db", made[0])
    yield db
    await db.close()


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[Database]:
    """Of the kind under test; as it is after its first opening."""
    db = Database.open(databases.url("target.db", tmp_path), folder=tmp_path)
    await db.migrate()
    async with db.write() as conn:
        await conn.execute(insert(tables.meta).values(key="secret", value="its own"))
    yield db
    await db.close()


def quiet(_table: str, _done: int, _total: int) -> None: ...


async def counts(db: Database) -> dict[str, int]:
    async with db.read() as conn:
        return {
            table.name: int((await conn.execute(text(f'SELECT count(*) FROM "{table.name}"'))).scalar_one())
            for table in tables.metadata.sorted_tables
        }


async def test_everything_arrives_and_comes_back_again(
    made: tuple[Path, datetime], source: Database, target: Database, tmp_path: Path
) -> None:
    """From either kind into a file, and from there into the kind it came from."""
    file = Database.open("sqlite:///file.db", folder=tmp_path)
    await file.migrate()
    told: list[tuple[str, int, int]] = []
    copied = await moving.copy(source, file, lambda *said: told.append(said))
    assert copied.rows > 100
    assert told[-1][1] == told[-1][2]
    assert await moving.copy(file, target, quiet) == copied, "the same hash after the way there and back"
    for db in (source, file, target):
        assert {name: n for name, n in (await counts(db)).items() if name not in moving.OWN} == copied.tables
        assert list(await verify(db, now=made[1])) == []
        assert await rows_of(db, tables.timeline) == await rows_of(source, tables.timeline)
        assert await rows_of(db, tables.meta) == await rows_of(source, tables.meta), "links that were sent stay good"
        async with db.write() as conn:
            new = await conn.execute(insert(tables.texts).values(text="next").returning(tables.texts.c.id))
            assert new.scalar_one() > copied.tables["texts"], "numbers go on"
            await conn.rollback()
    await file.close()


async def rows_of(db: Database, table: Table) -> list[tuple[object, ...]]:
    async with db.read() as conn:
        found = (await conn.execute(select(table))).all()
    return sorted((tuple(row) for row in found), key=lambda row: str(row[0]))


async def test_a_target_with_rows_in_it_is_refused(source: Database, target: Database) -> None:
    async with target.write() as conn:
        await conn.execute(insert(tables.elements).values(id="POP-1", kind="pop"))
    with pytest.raises(DatabaseRefused, match=r"not empty .*elements"):
        await moving.copy(source, target, quiet)
    assert (await counts(target))["customers"] == 0


async def test_what_is_broken_off_leaves_nothing_behind(source: Database, target: Database) -> None:
    seen = 0

    def stop(_table: str, done: int, _total: int) -> None:
        nonlocal seen
        seen += done
        if seen > 50:
            raise Stopped

    with pytest.raises(Stopped):
        await moving.copy(source, target, stop)
    found = await counts(target)
    assert found.pop("meta") == 1
    assert set(found.values()) == {0}
    assert await moving.is_empty(target)
    await moving.copy(source, target, quiet)
    assert not await moving.is_empty(target)


async def test_a_copy_that_differs_does_not_count(source: Database, target: Database) -> None:
    """A trigger that changes one letter on its way stands for whatever may go wrong."""
    async with target.write() as conn:
        for statement in _SPOIL[target.is_postgresql]:
            await conn.exec_driver_sql(statement)
    with pytest.raises(DatabaseRefused, match=r"customers: .*differ"):
        await moving.copy(source, target, quiet)
    assert (await counts(target))["customers"] == 0
    async with target.write() as conn:
        for statement in _MEND[target.is_postgresql]:
            await conn.exec_driver_sql(statement)


_SPOIL = {
    False: (
        "CREATE TRIGGER spoil AFTER INSERT ON customers BEGIN "
        "UPDATE customers SET name = name || '.' WHERE id = new.id AND id = (SELECT min(id) FROM customers); END",
    ),
    True: (
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN new.name := new.name || chr(46); RETURN new; END'",
        "CREATE TRIGGER spoil BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION spoil()",
    ),
}
_MEND = {
    False: ("DROP TRIGGER spoil",),
    True: ("DROP TRIGGER spoil ON customers", "DROP FUNCTION spoil()"),
}
