"""Single messages from the command line."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]


def test_what_failed_is_listed_tried_again_and_seen_to(imported: Run, folder: Path) -> None:
    outage = imported("declare", "Fibre cut", "--element", "POP-HAZ", "--json").json["id"]
    with sqlite3.connect(next(folder.glob("*.db"))) as db:
        lose = "UPDATE deliveries SET state = 'failed', reason = 'rejected' WHERE id IN"
        db.execute(f"{lose} (SELECT id FROM deliveries WHERE state = 'planned' ORDER BY id LIMIT 3)")
    lost = imported("deliveries", outage, "--state", "to_do", "--json").json["deliveries"]
    assert len(lost) == 3
    first, second, third = (item["id"] for item in lost)
    assert lost[0]["to"] in imported("deliveries", outage, "--state", "to_do").out
    again = imported("retry", str(first), "--reason", "mailbox full", "--json").json
    assert (len(again["deliveries"]), again["revision"]) == (1, 2)
    refused = imported("retry", str(first))
    assert refused.code == 1
    assert "newer message" in refused.err
    assert "is seen to" in imported("handled", str(second), "--reason", "rang").out
    assert imported("handled", str(second)).code == 2
    assert f"1 planned as revision 3 of {outage}" in imported("retry", "--outage", outage).out
    assert imported("deliveries", outage, "--state", "to_do").out == "none like that\n"
    assert imported("retry").code == 2
    assert imported("resend", "999999").mistakes == ["no delivery 999999"]
    assert third


def test_notes_owners_and_addresses(imported: Run, folder: Path) -> None:
    outage = imported("declare", "Fibre cut", "--element", "POP-HAZ", "--json").json["id"]
    assert imported("note", outage, "ticket 4711").code == 0
    assert imported("owner", outage, "bea", "--json").json == {"id": outage, "owner": "bea"}
    assert "nobody answers" in imported("owner", outage).out
    assert imported("note", outage, " ").code == 2
    assert imported("deliveries", "OUT-2000-0001").mistakes == ["there is no outage OUT-2000-0001"]
    assert "few enough customers" in imported("confirm", "1").err
    with sqlite3.connect(next(folder.glob("*.db"))) as db:
        db.execute("UPDATE addresses SET shared = 1 WHERE id = 1")
    assert imported("confirm", "1", "--json").json["address_id"] == 1
