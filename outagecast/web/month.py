"""A calendar month in a zone: how reports are asked for."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

_WRITTEN = re.compile(r"(\d{4})-(\d{2})", re.ASCII)
_NAMES = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Month:
    """[start, end) in aware UTC, as the zone's own midnights; months with a change of clocks are longer or shorter."""

    year: int
    number: int
    zone: tzinfo

    @classmethod
    def read(cls, text: str, zone: tzinfo) -> "Month":
        """`2026-11`. ValueError says how to write it."""
        found = _WRITTEN.fullmatch(text.strip())
        if found is None or not 1 <= int(found[2]) <= 12 or not 1970 <= int(found[1]) <= 9998:
            raise ValueError("is no month: write 2026-11")
        return cls(year=int(found[1]), number=int(found[2]), zone=zone)

    @classmethod
    def of(cls, at: datetime, zone: tzinfo) -> "Month":
        """The month a moment lies in."""
        local = at.astimezone(zone)
        return cls(year=local.year, number=local.month, zone=zone)

    @property
    def name(self) -> str:
        """`2026-11`."""
        return f"{self.year:04d}-{self.number:02d}"

    @property
    def words(self) -> str:
        """`November 2026`."""
        return f"{_NAMES[self.number - 1]} {self.year}"

    @property
    def start(self) -> datetime:
        return datetime(self.year, self.number, 1, tzinfo=self.zone).astimezone(UTC)

    @property
    def end(self) -> datetime:
        return self.after.start

    @property
    def after(self) -> "Month":
        months = self.year * 12 + self.number
        return Month(year=months // 12, number=months % 12 + 1, zone=self.zone)

    @property
    def before(self) -> "Month":
        months = self.year * 12 + self.number - 2
        return Month(year=months // 12, number=months % 12 + 1, zone=self.zone)
