"""Small inventories as files, and what a database holds, for the tests of the import."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from outagecast.domain.outage import Actor, ActorKind, Role
from outagecast.engine.inventory import Inventory
from outagecast.storage import tables
from outagecast.storage.engine import Database

NOW = datetime(2026, 3, 1, 9, 14, tzinfo=UTC)
CLERK = Actor(kind=ActorKind.CLI, name="clerk", role=Role.ADMIN)
SMALL = {
    "sites": "id,name,latitude,longitude,timezone,area,owner\nLEX,Lexington,38.04,-84.5,America/New_York,north,city\n",
    "elements": (
        "id;kind;name;site;a;z;gateway;depends_on\n"
        "POP-LEX;pop;Lexington;LEX;;;yes;\nPOP-2;pop;Second;LEX;;;no;\nLNK-1;link;Ring;;POP-LEX;POP-2;;\n"
    ),
    "services": "id,name,public,position,depends_on\nvoice,Voice,yes,1,POP-LEX\n",
    "customers": (
        "id,name,status,parent_id,told_via,language,timezone\nC1,Acme,,,,en,America/New_York\nC2,Beta,,C1,both,,\n"
    ),
    "contacts": (
        "id,customer_id,name,role,email,phone,channels,notify,quiet_hours\n"
        "K1,C1,Ann,technical,Ann@Example.NET,859 555 0100,sms email,outage,22:00-7:00\n"
        "K2,C2,Bob,,bob@example.net,,,,\n"
    ),
    "circuits": (
        "id,customer_id,service_id,label,site,depends_on\n"
        'X1,C1,voice,HQ,LEX,"POP-LEX; LNK-1|POP-2"\nX2,C2,,Branch,,circuit:X1\n'
    ),
    "subscriptions": "customer_id,service_id\nC1,voice\n",
}
_INVENTORY = (
    "sites",
    "elements",
    "services",
    "customers",
    "contacts",
    "circuits",
    "subscriptions",
    "needs",
    "addresses",
)


def write(folder: Path, **files: str | bytes) -> Path:
    """`customers="id,name\\n…"` becomes `customers.csv` in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / f"{name}.csv").write_bytes(data)
    return folder


def inventory(db: Database) -> Inventory:
    return Inventory(db, clock=lambda: NOW, region="US")


async def contents(db: Database, names: Sequence[str] = _INVENTORY) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of some tables, all of them sorted."""
    async with db.read() as conn:
        found = {}
        for name in names:
            rows = await conn.execute(tables.metadata.tables[name].select())
            found[name] = sorted((tuple(row) for row in rows), key=repr)
        return found


async def everything(db: Database) -> dict[str, list[tuple[Any, ...]]]:
    return await contents(db, list(tables.metadata.tables))
