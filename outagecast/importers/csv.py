"""The seven CSV files: UTF-8 with or without BOM, `,` or `;`, streamed in batches.

What a header lacks, lines that do not parse and cells that are wrong are reported by line; the rows that do parse go
on, so that one run lists every mistake.
"""

import csv
import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol, TypeAlias

from outagecast.domain.imports import Batch, Mistake, Reject, Row
from outagecast.domain.inventory import COLUMNS, Column, Value, canonical, clean, keys
from outagecast.importers.files import Source

BATCH_ROWS = 5_000
_MEMO_VALUES = 20_000
"""How many different texts of a column are remembered with their canonical values: bounded, whatever the file holds."""
_UTF_16 = ("\udcff\udcfe", "\udcfe\udcff")
_Cells: TypeAlias = list[str]


class _Rows(Protocol):
    """What csv.reader gives, by the part that matters here."""

    @property
    def line_num(self) -> int: ...

    def __next__(self) -> list[str]: ...


def read_batches(
    source: Source, *, columns: Mapping[str, str], region: str | None, strict: bool = False
) -> Iterator[Batch]:
    """The rows of one file in batches; an empty batch may come last. OSError if the file cannot be read.

    `columns` maps our column names to the file's (`{"id": "Account No"}`); `region` is where phone numbers without a
    country code are dialled; `strict` makes bad cells mistakes.
    """
    # A byte that is no UTF-8 becomes a lone surrogate, so that the other lines can still be read.
    with source.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        reader = _Reader(source=source, region=region, strict=strict)
        yield from reader.batches(lines, columns)


@dataclass(kw_only=True, slots=True)
class _Reader:
    """Reads one file. What it finds wrong gathers here until the next batch takes it along."""

    source: Source
    region: str | None
    strict: bool
    mistakes: list[Mistake] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    def batches(self, lines: Iterator[str], columns: Mapping[str, str]) -> Iterator[Batch]:
        first = next(lines, "")
        rows, layout = self._header(first, lines, columns)
        if layout is None:
            yield self._batch([])
            return
        yield from self._read(rows, layout)

    def _header(self, first: str, lines: Iterator[str], columns: Mapping[str, str]) -> tuple["_Rows", "_Layout | None"]:
        theirs = {column.name: columns.get(column.name) or column.name for column in COLUMNS[self.source.kind]}
        delimiter = _sniff(first, set(theirs.values()))
        rows = csv.reader(self._checked(chain([first], lines)), delimiter=delimiter, strict=True)
        if first.startswith(_UTF_16):
            self._mistake(1, "", "the file is UTF-16 (save it as UTF-8)")
        elif not first.strip():
            self._mistake(1, "", "the first line is empty: it must name the columns")
        else:
            try:
                return rows, self._layout([clean(cell) for cell in next(rows)], theirs, columns)
            except csv.Error as error:
                self._mistake(1, "", _csv_error(error))
        return rows, None

    def _read(self, rows: "_Rows", layout: "_Layout") -> Iterator[Batch]:
        ready: list[Row] = []
        while True:
            before = rows.line_num
            try:
                cells = next(rows)
            except StopIteration:
                break
            except csv.Error as error:
                self._mistake(before + 1, "", _csv_error(error))
                continue
            row = self._row(rows.line_num, cells, layout)
            if row is not None:
                ready.append(row)
            if len(ready) >= BATCH_ROWS or len(self.mistakes) + len(self.rejects) >= BATCH_ROWS:
                yield self._batch(ready)
                ready = []
        yield self._batch(ready)

    def _row(self, line: int, cells: _Cells, layout: "_Layout") -> Row | None:
        if len(cells) != layout.width:
            if not any(map(str.strip, cells)):
                return None  # a blank line
            if len(cells) < layout.width or any(map(str.strip, cells[layout.width :])):
                self._mistake(line, "", f"has {len(cells)} cells, but the header has {layout.width}")
                return None
        joined = "".join(cells)
        plain = [cell.strip() for cell in cells] if joined.isprintable() else [clean(cell) for cell in cells]
        values: list[Value | None] = [plain[place] if place is not None else None for place in layout.places]
        if not any(plain):
            return None
        for reading in layout.readings:
            self._read_cell(line, values, reading, layout)
        attributes = _attributes(plain, layout.extra) if layout.extra else None
        return (self.source.number, line, *values, attributes)

    def _read_cell(self, line: int, values: list[Value | None], reading: "_Reading", layout: "_Layout") -> None:
        text = values[reading.place]
        known = reading.memo.get(text)  # type: ignore[arg-type]
        if known is not None:
            values[reading.place] = known
            return
        column, raw = reading.column, str(text)
        if column.required and not raw:
            self._mistake(line, column.name, "is missing")
            return
        try:
            value = canonical(column, raw, self.region)
        except ValueError as error:
            self._bad(line, layout.name_of(values), reading, raw, str(error))
            value = column.default
        else:
            reading.remember(raw, value)
        values[reading.place] = value

    def _bad(self, line: int, row_id: str, reading: "_Reading", raw: str, reason: str) -> None:
        if reading.column.lenient and not self.strict:
            found = Reject(
                file=self.source.number,
                line=line,
                id=row_id,
                column=reading.column.name,
                value=raw[:200],
                reason=reason,
            )
            self.rejects.append(found)
        else:
            self._mistake(line, reading.column.name, f'"{raw[:80]}" {reason}')

    def _layout(self, header: _Cells, theirs: Mapping[str, str], mapped: Mapping[str, str]) -> "_Layout | None":
        folded = [cell.casefold() for cell in header]
        doubled = sorted({cell for cell, low in zip(header, folded, strict=True) if cell and folded.count(low) > 1})
        for name in doubled:
            self._mistake(1, name, "is there twice in the header")
        columns = COLUMNS[self.source.kind]
        places = [folded.index(low) if (low := theirs[c.name].casefold()) in folded else None for c in columns]
        missing = [c for c, place in zip(columns, places, strict=True) if place is None]
        absent = [c for c in missing if c.required or mapped.get(c.name)]
        for column in absent:
            self._mistake(1, column.name, _absent(column, theirs[column.name], header))
        if doubled or absent:
            return None
        return _Layout(
            width=len(header),
            places=places,
            readings=_readings(columns, places),
            extra=[(place, name) for place, name in enumerate(header) if name and place not in places],
            keys=[place for place, c in enumerate(columns) if c.name in keys(self.source.kind)],
        )

    def _checked(self, lines: Iterator[str]) -> Iterator[str]:
        """The lines as they are; reports those with bytes that are no text."""
        for number, line in enumerate(lines, start=1):
            if not line.isascii() and any("\udc80" <= char <= "\udcff" for char in line):
                self._mistake(number, "", "is not UTF-8 (save the file as UTF-8)")
            if "\0" in line:
                self._mistake(number, "", "holds a NUL byte (save the file as UTF-8 text)")
            yield line

    def _mistake(self, line: int, column: str, what: str) -> None:
        self.mistakes.append(Mistake(file=self.source.number, line=line, column=column, what=what))

    def _batch(self, rows: list[Row]) -> Batch:
        batch = Batch(kind=self.source.kind, rows=rows, mistakes=self.mistakes, rejects=self.rejects)
        self.mistakes, self.rejects = [], []
        return batch


@dataclass(kw_only=True, slots=True)
class _Reading:
    """A column whose cells must be looked at: its place among the values, and what it has read already."""

    place: int
    column: Column
    memo: dict[str, Value]

    def remember(self, raw: str, value: Value) -> None:
        if len(self.memo) >= _MEMO_VALUES:
            self.memo.clear()
        self.memo[raw] = value


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    """Where the file keeps what: `places` for each of our columns, `extra` for the others, `keys` among our columns."""

    width: int
    places: list[int | None]
    readings: list[_Reading]
    extra: list[tuple[int, str]]
    keys: list[int]

    def name_of(self, values: Sequence[Value | None]) -> str:
        return " ".join(str(values[place]) for place in self.keys)


def _readings(columns: Sequence[Column], places: Sequence[int | None]) -> list[_Reading]:
    return [
        _Reading(place=number, column=column, memo={})
        for number, (column, place) in enumerate(zip(columns, places, strict=True))
        if place is not None and (column.read or column.required or column.default != "")
    ]


def _attributes(cells: _Cells, extra: list[tuple[int, str]]) -> str:
    """As a JSON merge patch (RFC 7396): null takes an attribute away."""
    patch = {name: cells[place] or None for place, name in extra}
    return json.dumps(patch, separators=(",", ":"), ensure_ascii=False)


def _sniff(first: str, known: set[str]) -> str:
    """Whichever delimiter shows more of the names we look for; else whichever splits into more."""
    folded = {name.casefold() for name in known}
    score: Callable[[str], tuple[int, int]] = lambda d: (  # noqa: E731
        sum(cell.strip(' "\r\n').casefold() in folded for cell in first.split(d)),
        first.count(d),
    )
    return ";" if score(";") > score(",") else ","


def _absent(column: Column, theirs: str, header: _Cells) -> str:
    close = difflib.get_close_matches(theirs, [name for name in header if name], n=1, cutoff=0.6)
    mend = f"did you mean {close[0]}?" if close else f"it has {', '.join(name for name in header if name)}"
    return f"this column is missing from the header ({mend})"


def _csv_error(error: csv.Error) -> str:
    match str(error):
        case "unexpected end of data":
            return 'a quoted cell that begins here is never closed (look for a stray ")'
        case text if "field larger" in text:
            return 'a cell that begins here is far too long (look for a stray ")'
        case text:
            return f"cannot be read: {text}"
