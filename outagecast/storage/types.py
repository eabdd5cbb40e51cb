"""Column types that mean the same on every database."""

import json
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Dialect
from sqlalchemy.types import TypeDecorator

from outagecast.domain.facts import from_micros, to_micros

Json = JSON(none_as_null=True)
"""A JSON value; None is SQL's NULL."""


def compact(value: Any) -> str:
    """A JSON value as it is kept."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC time, kept as integer microseconds since 1970: sorts, compares and indexes alike everywhere.

    To read one by hand in SQLite: `datetime(due_at / 1000000, 'unixepoch')`.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a naive time must not reach the database: {value!r}")
        return to_micros(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else from_micros(int(value))
