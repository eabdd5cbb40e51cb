"""That the benchmarks measure what they say: every message counted at both ends, and a broken limit shown. No speed."""

from pathlib import Path

import pytest

from tests.bench.children import call
from tests.bench.report import Figure, machine, spread
from tests.bench.sending import assert_once, send_emails, send_texts

SOME = 200


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("provider")
    call("product", "fill", str(folder), str(SOME))
    return folder


def test_every_email_arrives_once_and_is_written_down(provider: Path) -> None:
    took, counted = send_emails(provider, SOME)

    assert_once(took, counted, SOME)
    assert counted["octets"] > SOME * 1_000
    assert took["memory_mb"] > 20
    assert took["seconds"] > took["planned_seconds"] > 0


def test_every_text_arrives_once_and_is_written_down(provider: Path) -> None:
    took, counted = send_texts(provider, SOME)

    assert_once(took, counted, SOME)


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
