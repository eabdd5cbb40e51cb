"""Whether other processes have written to a SQLite file: cheap enough to ask twice a second."""

import sqlite3
from pathlib import Path
from urllib.parse import quote


class FileWatch:
    """A connection of its own, which sees every commit but never makes one."""

    def __init__(self, database: Path) -> None:
        self._conn = sqlite3.connect(
            f"file:{quote(str(database.absolute()))}?mode=ro", uri=True, check_same_thread=False, isolation_level=None
        )
        self._seen = self._version()

    def changed(self) -> bool:
        """Whether anybody, this process included, has committed since the last call."""
        before, self._seen = self._seen, self._version()
        return self._seen != before

    def close(self) -> None:
        self._conn.close()

    def _version(self) -> int:
        return int(self._conn.execute("PRAGMA data_version").fetchone()[0])
