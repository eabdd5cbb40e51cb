"""Staff's word on one address: what waits does not leave, what was lifted hears with the next word."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outagecast.domain.errors import Conflict, Invalid, NotFound
from outagecast.domain.outage import Actor, ActorKind, Change, Role
from outagecast.engine.addresses import LONGEST_REASON, Addresses
from outagecast.storage import deliveries
from tests.support.tiny_provider import EMAIL, SMS, TinyProvider, mail_of, phone_of, tiny_provider

BEA = Actor(kind=ActorKind.STAFF, name="bea", role=Role.OPERATOR)


@pytest.fixture
async def tiny(tmp_path: Path) -> AsyncIterator[TinyProvider]:
    async with tiny_provider(tmp_path, 1) as provider:
        yield provider


@pytest.fixture
def verbs(tiny: TinyProvider) -> Addresses:
    return Addresses(tiny.db, clock=tiny.clock, changes=tiny.house.changes)


async def number(tiny: TinyProvider, channel: object, value: str) -> int:
    async with tiny.db.read() as conn:
        row = await deliveries.address_of(conn, channel, value)  # type: ignore[arg-type]
    assert row is not None
    return int(row.id)


async def test_what_waits_to_leave_does_not(tiny: TinyProvider, verbs: Addresses) -> None:
    await tiny.declare()
    found = await verbs.suppress(await number(tiny, SMS, phone_of(1)), " Wrong number ", actor=BEA)
    assert (found.to, found.against, found.against_by) == (phone_of(1), "by_staff", "bea")
    assert found.against_at == tiny.clock.now
    assert await tiny.states(SMS) == ["suppressed"]
    assert await tiny.states(EMAIL) == ["planned"], "the other address goes on"
    (line,) = await tiny.timeline("suppressed")
    assert (line.actor, line.why, line.data["address"]) == ("bea", "by_staff", found.id)
    with pytest.raises(Conflict, match="already: by staff"):
        await verbs.suppress(found.id, "again", actor=BEA)


async def test_who_is_written_to_again_hears_with_the_next_word(tiny: TinyProvider, verbs: Addresses) -> None:
    address = await number(tiny, SMS, phone_of(1))
    await verbs.suppress(address, "Wrong number", actor=BEA)
    outage_id = await tiny.declare()
    assert await tiny.states(SMS) == ["suppressed"]
    found = await verbs.unsuppress(address, "It is right after all", actor=BEA)
    assert (found.against, found.was_own_wish, found.carrier_may_refuse) == (None, False, False)
    assert await tiny.states(SMS) == ["suppressed"], "by itself it sends nothing"
    await tiny.operations.update(outage_id, Change(message="A crew is on its way."), actor=BEA)
    assert [(row.kind, row.state) for row in await tiny.rows(SMS)][1:] == [("acknowledgement", "planned")]
    with pytest.raises(Conflict, match="nothing stands against"):
        await verbs.unsuppress(address, "twice", actor=BEA)


@pytest.mark.parametrize(("channel", "value", "carrier"), [(SMS, phone_of(1), True), (EMAIL, mail_of(1), False)])
async def test_a_persons_own_wish_is_said_to_be_one(
    tiny: TinyProvider, verbs: Addresses, channel: object, value: str, carrier: bool
) -> None:
    address = await number(tiny, channel, value)
    if carrier:
        await tiny.receipts.stop(value, "stop", "sms")
    else:
        await tiny.receipts.unsubscribe(address, "one-click")
    with pytest.raises(Conflict, match="opted out"):
        await verbs.suppress(address, "He rang", actor=BEA)
    found = await verbs.unsuppress(address, "He rang and took it back", actor=BEA)
    assert (found.was_own_wish, found.carrier_may_refuse) == (True, carrier)
    (line,) = await tiny.timeline("unsuppressed")
    assert (line.actor, line.why, line.text_id is not None) == ("bea", "opted_out", True)


async def test_a_reason_is_asked_for_and_an_address_too(tiny: TinyProvider, verbs: Addresses) -> None:
    address = await number(tiny, EMAIL, mail_of(1))
    for reason, says in (("  ", "say why"), ("x" * (LONGEST_REASON + 1), "is longer than")):
        with pytest.raises(Invalid, match=says):
            await verbs.suppress(address, reason, actor=BEA)
        with pytest.raises(Invalid, match=says):
            await verbs.unsuppress(address, reason, actor=BEA)
    for verb in (verbs.suppress, verbs.unsuppress):
        with pytest.raises(NotFound):
            await verb(999, "who is that", actor=BEA)
    assert await tiny.timeline() == []


async def test_looking_over_a_shoulder_is_a_line_of_the_timeline(tiny: TinyProvider, verbs: Addresses) -> None:
    address = await number(tiny, EMAIL, mail_of(1))
    await verbs.look(address, actor=BEA)
    (line,) = await tiny.timeline("looked")
    assert (line.actor, line.data) == ("bea", {"address": address})
