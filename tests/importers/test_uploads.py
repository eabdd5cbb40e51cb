"""Uploads from strangers: names that mean harm, archives that lie."""

import zipfile
from pathlib import Path

import pytest

from outagecast.domain.errors import Invalid
from outagecast.importers.uploads import MOST_FILES, count_rows, safe_name, unpack


def pack(folder: Path, *entries: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder / "export.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, body in entries:
            archive.writestr(name, body)
    return path


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("customers.csv", "customers.csv"),
        ("../../etc/customers.csv", "customers.csv"),
        ("C:\\Users\\ann\\Customers 2026.CSV", "Customers-2026.CSV"),
        ("/customers.csv", "customers.csv"),
        ("..customers.csv", "customers.csv"),
        ("-rf customers.csv", "rf-customers.csv"),
        ("cust\x00omers\n.csv", "cust-omers-.csv"),
        ("\u202ecustomers.csv", "customers.csv"),
        ("x" * 300 + ".csv", "x" * 76 + ".csv"),
        ("export.ZIP", "export.ZIP"),
    ],
)
def test_names_are_made_harmless(given: str, safe: str) -> None:
    assert safe_name(given) == safe


@pytest.mark.parametrize("given", ["", ".", "..", "customers", "customers.csv.exe", "customers.xlsx"])
def test_other_files_are_refused(given: str) -> None:
    with pytest.raises(Invalid, match="neither a CSV file nor a zip"):
        safe_name(given)


def test_unpacking_flattens_and_leaves_out(tmp_path: Path) -> None:
    archive = pack(
        tmp_path,
        ("../../outside/sites.csv", b"id\nLEX\n"),
        ("/abs/customers.csv", b"id,name\nK-1,Acme\n"),
        (".hidden/contacts.csv", b"x"),
        ("__MACOSX/sites.csv", b"x"),
        ("inner.zip", b"PK"),
        ("rejects.csv", b"x"),
    )
    inside = tmp_path / "inside"
    inside.mkdir()
    found = unpack(archive, inside)
    assert sorted(path.name for path in found) == ["customers.csv", "sites.csv"]
    assert all(path.parent == inside for path in found)
    assert not (tmp_path.parent / "outside").exists()
    assert count_rows(inside / "customers.csv") == 1


def test_a_bomb_is_stopped_at_the_limit(tmp_path: Path) -> None:
    archive = pack(tmp_path, ("sites.csv", b"0" * 3_000_000), ("elements.csv", b"0" * 3_000_000))
    assert archive.stat().st_size < 10_000
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(Invalid, match="unpacks to more than 4 MiB"):
        unpack(archive, inside, longest=4 * 1024 * 1024)
    assert sum(path.stat().st_size for path in inside.iterdir()) <= 4 * 1024 * 1024


def test_a_directory_that_lies_about_sizes_is_not_believed(tmp_path: Path) -> None:
    archive = pack(tmp_path, ("sites.csv", b"id\n" + b"A" * 200_000))
    raw = bytearray(archive.read_bytes())
    at = raw.index(b"PK\x01\x02")
    raw[at + 24 : at + 28] = (10).to_bytes(4, "little")
    archive.write_bytes(raw)
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(Invalid):
        unpack(archive, inside)


def test_locked_oddly_packed_too_many_and_broken(tmp_path: Path) -> None:
    locked = pack(tmp_path, ("sites.csv", b"id\n"))
    raw = bytearray(locked.read_bytes())
    raw[raw.index(b"PK\x03\x04") + 6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    locked.write_bytes(raw)
    for name in ("odd", "many"):
        (tmp_path / name).mkdir()
    odd = pack(tmp_path / "odd", ("sites.csv", b"id\n"), method=zipfile.ZIP_BZIP2)
    many = pack(tmp_path / "many", *((f"sites-{n}.csv", b"id\n") for n in range(MOST_FILES + 1)))
    for archive, says in ((locked, "locked with a password"), (odd, "use deflate"), (many, "at most")):
        inside = archive.parent / "inside"
        inside.mkdir(exist_ok=True)
        with pytest.raises(Invalid, match=says):
            unpack(archive, inside)
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x05\x06")
    with pytest.raises(Invalid, match="no zip that can be read"):
        unpack(broken, tmp_path)
