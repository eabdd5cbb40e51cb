"""The report's files, from sections made by hand: everything is in both, and nothing breaks the page."""

import json
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench.__main__ import main, measure, write
from tests.bench.facts import facts
from tests.bench.html_report import html
from tests.bench.markdown_report import markdown
from tests.bench.parts import PARTS, Size
from tests.bench.report import Figure
from tests.bench.sections import Bar, Bars, Curves, Missing, Section, Series, Table, broken, shown
from tests.bench.svg import draw

BARS = Bars(
    title="Mails <a second>",
    unit="mails/s",
    bars=(
        Bar(label="limit & peer", value=20_000, low=18_000, high=21_000),
        Bar(label="OutageCast", value=8_000, low=8_000, high=8_000, ours=True),
    ),
)
CURVES = Curves(
    title="Seconds",
    x="customers",
    y="seconds",
    series=(
        Series(label="import: exponent 0.98", points=((1e3, 0.1), (1e6, 90.0))),
        Series(label="impact", points=((1e3, 0.004), (1e6, 0.4))),
    ),
)
SECTION = Section(
    name="emails",
    title="Emails",
    about="What was measured <and> how.",
    figures=[
        Figure(name="product ÷ limit", value=0.4, at_least=0.35, note="0.38 to 0.41 over 5 rounds"),
        Figure(name="lag | p99", value=21.0, unit="ms", at_most=20.0),
        Figure(name="rate", value=8_000, unit="mails/s"),
    ],
    tables=[Table(title="Programs", head=("program", "mails/s"), rows=(("smtp-source", "20,000"), ("ours", "8,000")))],
    charts=[BARS, CURVES],
    missing=[Missing(what="nodemailer", why="not installed: node and npm are missing")],
)
SECTION_THAT_HOLDS = Section(name="emails", title="Emails", figures=[Figure(name="ratio", value=0.4, at_least=0.35)])
FACTS = {"Machine": "a processor, 2 cores", "SQLite": "3.40.1"}


class Links(HTMLParser):
    """Whatever a page would load or lead to, and the elements that are open at its end."""

    EMPTY = frozenset(("meta", "rect", "path", "circle", "polyline"))

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [str(value) for name, value in attrs if name in ("src", "href", "action", "data")]
        self.found += [tag] if tag in ("script", "link", "iframe", "img") else []
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open.pop() == tag


@pytest.mark.parametrize("chart", [BARS, CURVES])
def test_a_chart_is_well_formed_and_inside_its_box(chart: Bars | Curves) -> None:
    root = ElementTree.fromstring(draw(chart))

    space = "{http://www.w3.org/2000/svg}"
    assert root.findtext(f"{space}title") == chart.title
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for dot in root.iter(f"{space}circle"):
        assert 0 <= float(dot.attrib["cx"]) <= width
        assert 0 <= float(dot.attrib["cy"]) <= height
    for rect in root.iter(f"{space}rect"):
        assert 0 < float(rect.attrib["width"]) <= width


def test_a_bar_is_as_long_as_its_value() -> None:
    root = ElementTree.fromstring(draw(BARS))

    limit, ours = (float(one.attrib["width"]) for one in root.iter("{http://www.w3.org/2000/svg}rect"))
    assert ours / limit == pytest.approx(8_000 / 20_000, rel=0.01)


def test_a_larger_value_stands_higher_and_further_right() -> None:
    root = ElementTree.fromstring(draw(CURVES))

    line = next(root.iter("{http://www.w3.org/2000/svg}polyline")).attrib["points"]
    (x0, y0), (x1, y1) = (map(float, one.split(",")) for one in line.split())
    assert x1 > x0
    assert y1 < y0


def test_the_page_is_whole_and_loads_nothing() -> None:
    page = html(FACTS, [SECTION], [Missing(what="the part sms", why="it was not asked for")])

    links = Links()
    links.feed(page)
    assert links.found == []
    assert set(links.open) <= {"html"} and "http:" not in page.replace("http://www.w3.org/2000/svg", "")
    for words in ("What was measured &lt;and&gt; how.", "a processor, 2 cores", "0.38 to 0.41 over 5 rounds", "20,000",
                  "node and npm are missing", "the part sms", "1 of 2 limits are kept."):  # fmt: skip
        assert words in page
    assert page.count("<svg") == 2
    assert 'class="broken">broken' in page
    assert 'class="kept">kept' in page
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_the_markdown_has_the_same_tables() -> None:
    text = markdown(FACTS, [SECTION], [Missing(what="the part sms", why="it was not asked for")])

    lines = text.splitlines()
    assert "1 of 2 limits are kept." in lines
    assert "| kept | product ÷ limit | at least 0.35 | 0.4 | 0.38 to 0.41 over 5 rounds |" in lines
    assert "| **broken** | lag \\| p99 | at most 20 ms | 21.0 ms |  |" in lines
    assert "| smtp-source | 20,000 |" in lines
    assert "- nodemailer: not installed: node and npm are missing" in lines
    assert "- the part sms: it was not asked for" in lines


def test_only_a_limit_that_is_not_kept_is_broken() -> None:
    assert [figure.name for figure in broken([SECTION])] == ["lag | p99"]


def test_the_files_are_written_with_what_was_measured_on(tmp_path: Path) -> None:
    write(tmp_path / "out", datetime(2026, 3, 1, 9, 14, tzinfo=UTC), Size(quick=True, rounds=1), [SECTION], [])

    kept = json.loads((tmp_path / "out" / "bench-report.json").read_text())
    assert kept["sections"][0]["figures"][0]["value"] == 0.4
    for name in ("html", "md"):
        text = (tmp_path / "out" / f"bench-report.{name}").read_text()
        for known in ("2026-03-01 09:14 UTC, 1 round, quick", "CPython", "Prometheus Alertmanager", "sqlalchemy"):
            assert known in text


def test_the_facts_name_machine_versions_and_peers() -> None:
    found = facts(datetime(2026, 3, 1, tzinfo=UTC), rounds=5, quick=False, peers={"nodemailer": "not installed: why"})

    assert "cores" in found["Machine"]
    assert found["Measured"] == "2026-03-01 00:00 UTC, 5 rounds"
    assert found["Peer: nodemailer"] == "not installed: why"
    assert {"Kernel", "Python", "SQLite", "PostgreSQL", "Libraries", "OutageCast"} <= set(found)


@pytest.mark.parametrize(("value", "words"), [(0, "0"), (12_345.6, "12,346"), (42.42, "42.4"), (1.234, "1.23"),
                                              (0.01234, "0.0123")])  # fmt: skip
def test_a_figure_is_shown_with_three_digits(value: float, words: str) -> None:
    assert shown(value) == words


def test_a_part_that_breaks_is_named_and_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def breaks(_size: Size) -> Section:
        raise RuntimeError("a long story\nthe sink is gone")

    parts = {"emails": lambda _size: SECTION_THAT_HOLDS, "sms": breaks}
    assert measure(["emails", "sms"], Size(quick=True, rounds=1), tmp_path, parts) == 1

    assert "not finished: sms" in capsys.readouterr().out
    assert "- the part sms: it broke: the sink is gone" in (tmp_path / "bench-report.md").read_text()
    assert measure(["emails"], Size(quick=True, rounds=1), tmp_path, parts) == 0
    assert "- the part sms: it was not asked for" in (tmp_path / "bench-report.md").read_text()


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["email"])

    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "no part email" in said
    assert all(name in said for name in PARTS)
