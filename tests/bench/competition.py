"""The peers in a competition: installed where they can be, checked once against a sink that knows every recipient,
then run in every round. One that is missing or fails is named in the report with the reason."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.letters import Letter
from tests.bench.peers import PEERS, Job, Peer, Spent, Unavailable
from tests.bench.postgres import Server
from tests.bench.sections import Missing, Section
from tests.bench.sinks import counting_sink, fast_sink

CHECKED = 100
FAULTS = (AssertionError, OSError, RuntimeError, ValueError, subprocess.SubprocessError)
"""How a peer fails: mails that are missing, a program that ends, a time that is up."""


@dataclass(kw_only=True, slots=True)
class Entry:
    """A peer that takes part; what it spent a mail, round by round, and its octets on the wire."""

    peer: Peer
    version: str
    server: Server | None
    wire: int = 0
    cpu_us: list[float] = field(default_factory=list)
    server_cpu_us: list[float] = field(default_factory=list)

    def count_of(self, count: int) -> int:
        """Slow ones send fewer in a round, so that it ends in some seconds; their rate is their rate."""
        return max(1, round(count * self.peer.SHARE))


def enter(section: Section, server: Server | None) -> list[Entry]:
    """Whoever is installed or can be; the others go into the section with what they lack."""
    found = []
    for peer in PEERS:
        why = ready(peer, may_install=True)
        if not why and peer.NEEDS_POSTGRES and server is None:
            why = "needs PostgreSQL"
        if why:
            section.missing.append(Missing(what=peer.NAME, why=f"not installed: {why}"))
        else:
            found.append(Entry(peer=peer, version=peer.available().version, server=server))
    return found


def ready(peer: Peer, *, may_install: bool) -> str:
    """Why this peer cannot take part; empty if it can. Installs it where that is wanted and may help."""
    state = peer.available()
    if state.installed:
        return ""
    if not may_install or not state.can_install:
        return str(state.missing)
    print(f"installing {peer.NAME} beside the repository, once …", file=sys.stderr, flush=True)
    try:
        peer.install()
    except (Unavailable, OSError, subprocess.SubprocessError) as error:
        return str(error)
    return str(peer.available().missing)


def check_all(entries: Sequence[Entry], letter: Letter, folder: Path, section: Section) -> list[Entry]:
    """Those whose mails arrive once each; the others go into the section."""
    kept = []
    for entry in entries:
        try:
            check(entry, letter, folder)
        except FAULTS as error:
            leave(entry, error, section)
        else:
            kept.append(entry)
    return kept


def leave(entry: Entry, error: Exception, section: Section) -> None:
    """A peer that failed is no peer to be measured against: say so and go on without it."""
    why = (str(error).strip() or type(error).__name__).splitlines()[-1]
    section.missing.append(Missing(what=entry.peer.NAME, why=f"{entry.version}: failed: {why}"))


def check(entry: Entry, letter: Letter, folder: Path) -> None:
    """That each of its mails arrives once; notes its octets on the wire. AssertionError if not."""
    with counting_sink() as (port, counted):
        _run(entry, letter, CHECKED, port, folder)
    numbers = (counted["messages"], counted["recipients"])
    assert numbers == (CHECKED, CHECKED), f"{entry.peer.NAME}: arrived, recipients: {numbers}, not {CHECKED}"
    entry.wire = round(counted["wire"] / CHECKED)


def race(entry: Entry, letter: Letter, count: int, folder: Path) -> float:
    """Its mails a second in one round. AssertionError if the sink has not counted each of them."""
    count = entry.count_of(count)
    with fast_sink(folder) as sink:
        spent = _run(entry, letter, count, sink.port, folder)
    assert sink.total == count, f"{entry.peer.NAME}: {sink.total} of {count} mails arrived"
    entry.cpu_us.append(spent.cpu_seconds / count * 1e6)
    entry.server_cpu_us.append(spent.server_cpu_seconds / count * 1e6)
    return count / spent.seconds


def _run(entry: Entry, letter: Letter, count: int, port: int, folder: Path) -> Spent:
    with tempfile.TemporaryDirectory(dir=folder) as own:
        job = Job(count=count, port=port, letter=letter, folder=Path(own), postgres=entry.server)
        spent: Spent = entry.peer.run(job)
    return spent
