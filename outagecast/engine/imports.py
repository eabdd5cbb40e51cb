"""Imports that come over the web: files staged in a folder of their own, looked at, applied when somebody says so.

What is staged is no fact of the house: it lives in memory and in a folder beside the database, and is gone after an
hour, after a restart, or when it was applied. Only applying changes anything, in one transaction (engine/inventory.py).
"""

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from outagecast.domain.errors import Conflict, FieldError, Invalid, NotFound
from outagecast.domain.imports import ImportRefused, RemovalsRefused
from outagecast.domain.outage import Actor
from outagecast.engine.inventory import Headers, ImportReport, Inventory
from outagecast.importers import uploads
from outagecast.importers.files import REJECTS, Source, recognise
from outagecast.storage.processes import lives

KEPT_FOR = timedelta(hours=1)
MOST_STAGED = 5
SAMPLED = 12
FREE_AT_LEAST = 256 * 1024 * 1024
"""Bytes the disk must have left beside what is sent: a full one would stop the sending too."""
_PREFIX = ".upload-"
log = logging.getLogger("outagecast.engine.imports")


class Stage(StrEnum):
    """Where a staged import stands; `looked` waits for a person's word."""

    RECEIVING = "receiving"
    WAITING = "waiting"
    READING = "reading"
    LOOKED = "looked"
    REFUSED = "refused"
    APPLYING = "applying"
    APPLIED = "applied"
    FAILED = "failed"


class Bell(Protocol):
    def notify(self) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What to make of the files, as the command's options say it."""

    complete: bool = False
    strict: bool = False
    allow_removals: int | None = None


@dataclass(kw_only=True, slots=True)
class Staged:
    """One import under way. `rows` of `total` are read, by kind; `errors` say why it was refused, of so many in all;
    `removals` is how many would have to be allowed.
    """

    id: str
    actor: Actor
    folder: Path
    began_at: datetime
    stage: Stage = Stage.RECEIVING
    wanted: Wanted = field(default_factory=Wanted)
    names: list[str] = field(default_factory=list)
    received: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    total: dict[str, int] = field(default_factory=dict)
    report: ImportReport | None = None
    errors: Sequence[FieldError] = ()
    errors_total: int = 0
    removals: int | None = None
    said: str = ""
    task: "asyncio.Task[None] | None" = None

    @property
    def busy(self) -> bool:
        return self.stage in (Stage.WAITING, Stage.READING, Stage.APPLYING)

    @property
    def rejects(self) -> Path | None:
        """The file of bad cells, if there are any."""
        path = self.folder / REJECTS
        return path if path.is_file() else None


class Imports:
    """`folder`: where staged files go, on the database's own disk; `mapping`: the files' names of our columns."""

    def __init__(
        self,
        inventory: Inventory,
        *,
        folder: Path,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        changes: Bell,
        mapping: Headers | None = None,
    ) -> None:
        self._inventory = inventory
        self._folder = folder
        self._clock = clock
        self._new_id = new_id
        self._changes = changes
        self._mapping = mapping
        self._staged: dict[str, Staged] = {}
        self._one_at_a_time = asyncio.Lock()
        self._sweeping = asyncio.Lock()
        self._swept = False

    async def sweep(self) -> None:
        """Throw away what is too old, and, once, what a crash left behind: such files are full of people."""
        await self._clear(lambda staged: not staged.busy and self._clock() - staged.began_at > KEPT_FOR)
        async with self._sweeping:
            if not self._swept:
                await asyncio.to_thread(_remove_left, self._folder)
                self._swept = True

    async def open(self, *, actor: Actor) -> Staged:
        """An empty place for files; the oldest that waits makes room. Conflict if as many as may are under way."""
        await self.sweep()
        if len(self._staged) >= MOST_STAGED:
            idle = sorted((s for s in self._staged.values() if not s.busy), key=lambda s: s.began_at)[:1]
            if not idle:
                raise Conflict("too many imports are under way: wait for one of them")
            await self._clear(lambda staged: staged is idle[0])
        # Readable by us alone, as mkdtemp makes it.
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=self._folder))
        staged = Staged(id=self._new_id(), actor=actor, folder=folder, began_at=self._clock())
        self._staged[staged.id] = staged
        return staged

    async def add(self, staged: Staged, name: str, chunks: AsyncIterable[bytes]) -> None:
        """One file, under a safe name. Invalid: no CSV or zip, a name twice, too much in all, no room on the disk."""
        plain = uploads.safe_name(name)
        if plain in staged.names:
            raise Invalid.one(plain, "was sent twice")
        if len(staged.names) >= uploads.MOST_FILES:
            raise Invalid.one(plain, f"is one file too many: at most {uploads.MOST_FILES} are taken")
        staged.names.append(plain)
        target = staged.folder / plain
        with await asyncio.to_thread(target.open, "xb") as file:
            async for chunk in chunks:
                staged.received += len(chunk)
                if staged.received > uploads.LONGEST_UPLOAD:
                    raise Invalid.one(plain, f"more than {uploads.LONGEST_UPLOAD >> 20} MiB were sent: {_COMMAND}")
                if shutil.disk_usage(staged.folder).free < FREE_AT_LEAST:
                    raise Invalid.one(plain, "the disk is nearly full: make room first")
                await asyncio.to_thread(file.write, chunk)

    def look(self, staged: Staged, wanted: Wanted) -> None:
        """Read and judge the files, and say what applying them would do; `get` tells how far that is."""
        if not staged.names:
            raise Invalid.one("files", "choose at least one CSV file, or a zip of them")
        if staged.busy or staged.stage is Stage.APPLIED:
            raise Conflict("this import is not waiting to be looked at")
        staged.wanted = wanted
        self._run(staged, Stage.WAITING, self._look)

    def get(self, id: str) -> Staged:
        """NotFound for what was thrown away, was never there, or ended with the last start."""
        staged = self._staged.get(id)
        if staged is None:
            raise NotFound(
                "this import is over: what is staged is kept for an hour, not over a restart, and by the daemon that "
                "took it alone"
            )
        return staged

    def latest(self) -> list[Staged]:
        """What is staged, the newest first."""
        return sorted(self._staged.values(), key=lambda staged: staged.began_at, reverse=True)

    def apply(self, staged: Staged, *, actor: Actor) -> None:
        """Make the inventory what was shown. Conflict if that is not what is waiting."""
        if staged.stage is not Stage.LOOKED or staged.report is None:
            raise Conflict("this import is not waiting to be applied: look at what it would do first")
        staged.actor = actor
        self._run(staged, Stage.APPLYING, self._apply)

    async def discard(self, staged: Staged) -> None:
        """Throw it away; what is being read stops, what is being applied is waited for."""
        if staged.stage is Stage.APPLYING and staged.task is not None:
            await asyncio.wait([staged.task])
        await self._clear(lambda each: each is staged)

    async def close(self) -> None:
        """At the end: nothing is left behind."""
        applying = [s.task for s in self._staged.values() if s.stage is Stage.APPLYING and s.task is not None]
        if applying:
            await asyncio.wait(applying)
        await self._clear(lambda staged: True)

    # --- below ---

    def _run(self, staged: Staged, stage: Stage, work: Callable[[Staged], Awaitable[None]]) -> None:
        staged.stage, staged.rows, staged.said = stage, {}, ""
        staged.task = asyncio.create_task(self._guarded(staged, work), name=f"import {stage}")

    async def _guarded(self, staged: Staged, work: Callable[[Staged], Awaitable[None]]) -> None:
        try:
            async with self._one_at_a_time:
                await work(staged)
        except RemovalsRefused as error:
            _refuse(staged, error.errors, error.total, removals=error.removals)
        except ImportRefused as error:
            _refuse(staged, error.errors, error.total)
        except Invalid as error:
            _refuse(staged, error.errors, len(error.errors))
        except Exception:
            # Nobody waits for this task: what went wrong is said on its page, and whole in the log.
            log.exception("an import from the web failed")
            staged.stage, staged.said = Stage.FAILED, "it went wrong on our side; nothing was changed, the log says why"

    async def _look(self, staged: Staged) -> None:
        staged.stage = Stage.READING
        paths = await asyncio.to_thread(_prepare, staged.folder, staged.names)
        sources = await asyncio.to_thread(recognise, paths)
        staged.total = await asyncio.to_thread(_rows_by_kind, sources)
        staged.report = await self._import(staged, paths, dry_run=True)
        staged.errors, staged.errors_total, staged.removals = (), 0, None
        staged.stage = Stage.LOOKED

    async def _apply(self, staged: Staged) -> None:
        paths = await asyncio.to_thread(_prepare, staged.folder, staged.names)
        assert staged.report is not None
        try:
            staged.report = await self._import(staged, paths, dry_run=False, looked_at=staged.report.version)
        except Conflict:
            await self._look(staged)
            staged.said = "the inventory has changed since you looked: this is the difference now; nothing was applied"
            return
        staged.stage = Stage.APPLIED
        self._changes.notify()

    async def _import(
        self, staged: Staged, paths: Sequence[Path], *, dry_run: bool, looked_at: int | None = None
    ) -> ImportReport:
        def progress(kind: str, rows: int) -> None:
            staged.rows[kind] = rows

        return await self._inventory.import_files(
            paths,
            actor=staged.actor,
            mapping=self._mapping,
            strict=staged.wanted.strict,
            complete=staged.wanted.complete,
            allow_removals=staged.wanted.allow_removals,
            dry_run=dry_run,
            rejects_path=staged.folder / REJECTS,
            progress=progress,
            sampled=SAMPLED,
            looked_at=looked_at,
        )

    async def _clear(self, which: Callable[[Staged], bool]) -> None:
        for staged in [each for each in self._staged.values() if which(each)]:
            del self._staged[staged.id]
            if staged.task is not None and not staged.task.done():
                staged.task.cancel()
                await asyncio.gather(staged.task, return_exceptions=True)
            await asyncio.to_thread(shutil.rmtree, staged.folder, ignore_errors=True)


_COMMAND = "`outagecast import` on the machine itself takes any size"


def _remove_left(folder: Path) -> None:
    """Other daemons of this machine may be at work in the same folder: what they have is theirs while they live."""
    for left in folder.glob(f"{_PREFIX}*"):
        pid = left.name.removeprefix(_PREFIX).partition("-")[0]
        if not pid.isdecimal() or int(pid) == os.getpid() or not lives(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def _prepare(folder: Path, names: Sequence[str]) -> list[Path]:
    """The CSV files: those sent as they are, and those of the archives, unpacked once."""
    paths = [folder / name for name in names if name.lower().endswith(".csv")]
    for name in names:
        if name.lower().endswith(".zip"):
            inside = folder / f"{name}.d"
            if not inside.exists():
                inside.mkdir()
                try:
                    uploads.unpack(folder / name, inside)
                except BaseException:
                    shutil.rmtree(inside, ignore_errors=True)
                    raise
            paths += sorted(inside.iterdir())
    return paths


def _rows_by_kind(sources: Sequence[Source]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for source in sources:
        totals[source.kind.value] = totals.get(source.kind.value, 0) + uploads.count_rows(source.path)
    return totals


def _refuse(staged: Staged, errors: Sequence[FieldError], total: int, *, removals: int | None = None) -> None:
    named = str(staged.folder)
    staged.errors = [
        FieldError(field=error.field.replace(f"{named}/", ""), message=error.message.replace(f"{named}/", ""))
        for error in errors
    ]
    staged.errors_total, staged.removals, staged.stage, staged.report = total, removals, Stage.REFUSED, None
