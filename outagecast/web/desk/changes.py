"""What a form of an outage's page asks for: read once, and then either looked at or done.

A change of who is touched is always looked at first: `seen` is the mark of what was looked at, as in declaring.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from aiohttp import web

from outagecast.domain.errors import FieldError, Invalid, StaleRevision
from outagecast.domain.outage import KEEP, Change, Ending, Keep, OutageStatus, Restoration, RetractReason, Verb
from outagecast.storage import views_changes
from outagecast.storage.views import OutageView
from outagecast.web.desk.declare import Reader
from outagecast.web.desk.scope_text import write_entry
from outagecast.web.desk.viewer import is_zone, viewer_zone
from outagecast.web.ports import Difference
from outagecast.web.services import ACTOR, FORM, SERVICES
from outagecast.web.times import read_moment

MINUTE = timedelta(minutes=1)
QUIET = frozenset({Verb.HOLDING.value, Verb.PASS_LEAD.value, Verb.REDELIVER.value})
"""What the daemon says by itself, or somebody to single addresses, talks over nobody: no reason to turn a form away."""
_NOT_ASKED = ("csrf", "revision", "do", "seen")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A change that was understood. `look_first`: it may change who is touched; `title` says it in a few words."""

    verb: Verb
    what: Change | Restoration | Ending | str
    title: str
    look_first: bool = False


Parse = Callable[[web.Request, OutageView, Reader], Awaitable[Wanted]]


async def update(request: web.Request, view: OutageView, reader: Reader) -> Wanted:
    form = request[FORM]
    status = reader.one_of("status", OutageStatus, view.status)
    # What the form showed when it was made: whoever did not touch it does not turn back what a colleague has set since.
    shown = form.get("status_was") or view.status
    eta = _eta(request, view, reader)
    added = await reader.scope(request.app[SERVICES].database, view.effect, "scope_add")
    ticked = set(form.getall("scope_remove", []))
    change = Change(
        message=form.get("message", "").strip(),
        note=form.get("note", "").strip(),
        status=status if status not in (view.status, shown) else None,
        eta=eta,
        cause=form.get("cause", "").strip() or None,
        scope_add=added.entries,
        scope_remove=tuple(entry for entry in view.scope if write_entry(entry) in ticked),
        next_update_in=reader.seconds("next_update_in"),
        tell=not form.get("silent"),
    )
    rescoped = bool(change.scope_add or change.scope_remove)
    title = "The scope changes" if rescoped else "Say what is new"
    return Wanted(verb=Verb.UPDATE, what=change, title=title, look_first=rescoped and view.is_open)


async def remap(request: web.Request, view: OutageView, reader: Reader) -> Wanted:
    """Applies the inventory of today: an update that names the same scope again, and says nothing new by itself."""
    return Wanted(verb=Verb.UPDATE, what=Change(scope=view.scope), title="Apply the map of today", look_first=True)


async def restore(request: web.Request, view: OutageView, reader: Reader) -> Wanted:
    form = request[FORM]
    ticked = set(form.getall("restored", []))
    chosen = tuple(entry for entry in view.scope if write_entry(entry) in ticked)
    lines = sorted(ticked - {write_entry(entry) for entry in chosen})
    typed = await reader.scope(request.app[SERVICES].database, view.effect, "restore_also", lines)
    if not chosen and not typed.entries:
        reader.errors.append(FieldError(field="restored", message="tick what is back, or write its id"))
    restoration = Restoration(
        scope=chosen + typed.entries,
        restored_at=reader.past("restored_at"),
        message=form.get("restore_message", "").strip(),
    )
    return Wanted(verb=Verb.RESTORE, what=restoration, title="These are back", look_first=True)


async def resolve(request: web.Request, view: OutageView, reader: Reader) -> Wanted:
    form = request[FORM]
    ending = Ending(
        message=form.get("resolve_message", "").strip(),
        cause=form.get("resolve_cause", "").strip() or None,
        resolved_at=reader.past("resolved_at"),
    )
    return Wanted(verb=Verb.RESOLVE, what=ending, title="All is back")


async def retract(request: web.Request, view: OutageView, reader: Reader) -> Wanted:
    reason = reader.one_of("reason", RetractReason, RetractReason.FALSE_ALARM)
    ending = Ending(message=request[FORM].get("retract_message", "").strip(), reason=reason)
    return Wanted(verb=Verb.RETRACT, what=ending, title="It never was")


async def reopen(request: web.Request, view: OutageView, reader: Reader) -> Wanted:
    ending = Ending(message=request[FORM].get("reopen_message", "").strip())
    return Wanted(verb=Verb.REOPEN, what=ending, title="It is down again")


async def merge(request: web.Request, view: OutageView, reader: Reader) -> Wanted:
    into = reader.text("into", "choose the outage it is part of, or write its number")
    return Wanted(verb=Verb.MERGE, what=into, title=f"It is part of {into}", look_first=True)


async def look(request: web.Request, view: OutageView, wanted: Wanted) -> Difference:
    """Who would hear what."""
    verbs = request.app[SERVICES].operations
    if isinstance(wanted.what, str):
        return await verbs.look_at_merge(view.id, wanted.what, actor=request[ACTOR])
    return await verbs.look_at(view.id, wanted.what, actor=request[ACTOR], verb=wanted.verb)


async def do(request: web.Request, view: OutageView, wanted: Wanted, seen: int | None) -> None:
    """The verb itself, with the way back that the cadence gives. `seen`: the revision it must still be at."""
    verbs, how = request.app[SERVICES].operations, {"actor": request[ACTOR], "undo_for": None}
    match wanted.what:
        case Change():
            await verbs.update(view.id, wanted.what, if_match=seen, **how)  # type: ignore[arg-type]
        case Restoration():
            await verbs.restore(view.id, wanted.what, if_match=seen, **how)  # type: ignore[arg-type]
        case str():
            await verbs.merge(view.id, wanted.what, if_match=seen, **how)  # type: ignore[arg-type]
        case Ending():
            end = {Verb.RESOLVE: verbs.resolve, Verb.RETRACT: verbs.retract, Verb.REOPEN: verbs.reopen}[wanted.verb]
            await end(view.id, wanted.what, if_match=seen, **how)  # type: ignore[arg-type]


def mark_of(request: web.Request) -> str:
    """What was looked at: a form that was changed since then is looked at once more before it is sent."""
    said = sorted((name, value.strip()) for name, value in request[FORM].items() if name not in _NOT_ASKED)
    return hashlib.sha256(repr(said).encode("utf-8", "replace")).hexdigest()


def fields_of(request: web.Request) -> list[tuple[str, str]]:
    """The form as it was filled, to be carried on."""
    return [(name, value) for name, value in request[FORM].items() if name not in _NOT_ASKED]


def seen_revision(request: web.Request) -> int | None:
    """The revision this page showed."""
    text = request[FORM].get("revision", "")
    return int(text) if text.isdecimal() and len(text) < 10 else None


async def not_stale(request: web.Request, view: OutageView) -> int | None:
    """The revision to insist on; StaleRevision if a colleague has changed the outage since the form was made: whoever
    was slower is told so instead of talking over him.
    """
    seen = seen_revision(request)
    if seen is None or seen >= view.revision:
        return seen
    async with request.app[SERVICES].database.read() as conn:
        between = await views_changes.verbs_since(conn, view.id, seen)
    if not between or not set(between) <= QUIET:
        raise StaleRevision(view.revision)
    return view.revision


def _eta(request: web.Request, view: OutageView, reader: Reader) -> datetime | Keep | None:
    """The estimate a form gives: withdrawn, moved by so many minutes, or a time in a zone; KEEP where it says nothing.

    "By 15 minutes" counts from the estimate that stands, or from now where none stands or it has passed.
    """
    form, now = request[FORM], request.app[SERVICES].clock()
    if form.get("withdraw"):
        return None
    by = form.get("by", "")
    if by:
        if not by.isdecimal() or not 0 < int(by[:6]) <= 10_000:
            reader.errors.append(FieldError(field="eta", message="move it by a number of minutes"))
            return KEEP
        return after(view.eta, now, int(by))
    text = form.get("eta", "").strip()
    zone = form.get("eta_zone", "").strip()
    body, _, last = text.rpartition(" ")
    if body and is_zone(last):
        text, zone = body, last
    if "eta_zone" in form and not text:
        reader.errors.append(FieldError(field="eta", message="write a time, like 14:30, or move it by a click"))
        return KEEP
    if zone and not is_zone(zone):
        reader.errors.append(
            FieldError(field="eta", message=f"{zone[:60]} is no time zone: write one like Europe/Berlin")
        )
        return KEEP
    try:
        found = read_moment(text, zone=ZoneInfo(zone) if zone else viewer_zone(request), now=now)
    except (ValueError, OverflowError) as error:
        reader.errors.append(FieldError(field="eta", message=str(error)))
        return KEEP
    return KEEP if found is None else found


def after(eta: datetime | None, now: datetime, minutes: int) -> datetime:
    """The estimate moved by so many minutes, on a whole minute."""
    base = eta if eta is not None and eta > now else now
    at = base + minutes * MINUTE
    return at if at == at.replace(second=0, microsecond=0) else at.replace(second=0, microsecond=0) + MINUTE


def raise_mistakes(reader: Reader) -> None:
    if reader.errors:
        raise Invalid(reader.errors)
