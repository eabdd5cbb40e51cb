"""CSV for people who open it in a spreadsheet: no cell may be run as a formula (CWE-1236)."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime

from aiohttp import web

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def harmless(cell: object) -> str:
    """A cell's text, with an apostrophe in front where a spreadsheet would run it. Numbers stay numbers."""
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.isoformat(timespec="seconds").replace("+00:00", "Z")
    text = str(cell)
    runs = not isinstance(cell, int | float) and text.startswith(_FORMULA)
    return f"'{text}" if runs else text


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Comma separated, quoted, with a header (RFC 4180)."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow([harmless(name) for name in header])
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    return out.getvalue()


def csv_answer(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> web.Response:
    """A download called `name`; a byte order mark, so that Excel reads it as UTF-8."""
    return web.Response(
        body=("\ufeff" + csv_text(header, rows)).encode("utf-8"),
        content_type="text/csv",
        charset="utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
