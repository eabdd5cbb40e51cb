"""`outagecast import`: the files come in, all of them or not at all."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from outagecast.app import Core
from outagecast.commands.options import config_option, json_option
from outagecast.commands.session import me, plainly, run_with
from outagecast.commands.settings import read_config
from outagecast.commands.shown import print_facts, print_json, print_table, printable
from outagecast.engine.inventory import ImportReport
from outagecast.importers.files import recognise

_READ = 1 << 20
_ISOLATED_SHOWN = 20


@click.command("import", short_help="Bring sites, elements, customers … in from CSV files.")
@click.argument("paths", nargs=-1, required=True, metavar="FOLDER|FILE…", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show the difference; nothing is changed.")
@click.option("--strict", is_flag=True, help="A bad phone, address, language or zone refuses the whole import.")
@click.option("--complete", is_flag=True, help="End what the files no longer hold.")
@click.option("--allow-removals", type=click.IntRange(min=0), metavar="N", help="So many may end, even above 5 %.")
@click.option(
    "--rejects",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where bad cells are listed.  [default: rejects.csv beside the input]",
)
@config_option
@json_option
@click.pass_context
def import_files(
    ctx: click.Context, paths: tuple[Path, ...], dry_run: bool, strict: bool, complete: bool,
    allow_removals: int | None, rejects: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Bring the inventory to what the files say. Structural mistakes change nothing; nothing is ever sent.

    Files are known by their names: sites, elements, services, customers, contacts, circuits, subscriptions (.csv).
    """
    config = read_config(ctx)

    async def act(core: Core) -> tuple[ImportReport, tuple[str, ...]]:
        with _progress(paths) as progress:
            report = await core.inventory.import_files(
                paths,
                actor=me(),
                mapping=config.imports,
                strict=strict,
                complete=complete,
                allow_removals=allow_removals,
                dry_run=dry_run,
                rejects_path=rejects,
                progress=progress,
            )
        return report, (await core.reckoner.network()).isolated() if report.applied else ()

    report, isolated = run_with(config, act)
    if as_json:
        print_json(_answer(report, isolated))
    else:
        _print(report, isolated)


@contextmanager
def _progress(paths: Sequence[Path]) -> Iterator[Any]:
    """A bar for each file's kind on stderr; gives what the import calls after each batch."""
    with plainly():
        totals = _rows_by_kind(paths)
    console = Console(file=sys.stderr, markup=False, highlight=False)
    columns = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:
        tasks = {kind: bars.add_task(kind, total=total) for kind, total in totals.items()}

        def progress(kind: str, rows: int) -> None:
            bars.update(tasks[kind], completed=rows)

        yield progress


def _rows_by_kind(paths: Sequence[Path]) -> dict[str, int]:
    """Lines without the header: near enough for a bar, and quick for a million of them."""
    totals: dict[str, int] = {}
    for source in recognise(paths):
        with source.path.open("rb") as file:
            lines = sum(part.count(b"\n") for part in iter(lambda: file.read(_READ), b""))
        totals[source.kind.value] = totals.get(source.kind.value, 0) + max(0, lines - 1)
    return totals


def _answer(report: ImportReport, isolated: Sequence[str]) -> dict[str, Any]:
    return {
        "applied": report.applied,
        "kinds": {
            kind.value: {
                "new": d.new, "changed": d.changed, "unchanged": d.unchanged, "ended": d.ended,
                "still_ended": d.still_ended, "before": d.before,
            }
            for kind, d in report.kinds.items()
        },
        "rejects": report.rejects,
        "rejects_file": os.fspath(report.rejects_file) if report.rejects_file else None,
        "first_rejects": list(report.first_rejects),
        "unreachable": {"contacts": report.contacts_unreachable, "customers": report.customers_unreachable},
        "isolated_elements": list(isolated),
    }  # fmt: skip


def _print(report: ImportReport, isolated: Sequence[str]) -> None:
    columns = ["new", "changed", "unchanged", "ended"]
    print_table(
        ["", *columns],
        [(kind.value, d.new, d.changed, d.unchanged, d.ended) for kind, d in report.kinds.items()],
        numbers=columns,
    )
    click.echo()
    still = sum(d.still_ended for d in report.kinds.values())
    print_facts(
        {
            "result": "imported" if report.applied else "nothing was changed (--dry-run)",
            "bad cells": f"{report.rejects}, emptied: see {report.rejects_file}" if report.rejects else None,
            "unreachable": f"{report.contacts_unreachable} contacts without an address, "
            f"{report.customers_unreachable} customers without a contact that has one",
            "still ended": f"{still} rows that had ended and have no status in the files" if still else None,
            "isolated": _some(isolated) if isolated else None,
        }
    )
    for line in report.first_rejects:
        click.echo(f"  {printable(line)}")


def _some(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _ISOLATED_SHOWN} more" if len(ids) > _ISOLATED_SHOWN else ""
    return f"{len(ids)} elements have no path to a gateway: {', '.join(ids[:_ISOLATED_SHOWN])}{more}"
