"""Importing over the web: the difference first, one button after it, and nothing by halves."""

import asyncio
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from datetime import timedelta
from html import unescape
from pathlib import Path

from aiohttp import FormData
from sqlalchemy import func, select

from outagecast.domain.outage import Role
from outagecast.engine.imports import KEPT_FOR, MOST_STAGED
from outagecast.storage import tables
from tests.support.web_house import MapChanged, WebHouse, add_network, add_outage

CUSTOMERS = "id,name,tier\nK-1,Acme Works,gold\nK-9,New Shop,\n"


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return packed.getvalue()


async def send(
    house: WebHouse, files: Sequence[tuple[str, str | bytes]], expected: int = 303, **fields: str
) -> tuple[str, str]:
    """The answer's text and where it leads."""
    form = FormData(default_to_multipart=True)
    form.add_field("csrf", fields.pop("csrf", await house.csrf()))
    for name, text in files:
        form.add_field("files", io.BytesIO(text if isinstance(text, bytes) else text.encode()), filename=name)
    for name, value in fields.items():
        form.add_field(name, value)
    answer = await house.client.post("/desk/import", data=form, allow_redirects=False)
    text = unescape(await answer.text())
    assert answer.status == expected, text
    return text, answer.headers.get("Location", "")


async def shown(house: WebHouse, where: str, mark: str) -> str:
    """The page once it says something: as it is asked for again by the browser while it is read."""
    for _ in range(2000):
        answer = await house.client.get(where)
        text = unescape(await answer.text())
        if "Refresh" not in answer.headers:
            assert mark in text, text
            return text
        await asyncio.sleep(0.005)
    raise AssertionError(f"{where} never came to an end")


async def press(house: WebHouse, where: str, expected: int = 303, **fields: str) -> str:
    answer = await house.client.post(where, data={"csrf": await house.csrf(), **fields}, allow_redirects=False)
    text = unescape(await answer.text())
    assert answer.status == expected, text
    return text


async def names(house: WebHouse) -> dict[str, str]:
    async with house.database.read() as conn:
        rows = await conn.execute(select(tables.customers.c.id, tables.customers.c.name))
        return {id: name for id, name in rows}


def leftovers(house: WebHouse) -> list[Path]:
    return list(house.folder.glob(".upload-*"))


async def furnish(house: WebHouse) -> None:
    await add_network(house.database)
    await house.sign_in(Role.ADMIN)


async def test_the_difference_first_then_one_button(house: WebHouse) -> None:
    await furnish(house)
    await add_outage(house.database, "OUT-2026-0001")
    contacts = "id,customer_id,name,email,phone\nC-9,K-9,Nora,nora@shop.example,12\n"
    _, where = await send(house, [("Customers 2026.csv", CUSTOMERS), ("contacts.csv", contacts)])
    text = await shown(house, where, "It would make 2 new, 1 changed, 0 ended.")
    for says in (
        "name: <del>Acme Manufacturing</del>",
        "<ins>Acme Works</ins>",
        "tier: <del>empty</del>",
        "New Shop",
        "1 bad cell, emptied",
        'contacts.csv:2: phone: "12" has too few or too many digits',
        "Apply: 2 new, 1 changed, 0 ended",
    ):
        assert says in text, says
    assert (await names(house))["K-1"] == "Acme Manufacturing", "a look changes nothing"
    file = await house.client.get(f"{where}/rejects.csv")
    assert file.headers["Content-Disposition"] == 'attachment; filename="rejects.csv"'
    assert '"C-9","phone","12"' in await file.text()
    house.verbs.map_answer = MapChanged(more=12, fewer=3)
    await press(house, where, do="apply")
    text = await shown(house, where, "Applied: 2 new, 1 changed, 0 ended.")
    assert "The map changed under 1 open outage" in text
    assert "12 more, 3 fewer" in text
    assert (await names(house))["K-9"] == "New Shop"
    async with house.database.read() as conn:
        line = (await conn.execute(select(tables.timeline).where(tables.timeline.c.what == "imported"))).one()
        sent = (await conn.execute(select(func.count()).select_from(tables.deliveries))).scalar_one()
    assert line.actor == "ann"
    assert sent == 0, "an import never sends anything"
    assert "waiting to be applied" in await press(house, where, 409, do="apply"), "twice pressed is once applied"
    _, location = await send(house, [("customers.csv", CUSTOMERS)])
    await shown(house, location, "It would change nothing.")


async def test_mistakes_by_line_and_column_change_nothing(house: WebHouse) -> None:
    await furnish(house)
    _, where = await send(house, [("customers.csv", "id,name\nK-9,New\nK-9,Twice\n,Nameless\n")])
    text = await shown(house, where, "Nothing was changed: ")
    assert re.search(r"customers\.csv:\d: id</span>: ", text)
    assert "is missing" in text
    assert "Apply:" not in text
    assert ".upload-" not in text, "no path of the machine"
    await press(house, where, 409, do="apply")
    assert "K-9" not in await names(house)


async def test_a_zip_with_whatever_lies_around_in_it(house: WebHouse) -> None:
    await furnish(house)
    packed = zipped(
        {
            "export/customers.csv": CUSTOMERS,
            "__MACOSX/._customers.csv": b"\x00",
            "README.txt": "x",
            "export/rejects.csv": "x",
        }
    )
    _, where = await send(house, [("export.zip", packed)])
    await shown(house, where, "It would make 1 new, 1 changed, 0 ended.")
    await press(house, where, do="discard")
    assert (await house.client.get(where)).status == 404
    assert leftovers(house) == []


async def test_whole_files_end_what_they_lack_but_not_many_unasked(house: WebHouse) -> None:
    await furnish(house)
    _, where = await send(house, [("customers.csv", "id,name\nK-1,Acme Works\n")], complete="yes")
    text = await shown(house, where, "This would end 2: more than one may without saying so.")
    assert "--allow-removals" not in text
    again = await press(house, where, 422, do="allow", removals="1")
    assert "type the number" in again
    assert "This would end 2" in again
    await press(house, where, do="allow", removals="2")
    text = await shown(house, where, "It would make 0 new, 1 changed, 2 ended.")
    assert "Bourbon County Schools" in text.partition('id="customers"')[2]
    await press(house, where, do="apply")
    await shown(house, where, "Applied: ")
    async with house.database.read() as conn:
        ended = await conn.execute(select(tables.customers.c.id).where(tables.customers.c.status == "ended"))
    assert set(ended.scalars()) == {"K-2", "BOTH"}


async def test_what_changed_since_the_look_is_shown_again(house: WebHouse) -> None:
    await furnish(house)
    _, where = await send(house, [("customers.csv", CUSTOMERS)])
    await shown(house, where, "It would make 1 new, 1 changed")
    auth = await house.bearer(Role.ADMIN)
    await house.client.put("/api/v1/customers/K-9", json={"name": "New Shop"}, headers=auth)
    await press(house, where, do="apply")
    text = await shown(house, where, "It would make 0 new, 1 changed, 0 ended.")
    assert "nothing was applied" in text
    assert (await names(house))["K-1"] == "Acme Manufacturing"
    await press(house, where, do="apply")
    await shown(house, where, "Applied: ")


async def test_strict_refuses_bad_cells(house: WebHouse) -> None:
    await furnish(house)
    contacts = "id,customer_id,name,phone\nC-9,K-1,Nora,12\n"
    _, where = await send(house, [("contacts.csv", contacts)], strict="yes")
    assert "contacts.csv:2: phone" in await shown(house, where, "Nothing was changed: 1 mistake")


async def test_what_is_no_import_is_refused_at_the_door(house: WebHouse) -> None:
    await furnish(house)
    for files, says in (
        ([], "choose at least one CSV file"),
        ([("evil.sh", "rm")], "is neither a CSV file nor a zip"),
        ([("customers.csv", CUSTOMERS), ("customers.csv", CUSTOMERS)], "was sent twice"),
    ):
        text, _ = await send(house, files, 422)
        assert says in text
    for name, body, says in (
        ("x.zip", b"PK no zip", "is no zip that can be read"),
        ("x.zip", zipped({"a/readme.txt": "x"}), "holds no CSV file"),
        (
            "x.zip",
            zipped({"a/customers.csv": CUSTOMERS, "b/customers.csv": CUSTOMERS}),
            "holds two files called customers.csv",
        ),
        ("x.zip", zipped({f"customers-{n}.csv": CUSTOMERS for n in range(30)}), "at most 20 are taken"),
        ("prices.csv", b"id\n1\n", "is none of sites.csv"),
    ):
        _, where = await send(house, [(name, body)])
        await shown(house, where, says)
        await press(house, where, do="discard")
    assert leftovers(house) == []


async def test_only_admins_and_only_with_their_own_form(house: WebHouse) -> None:
    await furnish(house)
    text, _ = await send(house, [("customers.csv", CUSTOMERS)], 403, csrf="guessed")
    assert "form is too old" in text
    plain = await house.client.post("/desk/import", data={"csrf": await house.csrf()}, allow_redirects=False)
    assert plain.status == 403, "a form without files carries no token that counts"
    form = FormData()
    form.add_field("files", CUSTOMERS.encode(), filename="customers.csv")
    form.add_field("csrf", await house.csrf())
    late = await house.client.post("/desk/import", data=form, allow_redirects=False)
    assert late.status == 403, "the token comes before the first file"
    assert leftovers(house) == []
    foreign = await house.client.post("/desk/import", data=FormData(), headers={"Sec-Fetch-Site": "cross-site"})
    assert foreign.status == 403
    await house.client.post("/desk/sign-out", data={"csrf": await house.csrf()})
    await house.sign_in(Role.APPROVER, "pat")
    assert (await house.client.get("/desk/import")).status == 403
    await send(house, [("customers.csv", CUSTOMERS)], 403)


async def test_few_are_kept_and_none_over_the_end(house: WebHouse) -> None:
    await furnish(house)
    places = []
    for n in range(MOST_STAGED + 1):
        _, where = await send(house, [(f"customers-{n}.csv", CUSTOMERS)])
        await shown(house, where, "It would make")
        places.append(where)
    assert (await house.client.get(places[0])).status == 404, "the oldest makes room"
    assert len(leftovers(house)) == MOST_STAGED
    listed = unescape(await (await house.client.get("/desk/import")).text())
    assert "customers-5.csv" in listed
    assert "waits for your word" in listed
    await house.services.imports.close()
    assert leftovers(house) == []


async def test_what_is_old_or_left_by_a_crash_is_thrown_away(house: WebHouse) -> None:
    left = house.folder / ".upload-of-the-last-run"
    left.mkdir()
    (left / "customers.csv").write_text(CUSTOMERS)
    await furnish(house)
    _, where = await send(house, [("customers.csv", CUSTOMERS)])
    assert not left.exists()
    await shown(house, where, "It would make")
    house.clock.now += KEPT_FOR
    await house.services.imports.sweep()
    assert leftovers(house) != []
    house.clock.now += timedelta(seconds=1)
    await house.services.imports.sweep()
    assert leftovers(house) == []


async def test_what_is_being_read_can_be_stopped(house: WebHouse) -> None:
    await furnish(house)
    many = "id,name\n" + "".join(f"M-{n},Many {n}\n" for n in range(60_000))
    _, where = await send(house, [("customers.csv", many)])
    text = ""
    for _ in range(2000):
        text = unescape(await (await house.client.get(where)).text())
        if "of 60,000 rows are read" in text:
            break
    assert "of 60,000 rows are read" in text
    assert "Stop and throw away" in text
    await press(house, where, do="discard")
    assert leftovers(house) == []
    assert list(house.folder.glob(".import-*")) == []
    assert "M-1" not in await names(house)
    _, where = await send(house, [("customers.csv", CUSTOMERS)])
    await shown(house, where, "It would make 1 new, 1 changed")
