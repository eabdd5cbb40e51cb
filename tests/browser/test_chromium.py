"""Where there is a browser it is used: the walk must not be skipped for want of looking."""

import shutil
from pathlib import Path

from tests.browser.house import find_chromium


def test_a_chromium_that_is_there_is_found() -> None:
    usual = Path("/usr/bin/chromium").exists() or shutil.which("chromium") is not None
    found = find_chromium()
    assert found is not None or not usual
    assert found is None or Path(found).exists(), f"$OUTAGECAST_CHROMIUM names no program: {found}"
