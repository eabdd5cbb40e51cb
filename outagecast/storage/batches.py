"""Lists cut into pieces that a statement can hold, and the shape of what comes back."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import ARRAY, BigInteger, Boolean, ColumnElement, Dialect, Text, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

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
    kind = _NUMBERS if isinstance(column.type, BigInteger) or column.type.python_type is int else _WORDS
    return _Among(column, bindparam(None, list(values), type_=kind))


def within(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """`among` for a statement that is kept: the values are given under this name at each execution, as `listed`."""
    kind = _NUMBERS if isinstance(column.type, BigInteger) or column.type.python_type is int else _WORDS
    return _Among(column, bindparam(name, type_=kind))


def each_of(column: ColumnElement[Any], name: str) -> Any:
    """The values given under this name as a table with one column, `value`: to join from, in their order of places."""
    kind = _NUMBERS if isinstance(column.type, BigInteger) or column.type.python_type is int else _WORDS
    return _Each(bindparam(name, type_=kind)).table_valued("value")


def listed(dialect: Dialect, values: Iterable[int] | Iterable[str]) -> Any:
    """Values for `within`, where the driver is handed them without SQLAlchemy (storage/driver.py)."""
    return list(values) if dialect.name == "postgresql" else json.dumps(list(values))


class _Listed(TypeDecorator[Sequence[Any]]):
    """A list as one parameter: an array on PostgreSQL, JSON on SQLite."""

    impl = Text
    cache_ok = True

    def __init__(self, numbers: bool) -> None:
        super().__init__()
        self.numbers = numbers

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(ARRAY(BigInteger() if self.numbers else Text()))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> Any:
        return value if dialect.name == "postgresql" or value is None else json.dumps(value)


_NUMBERS = _Listed(True)
_WORDS = _Listed(False)


class _Among(FunctionElement[bool]):
    type = Boolean()
    # Else SQLite, which knows no booleans, is asked for `… = 1`, and no index is used.
    _is_implicitly_boolean = True
    name = "among"
    inherit_cache = True


@compiles(_Among, "sqlite")
def _among_sqlite(element: Any, compiler: Any, **more: Any) -> str:
    column, listed = (compiler.process(clause, **more) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({listed}))"


@compiles(_Among, "postgresql")
def _among_postgresql(element: Any, compiler: Any, **more: Any) -> str:
    column, listed = (compiler.process(clause, **more) for clause in element.clauses)
    return f"{column} = ANY ({listed})"


class _Each(FunctionElement[Any]):
    type = BigInteger()
    name = "each"
    inherit_cache = True


@compiles(_Each, "sqlite")
def _each_sqlite(element: Any, compiler: Any, **more: Any) -> str:
    return f"json_each({', '.join(compiler.process(clause, **more) for clause in element.clauses)})"


@compiles(_Each, "postgresql")
def _each_postgresql(element: Any, compiler: Any, **more: Any) -> str:
    return f"(SELECT unnest({', '.join(compiler.process(clause, **more) for clause in element.clauses)}) AS value)"
