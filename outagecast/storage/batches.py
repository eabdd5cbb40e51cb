"""Lists cut into pieces that a statement can hold, and the shape of what comes back."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import ColumnElement, func, literal, select

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


def among(column: ColumnElement[Any], values: Iterable[int] | Iterable[str]) -> ColumnElement[bool]:
    """Whether a column holds one of these. As one parameter: a list behind IN is spelled anew at every execution, and
    that costs a wave an eighth of its planning.
    """
    listed = func.json_each(literal(json.dumps(list(values)))).table_valued("value")
    return column.in_(select(listed.c.value))
