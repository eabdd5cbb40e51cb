"""What can be said to be back, as branches: ticked in a list, or clicked on the map.

Without scripts a click is a link that asks for the page anew with that branch ticked, or not any more; nothing personal
stands in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import web

from outagecast.domain.levels import Level
from outagecast.storage import views_changes, views_map
from outagecast.storage.engine import Connection
from outagecast.storage.views import OutageView
from outagecast.storage.views_changes import Branch
from outagecast.web.desk.map import Picture, draw
from outagecast.web.desk.scope_text import write_entry
from outagecast.web.services import FORM


@dataclass(frozen=True, kw_only=True, slots=True)
class Branches:
    """`sites` with something down; `picture` of them, None where none has coordinates; `ticked` keys (`site:LEX`)."""

    sites: Sequence[Branch]
    picture: Picture | None
    ticked: frozenset[str]


NONE = Branches(sites=(), picture=None, ticked=frozenset())


async def branches_of(conn: Connection, request: web.Request, view: OutageView) -> Branches:
    sites = await views_changes.branches(conn, view.id)
    ticked = ticked_in(request)
    at = await views_changes.sites_of(conn, [entry.id for entry in view.scope if entry.kind == "element"])
    levels = {f"site:{branch.site_id}": branch.level.word for branch in sites}
    levels |= {write_entry(entry): entry.effect.level.word for entry in view.scope if entry.kind in ("element", "site")}
    network = await views_map.network_map(conn, levels)
    causes = {site_id: f"element:{element_id}" for element_id, site_id in at.items()}
    known = {f"site:{branch.site_id}" for branch in sites} | {write_entry(entry) for entry in view.scope}

    def href(ref: str) -> str | None:
        """At a site that holds a cause, a click means the cause with all that hangs on it."""
        kind, _, name = ref.partition(":")
        key = f"element:{name}" if kind == "link" else causes.get(name, ref)
        if key not in known:
            return None
        asked = [("back", each) for each in sorted(ticked)]
        return f"/desk/outages/{view.id}?{urlencode([*asked, ('pick', key)])}#back"

    touched = any(level != Level.NO_IMPACT.word for level in levels.values())
    return Branches(sites=sites, picture=draw(network, href=href) if touched else None, ticked=ticked)


def ticked_in(request: web.Request) -> frozenset[str]:
    """What is ticked: in a form that comes back, or by clicks on the map."""
    form = request.get(FORM)
    if form is not None:
        return frozenset(form.getall("restored", []) + form.getall("scope_remove", []))
    ticked = set(request.query.getall("back", [])[:200])
    pick = request.query.get("pick", "")[:200]
    return frozenset(ticked ^ {pick} if pick else ticked)
