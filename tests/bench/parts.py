"""The parts of the benchmark by name: each measures, and hands back a section of the report."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.bench import desk_speed, importing
from tests.bench.children import call
from tests.bench.far import far
from tests.bench.growth import FEWER, SIZES, growth
from tests.bench.planning import planning
from tests.bench.report import Figure
from tests.bench.sections import Section
from tests.bench.senders import senders
from tests.bench.sending import emails, texts
from tests.bench.web_load import hook, pages

IMPACT_MEMORY_AT_MOST_MB = 500.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """`quick`: fewer of everything, to see that all of it works; `rounds`: of whatever is compared."""

    quick: bool
    rounds: int

    @property
    def few(self) -> int:
        """Rounds of what takes long: two thirds."""
        return max(1, round(self.rounds * 2 / 3))

    def of(self, whole: int, quick: int) -> int:
        return quick if self.quick else whole


Part = Callable[[Size], Section]


def impact(_size: Size) -> Section:
    """In a process of its own, for its memory."""
    found = call("impact")
    section = Section(name="impact", title="Impact: who is touched")
    section.about = (
        "A POP's blast radius among 100,000 elements and 1,000,000 circuits, in memory: what is down, then the level "
        "of each circuit. In spurs everything hangs on one path; in rings everything has a second one."
    )
    section.figures = [Figure(**{**row, "name": f"impact: {row['name']}"}) for row in found["rows"]]
    peak = Figure(name="impact: peak memory", value=found["peak_mb"], unit="MB", at_most=IMPACT_MEMORY_AT_MOST_MB)
    section.figures.append(peak)
    return section


def imports(size: Size) -> Section:
    found = importing.run(size.of(1_000_000, 100_000))
    bare = f"a bare csv + executemany loop: {found.bare_per_second:,.0f} rows/s"
    section = Section(name="import", title="Import of circuits from CSV")
    section.about = (
        f"{found.rows:,} circuits, checked line by line, staged and applied in one transaction; beside a bare loop "
        "that reads the file and inserts its rows with the same indexes and one durable commit."
    )
    section.figures = [
        Figure(name=f"import: {found.rows:,} circuits", value=found.rows_per_second, unit="rows/s", note=bare),
        Figure(name="import: once more, all unchanged", value=found.again_per_second, unit="rows/s"),
        Figure(name="import: product ÷ bare loop", value=found.ratio, at_least=importing.RATIO_AT_LEAST),
        Figure(
            name="import: more memory than for a tenth",
            value=found.peak_mb - found.smaller_peak_mb,
            unit="MB",
            at_most=importing.GROWTH_AT_MOST_MB,
            note=f"peak {found.peak_mb:.0f} MB, {found.start_mb:.0f} MB of it before the first row",
        ),
    ]
    return section


def mails(size: Size) -> Section:
    return emails(size.of(20_000, 4_000), size.rounds)


def sms(size: Size) -> Section:
    return texts(size.of(20_000, 4_000), size.rounds)


def desk(size: Size) -> Section:
    """The search and the previews of the declare page, the board."""
    circuits = size.of(desk_speed.CIRCUITS, desk_speed.FEWER)
    section = Section(name="desk", title="The desk: search, preview, board")
    section.about = (
        f"A provider of {circuits:,} circuits and {circuits // 5:,} customers: what somebody types, previews of a POP "
        "and of a service, and the board with 50 open outages. Percentiles of single calls."
    )
    section.figures = desk_speed.figures(circuits)
    return section


def sender_counts(size: Size) -> Section:
    return senders(size.of(20_000, 4_000), size.few)


def alerts(size: Size) -> Section:
    return hook(size.of(20_000, 2_000), size.few)


def page_views(size: Size) -> Section:
    return pages(size.of(2_000, 300), size.few, size.of(100_000, 2_000))


def far_away(size: Size) -> Section:
    return far(size.of(20_000, 2_000), size.few)


def plans(size: Size) -> Section:
    recipients = size.of(100_000, 10_000)
    section = Section(name="planning", title="Planning: from the declaration to the last committed row")
    section.about = (
        f"An outage over {recipients:,} recipients is declared and planned to its end, nobody sends. Beside it the "
        "very same rows, tuples ready made, are inserted into an empty database with the same tables, a transaction "
        "for each of the product's own."
    )
    section.figures = planning(recipients, size.few)
    return section


def sizes(size: Size) -> Section:
    return growth(FEWER if size.quick else SIZES)


PARTS: Mapping[str, Part] = {
    "emails": mails,
    "senders": sender_counts,
    "far": far_away,
    "sms": sms,
    "planning": plans,
    "impact": impact,
    "import": imports,
    "desk": desk,
    "hook": alerts,
    "pages": page_views,
    "growth": sizes,
}
"""In the order in which they run and are shown."""
