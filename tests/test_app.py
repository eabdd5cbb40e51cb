"""What the whole program runs on."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvloop

from outagecast.app import jumping, on_a_loop

WITHOUT = """
import sys
sys.modules["uvloop"] = None  # as if it were not installed
import asyncio
from outagecast.app import on_a_loop
async def main():
    return type(asyncio.get_running_loop()).__module__
print(on_a_loop(main()))
"""


async def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_it_runs_on_uvloop_where_that_is_installed() -> None:
    assert isinstance(on_a_loop(_loop()), uvloop.Loop)


def test_it_runs_without_uvloop_as_well() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("asyncio.")


def test_a_clock_of_the_fault_tests_jumps_as_its_file_says(tmp_path: Path) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    file = tmp_path / "clock"
    file.write_text("-3600")
    clock = jumping(lambda: noon, {"OUTAGECAST_CLOCK": str(file)})
    assert clock() == noon - timedelta(hours=1)
    file.write_text("10.5")
    assert clock() == noon + timedelta(seconds=10.5)
    assert jumping(lambda: noon, {})() == noon
