"""Who lives and who leads: by a file lock on SQLite, by a session on PostgreSQL; freed by death or a cut connection."""

from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from outagecast.storage.engine import Database
from outagecast.storage.presence import (
    FilePresence,
    Presence,
    SessionPresence,
    make_presence,
    number_of,
    without_daemons,
)
from outagecast.storage.refused import DatabaseRefused
from outagecast.storage.seats import Holder
from tests.support import databases


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    opened = databases.opened("present.db", tmp_path)
    await opened.migrate()
    yield opened
    await opened.close()


def presence(db: Database, owner: str, *, sends_only: bool = False) -> Presence:
    return make_presence(db, Holder(owner=owner, host="here", boot="b", pid=1), sends_only=sends_only)


def cut(db: Database) -> None:
    """The server ends every session of this database."""
    with psycopg.connect(databases.pool().server.url("postgres"), autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (db.address.database,)
        )


async def test_who_lives_is_seen_by_all_and_senders_never_lead(db: Database) -> None:
    main, sender = presence(db, "main"), presence(db, "sender", sends_only=True)
    await main.take()
    await sender.take()
    for one in (main, sender):
        assert await one.living(["main", "sender", "dead"]) == {"main", "sender"}
    assert (await main.leads(), await sender.leads()) == (True, False)
    assert await main.leads(), "and goes on leading"
    await sender.leave()
    assert await main.living(["main", "sender"]) == {"main"}
    await main.leave()


async def test_nothing_that_needs_all_daemons_stopped_is_done_while_one_runs(db: Database) -> None:
    async with without_daemons(db):
        pass
    sender = presence(db, "sender", sends_only=True)
    await sender.take()
    with pytest.raises(DatabaseRefused, match="stop it first"):
        async with without_daemons(db):
            pass
    await sender.leave()


def test_the_kind_of_database_decides(db: Database) -> None:
    assert isinstance(presence(db, "x"), SessionPresence if db.is_postgresql else FilePresence)


@pytest.mark.databases("postgresql")
async def test_of_several_one_leads_and_another_follows_its_end(db: Database) -> None:
    one, two = presence(db, "one"), presence(db, "two")
    await one.take()
    await two.take()
    assert (await one.leads(), await two.leads()) == (True, False)
    await one.leave()
    assert await two.leads()
    assert not await one.leads(), "it is there again, and has to wait for its turn"
    await two.leave()
    await one.leave()


@pytest.mark.databases("postgresql")
async def test_whoever_is_cut_off_leads_no_more_and_comes_back(db: Database) -> None:
    one = presence(db, "one")
    await one.take()
    assert await one.leads()
    cut(db)
    two = presence(db, "two")
    await two.take()
    assert await two.living(["one", "two"]) == {"two"}
    assert await two.leads()
    assert not await one.leads(), "the lock was lost with the session, and is another's now"
    assert await two.living(["one", "two"]) == {"one", "two"}
    cut(db)
    assert await one.living(["one", "two"]) == {"one"}, "it asks over a new session"
    await two.leave()
    await one.leave()


@pytest.mark.databases("postgresql")
async def test_whoever_cannot_ask_calls_nobody_dead(db: Database) -> None:
    one = presence(db, "one")
    await one.take()
    name = db.address.database
    with psycopg.connect(databases.pool().server.url("postgres"), autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())
        cut(db)
        assert await one.living(["one", "two"]) == {"one", "two"}
        assert not await one.leads()
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'.encode())
    assert await one.leads()
    await one.leave()


def test_an_owner_s_number_fits_an_advisory_lock() -> None:
    assert all(0 <= number_of(f"host:{n}:{n:x}") < 2**31 for n in range(1000))
