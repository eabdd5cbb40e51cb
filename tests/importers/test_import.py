"""A whole import: files in, rows of a real database out."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from outagecast.domain.errors import Invalid
from outagecast.domain.imports import Difference, ImportRefused
from outagecast.domain.inventory import InventoryKind
from outagecast.engine.inventory import ImportReport
from outagecast.storage import inventory as reads
from outagecast.storage.engine import Database
from outagecast.storage.tables import addresses, customers, timeline
from tests.support.databases import opened
from tests.support.inventory_db import db as db
from tests.support.inventory_files import CLERK, NOW, SMALL, contents, everything, inventory, write

GOLDEN = Path(__file__).parent.parent / "golden" / "import" / "mistakes.txt"
K = InventoryKind


async def load(db: Database, folder: Path, **more: object) -> ImportReport:
    return await inventory(db).import_files([folder], actor=CLERK, **more)  # type: ignore[arg-type]


async def refused(db: Database, folder: Path, **more: object) -> list[str]:
    """The mistakes of an import that must change nothing."""
    before = await everything(db)
    with pytest.raises(ImportRefused) as caught:
        await load(db, folder, **more)
    assert await everything(db) == before
    return caught.value.lines()


async def thing(db: Database, kind: str, id: str) -> dict[str, object]:
    return dict(await inventory(db).get(kind, id))


async def test_the_seven_files_arrive(db: Database, tmp_path: Path) -> None:
    report = await load(db, write(tmp_path / "in", **SMALL))
    assert {kind: d.new for kind, d in report.kinds.items()} == dict(zip(K, (1, 3, 1, 2, 2, 2, 1), strict=True))
    assert (report.applied, report.rejects, report.rejects_file) == (True, 0, None)
    assert (await thing(db, "site", "LEX"))["attributes"] == {"owner": "city"}
    assert await thing(db, "circuit", "X1") == {
        "id": "X1",
        "customer_id": "C1",
        "service_id": "voice",
        "label": "HQ",
        "site": "LEX",
        "place": "",
        "depends_on": "POP-LEX;LNK-1|POP-2",
        "status": "active",
        "attributes": {},
    }
    ann = await thing(db, "contact", "K1")
    assert (ann["channels"], ann["quiet_hours"], ann["role"]) == ("email sms", "22:00-07:00", "technical")
    assert [(a["channel"], a["to"]) for a in ann["addresses"]] == [  # type: ignore[attr-defined]
        ("email", "ann@example.net"),
        ("sms", "+18595550100"),
    ]
    async with db.read() as conn:
        assert await reads.inventory_version(conn) == 1
        (line,) = (await conn.execute(select(timeline))).mappings()
    assert (line["at"], line["actor"], line["what"]) == (NOW, "clerk", "imported")
    assert line["data"]["kinds"]["circuits"] == {"new": 2, "changed": 0, "unchanged": 0, "ended": 0}


async def test_the_same_files_again_change_nothing(db: Database, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", **SMALL)
    await load(db, folder)
    before = await contents(db)
    report = await load(db, folder)
    assert report.changes == 0
    assert await contents(db) == before
    async with db.read() as conn:
        assert await reads.inventory_version(conn) == 1


@pytest.mark.databases("sqlite")
async def test_the_staging_files_are_gone(db: Database, tmp_path: Path) -> None:
    await load(db, write(tmp_path / "in", **SMALL))
    assert db.path is not None
    assert not [path for path in db.path.parent.iterdir() if not path.name.startswith("t.db")]


async def test_an_absent_column_stays_and_an_empty_cell_clears(db: Database, tmp_path: Path) -> None:
    await load(db, write(tmp_path / "in", **SMALL))
    await load(
        db,
        write(
            tmp_path / "next",
            sites="id,area,owner,tag\nLEX,,,new\n",
            contacts="id,customer_id,name,phone\nK1,C1,Anne,\n",
            circuits="id,customer_id,service_id,depends_on\nX1,C1,,\n",
        ),
    )
    site = await thing(db, "site", "LEX")
    assert (site["name"], site["latitude"], site["area"]) == ("Lexington", 38.04, "")
    assert site["attributes"] == {"tag": "new"}
    ann = await thing(db, "contact", "K1")
    assert (ann["name"], ann["notify"]) == ("Anne", "outage")
    assert [a["to"] for a in ann["addresses"]] == ["ann@example.net"]  # type: ignore[attr-defined]
    circuit = await thing(db, "circuit", "X1")
    assert (circuit["service_id"], circuit["depends_on"], circuit["label"]) == (None, "", "HQ")


async def test_every_structural_mistake_is_listed_and_nothing_changes(db: Database, tmp_path: Path) -> None:
    await load(db, write(tmp_path / "first", **SMALL))
    said = await refused(
        db,
        write(
            tmp_path / "in",
            sites="id,name\nS1,One\nS1,Again\nS;2,Two\n",
            elements=(
                "id,kind,site,a,z,gateway,depends_on\n"
                "E1,pop,NOWHERE,,,maybe,\n"
                "L1,link,,POP-LEX,,,\n"
                "L2,link,,LNK-1,E1,,\n"
                "L3,link,,E1,E1,,\n"
                "L4,link,,E1,GONE,,\n"
                "POP-2,link,,E1,POP-LEX,,\n"
                "A,pop,,,,,B\n"
                "B,pop,,,,,E1;C|A\n"
                "C,pop,,,,,POP-LEX\n"
                "POP-LEX,pop,,,,,service:voice\n"
                "D,pop,,,,,E1;;E2\n"
                "F,pop,,,,,MISSING|site:LEX;circuit:NO\n"
                "SELF,pop,,,,,SELF\n"
                ",pop,,,,,\n"
            ),
            customers="id,name,status,parent_id,told_via\nC3,Gamma,gone,C4,\nC4,Delta,,C3,him\nC5,,,C9,\nC1,Acme,,C2,\n",
            contacts="id,customer_id,name,status\nK3,,Nobody,\nK4,C9,Lost,closed\n",
            circuits=(
                "id,customer_id,service_id,site,depends_on\n"
                "X1,C1,data,NOWHERE,circuit:X2\nX9,C9,,,site:NO\nX1,C1,,,\nX10,C1,,,too,many\n"
            ),
            subscriptions="customer_id,service_id\nC1,data\nC1,voice\nC1,voice\n",
        ),
    )
    assert "\n".join(said) + "\n" == GOLDEN.read_text()


async def test_mistakes_name_the_columns_as_the_file_does(db: Database, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", contacts="Nr,Account No,name,Mobile\n1,9,Ann,12\n")
    mapping = {"contacts": {"id": "Nr", "customer_id": "Account No", "phone": "Mobile"}}
    assert await refused(db, folder, mapping=mapping) == ['contacts.csv:2: Account No: there is no customer "9"']
    write(folder, customers="id,name\n9,Acme\n")
    report = await load(db, folder, mapping=mapping)
    assert report.first_rejects[0].startswith('contacts.csv:2: Mobile: "12" has too few')
    assert (folder / "rejects.csv").read_text().splitlines()[1].startswith('"contacts.csv","2","1","Mobile","12",')


async def test_mistakes_are_capped_for_people(db: Database, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", subscriptions="customer_id,service_id\n" + "".join(f"C{n},s\n" for n in range(300)))
    said = await refused(db, folder)
    assert (len(said), said[-1]) == (201, "… and 400 more")


async def test_bad_cells_are_emptied_listed_and_counted(db: Database, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "in",
        customers="id,name,language\nC1,Acme,xx\nC2,Beta,en\nC3,Gamma,\nC4,Delta,\n",
        contacts="id,customer_id,name,email,phone\nK1,C1,Ann,=cmd@x,+1\nK2,C2,Bob,bob@example.net,zero\n",
    )
    report = await load(db, folder)
    assert (report.rejects, report.contacts_unreachable, report.customers_unreachable) == (4, 1, 3)
    assert report.rejects_file == folder / "rejects.csv"
    lines = (folder / "rejects.csv").read_text().splitlines()
    assert lines[0] == '"file","line","id","column","value","reason"'
    assert lines[2].startswith('"contacts.csv","2","K1","email","\'=cmd@x","is not an e-mail address')
    assert len(lines) == 5
    assert (await thing(db, "customer", "C1"))["language"] == ""


async def test_rejects_go_where_one_asks_and_old_ones_go_away(db: Database, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", customers="id,name,language\nC1,Acme,xx\n")
    await load(db, folder, rejects_path=tmp_path / "other.csv")
    assert not (folder / "rejects.csv").exists()
    assert (tmp_path / "other.csv").exists()
    await load(db, folder)
    assert (folder / "rejects.csv").exists()
    await load(db, write(folder, customers="id,name,language\nC1,Acme,en\n"))
    assert not (folder / "rejects.csv").exists()
    (folder / "rejects.csv").write_text("mine\n")
    await load(db, folder)
    assert (folder / "rejects.csv").read_text() == "mine\n"


async def test_rejects_that_cannot_be_written_stop_the_import(db: Database, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", customers="id,name,language\nC1,Acme,xx\n")
    before = await everything(db)
    with pytest.raises(Invalid, match="cannot be written"):
        await load(db, folder, rejects_path=tmp_path / "no" / "such" / "r.csv")
    assert await everything(db) == before


async def test_strict_refuses_bad_cells(db: Database, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", customers="id,name,timezone\nC1,Acme,Mars/Base\n")
    (said,) = await refused(db, folder, strict=True)
    assert said.startswith('customers.csv:2: timezone: "Mars/Base" is not a time zone')


async def test_a_dry_run_says_what_the_import_does(db: Database, tmp_path: Path) -> None:
    await load(db, write(tmp_path / "in", **SMALL))
    folder = write(
        tmp_path / "next",
        customers="id,name,timezone\nC1,Acme Ltd,bad\nC3,New,\n",
        contacts="id,customer_id,name,email\nK1,C1,Ann,\nK3,C3,Cy,\n",
    )
    before = await everything(db)
    planned = await load(db, folder, dry_run=True, complete=True, allow_removals=2)
    assert await everything(db) == before
    assert planned.kinds == {
        K.CUSTOMERS: Difference(new=1, changed=1, ended=1, before=2),
        K.CONTACTS: Difference(new=1, changed=1, ended=1, before=2),
    }
    done = await load(db, folder, complete=True, allow_removals=2)
    assert replace(planned, applied=True) == done


async def test_complete_ends_what_the_files_no_longer_hold(db: Database, tmp_path: Path) -> None:
    head = "customer_id,service_id\n"
    await load(db, write(tmp_path / "in", **SMALL | {"customers": "id,name\nC1,a\nC2,b\nC3,c\n"}))
    await load(
        db, write(tmp_path / "next", services="id,name\nvoice,Voice\ndata,Data\n", subscriptions=head + "C3,data\n")
    )
    report = await load(
        db, write(tmp_path / "last", customers="id,name\nC1,a\nC2,b\n", subscriptions=head + "C1,voice\n"),
        complete=True, allow_removals=2,
    )  # fmt: skip
    assert (report.kinds[K.CUSTOMERS].ended, report.kinds[K.SUBSCRIPTIONS].ended) == (1, 1)
    assert (await thing(db, "customer", "C3"))["status"] == "ended"
    assert (await thing(db, "circuit", "X2"))["status"] == "active"  # circuits.csv was not there
    back = await load(db, write(tmp_path / "back", customers="id,name\nC1,a\nC2,b\nC3,c\n"))
    assert back.kinds[K.CUSTOMERS].still_ended == 1
    await load(db, tmp_path / "back", complete=True)
    assert (await thing(db, "customer", "C3"))["status"] == "active"


async def test_complete_refuses_to_end_more_than_a_twentieth(db: Database, tmp_path: Path) -> None:
    def file(count: int) -> Path:
        return write(tmp_path / "in", sites="id\n" + "".join(f"S{n:03}\n" for n in range(count)))

    await load(db, file(100))
    assert (await load(db, file(95), complete=True)).kinds[K.SITES].ended == 5
    (said,) = await refused(db, file(85), complete=True, allow_removals=9)
    assert said == (
        "sites.csv: would end 10 of 95 sites, more than 5%: is the file whole? If so, allow it with --allow-removals 10"
    )
    await refused(db, file(85), complete=True)
    assert (await load(db, file(85), complete=True, allow_removals=10)).kinds[K.SITES].ended == 10


async def test_what_ends_may_not_be_needed_any_more(db: Database, tmp_path: Path) -> None:
    await load(db, write(tmp_path / "in", **SMALL))
    folder = write(
        tmp_path / "next",
        elements="id,kind,depends_on\nPOP-2,pop,\n",
        circuits="id,customer_id,depends_on,status\nX1,C1,POP-2,\nX2,C2,POP-LEX,\nX3,C2,POP-LEX,ended\n",
    )
    said = await refused(db, folder, complete=True, allow_removals=9)
    assert said == ['circuits.csv:3: depends_on: there is no element "POP-LEX"']


async def test_an_ended_element_named_again_is_back(db: Database, tmp_path: Path) -> None:
    await load(db, write(tmp_path / "in", **SMALL))
    await inventory(db).delete("element", "POP-2", actor=CLERK)
    assert (await load(db, tmp_path / "in")).kinds[K.ELEMENTS].changed == 1
    assert (await thing(db, "element", "POP-2"))["status"] == "active"


async def test_an_import_that_meets_a_change_judges_again(db: Database, tmp_path: Path) -> None:
    """Another writer sits on the database while the import judges, and then ends the customer it has just looked at."""
    await load(db, write(tmp_path / "in", **SMALL))
    folder = write(tmp_path / "next", customers="id,name\nC1,Renamed\n")
    async with db.write() as conn:
        importing = asyncio.create_task(load(db, folder, rejects_path=tmp_path / "r.csv"))
        # Reads and judges beside the open transaction; then it has to wait for it.
        done, _ = await asyncio.wait({importing}, timeout=0.5)
        assert not done
        await conn.execute(update(customers).where(customers.c.id == "C1").values(name="Renamed"))
        await reads.bump_version(conn)
    assert (await importing).kinds[K.CUSTOMERS] == Difference(unchanged=1, before=2)


async def test_progress_is_told(db: Database, tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []
    folder = write(tmp_path / "in", customers="id,name\n" + "".join(f"C{n},x\n" for n in range(7_000)))
    await load(db, folder, progress=lambda kind, rows: seen.append((kind, rows)))
    assert seen == [("customers", 5_000), ("customers", 7_000)]


@pytest.mark.parametrize(("count", "parents", "shared"), [(5, "", False), (6, "", True), (6, "P", False)])
async def test_an_address_on_many_customers_is_held(
    db: Database, tmp_path: Path, count: int, parents: str, shared: bool
) -> None:
    people = "".join(f"C{n},x,{parents}\n" for n in range(count))
    folder = write(
        tmp_path / "in",
        customers="id,name,parent_id\nP,Parent,\n" + people,
        contacts="id,customer_id,name,email\n" + "".join(f"K{n},C{n},x,noc@example.net\n" for n in range(count)),
    )
    await load(db, folder)
    async with db.read() as conn:
        assert list((await conn.execute(select(addresses.c.shared))).scalars()) == [shared]
    await inventory(db).delete("contact", "K0", actor=CLERK)
    async with db.read() as conn:
        assert list((await conn.execute(select(addresses.c.shared))).scalars()) == [False]


async def test_addresses_and_needs_are_rows_shared(db: Database, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", **SMALL)
    write(folder, contacts="id,customer_id,name,email\nK1,C1,a,NOC@example.net\nK2,C2,b,noc@example.net\n")
    write(folder, circuits="id,customer_id,depends_on\nX1,C1,POP-LEX ; POP-2\nX2,C1,POP-LEX;POP-2;POP-LEX\n")
    await load(db, folder)
    found = await contents(db, ["addresses", "needs"])
    assert [row[2] for row in found["addresses"]] == ["noc@example.net"]
    assert {row[1] for row in found["needs"]} == {"POP-LEX;POP-2", "POP-LEX"}


async def test_an_import_leaves_suppressions_alone(db: Database, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", **SMALL)
    await load(db, folder)
    async with db.write() as conn:
        await conn.execute(update(addresses).values(suppressed="opted_out"))
    await load(
        db, write(folder, contacts="id,customer_id,name,email\nK1,C1,Ann,new@example.net\nK3,C1,x,bob@example.net\n")
    )
    async with db.read() as conn:
        rows = await conn.execute(select(addresses.c.value, addresses.c.suppressed))
        assert {row.value: row.suppressed for row in rows}["bob@example.net"] == "opted_out"


async def test_a_chain_of_needs_may_be_long(db: Database, tmp_path: Path) -> None:
    rows = "".join(f"E{n},pop,E{n + 1}\n" for n in range(5_000))
    folder = write(tmp_path / "in", elements="id,kind,depends_on\n" + rows + "E5000,pop,\n")
    assert (await load(db, folder)).kinds[K.ELEMENTS].new == 5_001
    write(folder, elements="id,kind,depends_on\nE5000,pop,E0\n")
    (said,) = await refused(db, folder)
    assert said.startswith("elements.csv:2: depends_on: is a cycle: E0 needs E1 needs")


async def test_a_cycle_through_a_pinned_circuit_and_its_service(db: Database, tmp_path: Path) -> None:
    await load(db, write(tmp_path / "in", **SMALL))
    folder = write(tmp_path / "next", services="id,name,depends_on\nvoice,Voice,circuit:X2\n")
    (said,) = await refused(db, folder)
    assert said == (
        "services.csv:2: depends_on: is a cycle: circuit:X1 needs service:voice needs circuit:X2 needs circuit:X1"
    )


async def test_nothing_staged_is_left_where_the_next_import_goes_on(db: Database, tmp_path: Path) -> None:
    """Single rows keep their staging area with the connection: whole imports and rows one by one, in any order."""
    folder = write(tmp_path / "in", **SMALL)
    for _ in range(2):
        await load(db, folder)
        assert (await thing(db, "customer", "C1"))["name"] == "Acme"
        await inventory(db).put("customer", "C1", {"name": "Acme & Co"}, actor=CLERK)
        with pytest.raises(Invalid):
            await inventory(db).put("circuit", "X1", {"service_id": "nowhere"}, actor=CLERK)
        await inventory(db).put("circuit", "X1", {"label": "Head"}, actor=CLERK)
        assert (await thing(db, "circuit", "X1"))["label"] == "Head"


@pytest.mark.databases("sqlite")
async def test_memory_databases_can_be_imported_into(tmp_path: Path) -> None:
    db = Database.open("sqlite:///:memory:")
    await db.migrate()
    folder = write(tmp_path / "in", **SMALL)
    assert (await load(db, folder)).kinds[K.CIRCUITS].new == 2
    assert (await load(db, folder)).changes == 0
    await db.close()


ID = st.text(st.characters(max_codepoint=0x24F, exclude_categories=("C", "Z")), min_size=1, max_size=6)
WORD = st.text(st.characters(exclude_categories=("C", "Z")), max_size=8)
PEOPLE = st.dictionaries(
    ID,
    st.tuples(WORD.filter(bool), WORD, st.sampled_from(["", "en", "pt-BR"]), st.sampled_from(["active", "ended", ""])),
    min_size=1,
    max_size=6,
)


@given(PEOPLE, PEOPLE)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_what_is_written_is_what_is_stored(
    tmp_path_factory: pytest.TempPathFactory,
    first: dict[str, tuple[str, str, str, str]],
    second: dict[str, tuple[str, str, str, str]],
) -> None:
    folder = tmp_path_factory.mktemp("round")
    db = opened("t.db", folder / "db")
    await db.migrate()
    try:
        for people in (first, second, second):
            rows = [("id", "name", "tags", "language", "status"), *((id, *rest) for id, rest in people.items())]
            text = "\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)
            report = await load(db, write(folder / "in", customers=text))
        c = customers.c
        async with db.read() as conn:
            stored = (await conn.execute(select(c.id, c.name, c.tags, c.language, c.status))).all()
    finally:
        await db.close()
    assert report.changes == 0
    assert {id: tuple(rest) for id, *rest in stored} == {
        id: (name, tags, language, status or "active")
        for id, (name, tags, language, status) in (first | second).items()
    }
