"""What a tick does, and what it does not wait for."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from outagecast.app import Daemon, open_core
from outagecast.config import load_config
from outagecast.daemon import PLANNING
from outagecast.storage import tables

SETTINGS = """
[provider]
name = "Bluegrass Fiber"
public_url = "http://127.0.0.1:8080"
timezone = "America/New_York"
"""


@pytest.mark.databases("sqlite")
async def test_a_wave_without_end_leaves_the_other_duties_their_turn(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(SETTINGS)
    async with open_core(load_config(tmp_path / "config.toml", environ={})) as core:
        daemon = Daemon(core)
        told: list[str] = []

        async def advance() -> int:
            await asyncio.sleep(0.05)
            told.append("wave")
            return 1

        async def keep() -> int:
            told.append("promises")
            return 1

        core.waves.advance = advance  # type: ignore[method-assign]
        daemon.promises.keep = keep  # type: ignore[method-assign]
        now = datetime.now(UTC)
        async with core.db.write() as conn:
            await conn.execute(
                insert(tables.waves).values(outage_id="OUT-1", revision=1, context={}, total=1, created_at=now)
            )
            await conn.execute(
                insert(tables.outages).values(
                    id="OUT-1", number=1, title="Cut", status="investigating", scope=[], severity="major",
                    effect="outage", created_at=now, started_at=now, look_again_at=now - timedelta(seconds=1),
                )
            )  # fmt: skip
        async with asyncio.timeout(PLANNING + 5):
            await daemon._lead(may_send=True)
        assert told.count("wave") > 1
        assert told[-1] == "promises"
