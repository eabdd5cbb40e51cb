"""Who serves this database, on the desk's page of routes."""

from datetime import timedelta
from typing import Any

from outagecast.domain.outage import Role
from outagecast.engine.owners import Running
from tests.support.web_house import NOW, WebHouse
from tests.web.test_desk_board import page, words

MINUTE = timedelta(minutes=1)


def daemon(owner: str, **more: Any) -> Running:
    values: dict[str, Any] = {
        "owner": owner, "role": "all", "seat": "main", "host": "noc-1", "pid": 4711, "version": "0.1.0",
        "started_at": NOW - 90 * MINUTE, "seen_at": NOW, "state": "running", "leads": False,
    }  # fmt: skip
    return Running(**values | more)


async def test_who_runs_who_is_silent_and_who_is_missed(house: WebHouse) -> None:
    await house.sign_in(Role.VIEWER, "vic")
    house.daemons += [
        daemon("a", leads=True),
        daemon("b", role="sender", seat="sender-1", pid=4712),
        daemon("c", role="web", seat="", host="noc-2", state="silent", seen_at=NOW - 2 * MINUTE),
        daemon("d", role="sender", seat="", host="<b>noc-3</b>", state="lost", seen_at=NOW - 9 * MINUTE),
    ]
    text = await page(house, "/desk/routes")
    said = words(text)
    assert "noc-1 main, process 4711 ● Runs pages and sending, keeps the promises" in said
    assert "noc-1 sender-1, process 4712 ● Runs sending" in said
    assert "noc-2 process 4711 ◐ Is silent pages" in said
    assert "✕ Lost sending" in said
    assert "<b>noc-3" not in text, "a host may be called what it likes"


async def test_alone_in_memory_there_is_no_list(house: WebHouse) -> None:
    await house.sign_in()
    assert 'id="daemons"' not in await page(house, "/desk/routes")
