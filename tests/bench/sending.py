"""Emails and texts, from the declaration to the last provider's answer, against the fastest there is on the same wire
and against other programs for the job.

Every round runs the limit first, then each peer, and the product last, each in processes of its own, to a fresh sink on
its own port. What counts is the ratio within a round: absolute rates move with whatever else the machine does.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.bench.children import call, free_port, idling, serving
from tests.bench.competition import FAULTS, Entry, check_all, enter, leave, race
from tests.bench.letters import read_letter
from tests.bench.postgres import Server, serving_postgres
from tests.bench.postgres import available as postgres_missing
from tests.bench.provider import Provider, copy_of, make_provider
from tests.bench.report import Figure
from tests.bench.sections import Section
from tests.bench.sent_figures import (
    EMAIL_RATIO_AT_LEAST,
    SMS_RATIO_AT_LEAST,
    Checked,
    Round,
    Rounds,
    chart_of,
    figures_of,
    octet_figures,
    on_the_wire,
    peer_figures,
    table_of,
)
from tests.bench.settings import config_text
from tests.bench.sinks import counting_sink, fast_sink, limit_name, limit_per_second

_NAMES = ("Anna", "Bashir", "Chloé", "Dmitri", "Emeka", "Freya", "Zoë")


def emails(count: int, rounds: int, *, with_peers: bool = True) -> Section:
    """Personalised emails over ten kept connections."""
    section = Section(name="emails", title="Emails, end to end")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        provider = make_provider(folder / "provider", count)
        checked = check_emails(folder / "check", max(1, count // 10))
        entries: list[Entry] = []
        if with_peers:
            server = _server(stack, section)
            entries = enter(section, server)
            entries = check_all(entries, checked.letter, folder, section)
        found = Rounds(peers={entry.peer.NAME: [] for entry in entries})
        for _ in range(rounds):
            limit = limit_per_second(folder, count, checked.octets)
            for entry in list(entries):
                try:
                    found.peers[entry.peer.NAME].append(race(entry, checked.letter, count, folder))
                except FAULTS as error:
                    leave(entry, error, section)
                    entries.remove(entry)
                    del found.peers[entry.peer.NAME]
            found.ours.append(_email_round(folder, provider, limit))
    limited = f"{limit_name(checked.octets)}, ten kept sessions, no message made and no record kept"
    section.about = (
        f"{count:,} personalised emails (text and HTML, {checked.octets:,} octets), from the declaration to the last "
        f"answer durable in SQLite with synchronous=FULL, over ten connections from one process. The limit: {limited}. "
        "The peers send the same words to the same sink."
    )
    section.figures = [
        Figure(
            name="emails: checked at our own sink, each once",
            value=checked.messages,
            note=f"{checked.octets:,} octets each",
        ),
        *figures_of("emails", found.ours, count, limit_name(checked.octets), EMAIL_RATIO_AT_LEAST),
        on_the_wire("emails", found.ours),
        *peer_figures(found),
        *octet_figures("emails", found.ours, count),
        Figure(
            name="emails: on the wire, both ways",
            value=checked.wire,
            unit="octets",
            note="a message; TCP's own not counted",
        ),
    ]
    if entries:
        section.tables.append(table_of(found, entries, count, checked))
    section.charts.append(chart_of(found, entries))
    return section


def texts(count: int, rounds: int) -> Section:
    """Texts, twenty in flight."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        provider = make_provider(folder, count)
        found = [_text_round(provider) for _ in range(rounds)]
    section = Section(name="sms", title="Texts, end to end")
    section.about = (
        f"{count:,} personalised texts to a gateway that answers as Twilio does, from the declaration to the last 201 "
        "durable in SQLite with synchronous=FULL. The limit: a bare loop of aiohttp form POSTs, 20 in flight, that "
        "makes no words and keeps no record."
    )
    section.figures = [
        *figures_of("sms", found, count, "bare aiohttp form POSTs, 20 in flight", SMS_RATIO_AT_LEAST),
        on_the_wire("sms", found),
        *octet_figures("sms", found, count),
    ]
    return section


def check_emails(folder: Path, count: int) -> Checked:
    """A smaller wave to a sink that knows every recipient: each once. AssertionError if not."""
    took, counted = send_emails(make_provider(folder, count))
    assert_once(took, counted, count)
    raw = str(counted["first"]).encode("latin-1")
    number = int(str(counted["first_recipient"]).partition("@")[0].lstrip("Cc"))
    letter = read_letter(raw, name=f"{_NAMES[number % len(_NAMES)]} Person{number}", number=str(number))
    return Checked(
        messages=count, octets=counted["octets"] // count, wire=round(counted["wire"] / count), letter=letter
    )


def send_emails(provider: Provider) -> tuple[dict[str, Any], dict[str, Any]]:
    """One wave to our own sink: what the product says it did, and what the sink heard."""
    with counting_sink() as (port, counted):
        took, _ = _product("email", provider, port)
    return took, counted


def send_texts(provider: Provider) -> tuple[dict[str, Any], dict[str, Any], int]:
    """One wave to our own gateway: what the product says it did, what the gateway heard, octets of the database."""
    port = free_port()
    with serving("own_gateway", "serve", str(port), port=port) as counted:
        took, grown = _product("sms", provider, port)
    return took, counted, grown


def assert_once(took: dict[str, Any], counted: dict[str, Any], count: int) -> None:
    """Rows accepted = attempts = messages at the sink = recipients = what was asked for."""
    numbers = (took["accepted"], took["attempts"], counted["messages"], counted["recipients"])
    assert numbers == (count,) * 4, f"accepted, attempts, arrived, recipients: {numbers}, not {count}"


def _email_round(folder: Path, provider: Provider, limit: float) -> Round:
    count = provider.customers
    with fast_sink(folder) as sink:
        took, grown = _product("email", provider, sink.port)
    assert (took["accepted"], took["attempts"], sink.total) == (count,) * 3, (took, sink.total)
    return Round(limit=limit, product=count / took["seconds"], took=took, grown=grown)


def _text_round(provider: Provider) -> Round:
    port, count = free_port(), provider.customers
    with serving("own_gateway", "serve", str(port), port=port) as counted:
        seconds = call("own_gateway", "source", str(port), str(count))["seconds"]
    assert counted["messages"] == count, counted
    took, counted, grown = send_texts(provider)
    assert_once(took, counted, count)
    return Round(limit=count / seconds, product=count / took["seconds"], took=took, grown=grown)


def _product(channel: str, provider: Provider, port: int) -> tuple[dict[str, Any], int]:
    """A wave on a copy of the database: what it took, and how the database grew."""
    with copy_of(provider) as copy:
        way = {"smtp_port": port} if channel == "email" else {"sms_url": f"http://127.0.0.1:{port}"}
        copy.settle(config_text(database=copy.url, **way))
        with idling() as idle:
            took = call("product", channel, str(copy.folder), str(provider.customers))
        return took | idle, copy.grown()


def _server(stack: ExitStack, section: Section) -> Server | None:
    if postgres_missing():
        return None
    return stack.enter_context(serving_postgres())
