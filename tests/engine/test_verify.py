"""A healthy database gives no finding; one planted fault gives exactly the finding of its check."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from outagecast.domain.levels import Level
from outagecast.domain.message import ChannelName
from outagecast.domain.recipients import Wishes
from outagecast.engine.verify import CHECKS, Finding, verify
from tests.support import healthy
from tests.support.databases import copied, opened

DAY = timedelta(days=1)
O1, O2, O3, O7 = (f"OUT-2026-000{n}" for n in (1, 2, 3, 7))
"""Reopened; open, leads what the first one covers; restored in parts and ended; its messages are on their way."""


def row(outage: str, revision: int, to: str) -> str:
    """The number of one delivery to a customer, as SQL."""
    return (
        f"(SELECT id FROM deliveries WHERE outage_id = '{outage}' AND revision = {revision} AND \"to\" = '{to}'"
        " AND audience = 'customer')"
    )


def began(outage: str, revision: int, to: str) -> str:
    return f"delivery_id = {row(outage, revision, to)}"


COPIED = (
    'outage_id, episode, revision, kind, audience, channel, address_id, "to", customer_id, contact_id, state, reason,'
    " due_at, created_at, ended_at, facts"
)
SHOUTED = COPIED.replace("address_id", "999").replace('"to"', 'upper("to")')
"""The same to another address row, written otherwise."""
SENT = row(O2, 2, "bee@example.org")
"""Accepted at the first try."""
ONE_EAR = "address_id = (SELECT id FROM addresses WHERE value = 'eve@example.org')"
BOTH = "address_id = (SELECT id FROM addresses WHERE value = 'both@example.org')"

FAULTS: list[tuple[str, tuple[str, ...]]] = [
    ("said_again", (f"UPDATE revisions SET verb = 'redeliver' WHERE outage_id = '{O1}' AND number = 2",)),
    ("reason", ("UPDATE deliveries SET reason = NULL WHERE reason = 'opted_out'",)),
    (
        "left_over",
        (f"UPDATE deliveries SET state = 'planned', expires_at = NULL WHERE id = {row(O1, 2, 'one@example.org')}",),
    ),
    (
        "twice",
        (
            "INSERT INTO attempts (key, delivery_id, number, started_at, outcome)"
            f" SELECT 'again', id, 2, due_at, 'accepted' FROM deliveries WHERE id = {SENT}",
            f"UPDATE deliveries SET attempt = 2, fence = 2 WHERE id = {SENT}",
        ),
    ),
    ("counters", (f"UPDATE deliveries SET attempt = 2, fence = 2 WHERE id = {SENT}",)),
    ("counters", (f"UPDATE attempts SET number = 2 WHERE {began(O2, 2, 'bee@example.org')}",)),
    (
        "one_address",
        (
            f"INSERT INTO deliveries (id, {COPIED}) SELECT (SELECT max(id) + 1 FROM deliveries), {SHOUTED}"
            f" FROM deliveries WHERE id = {row(O1, 2, 'one@example.org')}",
            "INSERT INTO notices SELECT id, customer_id FROM deliveries WHERE address_id = 999",
        ),
    ),
    (
        "acknowledged_first",
        (
            f"UPDATE attempts SET outcome = 'rejected' WHERE {began(O2, 1, 'bee@example.org')}",
            f"UPDATE deliveries SET state = 'failed', reason = 'rejected' WHERE id = {row(O2, 1, 'bee@example.org')}",
        ),
    ),
    (
        "after_the_end",
        (
            "UPDATE attempts SET started_at = (SELECT effective_at + 60000000 FROM revisions"
            f" WHERE outage_id = '{O1}' AND number = 4) WHERE {began(O1, 3, 'both@example.org')}",
        ),
    ),
    (
        "stale",
        (
            f"UPDATE attempts SET started_at = (SELECT created_at + 60000000 FROM deliveries"
            f" WHERE id = {row(O2, 5, 'bee@example.org')}) WHERE {began(O2, 4, 'bee@example.org')}",
            f"UPDATE deliveries SET expires_at = NULL WHERE id = {row(O2, 4, 'bee@example.org')}",
        ),
    ),
    ("states", ("UPDATE deliveries SET state = 'lost' WHERE reason = 'opted_out'",)),
    ("receipts", (f"UPDATE deliveries SET state = 'delivered' WHERE id = {SENT}",)),
    ("receipts", (f"UPDATE deliveries SET state = 'undelivered', reason = 'undelivered' WHERE id = {SENT}",)),
    ("receipts", (f"UPDATE attempts SET outcome = 'deferred' WHERE {began(O2, 5, 'bee@example.org')}",)),
    ("receipts", (f"UPDATE attempts SET receipt = 'delivered', receipt_at = 0 WHERE delivery_id = {SENT}",)),
    ("suppressed", ("UPDATE addresses SET suppressed_at = suppressed_at - 1800000000 WHERE suppressed IS NOT NULL",)),
    ("affected", (f"INSERT INTO notices VALUES ({SENT}, 'E2')",)),
    ("notices", (f"DELETE FROM notices WHERE delivery_id = {SENT}",)),
    ("too_early", (f"UPDATE deliveries SET due_at = due_at + 3600000000 WHERE id = {SENT}",)),
    ("too_early", (f"UPDATE deliveries SET created_at = created_at + 60000000 WHERE id = {SENT}",)),
    ("too_late", (f"UPDATE deliveries SET expires_at = created_at - 1 WHERE id = {SENT}",)),
    ("leases", ("UPDATE deliveries SET lease_owner = 'gone' WHERE state = 'planned'",)),
    ("leases", ("UPDATE deliveries SET lease_until = NULL WHERE state = 'leased'",)),
    ("leases", (f"UPDATE deliveries SET fence = 0 WHERE id = {SENT}",)),
    (
        "on_record",
        (
            "DELETE FROM attempts WHERE delivery_id IN (SELECT id FROM deliveries WHERE state = 'transmitting')",
            "UPDATE deliveries SET attempt = 0 WHERE state = 'transmitting'",
        ),
    ),
    ("orphaned_attempts", ("INSERT INTO attempts (key, delivery_id, number, started_at) VALUES ('x', 99999, 1, 0)",)),
    ("stuck", ("UPDATE deliveries SET lease_until = lease_until - 3600000000 WHERE state = 'transmitting'",)),
    ("unknown_on_record", ("DELETE FROM timeline WHERE what = 'ambiguous'",)),
    ("frozen", (f"UPDATE revisions SET facts = NULL WHERE outage_id = '{O3}' AND number = 2",)),
    ("frozen", (f"UPDATE revisions SET state = 'pending' WHERE outage_id = '{O2}' AND number = 2",)),
    (
        "acknowledgement",
        (
            f"DELETE FROM notices WHERE delivery_id = {row(O1, 5, 'both@example.org')}",
            f"DELETE FROM deliveries WHERE id = {row(O1, 5, 'both@example.org')}",
        ),
    ),
    ("nobody_told", (f"DELETE FROM leads WHERE {ONE_EAR}",)),
    (
        "unreachable",
        (
            "DELETE FROM notices WHERE delivery_id IN (SELECT id FROM deliveries WHERE reason = 'no_address')",
            "DELETE FROM deliveries WHERE reason = 'no_address'",
        ),
    ),
    ("external_ref", (f"UPDATE outages SET external_ref = 'INC-9' WHERE id = '{O2}'",)),
    ("two_leaders", (f"UPDATE leads SET role = 'leads' WHERE outage_id = '{O1}' AND episode = 2 AND {BOTH}",)),
    ("leads_ended", (f"UPDATE leads SET role = 'leads' WHERE outage_id = '{O3}' AND customer_id = 'C7'",)),
    ("episodes", (f"UPDATE deliveries SET episode = 1 WHERE id = {row(O1, 6, 'one@example.org')}",)),
    ("episode_count", (f"UPDATE outages SET episode = 2 WHERE id = '{O3}'",)),
    ("second_person", ("UPDATE timeline SET actor = 'ann' WHERE what = 'released'",)),
    ("second_person", ("UPDATE revisions SET state = 'effective' WHERE held_because = 'approve_above'",)),
    ("on_the_timeline", (f"DELETE FROM timeline WHERE outage_id = '{O3}' AND revision = 3",)),
    ("on_the_timeline", ("UPDATE revisions SET change = '{}' WHERE verb = 'pass_lead'",)),
    ("numbers", (f"UPDATE outages SET revision = revision + 1 WHERE id = '{O3}'",)),
    ("promise", (f"UPDATE outages SET look_again_at = NULL WHERE id = '{O7}'",)),
    ("promise", (f"UPDATE outages SET next_update_by = NULL WHERE id = '{O7}'",)),
    ("impact_times", (f"UPDATE impacts SET to_at = from_at - 1 WHERE outage_id = '{O3}' AND customer_id = 'C7'",)),
    (
        "impact_times",
        (
            "INSERT INTO impacts (outage_id, episode, thing_kind, thing_id, customer_id, level, from_at)"
            f" SELECT outage_id, episode, thing_kind, thing_id, customer_id, level, from_at + 1 FROM impacts"
            f" WHERE outage_id = '{O7}' AND customer_id = 'E1'",
        ),
    ),
    (
        "impact_outage",
        ("UPDATE impacts SET to_at = NULL WHERE outage_id = 'OUT-2026-0003' AND customer_id = 'C7'",),
    ),
    (
        "impact_outage",
        (
            "INSERT INTO impacts (outage_id, episode, thing_kind, thing_id, customer_id, level, from_at, to_at)"
            " VALUES ('OUT-2026-0999', 1, 'circuit', 'CIR-E1', 'E1', 3, 1, 2)",
        ),
    ),
    ("waves", ("INSERT INTO wave_addresses SELECT id, 1 FROM waves",)),
    (
        "ended",
        (f"UPDATE outages SET status = 'monitoring', look_again_at = 1, next_update_by = 1 WHERE id = '{O3}'",),
    ),
]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, database_kind: str) -> tuple[Path, datetime]:
    """A healthy database's folder, and the time it is in it."""
    folder = tmp_path_factory.mktemp("healthy")
    return folder, healthy.make(folder)


async def test_a_healthy_database_gives_no_finding(lived: tuple[Path, datetime]) -> None:
    assert await findings(lived[0], lived[1]) == []


async def test_a_database_without_outages_gives_no_finding(tmp_path: Path) -> None:
    built = await healthy.build(tmp_path)
    assert await verify(built.db, now=built.clock()) == []
    await built.db.close()


async def test_what_an_empty_cell_means_is_the_house_s_own(lived: tuple[Path, datetime]) -> None:
    """Where nobody asked for texts by default, texts that were not planned are not missed."""
    database = opened("outagecast.db", lived[0])
    nobody = Wishes(notify=frozenset(), channels=frozenset(ChannelName), quiet_hours=None, wake_for=frozenset())
    assert await verify(database, now=lived[1], default_wishes=lambda tier: nobody) == []
    everybody = Wishes(notify=frozenset(Level), channels=frozenset(), quiet_hours=None, wake_for=frozenset())
    mails = [ChannelName.EMAIL]
    assert await verify(database, now=lived[1], channels=mails, default_wishes=lambda tier: everybody) == []
    await database.close()


@pytest.mark.parametrize(("name", "statements"), FAULTS, ids=[f"{n}-{name}" for n, (name, _) in enumerate(FAULTS)])
async def test_a_planted_fault_is_found(
    lived: tuple[Path, datetime], tmp_path: Path, name: str, statements: tuple[str, ...]
) -> None:
    made, now = lived
    copied("outagecast.db", made, tmp_path)
    await plant(tmp_path, statements)
    found = await findings(tmp_path, now)
    wanted = next(check for check in CHECKS if check.name == name)
    assert [(f.invariant, f.message) for f in found] == [(wanted.invariant, wanted.message)]
    assert 1 <= len(found[0].examples) <= found[0].count
    assert all(found[0].examples)


async def test_an_attempt_within_the_slack_is_no_finding(lived: tuple[Path, datetime], tmp_path: Path) -> None:
    """Two transactions may read their clocks in another order than they commit."""
    made, now = lived
    copied("outagecast.db", made, tmp_path)
    end = f"SELECT effective_at + 5000000 FROM revisions WHERE outage_id = '{O1}' AND number = 4"
    await plant(tmp_path, (f"UPDATE attempts SET started_at = ({end}) WHERE {began(O1, 3, 'both@example.org')}",))
    assert await findings(tmp_path, now) == []
    assert len(await findings(tmp_path, now, slack=timedelta(0))) == 1


async def test_examples_are_few_and_the_count_is_whole(lived: tuple[Path, datetime], tmp_path: Path) -> None:
    made, now = lived
    copied("outagecast.db", made, tmp_path)
    await plant(tmp_path, ("UPDATE deliveries SET lease_owner = 'gone' WHERE state = 'accepted'",))
    (found,) = await findings(tmp_path, now)
    database = opened("outagecast.db", tmp_path)
    async with database.read() as conn:
        query = text("SELECT count(*) FROM deliveries WHERE state = 'accepted'")
        accepted = (await conn.execute(query)).scalar_one()
    await database.close()
    assert found.count == accepted > 5
    assert len(found.examples) == 5


def test_every_check_has_its_planted_fault() -> None:
    assert {name for name, _ in FAULTS} == {check.name for check in CHECKS}
    assert len({check.message for check in CHECKS}) == len({check.name for check in CHECKS}) == len(CHECKS)


async def test_a_day_later_only_what_was_on_the_wire_is_amiss(lived: tuple[Path, datetime], tmp_path: Path) -> None:
    """With the daemon stopped nothing else becomes a finding by itself."""
    made, now = lived
    copied("outagecast.db", made, tmp_path)
    assert [f.invariant for f in await findings(tmp_path, now + DAY)] == ["I24"]


async def findings(folder: Path, now: datetime, **more: timedelta) -> list[Finding]:
    database = opened("outagecast.db", folder)
    try:
        return await verify(database, now=now, **more)  # type: ignore[arg-type]
    finally:
        await database.close()


async def plant(folder: Path, statements: tuple[str, ...]) -> None:
    """Each statement must change something: a fault that is not there finds nothing.

    Whoever has the file, or the tables, can take their guards out as well.
    """
    database = opened("outagecast.db", folder)
    async with database.write() as conn:
        for what in ("update", "delete"):
            await conn.execute(
                text(f"DROP TRIGGER timeline_no_{what}{' ON timeline' if database.is_postgresql else ''}")
            )
        for statement in statements:
            assert (await conn.execute(text(statement))).rowcount > 0, statement
    await database.close()
