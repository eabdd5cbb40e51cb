"""The invented provider's customers: who they are, whom to tell, what they have and what it hangs on."""

import random
from dataclasses import dataclass, field

from outagecast.sandbox.provider_addresses import Addresses, slug
from outagecast.sandbox.provider_names import (
    BUSINESS_HEADS,
    BUSINESS_LABELS,
    BUSINESS_TAILS,
    ENDINGS,
    FIRST,
    GERMAN_FIRMS,
    GERMAN_PEOPLE,
    HOME_LABELS,
    LAST,
    OTHER_PEOPLE,
    PUBLIC_BODIES,
    RESELLER,
    STREETS,
)
from outagecast.sandbox.provider_network import Network, Row
from outagecast.sandbox.provider_places import BERLIN, PLACES, Place

CUSTOMER_COLUMNS = ("id", "name", "status", "parent_id", "told_via", "language", "timezone", "tier", "tags")
CONTACT_COLUMNS = (
    "id",
    "customer_id",
    "name",
    "role",
    "email",
    "phone",
    "language",
    "timezone",
    "channels",
    "notify",
    "quiet_hours",
    "wake_for",
    "consent_at",
    "consent_source",
    "status",
)
CIRCUIT_COLUMNS = ("id", "customer_id", "service_id", "label", "site", "place", "depends_on", "status")
SUBSCRIPTION_COLUMNS = ("customer_id", "service_id")
CHILDREN_OF_RESELLER = 60
CUSTOMERS_OF_HELPER = 4  # above five, an address without a common parent is held back until staff confirm it
PEOPLE_SHARE = 0.58
BOTH = "outage degraded reduced_redundancy maintenance"


@dataclass(kw_only=True, slots=True)
class Customers:
    """Rows of the four files about customers."""

    customers: list[Row] = field(default_factory=list)
    contacts: list[Row] = field(default_factory=list)
    circuits: list[Row] = field(default_factory=list)
    subscriptions: list[Row] = field(default_factory=list)


def build_customers(dice: random.Random, network: Network, count: int) -> Customers:
    """`count` customers with contacts, circuits and subscriptions; the same dice give the same customers."""
    return _Maker(dice, network).make(count)


class _Maker:
    def __init__(self, dice: random.Random, network: Network) -> None:
        self.dice = dice
        self.network = network
        self.made = Customers()
        self.addresses = Addresses()
        self.used_names: set[str] = set()
        self.with_helper = 0
        self.status = "active"

    def make(self, count: int) -> Customers:
        weights = [place.weight for place in PLACES]
        for number in range(1, count + 1):
            place = self.dice.choices(PLACES, weights)[0]
            id = f"C{number:05d}"
            if number == 1:
                self._business(id, place, name=RESELLER, tags="reseller")
            elif number <= 1 + min(CHILDREN_OF_RESELLER, count // 20):
                self._child(id, place)
            elif number <= 1 + min(CHILDREN_OF_RESELLER, count // 20) + min(len(GERMAN_FIRMS), count // 100):
                self._german(id, place, GERMAN_FIRMS[number % len(GERMAN_FIRMS)])
            elif self.dice.random() < PEOPLE_SHARE:
                self._person(id, place)
            else:
                self._business(id, place, name=self._business_name(place))
        return self.made

    # kinds of customers

    def _person(self, id: str, place: Place) -> None:
        name = self._person_name()
        self._customer(id, name, place, tier="residential", language="es" if _spanish(name) else "")
        self._contact(id, name, place, role="technical", domain="mail.example")
        if self.dice.random() < 0.32:  # the other half of the household
            family = name.split()[-1]
            self._contact(id, f"{self.dice.choice(FIRST)} {family}", place, role="technical", domain="mail.example")
        self._circuit(id, place, self.dice.choice(HOME_LABELS) if self.dice.random() < 0.3 else "Home")
        for service, share in (("iptv", 0.35), ("voice", 0.12), ("wifi", 0.18)):
            if self.dice.random() < share:
                self._subscribe(id, service)

    def _business(self, id: str, place: Place, *, name: str, tags: str = "", parent: Row | None = None) -> None:
        gold = self.dice.random() < 0.18
        self._customer(id, name, place, tier="gold" if gold else "business", tags=tags, parent=parent)
        domain = f"{slug(name)}.example"
        for number in range(self.dice.choices((1, 2, 3, 4), (24, 38, 27, 11))[0]):
            role = ("technical", "management", "technical", "billing")[number]
            self._contact(id, self._person_name(), place, role=role, domain=domain, gold=gold)
        if not parent and id != "C00001" and self.with_helper < CUSTOMERS_OF_HELPER:
            self.with_helper += 1
            self._helper(id)
        labels = self.dice.sample(BUSINESS_LABELS, self.dice.choices((1, 2, 3, 5), (56, 26, 12, 6))[0])
        for label in ("Main Office", *(each for each in labels[1:] if each != "Main Office")):
            self._circuit(id, self._near(place) if label == "Branch" else place, label, business=True, gold=gold)
        for service, share in (("voice", 0.45), ("wifi", 0.3), ("colo", 0.06 + 0.1 * gold)):
            if self.dice.random() < share:
                self._subscribe(id, service)

    def _child(self, id: str, place: Place) -> None:
        told_via = self.dice.choices(("parent", "both", "self"), (50, 30, 20))[0]
        parent = {"parent_id": "C00001", "told_via": told_via}
        self._business(id, place, name=self._business_name(place), tags="wholesale", parent=parent)

    def _german(self, id: str, place: Place, name: str) -> None:
        self._customer(id, name, place, tier="gold", tags="automotive")
        domain = f"{slug(name)}.example"
        self._contact(id, self._person_name(), place, role="technical", domain=domain, gold=True)
        for german in self.dice.sample(GERMAN_PEOPLE, 2):  # the group's own control room
            self._contact(id, german, place, role="management", domain=domain, zone=BERLIN, gold=True)
        self._circuit(id, place, "Plant 1", business=True, gold=True)
        self._subscribe(id, "voice")

    # rows

    def _customer(
        self,
        id: str,
        name: str,
        place: Place,
        *,
        tier: str,
        tags: str = "",
        language: str = "",
        parent: Row | None = None,
    ) -> None:
        self.status = (
            self.dice.choices(("active", "suspended", "ended"), (97, 2, 1))[0] if parent or tags == "" else "active"
        )
        row = {
            "id": id,
            "name": name,
            "status": self.status,
            "language": language,
            "timezone": place.zone,
            "tier": tier,
        }
        self.made.customers.append(_row(CUSTOMER_COLUMNS, **row, tags=tags, **(parent or {})))

    def _contact(
        self, customer: str, name: str, place: Place, *, role: str, domain: str, zone: str = "", gold: bool = False
    ) -> None:
        dice = self.dice
        lacks = dice.choices(("", "phone", "email"), (80, 14, 6))[0]
        redundancy = gold and role == "technical" and dice.random() < 0.7
        quiet = dice.random() < 0.12 and role != "billing"
        agreed = f"{dice.randint(2019, 2024)}-{dice.randint(1, 9):02d}-{dice.randint(1, 28):02d}T15:00:00Z"
        phone = "" if lacks == "phone" else self.addresses.phone(place.area_code, german=zone == BERLIN)
        self.made.contacts.append(
            _row(
                CONTACT_COLUMNS,
                id=f"P{len(self.made.contacts) + 1:05d}",
                customer_id=customer,
                name=name,
                role=role,
                email="" if lacks == "email" else self.addresses.mail(name, domain),
                phone=phone,
                timezone=zone,
                channels="email" if phone and role == "billing" else "",
                notify=BOTH if redundancy else "maintenance" if role == "billing" else "",
                quiet_hours="22:00-07:00" if quiet else "",
                wake_for="outage" if quiet and dice.random() < 0.4 else "",
                consent_at=agreed if phone else "",
                consent_source=dice.choice(("contract", "web form", "phone call")) if phone else "",
                status="active",
            )
        )

    def _helper(self, customer: str) -> None:
        """One help desk looks after several customers: one address, one message, whatever is down."""
        self.made.contacts.append(
            _row(
                CONTACT_COLUMNS,
                id=f"P{len(self.made.contacts) + 1:05d}",
                customer_id=customer,
                name="Help Desk",
                role="technical",
                email="helpdesk@kentucky-it-partners.example",
                status="active",
            )
        )

    def _circuit(self, customer: str, place: Place, label: str, *, business: bool = False, gold: bool = False) -> None:
        dice = self.dice
        olts = self.network.olts[place.code]
        tower = self.network.towers.get(place.code)
        if tower is not None and dice.random() < (0.12 if business else 0.25):
            service, needs = "wireless", tower
        elif gold and dice.random() < 0.5:
            second = self._second_way(place, olts)
            service, needs = dice.choice(("fiber", "ethernet")), f"{olts[0]}|{second}"
        else:
            service, needs = "fiber", dice.choice(olts)
        self.made.circuits.append(
            _row(
                CIRCUIT_COLUMNS,
                id=f"BF-{len(self.made.circuits) + 100001}",
                customer_id=customer,
                service_id=service,
                label=label,
                site=place.code,
                place=f"{dice.randint(1, 2400)} {dice.choice(STREETS)} {dice.choice(ENDINGS)}, {place.town}",
                depends_on=needs,
                status="ended" if self.status == "ended" else "active",
            )
        )

    def _subscribe(self, customer: str, service: str) -> None:
        self.made.subscriptions.append(_row(SUBSCRIPTION_COLUMNS, customer_id=customer, service_id=service))

    # bits

    def _second_way(self, place: Place, olts: list[str]) -> str:
        if len(olts) > 1 and self.dice.random() < 0.4:
            return olts[1]
        return self.network.towers.get(place.code) or self.network.olts[self._near(place).code][0]

    def _near(self, place: Place) -> Place:
        others = sorted((other for other in PLACES if other is not place), key=lambda other: _distance(place, other))
        return self.dice.choice(others[:3])

    def _person_name(self) -> str:
        if self.dice.random() < 0.06:
            return self.dice.choice(OTHER_PEOPLE)
        return f"{self.dice.choice(FIRST)} {self.dice.choice(LAST)}"

    def _business_name(self, place: Place) -> str:
        while True:
            if self.dice.random() < 0.1:
                name = self.dice.choice(PUBLIC_BODIES).format(town=place.town)
            else:
                head = self.dice.choice([*BUSINESS_HEADS, place.town, self.dice.choice(LAST)])
                name = f"{head.replace('_', ' ')} {self.dice.choice(BUSINESS_TAILS)}"
            if name not in self.used_names:
                self.used_names.add(name)
                return name


def _distance(a: Place, b: Place) -> float:
    return (a.latitude - b.latitude) ** 2 + (a.longitude - b.longitude) ** 2


def _spanish(name: str) -> bool:
    return any(family in name for family in ("Hernández", "Núñez", "Castañeda", "Peña", "Ibáñez", "Domínguez"))


def _row(columns: tuple[str, ...], **cells: str) -> Row:
    return {column: cells.get(column, "") for column in columns}
