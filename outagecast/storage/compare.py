"""What is staged against what is stored: the difference, and making it so, all of it set-based.

`op` of a staged row: 0 new, 1 changed, 2 unchanged.
"""

from collections.abc import Collection

from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.facts import from_micros
from outagecast.domain.imports import Change, Difference
from outagecast.domain.inventory import COLUMNS, STATUS, Column, InventoryKind, Keeping, Value, keys
from outagecast.storage import erasure, search_index
from outagecast.storage.plain_sql import is_postgresql, run
from outagecast.storage.staging import pages

APPLY_ROWS = 2_000
"""Rows for one statement: SQLite keeps every page that a statement changes as it was before, in memory."""
MANY = 10_000
"""Rows of an import that change what PostgreSQL should know about its tables."""
_TYPES = {
    "gateway": "BOOLEAN", "public": "BOOLEAN", "position": "INTEGER", "latitude": "DOUBLE PRECISION",
    "longitude": "DOUBLE PRECISION", "consent_at": "BIGINT",
}  # fmt: skip
"""What is stored otherwise than as text; PostgreSQL's staged cells are all texts."""
_SHARED = {Keeping.EMAIL: "email", Keeping.PHONE: "sms"}


async def compare(conn: AsyncConnection, kinds: Collection[InventoryKind], *, revive: bool) -> None:
    """Mark every staged row with what becomes of it. `revive`: a row that has ended and is named again is active."""
    for kind in kinds:
        conditions = [_differs(column) for column in COLUMNS[kind]]
        conditions.append(f"{_status(kind, revive)} IS DISTINCT FROM t.status")
        if kind is not InventoryKind.SUBSCRIPTIONS:
            conditions.append(_ATTRIBUTES_DIFFER)
        await run(
            conn,
            f"UPDATE staged_{kind} AS s SET op = CASE WHEN {' OR '.join(conditions)} THEN 1 ELSE 2 END "
            f"FROM {kind} AS t WHERE {_same(kind)}",
        )


async def difference(conn: AsyncConnection, kind: InventoryKind, *, complete: bool, revive: bool) -> Difference:
    """The counts for one kind, after `compare`."""
    rows = await run(conn, f"SELECT op, count(*) AS n FROM staged_{kind} GROUP BY op")
    ops: dict[int, int] = {row["op"]: row["n"] for row in rows.mappings()}
    before = await run(conn, f"SELECT count(*) FROM {kind} WHERE status <> 'ended'")
    ended = await run(conn, f"SELECT count(*) FROM {kind} AS t WHERE {_gone(kind)}") if complete else None
    return Difference(
        new=ops.get(0, 0),
        changed=ops.get(1, 0),
        unchanged=ops.get(2, 0),
        ended=int(ended.scalar_one()) if ended else 0,
        still_ended=0 if revive else await _still_ended(conn, kind),
        before=int(before.scalar_one()),
    )


async def sample(
    conn: AsyncConnection, kind: InventoryKind, *, complete: bool, revive: bool, limit: int
) -> list[Change]:
    """The first rows that are new, changed and ended, at most so many of each, after `compare`."""
    name = "s.name" if any(column.name == "name" for column in COLUMNS[kind]) else "''"
    staged = f"{_key(kind, 's')} AS id, coalesce({name}, '') AS name"
    new = await run(conn, f"SELECT {staged} FROM staged_{kind} AS s WHERE s.op = 0 ORDER BY s.n LIMIT ?", (limit,))
    found = [Change(what="new", **row) for row in new.mappings()]
    shown = [column for column in COLUMNS[kind] if column is not STATUS and column.name not in keys(kind)]
    cells = [f", {_differs(c)} AS d{n}, {_was(c)} AS b{n}, {_becomes(c)} AS a{n}" for n, c in enumerate(shown)]
    changed = await run(
        conn,
        f"SELECT {staged}, t.status AS was, {_status(kind, revive)} AS becomes{''.join(cells)} "
        f"FROM staged_{kind} AS s JOIN {kind} AS t ON {_same(kind)} WHERE s.op = 1 ORDER BY s.n LIMIT ?",
        (limit,),
    )
    for row in changed.mappings():
        fields = [(c.name, _text(c, row[f"b{n}"]), _text(c, row[f"a{n}"])) for n, c in enumerate(shown) if row[f"d{n}"]]
        if row["was"] != row["becomes"]:
            fields.append((STATUS.name, row["was"], row["becomes"]))
        found.append(Change(what="changed", id=row["id"], name=row["name"], fields=tuple(fields)))
    if complete:
        own = name.replace("s.", "t.")
        ended = await run(
            conn,
            f"SELECT {_key(kind, 't')} AS id, {own} AS name FROM {kind} AS t WHERE {_gone(kind)} ORDER BY 1 LIMIT ?",
            (limit,),
        )
        found += [Change(what="ended", **row) for row in ended.mappings()]
    return found


async def apply(
    conn: AsyncConnection, kinds: Collection[InventoryKind], *, complete: Collection[InventoryKind], revive: bool
) -> None:
    """Make the stored rows what the staged ones say, and what finds them (`search_index.stage` has been there before).

    The caller's transaction holds it all; no row of the inventory is ever deleted.
    """
    await run(conn, "INSERT INTO needs (text) SELECT text FROM staged_needs WHERE true ON CONFLICT (text) DO NOTHING")
    before = await erasure.highest_address(conn)
    for name, channel in (("email", "email"), ("phone", "sms")):
        await run(
            conn,
            "INSERT INTO addresses (channel, value) "
            f"SELECT '{channel}', {name} FROM staged_contacts WHERE op < 2 AND {name} <> '' "
            "ON CONFLICT (channel, value) DO NOTHING",
        )
    await erasure.known_before(conn, before)
    for kind in sorted(kinds, key=list(InventoryKind).index):
        await _upsert(conn, kind, revive)
    for kind in complete:
        await run(conn, f"UPDATE {kind} AS t SET status = 'ended' WHERE {_gone(kind)}")
    await search_index.apply(conn)
    await _make_known(conn, kinds)


async def unreachable(conn: AsyncConnection, *, complete: Collection[InventoryKind]) -> tuple[int, int]:
    """(contacts without any address, customers none of whose contacts has one) as they will be once applied.

    Only what has not ended counts; customers whom their parent hears for are left out.
    """
    contacts, customers = InventoryKind.CONTACTS, InventoryKind.CUSTOMERS
    kept_contact = "false" if contacts in complete else "t.status <> 'ended'"
    kept_customer = "false" if customers in complete else "t.status <> 'ended'"
    row = await run(
        conn,
        f"""
        WITH reach AS (
            SELECT {_value("customer_id", "s", "t")} AS customer_id,
                   {_has("email")} OR {_has("phone")} AS has
              FROM staged_contacts s LEFT JOIN contacts t ON t.id = s.id
             WHERE coalesce(s.status, t.status, 'active') <> 'ended'
            UNION ALL
            SELECT t.customer_id, t.email_id IS NOT NULL OR t.phone_id IS NOT NULL FROM contacts t
             WHERE {kept_contact} AND NOT EXISTS (SELECT 1 FROM staged_contacts s WHERE s.id = t.id)
        ), heard AS (
            SELECT {_value("id", "s", "t")} AS id, coalesce(s.told_via, t.told_via, 'self') AS told_via
              FROM staged_customers s LEFT JOIN customers t ON t.id = s.id
             WHERE coalesce(s.status, t.status, 'active') <> 'ended'
            UNION ALL
            SELECT t.id, t.told_via FROM customers t
             WHERE {kept_customer} AND NOT EXISTS (SELECT 1 FROM staged_customers s WHERE s.id = t.id)
        )
        SELECT (SELECT count(*) FROM reach WHERE NOT has AND customer_id IN (SELECT id FROM heard)) AS contacts,
               (SELECT count(*) FROM heard WHERE told_via <> 'parent'
                                             AND id NOT IN (SELECT customer_id FROM reach WHERE has)) AS customers
        """,
    )
    counts = row.mappings().one()
    return counts["contacts"], counts["customers"]


_ATTRIBUTES = "MERGED(t.attributes, s.attributes)"
_ATTRIBUTES_DIFFER = f"(s.attributes IS NOT NULL AND {_ATTRIBUTES} IS DISTINCT FROM AS_JSON(t.attributes))"


def _has(name: str) -> str:
    return f"(CASE WHEN s.{name} IS NULL THEN t.{name}_id IS NOT NULL ELSE s.{name} <> '' END)"


def _key(kind: InventoryKind, table: str) -> str:
    return " || ' ' || ".join(f"{table}.{key}" for key in keys(kind))


def _was(column: Column) -> str:
    """A stored row's value as people read it."""
    match column.keeping:
        case Keeping.TEXT | Keeping.NUMBER | Keeping.OPTIONAL:
            return f"t.{column.stored}"
        case Keeping.NEED:
            return f"(SELECT text FROM needs WHERE id = t.{column.stored})"
        case Keeping.EMAIL | Keeping.PHONE:
            return f"(SELECT value FROM addresses WHERE id = t.{column.stored})"


def _becomes(column: Column) -> str:
    match column.keeping:
        case Keeping.TEXT | Keeping.NUMBER | Keeping.OPTIONAL:
            return _stored(column)
        case Keeping.NEED | Keeping.EMAIL | Keeping.PHONE:
            return f"s.{column.name}"


def _text(column: Column, value: Value | None) -> str:
    if column.name == "consent_at" and isinstance(value, int):
        return from_micros(value).isoformat(timespec="seconds")
    if isinstance(value, bool):
        value = int(value)
    return "" if value is None else str(value)


def _same(kind: InventoryKind) -> str:
    return " AND ".join(f"t.{key} = s.{key}" for key in keys(kind))


def _gone(kind: InventoryKind) -> str:
    return f"t.status <> 'ended' AND NOT EXISTS (SELECT 1 FROM staged_{kind} AS s WHERE {_same(kind)})"


async def _still_ended(conn: AsyncConnection, kind: InventoryKind) -> int:
    if STATUS not in COLUMNS[kind]:
        return 0
    found = await run(
        conn,
        f"SELECT count(*) FROM staged_{kind} AS s JOIN {kind} AS t ON {_same(kind)} "
        "WHERE s.status IS NULL AND t.status = 'ended'",
    )
    return int(found.scalar_one())


async def _upsert(conn: AsyncConnection, kind: InventoryKind, revive: bool) -> None:
    stored = [(column.stored, _stored(column)) for column in COLUMNS[kind] if column is not STATUS]
    stored.append(("status", _status(kind, revive)))
    if kind is not InventoryKind.SUBSCRIPTIONS:
        stored.append(
            ("attributes", f"CASE WHEN s.attributes IS NULL THEN AS_JSON(t.attributes) ELSE {_ATTRIBUTES} END")
        )
    key = keys(kind)
    changing = [name for name, _ in stored if name not in key]
    now, then = (", ".join(_compared(f"{table}.{name}") for name in changing) for table in ("excluded", kind))
    sql = (
        f"INSERT INTO {kind} ({', '.join(name for name, _ in stored)}) SELECT {', '.join(v for _, v in stored)} "
        f"FROM staged_{kind} AS s LEFT JOIN {kind} AS t ON {_same(kind)} WHERE s.n BETWEEN ? AND ? AND s.op < 2 "
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in changing)} "
        f"WHERE ({then}) IS DISTINCT FROM ({now})"
    )
    for page in await pages(conn, kind, APPLY_ROWS):
        await run(conn, sql, page)


async def _make_known(conn: AsyncConnection, kinds: Collection[InventoryKind]) -> None:
    """PostgreSQL plans by what it knows of its tables; by itself it would look a minute later."""
    if is_postgresql(conn) and (many := [kind for kind in kinds if len(await pages(conn, kind, MANY)) > 1]):
        await run(conn, f"ANALYZE {', '.join(many)}, needs, addresses, search_words")


def _compared(name: str) -> str:
    return f"AS_JSON({name})" if name.endswith(".attributes") else name


def _stored(column: Column) -> str:
    """What a staged row makes of a column, over the stored row `t` if there is one."""
    name, stored = column.name, column.stored
    kind = _TYPES.get(name)
    staged = f"nullif(s.{name}, '')"
    staged = f"CAST({staged} AS {kind})" if kind else staged
    match column.keeping:
        case Keeping.TEXT:
            return _value(name, "s", "t", stored, column.default)
        case Keeping.NUMBER:
            none = "false" if kind == "BOOLEAN" else str(column.default)
            return f"coalesce({staged}, CASE WHEN s.{name} IS NULL THEN t.{stored} END, {none})"
        case Keeping.OPTIONAL:
            return f"CASE WHEN s.{name} IS NULL THEN t.{stored} ELSE {staged} END"
        case Keeping.NEED:
            found = f"(SELECT id FROM needs WHERE text = s.{name})"
        case Keeping.EMAIL | Keeping.PHONE:
            channel = _SHARED[column.keeping]
            found = f"(SELECT id FROM addresses WHERE channel = '{channel}' AND value = s.{name})"
    return f"CASE WHEN s.{name} IS NULL THEN t.{stored} ELSE {found} END"


def _differs(column: Column) -> str:
    name, stored = column.name, column.stored
    match column.keeping:
        case Keeping.TEXT | Keeping.NUMBER | Keeping.OPTIONAL:
            if column is STATUS:
                return "false"
            return f"(s.{name} IS NOT NULL AND {_stored(column)} IS DISTINCT FROM t.{stored})"
        case Keeping.NEED:
            found = f"(SELECT text FROM needs WHERE id = t.{stored})"
        case Keeping.EMAIL | Keeping.PHONE:
            found = f"(SELECT value FROM addresses WHERE id = t.{stored})"
    return f"(s.{name} IS NOT NULL AND s.{name} IS DISTINCT FROM coalesce({found}, ''))"


def _status(kind: InventoryKind, revive: bool) -> str:
    """Kinds whose files have no status are active whenever they are named; the others as they are unless revived."""
    again = revive or STATUS not in COLUMNS[kind]
    kept = "CASE WHEN t.status <> 'ended' THEN t.status END" if again else "t.status"
    return f"coalesce(s.status, {kept}, 'active')"


def _value(name: str, new: str, old: str, stored: str = "", default: Value = "") -> str:
    text = f"'{default}'" if isinstance(default, str) else str(default)
    return f"coalesce({new}.{name}, {old}.{stored or name}, {text})"
