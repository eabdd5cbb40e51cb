"""Bringing the schema up to date with alembic; loaded only when there is something to do."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from outagecast.storage import server
from outagecast.storage.refused import DatabaseRefused

MIGRATIONS = Path(__file__).parent / "migrations"


def script() -> ScriptDirectory:
    """The schema's history."""
    return ScriptDirectory.from_config(_config())


def upgrade(conn: Connection) -> None:
    """To the newest schema, in the caller's transaction; DatabaseRefused if the database's is one we do not know, or
    the server does not fit.
    """
    if conn.dialect.name == "postgresql":
        server.must_fit(conn)
    current = MigrationContext.configure(conn).get_current_revision()
    if current is not None and current not in {revision.revision for revision in script().walk_revisions()}:
        raise DatabaseRefused(
            f"the database has schema {current}, newer than this program knows: install the newer OutageCast, "
            "or restore a backup"
        )
    config = _config()
    config.attributes["connection"] = conn
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
