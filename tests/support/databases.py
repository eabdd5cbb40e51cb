"""Which database a test runs on, and a fresh one of that kind.

Tests of what meets a database run on SQLite and on PostgreSQL: tests/conftest.py says which, `url()` gives the address.
PostgreSQL's databases are made once, from a template with all tables, emptied after each test and used again.
"""

import asyncio
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

import psycopg

from outagecast.storage.engine import Connection, Database
from tests.support import postgres
from tests.support.postgres import Server

CHOSEN = "OUTAGECAST_TEST_DATABASE"
"""Environment: the kind that the present test runs on."""
KINDS = ("sqlite", "postgresql")
TEMPLATE = "outagecast_template"

EMPTY = """
DO $$
DECLARE it record; full_one boolean;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR it IN SELECT c.oid::regclass AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
               WHERE c.relkind = 'r' AND n.nspname = 'public' AND c.relname <> 'alembic_version' LOOP
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s)', it.name) INTO full_one;
        IF full_one THEN EXECUTE format('DELETE FROM %s', it.name); END IF;
    END LOOP;
    PERFORM setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false)
       FROM pg_sequences WHERE last_value IS NOT NULL;
END $$
"""

SHAPE = """
SELECT 'revision', version_num FROM alembic_version
UNION ALL SELECT 'trigger', pg_get_triggerdef(oid) || tgenabled::text FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'index', indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'column', table_name || '.' || column_name || ' ' || data_type || is_nullable
    FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT 'constraint', conrelid::regclass::text || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
ORDER BY 1, 2
"""


class Pool:
    """PostgreSQL databases for tests: `taken` by (folder, name), the others empty and ready."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.taken: dict[tuple[Path, str], str] = {}
        self._ready: list[str] = []
        self._made = 0
        with server.admin() as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")
            admin.execute(f"CREATE DATABASE {TEMPLATE}")
        _migrate(server.url(TEMPLATE))

    def url(self, name: str, folder: Path, *, with_tables: bool = True) -> str:
        key = (folder.resolve(), name)
        if key not in self.taken:
            self.taken[key] = self._ready.pop() if self._ready and with_tables else self._make(with_tables)
        return self.server.url(self.taken[key])

    def give_back(self, key: tuple[Path, str]) -> None:
        name = self.taken.pop(key)
        with self.server.admin() as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            with psycopg.connect(self.server.url(name), autocommit=True) as conn:
                conn.execute(EMPTY)
                tables = conn.execute("SELECT to_regclass('alembic_version'), to_regclass('deliveries')").fetchone()
        except psycopg.Error:
            tables = None
        if tables and all(tables) and self._is_as_made(name):
            self._ready.append(name)
        else:
            with self.server.admin() as admin:
                admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def copy(self, source: tuple[Path, str], target: tuple[Path, str]) -> None:
        """The target becomes what the source is."""
        if target in self.taken:
            self.give_back(target)
        self._made += 1
        name = f"test_{os.getpid()}_{self._made}"
        with self.server.admin() as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (self.taken[source],)
            )
            admin.execute(f"CREATE DATABASE {name} TEMPLATE {self.taken[source]}")
        self.taken[target] = name

    def _is_as_made(self, name: str) -> bool:
        """Whether a test left the tables, their indexes and their triggers as it found them."""
        with (
            psycopg.connect(self.server.url(name)) as used,
            psycopg.connect(self.server.url(TEMPLATE)) as new,
        ):
            return used.execute(SHAPE).fetchall() == new.execute(SHAPE).fetchall()

    def _make(self, with_tables: bool) -> str:
        self._made += 1
        name = f"test_{os.getpid()}_{self._made}"
        with self.server.admin() as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE if with_tables else 'template0'}")
        return name


@lru_cache(maxsize=1)
def pool() -> Pool:
    """The process's own server and pool; the server ends with the process."""
    folder = Path(tempfile.mkdtemp(prefix="outagecast-postgres-"))
    return Pool(RUNNING.enter_context(postgres.running(folder)))


RUNNING = ExitStack()
"""What tests/conftest.py closes at the end of the session."""


def chosen() -> str:
    return os.environ.get(CHOSEN, "sqlite")


def url(name: str, folder: Path, *, with_tables: bool = True) -> str:
    """The address of a database for the present test: the same one for the same name and folder."""
    if chosen() == "sqlite":
        return f"sqlite:///{folder.resolve() / name}"
    return pool().url(name, folder, with_tables=with_tables)


def opened(name: str, folder: Path) -> Database:
    return Database.open(url(name, folder), folder=folder)


def copied(name: str, made: Path, folder: Path) -> Path:
    """A copy of the database that was opened under this name in `made` and is at rest, to be opened under the same name
    in `folder`, where it takes the place of what is there; the folder.
    """
    if chosen() == "postgresql":
        pool().copy((made.resolve(), name), (folder.resolve(), name))
        return folder
    for path in folder.glob(f"{name}*"):
        path.unlink()
    shutil.copy(made / name, folder / name)
    return folder


async def numbers_go_on(conn: Connection, *tables: str) -> None:
    """After rows with numbers of their own: the next one gets the one after the highest, as on SQLite by itself."""
    if conn.dialect.name == "postgresql":
        for name in tables:
            last = f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), max(id)) FROM {name}"
            await conn.exec_driver_sql(last)


def _migrate(address: str) -> None:
    async def work() -> None:
        db = Database.open(address)
        await db.migrate()
        await db.close()

    # In a thread: a test that asks for its first database may have a loop of its own running.
    with ThreadPoolExecutor(max_workers=1) as threads:
        threads.submit(asyncio.run, work()).result()
