"""Two whole daemons and a sender on one PostgreSQL: any takes declarations; each is killed, paused or cut off."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from outagecast.storage import moving
from outagecast.storage.engine import Database
from tests.acceptance import ground_truth
from tests.support import databases
from tests.support.daemon import until
from tests.support.fleet import Fleet, Member, fleet
from tests.support.kill_harness import DELIVERY, MAIL_DOMAIN, Template, fill_template

pytestmark = pytest.mark.databases("postgresql")
CONTACTS = 240
RATE = 60
LEASE = 4.0
CONFIG = {
    "delivery": {**DELIVERY, "lease": f"{LEASE:g}s"},
    "email": {"connections": 4, "rate_per_second": RATE},
    "sms": {"connections": 4, "rate_per_second": RATE},
}
DECLARATION = {"title": "POP-1 down", "scope": {"elements": ["POP-1"]}, "message": "We are looking into it."}
UNSETTLED = (
    "SELECT count(*) FROM deliveries WHERE state IN ('planned', 'leased', 'transmitting') "
    "OR (state = 'ambiguous' AND ambiguous < 2)"
)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[tuple[Fleet, Template, str]]:
    url = databases.url("several", tmp_path)
    template = fill_template(tmp_path, *inventory(CONTACTS), url=url)
    with fleet(tmp_path / "fleet", url, CONFIG) as made:
        yield made, template, url


def inventory(contacts: int) -> tuple[dict[str, str], list[str]]:
    numbers = range(1, contacts + 1)
    files = {
        "elements": "id,kind\nPOP-1,pop\n",
        "customers": "id,name\n" + "".join(f"C{n},Customer {n}\n" for n in numbers),
        "contacts": "id,customer_id,name,email,phone\n"
        + "".join(f"K{n},C{n},Contact {n},c{n}@example.org,+1859555{1000 + n}\n" for n in numbers),
        "circuits": "id,customer_id,label,depends_on\n" + "".join(f"L{n},C{n},Line {n},POP-1\n" for n in numbers),
    }
    return files, [f"c{n}@example.org" for n in numbers] + [f"+1859555{1000 + n}" for n in numbers]


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        return conn.execute(query.encode()).fetchall()


def arrived(house: Fleet) -> int:
    return len(house.sandbox.records("mail", "sms"))


def rest(url: str) -> None:
    until(lambda: ask(url, UNSETTLED) == [(0,)], "the outbox is at rest", within=60, every=0.2)


def verdict(house: Fleet, template: Template, url: str, name: str) -> ground_truth.Verdict:
    """The truth is read from a copy in a file: the checker knows nothing of PostgreSQL."""
    file = house.folder / f"{name}.db"
    asyncio.run(_copy(url, file))
    found = ground_truth.check(file, house.sandbox.records("mail", "sms"), domain=MAIL_DOMAIN, hearing=template.hearing)
    assert found.problems == []
    return found


async def _copy(url: str, file: Path) -> None:
    source, target = Database.open(url), Database.open(f"sqlite:///{file}")
    await target.migrate()
    await moving.copy(source, target, lambda table, done, total: None)
    await source.close()
    await target.close()


def owners_with_rows(url: str) -> set[str]:
    return {owner for (owner,) in ask(url, "SELECT DISTINCT lease_owner FROM deliveries WHERE lease_owner IS NOT NULL")}


def is_of(owner: str, member: Member) -> bool:
    return f":{member.pid}:" in owner


def leader(url: str) -> str:
    found = ask(url, "SELECT owner FROM daemons WHERE leads_at = (SELECT max(leads_at) FROM daemons)")
    return str(found[0][0])


def test_any_daemon_takes_a_declaration_and_the_death_of_who_ticks_is_no_matter(
    house: tuple[Fleet, Template, str],
) -> None:
    several, template, url = house
    one, two, sender = several.add("all").start(), several.add("all").start(), several.add("sender").start()
    assert is_of(leader(url), one)
    several.api(two, template.token).declare(**DECLARATION)  # type: ignore[arg-type]
    until(lambda: arrived(several) > CONTACTS // 3, "the wave has begun", within=30)
    assert len(owners_with_rows(url)) > 1, "each claims its share"
    one.kill()
    until(
        lambda: not any(is_of(owner, one) for owner in owners_with_rows(url)),
        "the dead one's rows are free",
        within=20,
    )
    outage = several.api(two, template.token).outages()[0]
    several.api(two, template.token).verb(outage["id"], "updates", message="A crew is on its way.", undo_for="1s")
    rest(url)
    until(lambda: is_of(leader(url), two), "the other one ticks", within=20)
    newest = "SELECT count(*) FROM deliveries WHERE revision = 2 AND state IN ('accepted', 'delivered')"
    until(lambda: ask(url, newest) == [(2 * CONTACTS,)], "what fell due later is said too", within=40, every=0.2)
    rest(url)
    found = verdict(several, template, url, "killed")
    assert found.ambiguous <= 8
    for member in (sender, two):
        assert member.stop() == 0


def test_a_paused_daemon_and_cut_connections_lose_nothing(house: tuple[Fleet, Template, str]) -> None:
    several, template, url = house
    one, two = several.add("all").start(), several.add("all").start()
    several.api(two, template.token).declare(**DECLARATION)  # type: ignore[arg-type]
    until(lambda: arrived(several) > 40, "the wave has begun", within=30)
    ask(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
             "AND pid <> pg_backend_pid()")  # fmt: skip
    before = arrived(several)
    until(lambda: arrived(several) > before + 40, "both go on", within=30)
    pause(one, url)
    until(
        lambda: ask(url, UNSETTLED) == [(0,)] and not any(is_of(o, one) for o in owners_with_rows(url)),
        "the other one finishes",
        within=60,
        every=0.2,
    )
    # Stopped in the middle of a verb it holds up the others' until PostgreSQL ends its transaction, after two minutes.
    until(lambda: is_of(leader(url), two), "and ticks in place of who stands still", within=150)
    one.go_on()
    rest(url)
    found = verdict(several, template, url, "paused")
    assert found.messages - found.duplicates == 2 * CONTACTS
    for member in (one, two):
        assert member.alive


def test_a_provider_moves_to_postgresql_in_the_middle_of_a_wave(tmp_path: Path) -> None:
    template = fill_template(tmp_path, *inventory(CONTACTS))
    url = databases.url("moved", tmp_path, with_tables=False)
    with fleet(tmp_path, "sqlite:///outagecast.db", CONFIG) as small:
        alone = small.add("all").start()
        small.api(alone, template.token).declare(**DECLARATION)  # type: ignore[arg-type]
        until(lambda: arrived(small) > CONTACTS // 3, "the wave has begun", within=30)
        running = small.command("db", "copy", "--to", url)
        assert running.returncode == 1
        assert "stop it first" in running.stderr
        assert alone.stop() == 0
        moved = small.command("db", "copy", "--to", url, "--json")
        assert moved.returncode == 0, moved.stderr
        left = small.add("all").start()
        assert "restored" in left.readyz(), "who starts the old one by mistake sends nothing"
        small.configure({"database": {"url": url}})
        one, two = small.add("all").start(), small.add("all").start()
        rest(url)
        found = verdict(small, template, url, "moved")
        assert (found.messages, found.duplicates, found.ambiguous) == (2 * CONTACTS, 0, 0)
        for member in (left, one, two):
            assert member.stop() == 0


def pause(member: Member, url: str) -> None:
    """Stop it while none of its sessions is in a transaction that holds up verbs: the server would end that after
    two minutes, which is longer than a test should take.
    """

    def paused() -> bool:
        member.pause()
        held = ask(
            url,
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'",
        )
        if held != [(0,)]:
            member.go_on()
            return False
        return True

    until(paused, f"{member.name} stands still between two transactions")
