"""The invented provider's network: POPs and power, routers on rings and spurs, OLTs, towers, leased lines, services."""

from dataclasses import dataclass, field
from itertools import pairwise

from outagecast.sandbox.provider_places import (
    BIG,
    CARRIER_NAMES,
    CARRIERS,
    GATEWAYS,
    PLACES,
    RINGS,
    TOWERS,
    Place,
)

Row = dict[str, str]

SITE_COLUMNS = ("id", "name", "latitude", "longitude", "timezone", "area")
ELEMENT_COLUMNS = ("id", "kind", "name", "site", "a", "z", "gateway", "depends_on")
SERVICE_COLUMNS = ("id", "name", "public", "position", "depends_on")


@dataclass(kw_only=True, slots=True)
class Network:
    """Rows of three files, and what circuits hang on: access elements by site."""

    sites: list[Row] = field(default_factory=list)
    elements: list[Row] = field(default_factory=list)
    services: list[Row] = field(default_factory=list)
    olts: dict[str, list[str]] = field(default_factory=dict)
    towers: dict[str, str] = field(default_factory=dict)

    def element(self, id: str, kind: str, name: str, **more: str) -> str:
        self.elements.append(_row(ELEMENT_COLUMNS, id=id, kind=kind, name=name, **more))
        return id


def build_network() -> Network:
    """The whole network: invented once, no chance in it."""
    network = Network()
    for place in PLACES:
        _site(network, place)
    for code, name, metres in TOWERS:
        tower = f"TWR-{code}"
        network.towers[code] = network.element(
            tower, "tower", f"{name} tower, {metres} m", site=code, depends_on=f"RTR-{code}-1"
        )
    _links(network)
    _platforms(network)
    return network


def _site(network: Network, place: Place) -> None:
    code, town = place.code, place.town
    network.sites.append(
        _row(
            SITE_COLUMNS,
            id=code,
            name=f"{town}, {place.state}",
            latitude=f"{place.latitude:.4f}",
            longitude=f"{place.longitude:.4f}",
            timezone=place.zone,
            area=_area(place),
        )
    )
    utility = network.element(f"PWR-{code}-A", "power", f"{town} utility feed", site=code)
    power = utility
    if not place.spur_of:
        power += "|" + network.element(f"PWR-{code}-B", "power", f"{town} generator", site=code)
    network.element(f"POP-{code}", "pop", f"{town} POP", site=code, depends_on=power)
    routers = [_router(network, place, number) for number in ((1, 2) if code in BIG else (1,))]
    network.olts[code] = [
        network.element(f"OLT-{code}-{number}", "olt", f"{town} OLT {number}", site=code, depends_on="|".join(routers))
        for number in range(1, 1 + max(1, place.weight // 5))
    ]


def _router(network: Network, place: Place, number: int) -> str:
    gateway = "yes" if place.code in GATEWAYS and number == 1 else ""
    return network.element(
        f"RTR-{place.code}-{number}",
        "router",
        f"{place.town} router {number}",
        site=place.code,
        gateway=gateway,
        depends_on=f"POP-{place.code}",
    )


def _links(network: Network) -> None:
    towns = {place.code: place.town for place in PLACES}
    leased = {frozenset((a, z)): circuit for circuit, a, z in CARRIERS}
    for circuit, a, z in CARRIERS:
        carrier = CARRIER_NAMES[circuit.split("-")[1]]
        network.element(circuit, "carrier_circuit", f"{carrier} {towns[a]} to {towns[z]}", site=a)
    pairs = {pair for ring in RINGS for pair in (*pairwise(ring), (ring[-1], ring[0]))}
    pairs |= {(place.spur_of, place.code) for place in PLACES if place.spur_of}
    seen: set[frozenset[str]] = set()
    for a, z in sorted(pairs):
        if frozenset((a, z)) in seen:
            continue
        seen.add(frozenset((a, z)))
        need = leased.get(frozenset((a, z)), "")
        name = f"{towns[a]} to {towns[z]}"
        network.element(f"LNK-{a}-{z}", "link", name, a=f"RTR-{a}-1", z=f"RTR-{z}-1", depends_on=need)
    for code in BIG:
        for number, far in enumerate((f"RTR-{code}-1", _other_end(code)), start=1):
            network.element(
                f"LNK-{code}2-{number}", "link", f"{towns[code]} router 2, leg {number}", a=f"RTR-{code}-2", z=far
            )


def _other_end(code: str) -> str:
    return {"LEX": "RTR-GEO-1", "LOU": "RTR-SHE-1", "CIN": "RTR-COV-1"}[code]


def _platforms(network: Network) -> None:
    for code, kind, name in (
        ("SBC-LOU", "platform", "Voice border controller Louisville"),
        ("SBC-CIN", "platform", "Voice border controller Cincinnati"),
        ("HE-LEX", "platform", "Television headend Lexington"),
        ("WLC-LOU", "platform", "Wi-Fi controller Louisville"),
        ("WLC-LEX", "platform", "Wi-Fi controller Lexington"),
        ("DC-LEX", "datacentre", "Lexington data centre"),
        ("DNS-LOU", "platform", "Resolver Louisville"),
        ("DNS-CIN", "platform", "Resolver Cincinnati"),
    ):
        site = code.split("-")[1]
        network.element(code, kind, name, site=site, depends_on=f"RTR-{site}-1")
    network.services += [
        _row(SERVICE_COLUMNS, id=id, name=name, public=public, position=position, depends_on=needs)
        for id, name, public, position, needs in (
            ("fiber", "Fiber Internet", "yes", "1", "DNS-LOU|DNS-CIN"),
            ("wireless", "Fixed Wireless", "yes", "2", "DNS-LOU|DNS-CIN"),
            ("voice", "Hosted Voice", "yes", "3", "SBC-LOU|SBC-CIN"),
            ("iptv", "IPTV", "yes", "4", "HE-LEX"),
            ("wifi", "Managed Wi-Fi", "yes", "5", "WLC-LOU|WLC-LEX"),
            ("colo", "Colocation", "", "", "DC-LEX"),
            ("ethernet", "Ethernet Transport", "", "", ""),
        )
    ]


def _area(place: Place) -> str:
    if place.state != "KY":
        return "Ohio" if place.state == "OH" else "Southern Indiana"
    if place.area_code == "606":
        return "Eastern Kentucky"
    return {"270": "Western Kentucky", "502": "Louisville and the Capital"}.get(place.area_code, "Bluegrass")


def _row(columns: tuple[str, ...], **cells: str) -> Row:
    return {column: cells.get(column, "") for column in columns}
