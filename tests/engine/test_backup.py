"""Copies of a database in use, how an older one is known, and what becomes of its messages when a person decides."""

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from outagecast.domain.delivery import DeliveryState, Receipt, ReceiptState
from outagecast.domain.errors import Conflict, Invalid
from outagecast.engine.backup import Choice, Found, HoldGauge, RestoreHold, back_up, choice_of
from outagecast.engine.verify import verify
from outagecast.storage import backup, deliveries, tables
from outagecast.storage.backup import Beside
from outagecast.storage.engine import Database
from tests.support import healthy
from tests.support.healthy import ANN, BEA, MINUTE, Built
from tests.support.lived import again

D = tables.deliveries.c
S = DeliveryState


@pytest.fixture
async def built(tmp_path: Path) -> AsyncIterator[Built]:
    made = await healthy.build(tmp_path)
    yield made
    await made.db.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, database_kind: str) -> tuple[Path, datetime]:
    folder = tmp_path_factory.mktemp("healthy")
    return folder, healthy.make(folder)


@pytest.fixture
async def lived(tmp_path: Path, made: tuple[Path, datetime]) -> AsyncIterator[Built]:
    """Everything has happened once; of the last outage one message is leased, one is being written, two are due."""
    async with again(tmp_path, made) as found:
        yield found


def hold_of(built: Built, name: str = "this") -> RestoreHold:
    return RestoreHold(built.house, built.operations, built.waves, new_name=lambda: name)


async def states(built: Built, **wanted: Any) -> Counter[str]:
    query = select(D.state, func.count()).group_by(D.state)
    for column, value in wanted.items():
        query = query.where(D[column] == value)
    async with built.db.read() as conn:
        return Counter({state: count for state, count in await conn.execute(query)})


async def last_outage(built: Built) -> str:
    async with built.db.read() as conn:
        return str((await conn.execute(select(func.max(tables.outages.c.id)))).scalar_one())


# --- what becomes of the messages ---


async def test_what_counts_as_said_is_on_record_and_never_leaves(lived: Built) -> None:
    hold, outage = hold_of(lived), await last_outage(lived)
    before = await states(lived, outage_id=outage)
    assert before == {"leased": 1, "transmitting": 1, "planned": 2}
    lived.clock.pass_(MINUTE)
    held = await hold.hold(actor=BEA)
    assert held.undecided == 4
    assert held.reason.endswith("; 4 messages planned before it may have been sent already")
    lived.clock.pass_(MINUTE)
    released = await hold.release(Choice.SAID, actor=BEA, reason="the mail server's log has them")
    assert released.decided == 4
    assert await states(lived, outage_id=outage) == {"accepted": 4}
    assert await lived.post.send() == []
    assert await verify(lived.db, now=lived.clock()) == []
    async with lived.db.read() as conn:
        again = select(tables.attempts).join(tables.deliveries, D.id == tables.attempts.c.delivery_id)
        attempts = (await conn.execute(again.where(D.outage_id == outage))).all()
        lines = select(tables.timeline.c.what, tables.timeline.c.why, tables.timeline.c.actor)
        told = (await conn.execute(lines.order_by(tables.timeline.c.id.desc()).limit(1))).one()
    assert {(a.outcome, bool(a.ambiguous), a.receipt) for a in attempts} == {("ambiguous", True, "accepted")}
    assert tuple(told) == ("restore_released", "said", "bea")


async def test_what_was_not_due_when_the_old_one_was_found_is_sent_in_its_time(lived: Built) -> None:
    later = lived.clock.now + 60 * MINUTE
    async with lived.db.write() as conn:
        mine = select(func.max(D.id)).where(D.state == S.PLANNED.value).scalar_subquery()
        await conn.execute(update(tables.deliveries).where(D.id == mine).values(due_at=later))
    hold = hold_of(lived)
    lived.clock.pass_(MINUTE)
    assert (await hold.hold(actor=BEA)).undecided == 3
    lived.clock.pass_(90 * MINUTE)
    await hold.release(Choice.SAID, actor=BEA)
    assert (await states(lived))["planned"] == 1, "quiet hours that ended during the hold: nobody had sent it"


async def test_the_rest_of_a_wave_and_a_step_that_waited_count_as_said_too(built: Built) -> None:
    wave = (await built.operations.declare(healthy.declaration("POP-C"), actor=ANN)).outage_id
    await built.operations.release(wave, actor=BEA)
    await built.waves.advance()
    waiting = (await built.operations.declare(healthy.declaration("POP-E"), actor=ANN, undo_for=MINUTE)).outage_id
    built.clock.pass_(2 * MINUTE)
    hold = hold_of(built)
    assert (await hold.hold(actor=BEA)).undecided == 7, "addresses without a row count too"
    built.clock.pass_(MINUTE)
    await built.operations.take_due()  # as the daemon's tick does while it is held
    released = await hold.release(Choice.SAID, actor=BEA)
    assert released.decided == 7 + 4
    assert await states(built, outage_id=wave) == {"accepted": 7}
    assert await states(built, outage_id=waiting) == {"accepted": 4}
    assert await verify(built.db, now=built.clock()) == []


async def test_what_is_declared_during_the_hold_is_sent(built: Built) -> None:
    hold = hold_of(built)
    await hold.hold(actor=BEA)
    built.clock.pass_(MINUTE)
    fresh = (await built.operations.declare(healthy.declaration("POP-E"), actor=ANN)).outage_id
    assert (await hold.release(Choice.SAID, actor=BEA)).decided == 0
    assert await states(built, outage_id=fresh) == {"planned": 4}


async def test_an_unknown_fate_is_not_tried_again_and_a_late_receipt_still_counts(lived: Built) -> None:
    hold, outage = hold_of(lived), await last_outage(lived)
    lived.clock.pass_(MINUTE)
    await hold.hold(actor=BEA)
    async with lived.db.read() as conn:
        query = select(tables.attempts.c.key, tables.attempts.c.delivery_id).join(
            tables.deliveries, D.id == tables.attempts.c.delivery_id
        )
        key, delivery = (await conn.execute(query.where(D.outage_id == outage, D.state == S.TRANSMITTING.value))).one()
    await hold.release(Choice.SAID, actor=BEA)
    async with lived.db.read() as conn:
        assert (await deliveries.get(conn, delivery)).state == "accepted"  # type: ignore[union-attr]
    assert await lived.receipts.record(Receipt(key=key, provider_id=None, state=ReceiptState.DELIVERED, code=""))
    async with lived.db.read() as conn:
        assert (await deliveries.get(conn, delivery)).state == "delivered"  # type: ignore[union-attr]
    assert await verify(lived.db, now=lived.clock()) == []


async def test_what_is_to_be_sent_stays_as_it_was(lived: Built) -> None:
    hold, outage = hold_of(lived), await last_outage(lived)
    lived.clock.pass_(MINUTE)
    await hold.hold(actor=BEA)
    assert (await hold.release(Choice.SEND, actor=BEA)).decided == 4
    assert await states(lived, outage_id=outage) == {"ambiguous": 1, "planned": 3}
    await lived.post.send()
    assert await states(lived, outage_id=outage) == {"ambiguous": 1, "accepted": 3}
    with pytest.raises(Conflict, match="not held"):
        await hold.release(Choice.SAID, actor=BEA)


@pytest.mark.databases("sqlite")
def test_only_two_words_are_a_choice() -> None:
    assert (choice_of("said"), choice_of("send")) == (Choice.SAID, Choice.SEND)
    with pytest.raises(Invalid, match="they count as sent"):
        choice_of("burn")


# --- how an older database is known ---


def epoch_file(built: Built) -> Path:
    assert built.db.path is not None
    return built.db.path.with_name("outagecast.db.epoch")


@pytest.mark.databases("sqlite")
async def test_a_database_that_goes_on_is_no_restore(lived: Built) -> None:
    hold = hold_of(lived)
    assert await hold.at_start() is None, "it comes from a time before there was such a file"
    first = json.loads(epoch_file(lived).read_text())
    await hold.beat(1)
    await hold.beat(1)
    assert json.loads(epoch_file(lived).read_text()) == {"instance": "this", "epoch": first["epoch"] + 1}
    assert await hold_of(lived, "another name").at_start() is None
    assert json.loads(epoch_file(lived).read_text()) == {"instance": "this", "epoch": first["epoch"] + 2}


@pytest.mark.databases("sqlite")
async def test_a_database_that_is_behind_its_file_is_held(lived: Built) -> None:
    hold = hold_of(lived)
    await hold.at_start()
    epoch_file(lived).write_text(json.dumps({"instance": "this", "epoch": 900}))
    held = await hold.at_start()
    assert held is not None
    assert held.found is Found.OLDER
    assert held.as_of is not None
    assert f"ends at {held.as_of:%Y-%m-%d %H:%M} UTC" in held.reason
    assert json.loads(epoch_file(lived).read_text())["epoch"] == 901, "from now on this one is the present one"
    lived.clock.pass_(MINUTE)
    again = await hold.at_start()
    assert again is not None
    assert again.found_at == held.found_at, "a second start finds what the first found"


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("text", ['{"instance": "the other", "epoch": 1}', "", "[]", '{"instance": 1}'])
async def test_another_databases_file_holds_too(lived: Built, text: str) -> None:
    hold = hold_of(lived)
    await hold.at_start()
    epoch_file(lived).write_text(text)
    held = await hold.at_start()
    assert held is not None
    assert held.found is Found.OTHER


@pytest.mark.databases("sqlite")
async def test_a_new_database_beside_an_old_file_has_nothing_to_say_twice(built: Built) -> None:
    epoch_file(built).write_text('{"instance": "the one before", "epoch": 70}')
    assert await hold_of(built).at_start() is None
    assert json.loads(epoch_file(built).read_text()) == {"instance": "this", "epoch": 71}


@pytest.mark.databases("sqlite")
async def test_a_copy_is_known_wherever_it_is_started(lived: Built, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copied = await back_up(
        lived.db, elsewhere / "outagecast.db", now=lived.clock.now, progress=lambda done, total: None
    )
    assert copied.size == (elsewhere / "outagecast.db").stat().st_size
    assert await hold_of(lived).at_start() is None, "the source is no copy"
    db = Database.open("sqlite:///outagecast.db", folder=elsewhere)
    there = Built(**{n: getattr(lived, n) for n in Built.__dataclass_fields__} | {"db": db, "house": _moved(lived, db)})
    taken_at = lived.clock.now
    lived.clock.pass_(5 * MINUTE)
    hold = hold_of(there)
    held = await hold.at_start()
    assert held is not None
    assert (held.found, held.as_of, held.undecided) == (Found.BACKUP, taken_at, 4)
    assert held.reason.startswith(f"restored from the backup of {taken_at:%Y-%m-%d %H:%M} UTC; 4 messages")
    values = {metric.name: metric.samples[0].value for metric in HoldGauge(hold).collect()}
    assert values == {"outagecast_restore_hold": 1, "outagecast_restore_undecided": 4}
    await hold.release(Choice.SEND, actor=BEA)
    assert await hold.at_start() is None
    await db.close()


def _moved(built: Built, db: Database) -> Any:
    return type(built.house)(**{n: getattr(built.house, n) for n in built.house.__dataclass_fields__} | {"db": db})


def test_the_file_beside_never_says_less_than_before(tmp_path: Path) -> None:
    database = tmp_path / "d.db"
    backup.put_beside(database, Beside(instance="a", epoch=7))
    backup.put_beside(database, Beside(instance="a", epoch=5))
    assert backup.beside(database) == Beside(instance="a", epoch=7)
    backup.put_beside(database, Beside(instance="b", epoch=1))
    assert backup.beside(database) == Beside(instance="b", epoch=1)
    assert [path.name for path in tmp_path.iterdir()] == ["d.db.epoch"]


# --- the copy ---


@pytest.mark.databases("sqlite")
async def test_a_copy_is_of_one_moment_while_others_write(lived: Built, tmp_path: Path) -> None:
    """Each transaction adds two texts: a copy with an odd number would be of no moment that ever was."""
    written, stop = 0, asyncio.Event()

    async def write() -> None:
        nonlocal written
        while not stop.is_set():
            async with lived.db.write() as conn:
                await conn.execute(insert(tables.texts), [{"text": f"{n}" * 500} for n in range(2)])
            written += 2

    async with lived.db.read() as conn:
        before = (await conn.execute(select(func.count()).select_from(tables.texts))).scalar_one()
    writer = asyncio.create_task(write())
    seen: list[tuple[int, int]] = []
    for n in range(5):
        target = tmp_path / f"{n}.copy"
        await back_up(lived.db, target, now=lived.clock.now, progress=lambda done, total: seen.append((done, total)))
        with closing(sqlite3.connect(target)) as copy:
            assert (copy.execute("SELECT count(*) FROM texts").fetchone()[0] - before) % 2 == 0
    stop.set()
    await writer
    assert written > 0, "the writer was never held up"
    assert all(total > 0 for _, total in seen)


@pytest.mark.databases("sqlite")
async def test_what_a_copy_that_was_killed_left_behind_does_no_harm(lived: Built, tmp_path: Path) -> None:
    (tmp_path / "copy.part").write_bytes(b"half a database")
    await back_up(lived.db, tmp_path / "copy", now=lived.clock.now, progress=lambda done, total: None)
    assert not (tmp_path / "copy.part").exists()
    with closing(sqlite3.connect(tmp_path / "copy")) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.databases("sqlite")
async def test_a_database_in_use_is_never_replaced(lived: Built, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as conn:
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute("CREATE TABLE t (x)")
        with pytest.raises(Conflict, match="is a database in use"):
            await back_up(lived.db, other, replace=True, now=lived.clock.now, progress=lambda done, total: None)


@pytest.mark.databases("sqlite")
async def test_erased_bytes_are_not_carried_into_a_copy(lived: Built, tmp_path: Path) -> None:
    async with lived.db.write() as conn:
        await conn.exec_driver_sql("PRAGMA secure_delete = OFF")
        await conn.execute(insert(tables.texts).values(id=9_999, text="a secret canary" * 100))
    async with lived.db.write() as conn:
        await conn.exec_driver_sql("PRAGMA secure_delete = OFF")
        await conn.execute(tables.texts.delete().where(tables.texts.c.id == 9_999))
    await back_up(lived.db, tmp_path / "copy", now=lived.clock.now, progress=lambda done, total: None)
    assert b"a secret canary" not in (tmp_path / "copy").read_bytes()
