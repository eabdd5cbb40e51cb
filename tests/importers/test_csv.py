"""Reading files: what arrives, and what is said of lines that cannot be read."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagecast.domain.errors import Invalid
from outagecast.domain.imports import Batch
from outagecast.domain.inventory import COLUMNS, InventoryKind
from outagecast.importers.csv import read_batches
from outagecast.importers.files import Source, recognise
from outagecast.importers.settings import COLUMNS as SETTINGS_COLUMNS


def read(
    folder: Path, content: str | bytes, *, name: str = "customers", strict: bool = False, **columns: str
) -> list[Batch]:
    path = folder / f"{name}.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (source,) = recognise([path])
    return list(read_batches(source, columns=columns, region="US", strict=strict))


def rows(batches: list[Batch]) -> list[dict[str, Any]]:
    return [
        {c.name: value for c, value in zip(COLUMNS[batch.kind], row[2:-1], strict=True) if value is not None}
        | {"line": row[1]}
        | ({"attributes": row[-1]} if row[-1] else {})
        for batch in batches
        for row in batch.rows
    ]


def mistakes(batches: list[Batch]) -> list[str]:
    return [f"{m.line}: {m.column}: {m.what}" for batch in batches for m in batch.mistakes]


def rejects(batches: list[Batch]) -> list[tuple[int, str, str, str]]:
    return [(r.line, r.id, r.column, r.value) for batch in batches for r in batch.rejects]


def test_the_columns_are_those_of_the_settings() -> None:
    assert {kind.value: tuple(c.name for c in columns) for kind, columns in COLUMNS.items()} == dict(SETTINGS_COLUMNS)


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_spreadsheet_can_write_it(tmp_path: Path, bom: bytes, delimiter: str, end: str) -> None:
    text = end.join(["id,name,tier", 'C1," Acme  ",gold', "", 'C2,"Bëta ""x""",']) + end
    found = read(tmp_path, bom + text.replace(",", delimiter).encode())
    assert rows(found) == [
        {"id": "C1", "name": "Acme", "tier": "gold", "line": 2},
        {"id": "C2", "name": 'Bëta "x"', "tier": "", "line": 4},
    ]
    assert mistakes(found) == []


def test_a_delimiter_within_the_names_does_not_mislead(tmp_path: Path) -> None:
    assert rows(read(tmp_path, 'id;name;"a,b,c,d"\nC1;Acme;1\n'))[0]["attributes"] == '{"a,b,c,d":"1"}'


def test_mapped_names_and_extra_columns(tmp_path: Path) -> None:
    found = read(tmp_path, "Account No,NAME,id,Sales\n7,Acme,raw,\n", id="account no")
    assert rows(found) == [{"id": "7", "name": "Acme", "line": 2, "attributes": '{"id":"raw","Sales":null}'}]


def test_a_line_is_where_its_cell_ends_and_breaks_become_blanks(tmp_path: Path) -> None:
    found = read(tmp_path, 'id,name\nC1,"Acme\nInc\u2028x"\nC2,B\x07eta\n')
    assert rows(found) == [{"id": "C1", "name": "Acme Inc x", "line": 3}, {"id": "C2", "name": "B eta", "line": 4}]


def test_every_mistake_of_a_file_is_found_by_its_line(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        b"id,name,status,told_via\n"
        b",No id,,\n"
        b"C2,,,\n"
        b"C3,Caf\xe9,,\n"
        b"C4,N\x00L,,\n"
        b"C5,short\n"
        b"C6,a,b,,long\n"
        b"C7,x,gone,nobody\n"
        b'C8,"a"b,,\n'
        b"C9,fine,ACTIVE,parent,,\n"
        b'C10,"open,,\n'
        b"C11,eaten,,\n",
    )
    assert mistakes(found) == [
        "2: id: is missing",
        "3: name: is missing",
        "4: : is not UTF-8 (save the file as UTF-8)",
        "5: : holds a NUL byte (save the file as UTF-8 text)",
        "6: : has 2 cells, but the header has 4",
        "7: : has 5 cells, but the header has 4",
        '8: status: "gone" is not one of active, suspended, ended',
        '8: told_via: "nobody" is not one of self, parent, both',
        "9: : cannot be read: ',' expected after '\"'",
        '11: : a quoted cell that begins here is never closed (look for a stray ")',
    ]
    assert {"id": "C9", "name": "fine", "status": "active", "told_via": "parent", "line": 10} in rows(found)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "1: : the first line is empty: it must name the columns"),
        ("\nid,name\n", "1: : the first line is empty: it must name the columns"),
        ("id,nmae\nC1,x\n", "1: name: this column is missing from the header (did you mean nmae?)"),
        ("number,name\n", "1: id: this column is missing from the header (it has number, name)"),
        ("id,name,ID\n", "1: ID: is there twice in the header"),
        ("id,name\n".encode("utf-16"), "1: : the file is UTF-16 (save it as UTF-8)"),
    ],
)
def test_a_header_that_will_not_do(tmp_path: Path, content: str | bytes, said: str) -> None:
    found = read(tmp_path, content)
    assert said in mistakes(found)
    assert rows(found) == []


def test_a_mapped_column_must_be_there(tmp_path: Path) -> None:
    found = read(tmp_path, "id,name\nC1,x\n", tier="Tariff")
    assert mistakes(found) == ["1: tier: this column is missing from the header (it has id, name)"]


BAD_CELLS = (
    "id,customer_id,name,email,phone,language,timezone,channels,notify,quiet_hours,wake_for,consent_at\n"
    "K1,C1,Ann,ann@,859 555 0100 x7,klingon,Mars/Base,fax,outages,late,never,soon\n"
)


def test_bad_cells_are_emptied_and_listed(tmp_path: Path) -> None:
    found = read(tmp_path, BAD_CELLS, name="contacts")
    assert mistakes(found) == []
    assert [column for _, _, column, _ in rejects(found)] == BAD_CELLS.splitlines()[0].split(",")[3:]
    assert set(rejects(found)) >= {(2, "K1", "email", "ann@"), (2, "K1", "consent_at", "soon")}
    (row,) = rows(found)
    assert {row[column] for column in BAD_CELLS.splitlines()[0].split(",")[3:]} == {""}


def test_strict_makes_them_mistakes(tmp_path: Path) -> None:
    found = read(tmp_path, BAD_CELLS, name="contacts", strict=True)
    assert rejects(found) == []
    assert len(mistakes(found)) == 9


def test_bad_degrees_are_cells_too_and_a_decimal_comma_is_none(tmp_path: Path) -> None:
    found = read(tmp_path, "id;latitude;longitude\nA;38,04;200\nB;nan;x\n", name="sites")
    assert [row.get("latitude") for row in rows(found)] == [38.04, ""]
    assert [(line, column) for line, _, column, _ in rejects(found)] == [
        (2, "longitude"),
        (3, "latitude"),
        (3, "longitude"),
    ]


def test_large_files_come_in_batches(tmp_path: Path) -> None:
    found = read(tmp_path, "id,name\n" + "".join(f"C{n},x\n" for n in range(12_000)))
    assert [len(batch.rows) for batch in found] == [5_000, 5_000, 2_000]


def test_files_are_known_by_name(tmp_path: Path) -> None:
    for name in ("customers-2026.csv", "Circuits.CSV", "sites_old.csv", "rejects.csv", "notes.txt", "prices.csv"):
        (tmp_path / name).write_text("id\n")
    found = recognise([tmp_path, tmp_path / "Circuits.CSV"])
    assert [(s.number, s.kind, s.name) for s in found] == [
        (0, InventoryKind.SITES, "sites_old.csv"),
        (1, InventoryKind.CUSTOMERS, "customers-2026.csv"),
        (2, InventoryKind.CIRCUITS, "Circuits.CSV"),
    ]


def test_a_file_that_cannot_be_told_is_refused(tmp_path: Path) -> None:
    (tmp_path / "custmers.csv").write_text("id\n")
    with pytest.raises(Invalid, match=r"did you mean customers\.csv"):
        recognise([tmp_path])
    with pytest.raises(Invalid, match="no such file"):
        recognise([tmp_path / "x.csv"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(Invalid, match="nothing to import"):
        recognise([tmp_path / "empty"])


CELL = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=12).map(str.strip)


@given(st.lists(st.tuples(CELL.filter(bool), CELL.filter(bool), CELL), min_size=1, max_size=8))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str, str]]) -> None:
    folder = tmp_path_factory.mktemp("csv")
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in [("id", "name", "tier"), *cells]]
    found = read(folder, "\n".join(quoted))
    assert [(row["id"], row["name"], row["tier"]) for row in rows(found)] == cells
    assert mistakes(found) == []


def test_a_source_names_its_file(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "sites.csv").write_text("id\n")
    found: tuple[Source, ...] = recognise([tmp_path / "a", tmp_path / "b"])
    assert [s.name for s in found] == [str(tmp_path / "a" / "sites.csv"), str(tmp_path / "b" / "sites.csv")]
