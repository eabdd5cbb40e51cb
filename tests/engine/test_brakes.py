"""Above `approve_above`: who may release, what has to be typed, and what is written down of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from outagecast.domain.errors import Conflict, Forbidden, Invalid
from outagecast.domain.levels import Effect
from outagecast.domain.outage import Actor, ActorKind, Change, Ending, OutageStatus, Role, ScopeEntry
from outagecast.engine.settings import SafetySettings
from outagecast.engine.verify import verify
from tests.support.healthy import ANN, BEA, MINUTE, Built, build, declaration

CAL = Actor(kind=ActorKind.STAFF, name="cal", role=Role.APPROVER)
SEVEN = "POP-C"
"""Seven customers hang on it; five may be told by one person alone."""


@pytest.fixture
async def built(tmp_path: Path) -> AsyncIterator[Built]:
    found = await build(tmp_path, wave_limit=1000)
    yield found
    await found.db.close()


@pytest.fixture
async def typing(tmp_path: Path) -> AsyncIterator[Built]:
    safety = SafetySettings(approve_above=5, approve_by="typed_number")
    found = await build(tmp_path, wave_limit=1000, safety=safety)
    yield found
    await found.db.close()


async def told(built: Built) -> int:
    async with built.db.read() as conn:
        return int((await conn.execute(text("SELECT count(*) FROM deliveries"))).scalar_one())


async def released(built: Built) -> list[Any]:
    async with built.db.read() as conn:
        return list((await conn.execute(text("SELECT actor, why FROM timeline WHERE what = 'released'"))).all())


async def test_by_a_second_person_neither_the_declarer_nor_an_operator_releases(built: Built) -> None:
    draft = (await built.operations.declare(declaration(SEVEN), actor=BEA)).outage_id
    check = await built.operations.release_check(draft, actor=BEA)
    assert check is not None
    assert (check.customers, check.held_because, check.verb, check.refusal) == (
        7,
        "approve_above",
        "declare",
        "second_person",
    )
    with pytest.raises(Forbidden, match="a second person releases it"):
        await built.operations.release(draft, actor=BEA, customers=7)
    with pytest.raises(Forbidden, match="approver's role"):
        await built.operations.release(draft, actor=ANN, customers=7)
    assert await told(built) == 0
    away = await built.operations.release(draft, actor=CAL)
    assert away.state == "effective"
    assert await released(built) == [("cal", "")]
    assert await verify(built.db, now=built.clock()) == []


async def test_whoever_widened_a_draft_is_not_its_second_person(built: Built) -> None:
    """Else an approver could turn a colleague's small draft into a large one, and let it go alone."""
    draft = (await built.operations.declare(declaration("POP-A", release=False), actor=ANN)).outage_id
    wider = Change(scope_add=(ScopeEntry(kind="element", id=SEVEN, effect=Effect.OUTAGE),))
    await built.operations.update(draft, wider, actor=BEA)
    with pytest.raises(Forbidden, match="a second person releases it"):
        await built.operations.release(draft, actor=BEA)
    check = await built.operations.release_check(draft, actor=CAL)
    assert check is not None
    assert (check.refusal, check.customers > 5) == ("", True)
    await built.operations.release(draft, actor=CAL)


async def test_a_release_has_its_way_back(built: Built) -> None:
    draft = (await built.operations.declare(declaration(SEVEN), actor=ANN)).outage_id
    away = await built.operations.release(draft, actor=BEA, undo_for=MINUTE)
    assert away.state == "pending"
    assert await told(built) == 0
    back = await built.operations.undo(draft, actor=ANN, revision=away.revision)
    assert back.status == OutageStatus.DRAFT
    again = await built.operations.release_check(draft, actor=ANN)
    assert again is not None
    assert again.refusal == "needs_approver", "what was taken back waits for its second person again"
    assert await told(built) == 0


async def test_only_the_step_that_was_seen_is_undone(built: Built) -> None:
    outage = (await built.operations.declare(declaration("POP-A"), actor=ANN)).outage_id
    mine = await built.operations.update(outage, Change(message="Mine."), actor=ANN, undo_for=MINUTE)
    his = await built.operations.update(outage, Change(message="His."), actor=BEA, undo_for=MINUTE)
    with pytest.raises(Conflict, match="a colleague has said something since"):
        await built.operations.undo(outage, actor=ANN, revision=mine.revision)
    await built.operations.undo(outage, actor=BEA, revision=his.revision)
    await built.operations.undo(outage, actor=ANN, revision=mine.revision)


async def test_by_a_typed_number_the_same_person_releases_with_the_right_one_only(typing: Built) -> None:
    draft = (await typing.operations.declare(declaration(SEVEN), actor=ANN)).outage_id
    check = await typing.operations.release_check(draft, actor=ANN)
    assert check is not None
    assert (check.refusal, check.customers) == ("type_number", 7)
    with pytest.raises(Invalid, match="7 customers: above 5 that number has to be typed"):
        await typing.operations.release(draft, actor=ANN)
    with pytest.raises(Invalid, match="6 was typed, and it reaches 7 now"):
        await typing.operations.release(draft, actor=ANN, customers=6)
    assert await told(typing) == 0
    await typing.operations.release(draft, actor=ANN, customers=7)
    assert await told(typing) > 0
    assert await released(typing) == [("ann", "typed_number")]
    assert await verify(typing.db, now=typing.clock()) == [], "the invariant knows this way too"


async def test_a_number_that_is_no_longer_true_releases_nothing(typing: Built) -> None:
    draft = (await typing.operations.declare(declaration("POP-A", release=False), actor=ANN)).outage_id
    seen = await typing.operations.release_check(draft, actor=ANN)
    assert seen is not None
    wider = Change(scope_add=(ScopeEntry(kind="element", id=SEVEN, effect=Effect.OUTAGE),))
    await typing.operations.update(draft, wider, actor=BEA)
    with pytest.raises(Invalid, match="look at it again"):
        await typing.operations.release(draft, actor=ANN, customers=seen.customers)
    assert await told(typing) == 0


async def test_the_end_of_an_outage_never_waits_for_a_second_look(typing: Built) -> None:
    draft = (await typing.operations.declare(declaration(SEVEN), actor=ANN)).outage_id
    await typing.operations.release(draft, actor=ANN, customers=7)
    await typing.operations.propose_end(draft, Ending(), actor=BEA)
    check = await typing.operations.release_check(draft, actor=ANN)
    assert check is not None
    assert (check.verb, check.refusal) == ("resolve", "")
    assert (await typing.operations.release(draft, actor=ANN)).status == "resolved"
    assert await typing.operations.release_check(draft, actor=ANN) is None
