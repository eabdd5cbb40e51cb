"""An acknowledgement that comes back from the wire after the next word was planned: whoever has heard nothing hears an
acknowledgement first (I7).
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from outagecast.domain.delivery import DeliveryState
from outagecast.domain.levels import Effect
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import Change, Ending, Restoration, ScopeEntry
from outagecast.engine.verify import verify
from tests.support.healthy import ANN, MINUTE, Built, build, declaration


@pytest.fixture
async def built(tmp_path: Path) -> AsyncIterator[Built]:
    made = await build(tmp_path, wave_limit=1000)
    yield made
    await made.db.close()


async def on_the_wire(built: Built) -> tuple[str, list[tuple[Any, Any]]]:
    """POP-A is declared down; every mail has been marked, none is answered."""
    outage = (await built.operations.declare(declaration("POP-A"), actor=ANN)).outage_id
    return outage, await built.post.mark(await built.post.claim(ChannelName.EMAIL))


async def put_off(built: Built, marked: list[tuple[Any, Any]]) -> None:
    for row, mark in marked:
        await built.post._finish(row, mark, DeliveryState.PLANNED)


async def mails(built: Built) -> list[Any]:
    built.clock.pass_(11 * MINUTE)
    sent = await built.post.send()
    assert await verify(built.db, now=built.clock.now) == []
    return [row for row in sent if row.channel == "email" and row.audience == "customer"]


async def test_the_next_word_becomes_the_acknowledgement(built: Built) -> None:
    outage, marked = await on_the_wire(built)
    await built.operations.update(outage, Change(eta=built.clock.now + 60 * MINUTE, message="At work."), actor=ANN)
    await put_off(built, marked)
    sent = await mails(built)
    assert {row.to for row in sent} == {row.to for row, _ in marked}
    assert {(row.kind, row.revision, row.facts["kind"], row.facts["first"]) for row in sent} == {
        ("acknowledgement", 2, "acknowledgement", True)
    }
    assert {row.facts["eta_state"] for row in sent} == {"set"}
    assert all("was" not in line for row in sent for line in row.facts["lines"])


async def test_only_who_has_heard_nothing(built: Built) -> None:
    outage, [first, *others] = await on_the_wire(built)
    await built.post._finish(*first, DeliveryState.ACCEPTED)
    await built.operations.update(outage, Change(eta=built.clock.now + 60 * MINUTE), actor=ANN)
    await put_off(built, others)
    kinds = {row.to: row.kind for row in await mails(built)}
    assert kinds == {row.to: "acknowledgement" for row, _ in others} | {first[0].to: "eta"}


async def test_the_end_tells_it_all_in_one(built: Built) -> None:
    outage, marked = await on_the_wire(built)
    await built.operations.resolve(outage, Ending(), actor=ANN)
    await put_off(built, marked)
    assert {(row.kind, row.facts["combined"]) for row in await mails(built)} == {("resolution", True)}


async def test_what_only_the_outdated_one_named_is_said_as_well(built: Built) -> None:
    outage, marked = await on_the_wire(built)
    names = {row.to: {line["id"] for line in row.facts["lines"]} for row, _ in marked}
    added = (ScopeEntry(kind="element", id="POP-B", effect=Effect.OUTAGE),)
    await built.operations.update(outage, Change(scope_add=added), actor=ANN)
    await put_off(built, marked)
    for row in await mails(built):
        if row.to in names:
            assert row.kind == "acknowledgement"
            assert names[row.to] <= {line["id"] for line in row.facts["lines"]}


async def test_back_before_it_was_told_needs_no_word(built: Built) -> None:
    """Restored while the acknowledgement was on the wire, which then came back: one message says both at the most."""
    outage, marked = await on_the_wire(built)
    line = marked[0][0].facts["lines"][0]["id"]
    back = Restoration(scope=(ScopeEntry(kind="circuit", id=line, effect=Effect.OUTAGE),))
    await built.operations.restore(outage, back, actor=ANN)
    await put_off(built, marked)
    sent = [row for row in await mails(built) if row.to == marked[0][0].to]
    assert len(sent) == 1
