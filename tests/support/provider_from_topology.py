"""A provider with thousands of customers on a real operator's network (the Internet Topology Zoo, shipped by topohub).

The rows are those of the seven import files. Every id of a customer, circuit or contact is a token that also stands in
its name or label, so that whatever a message says about somebody can be found in its text.
"""

import csv
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

Row = dict[str, str]
TOKEN = re.compile(r"\b(?:CU|CI|CO)\d{5}\b")
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "sites": ("id", "name", "timezone", "area"),
    "elements": ("id", "kind", "name", "a", "z", "gateway", "depends_on"),
    "services": ("id", "name", "public", "depends_on"),
    "customers": ("id", "name", "status", "parent_id", "told_via", "timezone", "tier"),
    "contacts": (
        *("id", "customer_id", "name", "email", "phone", "timezone", "channels", "notify"),
        *("quiet_hours", "wake_for", "status"),
    ),
    "circuits": ("id", "customer_id", "service_id", "label", "site", "place", "depends_on", "status"),
    "subscriptions": ("customer_id", "service_id"),
}
_FIRST = ("Ana", "Ben", "Cleo", "Dev", "Eve", "Finn", "Gia", "Hugo", "Iris", "Jon", "Kim", "Lea", "Mia", "Noah", "Olga")
_TRADE = ("Dental", "Bakery", "Motors", "School", "Clinic", "Foundry", "Hotel", "Library", "Farm", "Studio")
_LABEL = ("Main line", "Backup", "Head office", "Plant 2", "Warehouse", "Till", "Cameras", "Lab")
_ZONES = ("", "", "America/New_York", "America/Chicago", "Europe/Berlin")
_NOTIFY = (*[""] * 6, "outage", "outage degraded", "outage degraded reduced_redundancy", "maintenance")
_CHANNELS = (*[""] * 4, "email", "email", "sms", "email sms")


@dataclass(frozen=True, kw_only=True)
class ProviderFiles:
    """The rows of each import file."""

    sites: list[Row] = field(default_factory=list)
    elements: list[Row] = field(default_factory=list)
    services: list[Row] = field(default_factory=list)
    customers: list[Row] = field(default_factory=list)
    contacts: list[Row] = field(default_factory=list)
    circuits: list[Row] = field(default_factory=list)
    subscriptions: list[Row] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """As the files of `outagecast import`."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, columns in COLUMNS.items():
            with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, columns, restval="")
                writer.writeheader()
                writer.writerows(getattr(self, name))


def topology(name: str) -> tuple[list[str], list[tuple[str, str]]]:
    """The nodes and links of a network of the Topology Zoo, read from the package's own file."""
    found = json.loads(files("topohub").joinpath("data", "topozoo", f"{name}.json").read_text(encoding="utf-8"))
    nodes = [f"N{int(node['id']):03}" for node in found["nodes"]]
    links = [(f"N{int(edge['source']):03}", f"N{int(edge['target']):03}") for edge in found["edges"]]
    return nodes, [(min(link), max(link)) for link in links]


def link_id(one: str, other: str) -> str:
    return f"L-{min(one, other)}-{max(one, other)}"


def provider_from(name: str, *, customers: int, seed: int) -> ProviderFiles:
    """A provider on that network; the same arguments give the same provider."""
    return _Maker(name, customers, random.Random(seed)).make()


class _Maker:
    def __init__(self, name: str, customers: int, dice: random.Random) -> None:
        self._nodes, self._links = topology(name)
        self._count = customers
        self._dice = dice
        self._made = ProviderFiles()

    def make(self) -> ProviderFiles:
        self._network()
        self._services()
        resellers = self._customers()
        for customer in self._made.customers:
            self._things(customer)
            self._contacts(customer, alone=customer["id"] in resellers)
        self._share_addresses()
        return self._made

    def _network(self) -> None:
        degree = {node: sum(node in link for link in self._links) for node in self._nodes}
        gateways = sorted(self._nodes, key=lambda node: (-degree[node], node))[:2]
        for place, node in enumerate(self._nodes):
            zone = "America/New_York" if place % 3 else "America/Chicago"
            self._made.sites.append(
                {"id": f"S-{node}", "name": f"Site {node}", "timezone": zone, "area": f"A{place % 7}"}
            )
            gateway = "yes" if node in gateways else ""
            self._made.elements.append({"id": node, "kind": "router", "name": f"Router {node}", "gateway": gateway})
            self._made.elements.append({"id": f"OLT-{node}", "kind": "olt", "depends_on": node})
        for a, z in self._links:
            self._made.elements.append({"id": link_id(a, z), "kind": "link", "a": a, "z": z})

    def _services(self) -> None:
        one, other = self._dice.sample(self._nodes, 2)
        self._made.services.extend(
            [
                {"id": "internet", "name": "Internet", "public": "yes"},
                {"id": "voice", "name": "Voice", "public": "yes", "depends_on": f"{one}|{other}"},
                {"id": "mail", "name": "Hosted mail", "depends_on": other},
            ]
        )

    def _customers(self) -> set[str]:
        dice = self._dice
        resellers = [f"CU{number:05}" for number in range(1, 13)]
        for number in range(1, self._count + 1):
            id = f"CU{number:05}"
            row = {
                "id": id,
                "name": f"{dice.choice(_FIRST)}'s {dice.choice(_TRADE)} {id}",
                "timezone": dice.choice(_ZONES),
            }
            if id not in resellers:
                fate = dice.random()
                if fate < 0.08:
                    row |= {"parent_id": dice.choice(resellers), "told_via": dice.choice(("self", "parent", "both"))}
                elif fate < 0.14:
                    row["tier"] = "gold"
                elif fate < 0.16:
                    row["status"] = dice.choice(("suspended", "ended"))
            self._made.customers.append(row)
        return set(resellers)

    def _things(self, customer: Row) -> None:
        dice, id = self._dice, customer["id"]
        if dice.random() < 0.08:
            self._made.subscriptions.append({"customer_id": id, "service_id": dice.choice(("voice", "mail"))})
            if dice.random() < 0.5:
                return
        home = dice.choice(self._nodes)
        many = dice.random()
        for _ in range(14 if many < 0.004 else 3 if many < 0.05 else 2 if many < 0.2 else 1):
            number = f"CI{len(self._made.circuits) + 1:05}"
            node = home if many < 0.004 or dice.random() < 0.8 else dice.choice(self._nodes)
            row = {"id": number, "customer_id": id, "site": f"S-{node}", "depends_on": self._need(node)}
            row["label"] = f"{dice.choice(_LABEL)} {number}" if dice.random() < 0.95 else ""
            row["place"] = f"{dice.randrange(1, 200)} Oak Street" if dice.random() < 0.3 else ""
            row["service_id"] = dice.choice(("", "internet", "internet", "internet"))
            row["status"] = "ended" if dice.random() < 0.01 else ""
            self._made.circuits.append(row)

    def _need(self, node: str) -> str:
        """Where a circuit hangs: a node, its OLT, two nodes or two links of which one is enough, or all of that."""
        dice = self._dice
        links = [link_id(*link) for link in self._links if node in link]
        other = dice.choice(self._nodes)
        fate = dice.random()
        if fate < 0.55:
            return node
        if fate < 0.7:
            return f"OLT-{node}"
        if fate < 0.85:
            return f"{node}|{other}" if other != node else node
        if fate < 0.93 and len(links) > 1:
            return "|".join(dice.sample(links, 2))
        return f"{node};{dice.choice(links)}|OLT-{other}"

    def _contacts(self, customer: Row, *, alone: bool) -> None:
        dice, id = self._dice, customer["id"]
        fate = dice.random()
        count = 1 if alone else 0 if fate < 0.06 else 1 if fate < 0.72 else 2 if fate < 0.96 else 3
        before: list[Row] = []
        for _ in range(count):
            number = len(self._made.contacts) + 1
            row = {"id": f"CO{number:05}", "customer_id": id, "name": f"{dice.choice(_FIRST)} CO{number:05}"}
            row["email"] = f"co{number:05}@{id.lower()}.example" if dice.random() < 0.9 else ""
            row["phone"] = f"+1859{2_000_000 + number}" if dice.random() < 0.6 else ""
            row["timezone"] = dice.choice(_ZONES)
            row["channels"] = dice.choice(_CHANNELS)
            row["notify"] = "outage degraded reduced_redundancy" if alone else dice.choice(_NOTIFY)
            row["status"] = "ended" if not alone and dice.random() < 0.02 else ""
            if before and dice.random() < 0.2:  # two people behind one mailbox
                row["email"] = before[0]["email"]
            before.append(row)
            self._made.contacts.append(row)

    def _share_addresses(self) -> None:
        """One mailbox for three customers, one for eight strangers, one for seven customers of one reseller."""
        strangers = [row for row in self._made.customers if not row.get("parent_id") and not row.get("status")][20:]
        for start in range(0, 90, 3):
            self._share(strangers[start : start + 3], f"office{start}@agency.example", f"+18593{start:06}")
        for start in range(100, 124, 8):
            self._share(strangers[start : start + 8], f"everybody{start}@helpdesk.example", "")
        for reseller in ("CU00001", "CU00002"):
            children = [row for row in self._made.customers if row.get("parent_id") == reseller]
            self._share(children[:7], f"care-{reseller.lower()}@reseller.example", "")

    def _share(self, customers: Sequence[Row], email: str, phone: str) -> None:
        for customer in customers:
            number = f"CO{len(self._made.contacts) + 1:05}"
            row = {"id": number, "customer_id": customer["id"], "name": f"{self._dice.choice(_FIRST)} {number}"}
            self._made.contacts.append(row | {"email": email, "phone": phone})
