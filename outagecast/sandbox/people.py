"""Who an address belongs to, from the provider's own contacts.csv and customers.csv: names for the inbox."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """One contact of one customer; email and phone are "" where there are none."""

    name: str
    customer: str
    email: str
    phone: str


class People:
    """Look-ups by address; several contacts may share one."""

    def __init__(self, people: Iterable[Person] = ()) -> None:
        self._by_address: dict[str, list[Person]] = {}
        for person in people:
            for address in (person.email, person.phone):
                if address:
                    self._by_address.setdefault(address_key(address), []).append(person)

    def of(self, address: str) -> tuple[Person, ...]:
        return tuple(self._by_address.get(address_key(address), ()))


def read_people(folder: Path) -> People:
    """Read the two files; raises OSError and KeyError (a column is missing)."""
    with (folder / "customers.csv").open(newline="", encoding="utf-8-sig") as lines:
        customers = {row["id"]: row["name"] for row in csv.DictReader(lines)}
    with (folder / "contacts.csv").open(newline="", encoding="utf-8-sig") as lines:
        return People(
            Person(
                name=row["name"],
                customer=customers.get(row["customer_id"], ""),
                email=row["email"],
                phone=row["phone"],
            )
            for row in csv.DictReader(lines)
        )


def address_key(address: str) -> str:
    """The same for `+1 (606) 555-0100` and `+16065550100`, for `A@X` and `a@x`."""
    address = address.strip().lower()
    return address if "@" in address else "+" + "".join(filter(str.isdigit, address))
