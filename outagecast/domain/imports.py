"""What an import is made of: rows ready for staging, what is wrong with the others, and what it would change."""

from dataclasses import dataclass
from typing import TypeAlias

from outagecast.domain.errors import FieldError, Invalid
from outagecast.domain.inventory import InventoryKind, Value

Row: TypeAlias = tuple[Value | None, ...]
"""File number, line, the values of the kind's COLUMNS in their order (None: not mentioned), attributes.

The attributes are a JSON merge patch (RFC 7396), None where none are mentioned.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistake:
    """One structural mistake. `column` is empty where the whole line is wrong."""

    file: int
    line: int
    column: str
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reject:
    """One bad cell that was emptied."""

    file: int
    line: int
    id: str
    column: str
    value: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Some thousand rows of one kind."""

    kind: InventoryKind
    rows: list[Row]
    mistakes: list[Mistake]
    rejects: list[Reject]


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What an import does to one kind. `ended` are those that the files no longer hold."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    ended: int = 0
    still_ended: int = 0
    """Rows that are named but had ended, and stay so as the file has no status column."""
    before: int = 0
    """How many there were that had not ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One row that an import makes, changes or ends. `fields`: (column, as it was, as it will be), of a change only."""

    what: str
    id: str
    name: str
    fields: tuple[tuple[str, str, str], ...] = ()


class ImportRefused(Invalid):
    """Structural mistakes: nothing at all was changed. `errors` holds the first of them, `total` counts all."""

    def __init__(self, errors: list[FieldError], total: int) -> None:
        super().__init__(errors)
        self.total = total

    def lines(self, limit: int = 200) -> list[str]:
        """For people: `file:line: column: what is wrong`, one line each."""
        shown = [f"{error.field}: {error.message}" for error in self.errors[:limit]]
        return [*shown, f"… and {self.total - len(shown)} more"] if self.total > len(shown) else shown


class RemovalsRefused(ImportRefused):
    """The files would end more than the brake lets pass; `removals` is how many had to be allowed."""

    def __init__(self, errors: list[FieldError], removals: int) -> None:
        super().__init__(errors, len(errors))
        self.removals = removals
