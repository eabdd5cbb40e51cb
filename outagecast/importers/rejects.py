"""`rejects.csv`: the bad cells that an import emptied, each with its reason, for whoever keeps the source right."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from outagecast.domain.imports import Reject

HEADER = ("file", "line", "id", "column", "value", "reason")


class RejectsFile:
    """The file, open for writing. OSError if it cannot be written."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("w", encoding="utf-8", newline="")
        # Everything quoted, and what a spreadsheet would run as a formula defused.
        self._rows = csv.writer(self._file, quoting=csv.QUOTE_ALL)
        self._rows.writerow(HEADER)

    def write(self, rejects: Iterable[Reject], files: dict[int, str], columns: dict[tuple[int, str], str]) -> None:
        """`files` are the files' names by number, `columns` what they call our columns where they differ."""
        for r in rejects:
            column = columns.get((r.file, r.column), r.column)
            self._rows.writerow(map(_harmless, (files[r.file], str(r.line), r.id, column, r.value, r.reason)))

    def close(self) -> None:
        self._file.close()


def remove_stale(path: Path) -> None:
    """Take away the file of an earlier import, which no longer holds; any other file of that name stays."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            ours = next(csv.reader(file), None) == list(HEADER)
    except (OSError, UnicodeDecodeError, csv.Error):
        return
    if ours:
        path.unlink(missing_ok=True)


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
