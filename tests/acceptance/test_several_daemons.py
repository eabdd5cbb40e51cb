"""Several daemons on one SQLite file, one of them with pages; each is killed, paused or stopped in the middle."""

import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from time import monotonic

import pytest

from tests.acceptance import ground_truth
from tests.support.daemon import exchange, until
from tests.support.fleet import Fleet, Member, fleet, pause_between_writes
from tests.support.kill_harness import DELIVERY, MAIL_DOMAIN, Template, make_template

pytestmark = pytest.mark.databases("sqlite")
CONTACTS = 240
RATE = 30
"""Slow enough that a wave outlasts what is done to its senders meanwhile: 8 s."""
LEASE = 6.0
CONFIG = {
    "delivery": {**DELIVERY, "lease": f"{LEASE:g}s"},
    "email": {"connections": 4, "rate_per_second": RATE},
    "sms": {"connections": 4, "rate_per_second": RATE},
}
DECLARATION = {"title": "POP-1 down", "scope": {"elements": ["POP-1"]}, "message": "We are looking into it."}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return make_template(tmp_path_factory.mktemp("template"), CONTACTS)


@pytest.fixture
def house(tmp_path: Path, template: Template) -> Iterator[Fleet]:
    shutil.copyfile(template.database, tmp_path / "outagecast.db")
    with fleet(tmp_path, "sqlite:///outagecast.db", CONFIG) as made:
        yield made


def arrived(house: Fleet) -> int:
    return len(house.sandbox.records("mail", "sms"))


def database(house: Fleet) -> Path:
    return house.folder / "outagecast.db"


def rows(house: Fleet, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{database(house)}?mode=ro", uri=True, timeout=10)) as conn:
        return conn.execute(query).fetchall()


def rest(house: Fleet) -> None:
    until(lambda: ground_truth.unsettled(database(house)) == 0, "the outbox is at rest", within=60, every=0.1)


def verdict(house: Fleet, template: Template) -> ground_truth.Verdict:
    records = house.sandbox.records("mail", "sms")
    found = ground_truth.check(database(house), records, domain=MAIL_DOMAIN, hearing=template.hearing)
    assert found.problems == []
    assert found.messages - found.duplicates == 2 * CONTACTS
    return found


def at_work(house: Fleet, members: Sequence[Member]) -> list[Member]:
    """Those that have messages on their way now."""
    query = "SELECT DISTINCT lease_owner FROM deliveries WHERE state IN ('leased', 'transmitting')"
    owners = [str(owner) for (owner,) in rows(house, query)]
    return [each for each in members for owner in owners if f":{each.pid}:" in owner]


def test_a_killed_and_a_paused_sender_lose_nothing_and_the_others_finish(house: Fleet, template: Template) -> None:
    main = house.add("web").start()
    senders = [house.add("sender").start() for _ in range(3)]
    house.api(main, template.token).declare(**DECLARATION)  # type: ignore[arg-type]
    until(lambda: arrived(house) > CONTACTS // 6, "the wave has begun", within=30)
    killed = until(lambda: at_work(house, senders), "one is sending", within=30)[0]
    killed.kill()
    began = monotonic()
    until(lambda: lost(house, killed), "the dead one's rows are free long before its lease ends", within=LEASE - 0.5)
    senders.remove(killed)
    paused = until(lambda: at_work(house, senders), "another takes over", within=30)[0]
    senders.remove(paused)
    pause_between_writes(paused, database(house))
    until(lambda: settled_but(house, paused), "the others finish", within=60, every=0.1)
    assert monotonic() - began > LEASE, "the paused one's lease had to run out"
    paused.go_on()
    rest(house)
    found = verdict(house, template)
    assert found.ambiguous <= 2 * 8, "at most one message a lane of each that was stopped"
    # The one that was woken sends on, under new fences.
    house.api(main, template.token).verb("OUT-" + year(house), "resolve", message="It is back.")
    until(lambda: arrived(house) - found.messages >= 2 * CONTACTS, "everybody hears the end", within=40)
    for member in (paused, *senders, main):
        assert member.stop() == 0
    assert rows(house, "SELECT seat FROM daemons WHERE lost_at IS NULL") == [], "an orderly end leaves no name"


def test_without_its_main_daemon_senders_go_on_and_a_new_one_takes_nothing_out_of_their_hands(
    house: Fleet, template: Template
) -> None:
    main = house.add("web").start()
    sender = house.add("sender").start()
    house.api(main, template.token).declare(**DECLARATION)  # type: ignore[arg-type]
    until(lambda: arrived(house) > 20, "the wave has begun", within=30)
    main.kill()
    before = arrived(house)
    until(lambda: arrived(house) > before + 40, "the sender goes on alone", within=30)
    again = house.add("web").start()
    rest(house)
    found = verdict(house, template)
    assert (found.messages, found.ambiguous) == (2 * CONTACTS, 0)
    assert sender.alive
    # Pages show what another process did: the live counts of the outage are those of the rows.
    outage = house.api(again, template.token).outages()[0]
    assert sum(sum(states.values()) for states in outage["deliveries"].values()) == 2 * CONTACTS


def test_the_rates_hold_for_all_together(house: Fleet, template: Template) -> None:
    main = house.add("web").start()
    house.add("sender").start()
    house.add("sender").start()
    house.api(main, template.token).declare(**DECLARATION)  # type: ignore[arg-type]
    rest(house)
    assert verdict(house, template).messages == 2 * CONTACTS
    for kind in ("mail", "sms"):
        at = sorted(datetime.fromisoformat(record["at"]).timestamp() for record in house.sandbox.records(kind))
        assert len(at) == CONTACTS
        span = at[-1] - at[0]
        assert span >= (CONTACTS - 1) / RATE - 1.0, f"{kind}: {CONTACTS} in {span:.2f} s"
        busiest = max(sum(1 for other in at if 0 <= other - first < 1.0) for first in at)
        assert busiest <= RATE * 1.6 + 2, f"{kind}: {busiest} within a second"
    owners = rows(house, "SELECT count(*) FROM daemons")
    assert owners == [(3,)]


def test_there_is_one_main_daemon_and_every_sender_has_its_seat(house: Fleet) -> None:
    house.add("web").start()
    second = house.add("all")
    second.spawn()
    assert second.wait() == 1
    assert "--role sender" in second.log().splitlines()[-1]
    one, two = house.add("sender").start(), house.add("sender").start()
    assert "sending as sender-1" in one.log()
    assert "sending as sender-2" in two.log()
    for path, status in (("/healthz", 200), ("/metrics", 200), ("/desk", 404), ("/api/v1/outages", 404)):
        assert exchange("127.0.0.1", one.port, "GET", path)[0] == status, path
    assert 'outagecast_daemons{role="sender",state="running"} 2.0' in two.metrics()
    one.kill()
    three = house.add("sender").start()
    assert "sending as sender-1" in three.log(), "a death frees the seat"
    findings = json.loads(house.command("doctor", "--json").stdout)["findings"]
    [found] = [finding for finding in findings if finding["what"] == "daemons"]
    assert found["state"] == "ok", found
    assert found["detail"].count("sender on ") == 2, "whoever has a dead one's seat is not missed beside him"
    two.kill()
    until(lambda: 'state="lost"' in metrics_of(house), "the death is noted", within=20)
    assert "sender on " in house.command("doctor").stdout


def metrics_of(house: Fleet) -> str:
    return house.members[0].metrics()


def lost(house: Fleet, member: Member) -> bool:
    name = f":{member.pid}:"
    held = rows(house, "SELECT DISTINCT lease_owner FROM deliveries WHERE lease_owner IS NOT NULL")
    return not any(name in str(owner) for (owner,) in held)


def settled_but(house: Fleet, paused: Member) -> bool:
    return lost(house, paused) and ground_truth.unsettled(database(house)) == 0


def year(house: Fleet) -> str:
    [(number,)] = rows(house, "SELECT id FROM outages")
    return str(number).removeprefix("OUT-")


def test_a_file_that_another_machine_used_a_moment_ago_is_refused(house: Fleet) -> None:
    main = house.add("web").start()
    main.kill()
    lock = house.folder / "outagecast.db.lock"
    lock.write_text(json.dumps({**json.loads(lock.read_text()), "host": "another", "boot": "another"}))
    with closing(sqlite3.connect(database(house), timeout=10)) as conn, conn:
        # Starting takes a few seconds on a busy machine: the other one was seen a little later than we saw it.
        conn.execute("UPDATE daemons SET seen_at = seen_at + 20000000")
    refused = house.add("web")
    refused.spawn()
    assert refused.wait() == 1
    assert "in use on another machine" in refused.log().splitlines()[-1]
    until(lambda: house_is_free(house), "its lease has run out", within=LEASE + 22)
    house.add("web").start()


def house_is_free(house: Fleet) -> bool:
    [(left,)] = rows(
        house, f"SELECT max(seen_at) / 1e6 + {LEASE} - (julianday('now') - 2440587.5) * 86400 FROM daemons"
    )
    return float(str(left)) < 0
