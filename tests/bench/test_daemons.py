"""The parts that run the product as it is run in life, at a tiny size: everything counted, and figures for all. No
speed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.children import free_port, serving
from tests.bench.growth import growth
from tests.bench.load import Request, load
from tests.bench.postgres import Server, available, serving_postgres
from tests.bench.provider import make_provider
from tests.bench.report import Figure
from tests.bench.senders import SENDERS, Sent, figures_of, send
from tests.bench.sinks import counting_sink
from tests.bench.web_load import hook, pages

SOME = 40


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    assert not available()
    with serving_postgres() as made:
        yield made


def named(figures: list[Figure]) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures}


def test_two_senders_on_sqlite_send_each_mail_once(tmp_path: Path) -> None:
    provider = make_provider(tmp_path, SOME)
    with counting_sink() as (port, counted):
        sent = send(provider, 2, port)

    assert (counted["messages"], counted["recipients"]) == (SOME, SOME)
    assert sent.seconds > sent.planned_seconds > 0
    assert sent.cpu_seconds > 0
    assert sent.server_cpu_seconds == 0
    assert sent.memory_mb > 20


def test_a_sender_on_postgresql_sends_each_mail_once(tmp_path: Path, server: Server) -> None:
    provider = make_provider(tmp_path, SOME, server)
    with counting_sink() as (port, counted):
        sent = send(provider, 1, port)

    assert (counted["messages"], counted["recipients"]) == (SOME, SOME)
    assert sent.server_cpu_seconds > 0
    assert sent.grown > 0


def test_ratios_of_senders_are_taken_round_by_round() -> None:
    def waves(*seconds: float) -> list[Sent]:
        rest = {"planned_seconds": 1.0, "cpu_seconds": 1.0, "server_cpu_seconds": 0.0, "memory_mb": 100.0, "grown": 1}
        return [Sent(seconds=one, **rest) for one in seconds]  # type: ignore[arg-type]

    found = {("SQLite", number): waves(4.0 / number, 8.0 / number) for number in SENDERS}
    found |= {("PostgreSQL", number): waves(8.0, 16.0) for number in SENDERS}

    figures = named(figures_of(found, [2_000, 1_000], 1_000))

    assert figures["senders: SQLite, one ÷ limit"].value == 0.125
    assert figures["senders: SQLite, two ÷ limit"].value == 0.25
    assert not figures["senders: SQLite, two ÷ limit"].holds
    assert figures["senders: SQLite, four ÷ one"].value == 4
    assert figures["senders: PostgreSQL ÷ SQLite, one each"].value == 0.5
    assert not figures["senders: PostgreSQL, two ÷ one"].holds, "two as fast as one is not rising"


def test_the_hook_and_its_limit_are_asked() -> None:
    section = hook(40, 1, connections=2)

    figures = named(section.figures)
    assert figures["hook: alarms repeated"].value > 0
    assert figures["hook: new alarms"].value > 0
    assert 0 < figures["hook: alarms repeated ÷ no store"].value < 1
    assert figures["hook: answered 503, new alarms"].value == 0
    assert section.tables[0].rows[0][0] == "no store (the limit)"


def test_the_pages_are_asked_for() -> None:
    section = pages(40, 1, 50)

    rows = section.tables[0].rows
    assert [row[0] for row in rows] == ["hello (the limit)", "status page", "outage page", "desk board"]
    octets = [int(row[-1].replace(",", "")) for row in rows]
    assert min(octets[1:]) > 10 * octets[0], "a page is no greeting"
    assert all(figure.value > 0 for figure in section.figures)


def test_growth_is_measured_step_by_step() -> None:
    section = growth((500, 1000))

    seconds, memory = section.tables
    assert seconds.head == ("seconds", "500", "1,000", "exponent", "last step", "µs a customer")
    assert len(seconds.rows) == 6
    assert len(memory.rows) == 4
    assert all(figure.at_most is None for figure in section.figures), "what is promised is promised for a million"


def test_an_answer_that_is_no_good_is_no_figure(tmp_path: Path) -> None:
    requests: list[Request] = [("GET", "/nowhere", {}, "")]
    port = free_port()
    with serving("hello", str(port), port=port), pytest.raises(RuntimeError, match="404"):
        load(tmp_path, port, requests, count=4, connections=2, good="200")
