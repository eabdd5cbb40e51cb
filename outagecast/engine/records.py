"""What a verb leaves behind: its revision, its line of the timeline, and the answer to whoever asked for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from outagecast.domain.errors import NotFound
from outagecast.domain.outage import Actor, OutageStatus, RevisionState, Verb
from outagecast.domain.timeline import Happened
from outagecast.engine.brakes import Brake
from outagecast.storage import outages, planning
from outagecast.storage.batches import Record
from outagecast.storage.engine import Connection

HAPPENED = {
    Verb.DECLARE: Happened.DECLARED,
    Verb.UPDATE: Happened.UPDATED,
    Verb.RESTORE: Happened.RESTORED,
    Verb.RESOLVE: Happened.RESOLVED,
    Verb.REOPEN: Happened.REOPENED,
    Verb.RETRACT: Happened.RETRACTED,
    Verb.MERGE: Happened.MERGED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a verb answers. `state`: effective, pending (can be undone until `effective_at`), held or draft.

    `planned`: messages by channel, and under `suppressed` the rows that say nothing; empty until it takes effect.
    """

    outage_id: str
    revision: int
    created: bool
    status: str
    state: str
    effective_at: datetime | None
    held_because: str | None
    planned: dict[str, int]


async def outage_row(conn: Connection, outage_id: str) -> Record:
    row = await outages.get(conn, outage_id)
    if row is None:
        raise NotFound(f"no outage {outage_id}")
    return row


async def told(conn: Connection, outage_id: str, number: int, *, created: bool) -> Told:
    row = await outage_row(conn, outage_id)
    revision = await outages.revision(conn, outage_id, number)
    state = "draft" if row.status == OutageStatus.DRAFT.value else revision.state if revision else "effective"
    return Told(
        outage_id=outage_id,
        revision=number,
        created=created,
        status=row.status,
        state=state,
        effective_at=revision.effective_at if revision else None,
        held_because=(revision.held_because if revision else None) or row.held_because,
        planned=await planning.planned_counts(conn, outage_id, number),
    )


async def add_revision(
    conn: Connection,
    outage_id: str,
    number: int,
    episode: int,
    verb: Verb,
    change: Mapping[str, Any],
    actor: Actor,
    now: datetime,
    *,
    effective_at: datetime,
    brake: Brake | str | None,
) -> None:
    await outages.add_revision(
        conn,
        {
            "outage_id": outage_id,
            "number": number,
            "episode": episode,
            "verb": verb.value,
            "state": (RevisionState.HELD if brake else RevisionState.PENDING).value,
            "held_because": str(brake) if brake else None,
            "actor_kind": actor.kind.value,
            "actor": actor.name,
            "created_at": now,
            "effective_at": None if brake else effective_at,
            "change": dict(change),
            "message": str(change.get("message") or ""),
        },
    )


async def record(
    conn: Connection,
    verb: Verb | None,
    outage_id: str,
    number: int,
    actor: Actor,
    now: datetime,
    change: Mapping[str, Any],
    brake: str | None,
    *,
    what: Happened | None = None,
    why: str = "",
) -> None:
    happened = what or (HAPPENED[verb] if verb else Happened.DRAFTED)
    if brake and brake != Brake.DRAFT.value:
        happened = Happened.HELD_BACK
    shown = {k: v for k, v in change.items() if k not in ("message", "note")}
    await outages.record(
        conn,
        at=now,
        what=happened,
        actor=actor,
        outage_id=outage_id,
        revision=number,
        why=brake or why,
        data=shown,
        text=str(change.get("message") or ""),
    )


async def note(conn: Connection, outage_id: str, number: int, actor: Actor, now: datetime, note: str) -> None:
    await outages.record(conn, at=now, what=Happened.NOTE, actor=actor, outage_id=outage_id, revision=number, text=note)
