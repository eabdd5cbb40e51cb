"""Every address this daemon answers, each with who may use it: a route without an access cannot be written."""

from dataclasses import dataclass

from outagecast.domain.outage import Role
from outagecast.web import callbacks, health, hooks
from outagecast.web.access import Access, Open, api, desk, inventory
from outagecast.web.api import answers, bodies, openapi, outages
from outagecast.web.api import inventory as things
from outagecast.web.api.openapi import Doc
from outagecast.web.customer import pages as customer
from outagecast.web.desk import acts, board, declare, events, outage, sign_in
from outagecast.web.problems import Handler
from outagecast.web.public import pages as public


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    method: str
    path: str
    handler: Handler
    access: Access
    doc: Doc | None = None


def _route(method: str, path: str, handler: Handler, access: Access, doc: Doc | None = None) -> Route:
    return Route(method=method, path=path, handler=handler, access=access, doc=doc)


V1 = "/api/v1"
_ONE = f"{V1}/outages/{{id}}"
_PAGING = {"cursor": "`next_cursor` of the page before.", "limit": "How many at the most."}
_SAFE = {"Idempotency-Key": "The same key with the same body is done once; with another body it is refused (422)."}
_MATCH = {"If-Match": "The revision you have read; 412 when someone was quicker."}
_THING = f"{V1}/{{kind:{'|'.join(things.KINDS)}}}/{{id}}"
viewer, operator = api(Role.VIEWER), api(Role.OPERATOR)
signed_in, staff = desk(Role.VIEWER), desk(Role.OPERATOR)


def _verb(path: str, handler: Handler, summary: str, body: type[bodies.Body], status: int = 201) -> Route:
    doc = Doc(summary=summary, body=body, answer=answers.ToldAnswer, status=status, headers=_MATCH)
    return _route("POST", f"{_ONE}/{path}", handler, operator, doc)


API: tuple[Route, ...] = (
    _route("POST", f"{V1}/outages", outages.declare, operator, Doc(
        summary="Declare an outage (200 with the one that exists for a known key or external_ref)",
        body=bodies.DeclareBody, answer=answers.ToldAnswer, status=201, headers=_SAFE)),
    _route("POST", f"{V1}/preview", outages.preview, operator, Doc(
        summary="Who would hear what; nothing is stored", body=bodies.DeclareBody, answer=answers.PreviewAnswer)),
    _route("GET", f"{V1}/outages", outages.outage_list, viewer, Doc(
        summary="Outages, newest first", answer=answers.OutagesAnswer,
        query={"status": "`open`, or statuses with commas between.", **_PAGING})),
    _route("GET", _ONE, outages.outage, viewer, Doc(summary="One outage", answer=answers.OneOutageAnswer)),
    _verb("updates", outages.update, "Say what is new", bodies.UpdateBody),
    _verb("restore", outages.restore, "Say what is back", bodies.RestoreBody),
    _verb("resolve", outages.resolve, "All is back", bodies.EndBody),
    _verb("reopen", outages.reopen, "It is down again", bodies.EndBody),
    _verb("retract", outages.retract, "It never was", bodies.RetractBody),
    _verb("merge", outages.merge, "It is part of another one", bodies.MergeBody),
    _verb("release", outages.release, "Release a draft, or the oldest held revision", bodies.NoBody, 200),
    _verb("undo", outages.undo, "Take the pending revision back", bodies.NoBody, 200),
    _route("POST", f"{_ONE}/hold", outages.hold, operator, Doc(
        summary="Freeze this outage's unsent messages", body=bodies.HoldBody, answer=answers.OutageAnswer)),
    _route("POST", f"{_ONE}/unhold", outages.unhold, operator, Doc(
        summary="Let them go", body=bodies.NoBody, answer=answers.OutageAnswer)),
    _route("GET", f"{_ONE}/impacts", outages.impacts, viewer, Doc(
        summary="What was touched, from when to when, because of what", answer=answers.ImpactsAnswer, query=_PAGING)),
    _route("GET", f"{_ONE}/deliveries", outages.deliveries, viewer, Doc(
        summary="Who was told what, with what outcome", answer=answers.DeliveriesAnswer,
        query={"state": "Only these.", "channel": "`email` or `sms`.", **_PAGING})),
    _route("GET", f"{_ONE}/timeline", outages.timeline, viewer, Doc(
        summary="Everything that happened", answer=answers.TimelineAnswer, query=_PAGING)),
    _route("POST", f"{V1}/pause", outages.pause, operator, Doc(
        summary="Pause all sending", body=bodies.ReasonBody, answer=answers.PauseAnswer)),
    _route("POST", f"{V1}/resume", outages.resume, operator, Doc(
        summary="Send again", body=bodies.ReasonBody, answer=answers.PauseAnswer)),
    _route("GET", _THING, things.get, inventory(reads=True), Doc(summary="One thing of the inventory", free_form=True)),
    _route("PUT", _THING, things.put, inventory(), Doc(summary="Make or change it (201 when new)", free_form=True)),
    _route("DELETE", _THING, things.delete, inventory(), Doc(summary="End it", status=204)),
    _route("GET", f"{V1}/openapi.json", openapi.document, Open.EVERYONE),
    _route("GET", "/api/docs", openapi.docs, Open.EVERYONE),
)  # fmt: skip

DOORS: tuple[Route, ...] = (
    _route("POST", "/hooks/{name}", hooks.hook, Open.OWN_PROOF),
    _route("POST", "/v2/enqueue", hooks.enqueue, Open.OWN_PROOF),
    _route("POST", "/callbacks/twilio/status", callbacks.twilio_status, Open.OWN_PROOF),
    _route("POST", "/callbacks/twilio/inbound", callbacks.twilio_inbound, Open.OWN_PROOF),
    _route("GET", "/unsubscribe/{token}", customer.ask_to_leave, Open.OWN_PROOF),
    _route("POST", "/unsubscribe/{token}", customer.leave, Open.OWN_PROOF),
    _route("GET", "/my/{token}", customer.mine, Open.OWN_PROOF),
    _route("POST", "/my/{token}", customer.choose, Open.OWN_PROOF),
    _route("GET", "/", public.status, Open.EVERYONE),
    _route("GET", "/outages/{id}", public.outage, Open.EVERYONE),
    _route("GET", "/history", public.history, Open.EVERYONE),
    _route("GET", "/healthz", health.healthz, Open.EVERYONE),
    _route("GET", "/readyz", health.readyz, Open.EVERYONE),
    _route("GET", "/metrics", health.metrics, Open.EVERYONE),
)

_ACTS = {
    "update": acts.update, "restore": acts.restore, "resolve": acts.resolve, "retract": acts.retract,
    "reopen": acts.reopen, "remap": acts.remap, "merge": acts.merge, "release": acts.release, "undo": acts.undo,
    "hold": acts.hold, "unhold": acts.unhold,
}  # fmt: skip

DESK: tuple[Route, ...] = (
    _route("GET", "/desk/sign-in", sign_in.form, Open.SIGN_IN),
    _route("POST", "/desk/sign-in", sign_in.sign_in, Open.SIGN_IN),
    _route("POST", "/desk/sign-out", sign_in.sign_out, signed_in),
    _route("GET", "/desk", board.board, signed_in),
    _route("POST", "/desk/pause", board.pause, staff),
    _route("POST", "/desk/resume", board.resume, staff),
    _route("GET", "/desk/declare", declare.form, staff),
    _route("POST", "/desk/declare", declare.act, staff),
    _route("GET", "/desk/scope", declare.search, staff),
    _route("GET", "/desk/events", events.events, signed_in),
    _route("GET", "/desk/outages/{id}", outage.page, signed_in),
    *(_route("POST", f"/desk/outages/{{id}}/{name}", acts.form_of(act), staff) for name, act in _ACTS.items()),
)

ROUTES: tuple[Route, ...] = (*API, *DOORS, *DESK)
