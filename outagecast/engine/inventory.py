"""The verbs of the inventory: a whole import of files, or one thing at a time. None of them ever sends anything."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from outagecast.domain.errors import Conflict, FieldError, Invalid, NotFound
from outagecast.domain.imports import Batch, Change, Difference, ImportRefused, Reject, RemovalsRefused
from outagecast.domain.inventory import InventoryKind, clean, keys
from outagecast.domain.outage import Actor
from outagecast.domain.timeline import Happened
from outagecast.engine.inventory_bodies import Suppression, row_of
from outagecast.importers.csv import read_batches
from outagecast.importers.files import REJECTS, Source, recognise
from outagecast.importers.rejects import RejectsFile, remove_stale
from outagecast.storage import checks, compare, inventory, outages, search_index, staging
from outagecast.storage.engine import Connection, Database
from outagecast.storage.staging import Staging

Progress: TypeAlias = Callable[[str, int], None]
"""(kind, rows of it read so far): called after each batch."""
Headers: TypeAlias = Mapping[str, Mapping[str, str]]
"""`{"customers": {"id": "Account No"}}`: what the files call our columns."""
REMOVALS_AT_MOST = 0.05
"""The part of a kind that `--complete` may end without being told how many."""
_MISTAKES_KEPT = 10_000
_REJECTS_SHOWN = 50
_PAGE = 5_000
_TRIES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportReport:
    """What an import did, or with `applied` False would do. Counts by kind; rejects are bad cells that were emptied.

    `contacts_unreachable` have no address left; `customers_unreachable` have no contact with one.
    """

    applied: bool
    kinds: Mapping[InventoryKind, Difference]
    rejects: int
    rejects_file: Path | None
    first_rejects: tuple[str, ...]
    contacts_unreachable: int
    customers_unreachable: int
    version: int = 0
    """Of the inventory that the files were held against."""
    sample: Mapping[InventoryKind, Sequence[Change]] = field(default_factory=dict)
    """The first changes of each kind, where they were asked for."""

    @property
    def changes(self) -> int:
        """Rows that are new, changed or ended."""
        return sum(d.new + d.changed + d.ended for d in self.kinds.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """What was asked for: `headers` are the files' own names of our columns, by kind."""

    sources: tuple[Source, ...]
    headers: Headers
    complete: frozenset[InventoryKind]
    allow_removals: int | None
    sampled: int = 0

    @property
    def kinds(self) -> list[InventoryKind]:
        return [kind for kind in InventoryKind if any(source.kind is kind for source in self.sources)]

    @property
    def revive(self) -> bool:
        """Complete files say what there is, so what they name has not ended."""
        return bool(self.complete)

    def place(self, file: int, line: int, column: str) -> str:
        source = self.sources[file]
        name = self.headers.get(source.kind, {}).get(column) or column
        return f"{source.name}:{line}: {name}" if column else f"{source.name}:{line}"


class Inventory:
    """`region` is where phone numbers without a country code are dialled; None: every number needs one."""

    def __init__(self, db: Database, *, clock: Callable[[], datetime], region: str | None = None) -> None:
        self._db = db
        self._clock = clock
        self._region = region

    async def import_files(
        self,
        paths: Sequence[Path],
        *,
        actor: Actor,
        mapping: Headers | None = None,
        strict: bool = False,
        complete: bool = False,
        allow_removals: int | None = None,
        dry_run: bool = False,
        rejects_path: Path | None = None,
        progress: Progress | None = None,
        sampled: int = 0,
        looked_at: int | None = None,
    ) -> ImportReport:
        """Bring the inventory to what the files say; ImportRefused lists every structural mistake: nothing is changed.

        `mapping` is `ImportSettings.headers()`. `complete` ends what the files no longer hold, of the kinds they hold;
        above 5 % of a kind only with `allow_removals`. Bad cells go to `rejects_path`: `rejects.csv` beside the input.
        `sampled`: how many changes of each sort the report shows. `looked_at`: the inventory's version that somebody
        was shown the difference to; Conflict if it has changed since.
        """
        sources = recognise(paths)
        wanted = _Wanted(
            sources=sources,
            headers=mapping or {},
            complete=frozenset(source.kind for source in sources) if complete else frozenset(),
            allow_removals=allow_removals,
            sampled=sampled,
        )
        async with staging.staging_area(self._db) as area:
            await self._stage(area, wanted, strict, progress)
            for _ in range(_TRIES):
                version = await inventory.inventory_version(area.conn)
                if looked_at not in (None, version):
                    raise Conflict("the inventory has changed since the difference was shown: look at it again")
                report = replace(await self._judge(area, wanted, rejects_path or _beside(paths[0])), version=version)
                if dry_run:
                    return report
                await search_index.stage(area.conn, wanted.kinds)
                if await self._apply(area, wanted, report, version, actor):
                    return replace(report, applied=True)
        raise Invalid.one("", "the inventory is being changed by others all the time: import again in a quiet moment")

    async def get(self, kind: str, id: str) -> Mapping[str, Any]:
        """One thing; `kind` is the singular word. NotFound if there is none."""
        async with self._db.read() as conn:
            found = await inventory.find(conn, _kind(kind).singular, id)
            if found is None:
                raise await _not_found(conn, kind, id)
            return found

    async def put(self, kind: str, id: str, body: Mapping[str, Any], *, actor: Actor) -> bool:
        """Make one thing what the body says, True if it is new; what the body does not mention stays.

        One that had ended is active again unless the body gives a status. Invalid lists every field that is wrong.
        """
        of = _kind(kind)
        if clean(id) != id or not id:
            raise Invalid.one("id", "has blanks around it, or characters that do not print")
        async with self._db.write() as conn:
            stored = await inventory.find(conn, of.singular, id)
            thing = row_of(of, id, body, stored=stored, region=self._region)
            async with staging.one_row(conn):
                await staging.add(conn, Batch(kind=of, rows=[thing.row], mistakes=[], rejects=[]))
                if thing.status is not None:
                    await staging.set_status(conn, of, thing.status)
                await compare.compare(conn, [of], revive=True)
                await checks.check(conn, [of])
                if found := await staging.mistakes(conn, _MISTAKES_KEPT):
                    raise Invalid([FieldError(field=m.column, message=m.what) for m in found])
                difference = await compare.difference(conn, of, complete=False, revive=True)
                if not difference.unchanged:
                    await self._apply_one(conn, of, id)
                    await self._record(conn, actor, {"kind": of.singular, "id": id, "new": difference.new == 1})
                await self._suppress(conn, thing.suppressions, actor)
            return difference.new == 1

    async def delete(self, kind: str, id: str, *, actor: Actor) -> None:
        """Mark one thing as ended; what it was part of stays readable. NotFound if there is none."""
        of = _kind(kind)
        async with self._db.write() as conn:
            found = await inventory.find(conn, of.singular, id)
            if found is None:
                raise await _not_found(conn, kind, id)
            if found["status"] == "ended":
                return
            held = await _addresses_of(conn, of, id)
            await inventory.set_status(conn, of, id, "ended")
            if held:
                await inventory.refresh_shared(conn, held)
            await inventory.bump_version(conn)
            await self._record(conn, actor, {"kind": of.singular, "id": id, "ended": True})

    async def _stage(self, area: Staging, wanted: _Wanted, strict: bool, progress: Progress | None) -> None:
        rows: dict[str, int] = {}
        for source in wanted.sources:
            columns = wanted.headers.get(source.kind, {})
            batches = read_batches(source, columns=columns, region=self._region, strict=strict)
            while (batch := await asyncio.to_thread(_next, batches, source)) is not None:
                await staging.add(area.conn, batch)
                rows[source.kind] = rows.get(source.kind, 0) + len(batch.rows)
                if progress:
                    progress(source.kind.value, rows[source.kind])
        await staging.index(area.conn)

    async def _judge(self, area: Staging, wanted: _Wanted, rejects_path: Path) -> ImportReport:
        """What applying would do; ImportRefused if it must not be done."""
        conn = area.conn
        await compare.compare(conn, wanted.kinds, revive=wanted.revive)
        await checks.check(conn, wanted.kinds, complete=wanted.complete)
        if found := await staging.mistakes(conn, _MISTAKES_KEPT):
            errors = [FieldError(field=wanted.place(m.file, m.line, m.column), message=m.what) for m in found]
            raise ImportRefused(errors, await staging.count_mistakes(conn))
        kinds = {
            kind: await compare.difference(conn, kind, complete=kind in wanted.complete, revive=wanted.revive)
            for kind in wanted.kinds
        }
        _brake(kinds, wanted)
        contacts, customers = await compare.unreachable(conn, complete=wanted.complete)
        rejects = await staging.count_rejects(conn)
        shown = await _write_rejects(conn, wanted, rejects_path, rejects)
        return ImportReport(
            applied=False,
            kinds=kinds,
            rejects=rejects,
            rejects_file=rejects_path if rejects else None,
            first_rejects=shown,
            contacts_unreachable=contacts,
            customers_unreachable=customers,
            sample={
                kind: await compare.sample(
                    conn, kind, complete=kind in wanted.complete, revive=wanted.revive, limit=wanted.sampled
                )
                for kind in (wanted.kinds if wanted.sampled else ())
            },
        )

    async def _apply(self, area: Staging, wanted: _Wanted, report: ImportReport, version: int, actor: Actor) -> bool:
        """False if the inventory has changed since it was judged."""
        async with staging.applying(self._db, area) as conn:
            if await inventory.inventory_version(conn) != version:
                return False
            await compare.apply(conn, wanted.kinds, complete=wanted.complete, revive=wanted.revive)
            if {InventoryKind.CUSTOMERS, InventoryKind.CONTACTS} & set(wanted.kinds):
                await inventory.refresh_shared(conn)
            if report.changes:
                await inventory.bump_version(conn)
            counts = {
                kind.value: {"new": d.new, "changed": d.changed, "unchanged": d.unchanged, "ended": d.ended}
                for kind, d in report.kinds.items()
            }
            await self._record(conn, actor, {"kinds": counts, "rejects": report.rejects})
        return True

    async def _apply_one(self, conn: Connection, kind: InventoryKind, id: str) -> None:
        before = await _addresses_of(conn, kind, id)
        await search_index.stage(conn, [kind])
        await compare.apply(conn, [kind], complete=(), revive=True)
        if held := before | await _addresses_of(conn, kind, id):
            await inventory.refresh_shared(conn, held)
        await inventory.bump_version(conn)

    async def _suppress(self, conn: Connection, of: Sequence[Suppression], actor: Actor) -> None:
        for channel, value, reason in of:
            now = self._clock()
            if await inventory.suppress(conn, channel=channel, value=value, reason=reason, by=actor.name, now=now):
                why = f"{channel}: {reason}"
                await outages.record(conn, at=now, what=Happened.SUPPRESSED, actor=actor, why=why)

    async def _record(self, conn: Connection, actor: Actor, data: dict[str, Any]) -> None:
        await outages.record(conn, at=self._clock(), what=Happened.IMPORTED, actor=actor, data=data)


def _next(batches: Any, source: Source) -> Batch | None:
    try:
        batch: Batch | None = next(batches, None)
    except OSError as error:
        raise Invalid.one(source.name, f"cannot be read: {error.strerror}") from error
    return batch


def _beside(path: Path) -> Path:
    return (path if path.is_dir() else path.parent) / REJECTS


def _kind(word: str) -> InventoryKind:
    kind = next((kind for kind in InventoryKind if kind.singular == word and keys(kind) == ("id",)), None)
    if kind is None:
        raise NotFound(f"nothing in the inventory is called {word}")
    return kind


async def _not_found(conn: Connection, kind: str, id: str) -> NotFound:
    near = await inventory.did_you_mean(conn, kind, id)
    return NotFound(f"no {kind} {id}" + (f" (did you mean {near}?)" if near else ""))


async def _addresses_of(conn: Connection, kind: InventoryKind, id: str) -> set[int]:
    if kind is InventoryKind.CONTACTS:
        return await inventory.address_ids(conn, contact_id=id)
    return await inventory.address_ids(conn, customer_id=id) if kind is InventoryKind.CUSTOMERS else set()


def _brake(kinds: Mapping[InventoryKind, Difference], wanted: _Wanted) -> None:
    total = sum(d.ended for d in kinds.values())
    if wanted.allow_removals is not None and total <= wanted.allow_removals:
        return
    errors = [
        FieldError(
            field=", ".join(source.name for source in wanted.sources if source.kind is kind),
            message=f"would end {d.ended} of {d.before} {kind}, more than {REMOVALS_AT_MOST:.0%}: "
            f"is the file whole? If so, allow it with --allow-removals {total}",
        )
        for kind, d in kinds.items()
        if d.ended > REMOVALS_AT_MOST * d.before
    ]
    if errors:
        raise RemovalsRefused(errors, total)


async def _write_rejects(conn: Connection, wanted: _Wanted, path: Path, total: int) -> tuple[str, ...]:
    """The rejects go to their file; without any, an older file of that name goes, as it no longer holds."""
    if not total:
        await asyncio.to_thread(remove_stale, path)
        return ()
    shown: list[str] = []
    try:
        file = await asyncio.to_thread(RejectsFile, path)
    except OSError as error:
        message = f"cannot be written: {error.strerror} (name another file with --rejects)"
        raise Invalid.one(str(path), message) from error
    names = {source.number: source.name for source in wanted.sources}
    columns = {
        (source.number, ours): theirs
        for source in wanted.sources
        for ours, theirs in wanted.headers.get(source.kind, {}).items()
    }
    try:
        for after in range(0, total, _PAGE):
            page = await staging.rejects(conn, after, _PAGE)
            file.write(page, names, columns)
            shown += [_line(reject, wanted) for reject in page[: _REJECTS_SHOWN - len(shown)]]
    finally:
        file.close()
    return tuple(shown)


def _line(reject: Reject, wanted: _Wanted) -> str:
    return f'{wanted.place(reject.file, reject.line, reject.column)}: "{reject.value}" {reject.reason}'
