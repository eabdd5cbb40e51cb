"""The demo's provider: what an import would find wrong must not be there."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import networkx
import phonenumbers
import pytest
from email_validator import validate_email

from outagecast.sandbox.provider import Walkthrough, write_provider

Rows = list[dict[str, str]]
NAMES = ("sites", "elements", "services", "customers", "contacts", "circuits", "subscriptions")


class Provider:
    def __init__(self, folder: Path, walkthrough: Walkthrough) -> None:
        self.folder = folder
        self.walkthrough = walkthrough
        self.rows: dict[str, Rows] = {}
        for name in NAMES:
            with (folder / f"{name}.csv").open(newline="", encoding="utf-8") as lines:
                self.rows[name] = list(csv.DictReader(lines))

    def ids(self, name: str) -> set[str]:
        return {row["id"] for row in self.rows[name]}


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    folder = tmp_path_factory.mktemp("provider") / "made"
    yield Provider(folder, write_provider(folder))


def names(expression: str) -> list[str]:
    return [name for name in re.split(r"[;|]", expression) if name]


def test_it_is_as_large_as_the_demo_needs(provider: Provider) -> None:
    kinds = Counter(row["kind"] for row in provider.rows["elements"])
    assert len(provider.rows["sites"]) == kinds["pop"] == 40
    assert len(provider.rows["customers"]) == 2000
    assert 3300 <= len(provider.rows["contacts"]) <= 3700
    assert 2500 <= len(provider.rows["circuits"]) <= 2750
    assert kinds["tower"] >= 8
    assert kinds["carrier_circuit"] == 3
    assert sum(row["gateway"] == "yes" for row in provider.rows["elements"]) == 2
    assert len(provider.rows["services"]) == 7


def test_ids_are_unique_and_every_reference_leads_somewhere(provider: Provider) -> None:
    for name in NAMES[:-1]:
        ids = [row["id"] for row in provider.rows[name]]
        assert len(ids) == len(set(ids)), name
    elements, sites, services = provider.ids("elements"), provider.ids("sites"), provider.ids("services")
    customers = provider.ids("customers")
    for row in provider.rows["elements"]:
        assert set(names(row["depends_on"])) | {row["a"], row["z"]} - {""} <= elements
        assert row["site"] in sites | {""}
        assert bool(row["a"]) == bool(row["z"]) == (row["kind"] == "link")
    for row in provider.rows["services"]:
        assert set(names(row["depends_on"])) <= elements
    for row in provider.rows["circuits"]:
        assert row["customer_id"] in customers
        assert row["service_id"] in services
        assert row["site"] in sites
        assert set(names(row["depends_on"])) <= elements
        assert row["label"]
    assert {row["customer_id"] for row in provider.rows["contacts"]} == customers
    assert {row["parent_id"] for row in provider.rows["customers"]} <= customers | {""}
    pairs = [(row["customer_id"], row["service_id"]) for row in provider.rows["subscriptions"]]
    assert len(pairs) == len(set(pairs))
    assert all(customer in customers and service in services for customer, service in pairs)


def test_no_need_goes_round_in_a_circle(provider: Provider) -> None:
    needs = {row["id"]: names(row["depends_on"]) for row in provider.rows["elements"]}
    TopologicalSorter(needs).prepare()
    parents = {row["id"]: names(row["parent_id"]) for row in provider.rows["customers"]}
    TopologicalSorter(parents).prepare()


def test_the_network_holds_together_and_its_spurs_are_spurs(provider: Provider) -> None:
    graph: networkx.Graph[str] = networkx.Graph()
    for row in provider.rows["elements"]:
        if row["kind"] == "link":
            graph.add_edge(row["a"], row["z"], id=row["id"])
    routers = {row["id"] for row in provider.rows["elements"] if row["kind"] == "router"}
    assert set(graph) == routers
    assert networkx.is_connected(graph)
    bridges = {graph.edges[edge]["id"] for edge in networkx.bridges(graph)}
    assert bridges == {"LNK-LON-HAZ", "LNK-HAZ-PIK", "LNK-COR-MID", "LNK-GEO-CYN", "LNK-PAD-MUR"}
    assert provider.walkthrough.spur_link in bridges
    links = {row["id"] for row in provider.rows["elements"] if row["kind"] == "link"}
    assert provider.walkthrough.ring_link in links - bridges


def test_the_walk_through_is_worth_walking(provider: Provider) -> None:
    walk = provider.walkthrough
    assert 80 <= walk.spur_customers <= 140
    assert walk.service_customers > 200
    assert {walk.spur_pop, walk.power} <= provider.ids("elements")
    assert walk.service in provider.ids("services")


def test_addresses_are_possible_and_nobodys(provider: Provider) -> None:
    contacts = provider.rows["contacts"]
    phones = [row["phone"] for row in contacts if row["phone"]]
    assert len(phones) == len(set(phones))
    for phone in phones:
        assert phonenumbers.is_valid_number(phonenumbers.parse(phone)), phone
        assert re.fullmatch(r"\+1\d{3}55501\d\d", phone) or phone.startswith("+49")
    mails = Counter(row["email"] for row in contacts if row["email"])
    assert mails.pop("helpdesk@kentucky-it-partners.example") == 4
    assert set(mails.values()) == {1}
    for mail in mails:
        assert validate_email(mail, check_deliverability=False, test_environment=True).normalized == mail
        assert mail.endswith(".example")
    assert 300 < sum(not row["phone"] for row in contacts) < 800
    assert 100 < sum(not row["email"] for row in contacts) < 350
    assert all(row["email"] or row["phone"] for row in contacts)


def test_people_differ(provider: Provider) -> None:
    contacts = provider.rows["contacts"]
    zones = {row["timezone"] for row in provider.rows["customers"]} | {row["timezone"] for row in contacts}
    assert zones == {"America/New_York", "America/Chicago", "Europe/Berlin", ""}
    assert sum(not row["name"].isascii() for row in contacts) > 100
    assert sum(bool(row["quiet_hours"]) for row in contacts) > 200
    assert sum("reduced_redundancy" in row["notify"] for row in contacts) > 30
    told = Counter(row["told_via"] for row in provider.rows["customers"] if row["parent_id"])
    assert set(told) == {"self", "parent", "both"}
    assert sum(told.values()) == 60
    assert sum("|" in row["depends_on"] for row in provider.rows["circuits"]) > 80


def test_the_same_seed_makes_the_same_files(provider: Provider, tmp_path: Path) -> None:
    write_provider(tmp_path / "again")
    write_provider(tmp_path / "other", seed=2, customers=50)
    for name in NAMES:
        made = (provider.folder / f"{name}.csv").read_bytes()
        assert (tmp_path / "again" / f"{name}.csv").read_bytes() == made
    other = (tmp_path / "other" / "customers.csv").read_bytes()
    assert other.count(b"\n") == 51
