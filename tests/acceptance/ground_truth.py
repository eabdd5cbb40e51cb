"""What arrived against what the daemon believes: the sandbox's append-only log beside the database, row by row.

A mail's key is its Message-ID, a text's the attempt that its callback names (and, for "twice", address and body).
"""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from outagecast.engine.links import Links

ARRIVED = ("accepted", "delivered", "undelivered")
MOVING = ("planned", "leased", "transmitting")
END_KINDS = ("resolution", "retraction")


@dataclass(kw_only=True)
class Verdict:
    """`problems` is empty when every promise was kept; the numbers are for the report."""

    messages: int = 0
    deliveries: int = 0
    duplicates: int = 0
    """Messages that came a second time, each explained by an attempt that was marked ambiguous."""
    ambiguous: int = 0
    """Attempts whose fate nobody could know."""
    unresolved: int = 0
    """Deliveries that stay ambiguous after their one retry."""
    lost: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, other: "Verdict") -> None:
        for name in ("messages", "deliveries", "duplicates", "ambiguous", "unresolved", "lost"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.problems += other.problems


def check(
    database: Path,
    records: Iterable[Mapping[str, Any]],
    *,
    domain: str,
    hearing: Sequence[str],
    allowed: frozenset[str] = frozenset(),
) -> Verdict:
    """Judge a daemon that has come to rest. `hearing`: the addresses that every outage must reach, end included.

    `allowed`: states in which a message may have ended unsent, though never an address's newest one.
    """
    house = _House(database, domain)
    verdict = Verdict(deliveries=len(house.deliveries), ambiguous=sum(a["ambiguous"] for a in house.attempts))
    arrivals = _assign(house, records, verdict)
    _once(house, arrivals, verdict)
    _nothing_lost(house, arrivals, hearing, allowed, verdict)
    _in_order(house, arrivals, verdict)
    return verdict


def unsettled(database: Path) -> int:
    """Deliveries that still move: on their way, or unknown with their one retry still to come."""
    conn = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)
    try:
        query = "SELECT count(*) FROM deliveries WHERE state IN ('planned', 'leased', 'transmitting')"
        if moving := conn.execute(query).fetchone()[0]:
            return int(moving)
    finally:
        conn.close()
    house = _House(database, "")
    return sum(d["state"] in MOVING or house.will_retry(d) for d in house.deliveries.values()) + house.open_work


class _House:
    """The daemon's database, read from outside."""

    def __init__(self, database: Path, domain: str) -> None:
        conn = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)
        conn.row_factory = sqlite3.Row
        try:
            self.whole = conn.execute("PRAGMA quick_check").fetchone()[0] if domain else "ok"
            rows = conn.execute("SELECT * FROM deliveries WHERE audience = 'customer'").fetchall()
            self.deliveries = {row["id"]: dict(row) for row in rows}
            self.attempts = [dict(row) for row in conn.execute("SELECT * FROM attempts")]
            self.outages = {row["id"]: dict(row) for row in conn.execute("SELECT * FROM outages")}
            self.noted = {
                json.loads(data)["delivery"]
                for (data,) in conn.execute("SELECT data FROM timeline WHERE what = 'ambiguous'")
            }
            pending = conn.execute("SELECT count(*) FROM revisions WHERE state = 'pending'").fetchone()[0]
            waves = conn.execute("SELECT count(*) FROM waves WHERE done_at IS NULL").fetchone()[0]
            self.open_work = int(pending) + int(waves)
            secret = conn.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone()[0]
        finally:
            conn.close()
        self._links = Links(bytes.fromhex(secret), "", domain)
        self.unknown_of = Counter(a["delivery_id"] for a in self.attempts if a["ambiguous"])
        self.delivery_of = {a["key"]: a["delivery_id"] for a in self.attempts}
        self._newest: dict[tuple[str, int, int], int] = defaultdict(int)
        for d in self.deliveries.values():
            key = (d["outage_id"], d["episode"], d["address_id"])
            if d["state"] != "suppressed":
                self._newest[key] = max(self._newest[key], d["revision"])

    def message_ids(self, d: Mapping[str, Any]) -> tuple[str, str]:
        """The two names this mail may bear: the thread's root, if it is the first to this address, or its own."""
        own = self._links.message_id(d["outage_id"], d["episode"], d["address_id"], d["kind"], d["revision"])
        return self._links.thread_id(d["outage_id"], d["address_id"]), own

    def first(self, d: Mapping[str, Any]) -> bool:
        return bool(d["facts"]) and bool(json.loads(d["facts"]).get("first")) and d["episode"] == 1

    def newest(self, d: Mapping[str, Any]) -> bool:
        return bool(d["revision"] == self._newest[d["outage_id"], d["episode"], d["address_id"]])

    def will_retry(self, d: Mapping[str, Any]) -> bool:
        if d["state"] != "ambiguous" or d["ambiguous"] > 1 or not self.newest(d):
            return False
        ended = self.outages[d["outage_id"]]["status"] in ("resolved", "retracted")
        return not ended or d["kind"] in END_KINDS


Arrivals = dict[int, list[Mapping[str, Any]]]


def _assign(house: _House, records: Iterable[Mapping[str, Any]], verdict: Verdict) -> Arrivals:
    """Every message to its delivery; one that has none was sent without a committed row."""
    if house.whole != "ok":
        verdict.problems.append(f"the database is damaged: {house.whole}")
    names: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for d in house.deliveries.values():
        if d["channel"] == "email" and d["address_id"] is not None and d["attempt"]:
            root, own = house.message_ids(d)
            names[d["to"], root if house.first(d) else own].append(d)
    arrivals: Arrivals = defaultdict(list)
    for record in records:
        if record["type"] == "sms":
            verdict.messages += 1
            found = house.delivery_of.get(record["attempt"].removeprefix("attempt="))
            known = [house.deliveries[found]] if found in house.deliveries else []
        elif record["type"] == "mail":
            verdict.messages += 1
            known = names.get((record["rcpt"], record["message_id"].strip("<>")), [])
        else:
            continue
        if not known:
            verdict.problems.append(f"sent without a row: {record['type']} {record.get('to') or record.get('rcpt')}")
        elif len(known) > 1:
            verdict.problems.append(f"one Message-ID for deliveries {[d['id'] for d in known]}")
        else:
            arrivals[known[0]["id"]].append(record)
    return arrivals


def _once(house: _House, arrivals: Arrivals, verdict: Verdict) -> None:
    """I2: a second message only where an attempt is marked ambiguous, in attempts and timeline; never a third."""
    for delivery_id, records in arrivals.items():
        extra = len(records) - 1
        if not extra:
            continue
        verdict.duplicates += extra
        d = house.deliveries[delivery_id]
        if extra > 1:
            verdict.problems.append(f"{len(records)} times: {_name(d)}")
        if house.unknown_of[delivery_id] < 1 or delivery_id not in house.noted:
            verdict.problems.append(f"twice, and nothing says ambiguous: {_name(d)}")
    attempts = Counter(
        record["attempt"] for records in arrivals.values() for record in records if record["type"] == "sms"
    )
    verdict.problems += [f"one attempt, {n} texts: {key}" for key, n in attempts.items() if n > 1]
    for delivery_id in house.unknown_of:
        if delivery_id in house.deliveries and delivery_id not in house.noted:
            verdict.problems.append(f"ambiguous without a line: {_name(house.deliveries[delivery_id])}")


def _nothing_lost(
    house: _House, arrivals: Arrivals, hearing: Sequence[str], allowed: frozenset[str], verdict: Verdict
) -> None:
    """Everybody has his newest message, or nobody can know after the one retry."""
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    for d in sorted(house.deliveries.values(), key=lambda d: (d["episode"], d["revision"], d["id"])):
        if d["state"] in MOVING:
            verdict.problems.append(f"does not come to rest: {_name(d)}")
        elif d["state"] in ARRIVED and d["id"] not in arrivals:
            verdict.lost += 1
            verdict.problems.append(f"lost, believed {d['state']}: {_name(d)}")
        elif d["state"] in {"failed", "expired", "capped", "cancelled"} - allowed:
            verdict.problems.append(f"{d['state']} ({d['reason']}): {_name(d)}")
        newest[d["outage_id"], d["to"]] = d
    for outage_id in (o["id"] for o in house.outages.values() if o["public"]):
        for address in hearing:
            last = newest.get((outage_id, address))
            if last is None:
                verdict.lost += 1
                verdict.problems.append(f"never planned: {outage_id} {address}")
            elif last["state"] == "ambiguous" and (last["ambiguous"] == 2 or last["id"] in arrivals):
                verdict.unresolved += 1
            elif last["state"] not in ARRIVED:
                verdict.lost += 1
                verdict.problems.append(f"the newest word did not leave, {last['state']}: {_name(last)}")


def _in_order(house: _House, arrivals: Arrivals, verdict: Verdict) -> None:
    """I8, I9: nothing older starts after something newer of the same outage has arrived at the same address."""
    seen: dict[tuple[str, int], list[tuple[int, int, str]]] = defaultdict(list)
    for delivery_id, records in arrivals.items():
        d = house.deliveries[delivery_id]
        for record in records:
            seen[d["outage_id"], d["address_id"]].append((record["n"], d["revision"], _name(d)))
    for order in seen.values():
        order.sort()
        for (_, before, _), (_, after, name) in pairwise(order):
            if after < before:
                verdict.problems.append(f"an older word came after a newer one: {name}")


def _name(d: Mapping[str, Any]) -> str:
    return (
        f"{d['outage_id']}/{d['revision']} {d['kind']} to {d['to']}: {d['state']} attempt {d['attempt']}"
        f" ambiguous {d['ambiguous']} code {d['code']}"
    )
