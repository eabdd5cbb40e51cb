"""Finding things of the inventory as somebody types, and whoever is on the phone.

Answers come from ranges of two indexes: the ids themselves, and `search_words` (storage/search_index.py). A range is
read only so far (`DEEP`), whatever the inventory's size: of two words that are both in more names than that, some
things may be missed until the words stand as they do in the name.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.search_terms import folded, holds, phone_term, turned
from outagecast.storage.tables import (
    addresses,
    circuits,
    contacts,
    customers,
    elements,
    search_words,
    services,
    sites,
)
from outagecast.storage.views_scope import Found

SCOPE_KINDS = ("element", "site", "area", "service", "customer", "circuit")
"""What a scope may name, in the order in which equals are shown."""
LONGEST_QUERY = 100
NEAR, DEEP = 40, 2_000
"""How many things of a kind are looked at for one phrase, and for one word of several."""
_SPLITS = 60
"""Customers whose circuits are looked through when the words are a customer's and a line's."""
_FEWEST_DIGITS = 4
_LAST = "\U0010ffff"
_TABLES: Mapping[str, Any] = {
    "element": elements,
    "site": sites,
    "service": services,
    "customer": customers,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """A customer somebody on the phone may be. `by` says what matched: customer, contact, phone, email or circuit;
    `matched` is what it says there. `contact_id` is "" where no contact was matched.
    """

    customer_id: str
    name: str
    status: str
    by: str
    matched: str
    contact_id: str = ""


async def find(conn: AsyncConnection, text: str, *, kinds: Sequence[str] = SCOPE_KINDS, limit: int = 20) -> list[Found]:
    """Things of these kinds whose id begins with the text, or in whose name, label or place its words stand.

    Ranked: the very id, ids that begin so, names that begin so (or ids that hold the word), words inside a name;
    elements before sites, areas, services, customers and circuits. A customer's words followed by a line's find that
    line ("acme main office"). What has ended is never found. "" finds nothing.
    """
    text = text.strip()[:LONGEST_QUERY]
    words = folded(text).split()
    if not words:
        return []
    hits: dict[str, dict[str, None]] = {kind: {} for kind in kinds}
    if "circuit" in hits:
        hits["circuit"].update(dict.fromkeys(await _by_id(conn, text)))
    for kind, thing_id in await _by_phrase(conn, words, kinds):
        hits[kind][thing_id] = None
    found = [thing for kind in kinds for thing in await _things(conn, kind, list(hits[kind]))]
    if len(words) > 1 and len(found) < limit:
        known = {(thing.kind, thing.id) for thing in found}
        more = await _by_words(conn, words, kinds)
        found += [thing for thing in more if (thing.kind, thing.id) not in known]
    found.sort(key=lambda thing: (_rank(thing, text, " ".join(words)), kinds.index(thing.kind)))
    return _mixed(found, limit)


async def find_callers(conn: AsyncConnection, text: str, *, limit: int = 20) -> list[Caller]:
    """Customers by whatever a caller may say: number, name, contact's name, phone (its last four digits or more,
    written anyhow), the beginning of an e-mail address, a circuit's id, label or place. The nearest match first.
    """
    text = text.strip()[:LONGEST_QUERY]
    if not text:
        return []
    callers: list[Caller] = []
    callers += await _by_phone(conn, text)
    callers += await _by_email(conn, text)
    for thing in await find(conn, text, kinds=("customer", "circuit"), limit=limit):
        if thing.kind == "customer":
            callers.append(Caller(customer_id=thing.id, name=thing.name, status="", by="customer", matched=thing.name))
        else:
            callers += await _of_circuit(conn, thing)
    callers += await _by_contact(conn, folded(text))
    statuses = {row.id: row for row in await _rows(conn, customers, [c.customer_id for c in callers])}
    seen: dict[str, Caller] = {}
    for caller in callers:
        row = statuses.get(caller.customer_id)
        if row is not None and caller.customer_id not in seen:
            seen[caller.customer_id] = Caller(
                customer_id=row.id, name=row.name, status=row.status, by=caller.by, matched=caller.matched,
                contact_id=caller.contact_id,
            )  # fmt: skip
    return list(seen.values())[:limit]


# --- one way of finding each ---


async def _by_id(conn: AsyncConnection, text: str) -> list[str]:
    """Circuits whose id begins with the text as typed, in capitals or in small letters: the index tells these apart.

    Everything else has its id among its terms.
    """
    c = circuits.c
    parts = [
        _first(select(c.id).where(_begins(c.id, start)), c.id)
        for start in dict.fromkeys((text, text.upper(), text.lower()))
    ]
    return list((await conn.execute(union_all(*parts))).scalars())


async def _by_phrase(conn: AsyncConnection, words: Sequence[str], kinds: Iterable[str]) -> list[tuple[str, str]]:
    """Things in whose name the words stand in this order, the last one perhaps not finished yet."""
    phrase = " ".join(words)
    w = search_words.c
    parts = [
        _first(select(w.kind, w.id).where(w.kind == kind, _begins(w.word, start)), w.word)
        for kind in kinds
        for start in dict.fromkeys((phrase, turned(phrase) if kind == "circuit" else phrase))
    ]
    return [(kind, thing_id) for kind, thing_id in await conn.execute(union_all(*parts))]


async def _by_words(conn: AsyncConnection, words: Sequence[str], kinds: Sequence[str]) -> list[Found]:
    """Things that hold all the words, in any order; and the lines of a customer whose name the first words are."""
    found: list[Found] = []
    for kind in kinds:
        ids = await _rarest(conn, kind, words)
        things = await _things(conn, kind, ids)
        found += [thing for thing in things if holds(_texts(thing), words)][:NEAR]
    if "circuit" in kinds:
        found += await _lines_of(conn, words)
    return found


async def _rarest(conn: AsyncConnection, kind: str, words: Sequence[str]) -> list[str]:
    """The things of a kind that one of the words finds: of that word which the fewest have."""
    best: list[str] | None = None
    for word in sorted(words, key=len, reverse=True):
        w = search_words.c
        query = select(w.id).where(w.kind == kind, _begins(w.word, word)).limit(DEEP)
        ids = list(dict.fromkeys((await conn.execute(query)).scalars()))
        best = ids if best is None or len(ids) < len(best) else best
        if len(best) < NEAR:
            break
    return best or []


async def _lines_of(conn: AsyncConnection, words: Sequence[str]) -> list[Found]:
    found: list[Found] = []
    for cut in range(len(words) - 1, 0, -1):
        mine = [thing_id for _, thing_id in await _by_phrase(conn, words[:cut], ("customer",))][:_SPLITS]
        if not mine:
            continue
        c = circuits.c
        query = (
            select(c.id, c.label, c.place, customers.c.name)
            .join(customers, customers.c.id == c.customer_id)
            .where(c.customer_id.in_(mine), c.status != "ended", customers.c.status != "ended")
            .limit(DEEP)
        )
        found += [
            _circuit(row) for row in await conn.execute(query) if holds((row.id, row.label, row.place), words[cut:])
        ][:NEAR]
    return found


async def _by_phone(conn: AsyncConnection, text: str) -> list[Caller]:
    digits = phone_term(text)
    if len(digits) < _FEWEST_DIGITS or any(char.isalpha() for char in text):
        return []
    w = search_words.c
    start = digits.rstrip("0") or digits  # zeros before a number are dialled within a country, or to leave it
    query = select(w.id).where(w.kind == "phone", _begins(w.word, start)).order_by(w.word).limit(NEAR)
    numbers = list((await conn.execute(query)).scalars())
    return await _of_addresses(conn, "phone", numbers)


async def _by_email(conn: AsyncConnection, text: str) -> list[Caller]:
    if " " in text or len(text) < _FEWEST_DIGITS:
        return []
    a = addresses.c
    query = select(a.value).where(a.channel == "email", _begins(a.value, text.lower())).order_by(a.value).limit(NEAR)
    return await _of_addresses(conn, "email", list((await conn.execute(query)).scalars()))


async def _of_addresses(conn: AsyncConnection, by: str, values: Sequence[str]) -> list[Caller]:
    if not values:
        return []
    column, channel = (contacts.c.phone_id, "sms") if by == "phone" else (contacts.c.email_id, "email")
    query = (
        select(contacts.c.id, contacts.c.customer_id, addresses.c.value)
        .join(addresses, addresses.c.id == column)
        .where(addresses.c.channel == channel, addresses.c.value.in_(values), contacts.c.status != "ended")
        .order_by(contacts.c.id)
    )
    rows = sorted(await conn.execute(query), key=lambda row: values.index(row.value))
    return [
        Caller(customer_id=row.customer_id, name="", status="", by=by, matched=row.value, contact_id=row.id)
        for row in rows
    ]


async def _by_contact(conn: AsyncConnection, phrase: str) -> list[Caller]:
    if not phrase:
        return []
    ids = [thing_id for _, thing_id in await _by_phrase(conn, phrase.split(), ("contact",))]
    query = select(contacts.c.id, contacts.c.name, contacts.c.customer_id).where(
        contacts.c.id.in_(ids), contacts.c.status != "ended"
    )
    return [
        Caller(customer_id=row.customer_id, name="", status="", by="contact", matched=row.name, contact_id=row.id)
        for row in await conn.execute(query)
    ]


async def _of_circuit(conn: AsyncConnection, thing: Found) -> list[Caller]:
    query = select(circuits.c.customer_id).where(circuits.c.id == thing.id)
    said = " ".join(filter(None, (thing.id, thing.name)))
    return [
        Caller(customer_id=customer_id, name="", status="", by="circuit", matched=said)
        for customer_id in (await conn.execute(query)).scalars()
    ]


# --- what was found ---


async def _things(conn: AsyncConnection, kind: str, ids: Sequence[str]) -> list[Found]:
    """Those of some ids that have not ended, in the order of the ids."""
    if not ids:
        return []
    if kind == "area":
        query = select(sites.c.area).where(sites.c.area.in_(ids), sites.c.status != "ended").distinct()
        return [Found(kind=kind, id=area, name=area, detail="") for area in (await conn.execute(query)).scalars()]
    if kind == "circuit":
        c = circuits.c
        query = (
            select(c.id, c.label, c.place, customers.c.name)
            .join(customers, customers.c.id == c.customer_id)
            .where(c.id.in_(ids), c.status != "ended", customers.c.status != "ended")
        )
        lines = {row.id: _circuit(row) for row in await conn.execute(query)}
        return [lines[thing_id] for thing_id in ids if thing_id in lines]
    rows = {row.id: row for row in await _rows(conn, _TABLES[kind], ids) if row.status != "ended"}
    return [
        Found(kind=kind, id=row.id, name=row.name or "", detail=_detail(kind, row))
        for row in (rows[thing_id] for thing_id in ids if thing_id in rows)
    ]


def _detail(kind: str, row: Any) -> str:
    match kind:
        case "element":
            return str(row.kind)
        case "site":
            return str(row.area)
        case "customer":
            return "" if row.status == "active" else str(row.status)
        case _:
            return ""


def _circuit(row: Any) -> Found:
    detail = ", ".join(filter(None, (row.name, row.place)))
    return Found(kind="circuit", id=row.id, name=row.label or "", detail=detail)


async def _rows(conn: AsyncConnection, table: Any, ids: Sequence[str]) -> list[Any]:
    return list((await conn.execute(select(table).where(table.c.id.in_(ids)))).all())


def _texts(thing: Found) -> tuple[str, ...]:
    return (thing.id, thing.name, thing.detail)


def _rank(thing: Found, text: str, phrase: str) -> int:
    """0 the very id, 1 an id that begins so, 2 a word of an id or a name that begins so, 3 words inside."""
    known, shown = thing.id.casefold(), folded(thing.id)
    if known == text.casefold() or shown == phrase:
        return 0
    if known.startswith(text.casefold()) or shown.startswith(phrase):
        return 1
    return 2 if phrase in shown.split() or folded(thing.name).startswith(phrase) else 3


def _mixed(found: Sequence[Found], limit: int) -> list[Found]:
    """The first ones; but no kind fills a short list alone while another has something to show."""
    share = max(1, limit // 2)
    taken: dict[str, int] = {}
    first: list[Found] = []
    rest: list[Found] = []
    for thing in found:
        taken[thing.kind] = taken.get(thing.kind, 0) + 1
        (first if taken[thing.kind] <= share else rest).append(thing)
    kept = {(thing.kind, thing.id) for thing in (first + rest)[:limit]}
    return [thing for thing in found if (thing.kind, thing.id) in kept]


def _begins(column: Any, start: str) -> ColumnElement[bool]:
    """As a range, which an index answers (LIKE folds case and does not use it)."""
    found: ColumnElement[bool] = (column >= start) & (column < start + _LAST)
    return found


def _first(query: Select[Any], order: Any) -> Select[Any]:
    """The first few of a part of a union: SQLite wants LIMIT inside a query of its own."""
    few = query.order_by(order).limit(NEAR).subquery()
    return select(few)
