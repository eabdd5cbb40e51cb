"""A provider's database, filled once and copied for every round, so that each starts from the same one.

SQLite: the file is copied. PostgreSQL: the database is the template of the next.
"""

import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.children import call
from tests.bench.postgres import Server
from tests.bench.settings import SETTINGS, SQLITE, config_text

_FILE = "bench.db"


@dataclass(frozen=True, kw_only=True, slots=True)
class Provider:
    """`server` is None for SQLite. `token` opens the API of every copy."""

    folder: Path
    customers: int
    token: str
    server: Server | None = None
    template: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """A database of its own; `url` goes into the settings of who opens it. `octets_before`: what it took on disk."""

    folder: Path
    url: str
    octets_before: int
    server: Server | None = None

    def settle(self, text: str) -> None:
        """Write the settings of the daemon that is to run on it."""
        (self.folder / SETTINGS).write_text(text)

    def grown(self) -> int:
        """Octets that it takes more than at the start; asked for when nobody has it open any more."""
        return _octets(self.folder, self.url, self.server) - self.octets_before


def make_provider(
    folder: Path, customers: int, server: Server | None = None, *, template: str = "bench_template"
) -> Provider:
    """Fill it; the folder is the provider's own, and on a server the template."""
    folder.mkdir(parents=True, exist_ok=True)
    url = SQLITE
    if server is not None:
        server.create(template)
        url = server.url(template)
    (folder / SETTINGS).write_text(config_text(smtp_port=1, database=url))
    made = call("product", "fill", str(folder), str(customers))
    return Provider(folder=folder, customers=customers, token=str(made["token"]), server=server, template=template)


@contextmanager
def copy_of(provider: Provider) -> Iterator[Copy]:
    """Gone when the block has ended."""
    with tempfile.TemporaryDirectory(dir=provider.folder) as name:
        folder, server = Path(name), provider.server
        if server is None:
            shutil.copy(provider.folder / _FILE, folder)
            yield Copy(folder=folder, url=SQLITE, octets_before=_octets(folder, SQLITE, None))
            return
        database = f"bench_{secrets.token_hex(4)}"
        server.create(database, provider.template)
        url = server.url(database)
        try:
            yield Copy(folder=folder, url=url, octets_before=_octets(folder, url, server), server=server)
        finally:
            server.drop(database)


def _octets(folder: Path, url: str, server: Server | None) -> int:
    if server is not None:
        return server.octets(url.rpartition("/")[2])
    db = sqlite3.connect(folder / _FILE)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return (folder / _FILE).stat().st_size
