"""What is structurally wrong with what is staged, judged against the union of the files and what is stored already.

Each check puts its mistakes into staged_mistakes; they are set-based, except for the search for cycles, which follows
needs through the graph in batches.
"""

import json
from collections.abc import Collection, Iterable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.cycles import find_cycles
from outagecast.domain.imports import Mistake
from outagecast.domain.inventory import COLUMNS, Column, InventoryKind, Keeping, keys
from outagecast.domain.needs import Ref, ThingKind, parse_needs, ref_of, refs, split_ref
from outagecast.storage.plain_sql import run
from outagecast.storage.staging import add_mistakes

_K = InventoryKind
_NEEDED = {
    ThingKind.ELEMENT: _K.ELEMENTS,
    ThingKind.SERVICE: _K.SERVICES,
    ThingKind.SITE: _K.SITES,
    ThingKind.CIRCUIT: _K.CIRCUITS,
}
_FEW_CIRCUITS = 1_000
_NODES = 5_000
_SHOWN_IN_CYCLE = 10


async def check(
    conn: AsyncConnection, kinds: Collection[InventoryKind], *, complete: Collection[InventoryKind] = ()
) -> None:
    """Find every structural mistake among the staged rows of `kinds`; `compare` has marked them before.

    `complete` are the kinds of which what the files no longer hold ends: what ends may not be referred to any more.
    """
    for kind in kinds:
        await _doubled(conn, kind)
        for column in COLUMNS[kind]:
            if column.refers is not None:
                await _unknown(conn, kind, column, complete)
            if column.keeping is Keeping.NEED:
                await _unknown_needs(conn, kind, column.name, complete)
    if _K.ELEMENTS in kinds:
        await _links(conn)
    await add_mistakes(conn, await _cycles(conn, kinds))


async def _doubled(conn: AsyncConnection, kind: InventoryKind) -> None:
    names = ", ".join(keys(kind))
    same = " AND ".join(f"s.{name} = d.{name}" for name in keys(kind))
    shown = " || ' ' || ".join(f"s.{name}" for name in keys(kind))
    await run(
        conn,
        f"""
        INSERT INTO staged_mistakes (file, line, col, what)
        SELECT s.file, s.line, '{keys(kind)[0]}', '"' || {shown} || '" is there already, on line ' || f.line
               || CASE WHEN f.file = s.file THEN '' ELSE ' of another file' END
          FROM (SELECT {names}, min(n) AS first FROM staged_{kind} GROUP BY {names} HAVING count(*) > 1) AS d
          JOIN staged_{kind} AS s ON {same} AND s.n > d.first
          JOIN staged_{kind} AS f ON f.n = d.first
         WHERE s.{keys(kind)[0]} <> ''
        """,
    )


async def _unknown(
    conn: AsyncConnection, kind: InventoryKind, column: Column, complete: Collection[InventoryKind]
) -> None:
    assert column.refers is not None
    name, to = column.name, column.refers
    await run(
        conn,
        f"""
        INSERT INTO staged_mistakes (file, line, col, what)
        SELECT s.file, s.line, '{name}', 'there is no {to.singular} "' || substr(s.{name}, 1, 80) || '"'
          FROM staged_{kind} AS s
         WHERE s.{name} <> '' AND {_missing(to, f"s.{name}")} AND {_gone(to, f"s.{name}", complete)}
        """,
    )


async def _unknown_needs(
    conn: AsyncConnection, kind: InventoryKind, name: str, complete: Collection[InventoryKind]
) -> None:
    for thing, to in _NEEDED.items():
        lost = f"SELECT id, need FROM staged_refs AS r WHERE kind = '{thing}' AND {_missing(to, 'r.id')}"
        if (await run(conn, f"{lost} LIMIT 1")).first() is None:
            continue
        await run(
            conn,
            f"""
            INSERT INTO staged_mistakes (file, line, col, what)
              WITH lost AS MATERIALIZED ({lost})
            SELECT s.file, s.line, '{name}', 'there is no {thing} "' || substr(lost.id, 1, 80) || '"'
              FROM lost JOIN staged_{kind} AS s ON s.{name} = lost.need
             WHERE {_gone(to, "lost.id", complete)}
            """,
        )


def _missing(kind: InventoryKind, value: str) -> str:
    return f"NOT EXISTS (SELECT 1 FROM staged_{kind} AS known WHERE known.id = {value})"


def _gone(kind: InventoryKind, value: str, complete: Collection[InventoryKind]) -> str:
    """Not stored either, or about to end: what has ended itself may still name it."""
    unknown = f"NOT EXISTS (SELECT 1 FROM {kind} AS stored WHERE stored.id = {value})"
    return f"(s.status IS DISTINCT FROM 'ended' OR {unknown})" if kind in complete else unknown


async def _links(conn: AsyncConnection) -> None:
    """A link has two ends, both of them nodes. Links are what is called so and what has an end."""
    await run(
        conn,
        """
        INSERT INTO staged_mistakes (file, line, col, what)
          WITH l AS (
            SELECT s.file, s.line, s.id, s.kind, coalesce(s.a, t.a, '') AS a, coalesce(s.z, t.z, '') AS z
              FROM staged_elements AS s LEFT JOIN elements AS t ON t.id = s.id
          ), links AS MATERIALIZED (SELECT * FROM l WHERE kind = 'link' OR a <> '' OR z <> '')
        SELECT file, line, 'a', 'a link needs both its ends' FROM links WHERE a = ''
        UNION ALL
        SELECT file, line, 'z', 'a link needs both its ends' FROM links WHERE z = ''
        UNION ALL
        SELECT file, line, 'z', 'both ends are "' || substr(z, 1, 80) || '"' FROM links WHERE a = z AND a <> ''
        """,
    )
    for end in ("a", "z"):
        await run(
            conn,
            f"""
            INSERT INTO staged_mistakes (file, line, col, what)
            SELECT s.file, s.line, '{end}', '"' || substr(e.id, 1, 80) || '" is a link, not a node'
              FROM staged_elements AS s LEFT JOIN elements AS t ON t.id = s.id
              JOIN staged_elements AS e ON e.id = coalesce(s.{end}, t.{end}) LEFT JOIN elements AS f ON f.id = e.id
             WHERE e.id <> s.id AND (e.kind = 'link' OR coalesce(e.a, f.a, '') <> '' OR coalesce(e.z, f.z, '') <> '')
            UNION ALL
            SELECT s.file, s.line, '{end}', '"' || substr(e.id, 1, 80) || '" is a link, not a node'
              FROM staged_elements AS s LEFT JOIN elements AS t ON t.id = s.id
              JOIN elements AS e ON e.id = coalesce(s.{end}, t.{end})
             WHERE {_missing(_K.ELEMENTS, "e.id")} AND (e.kind = 'link' OR coalesce(e.a, e.z, '') <> '')
            UNION ALL
            SELECT e.file, e.line, 'kind', 'the link "' || substr(t.id, 1, 80) || '" ends here: it must be a node'
              FROM elements AS t JOIN staged_elements AS e ON e.id = t.{end}
             WHERE t.status <> 'ended' AND {_missing(_K.ELEMENTS, "t.id")}
               AND (e.kind = 'link' OR e.a <> '' OR e.z <> '')
            """,
        )


async def _cycles(conn: AsyncConnection, kinds: Collection[InventoryKind]) -> list[Mistake]:
    edges: dict[Ref, Sequence[Ref]] = {}
    frontier = await _starts(conn, kinds)
    while frontier:
        now, frontier = frontier[:_NODES], frontier[_NODES:]
        found = await _ahead(conn, now)
        edges |= {ref: found.get(ref, ()) for ref in now}
        frontier += dict.fromkeys(step for ref in now for step in found.get(ref, ()) if step not in edges)
        frontier = [ref for ref in dict.fromkeys(frontier) if ref not in edges]
    return [mistake for cycle in find_cycles(edges) if (mistake := await _cycle(conn, cycle))]


async def _starts(conn: AsyncConnection, kinds: Collection[InventoryKind]) -> list[Ref]:
    """What is new or changed and needs something; of circuits, unless they are few, only what others need."""
    starts: list[Ref] = []
    for thing, kind in ((ThingKind.ELEMENT, _K.ELEMENTS), (ThingKind.SERVICE, _K.SERVICES)):
        if kind in kinds:
            starts += await _ids(
                conn, thing, f"SELECT id FROM staged_{kind} WHERE op < 2 AND depends_on <> '' ORDER BY n"
            )
    if _K.CUSTOMERS in kinds:
        changed = "SELECT id FROM staged_customers WHERE op < 2 AND parent_id <> '' ORDER BY n"
        starts += await _ids(conn, ThingKind.CUSTOMER, changed)
    if _K.CIRCUITS in kinds:
        starts += await _pinned(conn)
    return starts


async def _pinned(conn: AsyncConnection) -> list[Ref]:
    changed = "SELECT id FROM staged_circuits WHERE op < 2 AND (depends_on <> '' OR service_id <> '')"
    first = await _ids(conn, ThingKind.CIRCUIT, f"{changed} ORDER BY n LIMIT {_FEW_CIRCUITS}")
    if len(first) < _FEW_CIRCUITS:
        return first
    stored = await run(conn, "SELECT text FROM needs WHERE text LIKE '%circuit:%' ORDER BY text")
    named = {ref for need in stored.scalars() for ref in refs(parse_needs(need))}
    named |= set(await _ids(conn, ThingKind.CIRCUIT, "SELECT id FROM staged_refs WHERE kind = 'circuit' ORDER BY id"))
    ids = json.dumps([split_ref(ref)[1] for ref in named if ref.startswith("circuit:")])
    return await _ids(conn, ThingKind.CIRCUIT, f"{changed} AND id IN (SELECT value FROM EACH(?) AS j) ORDER BY n", ids)


async def _ids(conn: AsyncConnection, thing: ThingKind, query: str, *params: str) -> list[Ref]:
    rows = await run(conn, query, params)
    return [ref_of(thing, row_id) for row_id in rows.scalars()]


async def _ahead(conn: AsyncConnection, batch: Iterable[Ref]) -> dict[Ref, list[Ref]]:
    """What each of some things needs, as it will be once applied. A circuit needs its service too."""
    ids: dict[ThingKind, list[str]] = {}
    for ref in batch:
        thing, thing_id = split_ref(ref)
        ids.setdefault(thing, []).append(thing_id)
    ahead: dict[Ref, list[Ref]] = {}
    for thing, some in ids.items():
        if thing is ThingKind.CUSTOMER:
            ahead |= await _parents(conn, some)
        elif thing is not ThingKind.SITE:
            ahead |= await _needs(conn, thing, some)
    return ahead


async def _needs(conn: AsyncConnection, thing: ThingKind, ids: list[str]) -> dict[Ref, list[Ref]]:
    kind = _NEEDED[thing]
    service = "coalesce(s.service_id, t.service_id, '')" if kind is _K.CIRCUITS else "''"
    rows = await run(
        conn,
        f"""
        SELECT j.value AS id, {service} AS service,
               CASE WHEN s.depends_on IS NULL THEN n.text ELSE s.depends_on END AS need
          FROM EACH(?) AS j LEFT JOIN staged_{kind} AS s ON s.id = j.value LEFT JOIN {kind} AS t ON t.id = j.value
          LEFT JOIN needs AS n ON n.id = t.need_id
        """,
        (json.dumps(ids),),
    )
    ahead: dict[Ref, list[Ref]] = {}
    for row in rows.mappings():
        named = list(refs(parse_needs(row["need"]))) if row["need"] else []
        also = [ref_of(ThingKind.SERVICE, row["service"])] if row["service"] else []
        ahead.setdefault(ref_of(thing, row["id"]), []).extend(named + also)  # a doubled id has several rows
    return ahead


async def _parents(conn: AsyncConnection, ids: list[str]) -> dict[Ref, list[Ref]]:
    rows = await run(
        conn,
        """
        SELECT j.value AS id, coalesce(s.parent_id, t.parent_id, '') AS parent
          FROM EACH(?) AS j LEFT JOIN staged_customers AS s ON s.id = j.value
          LEFT JOIN customers AS t ON t.id = j.value
        """,
        (json.dumps(ids),),
    )
    return {
        ref_of(ThingKind.CUSTOMER, row["id"]): [ref_of(ThingKind.CUSTOMER, row["parent"])] if row["parent"] else []
        for row in rows.mappings()
    }


async def _cycle(conn: AsyncConnection, cycle: list[Ref]) -> Mistake | None:
    """The mistake of a cycle, at the first of its members that is staged; None for one that was stored all along."""
    names = [ref.removeprefix("element:").removeprefix("customer:") for ref in cycle]
    shown = names if len(names) <= _SHOWN_IN_CYCLE else [*names[:_SHOWN_IN_CYCLE], "…", names[-1]]
    for ref in cycle:
        thing, thing_id = split_ref(ref)
        kind = _K.CUSTOMERS if thing is ThingKind.CUSTOMER else _NEEDED[thing]
        rows = await run(conn, f"SELECT file, line FROM staged_{kind} WHERE id = ? AND op < 2 ORDER BY n", (thing_id,))
        for row in rows.mappings():
            column = "parent_id" if thing is ThingKind.CUSTOMER else "depends_on"
            verb = " belongs to " if thing is ThingKind.CUSTOMER else " needs "
            return Mistake(**row, column=column, what=f"is a cycle: {verb.join(shown)}")
    return None
