"""A rehearsal plays the real engine to its end, and leaves no trace: no row, no file, nothing on either socket."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from outagecast.app import Core, open_core
from outagecast.config import parse_config
from outagecast.domain.errors import Conflict, Invalid, NotFound
from outagecast.domain.levels import Effect
from outagecast.domain.outage import Ending, ScopeEntry
from outagecast.domain.script import Act, read_script
from outagecast.engine.rehearsal import Rehearsals, Rehearsed
from outagecast.storage import tables
from outagecast.storage.copying import fill, private_copy, private_place, size_on_server
from outagecast.storage.engine import Database, DatabaseRefused
from outagecast.storage.tables import metadata
from tests.support.databases import url
from tests.support.healthy import ANN, MINUTE, START, Clock, build, declaration

SETTINGS = """
[provider]
name = "Bluegrass Fiber"
public_url = "http://127.0.0.1:8080"
timezone = "America/New_York"
[email]
host = "127.0.0.1"
port = {smtp}
from = "Bluegrass Fiber <status@example.net>"
rate_per_second = 2
[sms]
account_sid = "AC00000000000000000000000000000000"
auth_token = "an-opaque-token"
from = "+18595550100"
api_url = "http://127.0.0.1:{http}"
rate_per_second = 1
price_per_segment = 0.01
[[staff_alerts]]
email = "noc@example.net"
[safety]
approve_above = {approve}
[database]
url = "{database}"
"""
LONG = timedelta(seconds=90)


@dataclass
class Sockets:
    """Where mails and texts would go: both listen, and count who comes."""

    smtp: int
    http: int
    came: int = 0


@pytest.fixture
async def sockets() -> AsyncIterator[Sockets]:
    found = Sockets(smtp=0, http=0)

    async def come(_reader: Any, writer: asyncio.StreamWriter) -> None:
        found.came += 1
        writer.close()

    servers = [await asyncio.start_server(come, "127.0.0.1", 0) for _ in range(2)]
    found.smtp, found.http = (server.sockets[0].getsockname()[1] for server in servers)
    yield found
    for server in servers:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def house(folder: Path, sockets: Sockets, *, approve: int = 0) -> AsyncIterator[tuple[Core, Rehearsals]]:
    built = await build(folder)
    await built.db.close()
    config = parse_config(
        SETTINGS.format(smtp=sockets.smtp, http=sockets.http, approve=approve, database=url("outagecast.db", folder)),
        name="config.toml", folder=folder, environ={},
    )  # fmt: skip
    async with open_core(config, clock=Clock()) as core:
        names = iter(range(1000))
        rehearsals = Rehearsals(core.house, core.words, new_id=lambda: f"r{next(names)}", price=(0.01, "USD"))
        yield core, rehearsals
        await rehearsals.close()


async def rehearse(rehearsals: Rehearsals, what: Any, script: str = "") -> Rehearsed:
    found = await rehearsals.start(what, read_script(script), actor=ANN)
    assert await rehearsals.wait(found, LONG)
    assert found.failed == ""
    assert found.answer is not None
    return found.answer


async def counts(core: Core) -> dict[str, int]:
    """Every table's rows."""
    async with core.db.read() as conn:
        return {
            table.name: (await conn.execute(select(func.count()).select_from(table))).scalar_one()
            for table in metadata.sorted_tables
        }


def files(folder: Path) -> set[str]:
    """What lies in the folder; of the place for everybody's temporary files only what is ours."""
    ours = Path(tempfile.gettempdir()).glob(f"rehearsal-{os.getpid()}-*")
    return {path.name for path in (*folder.iterdir(), *ours)}


async def test_a_whole_outage_with_nothing_stored_and_nothing_sent(tmp_path: Path, sockets: Sockets) -> None:
    async with house(tmp_path, sockets) as (core, rehearsals):
        before, there = await counts(core), files(tmp_path)
        script = "+20m eta +1h We have found the cause.\n+1h eta +1h\n+100m resolve It is repaired."
        played = await rehearse(rehearsals, declaration("POP-A"), script)
        assert await counts(core) == before
        assert files(tmp_path) == there
    assert sockets.came == 0

    verbs = [(wave.word.verb, wave.word.at - START) for wave in played.waves]
    wait = timedelta(seconds=30)  # undo_for, as on the desk
    assert verbs == [
        ("declare", wait),
        ("update", 20 * MINUTE + wait),
        ("update", 60 * MINUTE + wait),
        ("resolve", 100 * MINUTE + wait),
    ]
    assert played.waves[0].planned == {"acknowledgement": {"email": 2, "sms": 1}}
    assert played.waves[0].unsent == {"no_address": 1}
    assert played.waves[1].planned == {"eta": {"email": 2, "sms": 1}}
    assert played.waves[3].planned == {"resolution": {"email": 2, "sms": 1}}
    assert (played.judged.kept, played.judged.broken, played.judged.slips) == (3, 0, 1)
    assert [eta.error for eta in played.judged.etas] == [20 * MINUTE + wait, -20 * MINUTE + wait]
    assert played.stopped == ""
    assert played.unreached == 1
    texts = next(each for each in played.judged.channels if each.channel == "sms")
    assert texts.cost is not None and texts.segments is not None
    assert texts.left == 4
    assert texts.cost.amount == pytest.approx(texts.segments / 100)
    assert len(played.samples) == 3
    assert {sample.channel for sample in played.samples} == {"email", "sms"}
    assert all("Line A" in sample.text for sample in played.samples)
    assert [sample.kind for sample in played.reader] == ["acknowledgement", "eta", "eta", "resolution"]


async def test_if_the_desk_says_nothing_it_shows_what_the_daemon_would(tmp_path: Path, sockets: Sockets) -> None:
    async with house(tmp_path, sockets) as (_, rehearsals):
        played = await rehearse(rehearsals, declaration("POP-B"))
    words = [wave.word for wave in played.waves]
    assert [word.verb for word in words[:6]] == ["declare", *["holding"] * 5]
    assert all(later.at - earlier.at <= 60 * MINUTE for earlier, later in pairwise(words[:5]))
    assert played.judged.broken == 0
    assert [what for _, what in played.asked][:5] == ["promise", "promise", "promise", "promise", "promise"]
    assert "escalation" in {what for _, what in played.asked}
    assert "still open" in played.stopped


async def test_a_rate_too_low_shows_when_the_last_phone_rings(tmp_path: Path, sockets: Sockets) -> None:
    async with house(tmp_path, sockets) as (_, rehearsals):
        played = await rehearse(rehearsals, declaration("POP-C"), "+30m resolve")
    # Seven mails at two a second.
    first = played.waves[0].word
    assert first.left == 7
    assert first.took is not None
    assert timedelta(seconds=3) <= first.took <= timedelta(seconds=8)
    assert played.last_phone == first.took


async def test_what_a_brake_would_hold_says_so_and_is_played_on(tmp_path: Path, sockets: Sockets) -> None:
    async with house(tmp_path, sockets, approve=5) as (core, rehearsals):
        played = await rehearse(rehearsals, declaration("POP-C"), "+30m resolve")
        assert (await counts(core))["outages"] == 0
    assert played.held_because == "approve_above"
    assert played.waves[0].word.left == 7


async def test_open_outages_are_reckoned_with_and_left_alone(tmp_path: Path, sockets: Sockets) -> None:
    """POP-A is down already: AB is touched by both, and nobody hears twice."""
    async with house(tmp_path, sockets) as (core, rehearsals):
        await core.operations.declare(declaration("POP-A"), actor=ANN)
        await core.operations.pause("the mail server moves", actor=ANN)
        before = await counts(core)
        played = await rehearse(rehearsals, declaration("POP-B"), "+30m resolve")
        assert await counts(core) == before
    assert played.waves[0].unsent == {"covered": 1}
    assert played.waves[0].planned == {"acknowledgement": {"email": 1, "sms": 1}}


async def test_a_step_that_cannot_be_done_is_named(tmp_path: Path, sockets: Sockets) -> None:
    async with house(tmp_path, sockets) as (_, rehearsals):
        steps = read_script("+10m restore POP-E\n+30m resolve")
        scope = (ScopeEntry(kind="element", id="POP-E", effect=Effect.OUTAGE),)
        steps = tuple(replace(step, scope=scope) if step.act is Act.RESTORE else step for step in steps)
        found = await rehearsals.start(declaration("POP-D"), steps, actor=ANN)
        assert await rehearsals.wait(found, LONG)
        assert found.failed == ""
        assert found.answer is not None
        assert [wave.word.verb for wave in found.answer.waves][-1] == "resolve"
        with pytest.raises(Invalid):
            await rehearsals.start(declaration("POP-NOWHERE"), (), actor=ANN)
        with pytest.raises(NotFound):
            rehearsals.get("never")


async def test_one_at_a_time_and_it_can_be_stopped(tmp_path: Path, sockets: Sockets) -> None:
    async with house(tmp_path, sockets) as (_, rehearsals):
        found = await rehearsals.start(declaration("POP-B"), (), actor=ANN)
        with pytest.raises(Conflict):
            await rehearsals.start(declaration("POP-B"), (), actor=ANN)
        await rehearsals.close()
        assert found.done.is_set()
        assert found.answer is None
        assert found.failed == "it was stopped"
        assert not [name for name in files(tmp_path) if name.startswith("rehearsal-")]


@pytest.mark.databases("sqlite")
async def test_the_copy_is_ours_alone_and_goes_whatever_happens(tmp_path: Path) -> None:
    built = await build(tmp_path)
    await built.operations.declare(declaration("POP-A"), actor=ANN)
    path = tmp_path / "outagecast.db"
    dead = tmp_path / "rehearsal-99999999-old"
    dead.mkdir()
    shares: list[float] = []
    with pytest.raises(RuntimeError), private_copy(path, shares.append) as copy:
        assert copy.stat().st_mode & 0o077 == 0
        assert copy.parent.stat().st_mode & 0o077 == 0
        await built.operations.resolve("OUT-2026-0001", Ending(), actor=ANN)
        raise RuntimeError
    assert shares[-1] == 1.0
    assert not [name for name in files(tmp_path) if name.startswith("rehearsal-")]
    with pytest.raises(DatabaseRefused, match="up to 0 MB can be copied"), private_copy(path, shares.append, largest=9):
        pass
    await built.db.close()


@pytest.mark.databases("postgresql")
async def test_what_a_server_holds_is_written_into_a_file_of_ours_alone(tmp_path: Path) -> None:
    built = await build(tmp_path)
    await built.operations.declare(declaration("POP-A"), actor=ANN)
    async with built.db.read() as conn:
        assert await size_on_server(conn) > 1_000_000
    said: list[str] = []
    with pytest.raises(RuntimeError), private_place(tmp_path, 10) as copy:
        assert copy.stat().st_mode & 0o077 == 0
        assert copy.parent.stat().st_mode & 0o077 == 0
        await fill(copy, url("outagecast.db", tmp_path), said.append)
        there = Database.open(f"sqlite:///{copy}")
        async with built.db.read() as here_conn, there.read() as there_conn:
            for table in (tables.deliveries, tables.timeline, tables.contacts):
                query = select(table.c[0], table.c[1])
                here = [tuple(row) for row in await here_conn.execute(query)]
                copied = [tuple(row) for row in await there_conn.execute(query)]
                assert sorted(here) == sorted(copied) != []
        await there.close()
        raise RuntimeError
    assert any(line.startswith("copying the database: deliveries, ") for line in said)
    assert not [name for name in files(tmp_path) if name.startswith("rehearsal-")]
    with pytest.raises(DatabaseRefused, match="up to 0 MB can be copied"), private_place(tmp_path, 10, largest=9):
        pass
    await built.db.close()


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("20m eta +2h", "is no step"),
        ("+20m shout", "is no step"),
        ("+20m eta 14:30", "from then on"),
        ("+20 say hello", "has no unit"),
        ("+20m say", "say what"),
        ("+20m restore", "restore what"),
        ("+9d resolve", "later than 3 days"),
        ("+1h resolve\n+2h say more", "after it was resolved"),
    ],
)
def test_a_wrong_script_names_the_line(line: str, wrong: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_script(f"\n{line}")
    assert wrong in caught.value.errors[0].message


def test_a_script_is_read_in_the_order_of_its_times() -> None:
    steps = read_script("+2h resolve\n+30m say A crew is on its way.\n+45m eta none\n+1h eta +90m Longer.")
    assert [(step.act, step.after) for step in steps] == [
        (Act.SAY, 30 * MINUTE),
        (Act.ETA, 45 * MINUTE),
        (Act.ETA, 60 * MINUTE),
        (Act.RESOLVE, 120 * MINUTE),
    ]
    assert (steps[1].eta_in, steps[2].eta_in, steps[2].message) == (None, 90 * MINUTE, "Longer.")
