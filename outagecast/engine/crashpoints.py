"""The named places where a fault test may end the process: before and after every commit that matters, and around a
send.

`app.py` reads `OUTAGECAST_CRASHPOINT=name:n` and hands the rooms a function that dies at the n-th passage of that name.
"""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, Literal, TypeVar

from outagecast.storage.engine import Connection, Database
from outagecast.storage.writer import Writer


class Boundary(StrEnum):
    """A transaction that must be all or nothing; each has a crash point on either side of its commit."""

    DECLARE = "declare"
    VERB = "verb"
    """A revision of an outage that is there already: update, restore, resolve, reopen, retract, merge, release."""
    UNDO = "undo"
    TAKE_EFFECT = "take_effect"
    SPEAK = "speak"
    WAVE = "wave"
    CLAIM = "claim"
    CAP = "cap"
    LEDGER = "ledger"
    """Marks and outcomes of all lanes."""
    RECEIPT = "receipt"
    EARLY = "early"
    OPT = "opt"
    TAKE_OVER = "take_over"
    """Recovery: leases freed, what was being written made ambiguous."""
    RETRY = "retry"
    EXPIRE = "expire"


class CrashPoint(StrEnum):
    BEFORE_DECLARE = "before_declare"
    AFTER_DECLARE = "after_declare"
    BEFORE_VERB = "before_verb"
    AFTER_VERB = "after_verb"
    BEFORE_UNDO = "before_undo"
    AFTER_UNDO = "after_undo"
    BEFORE_TAKE_EFFECT = "before_take_effect"
    AFTER_TAKE_EFFECT = "after_take_effect"
    BEFORE_SPEAK = "before_speak"
    AFTER_SPEAK = "after_speak"
    BEFORE_WAVE = "before_wave"
    AFTER_WAVE = "after_wave"
    BEFORE_CLAIM = "before_claim"
    AFTER_CLAIM = "after_claim"
    BEFORE_CAP = "before_cap"
    AFTER_CAP = "after_cap"
    BEFORE_LEDGER = "before_ledger"
    AFTER_LEDGER = "after_ledger"
    BEFORE_RECEIPT = "before_receipt"
    AFTER_RECEIPT = "after_receipt"
    BEFORE_EARLY = "before_early"
    AFTER_EARLY = "after_early"
    BEFORE_OPT = "before_opt"
    AFTER_OPT = "after_opt"
    BEFORE_TAKE_OVER = "before_take_over"
    AFTER_TAKE_OVER = "after_take_over"
    BEFORE_RETRY = "before_retry"
    AFTER_RETRY = "after_retry"
    BEFORE_EXPIRE = "before_expire"
    AFTER_EXPIRE = "after_expire"
    BEFORE_SEND = "before_send"
    """The mark is durable, nothing is written yet."""
    AFTER_SEND = "after_send"
    """The provider has answered, nothing of it is written down yet."""


T = TypeVar("T")
Crash = Callable[[str], None]
"""Given the name of the point that is passed."""


def never(_point: str) -> None:
    """The crash function of a house without fault tests."""


@asynccontextmanager
async def boundary(db: Database, crash: Crash, where: Boundary) -> AsyncIterator[Connection]:
    """`db.write()` with a crash point on either side of its commit."""
    async with db.write() as conn:
        yield conn
        crash(CrashPoint(f"before_{where}"))
    crash(CrashPoint(f"after_{where}"))


async def transact(
    db: Database | Writer,
    crash: Crash,
    where: Boundary,
    work: Callable[[Connection], Coroutine[Any, Any, T]],
    access: Literal["alone", "beside"] = "alone",
) -> T:
    """`db.transact()` with a crash point on either side of its commit. A writer's is always `beside`."""

    async def whole(conn: Connection) -> T:
        answer = await work(conn)
        crash(CrashPoint(f"before_{where}"))
        return answer

    answer = await (db.transact(whole) if isinstance(db, Writer) else db.transact(whole, access))
    crash(CrashPoint(f"after_{where}"))
    return answer
