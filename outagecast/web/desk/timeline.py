"""Everything that happened to one outage: filtered, as CSV, and on one page to be printed."""

import json
from datetime import datetime
from typing import Any

from aiohttp import web

from outagecast.domain.errors import NotFound
from outagecast.domain.facts import from_micros
from outagecast.storage import views, views_changes
from outagecast.storage.views import OutageView, TimelineView
from outagecast.storage.views_changes import Asked
from outagecast.web.desk.frame import render
from outagecast.web.desk.viewer import viewer_zone
from outagecast.web.reading import query_int
from outagecast.web.services import SERVICES
from outagecast.web.spreadsheet import csv_answer

SHOWN = 100
MOST = 100_000
"""Lines of an export; an outage with more has had its machine go wild."""
_COLUMNS = ("at", "local time", "what", "actor", "kind of actor", "revision", "why", "text", "details")
_TIMES = frozenset({"eta", "eta_from", "restored_at", "resolved_at"})


async def page(request: web.Request) -> web.Response:
    asked = _asked(request)
    before = query_int(request.query, "before", 0, most=10**9) or None
    async with request.app[SERVICES].database.read() as conn:
        view = await _outage(conn, request)
        found = await views_changes.lines(conn, view.id, asked, before=before, limit=SHOWN + 1)
        whats, actors = await views_changes.words_of(conn, view.id)
    following = found[SHOWN - 1].id if len(found) > SHOWN else None
    return render(
        request,
        "desk/timeline.html",
        outage=view,
        lines=found[:SHOWN],
        following=following,
        asked=asked,
        before=before,
        whats=whats,
        actors=actors,
        details=details,
    )


async def printed(request: web.Request) -> web.Response:
    """The whole of it, the oldest first, with nothing around it."""
    async with request.app[SERVICES].database.read() as conn:
        view = await _outage(conn, request)
        found = await views_changes.lines(conn, view.id, _asked(request), limit=MOST)
    return render(request, "desk/timeline-print.html", outage=view, lines=found[::-1], details=details)


async def as_csv(request: web.Request) -> web.Response:
    """The oldest first; `local time` is the viewer's."""
    zone = viewer_zone(request)
    async with request.app[SERVICES].database.read() as conn:
        view = await _outage(conn, request)
        found = await views_changes.lines(conn, view.id, _asked(request), limit=MOST)
    rows = [
        (
            line.at, line.at.astimezone(zone).isoformat(timespec="seconds"), line.what, line.actor, line.actor_kind,
            line.revision, line.why, line.text, json.dumps(line.data, ensure_ascii=False) if line.data else "",
        )
        for line in reversed(found)
    ]  # fmt: skip
    return csv_answer(f"{view.id}-timeline.csv", _COLUMNS, rows)


def details(line: TimelineView) -> list[tuple[str, str | datetime]]:
    """What a line says besides its words, for people: an estimate as a time, a scope as ids."""
    found: list[tuple[str, str | datetime]] = []
    data = line.data if isinstance(line.data, dict) else {}
    for name, value in data.items():
        if value is None and name == "eta":
            found.append(("ETA", "withdrawn"))
        elif name in _TIMES and isinstance(value, int):
            found.append(("ETA" if name == "eta" else name.replace("_", " "), from_micros(value)))
        elif name.startswith("scope") and isinstance(value, list):
            found.append((name.replace("_", " "), ", ".join(str(e.get("id", e)) for e in value)))
        elif name == "owner":
            found.append(("owner", str(value) or "nobody"))
        elif name in ("status", "cause", "into", "reason", "detail") and value:
            found.append((name, str(value)))
        elif name in ("delivery", "again", "deliveries") and isinstance(value, int):
            found.append(({"delivery": "message", "again": "again as", "deliveries": "messages"}[name], str(value)))
        elif name == "tell" and value is False:
            found.append(("told", "nobody"))
    return found


def _asked(request: web.Request) -> Asked:
    return Asked(what=request.query.get("what", "")[:60], actor=request.query.get("actor", "")[:200])


async def _outage(conn: Any, request: web.Request) -> OutageView:
    view = await views.outage(conn, request.match_info["id"])
    if view is None:
        raise NotFound(f"there is no outage {request.match_info['id']}")
    return view
