"""Recounting from the database what must hold: the daemon's own promises, checked in production (`outagecast verify`).

A healthy database gives no finding, whether the daemon runs or not. What is recounted is listed, query by query, in
storage/verify.py (deliveries and attempts) and storage/verify_outages.py (outages, impacts, leads, promises, timeline).

Tolerances. `slack` (10 s) is how far apart two transactions may read their clocks against the order of their commits:
a verb reads it before it reckons, a lane before it waits for the writer. Where the clock runs faster (`--speed`), hand
in as much more. `GRACE` (5 min) is what recovery and the ticker are given to tidy up.

Not recounted, because the database does not hold what would be needed:
- I2 and I3 at the provider, I23 as an order of writes: only the provider's own log shows what arrived. Here: what our
  attempts admit.
- I4, I18, I20, I21, I25, I26, I28, I29: they are about processes, clocks, logs or the wire; tests hold them.
- I5 beyond numbers of other systems: keys of requests and alarms are unique by the schema.
- I12: there is no planned maintenance in this schema.
- I14, the words themselves: here only that a delivery speaks of customers whom its outage touched.
- I15, I16: caps and quiet hours are settings and contacts' cells that may have changed since.
- I17 beyond what `approve_above` held: how many customers a revision reached is not judged anew with another setting.
- I19 lateness and due times that a retry has rewritten: the row keeps only the last one.
- I22 old fences: only that the present ones fit.
- I27 for lines that are not sealed yet: the daemon seals once a minute.
- I1 where the inventory was changed after an outage was declared, or a change was made with `tell: false`: who heard
  then is not on record, so such outages are left out of "told by nobody" and "unreachable".
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from outagecast.domain.facts import to_micros
from outagecast.domain.levels import Level
from outagecast.domain.message import ChannelName
from outagecast.domain.recipients import Wishes
from outagecast.storage import seals
from outagecast.storage import verify as outbox
from outagecast.storage import verify_outages as told
from outagecast.storage import verify_redeliveries as again
from outagecast.storage.engine import Connection, Database

SLACK = timedelta(seconds=10)
GRACE = timedelta(minutes=5)
CHECKS = (*outbox.CHECKS, *told.CHECKS, *again.CHECKS)
_SHIPPED = Wishes(
    notify=frozenset({Level.OUTAGE, Level.DEGRADED}),
    channels=frozenset(ChannelName),
    quiet_hours=None,
    wake_for=frozenset(),
)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Something that does not hold: `count` rows break `invariant`; `examples` names the first few."""

    invariant: str
    message: str
    count: int
    examples: tuple[str, ...]


def shipped_wishes(tier: str) -> Wishes:
    """What an empty cell means where no `[defaults]` says otherwise (rule 8)."""
    return _SHIPPED


async def verify(
    db: Database,
    *,
    now: datetime,
    slack: timedelta = SLACK,
    channels: Iterable[ChannelName] | None = None,
    default_wishes: Callable[[str], Wishes] = shipped_wishes,
) -> list[Finding]:
    """Everything that does not hold, in one consistent view of the database; empty when all is well.

    `channels`: those that are set up (None: those the database shows in use). `default_wishes`: what a tier's empty
    cells mean.
    """
    async with db.read() as conn:
        values = await _values(conn, now, slack, channels, default_wishes)
        findings = [await _recount(conn, check, values) for check in CHECKS]
        findings.append(await _seals(conn))
    return [finding for finding in findings if finding.count]


async def _recount(conn: Connection, check: outbox.Check, values: dict[str, Any]) -> Finding:
    count, examples = await outbox.broken(conn, check, values)
    return Finding(invariant=check.invariant, message=check.message, count=count, examples=examples)


async def _seals(conn: Connection) -> Finding:
    broken = [f"seal through line {seal.through_id}" for seal in await seals.broken_seals(conn)]
    said = "seals of the timeline do not hold: a line before them was changed, added or taken away"
    return Finding(invariant="I27", message=said, count=len(broken), examples=tuple(broken[: outbox.SHOWN]))


async def _values(
    conn: Connection,
    now: datetime,
    slack: timedelta,
    channels: Iterable[ChannelName] | None,
    default_wishes: Callable[[str], Wishes],
) -> dict[str, Any]:
    wished = [(tier, word) for tier in await told.tiers(conn) for word in _words(default_wishes(tier))]
    set_up = None if channels is None else [channel.value for channel in channels]
    return {
        "now": to_micros(now),
        "slack": slack // _MICROSECOND,
        "grace": GRACE // _MICROSECOND,
        "wished": told.as_list(wished),
        "channels": told.as_list(await told.channels_in_use(conn) if set_up is None else set_up),
        "reach": told.as_list(told.ALL_CHANNELS if set_up is None else set_up),
    }


def _words(wishes: Wishes) -> list[str]:
    return [*(level.word for level in wishes.notify), *(channel.value for channel in wishes.channels)]
