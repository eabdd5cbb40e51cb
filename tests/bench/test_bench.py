"""That the benchmarks measure what they say: every message counted at both ends, and a broken limit shown. No speed."""

from pathlib import Path

import pytest

from tests.bench.provider import Provider, make_provider
from tests.bench.report import Figure, machine, spread
from tests.bench.sending import assert_once, check_emails, emails, send_emails, send_texts
from tests.bench.sinks import fast_sink, has_postfix

SOME = 200


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Provider:
    return make_provider(tmp_path_factory.mktemp("provider"), SOME)


def test_every_email_arrives_once_and_is_written_down(provider: Provider) -> None:
    took, counted = send_emails(provider)

    assert_once(took, counted, SOME)
    assert counted["octets"] > SOME * 1_000
    assert counted["wire"] > counted["octets"]
    assert took["memory_mb"] > 20
    assert took["seconds"] > took["planned_seconds"] > 0
    assert took["cpu_seconds"] > 0


def test_every_text_arrives_once_and_is_written_down(provider: Provider) -> None:
    took, counted, grown = send_texts(provider)

    assert_once(took, counted, SOME)
    assert grown > SOME * 100


def test_the_words_for_the_peers_are_those_of_a_mail_of_ours(tmp_path: Path) -> None:
    checked = check_emails(tmp_path, 3)

    assert checked.messages == 3
    for words in (checked.letter.text, checked.letter.html):
        assert "@@NAME@@" in words
        assert "Office @@NUMBER@@" in words
        assert "Person" not in words


def test_the_emails_become_a_section_of_the_report() -> None:
    section = emails(SOME, 2, with_peers=False)

    named = {figure.name: figure for figure in section.figures}
    assert named["emails: product ÷ limit"].at_least == 0.35
    assert named["emails: product ÷ limit"].note.endswith("over 2 rounds")
    assert named["emails: the database grows by"].value > 100
    assert all(figure.value > 0 for figure in section.figures)
    assert [bar.ours for bar in section.charts[0].bars] == [False, True]  # type: ignore[union-attr]


def test_a_sink_counts_from_nothing(tmp_path: Path) -> None:
    with fast_sink(tmp_path) as sink:
        assert sink.arrived() == (0 if has_postfix() else -1)
    assert sink.total == 0


def test_a_message_too_many_is_noticed() -> None:
    took = {"accepted": 2, "attempts": 2}

    with pytest.raises(AssertionError, match="not 2"):
        assert_once(took, {"messages": 3, "recipients": 2}, 2)


def test_a_broken_limit_is_marked() -> None:
    kept = Figure(name="ratio", value=0.06, at_least=0.05)
    broken = Figure(name="lag", value=21.0, unit="ms", at_most=20.0, note=spread([19, 21, 23]))

    assert kept.holds
    assert kept.line().startswith(" ")
    assert not broken.holds
    assert broken.line().startswith("✗")
    assert broken.line().endswith("19 to 23 over 3 rounds")
    assert "SQLite" in machine()
