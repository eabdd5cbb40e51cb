"""What PostgreSQL's server says of itself: whether it fits, what there is to warn of, and why it does not let us in."""

import re
from dataclasses import dataclass

from sqlalchemy import Connection as SyncConnection
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.storage.refused import DatabaseRefused

OLDEST = 13
"""The oldest PostgreSQL that is taken; 15 and newer are tested."""
CONNECTIONS = 50
"""What one daemon may open, and a command beside it."""
_MAKE = "createdb --template=template0 --encoding=UTF8 --locale=C.UTF-8 NAME"
_FACTS = """
    SELECT current_setting('server_version_num')::integer / 10000 AS version,
           current_setting('server_version') AS shown,
           pg_encoding_to_char(d.encoding) AS encoding, pg_is_in_recovery() AS standby,
           current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on' AS durable,
           current_setting('max_connections')::integer AS connections,
           has_database_privilege(d.oid, 'TEMP') AS temporary, pg_database_size(d.oid) AS size,
           (SELECT count(*) FROM pg_tables AS t JOIN pg_roles AS r ON r.rolname = t.tableowner
             WHERE t.schemaname = current_schema() AND NOT pg_has_role(r.oid, 'USAGE')) AS others
      FROM pg_database AS d WHERE d.datname = current_database()
"""
_SORTS_OTHERWISE = """
    SELECT datcollversion IS DISTINCT FROM pg_database_collation_actual_version(oid)
      FROM pg_database WHERE datname = current_database() AND datcollversion IS NOT NULL
"""
"""Since PostgreSQL 15: whether the system's rules have changed since the indexes were made by them."""
_MENDS = (
    ("password authentication failed", "check the user and password in [database] url"),
    ("no password supplied", "write the password into [database] url, or a line of ~/.pgpass"),
    (r"pg_hba\.conf", "the server's pg_hba.conf must let this user in from here"),
    ('role ".*" does not exist', "check the user in [database] url, or make it: createuser NAME"),
    ('database ".*" does not exist', f"check the name in [database] url, or make it: {_MAKE}"),
    ("read-only|hot standby", "a standby takes no writes: name the primary in [database] url, or all of the hosts"),
    ("too many c|remaining connection slots", "raise max_connections: a daemon opens up to 40"),
    ("permission denied|must be owner", "make this user its owner: ALTER DATABASE … OWNER TO …"),
    ("unsupported startup parameter", "connect to PostgreSQL itself, not to a pooler that shares sessions"),
    ("starting up|shutting down", "try again in a moment"),
    (
        "refused|timeout|failed to resolve|no route|unreachable",
        "is the server running, and are host and port in [database] url right?",
    ),
)
"""What PostgreSQL and its driver answer in English, and what would mend it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """`durable`: what is acknowledged outlives a power cut. `others`: tables that belong to another role."""

    version: int
    shown: str
    encoding: str
    standby: bool
    durable: bool
    connections: int
    temporary: bool
    size: int
    others: int
    sorts_otherwise: bool

    @property
    def unfit(self) -> str | None:
        """Why this database cannot be used, with the mend."""
        if self.version < OLDEST:
            return f"PostgreSQL {self.shown} is too old: {OLDEST} is the oldest that is taken"
        if self.encoding != "UTF8":
            return f"the database is encoded in {self.encoding}: make one in UTF-8 ({_MAKE})"
        if self.standby:
            return "this server is a standby, which takes no writes: name the primary in [database] url"
        return None

    @property
    def warnings(self) -> list[tuple[str, str]]:
        """What is worth a thought: (what, mend)."""
        found = []
        if not self.durable:
            found.append(
                ("fsync or full_page_writes is off: a power cut can lose what was sent", "set both on, and restart")
            )
        if not self.temporary:
            found.append(("this user may make no temporary tables: imports will fail", "GRANT TEMPORARY ON DATABASE …"))
        if self.others:
            found.append(
                (f"{self.others} tables belong to another user: upgrades and erasures will fail", "make it their owner")
            )
        if self.connections < CONNECTIONS:
            found.append((f"max_connections is {self.connections}", f"a daemon and a command take up to {CONNECTIONS}"))
        if self.sorts_otherwise:
            found.append(
                (
                    "the system sorts texts otherwise than when the indexes were made",
                    "REINDEX DATABASE …; ALTER DATABASE … REFRESH COLLATION VERSION",
                )
            )
        return found


async def look(conn: AsyncConnection) -> Server:
    return await conn.run_sync(_look)


def must_fit(conn: SyncConnection) -> None:
    """Before tables are made; DatabaseRefused says why this database cannot be used."""
    if (unfit := _look(conn).unfit) is not None:
        raise DatabaseRefused(unfit)


def reason(error: Exception) -> str:
    """What a database answered, on one line, with what would mend it where we know."""
    said = str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__]
    line = said[0].removeprefix("connection failed: ").rstrip(".")
    mend = next((mend for pattern, mend in _MENDS if re.search(pattern, line, re.IGNORECASE)), "")
    return f"{line} ({mend})" if mend else line


def _look(conn: SyncConnection) -> Server:
    row = conn.exec_driver_sql(_FACTS).one()
    otherwise = row.version >= 15 and bool(conn.exec_driver_sql(_SORTS_OTHERWISE).scalar())
    return Server(**row._mapping, sorts_otherwise=otherwise)
