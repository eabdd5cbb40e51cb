"""A provider whose pages are asked for: `python -m tests.bench.web_house FOLDER CUSTOMERS`.

Every customer has a line of one public service; one outage is open and touches all of them; somebody is signed in. No
message is sent, because no channel is set. Prints what a client needs: the outage's id and the session's cookie.
"""

import json
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import insert, update

from outagecast.app import on_a_loop, open_core
from outagecast.config import parse_config
from outagecast.domain.levels import Effect
from outagecast.domain.outage import Declaration, Role, ScopeEntry
from outagecast.storage import inventory
from outagecast.storage.tables import circuits, services
from outagecast.web import cookies
from tests.bench.house import WHO, fill
from tests.bench.settings import SETTINGS

NAME, PASSWORD = "bench", "a-long-enough-sentence"


async def prepare(folder: Path, count: int) -> dict[str, Any]:
    config = parse_config((folder / SETTINGS).read_text(), name=SETTINGS, folder=folder, environ={})
    async with open_core(config) as core:
        await fill(core, count)
        async with core.db.write() as conn:
            await conn.execute(insert(services).values(id="fibre", name="Fibre", public=True))
            await conn.execute(update(circuits).values(service_id="fibre"))
            await inventory.bump_version(conn)
        scope = (ScopeEntry(kind="element", id="POP-LEX", effect=Effect.OUTAGE),)
        told = await core.operations.declare(Declaration(title="Cut", scope=scope), actor=WHO)
        await core.people.add_staff(NAME, PASSWORD, Role.ADMIN, actor=WHO)
        signed_in = await core.people.sign_in(NAME, PASSWORD, source="127.0.0.1")
        https = config.provider.public_url.startswith("https:")
        cookie = f"{cookies.name_of(cookies.SESSION, https=https)}={signed_in.secret}"
    return {"outage": told.outage_id, "cookie": cookie}


if __name__ == "__main__":
    print(json.dumps(on_a_loop(prepare(Path(sys.argv[1]), int(sys.argv[2])))))
