"""What the `restore` lines of a rehearsal's script name, recognised in the inventory."""

from collections.abc import Iterable
from dataclasses import replace

from outagecast.domain.levels import Effect
from outagecast.domain.script import Step
from outagecast.storage.engine import Database
from outagecast.web.desk.scope_text import read_scope


async def with_scopes(database: Database, script: Iterable[Step]) -> tuple[Step, ...]:
    """The steps with their scopes; Invalid says which name is nothing, or several things."""
    found: list[Step] = []
    for step in script:
        if step.names:
            named = await read_scope(database, step.names, effect=Effect.OUTAGE, field="script")
            found.append(replace(step, scope=named.entries))
        else:
            found.append(step)
    return tuple(found)
