"""A provider as large as the desk is promised for: 1,000,000 circuits of 200,000 customers on 25,000 elements.

Written straight into the tables, because importing it would take longer than measuring. A customer has five circuits
and one contact; every tenth circuit is of the service `voice`, so that this has as many customers as a tenth of all
circuits.
"""

import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

from sqlalchemy import insert

from outagecast.storage import inventory, search_index
from outagecast.storage.engine import Database
from outagecast.storage.tables import addresses, circuits, contacts, customers, elements, needs, services, sites

GATEWAYS, POPS, OLTS_PER_POP = 4, 400, 30
CIRCUITS_PER_CUSTOMER = 5
VOICE = "voice"
_FIRST = ("Anna", "Bashir", "Chloé", "Dmitri", "Emeka", "Freya", "Zoë", "Łukasz", "Юлия", "Maria", "John", "Ines")
_NAMES = ("Acme", "Bourbon", "Summit", "River", "Bluegrass", "Keystone", "Union", "Lakeside", "Oak", "Granite")
_TRADES = ("Dental", "Steel", "Farms", "Schools", "Bank", "Clinic", "Motors", "Foods", "Legal", "Print")
_LABELS = ("Main Office", "Warehouse", "Branch", "Backup", "Voice Trunk")
_STREETS = ("Main St", "Mill Rd", "Elm St", "High St", "Station Rd", "Lake Dr", "Oak Ave", "Church Ln")
_TOWNS = ("Lexington", "Hazard", "Georgetown", "Paris", "Berea", "Corbin", "Danville", "Frankfort")
_PIECE = 20_000


async def fill(db: Database, circuit_count: int) -> None:
    """The whole provider, with what finds it; the database is empty before."""
    dice = random.Random(7)
    customer_count = circuit_count // CIRCUITS_PER_CUSTOMER
    await _add(db, services, [{"id": VOICE, "name": "Voice"}, {"id": "internet", "name": "Internet"}])
    await _add(db, sites, _sites(dice))
    await _add(db, elements, _elements())
    await _add(db, needs, ({"id": n + 1, "text": _olt(n)} for n in range(POPS * OLTS_PER_POP)))
    await _add(db, customers, (_customer(n) for n in range(customer_count)))
    await _add(db, addresses, _addresses(customer_count))
    await _add(db, contacts, (_contact(n) for n in range(customer_count)))
    await _add(db, circuits, (_circuit(n, dice) for n in range(circuit_count)))
    async with db.write() as conn:
        await conn.run_sync(search_index.rebuild)
        await conn.exec_driver_sql("ANALYZE")
        await inventory.bump_version(conn)


async def _add(db: Database, table: Any, rows: Any) -> None:
    rest = iter(rows)
    while piece := list(islice(rest, _PIECE)):
        async with db.write() as conn:
            await conn.execute(insert(table), piece)


def _sites(dice: random.Random) -> Iterator[dict[str, Any]]:
    for n in range(POPS):
        town = _TOWNS[n % len(_TOWNS)]
        yield {
            "id": f"S-{n:03}", "name": f"{town} {n // len(_TOWNS)}", "area": town,
            "latitude": 36.6 + 2.4 * dice.random(), "longitude": -89.0 + 7.0 * dice.random(),
            "timezone": "America/New_York",
        }  # fmt: skip


def _elements() -> Iterator[dict[str, Any]]:
    empty = {"name": "", "site_id": None, "a": None, "z": None, "gateway": False}
    for n in range(GATEWAYS):
        yield empty | {"id": f"GW-{n}", "kind": "router", "gateway": True, "site_id": f"S-{n * 100:03}"}
    for n in range(POPS):
        name = f"{_TOWNS[n % len(_TOWNS)]} POP {n}"
        yield empty | {"id": f"POP-{n:03}", "kind": "pop", "name": name, "site_id": f"S-{n:03}"}
        up = f"GW-{n % GATEWAYS}" if n < GATEWAYS * 4 else f"POP-{(n - GATEWAYS * 4) // 2:03}"
        yield empty | {"id": f"LNK-{n:03}", "kind": "link", "a": f"POP-{n:03}", "z": up}
        if n % 2:
            yield empty | {"id": f"LNK-{n:03}-B", "kind": "link", "a": f"POP-{n:03}", "z": f"POP-{n - 1:03}"}
    for n in range(POPS * OLTS_PER_POP):
        pop = f"POP-{n // OLTS_PER_POP:03}"
        yield empty | {"id": _olt(n), "kind": "olt", "site_id": f"S-{n // OLTS_PER_POP:03}"}
        yield empty | {"id": f"LNK-{_olt(n)}", "kind": "link", "a": _olt(n), "z": pop}


def _olt(n: int) -> str:
    return f"OLT-{n // OLTS_PER_POP:03}-{n % OLTS_PER_POP}"


def _customer(n: int) -> dict[str, Any]:
    name = f"{_NAMES[n % 10]} {_TRADES[n // 10 % 10]} {n // 100}"
    return {"id": f"K-{n:06}", "name": name, "tier": "gold" if n % 50 == 0 else ""}


def _addresses(count: int) -> Iterator[dict[str, Any]]:
    for n in range(count):
        yield {"id": 2 * n + 1, "channel": "email", "value": f"noc{n}@customers.example"}
        yield {"id": 2 * n + 2, "channel": "sms", "value": f"+1859{2_000_000 + n}"}


def _contact(n: int) -> dict[str, Any]:
    """One in a hundred has no address at all, one in five no phone; one in ten sleeps at night."""
    return {
        "id": f"P-{n:06}", "customer_id": f"K-{n:06}", "name": f"{_FIRST[n % len(_FIRST)]} Person{n}",
        "email_id": 2 * n + 1 if n % 100 else None, "phone_id": 2 * n + 2 if n % 5 else None,
        "quiet_hours": "22:00-07:00" if n % 10 == 3 else "",
    }  # fmt: skip


def _circuit(n: int, dice: random.Random) -> dict[str, Any]:
    olt = dice.randrange(POPS * OLTS_PER_POP)
    return {
        "id": f"CIR-{n:07}", "customer_id": f"K-{n // CIRCUITS_PER_CUSTOMER:06}",
        "service_id": VOICE if n % 10 == 4 else "internet", "label": _LABELS[n % len(_LABELS)],
        "site_id": f"S-{olt // OLTS_PER_POP:03}", "place": f"{dice.randrange(1, 4000)} {dice.choice(_STREETS)}",
        "need_id": olt + 1,
    }  # fmt: skip
