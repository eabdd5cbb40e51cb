"""What is asked all the time reads the few rows that it is about, not the whole outbox."""

from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from outagecast.storage import claims, deliveries, owners
from outagecast.storage.due import what_is_due
from outagecast.storage.engine import Connection, Database
from tests.support.databases import opened
from tests.support.inventory_files import NOW

pytestmark = pytest.mark.databases("sqlite")
ASKED = {
    "heartbeat": lambda conn: claims.renew(conn, "us", NOW + timedelta(minutes=2)),
    "abandoned": lambda conn: claims.abandoned(conn, now=NOW, alive="us"),
    "freed": lambda conn: claims.release_leases(conn, now=NOW, alive="us", gone=("them",)),
    "orphans": lambda conn: claims.orphans(conn, now=NOW, alive="us", gone=("them",)),
    "unknown": lambda conn: deliveries.ambiguous_ones(conn),
    "in hand": lambda conn: owners.with_rows_in_hand(conn, "us"),
}
WAITING = {
    "due": lambda conn: what_is_due(conn, NOW),
    "stale": lambda conn: claims.stale(conn, NOW),
    "expired": lambda conn: claims.expire(conn, NOW),
}


@pytest.mark.parametrize("what", ASKED)
async def test_it_reads_the_rows_on_their_way_only(tmp_path: Path, what: str) -> None:
    db = opened("busy.db", tmp_path)
    await db.migrate()
    plan = await plan_of(db, ASKED[what])
    assert any("USING INDEX ix_deliveries_busy" in step for step in plan), plan
    await db.close()


@pytest.mark.parametrize("what", WAITING)
async def test_what_is_stale_is_found_by_its_time(tmp_path: Path, what: str) -> None:
    db = opened("stale.db", tmp_path)
    await db.migrate()
    plan = await plan_of(db, WAITING[what])
    assert any("USING INDEX ix_deliveries_expiry (expires_at<?)" in step for step in plan), plan
    await db.close()


async def plan_of(db: Database, ask: Callable[[Connection], Coroutine[Any, Any, Any]]) -> list[str]:
    said: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        said.append((statement, parameters))

    async def work(conn: Connection) -> list[str]:
        event.listen(db._in_threads, "before_cursor_execute", note)
        await ask(conn)
        event.remove(db._in_threads, "before_cursor_execute", note)
        [(statement, parameters)] = said
        return [row.detail for row in await conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]

    return await db.transact(work)
