"""What a declaration makes before anything is down: whether it is there already, its row, and its number."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from outagecast.domain.errors import Invalid
from outagecast.domain.outage import (
    Actor,
    Declaration,
)
from outagecast.engine import intents, records
from outagecast.engine.effects import Prepared
from outagecast.engine.reckoned import NewImpact
from outagecast.engine.records import Told
from outagecast.storage import outages
from outagecast.storage.engine import Connection

NEW = "(new)"
"""An outage's id before its number is drawn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Idempotency:
    """The caller's key for one request, and the hash of its body."""

    key: str
    body_hash: str


async def existing(
    conn: Connection, declaration: Declaration, actor: Actor, idempotency: Idempotency | None
) -> Told | None:
    """What the same key or external number has made already."""
    if idempotency is not None:
        known = await outages.idempotent(conn, actor.name, idempotency.key)
        if known is not None and known.body_hash != idempotency.body_hash:
            raise Invalid.one("Idempotency-Key", "this key was used with another body; take a new one")
        if known is not None:
            row = await records.outage_row(conn, known.outage_id)
            return await records.told(conn, row.id, row.revision, created=False)
    if declaration.external_ref:
        row = await outages.by_external_ref(conn, declaration.external_ref)
        if row is not None:
            return await records.told(conn, row.id, row.revision, created=False)
    return None


def new_row(declaration: Declaration, now: datetime, actor: Actor, monitor: str) -> dict[str, Any]:
    return {
        "kind": "outage",
        "title": declaration.title,
        "severity": declaration.severity.value,
        "effect": declaration.effect.value,
        "cause": declaration.cause,
        "cause_code": declaration.cause_code,
        "eta": declaration.eta,
        "eta_from": declaration.eta_from,
        "eta_slips": 0,
        "at_risk_until": declaration.at_risk_until,
        "started_at": min(declaration.started_at or now, now),
        "created_at": now,
        "created_by": actor.name,
        "owner": declaration.owner,
        "external_ref": declaration.external_ref,
        "monitor": monitor,
        "estimated_customers": declaration.estimated_customers,
        "scope": [intents.scope_json(entry) for entry in declaration.scope],
        "restored": [],
        "episode": 1,
        "revision": 1,
    }


def renamed(prepared: Prepared, outage_id: str) -> Prepared:
    """A declaration is reckoned before its number is drawn; give the impacts their outage's real name."""
    reckoned = prepared.reckoned
    opened = tuple([_renamed_impact(new, outage_id) if new.outage_id == NEW else new for new in reckoned.open])
    mass = reckoned.mass
    if mass is not None:
        named = tuple([replace(new, outage_id=outage_id) if new.outage_id == NEW else new for new in mass.open])
        mass = replace(mass, open=named)
    return replace(prepared, reckoned=replace(reckoned, open=opened, mass=mass))


def _renamed_impact(new: NewImpact, outage_id: str) -> NewImpact:
    # `replace` costs three times as much, and there is one for every line that is down.
    return NewImpact(outage_id=outage_id, key=new.key, level=new.level, because=new.because, fresh=new.fresh)
