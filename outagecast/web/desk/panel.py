"""The right half of declaring: who will hear it, as what, at what cost, and which words to look at again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from outagecast.domain.errors import FieldError
from outagecast.domain.outage import Declaration
from outagecast.domain.wording import Flag, flags
from outagecast.storage import views_search
from outagecast.storage.views_map import network_map
from outagecast.web.desk.map import Picture, draw
from outagecast.web.desk.scope_text import Named
from outagecast.web.desk.viewer import viewer_zone
from outagecast.web.ports import Preview
from outagecast.web.services import ACTOR, SERVICES


@dataclass(frozen=True, kw_only=True, slots=True)
class Filled:
    """A form that was understood, as far as it was: `missing` is what stands between it and sending."""

    declaration: Declaration
    named: Named
    missing: tuple[FieldError, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """`reader`: whose messages are shown, "" for three telling ones; `asked`: what was typed to choose him."""

    filled: Filled
    preview: Preview
    flags: Sequence[Flag]
    picture: Picture | None
    last_leaves_at: datetime | None
    reader: str = ""
    asked: str = ""


async def panel(request: web.Request, filled: Filled, values: Mapping[str, str], asked: str = "") -> Panel:
    """Everything the right half shows. `asked`: the id or name of a customer whose own messages are wanted. Invalid."""
    services = request.app[SERVICES]
    async with services.database.read() as conn:
        reader = await _reader(conn, asked.strip())
    preview = await services.previews.preview(filled.declaration, actor=request[ACTOR], customer_id=reader)
    async with services.database.read() as conn:
        network = await network_map(conn, preview.reached)
    texts = [sample.get("segments", 0) for sample in preview.samples if sample["channel"] == "sms"]
    found = flags(
        [("title", values["title"]), ("message", values["message"]), ("cause", values["cause"])],
        eta=filled.declaration.eta,
        no_estimate=bool(values["no_estimate"]),
        now=services.clock(),
        zone=viewer_zone(request),
        most_segments=max(texts, default=0),
    )
    return Panel(
        filled=filled,
        preview=preview,
        flags=found,
        picture=draw(network) if filled.named.entries else None,
        last_leaves_at=max(preview.last_leaves_at.values(), default=None),
        reader=reader,
        asked=asked.strip(),
    )


async def _reader(conn: Any, asked: str) -> str:
    """The customer that was named by id or by the beginning of his name; "" for nobody."""
    if not asked:
        return ""
    found = await views_search.find(conn, asked, kinds=("customer",), limit=1)
    return found[0].id if found else asked
