"""The report as Markdown: the same tables as the page, its curves as rows of numbers."""

from collections.abc import Mapping, Sequence

from tests.bench.report import Figure
from tests.bench.sections import Missing, Section, Table, broken, shown

TITLE = "OutageCast: benchmark"
NOTHING_MISSING = "Nothing: every part ran, and every peer was there."


def markdown(facts: Mapping[str, str], sections: Sequence[Section], skipped: Sequence[Missing] = ()) -> str:
    lines = [f"# {TITLE}", "", verdict(sections), ""]
    lines += _table(("", "measured on"), list(facts.items()))
    lines += ["", "## Limits", ""]
    limits = [figure for section in sections for figure in section.figures if figure.is_limited]
    lines += _table(LIMITS_HEAD, [limit_row(one) for one in limits])
    for section in sections:
        lines += ["", f"## {section.title}", "", section.about, ""]
        if section.figures:
            lines += [*_table(FIGURES_HEAD, [figure_row(one) for one in section.figures]), ""]
        for table in section.tables:
            lines += [f"### {table.title}", "", *_table(table.head, table.rows), ""]
        lines.append(f"Took {section.seconds:,.0f} s.")
    missing = [f"- {one.what}: {one.why}" for one in all_missing(sections, skipped)]
    lines += ["", "## Not measured", "", *(missing or [NOTHING_MISSING])]
    return "\n".join(lines) + "\n"


LIMITS_HEAD = ("", "limit", "promised", "measured", "beside it, spread")
FIGURES_HEAD = ("figure", "measured", "unit", "promised", "beside it, spread")


def limit_row(figure: Figure) -> tuple[str, ...]:
    kept = "kept" if figure.holds else "**broken**"
    measured = f"{shown(figure.value)} {figure.unit}".strip()
    return kept, figure.name, f"{figure.limit} {figure.unit}".strip(), measured, figure.note


def figure_row(figure: Figure) -> tuple[str, ...]:
    return figure.name, shown(figure.value), figure.unit, figure.limit, figure.note


def verdict(sections: Sequence[Section]) -> str:
    limits = sum(figure.is_limited for section in sections for figure in section.figures)
    if not limits:
        return "No limit was measured."
    return f"{limits - len(broken(sections))} of {limits} limits are kept."


def all_missing(sections: Sequence[Section], skipped: Sequence[Missing]) -> list[Missing]:
    """What the parts could not measure, and the parts that were not asked for."""
    return [*(one for section in sections for one in section.missing), *skipped]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    aligned = [" --- ", *[" ---: " if _is_numbers(rows, place) else " --- " for place in range(1, len(head))]]
    return [_row(head), f"|{'|'.join(aligned)}|", *[_row(row) for row in rows]]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _is_numbers(rows: Sequence[Sequence[str]], place: int) -> bool:
    """Whether what stands in this column starts with a digit wherever something does."""
    cells = [row[place] for row in rows if row[place]]
    return bool(cells) and all(cell[:1].isdigit() for cell in cells)


def is_numbers(table: Table, place: int) -> bool:
    return _is_numbers(table.rows, place)
