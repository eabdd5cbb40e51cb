"""Lists cut into pieces that a statement can hold, and the shape of what comes back."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Record: TypeAlias = Any
"""One row of a query, read by its columns' names."""
PIECE = 8000
"""Well below the bind variables SQLite (32,766) and PostgreSQL (65,535) allow in one statement."""


def chunks(values: Iterable[T], size: int = PIECE) -> Iterator[list[T]]:
    """The values in lists of at most `size`, in order; nothing for nothing."""
    rest = iter(values)
    while piece := list(islice(rest, size)):
        yield piece
