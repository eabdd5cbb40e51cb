"""An acknowledgement that comes back from the wire after a newer word was planned as if it had left.

It is outdated by then, and what follows spoke of "new estimate" to somebody who has heard nothing: so the newest word
that waits becomes the acknowledgement, and says what the other would have said besides (I7, rule 15).
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from outagecast.domain.delivery import LEFT, DeliveryState
from outagecast.domain.facts import EtaState
from outagecast.domain.notices import NoticeKind
from outagecast.storage.batches import Record
from outagecast.storage.tables import deliveries

ACKNOWLEDGEMENT = NoticeKind.ACKNOWLEDGEMENT.value
TAKEN_BACK = NoticeKind.RETRACTION.value


async def inherit(conn: AsyncConnection, outdated: Iterable[Record]) -> None:
    """`outdated`: acknowledgements that will not be sent any more. Where nothing of their outage has left to their
    address, the newest row that is to be sent there is the first word.
    """
    for row in outdated:
        same = (
            deliveries.c.address_id == row.address_id,
            deliveries.c.outage_id == row.outage_id,
            deliveries.c.episode == row.episode,
            deliveries.c.audience == "customer",
        )
        left = select(deliveries.c.id).where(*same, deliveries.c.state.in_([state.value for state in LEFT]))
        if (await conn.execute(left.limit(1))).first() is not None:
            continue
        waiting = select(deliveries).where(
            *same, deliveries.c.id > row.id, deliveries.c.state == DeliveryState.PLANNED.value
        )
        heir = (await conn.execute(waiting.order_by(deliveries.c.id.desc()).limit(1))).first()
        if heir is not None and heir.kind not in (ACKNOWLEDGEMENT, TAKEN_BACK):
            kind, facts = _as_first_word(heir, row)
            # On PostgreSQL another daemon may have claimed it since: its words are read by then.
            mine = deliveries.c.id == heir.id, deliveries.c.state == DeliveryState.PLANNED.value
            await conn.execute(update(deliveries).where(*mine).values(kind=kind, facts=facts))


def _as_first_word(heir: Record, outdated: Record) -> tuple[str, dict[str, Any]]:
    facts = {name: value for name, value in heir.facts.items() if name != "was_eta"}
    facts["first"] = True
    if heir.kind == NoticeKind.RESOLUTION.value:
        return heir.kind, {**facts, "combined": True}
    if facts.get("eta_state") == EtaState.CHANGED.value:
        facts["eta_state"] = EtaState.SET.value
    elif facts.get("eta_state") == EtaState.WITHDRAWN.value:
        del facts["eta_state"]
    told = {_thing(line) for line in facts["lines"]}
    unsaid = [line for line in outdated.facts["lines"] if _thing(line) not in told]
    lines = [{name: value for name, value in line.items() if name != "was"} for line in [*facts["lines"], *unsaid]]
    return ACKNOWLEDGEMENT, {**facts, "kind": ACKNOWLEDGEMENT, "lines": lines}


def _thing(line: dict[str, Any]) -> tuple[str, str, str]:
    return line["kind"], line["id"], line["customer_id"]
