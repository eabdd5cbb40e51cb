"""The demo's provider, Bluegrass Fiber: invented, the same for the same seed, as the seven files of the import."""

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from outagecast.sandbox.provider_customers import (
    CIRCUIT_COLUMNS,
    CONTACT_COLUMNS,
    CUSTOMER_COLUMNS,
    SUBSCRIPTION_COLUMNS,
    build_customers,
)
from outagecast.sandbox.provider_network import ELEMENT_COLUMNS, SERVICE_COLUMNS, SITE_COLUMNS, Row, build_network

PROVIDER_NAME = "Bluegrass Fiber"
PROVIDER_TIMEZONE = "America/New_York"
DEFAULT_SEED = 1792


@dataclass(frozen=True, kw_only=True, slots=True)
class Walkthrough:
    """Scopes worth declaring, and how many customers lose something when the spur or the service is down."""

    spur_pop: str = "POP-HAZ"
    """At the end of a line with one more POP behind it: all of its customers are down."""
    spur_link: str = "LNK-LON-HAZ"
    """The only way there: the same outage, told by its cause."""
    ring_link: str = "LNK-RIC-BER"
    """Between two towns of a ring: nobody is down, redundancy is reduced."""
    service: str = "iptv"
    """A service with one headend, without circuits of its own."""
    power: str = "PWR-LEX-A"
    """One of two feeds of a large POP."""
    spur_customers: int = 0
    service_customers: int = 0


def write_provider(folder: Path, *, seed: int = DEFAULT_SEED, customers: int = 2000) -> Walkthrough:
    """Write sites, elements, services, customers, contacts, circuits and subscriptions as CSV into `folder` (made).

    Raises OSError. Files that are there are overwritten.
    """
    dice = random.Random(seed)
    network = build_network()
    made = build_customers(dice, network, customers)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "sites.csv", SITE_COLUMNS, network.sites)
    _write(folder / "elements.csv", ELEMENT_COLUMNS, network.elements)
    _write(folder / "services.csv", SERVICE_COLUMNS, network.services)
    _write(folder / "customers.csv", CUSTOMER_COLUMNS, made.customers)
    _write(folder / "contacts.csv", CONTACT_COLUMNS, made.contacts)
    _write(folder / "circuits.csv", CIRCUIT_COLUMNS, made.circuits)
    _write(folder / "subscriptions.csv", SUBSCRIPTION_COLUMNS, made.subscriptions)
    return Walkthrough(
        spur_customers=len({row["customer_id"] for row in made.circuits if _behind_the_spur(row)}),
        service_customers=len({row["customer_id"] for row in made.subscriptions if row["service_id"] == "iptv"}),
    )


def _behind_the_spur(circuit: Row) -> bool:
    """Whether every way of an active circuit is at the end of the line: Hazard, or Pikeville beyond it."""
    ways = circuit["depends_on"].split("|")
    return circuit["status"] == "active" and all(way.split("-")[1] in ("HAZ", "PIK") for way in ways)


def _write(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
