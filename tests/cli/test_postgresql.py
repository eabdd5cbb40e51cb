"""Commands on PostgreSQL: what they do there, and the one clear line where the server does not let them."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from outagecast.storage.server import Server
from tests.support import databases

pytestmark = pytest.mark.databases("postgresql")


@pytest.fixture
def on(folder: Path, oc: Any) -> Any:
    """Runs `oc` on the database at a URL."""
    plain = (folder / "config.toml").read_text()

    def run(url: str, *words: str) -> Any:
        (folder / "config.toml").write_text(f'{plain}\n[database]\nurl = "{url}"\n')
        return oc(*words)

    return run


@pytest.fixture
def fresh(tmp_path: Path) -> str:
    return databases.url("oc.db", tmp_path, with_tables=False)


@contextmanager
def made(name: str, how: str = "", also: str = "") -> Iterator[str]:
    """A database of the test's own making; its URL."""
    server = databases.pool().server
    with server.admin() as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {name} {how}")
        if also:
            admin.execute(also)
        try:
            yield server.url(name)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_database_from_nothing_to_an_erasure(on: Any, fresh: str, folder: Path, provider: Path) -> None:
    made_new = on(fresh, "db", "upgrade")
    assert made_new.code == 0, made_new.err
    assert made_new.out.strip() == f"{fresh} is up to date"
    assert on(fresh, "import", str(provider), "--dry-run", "--json").json["kinds"]["customers"]["new"] == 80
    assert on(fresh, "import", str(provider)).code == 0
    done = on(fresh, "export", str(folder / "out"), "--exact", "--json")
    assert done.json["rows"]["customers"] == 80, done.err
    again = on(fresh, "import", str(folder / "out"), "--complete", "--json")
    assert again.code == 0, again.err
    assert all(k["new"] + k["changed"] + k["ended"] == 0 for k in again.json["kinds"].values()), (
        "what went out came back"
    )
    played = on(fresh, "rehearse", "--element", "POP-HAZ", "--step", "+20m eta +2h", "--step", "+3h resolve")
    assert played.code == 0, played.err
    with psycopg.connect(fresh) as conn:
        [(contact,)] = conn.execute("SELECT id FROM contacts WHERE email_id IS NOT NULL ORDER BY id LIMIT 1").fetchall()
    erased = on(fresh, "erase", "--contact", contact)
    assert erased.code == 0, erased.err
    assert "VACUUM FULL" in erased.out
    for words in (("verify",), ("db", "check")):
        done = on(fresh, *words)
        assert done.code == 0, done.err


def test_doctor_knows_the_server(on: Any, fresh: str) -> None:
    found = {f["what"]: f for f in on(fresh, "doctor", "--json").json["findings"]}
    assert found["database"]["state"] == "ok"
    assert ", UTF8, " in found["database"]["detail"]
    assert "fsync or full_page_writes is off" in found["server"]["detail"], "as it is for tests"


def test_what_is_broken_on_the_server_is_named(on: Any, fresh: str) -> None:
    assert on(fresh, "db", "upgrade").code == 0
    with psycopg.connect(fresh, autocommit=True) as conn:
        conn.execute("ALTER TABLE timeline DISABLE TRIGGER timeline_no_delete")
        conn.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_circuits_site_id'::regclass")
        conn.execute("SET session_replication_role = replica")
        conn.execute("INSERT INTO circuits (id, customer_id) VALUES ('X', 'nobody')")
    done = on(fresh, "db", "check")
    assert done.code == 1
    assert "the guard timeline_no_delete of the timeline is off" in done.err
    assert "the index ix_circuits_site_id is not valid: REINDEX INDEX ix_circuits_site_id" in done.err
    assert "1 rows of circuits refer to nothing in customers" in done.err


def refused(done: Any) -> str:
    """The one line of a command that could not do it."""
    assert done.code == 1
    assert not done.out
    [line] = [line for line in done.mistakes if not line.startswith("warning")]
    assert "Traceback" not in line
    return str(line)


def test_a_database_or_user_that_is_not_there(on: Any) -> None:
    server = databases.pool().server
    for words in (("db", "upgrade"), ("db", "check"), ("verify",)):
        assert "createdb --template=template0 --encoding=UTF8" in refused(on(server.url("not_there"), *words))
    stranger = server.url("postgres").replace("postgres@", "stranger@")
    assert "createuser" in refused(on(stranger, "db", "check"))


def test_a_database_of_another_encoding_is_refused(on: Any) -> None:
    how = "TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
    with made("oc_latin", how) as url:
        said = refused(on(url, "db", "upgrade"))
    assert "encoded in LATIN1: make one in UTF-8 (createdb" in said


def test_a_standby_is_refused(on: Any) -> None:
    with made("oc_reading", also="ALTER DATABASE oc_reading SET default_transaction_read_only = on") as url:
        assert "a standby takes no writes: name the primary" in refused(on(url, "db", "upgrade"))


def test_a_user_without_rights_is_told_what_it_needs(on: Any) -> None:
    with databases.pool().server.admin() as admin:
        admin.execute("DROP ROLE IF EXISTS oc_guest")
        admin.execute("CREATE ROLE oc_guest LOGIN")
        try:
            with made("oc_foreign", also="REVOKE ALL ON DATABASE oc_foreign FROM oc_guest") as url:
                guest = url.replace("postgres@", "oc_guest@")
                with psycopg.connect(url) as owner:
                    owner.execute("REVOKE CREATE ON SCHEMA public FROM public")
                assert "ALTER DATABASE … OWNER TO" in refused(on(guest, "db", "upgrade"))
                assert on(url, "db", "upgrade").code == 0
                with psycopg.connect(url) as owner:
                    owner.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO oc_guest")
                said = on(guest, "db", "check")
                assert said.code == 0
                assert "tables belong to another user: upgrades and erasures will fail" in said.err
        finally:
            admin.execute("DROP ROLE oc_guest")


@pytest.mark.parametrize(
    ("answer", "mend"),
    [
        ('password authentication failed for user "oc"', "check the user and password"),
        ('no pg_hba.conf entry for host "::1", user "oc", database "oc", no encryption', "must let this user in"),
        ("sorry, too many clients already", "raise max_connections"),
        ("the database system is starting up", "try again in a moment"),
        ("unsupported startup parameter: options", "not to a pooler"),
    ],
)
def test_what_a_server_says_at_the_door_comes_with_the_mend(on: Any, answer: str, mend: str) -> None:
    with doorkeeper(answer) as url:
        said = refused(on(url, "verify"))
    assert answer in said
    assert mend in said
    assert "secret" not in said


def test_nobody_there(on: Any) -> None:
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))  # taken, but nobody listens
        said = refused(on(f"postgresql://oc@127.0.0.1:{held.getsockname()[1]}/oc", "db", "check"))
    assert "refused" in said
    assert "is the server running, and are host and port in [database] url right?" in said


def test_several_hosts_are_written_so_that_they_can_be_read(on: Any, fresh: str) -> None:
    wrong = on("postgresql://postgres@one:5432,two:5432/oc", "db", "upgrade")
    assert wrong.code == 2
    assert "names several hosts: write postgresql://user@/name?host=one:5432&host=two:5432" in wrong.err
    place, _, name = fresh.rpartition("/")
    host = place.rpartition("@")[2]
    both = f"{place.removesuffix(host)}/{name}?host=127.0.0.1:1&host={host}"
    assert on(both, "db", "upgrade").code == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"version": 12}, "is too old"), ({"standby": True}, "is a standby"), ({"encoding": "SQL_ASCII"}, "SQL_ASCII")],
)
def test_a_server_that_does_not_fit(wrong: dict[str, Any], said: str) -> None:
    good = {
        "version": 15, "shown": "15.1", "encoding": "UTF8", "standby": False, "durable": True, "connections": 100,
        "temporary": True, "size": 1, "others": 0, "sorts_otherwise": False,
    }  # fmt: skip
    assert Server(**good).unfit is None  # type: ignore[arg-type]
    assert Server(**good).warnings == []  # type: ignore[arg-type]
    assert said in str(Server(**good | wrong).unfit)  # type: ignore[arg-type]


@contextmanager
def doorkeeper(answer: str) -> Iterator[str]:
    """Something that speaks PostgreSQL's protocol as far as the refusal at the start of a connection."""
    fields = b"".join(kind + text.encode() + b"\0" for kind, text in ((b"S", "FATAL"), (b"C", "28P01"), (b"M", answer)))
    error = b"E" + struct.pack("!i", len(fields) + 5) + fields + b"\0"
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def serve() -> None:
            while True:
                try:
                    conn, _ = listening.accept()
                except OSError:
                    return
                with conn:
                    while (head := conn.recv(8)) and struct.unpack("!ii", head)[1] in (80877103, 80877104):
                        conn.sendall(b"N")  # neither TLS nor GSSAPI here
                    conn.recv(4096)
                    conn.sendall(error)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"postgresql://oc:secret@127.0.0.1:{listening.getsockname()[1]}/oc"
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)
