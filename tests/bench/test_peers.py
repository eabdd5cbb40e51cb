"""The peers' drivers, for those that are installed beside the repository; nothing is installed here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import postgres
from tests.bench.competition import Entry, check, check_all, enter, race, ready
from tests.bench.letters import Letter, read_letter
from tests.bench.peers import PEERS, Availability, Job, Spent, Unavailable
from tests.bench.peers.base import cache, step
from tests.bench.postgres import Server, serving_postgres
from tests.bench.sections import Missing, Section

WORDS = "Dear @@NAME@@, Office @@NUMBER@@ is down, and we are sorry: é.\n"
LETTER = Letter(subject="Outage in Lexington", text=WORDS * 20, html=f"<p>{WORDS * 30}</p>")


@pytest.fixture(scope="module")
def server() -> Iterator[Server | None]:
    if postgres.available():
        yield None
    else:
        with serving_postgres() as made:
            yield made


class Broken:
    """A peer that cannot be had."""

    NAME, HOW, SHARE, NEEDS_POSTGRES = "broken", "not at all", 1.0, False

    def available(self) -> Availability:
        return Availability(missing="it is not there")

    def install(self) -> None:
        raise Unavailable("its registry says no")

    def run(self, _job: Job) -> Spent:
        raise AssertionError("it is not installed")


def test_each_installed_peer_sends_every_mail_once(server: Server | None, tmp_path: Path) -> None:
    for peer in PEERS:
        if ready(peer, may_install=False) or (peer.NEEDS_POSTGRES and server is None):
            continue
        entry = Entry(peer=peer, version=peer.available().version, server=server)

        check(entry, LETTER, tmp_path)
        rate = race(entry, LETTER, round(30 / peer.SHARE), tmp_path)

        assert rate > 0
        assert entry.wire > len(LETTER.text.encode()) + len(LETTER.html.encode())
        assert len(entry.cpu_us) == 1


def test_each_peer_says_how_it_is_installed_or_what_it_lacks() -> None:
    for peer in PEERS:
        state = peer.available()
        assert bool(state.version) != bool(state.missing)
        assert "\n" not in state.version + state.missing


def test_a_peer_that_cannot_be_installed_is_named_with_the_reason() -> None:
    assert ready(Broken(), may_install=False) == "it is not there"
    assert ready(Broken(), may_install=True) == "its registry says no"


def test_a_peer_that_fails_leaves_with_the_reason(tmp_path: Path) -> None:
    section = Section(name="emails", title="Emails")
    entry = Entry(peer=Broken(), version="1.0", server=None)

    assert check_all([entry], LETTER, tmp_path, section) == []
    assert section.missing == [Missing(what="broken", why="1.0: failed: it is not installed")]


def test_no_peer_is_dropped_in_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTAGECAST_BENCH_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("PATH", str(tmp_path))
    section = Section(name="emails", title="Emails")

    entries = enter(section, None)

    assert {entry.peer.NAME for entry in entries} | {one.what for one in section.missing} == {p.NAME for p in PEERS}
    assert all(one.why.startswith("not installed: ") for one in section.missing)
    assert section.missing


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OUTAGECAST_BENCH_CACHE", str(tmp_path))
    assert cache("nodemailer") == tmp_path / "nodemailer"
    monkeypatch.delenv("OUTAGECAST_BENCH_CACHE")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache("nodemailer") == Path("/home/somebody/.cache/outagecast-bench/nodemailer")


def test_a_failed_step_says_the_last_line(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="sh -c: no such package"):
        step("sh", "-c", "echo trying; echo no such package >&2; exit 1", cwd=tmp_path / "new")
    with pytest.raises(Unavailable, match="no-such-program"):
        step("no-such-program", "install", cwd=tmp_path)


def test_the_letter_is_read_from_a_mail_and_filled_by_each_peer() -> None:
    raw = (
        b'Subject: Outage\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary="b"\r\n\r\n'
        b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nDear Anna Person7, Office 7.\r\n"
        b"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Dear Anna Person7, Office 7.</p>\r\n--b--\r\n"
    )

    letter = read_letter(raw, name="Anna Person7", number="7")

    assert letter.text.strip() == "Dear @@NAME@@, Office @@NUMBER@@."
    assert letter.with_places("{{ n }}", "{{ i }}").html.strip() == "<p>Dear {{ n }}, Office {{ i }}.</p>"
    with pytest.raises(ValueError, match="not a personalised mail"):
        read_letter(raw, name="Somebody Else", number="7")


def test_slow_peers_send_fewer() -> None:
    for peer in PEERS:
        entry = Entry(peer=peer, version="1", server=None)
        assert 1 <= entry.count_of(20_000) <= 20_000
