"""SQL by hand means the same on both databases."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outagecast.storage.engine import Connection, Database
from outagecast.storage.plain_sql import fill, run
from outagecast.storage.types import compact
from tests.support.databases import opened

PLAIN = st.text(st.characters(exclude_categories=["C"]), max_size=8)
FLAT = st.dictionaries(PLAIN, st.one_of(PLAIN, st.integers(-999, 999), st.none()), max_size=4)


@pytest.fixture
async def conn(tmp_path: Path) -> AsyncIterator[Connection]:
    db = opened("plain.db", tmp_path)
    async with db.write() as found:
        await run(found, "CREATE TEMP TABLE staged_t (n NUMBERED, a CELL, b CELL)")
        yield found
    await db.close()


async def asked(conn: Connection, what: str, *values: Any) -> Any:
    """One value of a table `t` with one row, whose columns are these JSON values."""
    columns = ", ".join(
        f"CAST(? AS {'json' if conn.dialect.name == 'postgresql' else 'text'}) AS c{n}" for n in range(9)
    )
    given = [None if value is None else compact(value) for value in (*values, *[None] * 9)][:9]
    return (await run(conn, f"SELECT {what} FROM (SELECT {columns}) AS t", given)).scalar()


async def test_members_of_a_stored_object(conn: Connection) -> None:
    stored = {"yes": True, "no": False, "number": 12_345_678_901, "word": "it's 100 %"}
    for what, value in (
        ("JSON_TEXT(t.c0, word)", "it's 100 %"), ("JSON_NUMBER(t.c0, number) + 1", 12_345_678_902),
        ("CASE WHEN JSON_FLAG(t.c0, yes) THEN 1 ELSE 0 END", 1), ("CASE WHEN JSON_FLAG(t.c0, no) THEN 1 ELSE 0 END", 0),
        ("CASE WHEN NOT JSON_FLAG(t.c0, no) THEN 1 ELSE 0 END", 1),
        ("CASE WHEN NOT JSON_FLAG(t.c0, absent) THEN 1 ELSE 0 END", 0),
        ("CASE WHEN coalesce(JSON_FLAG(t.c1, yes), false) THEN 1 ELSE 0 END", 0),
        ("CASE WHEN t.c1 IS DISTINCT FROM NULL THEN 1 ELSE 0 END", 0),
    ):  # fmt: skip
        assert await asked(conn, what, stored) == value, what


async def test_lists_and_keys(conn: Connection) -> None:
    values = ["b", "ä", "", "it's", "%s ? \\N"]
    rows = await run(conn, "SELECT value FROM EACH(?) AS each", (json.dumps(values),))
    assert list(rows.scalars()) == values
    rows = await run(conn, "SELECT JSON_PART(value, 1) FROM EACH(?) AS each", (json.dumps([["a", "b"], ["c", "d"]]),))
    assert list(rows.scalars()) == ["b", "d"]
    for stored, keys in (({"b": 1, "a": {"c": 1}}, ["a", "b"]), ({}, []), (None, [])):
        kind = "json" if conn.dialect.name == "postgresql" else "text"
        query = f"SELECT member.key FROM (SELECT CAST(? AS {kind}) AS x) AS t, KEYS(t.x) ORDER BY member.key"
        given = None if stored is None else json.dumps(stored)
        assert list((await run(conn, query, (given,))).scalars()) == keys


@given(FLAT, FLAT)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_patch_takes_away_what_is_null(conn: Connection, stored: dict[str, Any], patch: dict[str, Any]) -> None:
    stored = {key: value for key, value in stored.items() if value is not None}
    wanted = {key: value for key, value in (stored | patch).items() if value is not None}
    found = await asked(conn, "CAST(MERGED(t.c0, t.c1) AS text)", stored or None, patch)
    assert json.loads(found or "{}") == wanted
    same = "CASE WHEN MERGED(t.c0, t.c1) IS DISTINCT FROM AS_JSON(t.c0) THEN 1 ELSE 0 END"
    assert await asked(conn, same, stored or None, {}) == 0
    if wanted != stored:
        assert await asked(conn, same, stored or None, patch) == 1


@pytest.mark.parametrize("count", [1, 100])
async def test_whatever_a_cell_holds_arrives(conn: Connection, count: int) -> None:
    """A hundred rows go by COPY on PostgreSQL, one does not."""
    cells: list[str | None] = ["\\", "\\N", "\\n", "a\tb", "a\nb\r", "", None, "%s ?", "'; --", "ß→😀", "\\.", " x "]
    rows = [(cell, f"{n}") for n in range(count) for cell in cells]
    await fill(conn, "staged_t", ("a", "b"), rows)
    found = await run(conn, "SELECT a, b FROM staged_t ORDER BY n")
    assert [tuple(row) for row in found] == rows


async def test_once_leaves_out_what_is_there(conn: Connection) -> None:
    await run(conn, "CREATE TEMP TABLE staged_k (a CELL, b CELL, PRIMARY KEY (a, b)) WITHOUT ROWID")
    await fill(conn, "staged_k", ("a", "b"), [("x", "1"), ("x", "2")], once=True)
    await fill(conn, "staged_k", ("a", "b"), [("x", "2"), ("y\\", "2")], once=True)
    found = [tuple(row) for row in await run(conn, "SELECT a, b FROM staged_k")]
    assert sorted(found) == [("x", "1"), ("x", "2"), ("y\\", "2")]


async def test_nothing_is_nothing(conn: Connection) -> None:
    await fill(conn, "staged_t", ("a", "b"), [])
    assert (await run(conn, "SELECT count(*) FROM staged_t")).scalar() == 0


async def test_a_session_is_closed_with_what_was_temporary(tmp_path: Path) -> None:
    db: Database = opened("session.db", tmp_path)
    for _ in range(2):
        async with db.session() as own:
            await run(own, "CREATE TEMP TABLE staged_t (n NUMBERED)")
            await own.commit()
            async with db.alone(own):
                await run(own, "CREATE TEMP TABLE staged_u (n NUMBERED)")
    await db.close()
