"""Checking what a scope names: one mistake there tells the wrong people."""

from collections.abc import Sequence

from outagecast.domain.errors import FieldError, Invalid
from outagecast.domain.outage import ScopeEntry
from outagecast.storage import inventory
from outagecast.storage.engine import Database


async def check_scope(db: Database, scope: Sequence[ScopeEntry]) -> None:
    """Invalid with every name that the inventory does not know, each with the nearest one it does."""
    errors: list[FieldError] = []
    async with db.read() as conn:
        for kind in dict.fromkeys(entry.kind for entry in scope):
            wanted = [entry.id for entry in scope if entry.kind == kind]
            known = await inventory.exists(conn, kind, wanted)
            for place, thing_id in enumerate(wanted):
                if thing_id not in known:
                    near = await inventory.did_you_mean(conn, kind, thing_id)
                    hint = f" (did you mean {near}?)" if near else ""
                    errors.append(FieldError(field=f"scope.{kind}s[{place}]", message=f"no {kind} {thing_id}{hint}"))
    if errors:
        raise Invalid(errors)
