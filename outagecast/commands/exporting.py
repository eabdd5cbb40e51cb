"""`outagecast export`: the inventory as the files that `import` reads back, and what happened, as CSV.

A spreadsheet runs cells that begin with = + - @ as formulas, and names come from strangers: such cells get an
apostrophe in front and everything is quoted (numbers and phones stay as they are). `--exact` leaves all cells as they
are, for programs and for the way back through `import`.
"""

import csv
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

import click
from rich.console import Console
from rich.progress import Progress

from outagecast.app import Core
from outagecast.commands.options import Failed, config_option, json_option
from outagecast.commands.session import plainly, run_with
from outagecast.commands.settings import read_config
from outagecast.commands.shown import print_json, print_table
from outagecast.config import Config
from outagecast.domain.inventory import COLUMNS, InventoryKind
from outagecast.storage import export as stored
from outagecast.storage import views, views_deliveries
from outagecast.storage.engine import Connection
from outagecast.storage.views import OutageView
from outagecast.web.api.answers import delivery_answer, outage_answer, timeline_line

Pages: TypeAlias = AsyncIterator[list[list[str]]]
_PAGE = 1000
_HARMLESS = re.compile(r"[+-]?[\d.,]*\d|\+\d[\d ().-]*")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_OUTAGES = (
    *("id", "kind", "title", "status", "severity", "effect", "revision", "episode", "cause", "cause_code", "eta"),
    *("started_at", "ended_at", "created_at", "created_by", "owner", "external_ref", "monitor", "next_update_by"),
    *("held_because", "hold", "merged_into"),
)
_DELIVERIES = (
    *("id", "outage_id", "episode", "revision", "kind", "audience", "channel", "to", "customer_id", "contact_id"),
    *("contact", "state", "reason", "code", "detail", "provider_id", "created_at", "due_at", "ended_at", "eta"),
    *("promise", "ambiguous"),
)
_TIMELINE = ("id", "at", "outage_id", "revision", "actor_kind", "actor", "what", "why", "text")
_HISTORY = ("outages", "deliveries", "timeline")
_KINDS = (*(kind.value for kind in InventoryKind), *_HISTORY)


@click.command("export", short_help="Write the inventory and what happened as CSV files.")
@click.argument("target", metavar="FOLDER|-")
@click.option("--only", multiple=True, type=click.Choice(_KINDS), help="Only this file; may be repeated.")
@click.option("--exact", is_flag=True, help="Leave cells that a spreadsheet would run as formulas as they are.")
@config_option
@json_option
@click.pass_context
def export(ctx: click.Context, target: str, only: tuple[str, ...], exact: bool, as_json: bool) -> None:
    """Write CSV files into FOLDER (made where it is missing), or one of them to stdout (- with --only).

    sites, elements, services, customers, contacts, circuits, subscriptions come back through `outagecast import`;
    outages, deliveries, timeline are for reading. A cell that a spreadsheet would run as a formula gets an apostrophe
    in front unless --exact is given: give it for files that are to be imported again.
    """
    kinds = [kind for kind in _KINDS if not only or kind in only]
    if target == "-" and (len(kinds) != 1 or as_json):
        raise Failed(["-: stdout takes one file: give --only with one name, and no --json"])
    config = read_config(ctx)

    folder = Path(target)
    if target != "-":
        with plainly():
            folder.mkdir(parents=True, exist_ok=True)

    async def act(core: Core) -> dict[str, int]:
        if target == "-":
            return {kinds[0]: await _write(core, kinds[0], sys.stdout, exact)}
        return {kind: await _write_file(core, kind, folder / f"{kind}.csv", exact) for kind in _shown(kinds)}

    rows = run_with(config, act)
    if target == "-":
        return
    if as_json:
        print_json({"folder": target, "rows": rows})
    else:
        print_table(
            ["file", "rows"], [(os.path.join(target, f"{k}.csv"), n) for k, n in rows.items()], numbers=["rows"]
        )


def _shown(kinds: Sequence[str]) -> Any:
    """The kinds, with a bar on stderr."""
    with ExitStack() as stack:
        bars = stack.enter_context(Progress(console=Console(file=sys.stderr)))
        yield from bars.track(kinds, description="exporting")


async def _write_file(core: Core, kind: str, path: Path, exact: bool) -> int:
    with _private(path) as file:
        return await _write(core, kind, file, exact)


@contextmanager
def _private(path: Path) -> Iterator[IO[str]]:
    """Customers' names and addresses: for nobody else's eyes, and never half a file."""
    half = path.with_name(path.name + ".new")
    with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8", newline="") as file:
        yield file
    half.replace(path)


async def _write(core: Core, kind: str, file: IO[str], exact: bool) -> int:
    rows = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
    as_text: Callable[[str], str] = (lambda cell: cell) if exact else harmless
    written = 0
    async with core.db.read() as conn:
        header, pages = await _pages(conn, kind, core.config)
        rows.writerow(map(as_text, header))
        async for page in pages:
            rows.writerows([as_text(cell) for cell in row] for row in page)
            written += len(page)
    return written


def harmless(cell: str) -> str:
    """The cell, defused where a spreadsheet would run it."""
    return f"'{cell}" if cell.startswith(_FORMULA) and not _HARMLESS.fullmatch(cell) else cell


async def _pages(conn: Connection, kind: str, config: Config) -> tuple[list[str], Pages]:
    """The header and the rows; columns are called as `[import]` says, so that they are known again."""
    if kind in _HISTORY:
        header, read = _READ[kind]
        return list(header), read(conn)
    of = InventoryKind(kind)
    extra = await stored.attribute_names(conn, of)
    theirs = config.imports.get(kind, {})
    named = [theirs.get(column.name) or column.name for column in COLUMNS[of]]
    return [*named, *extra], stored.inventory_rows(conn, of, extra)


async def _outages(conn: Connection) -> Pages:
    async for page in _views(conn):
        yield [_row(outage_answer(view), _OUTAGES) for view in page]


async def _deliveries(conn: Connection) -> Pages:
    async for page in _views(conn):
        for view in page:
            after: int | None = 0
            while after is not None:
                found, after = await views_deliveries.delivery_page(conn, view.id, after=after, limit=_PAGE)
                yield [_row(delivery_answer(each, None), _DELIVERIES) for each in found]


async def _timeline(conn: Connection) -> Pages:
    async for page in _views(conn):
        for view in page:
            after = 0
            while lines := await views.timeline_page(conn, view.id, after=after, limit=_PAGE):
                yield [_row({**timeline_line(line), "outage_id": view.id}, _TIMELINE) for line in lines]
                after = lines[-1].id


async def _views(conn: Connection) -> AsyncIterator[list[OutageView]]:
    cursor: str | None = None
    while True:
        page, cursor = await views.outage_list(conn, statuses=None, cursor=cursor, limit=_PAGE)
        yield page
        if cursor is None:
            return


def _row(answer: Any, columns: Sequence[str]) -> list[str]:
    return ["" if answer[name] is None else str(answer[name]) for name in columns]


_READ: dict[str, tuple[Sequence[str], Callable[[Connection], Pages]]] = {
    "outages": (_OUTAGES, _outages),
    "deliveries": (_DELIVERIES, _deliveries),
    "timeline": (_TIMELINE, _timeline),
}
