"""Which file is what: folders and single files, recognised by their names."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from outagecast.domain.errors import FieldError, Invalid
from outagecast.domain.inventory import InventoryKind

REJECTS = "rejects.csv"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One file to read; `name` is how people are told of it."""

    number: int
    kind: InventoryKind
    path: Path
    name: str


def recognise(paths: Sequence[Path]) -> tuple[Source, ...]:
    """The sources among some folders and files, in the order in which kinds refer to each other.

    A file is what its name says or begins with (`customers.csv`, `customers-2026.csv`). Invalid lists what is missing
    or cannot be told; in a folder, files with other names are left alone unless they look like a slip of the pen.
    """
    found: list[tuple[InventoryKind, Path]] = []
    errors: list[FieldError] = []
    for path in paths:
        if path.is_dir():
            inside, wrong = _in_folder(path)
            found += inside
            errors += wrong
        elif not path.is_file():
            errors.append(FieldError(field=str(path), message="there is no such file or folder"))
        elif kind := _kind_of(path):
            found.append((kind, path))
        else:
            errors.append(FieldError(field=str(path), message=f"is none of {_ALL} by its name{_guess(path)}"))
    if not found and not errors:
        errors.append(FieldError(field=", ".join(map(str, paths)), message=f"nothing to import: put {_ALL} there"))
    if errors:
        raise Invalid(errors)
    return _numbered(found)


_ALL = ", ".join(f"{kind}.csv" for kind in InventoryKind)


def _numbered(found: list[tuple[InventoryKind, Path]]) -> tuple[Source, ...]:
    order = {kind: place for place, kind in enumerate(InventoryKind)}
    unique = sorted({path.resolve(): (kind, path) for kind, path in found}.values(), key=lambda f: (order[f[0]], f[1]))
    names = [path.name for _, path in unique]
    return tuple(
        Source(number=number, kind=kind, path=path, name=path.name if names.count(path.name) == 1 else str(path))
        for number, (kind, path) in enumerate(unique)
    )


def _in_folder(folder: Path) -> tuple[list[tuple[InventoryKind, Path]], list[FieldError]]:
    found: list[tuple[InventoryKind, Path]] = []
    errors: list[FieldError] = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() != ".csv" or path.name == REJECTS or not path.is_file():
            continue
        if kind := _kind_of(path):
            found.append((kind, path))
        elif guess := _guess(path):
            errors.append(FieldError(field=str(path), message=f"is none of {_ALL} by its name{guess}"))
    return found, errors


def _kind_of(path: Path) -> InventoryKind | None:
    head = re.match(r"[a-z]+", path.stem.lower())
    return next((kind for kind in InventoryKind if head and kind.value == head[0]), None)


def _guess(path: Path) -> str:
    close = difflib.get_close_matches(path.stem.lower(), [kind.value for kind in InventoryKind], n=1, cutoff=0.8)
    return f" (did you mean {close[0]}.csv?)" if close else ""
