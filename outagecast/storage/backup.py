"""Copying the SQLite file while others write to it, and what tells an older file from the one that ran here last.

A database counts an `epoch` up while it sends; the file `<database>.epoch` beside it holds the last number that was
durable. A database that knows a smaller one than the file beside it is an older copy of itself. A copy made by `copy`
carries a mark of its own (`backup` in meta), so that it is known for what it is wherever it is started.
"""

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.errors import Conflict
from outagecast.storage import outages
from outagecast.storage.refused import DatabaseRefused
from outagecast.storage.tables import attempts, meta

Progress = Callable[[int, int], None]
"""(bytes written, bytes of the source): the copy is packed, so it ends smaller than the source."""
INSTANCE, EPOCH, BACKUP, RESTORED = "instance", "epoch", "backup", "restored"
"""The facts in meta that this module knows."""
_INSTRUCTIONS = 20_000
"""Steps of SQLite's machine between two words of progress: a few thousand a second."""
_WAIT_SECONDS = 30.0
_ONLY_OURS = 0o600
"""Backups hold every customer's address."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Copied:
    """A finished, checked copy. `schema` is its revision."""

    path: Path
    size: int
    schema: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """What the file beside the database says: whose it is, and how far that one had come."""

    instance: str
    epoch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What a database says of itself. `backup`: the mark of a copy; `restored`: why its sending is held. "" if not."""

    instance: str
    epoch: int
    backup: str
    restored: str


def copy(database: Path, target: Path, *, mark: str, replace: bool, progress: Progress) -> Copied:
    """A packed copy of `database` as it is at one moment, with `mark` in it, checked and durable when this returns.

    Others may read and write meanwhile. `target` appears whole or not at all. Conflict if it is there already and
    `replace` is not given; DatabaseRefused if the source or the copy is not sound.
    """
    _may_write(database, target, replace)
    part = target.with_name(f"{target.name}.part")
    _forget(part)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _ONLY_OURS))
    try:
        wanted = _schema(database)
        _pack(database, part, progress)
        _mark(part, mark)
        schema = _check(part, wanted)
        _make_durable(part)
        if replace:
            part.replace(target)
        else:
            _name(part, target)
        _make_durable(target.parent)
    finally:
        _forget(part)
    return Copied(path=target, size=target.stat().st_size, schema=schema)


def beside(database: Path) -> Beside | None:
    """What stands beside the database; None if nothing does. A file that cannot be understood is nobody's."""
    try:
        found = json.loads(_path_beside(database).read_text(encoding="utf-8"))
        return Beside(instance=str(found["instance"]), epoch=int(found["epoch"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return Beside(instance="", epoch=0)


def put_beside(database: Path, now: Beside) -> None:
    """Write it durably; it never says less than before about the same database."""
    before = beside(database)
    if before is not None and before.instance == now.instance and before.epoch >= now.epoch:
        return
    path = _path_beside(database)
    # One name for each daemon that writes it, senders too.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("w", encoding="utf-8") as file:
        json.dump({"instance": now.instance, "epoch": now.epoch}, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    _make_durable(path.parent)


async def standing(conn: AsyncConnection) -> Standing:
    rows = await conn.execute(select(meta).where(meta.c.key.in_([INSTANCE, EPOCH, BACKUP, RESTORED])))
    found = {row.key: row.value for row in rows}
    return Standing(
        instance=found.get(INSTANCE, ""),
        epoch=int(found.get(EPOCH, "0")),
        backup=found.get(BACKUP, ""),
        restored=found.get(RESTORED, ""),
    )


async def mark(conn: AsyncConnection, text: str) -> None:
    """Say that this database is a copy, or was left behind: the next start on it holds all sending."""
    await outages.put_meta(conn, BACKUP, text)


async def restored(conn: AsyncConnection) -> str:
    """Why sending is held after a restore, "" when it is not: asked at every tick while it is."""
    return await outages.get_meta(conn, RESTORED) or ""


async def set_restored(conn: AsyncConnection, why: str) -> None:
    """Hold; the copy's own mark has been heeded by then."""
    await outages.put_meta(conn, BACKUP, None)
    await outages.put_meta(conn, RESTORED, why)


async def clear_restored(conn: AsyncConnection) -> None:
    await outages.put_meta(conn, RESTORED, None)


async def advance(conn: AsyncConnection, instance: str, *, beyond: int = 0) -> Beside:
    """The next epoch, above `beyond` too; `instance` names a database that has no name yet."""
    now = await standing(conn)
    name, epoch = now.instance or instance, max(now.epoch, beyond) + 1
    if not now.instance:
        await outages.put_meta(conn, INSTANCE, name)
    await outages.put_meta(conn, EPOCH, str(epoch))
    return Beside(instance=name, epoch=epoch)


async def has_sent(conn: AsyncConnection) -> bool:
    """Whether anything was ever about to be written to the wire."""
    return (await conn.execute(select(attempts.c.key).limit(1))).first() is not None


# --- the copy ---


def _may_write(database: Path, target: Path, replace: bool) -> None:
    if target.exists():
        if target.is_dir():
            raise Conflict(f"{target} is a folder: name a file in it")
        if target.samefile(database):
            raise Conflict(f"{target} is the database itself")
        if not replace:
            raise Conflict(f"{target} is there already: name another file, or replace it with --force")
    if target.with_name(f"{target.name}-wal").exists():
        raise Conflict(f"{target} is a database in use (there is {target.name}-wal): name another file")
    if not target.parent.is_dir():
        raise Conflict(f"{target.parent} is not a folder: make it first")


def _pack(database: Path, part: Path, progress: Progress) -> None:
    """VACUUM INTO reads one consistent view and holds nobody up; what was deleted or erased is not carried over."""
    source = _connect(database)
    try:
        size = source.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()[0]
        source.set_progress_handler(lambda: progress(part.stat().st_size, size), _INSTRUCTIONS)
        source.execute("VACUUM INTO ?", (str(part),))
    except sqlite3.DatabaseError as error:
        raise DatabaseRefused(f"{database} cannot be copied: {error}") from error
    finally:
        source.close()


def _schema(database: Path) -> str:
    """DatabaseRefused for a file that is none of ours."""
    source = _connect(database)
    try:
        return str(source.execute("SELECT version_num FROM alembic_version").fetchone()[0])
    except (sqlite3.DatabaseError, TypeError) as error:
        raise DatabaseRefused(f"{database} is not a database of OutageCast: {error}") from error
    finally:
        source.close()


def _mark(part: Path, mark: str) -> None:
    copied = _connect(part)
    try:
        copied.execute("PRAGMA journal_mode = DELETE")  # one file that can be moved, with nothing beside it
        copied.execute("DELETE FROM meta WHERE key = ?", (BACKUP,))
        copied.execute("INSERT INTO meta (key, value) VALUES (?, ?)", (BACKUP, mark))
    finally:
        copied.close()


def _check(part: Path, wanted: str) -> str:
    """The copy's schema; DatabaseRefused where it is not sound, or has another than the database."""
    copied = _connect(part)
    try:
        wrong = [str(row[0]) for row in copied.execute("PRAGMA integrity_check(5)") if row[0] != "ok"]
        wrong += [f"{row[0]} row {row[1]} refers to nothing" for row in copied.execute("PRAGMA foreign_key_check")][:5]
        row = copied.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.DatabaseError as error:
        raise DatabaseRefused(f"the copy is not sound: {error}") from error
    finally:
        copied.close()
    schema = "" if row is None else str(row[0])
    if schema != wanted:
        wrong.append(f"its schema is {schema or 'unknown'}, the database's is {wanted or 'unknown'}")
    if wrong:
        raise DatabaseRefused(f"the copy is not sound, so there is none: {'; '.join(wrong)}")
    return schema


def _connect(path: Path) -> sqlite3.Connection:
    name = f"file:{quote(str(path.absolute()))}?mode=rw"
    return sqlite3.connect(name, uri=True, timeout=_WAIT_SECONDS, isolation_level=None)


def _name(part: Path, target: Path) -> None:
    """Give the copy its name unless somebody else took it meanwhile."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise Conflict(f"{target} is there already: name another file, or replace it with --force") from None
    except OSError:  # a file system without hard links
        part.replace(target)


def _make_durable(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _forget(part: Path) -> None:
    for path in (part, part.with_name(f"{part.name}-journal")):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _path_beside(database: Path) -> Path:
    return database.with_name(f"{database.name}.epoch")
