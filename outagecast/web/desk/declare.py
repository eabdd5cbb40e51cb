"""Declaring: say what is down, look at who will hear what, send. One form, three buttons; nothing else to learn."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from aiohttp import web

from outagecast.domain.duration import parse_duration
from outagecast.domain.errors import FieldError, Invalid
from outagecast.domain.levels import Effect
from outagecast.domain.outage import Declaration, OutageStatus, Severity
from outagecast.storage import views_scope, views_search
from outagecast.storage.views_scope import Found
from outagecast.web.api.outages import IdempotencyKey
from outagecast.web.desk.frame import render
from outagecast.web.desk.panel import Filled, Panel, panel
from outagecast.web.desk.ready_made import offered, prefill, templates
from outagecast.web.desk.scope_text import Named, add_picks, read_scope
from outagecast.web.desk.viewer import viewer_zone
from outagecast.web.services import ACTOR, FORM, SERVICES
from outagecast.web.times import read_moment, read_past

T = TypeVar("T")
FIELDS = (
    "title", "scope", "find", "effect", "at_risk_until", "severity", "status", "eta", "no_estimate", "message", "cause",
    "cause_code", "note", "next_update_in", "started_at", "external_ref",
)  # fmt: skip
USUAL = {"effect": "outage", "severity": "major", "status": "investigating"}


async def form(request: web.Request) -> web.Response:
    """The empty form; `?scope=POP-LEX` fills that line, `?template=3` what the template holds."""
    values = {field: "" for field in FIELDS} | USUAL | {"scope": request.query.get("scope", "")}
    values |= {name: value for name, value in (await prefill(request)).items() if value}
    return await _show(request, values, key=request.app[SERVICES].new_id())


async def act(request: web.Request) -> web.Response:
    """One of the buttons: find, preview, send, draft. What is wrong comes back in the form as it was filled."""
    posted = request[FORM]
    values = _values(request)
    key = posted.get("key", "") or request.app[SERVICES].new_id()
    if posted.get("do") == "find":
        return await _show(request, values, key=key, found=await _find(request, values["find"]))
    sends = posted.get("do") in ("send", "draft")
    try:
        filled = await _read(request, values)
        if filled.missing:
            raise Invalid(list(filled.missing))
        if sends and posted.get("seen") == _digest(values):
            return await _send(request, filled.declaration, values, key, draft=posted.get("do") == "draft")
        seen = await panel(request, filled, values, _asked(request))
    except Invalid as error:
        return await _show(request, values, key=key, errors=error.errors, status=422)
    return await _show(request, values, key=key, seen=seen, changed=sends)


async def look(request: web.Request) -> web.Response:
    """The right half alone, for a form that is being filled in: what is missing for sending is named, not refused."""
    values = _values(request)
    if not values["scope"]:
        return _half(request)
    try:
        filled = await _read(request, values)
        return _half(request, seen=await panel(request, filled, values, _asked(request)), digest=_digest(values))
    except Invalid as error:
        return _half(request, errors=error.errors)


def _half(
    request: web.Request, *, seen: Panel | None = None, digest: str = "", errors: Sequence[FieldError] = ()
) -> web.Response:
    return render(request, "desk/look.html", panel=seen, seen=digest, errors=errors, changed=False)


def _values(request: web.Request) -> dict[str, str]:
    posted = request[FORM]
    # A browser sends CRLF with a form and LF with a fetch: both are the same words.
    values = {field: posted.get(field, "").replace("\r\n", "\n").strip() for field in FIELDS}
    values["scope"] = add_picks(values["scope"], posted.getall("pick", []))
    return values


def _asked(request: web.Request) -> str:
    """Whose messages are wanted: by a button beside his line, or typed."""
    return request[FORM].get("read_as", "") or request[FORM].get("reader", "")


async def search(request: web.Request) -> web.Response:
    """What the search field shows while typing, as a piece of HTML."""
    found = await _find(request, request.query.get("q", ""))
    return render(request, "desk/found.html", found=found, words=request.query.get("q", ""))


async def _find(request: web.Request, words: str) -> list[Found]:
    async with request.app[SERVICES].database.read() as conn:
        return await views_search.find(conn, words)


async def _send(
    request: web.Request, declaration: Declaration, values: Mapping[str, str], key: str, *, draft: bool
) -> web.Response:
    told = await request.app[SERVICES].operations.declare(
        _as_draft(declaration) if draft else declaration,
        actor=request[ACTOR],
        undo_for=None,
        idempotency=IdempotencyKey(key=f"desk-{key}", body_hash=_digest(values)),
    )
    return web.Response(status=303, headers={"Location": f"/desk/outages/{told.outage_id}"})


def _as_draft(declaration: Declaration) -> Declaration:
    kept = {name: getattr(declaration, name) for name in declaration.__dataclass_fields__}
    return Declaration(**kept | {"release": False})


async def _read(request: web.Request, values: Mapping[str, str]) -> Filled:
    """The form as a declaration; Invalid lists each wrong field. Only a title may still be missing."""
    services = request.app[SERVICES]
    reader = Reader(values, now=services.clock(), zone=viewer_zone(request))
    effect = reader.one_of("effect", Effect, Effect.OUTAGE)
    severity = reader.one_of("severity", Severity, Severity.MAJOR)
    status = reader.one_of("status", OutageStatus, OutageStatus.INVESTIGATING)
    eta, risk_until = reader.moment("eta"), reader.moment("at_risk_until")
    started_at, next_in = reader.past("started_at"), reader.seconds("next_update_in")
    if not values["scope"]:
        reader.errors.append(FieldError(field="scope", message="name what is down: an element, a site, a service …"))
    named = await reader.scope(services.database, effect)
    wrong = reader.errors
    reader.errors = []
    title = reader.text("title", "say in a few words what is down, as customers may read it")
    if wrong:
        raise Invalid([*reader.errors, *wrong])
    declaration = Declaration(
        title=title or "…", scope=named.entries, effect=effect, at_risk_until=risk_until, severity=severity,
        status=status, cause=values["cause"], cause_code=values["cause_code"], message=values["message"],
        note=values["note"], eta=eta, next_update_in=next_in, started_at=started_at,
        external_ref=values["external_ref"],
    )  # fmt: skip
    return Filled(declaration=declaration, named=named, missing=tuple(reader.errors))


async def _show(
    request: web.Request,
    values: Mapping[str, str],
    *,
    key: str,
    found: list[Found] | None = None,
    seen: Panel | None = None,
    errors: Sequence[FieldError] = (),
    changed: bool = False,
    status: int = 200,
) -> web.Response:
    async with request.app[SERVICES].database.read() as conn:
        size = await views_scope.inventory_size(conn)
    return render(
        request,
        "desk/declare.html",
        status=status,
        values=values,
        key=key,
        found=found,
        panel=seen,
        errors=errors,
        wrong=by_field(errors),
        changed=changed,
        seen=_digest(values) if seen else "",
        empty_inventory=size["customers"] == 0,
        choices=CHOICES,
        phrases=await offered(request),
        templates=await templates(request),
    )


CHOICES: Mapping[str, Mapping[str, str]] = {
    "effect": {"outage": "Down", "degraded": "Degraded", "at_risk": "At risk"},
    "severity": {"critical": "Critical", "major": "Major", "minor": "Minor"},
    "status": {"investigating": "Investigating", "identified": "Identified", "monitoring": "Monitoring"},
}


def by_field(errors: Sequence[FieldError]) -> dict[str, list[str]]:
    """The messages of each field of the form: `scope.elements[0]` stands at `scope`."""
    out: dict[str, list[str]] = {}
    for error in errors:
        out.setdefault(error.field.partition(".")[0].partition("[")[0], []).append(error.message)
    return out


def _digest(values: Mapping[str, str]) -> str:
    """What was looked at: a form that was changed since then is shown once more before it is sent."""
    said = "\x00".join(f"{name}={values[name]}" for name in FIELDS if name != "find")
    return hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()


class Reader:
    """Reads a form's fields and collects every mistake."""

    def __init__(self, values: Mapping[str, str], *, now: datetime, zone: Any) -> None:
        self._values = values
        self._now = now
        self._zone = zone
        self.errors: list[FieldError] = []

    def text(self, field: str, mend: str) -> str:
        if not self._values[field]:
            self.errors.append(FieldError(field=field, message=f"is missing: {mend}"))
        return self._values[field]

    def one_of(self, field: str, kind: Any, usual: Any) -> Any:
        word = self._values.get(field, "") or usual
        if word not in set(kind):
            self.errors.append(FieldError(field=field, message=f"is none of {', '.join(kind)}"))
            return usual
        return kind(word)

    def moment(self, field: str) -> datetime | None:
        return self._try(field, lambda text: read_moment(text, zone=self._zone, now=self._now))

    def past(self, field: str) -> datetime | None:
        return self._try(field, lambda text: read_past(text, zone=self._zone, now=self._now))

    def seconds(self, field: str) -> float | None:
        length = self._try(field, lambda text: _duration(text) if text else None)
        return length.total_seconds() if length is not None else None

    async def scope(self, database: Any, effect: Effect, field: str = "scope", ticked: Iterable[str] = ()) -> Named:
        """What was typed in a field, and what was ticked beside it."""
        try:
            text = add_picks(self._values.get(field, ""), ticked)
            return await read_scope(database, text, effect=effect, field=field)
        except Invalid as error:
            self.errors += error.errors
            return Named(entries=(), things=())

    def _try(self, field: str, read: Callable[[str], T]) -> T | None:
        try:
            return read(self._values.get(field, "").strip())
        except (ValueError, OverflowError) as error:
            self.errors.append(FieldError(field=field, message=str(error)))
            return None


def _duration(text: str) -> timedelta:
    """`30` on this form is minutes, as everywhere on the desk."""
    return parse_duration(f"{text}m" if text.isdecimal() else text)
