"""The report as one page: tables and charts, light and dark, nothing loaded from anywhere."""

from collections.abc import Mapping, Sequence
from html import escape

from tests.bench.markdown_report import (
    FIGURES_HEAD,
    LIMITS_HEAD,
    NOTHING_MISSING,
    TITLE,
    all_missing,
    figure_row,
    is_numbers,
    limit_row,
    verdict,
)
from tests.bench.sections import Missing, Section, Table, broken
from tests.bench.svg import COLOURS, draw

_COLOURS = range(COLOURS)
_STYLE = """
:root { color-scheme: light dark; --page: #fdfdfc; --ink: #1d232a; --soft: #5b6672; --line: #d9dee3; --wash: #f1f4f6;
  --ours: #0b6bcb; --theirs: #9aa7b4; --good: #1a7f47; --bad: #c02b2b;
  --c0: #0b6bcb; --c1: #c2571a; --c2: #1a7f47; --c3: #8a3fb0; --c4: #b3861b; --c5: #5b6672; }
@media (prefers-color-scheme: dark) { :root { --page: #14181d; --ink: #e4e9ee; --soft: #9aa7b4; --line: #333c46;
  --wash: #1d232a; --ours: #58a6ff; --theirs: #5f6d7b; --good: #4fc07f; --bad: #ff7b72;
  --c0: #58a6ff; --c1: #f0935a; --c2: #4fc07f; --c3: #c98ae6; --c4: #e0b84a; --c5: #9aa7b4; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1.5rem 1rem 4rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .4rem; }
p { margin: .4rem 0 .8rem; max-width: 46rem; }
.verdict { font-size: 1.15rem; font-weight: 600; }
.kept { color: var(--good); } .broken { color: var(--bad); font-weight: 600; }
.wide { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .875rem; width: 100%; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td:first-child { min-width: 9rem; }
td.note { color: var(--soft); min-width: 12rem; }
tr:nth-child(even) td { background: var(--wash); }
figure { margin: 1rem 0; max-width: 34rem; }
figcaption { font-weight: 600; font-size: .95rem; margin-bottom: .4rem; }
.chart { width: 100%; height: auto; display: block; }
.chart text { fill: var(--ink); font: 13px system-ui, sans-serif; }
.chart .value { fill: var(--soft); font-variant-numeric: tabular-nums; }
.chart .ours { fill: var(--ours); } .chart .theirs { fill: var(--theirs); }
.chart .whisker { stroke: var(--ink); fill: none; stroke-width: 1.2; }
.chart .grid { stroke: var(--line); fill: none; stroke-width: 1; }
.chart .line { fill: none; stroke-width: 2; }
""" + "".join(
    f".chart .line.c{n} {{ stroke: var(--c{n}); }} .chart .dot.c{n} {{ fill: var(--c{n}); }}\n" for n in range(6)
)
_NOTES = frozenset((4,))
_LONG = 40
"""Letters from which on a cell is a note and gets room."""


def html(facts: Mapping[str, str], sections: Sequence[Section], skipped: Sequence[Missing] = ()) -> str:
    limits = [figure for section in sections for figure in section.figures if figure.is_limited]
    state = "broken" if broken(sections) else "kept"
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{TITLE}</title><style>{_STYLE}</style></head><body>",
        f'<h1>{TITLE}</h1><p class="verdict {state}">{escape(verdict(sections))}</p>',
        "<p>Only ratios travel between machines: whatever is compared was measured in the same rounds, one after the "
        "other. A figure is the median of the rounds; its lowest and highest stand beside it.</p>",
        _rows(("", ""), [(name, value) for name, value in facts.items()], numbers=()),
        "<h2>Limits</h2>",
        _rows(LIMITS_HEAD, [limit_row(one) for one in limits], numbers=(2, 3), notes=_NOTES),
        *[part for section in sections for part in _section(section)],
        "<h2>Not measured</h2>",
        _missing(all_missing(sections, skipped)),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _section(section: Section) -> list[str]:
    parts = [f'<h2 id="{escape(section.name)}">{escape(section.title)}</h2>', f"<p>{escape(section.about)}</p>"]
    for chart in section.charts:
        parts.append(f"<figure><figcaption>{escape(chart.title)}</figcaption>{draw(chart)}</figure>")
    if section.figures:
        rows = [figure_row(one) for one in section.figures]
        parts.append(_rows(FIGURES_HEAD, rows, numbers=(1,), notes=_NOTES))
    parts += [_table(table) for table in section.tables]
    parts.append(f"<p><small>Took {section.seconds:,.0f} s.</small></p>")
    return parts


def _table(table: Table) -> str:
    numbers = [place for place in range(1, len(table.head)) if is_numbers(table, place)]
    notes = frozenset(
        place for place in range(1, len(table.head)) if any(len(row[place]) > _LONG for row in table.rows)
    )
    return f"<h3>{escape(table.title)}</h3>" + _rows(table.head, table.rows, numbers=numbers, notes=notes)


def _rows(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int], notes: frozenset[int] = frozenset()
) -> str:
    kinds = ["note" if place in notes else "n" if place in numbers else "" for place in range(len(head))]
    top = "".join(f'<th class="{kind}">{escape(name)}</th>' for name, kind in zip(head, kinds, strict=True))
    body = "\n".join(
        "<tr>" + "".join(_cell(cell, kind) for cell, kind in zip(row, kinds, strict=True)) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _cell(text: str, kind: str) -> str:
    state = {"kept": "kept", "**broken**": "broken"}.get(text)
    if state:
        return f'<td class="{state}">{state}</td>'
    return f'<td class="{kind}">{escape(text)}</td>'


def _missing(found: Sequence[Missing]) -> str:
    if not found:
        return f"<p>{NOTHING_MISSING}</p>"
    return "<ul>" + "".join(f"<li>{escape(one.what)}: {escape(one.why)}</li>" for one in found) + "</ul>"
