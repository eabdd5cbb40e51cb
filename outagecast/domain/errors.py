"""What can be wrong with a request, by consequence.

OutageCastError
├── Invalid            the words of the request are wrong: HTTP 422, exit 2; lists every field
├── NotFound           what it names does not exist: 404
├── Forbidden          this actor may not do that: 403
├── Conflict           the state does not allow it (any more): 409
└── StaleRevision      someone was quicker (`If-Match`): 412
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldError:
    """One mistake: the field as a path (`scope.elements[0]`), and what is wrong together with its mend."""

    field: str
    message: str


class OutageCastError(Exception):
    """The root: one clear line for the person who asked."""


class Invalid(OutageCastError):
    """The request itself is wrong; nothing was changed."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(f"{e.field}: {e.message}" if e.field else e.message for e in errors))
        self.errors = errors

    @classmethod
    def one(cls, field: str, message: str) -> "Invalid":
        return cls([FieldError(field=field, message=message)])


class NotFound(OutageCastError):
    """No such outage, customer, delivery …"""


class Forbidden(OutageCastError):
    """The actor's role or person does not allow this."""


class Conflict(OutageCastError):
    """The present state does not allow this."""


class StaleRevision(OutageCastError):
    """The outage has moved on since the caller read it."""

    def __init__(self, current: int) -> None:
        super().__init__(f"the outage has changed meanwhile: it is at revision {current} now; read it again")
        self.current = current
