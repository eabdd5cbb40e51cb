"""What commands print on stdout: tables for people, one JSON document for programs."""

import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

_WIDTH = 240
"""Columns where stdout is no terminal: nothing is cut off, and `cut` and `grep` find whole ids."""
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def print_json(value: Any) -> None:
    """One JSON document; times as RFC 3339 in UTC."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=_plain) + "\n")


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Sequence[str] = ()) -> None:
    """A table whose columns in `numbers` stand to the right. None shows as nothing."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in headers:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else printable(str(cell)) for cell in row))
    print_lines_of(table)


def print_facts(facts: Mapping[str, object]) -> None:
    """A name and a value a line; what is None or empty is left out."""
    shown = [(f"{name}:", value) for name, value in facts.items() if value not in (None, "")]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        sys.stdout.write(f"{name:<{width}}  {printable(str(value))}\n")


def print_lines_of(thing: Table) -> None:
    wide = None if sys.stdout.isatty() else _WIDTH
    console = Console(file=sys.stdout, width=wide, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(thing)
    # Rich fills each line to the table's width.
    sys.stdout.write("\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n")


def printable(text: str) -> str:
    """A stranger's text must neither break a line nor paint the terminal."""
    if text.isprintable():
        return text
    return "".join(" " if unicodedata.category(char) in _UNPRINTABLE else char for char in text)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(f"no JSON for {type(value).__name__}")
