"""Files as strangers send them: names made safe, archives unpacked with every byte counted.

A zip is taken as a list of plain files: no folders, no links, no passwords, no archives inside, and never more bytes
than the limit, whatever its directory claims (a bomb's directory lies).
"""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from outagecast.domain.errors import Invalid
from outagecast.importers.files import REJECTS

LONGEST_UPLOAD = 128 * 1024 * 1024
LONGEST_UNPACKED = 512 * 1024 * 1024
"""A million circuits are some 90 MB."""
MOST_FILES = 20
_CHUNK = 1 << 20
_LONGEST_NAME = 80
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


def safe_name(given: str) -> str:
    """The last part of a name, of harmless characters only: `../../etc/Customers 2026.csv` is `Customers-2026.csv`.

    Invalid for what is neither CSV nor zip.
    """
    last = PurePosixPath(given.replace("\\", "/")).name
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", last).lstrip(".-")[-_LONGEST_NAME:]
    if not plain.lower().endswith((".csv", ".zip")):
        raise Invalid.one(plain or "file", "is neither a CSV file nor a zip of CSV files")
    return plain


def unpack(archive: Path, folder: Path, *, longest: int = LONGEST_UNPACKED) -> list[Path]:
    """The CSV files of an archive, written into a folder under safe names. Invalid says what is wrong with it."""
    try:
        with zipfile.ZipFile(archive) as opened:
            return _unpack(opened, archive.name, folder, longest)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, OSError, ValueError) as error:
        raise Invalid.one(archive.name, f"is no zip that can be read: {error}") from error


def _unpack(opened: zipfile.ZipFile, name: str, folder: Path, longest: int) -> list[Path]:
    found = [entry for entry in opened.infolist() if not _is_left_out(entry)]
    if not found:
        raise Invalid.one(name, "holds no CSV file")
    if len(found) > MOST_FILES:
        raise Invalid.one(name, f"holds {len(found)} CSV files: at most {MOST_FILES} are taken")
    written: list[Path] = []
    left = longest
    for entry in found:
        _check(entry, name)
        target = folder / safe_name(entry.filename)
        if target.exists():
            raise Invalid.one(name, f"holds two files called {target.name}")
        with opened.open(entry) as source, target.open("xb") as file:
            for chunk in iter(lambda source=source: source.read(_CHUNK), b""):  # type: ignore[misc]
                left -= len(chunk)
                if left < 0:
                    raise Invalid.one(name, f"unpacks to more than {longest // (1024 * 1024)} MiB")
                file.write(chunk)
        written.append(target)
    return written


def _is_left_out(entry: zipfile.ZipInfo) -> bool:
    """Folders, what the Mac and editors leave behind, texts beside the files, the rejects of an earlier import."""
    path = PurePosixPath(entry.filename.replace("\\", "/"))
    hidden = any(part.startswith((".", "__MACOSX")) and part != ".." for part in path.parts)
    return entry.is_dir() or hidden or path.suffix.lower() != ".csv" or path.name == REJECTS


def _check(entry: zipfile.ZipInfo, name: str) -> None:
    if entry.flag_bits & _ENCRYPTED:
        raise Invalid.one(name, f"{safe_name(entry.filename)} is locked with a password")
    if entry.compress_type not in _METHODS:
        raise Invalid.one(name, f"{safe_name(entry.filename)} is packed in a way that is not taken (use deflate)")


def count_rows(path: Path) -> int:
    """Lines without the header: near enough for a bar, and quick for a million of them."""
    with path.open("rb") as file:
        return max(0, sum(part.count(b"\n") for part in _parts(file)) - 1)


def _parts(file: object) -> Iterator[bytes]:
    return iter(lambda: file.read(_CHUNK), b"")  # type: ignore[attr-defined]
