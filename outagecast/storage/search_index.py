"""Keeping `search_words` true: what an import or the API changes, and everything anew.

A thing's terms are a function of its row alone (domain/search_terms.py), ended or not: so what has to go is reckoned
from the row as it was, and nothing need be looked up. New terms are sorted in the staging area before they are
applied, because a million rows in any order would touch a page of the index each.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.inventory import InventoryKind
from outagecast.domain.search_terms import label_term, name_terms, phone_term, place_term
from outagecast.storage.plain_sql import fill, is_postgresql, run, spelled
from outagecast.storage.staging import pages

PAGE = 5_000
APPLY_ROWS = 10_000
"""Rows for one statement: what it changes is kept in memory as it was (see compare.py); these rows are short."""
_K = InventoryKind


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """The columns of one kind that make its terms; `value` stands for what a contact's phone is stored as."""

    kind: InventoryKind
    columns: tuple[str, ...]


_SOURCES = (
    _Source(kind=_K.SITES, columns=("id", "name", "area")),
    _Source(kind=_K.ELEMENTS, columns=("id", "name")),
    _Source(kind=_K.SERVICES, columns=("id", "name")),
    _Source(kind=_K.CUSTOMERS, columns=("id", "name")),
    _Source(kind=_K.CONTACTS, columns=("id", "name")),
    _Source(kind=_K.CIRCUITS, columns=("id", "label", "place")),
)


async def stage(conn: AsyncConnection, kinds: Collection[InventoryKind]) -> None:
    """From what is staged and compared, what to take out of `search_words` and what to put in: see `apply`."""
    await run(conn, "DELETE FROM staged_words")
    for source in _SOURCES:
        if source.kind in kinds:
            await _stage_kind(conn, source)
    await run(conn, "DELETE FROM staged_terms")
    # Sorted here, where sorting spills to a file: SQLite's connections to the live database sort in memory.
    await run(
        conn,
        "INSERT INTO staged_terms (gone, kind, word, id) SELECT gone, kind, word, id FROM staged_words "
        "ORDER BY kind, word",
    )
    if _K.CIRCUITS in kinds and not is_postgresql(conn):
        await _stage_new_circuits(conn)


async def apply(conn: AsyncConnection) -> None:
    """Make `search_words` what `stage` found, inside the transaction that changes the things themselves."""
    gone = (await run(conn, "SELECT count(*) FROM staged_terms WHERE gone = 1")).scalar_one()
    for page in await pages(conn, "terms", APPLY_ROWS):
        if gone:
            await run(
                conn,
                "DELETE FROM search_words WHERE (kind, word, id) IN "
                "(SELECT kind, word, id FROM staged_terms WHERE n BETWEEN ? AND ? AND gone = 1)",
                page,
            )
        await run(
            conn,
            "INSERT INTO search_words (kind, word, id) SELECT kind, word, id FROM staged_terms "
            "WHERE n BETWEEN ? AND ? AND gone = 0 AND word <> '' ON CONFLICT DO NOTHING",
            page,
        )


def rebuild(conn: Connection) -> None:
    """All terms anew from the stored inventory: at a migration, and for rows that came by neither import nor API."""
    conn.exec_driver_sql("DELETE FROM search_words")
    for query, kind in STORED:
        for rows in conn.exec_driver_sql(query).partitions(PAGE * 10):
            found = sorted({each for row in rows for each in terms_of(kind, row)})
            into = "INSERT INTO search_words (kind, word, id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
            if found:
                conn.exec_driver_sql(spelled(into, conn), found)


STORED: tuple[tuple[str, InventoryKind | None], ...] = (
    *((f"SELECT {', '.join(source.columns)} FROM {source.kind}", source.kind) for source in _SOURCES),
    ("SELECT value FROM addresses WHERE channel = 'sms'", None),
)
"""Everything that has terms: a query, and the kind of its rows (None: phone numbers) for `terms_of`."""


def terms_of(kind: InventoryKind | None, row: Sequence[Any]) -> Iterator[tuple[str, str, str]]:
    """The (kind, word, id) of one stored row."""
    if kind is None:
        if row[0].startswith("+"):  # not what stands in an erased one's place
            yield "phone", phone_term(row[0]), row[0]
        return
    for word in _terms(kind, row):
        yield kind.singular, word, row[0]
    if kind is _K.SITES and row[2]:
        for word in name_terms(row[2]):
            yield "area", word, row[2]


async def _stage_kind(conn: AsyncConnection, source: _Source) -> None:
    kind, columns = source.kind, source.columns
    new = ", ".join(["s.id", *(f"coalesce(s.{name}, t.{name}, '')" for name in columns[1:])])
    old = ", ".join(f"t.{name}" for name in columns)
    phone = ", coalesce(s.phone, '')" if kind is _K.CONTACTS else ""
    only = "s.op = 1" if kind is _K.CIRCUITS and not is_postgresql(conn) else "s.op < 2"
    query = (
        f"SELECT {new}, {old}{phone} FROM staged_{kind} AS s LEFT JOIN {kind} AS t ON t.id = s.id "
        f"WHERE s.n BETWEEN ? AND ? AND {only}"
    )
    for page in await pages(conn, kind, PAGE):
        rows = [tuple(row) for row in await run(conn, query, page)]
        staged = await asyncio.to_thread(list, _changes(kind, len(columns), rows))
        await fill(conn, "staged_words", ("gone", "kind", "word", "id"), staged)


def _changes(kind: InventoryKind, width: int, rows: Iterable[Sequence[Any]]) -> Iterator[tuple[int, str, str, str]]:
    """(gone, kind, word, id): what each row newly is called, and what it no longer is. Areas and phones only come."""
    for row in rows:
        new, old = row[:width], row[width : 2 * width]
        if old[0] is None:
            yield from ((0, *each) for each in terms_of(kind, new))
        elif tuple(new) != tuple(old):
            now, before = set(terms_of(kind, new)), set(terms_of(kind, old))
            yield from ((0, *each) for each in now - before)
            yield from ((1, *each) for each in before - now if each[0] != "area")
        if len(row) > 2 * width and row[-1]:
            yield from ((0, *each) for each in terms_of(None, (row[-1],)))


def _terms(kind: InventoryKind, row: Sequence[Any]) -> set[str]:
    if kind is _K.CIRCUITS:
        return {term for term in (label_term("" if row[1] == row[0] else row[1]), place_term(row[2])) if term}
    return name_terms(row[1]) if kind is _K.CONTACTS else name_terms(row[0], row[1])


async def _stage_new_circuits(conn: AsyncConnection) -> None:
    """New circuits, a million of them in a first import, whole in SQLite: as rows that come to Python and go back, as
    they do from PostgreSQL, they would take half its time again.
    """
    raw: Any = await conn.get_raw_connection()
    for name, function in (("label_term", label_term), ("place_term", place_term)):
        await raw.driver_connection.create_function(name, 1, function, deterministic=True)
    await conn.exec_driver_sql(_NEW_CIRCUITS)


_NEW_CIRCUITS = """
    INSERT INTO staged_terms (gone, kind, word, id)
    SELECT 0, 'circuit', word, id FROM (
        SELECT label_term(label) AS word, id FROM staged_circuits WHERE op = 0 AND label <> '' AND label <> id
        UNION ALL SELECT place_term(place), id FROM staged_circuits WHERE op = 0 AND place <> ''
    ) ORDER BY word
"""
