"""One thing of the inventory at a time, as billing systems push them."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from outagecast.domain.errors import Invalid, NotFound
from outagecast.engine.inventory import Inventory
from outagecast.storage import inventory as reads
from outagecast.storage.engine import Database
from outagecast.storage.tables import addresses, timeline
from tests.support.inventory_db import db as db
from tests.support.inventory_files import CLERK, SMALL, contents, everything, inventory, write


@pytest.fixture
async def stock(db: Database, tmp_path: Path) -> Inventory:
    found = inventory(db)
    await found.import_files([write(tmp_path / "in", **SMALL)], actor=CLERK)
    return found


async def wrong(stock: Inventory, kind: str, id: str, body: dict[str, Any]) -> list[str]:
    with pytest.raises(Invalid) as caught:
        await stock.put(kind, id, body, actor=CLERK)
    return [f"{error.field}: {error.message}" for error in caught.value.errors]


@pytest.mark.parametrize(
    ("kind", "id"),
    [
        ("site", "LEX"),
        ("element", "LNK-1"),
        ("service", "voice"),
        ("customer", "C2"),
        ("contact", "K1"),
        ("circuit", "X1"),
    ],
)
async def test_what_was_got_can_be_put_and_changes_nothing(stock: Inventory, db: Database, kind: str, id: str) -> None:
    before = await everything(db)
    assert not await stock.put(kind, id, await stock.get(kind, id), actor=CLERK)
    assert await everything(db) == before


async def test_a_new_thing_is_created_and_counted(stock: Inventory, db: Database) -> None:
    assert await stock.put(
        "customer", "C9", {"name": "New", "parent_id": "C1", "attributes": {"sales": 7}}, actor=CLERK
    )
    found = await stock.get("customer", "C9")
    assert (found["status"], found["told_via"], found["attributes"]) == ("active", "self", {"sales": 7})
    async with db.read() as conn:
        assert await reads.inventory_version(conn) == 2
        last = (await conn.execute(select(timeline.c.data).order_by(timeline.c.id.desc()))).scalars().first()
    assert last == {"kind": "customer", "id": "C9", "new": True}


async def test_what_is_not_mentioned_stays_and_null_clears(stock: Inventory) -> None:
    assert not await stock.put("customer", "C1", {"language": None, "attributes": {"a": "1", "b": "2"}}, actor=CLERK)
    assert not await stock.put("customer", "C1", {"name": "Acme Ltd", "attributes": {"b": "3"}}, actor=CLERK)
    found = await stock.get("customer", "C1")
    assert (found["name"], found["language"], found["timezone"]) == ("Acme Ltd", "", "America/New_York")
    assert found["attributes"] == {"b": "3"}


async def test_a_contact_with_its_addresses(stock: Inventory) -> None:
    body = {
        "customer_id": "C1",
        "name": "Cy",
        "notify": ["degraded", "outage"],
        "addresses": [
            {
                "channel": "sms",
                "to": "859-555-0199",
                "consent_at": "2026-01-02T03:04:05-05:00",
                "consent_source": "form",
            },
            {"channel": "email", "to": "Cy@Example.net"},
        ],
    }
    await stock.put("contact", "K9", body, actor=CLERK)
    found = await stock.get("contact", "K9")
    assert [(a["channel"], a["to"], a["state"]) for a in found["addresses"]] == [
        ("email", "cy@example.net", "active"),
        ("sms", "+18595550199", "active"),
    ]
    assert found["addresses"][0]["consent_at"].isoformat() == "2026-01-02T08:04:05+00:00"
    assert found["notify"] == "outage degraded"
    await stock.put("contact", "K9", {"addresses": [{"channel": "email", "to": "cy@example.net"}]}, actor=CLERK)
    read = (await stock.get("contact", "K9"))["addresses"]
    assert [a["channel"] for a in read] == ["email"]
    assert isinstance(read[0]["id"], int)
    await stock.put("contact", "K9", {"addresses": [read[0] | {"consent_at": None}]}, actor=CLERK)


async def test_an_opt_out_is_taken_but_never_lifted(stock: Inventory, db: Database) -> None:
    for state in ("opted_out", "active"):
        body = {"addresses": [{"channel": "email", "to": "ann@example.net", "state": state}]}
        await stock.put("contact", "K1", body, actor=CLERK)
    (address,) = (await stock.get("contact", "K1"))["addresses"]
    assert address["state"] == "opted_out"
    async with db.read() as conn:
        by = select(addresses.c.suppressed_by).where(addresses.c.value == "ann@example.net")
        assert (await conn.execute(by)).scalar_one() == "clerk"


async def test_every_field_that_is_wrong_is_named(stock: Inventory, db: Database) -> None:
    before = await everything(db)
    assert await wrong(stock, "contact", "K9", {"nmae": "x", "language": "xx", "quiet_hours": 7, "addresses": [
        {"channel": "fax", "to": "1"}, {"channel": "sms", "to": "12"}, {"channel": "sms", "to": "1"},
        {"channel": "email"}, {"channel": "email", "to": "a@b.c", "state": "odd", "x": 1},
    ]}) == [
        "addresses[0].channel: is not one of email, sms",
        "addresses[2]: is a second address for sms: make another contact of it",
        "addresses[3].to: is missing",
        "addresses[4].x: is unknown (use channel, to, consent_at, consent_source, state)",
        "addresses[4].state: is not one of active, shared_address, by_staff, dead_address, opted_out",
        "nmae: is unknown (did you mean name?)",
        "customer_id: is missing",
        "name: is missing",
        'addresses[1].to: "12" has too few or too many digits for a phone number '
        "(write it with + and the country's code, like +1 859 555 0100)",
        'language: "xx" is not a language (write its letters, like "en" or "pt-BR")',
        "quiet_hours: is not a text",
    ]  # fmt: skip
    assert await everything(db) == before


async def test_what_it_names_must_exist_and_not_need_it(stock: Inventory, db: Database) -> None:
    before = await everything(db)
    assert await wrong(stock, "circuit", "X1", {"customer_id": "C9", "depends_on": "NOPE|site:LEX;circuit:X2"}) == [
        'customer_id: there is no customer "C9"',
        'depends_on: there is no element "NOPE"',
        "depends_on: is a cycle: circuit:X1 needs circuit:X2 needs circuit:X1",
    ]
    assert await wrong(stock, "element", "LNK-2", {"kind": "link", "a": "LNK-1"}) == [
        "z: a link needs both its ends",
        'a: "LNK-1" is a link, not a node',
    ]
    assert await wrong(stock, "customer", " C9", {"name": "x"}) == [
        "id: has blanks around it, or characters that do not print"
    ]
    assert await everything(db) == before


async def test_deleting_ends_and_putting_brings_back(stock: Inventory, db: Database) -> None:
    await stock.delete("service", "voice", actor=CLERK)
    assert (await stock.get("service", "voice"))["status"] == "ended"
    version = (await contents(db, ["meta"]))["meta"]
    await stock.delete("service", "voice", actor=CLERK)
    assert (await contents(db, ["meta"]))["meta"] == version
    await stock.put("service", "voice", {"public": False}, actor=CLERK)
    found = await stock.get("service", "voice")
    assert (found["status"], found["public"], found["name"]) == ("active", False, "Voice")


async def test_a_status_may_be_given_for_every_kind(stock: Inventory) -> None:
    await stock.put("site", "LEX", {"status": "ended"}, actor=CLERK)
    assert (await stock.get("site", "LEX"))["status"] == "ended"


async def test_what_is_not_there_is_not_found(stock: Inventory) -> None:
    for verb in (stock.get("element", "pop-lex"), stock.delete("element", "POP-LEXX", actor=CLERK)):
        with pytest.raises(NotFound, match="did you mean POP-LEX"):
            await verb
    with pytest.raises(NotFound):
        await stock.get("subscription", "C1")
