"""`outagecast backup` while the daemon writes, and the way on after an old database was put back: a real daemon and a
real gateway, and what arrived is the truth.
"""

import json
import shutil
import sqlite3
import stat
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

from tests.support.daemon import ACCOUNT, PHONE_TOKEN, DaemonProcess, TooLate, exchange, running, until

Run = Callable[..., Any]
CUSTOMERS = 60
SLOW = 150
"""Milliseconds a message takes with two lanes a channel: a wave of about five seconds."""
CONFIG = {"email": {"connections": 2}, "sms": {"connections": 2}}


def write_files(folder: Path) -> Path:
    """One POP, and so many customers behind it with a mail address and a phone each."""
    folder.mkdir()
    numbers = range(1, CUSTOMERS + 1)
    files = {
        "elements": ["id,kind,gateway", "POP-1,pop,yes"],
        "customers": ["id,name", *(f"C{n},Customer {n}" for n in numbers)],
        "contacts": [
            "id,customer_id,name,email,phone",
            *(f"K{n},C{n},Contact {n},c{n}@customer.example,{phone(n)}" for n in numbers),
        ],
        "circuits": ["id,customer_id,label,depends_on", *(f"L{n},C{n},Line {n},POP-1" for n in numbers)],
    }
    for name, lines in files.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return folder


def phone(n: int) -> str:
    return f"+1859555{n:04d}"


def arrived(daemon: DaemonProcess) -> Counter[str]:
    """How many messages each address has had."""
    sandbox = daemon.sandbox
    return Counter([m["rcpt"] for m in sandbox.mails()]) + Counter([t["to"] for t in sandbox.texts()])


def amid_a_wave(daemon: DaemonProcess, folder: Path) -> str:
    """Declares, and returns while about a tenth has left."""
    daemon.command("import", str(write_files(folder / "files")))
    api = daemon.api("operator")
    daemon.sandbox.fault(
        {"channel": "smtp", "mode": "slow", "at": "dot", "ms": SLOW}, {"channel": "sms", "mode": "slow", "ms": SLOW}
    )
    outage: str = api.declare("POP-1 down", {"elements": ["POP-1"]})["id"]
    until(lambda: sum(arrived(daemon).values()) > CUSTOMERS // 5, "a tenth of the wave has left")
    return outage


def put_in_place(daemon: DaemonProcess, copy: Path) -> None:
    for beside in ("-wal", "-shm"):
        daemon.database.with_name(daemon.database.name + beside).unlink(missing_ok=True)
    shutil.copy(copy, daemon.database)


def nothing_leaves(daemon: DaemonProcess, seconds: float = 2.0) -> None:
    mark = daemon.sandbox.mark()
    with pytest.raises(TooLate):
        until(lambda: daemon.sandbox.records("mail", "sms", after=mark), "something leaves", within=seconds)


def test_a_backup_put_back_amid_its_wave_says_nothing_twice(tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with running(tmp_path, config=CONFIG) as daemon:
        outage = amid_a_wave(daemon, tmp_path)
        made = json.loads(daemon.command("backup", str(copy), "--json"))
        assert made["sound"] is True
        until(lambda: sum(arrived(daemon).values()) == 2 * CUSTOMERS, "the wave has left")
        daemon.sandbox.clear_faults()
        api = daemon.api("operator")
        api.rest()
        assert daemon.stop() == 0
        put_in_place(daemon, copy)
        daemon.start()
        held = api.get("/restored")
        assert held["held"] is True
        assert 0 < held["undecided"] < 2 * CUSTOMERS, "the copy was not made amid the wave"
        assert held["reason"].startswith("restored from the backup of 20")
        assert f"{held['undecided']} messages planned before it may have been sent already" in held["reason"]
        nothing_leaves(daemon)
        # What comes back for attempts that this database has never heard of does no harm.
        assert callback(daemon, "MessageStatus=delivered", key="an-attempt-of-the-lost-days") == 204
        daemon.sandbox.set(inbound_url=f"{daemon.url}/callbacks/twilio/inbound")
        daemon.sandbox.answer(phone(1), "STOP")
        assert api.call("POST", "/restored/release", {"choice": "said", "reason": "NOC saw the mails"})["held"] is False
        api.rest()
        nothing_leaves(daemon, 1.0)
        assert set(arrived(daemon).values()) == {1}
        assert json.loads(daemon.command("verify", "--json")) == {"ok": True, "findings": []}
        taken = [row for row in api.deliveries(outage) if any(a["code"] == "restored" for a in row["attempts"])]
        assert taken, "what was decided is on record"
        assert {
            (a["outcome"], a["ambiguous"]) for row in taken for a in row["attempts"] if a["code"] == "restored"
        } == {("ambiguous", True)}
        api.verb(outage, "resolve")
        api.rest()
        assert Counter(arrived(daemon).values()) == {2: 2 * CUSTOMERS - 1, 1: 1}, "all but who said STOP hear the end"
        assert arrived(daemon)[phone(1)] == 1
        lines = {line["what"]: line for line in house_lines(daemon)}
        assert lines["restore_found"]["why"] == "backup"
        assert lines["restore_released"]["why"] == "said"
        assert lines["restore_released"]["text"] == "NOC saw the mails"
        daemon.restart()
        assert api.get("/restored")["held"] is False, "it is the present database from now on"


def test_a_plain_copy_is_known_as_older_and_can_be_sent(tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with running(tmp_path, config=CONFIG) as daemon:
        amid_a_wave(daemon, tmp_path)
        with closing(sqlite3.connect(daemon.database)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        until(lambda: sum(arrived(daemon).values()) == 2 * CUSTOMERS, "the wave has left")
        daemon.sandbox.clear_faults()
        daemon.kill()
        put_in_place(daemon, copy)
        daemon.start()
        shown = json.loads(daemon.command("restored", "show", "--json"))
        assert (shown["held"], shown["found"]) == (True, "older")
        _, _, metrics = exchange("127.0.0.1", daemon.port, "GET", "/metrics")
        assert "outagecast_restore_hold 1.0" in metrics
        nothing_leaves(daemon)
        daemon.restart()
        nothing_leaves(daemon, 1.0)
        again = json.loads(daemon.command("restored", "show", "--json"))
        assert (again["found"], again["undecided"]) == ("older", shown["undecided"]), "a second start changes nothing"
        done = json.loads(daemon.command("restored", "release", "send", "--json"))
        assert done == {"released": True, "choice": "send", "messages": shown["undecided"]}
        # A message that was being written when the copy was made is unknown: its own rule says when it is tried again.
        unknown = sum(row["state"] == "ambiguous" for row in all_deliveries(daemon))
        wanted = 2 * CUSTOMERS + shown["undecided"] - unknown
        until(lambda: sum(arrived(daemon).values()) == wanted, "what the copy took for unsent is sent")
        assert max(arrived(daemon).values()) == 2


def test_a_backup_is_ours_alone_and_replaces_nothing_unasked(imported: Run, folder: Path) -> None:
    copy = folder / "copy.db"
    done = imported("backup", str(copy))
    assert done.code == 0, done.err
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert "sound" in done.out
    again = imported("backup", str(copy))
    assert (again.code, again.out) == (1, "")
    assert again.mistakes[-1] == f"{copy} is there already: name another file, or replace it with --force"
    assert imported("backup", str(copy), "--force").code == 0
    own = imported("backup", str(folder / "outagecast.db"), "--force")
    assert own.mistakes[-1].endswith("is the database itself")
    assert (
        imported("backup", str(folder / "nowhere" / "copy.db")).mistakes[-1].endswith("is not a folder: make it first")
    )
    assert not list(folder.glob("*.part*"))
    with closing(sqlite3.connect(copy)) as conn:
        assert conn.execute("SELECT count(*) FROM customers").fetchone()[0] > 50
        assert json.loads(conn.execute("SELECT value FROM meta WHERE key = 'backup'").fetchone()[0])["taken_at"] > 0


def test_a_copy_can_be_made_before_an_upgrade(imported: Run, folder: Path) -> None:
    """Of a schema that this program does not run on: nothing is migrated under the old program's feet."""
    with closing(sqlite3.connect(folder / "outagecast.db", isolation_level=None)) as conn:
        conn.execute("UPDATE alembic_version SET version_num = '0000'")
    assert imported("backup", str(folder / "copy.db"), "--json").json["schema"] == "0000"
    with closing(sqlite3.connect(folder / "outagecast.db")) as conn:
        assert conn.execute("SELECT version_num FROM alembic_version").fetchone() == ("0000",)
    (folder / "outagecast.db").write_bytes(b"no database at all, but a text that is long enough" * 100)
    assert imported("backup", str(folder / "other.db")).code == 1
    assert not (folder / "other.db").exists()


def test_a_broken_database_gives_no_backup(imported: Run, folder: Path) -> None:
    with closing(sqlite3.connect(folder / "outagecast.db", isolation_level=None)) as conn:
        conn.execute("PRAGMA foreign_keys = OFF")
        conn.execute("UPDATE contacts SET customer_id = 'nobody' WHERE rowid = 1")
    done = imported("backup", str(folder / "copy.db"))
    assert done.code == 1
    assert "contacts row 1 refers to nothing" in done.mistakes[-1]
    assert not (folder / "copy.db").exists()


def test_a_person_can_say_that_it_is_an_old_one(imported: Run) -> None:
    assert imported("restored", "show", "--json").json == {"held": False}
    assert imported("restored", "hold", "--json").json["found"] == "by_hand"
    assert imported("restored", "hold").mistakes == ["sending is held already after a restore"]
    assert "sending is held" in imported("restored", "show").out
    assert imported("restored", "release", "said", "--json").json == {"released": True, "choice": "said", "messages": 0}
    assert imported("restored", "release", "said").mistakes == ["sending is not held after a restore (any more)"]


def callback(daemon: DaemonProcess, fields: str, *, key: str) -> int:
    """A status callback as the provider signs it; the answer's status."""
    path = f"/callbacks/twilio/status?{urlencode({'key': key})}"
    form = {"MessageSid": "SM" + "0" * 32, "AccountSid": ACCOUNT, **dict([fields.split("=")])}
    signature = RequestValidator(PHONE_TOKEN).compute_signature(f"{daemon.url}{path}", form)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
    return exchange("127.0.0.1", daemon.port, "POST", path, body=urlencode(form), headers=headers)[0]


def house_lines(daemon: DaemonProcess) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(daemon.database)) as conn:
        rows = conn.execute(
            "SELECT what, why, (SELECT text FROM texts WHERE texts.id = text_id) FROM timeline WHERE outage_id IS NULL"
        )
        return [{"what": what, "why": why, "text": text} for what, why, text in rows]


def all_deliveries(daemon: DaemonProcess) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(daemon.database)) as conn:
        return [{"state": state} for (state,) in conn.execute("SELECT state FROM deliveries")]
