"""The columns of the files of `outagecast import`, and what a billing export calls them.

Each field is one of our columns; its value is the name in the file where that is another, else empty.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator

from outagecast.settings_base import Settings
from outagecast.settings_types import Line


def _header(text: str) -> str:
    if not text:
        raise ValueError('is empty (write the column\'s name in your file, like "Account No")')
    return text


Header = Annotated[Line, AfterValidator(_header)]


class SiteColumns(Settings):
    id: Header = ""
    name: Header = ""
    latitude: Header = ""
    longitude: Header = ""
    timezone: Header = ""
    area: Header = ""


class ElementColumns(Settings):
    id: Header = ""
    kind: Header = ""
    name: Header = ""
    site: Header = ""
    a: Header = ""
    z: Header = ""
    gateway: Header = ""
    depends_on: Header = ""


class ServiceColumns(Settings):
    id: Header = ""
    name: Header = ""
    public: Header = ""
    position: Header = ""
    depends_on: Header = ""


class CustomerColumns(Settings):
    id: Header = ""
    name: Header = ""
    status: Header = ""
    parent_id: Header = ""
    told_via: Header = ""
    language: Header = ""
    timezone: Header = ""
    tier: Header = ""
    tags: Header = ""


class ContactColumns(Settings):
    id: Header = ""
    customer_id: Header = ""
    name: Header = ""
    role: Header = ""
    email: Header = ""
    phone: Header = ""
    language: Header = ""
    timezone: Header = ""
    channels: Header = ""
    notify: Header = ""
    quiet_hours: Header = ""
    wake_for: Header = ""
    consent_at: Header = ""
    consent_source: Header = ""
    status: Header = ""


class CircuitColumns(Settings):
    id: Header = ""
    customer_id: Header = ""
    service_id: Header = ""
    label: Header = ""
    site: Header = ""
    place: Header = ""
    depends_on: Header = ""
    status: Header = ""


class SubscriptionColumns(Settings):
    customer_id: Header = ""
    service_id: Header = ""


class ImportSettings(Settings):
    """`[import.customers]` and its siblings: one table for each file."""

    sites: SiteColumns = SiteColumns()
    elements: ElementColumns = ElementColumns()
    services: ServiceColumns = ServiceColumns()
    customers: CustomerColumns = CustomerColumns()
    contacts: ContactColumns = ContactColumns()
    circuits: CircuitColumns = CircuitColumns()
    subscriptions: SubscriptionColumns = SubscriptionColumns()

    def headers(self) -> dict[str, dict[str, str]]:
        """`{"customers": {"id": "Account No"}}`: for each file those of our columns that it calls otherwise."""
        tables: dict[str, dict[str, str]] = self.model_dump()
        return {file: {ours: theirs for ours, theirs in names.items() if theirs} for file, names in tables.items()}


COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {file: tuple(names) for file, names in ImportSettings().model_dump().items()}
)
"""Our columns of each file, by the file's name without `.csv`."""
