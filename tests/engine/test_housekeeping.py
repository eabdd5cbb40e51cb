"""What was kept long enough goes, by class; one person's data go on request; states, counts and `verify` stay true."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from outagecast.domain.errors import Conflict, Invalid, NotFound
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import DAEMON, Actor, ActorKind, Change, Ending, Role
from outagecast.domain.suppression import SuppressReason
from outagecast.domain.timeline import Happened
from outagecast.engine.erasure import Erasure
from outagecast.engine.housekeeping import EVERY, Housekeeping
from outagecast.engine.inventory import Inventory
from outagecast.engine.retention_settings import RetentionSettings
from outagecast.engine.seals import Seals
from outagecast.engine.verify import verify
from outagecast.storage import claims, erasure, outages, tables
from outagecast.storage.erasure import pseudonym
from outagecast.storage.scrubbing import scrub
from tests.support import healthy
from tests.support.healthy import ANN, Built
from tests.support.lived import again

DAY = timedelta(days=1)
D, A = tables.deliveries.c, tables.addresses.c
CLERK = Actor(kind=ActorKind.CLI, name="clerk", role=Role.ADMIN)
BEE, BEES_PHONE = "bee@example.org", "+18595550103"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, database_kind: str) -> tuple[Path, datetime]:
    folder = tmp_path_factory.mktemp("healthy")
    return folder, healthy.make(folder)


@pytest.fixture
async def lived(tmp_path: Path, made: tuple[Path, datetime]) -> AsyncIterator[Built]:
    """Everything has happened once: outages are open, over, retracted; `verify` finds nothing."""
    async with again(tmp_path, made) as found:
        async with found.db.write() as conn:
            await outages.put_meta(conn, "secret", "ab" * 32)
        yield found


def keeper(built: Built, **periods: timedelta) -> Housekeeping:
    return Housekeeping(built.house, RetentionSettings(**periods), eraser(built))


def eraser(built: Built) -> Erasure:
    return Erasure(built.db, clock=built.clock, changes=built.house.changes, region="US")


async def rows(built: Built, query: Any) -> list[Any]:
    async with built.db.read() as conn:
        return list((await conn.execute(query)).all())


async def counted(built: Built) -> Counter[tuple[Any, ...]]:
    """What reports count: deliveries by outage, revision, kind, channel and state."""
    return Counter(tuple(r) for r in await rows(built, select(D.outage_id, D.revision, D.kind, D.channel, D.state)))


async def open_and_over(built: Built) -> tuple[set[str], set[str]]:
    found = await rows(built, select(tables.outages.c.id, tables.outages.c.status))
    over = {row.id for row in found if row.status in outages.ENDED_WORDS}
    return {row.id for row in found} - over, over


# --- retention ---


async def test_words_of_outages_long_over_go_and_those_of_open_ones_stay(lived: Built) -> None:
    alive, over = await open_and_over(lived)
    then, before = lived.clock.now, await counted(lived)
    worded = {row.id for row in await rows(lived, select(D.id).where(D.outage_id.in_(alive), D.facts.is_not(None)))}
    for outage in (*alive, *over):
        async with lived.db.write() as conn:
            await outages.record(
                conn, at=then, what=Happened.NOTE, actor=ANN, outage_id=outage, text=f"ask at {outage}"
            )
    lived.clock.pass_(394 * DAY)
    assert (await keeper(lived).tidy())["words"] == 0
    lived.clock.pass_(2 * DAY)
    done = await keeper(lived).tidy()
    gone = await rows(lived, select(tables.deliveries).where(D.outage_id.in_(over)))
    assert done["words"] == len(gone) > 5
    assert {(row.to, row.detail) for row in gone} == {("", None)}
    assert all(row.facts in (None, {"combined": True}) for row in gone)
    kept = {row.id for row in await rows(lived, select(D.id).where(D.outage_id.in_(alive), D.facts.is_not(None)))}
    assert kept == worded
    assert await rows(lived, select(D.id).where(D.outage_id.in_(alive), D.to != ""))
    texts = {row.text for row in await rows(lived, select(tables.texts.c.text).where(tables.texts.c.text != ""))}
    assert {f"ask at {outage}" for outage in alive} <= texts
    assert not {f"ask at {outage}" for outage in over} & texts
    assert await counted(lived) == before, "counts and states stay"
    assert await verify(lived.db, now=then) == []
    assert (await keeper(lived).tidy())["words"] == 0, "what was done is not done again"
    [line] = await rows(lived, select(tables.timeline).where(tables.timeline.c.what == "tidied"))
    assert line.data == {"words": len(gone)}


async def test_a_combined_message_is_still_known_as_one(lived: Built) -> None:
    """`verify` must go on to see that an end without an acknowledgement was both in one."""
    _, over = await open_and_over(lived)
    some = select(func.max(D.id)).where(D.outage_id.in_(over), D.facts.is_not(None)).scalar_subquery()
    async with lived.db.write() as conn:
        found = (await conn.execute(select(D.id, D.facts).where(D.id == some))).one()
        facts = found.facts | {"combined": True}
        await conn.execute(update(tables.deliveries).where(D.id == found.id).values(facts=facts))
        await erasure.forget_words(conn, [found.id], lived.clock.now)
    [row] = await rows(lived, select(D.facts).where(D.id == found.id))
    assert row.facts == {"combined": True}


async def test_what_monitors_said_goes_after_a_month_unless_its_outage_is_open(lived: Built) -> None:
    now = lived.clock.now
    alive, over = await open_and_over(lived)
    said: list[tuple[str, str, timedelta, str | None]] = [
        ("of an open outage", "firing", 40 * DAY, min(alive)),
        ("of one that is over", "cleared", 40 * DAY, min(over)),
        ("of nothing", "cleared", 40 * DAY, None),
        ("of today", "cleared", timedelta(0), None),
    ]
    async with lived.db.write() as conn:
        for key, state, ago, outage in said:
            at = now - ago
            event = {"monitor": "m", "dedup_key": key, "received_at": at, "scope": [], "raw": "{}", "summary": key}
            await conn.execute(insert(tables.events).values(**event))
            alarm = {"monitor": "m", "dedup_key": key, "state": state, "since_at": at, "changed_at": at, "scope": []}
            await conn.execute(insert(tables.alarms).values(**alarm, outage_id=outage))
    assert (await keeper(lived).tidy())["events"] == 2
    left = {"of an open outage", "of today"}
    assert {row.summary for row in await rows(lived, select(tables.events.c.summary))} == left
    assert {row.dedup_key for row in await rows(lived, select(tables.alarms.c.dedup_key))} == left


async def test_contacts_go_a_while_after_they_ended(lived: Built) -> None:
    keep = keeper(lived, words=4000 * DAY)
    async with lived.db.write() as conn:
        ended = tables.customers.c.id.in_(["C1", "C2", "B1"])
        await conn.execute(update(tables.customers).where(ended).values(status="ended"))
    assert (await keep.tidy())["contacts"] == 0, "the first look only notes since when"
    lived.clock.pass_(60 * DAY)
    async with lived.db.write() as conn:
        back = tables.customers.c.id == "C2"
        await conn.execute(update(tables.customers).where(back).values(status="active"))
    await keep.tidy()
    lived.clock.pass_(31 * DAY)
    assert (await keep.tidy())["contacts"] == 1
    contacts = {row.id: row for row in await rows(lived, select(tables.contacts))}
    gone = contacts["K-C1"]
    assert (gone.name, gone.email_id, gone.status) == ("", None, "ended")
    assert contacts["K-C2"].name == "Contact C2", "who came back is not waited for any more"
    assert contacts["K-B1"].name == "Contact B1", "an open outage has to do with that one"
    values = {row.value for row in await rows(lived, select(A.value))}
    assert "c1@example.org" not in values
    assert {"c2@example.org", BEE} <= values
    assert await rows(lived, select(D.id).where(D.to == "c1@example.org")), "what was said has a time of its own"


async def test_sign_ins_and_keys_that_are_over_go(lived: Built) -> None:
    now = lived.clock.now
    alive, over = await open_and_over(lived)
    async with lived.db.write() as conn:
        staff = {"id": 1, "name": "ann", "created_at": now}
        await conn.execute(insert(tables.staff).values(**staff))
        for name, seen, ended in (("old", 40, None), ("ended", 50, 35), ("live", 1, None)):
            at = {"created_at": now - 60 * DAY, "seen_at": now - seen * DAY}
            end = None if ended is None else now - ended * DAY
            await conn.execute(insert(tables.sessions).values(id_hash=name, staff_id=1, ended_at=end, **at))
        for name, outage in (("over", min(over)), ("open", min(alive))):
            values = {"actor": "ci", "key": name, "body_hash": "", "outage_id": outage}
            await conn.execute(insert(tables.idempotency).values(created_at=now - 40 * DAY, **values))
        for name, expires in (("past", now - 40 * DAY), ("valid", now + DAY)):
            key = insert(tables.one_time_keys).values(hash=name, created_at=now - 50 * DAY, expires_at=expires)
            await conn.execute(key)
    done = await keeper(lived).tidy()
    assert (done["sessions"], done["links"], done["keys"]) == (2, 1, 1)
    assert [row.id_hash for row in await rows(lived, select(tables.sessions.c.id_hash))] == ["live"]
    assert [row.key for row in await rows(lived, select(tables.idempotency.c.key))] == ["open"]
    assert [row.hash for row in await rows(lived, select(tables.one_time_keys.c.hash))] == ["valid"]


async def test_the_house_is_kept_once_a_day_whoever_asks(lived: Built) -> None:
    async def add_old() -> None:
        async with lived.db.write() as conn:
            at = lived.clock.now - 40 * DAY
            values = {"monitor": "m", "dedup_key": "k", "received_at": at, "scope": []}
            await conn.execute(insert(tables.events).values(**values))

    async def events() -> int:
        return len(await rows(lived, select(tables.events.c.id)))

    await add_old()
    await keeper(lived).look()
    assert await events() == 0
    await add_old()
    lived.clock.pass_(EVERY - timedelta(minutes=1))
    await keeper(lived).look()
    assert await events() == 1
    lived.clock.pass_(timedelta(minutes=1))
    await keeper(lived).look()
    assert await events() == 0


# --- one person ---


async def write_everywhere(built: Built) -> None:
    """Bee's address and number wherever a text may hold them, as people and mail servers write them."""
    alive, _ = await open_and_over(built)
    outage, now = min(alive), built.clock.now
    async with built.db.write() as conn:
        await conn.execute(update(tables.contacts).where(tables.contacts.c.id == "K-B1").values(name="Bea Bee"))
        await conn.execute(
            update(tables.contacts).where(tables.contacts.c.id == "K-B1").values(attributes={"login": BEE.upper()})
        )
        note = f"Called BEA  BEE at (859) 555-0103, writes from {BEE.upper()}; not ann{BEE}, not {BEE}.au"
        await outages.record(conn, at=now, what=Happened.NOTE, actor=ANN, outage_id=outage, text=note)
        # As a mail server's answer gets into the timeline.
        detail = {"detail": f"550 5.1.1 <{BEE}> no such user"}
        await outages.record(conn, at=now, what=Happened.FAILED, actor=DAEMON, outage_id=outage, data=detail)
        raw = json.dumps({"who": "bea bee", "phone": "859.555.0103", "mail": BEE})
        event = {"monitor": "m", "dedup_key": BEE, "received_at": now, "scope": [], "raw": raw, "summary": "Bea Bee"}
        await conn.execute(insert(tables.events).values(**event))
        mine = select(D.id).where(D.to == BEE)
        refused = f"451 <{BEE}>: try later"
        await conn.execute(
            update(tables.attempts).where(tables.attempts.c.delivery_id.in_(mine)).values(detail=refused)
        )
        staff = {"audience": "staff", "kind": "failure", "state": "cancelled", "reason": "gave_up", "address_id": -9}
        number = (await conn.execute(select(func.max(D.id) + 1))).scalar_one()
        await conn.execute(
            insert(tables.deliveries).values(
                id=number,
                outage_id=outage,
                episode=1,
                revision=1,
                channel="email",
                to=BEE,
                due_at=now,
                created_at=now,
                **staff,
            )
        )
    await Seals(built.db, built.clock).seal()


async def bytes_of(built: Built) -> bytes:
    """All that the database holds: SQLite's file and what lies beside it, or every row of every table."""
    path = built.db.path
    if path is not None:
        return b"".join(found.read_bytes() for found in sorted(path.parent.glob(f"{path.name}*")))
    found = [repr(tuple(row)) for table in tables.metadata.sorted_tables for row in await rows(built, select(table))]
    return "\n".join(found).encode()


async def test_an_erased_person_is_nowhere_in_the_database(lived: Built) -> None:
    await write_everywhere(lived)
    before, then = await counted(lived), lived.clock.now
    assert await verify(lived.db, now=then) == []
    done = await eraser(lived).erase_contact("K-B1", actor=CLERK)
    assert (done.contacts, done.addresses, done.shared, done.staff) == (1, 2, 0, ())
    assert done.deliveries > 3
    assert lived.db.path is None or await scrub(lived.db.path)
    whole = (await bytes_of(lived)).lower()
    others = (b"ann" + BEE.encode(), BEE.encode() + b".au")
    for other in others:
        assert other in whole, "an address that ends or begins alike is somebody else's"
        whole = whole.replace(other, b"")
    for trace in (BEE, BEES_PHONE, "555-0103", "555.0103", "bea bee", "bea  bee", "3010555958"):
        assert trace.encode() not in whole, trace
    assert await counted(lived) == before, "counts and states stay"
    assert await verify(lived.db, now=then) == []
    [line] = await rows(lived, select(tables.timeline).where(tables.timeline.c.what == "erased"))
    assert line.data["addresses"] == 2
    lost = select(tables.timeline_seals.c.through_id)
    assert await rows(lived, lost) == [], "the rewritten line was sealed: from it on all are sealed anew"
    await Seals(lived.db, lived.clock).seal()
    assert await verify(lived.db, now=then) == []
    with pytest.raises(Exception, match="only ever added to"):
        async with lived.db.write() as conn:
            await conn.execute(update(tables.timeline).values(why="forged"))


async def test_nothing_more_goes_to_an_erased_address(lived: Built) -> None:
    """An open outage leads it: its end goes to everybody who was told, but not there."""
    alive, _ = await open_and_over(lived)
    await eraser(lived).erase_address(BEE, actor=CLERK)
    second = min(alive - {"OUT-2026-0001"})
    await lived.operations.update(second, Change(message="Nearly done."), actor=ANN)
    await lived.operations.resolve(second, Ending(), actor=ANN)
    while await lived.waves.advance():
        pass
    sent = await lived.post.send()
    assert sent, "others hear it"
    assert all(row.to and not row.to.startswith("erased") for row in sent)
    [address] = await rows(lived, select(tables.addresses).where(A.value.like("erased-%")))
    assert (address.suppressed, address.suppressed_by) == ("by_staff", "erased"), "whatever still leads it"
    assert await verify(lived.db, now=lived.clock.now) == []


async def test_what_waits_to_leave_is_called_off_and_what_is_leaving_is_waited_for(lived: Built) -> None:
    found = await rows(lived, select(D.to, D.state).where(D.state.in_(["planned", "leased", "transmitting"])))
    by_state = {row.state: row.to for row in found}
    for state in ("leased", "transmitting"):
        with pytest.raises(Conflict, match="is being sent at this moment"):
            await eraser(lived).erase_address(by_state[state], actor=CLERK)
    waiting = await rows(lived, select(D.id).where(D.to == by_state["planned"], D.state == "planned"))
    await eraser(lived).erase_address(by_state["planned"], actor=CLERK)
    [row] = await rows(lived, select(D.state, D.reason, D.to).where(D.id == waiting[0].id))
    assert tuple(row) == ("suppressed", "contact_removed", "")


async def test_an_unknown_fate_is_given_up_on_with_its_words(lived: Built) -> None:
    async with lived.db.write() as conn:
        leased = await claims.claim(
            conn, channel=ChannelName.EMAIL, owner="x", now=lived.clock.now, until=lived.clock.now + DAY, count=1
        )
    [(row, mark)] = await lived.post.mark(list(leased))
    await lived.post._finish(row, mark, healthy.S.AMBIGUOUS)
    await eraser(lived).erase_address(row.to, actor=CLERK)
    [now] = await rows(lived, select(D.state, D.reason).where(D.id == row.id))
    assert tuple(now) == ("failed", "gave_up")
    assert await verify(lived.db, now=lived.clock.now) == []


async def test_an_address_that_others_have_too_stays(lived: Built) -> None:
    done = await eraser(lived).erase_contact("K-A1", actor=CLERK)
    assert (done.contacts, done.addresses, done.shared) == (1, 1, 1)
    values = {row.value for row in await rows(lived, select(A.value))}
    assert "one@example.org" in values, "contact K-A2 has it as well"
    assert "+18595550101" not in values
    [contact] = await rows(lived, select(tables.contacts).where(tables.contacts.c.id == "K-A2"))
    assert (contact.name, contact.email_id is None) == ("Contact A2", False)


async def test_an_address_goes_from_all_who_have_it_and_who_has_another_stays(lived: Built) -> None:
    done = await eraser(lived).erase_address(" One@Example.org ", actor=CLERK)
    assert (done.contacts, done.addresses) == (1, 1)
    contacts = {row.id: row for row in await rows(lived, select(tables.contacts))}
    assert (contacts["K-A1"].name, contacts["K-A1"].email_id) == ("Contact A1", None)
    assert contacts["K-A1"].phone_id is not None
    assert (contacts["K-A2"].name, contacts["K-A2"].status) == ("", "ended")
    assert await verify(lived.db, now=lived.clock.now) == []


@pytest.mark.parametrize(
    ("erase", "error"),
    [
        (lambda e: e.erase_contact("nobody", actor=CLERK), NotFound),
        (lambda e: e.erase_address("nobody@example.org", actor=CLERK), NotFound),
        (lambda e: e.erase_address("not an address", actor=CLERK), Invalid),
    ],
)
async def test_what_is_not_there_is_said(lived: Built, erase: Callable[[Erasure], Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        await erase(eraser(lived))


async def test_a_key_that_is_an_address_stays_a_key(lived: Built) -> None:
    """Some billing systems number their contacts and customers by mail address."""
    async with lived.db.write() as conn:
        values = {"id": "lee@example.org", "name": "Lee Lee"}
        await conn.execute(insert(tables.customers).values(**values))
        await conn.execute(insert(tables.addresses).values(id=800, channel="email", value="lee@example.org"))
        contact = {"id": "lee@example.org", "customer_id": "lee@example.org", "name": "Lee Lee", "email_id": 800}
        await conn.execute(insert(tables.contacts).values(**contact))
        circuit = {"id": "CIR-LEE", "customer_id": "lee@example.org"}
        await conn.execute(insert(tables.circuits).values(**circuit))
    await eraser(lived).erase_address("lee@example.org", actor=CLERK)
    joined = select(tables.circuits.c.customer_id, tables.contacts.c.id, tables.customers.c.id).where(
        tables.circuits.c.id == "CIR-LEE",
        tables.contacts.c.customer_id == tables.circuits.c.customer_id,
        tables.customers.c.id == tables.circuits.c.customer_id,
    )
    assert [tuple(row) for row in await rows(lived, joined)] == [(pseudonym(800),) * 3]


# --- known again ---


def contacts_file(folder: Path, mail: str, phone: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    text = f"id,customer_id,name,email,phone\nK-NEW,C1,Somebody,{mail},{phone}\nK-NEW2,C1,Another,other@example.org,\n"
    (folder / "contacts.csv").write_text(text)
    return folder


async def imported(built: Built, folder: Path) -> None:
    await Inventory(built.db, clock=built.clock, region="US").import_files([folder], actor=CLERK)


async def against(built: Built, value: str) -> str | None:
    [row] = await rows(built, select(A.suppressed).where(A.value == value))
    return str(row.suppressed) if row.suppressed else None


async def test_an_opt_out_outlives_the_address(lived: Built, tmp_path: Path) -> None:
    """B1's phone has answered STOP (tests/support/healthy.py)."""
    assert await against(lived, BEES_PHONE) == "opted_out"
    done = await eraser(lived).erase_contact("K-B1", actor=CLERK)
    assert done.suppressions == 1
    [kept] = await rows(lived, select(tables.kept_suppressions))
    assert (kept.reason, len(kept.hash)) == ("opted_out", 64)
    await imported(lived, contacts_file(tmp_path / "again", BEE.upper(), "859 555 0103"))
    assert await against(lived, BEES_PHONE) == "opted_out"
    assert await against(lived, BEE) is None, "nothing stood against that one"
    assert await against(lived, "other@example.org") is None
    assert await rows(lived, select(tables.kept_suppressions)) == [], "it stands at the address again"


async def test_put_knows_it_again_too(lived: Built) -> None:
    await eraser(lived).erase_address(BEE, actor=CLERK, never_again=True)
    body = {"customer_id": "C1", "name": "Bea", "addresses": [{"channel": "email", "to": BEE, "state": "active"}]}
    await Inventory(lived.db, clock=lived.clock, region="US").put("contact", "K-BEE", body, actor=CLERK)
    assert await against(lived, BEE) == SuppressReason.BY_STAFF.value


async def test_the_hash_means_nothing_to_another_database(lived: Built, tmp_path: Path) -> None:
    await eraser(lived).erase_address(BEE, actor=CLERK, never_again=True)
    async with lived.db.write() as conn:
        await outages.put_meta(conn, "secret", "cd" * 32)
    await imported(lived, contacts_file(tmp_path / "again", BEE))
    assert await against(lived, BEE) is None
