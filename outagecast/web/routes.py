"""Every address this daemon answers, each with who may use it: a route without an access cannot be written."""

from dataclasses import dataclass

from outagecast.domain.outage import Role
from outagecast.web import callbacks, health, hooks
from outagecast.web.access import Access, Open, api, desk, desk_upload, inventory, own
from outagecast.web.api import addresses, answers, bodies, openapi, outages
from outagecast.web.api import deliveries as messages
from outagecast.web.api import inventory as things
from outagecast.web.api import phrases as phrases_api
from outagecast.web.api import rehearsals as rehearsals_api
from outagecast.web.api import reports as reports_api
from outagecast.web.api import restored as restored_api
from outagecast.web.api.openapi import Doc
from outagecast.web.customer import pages as customer
from outagecast.web.desk import (
    account,
    acts,
    board,
    changes,
    customers,
    declare,
    deliveries,
    elsewhere,
    events,
    frame,
    handover,
    importing,
    look_up,
    network,
    outage,
    phrases,
    rehearsal,
    reports,
    restored,
    setup,
    sign_in,
    timeline,
    tokens,
)
from outagecast.web.desk import routes as route_pages
from outagecast.web.desk import staff as staff_pages
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


ADDRESSES: tuple[Route, ...] = (
    _route("GET", f"{V1}/addresses/{{id}}", addresses.get, operator, Doc(
        summary="What stands against writing to an address", answer=addresses.AddressAnswer)),
    _route("POST", f"{V1}/addresses/{{id}}/suppress", addresses.suppress, operator, Doc(
        summary="Nothing more to this address", body=addresses.WhyBody, answer=addresses.AddressAnswer)),
    _route("POST", f"{V1}/addresses/{{id}}/unsuppress", addresses.unsuppress, operator, Doc(
        summary="Write to it again", body=addresses.WhyBody, answer=addresses.AddressAnswer)),
)  # fmt: skip

REPORTS_API: tuple[Route, ...] = (
    _route("GET", f"{_ONE}/report", reports_api.outage, viewer, Doc(
        summary="One outage in figures: first word, promises, ETAs, messages, cost, whom nothing reached",
        answer=reports_api.OutageReportAnswer)),
    _route("GET", f"{V1}/reports/{{month}}", reports_api.month, viewer, Doc(
        summary="The outages declared in a month, like 2026-11, in the provider's zone",
        answer=reports_api.MonthReportAnswer)),
    _route("GET", f"{V1}/phrases", phrases_api.phrases, viewer, Doc(
        summary="Ready-made phrases for messages", answer=phrases_api.PhrasesAnswer)),
    _route("GET", f"{V1}/templates", phrases_api.templates, viewer, Doc(
        summary="Outage templates: the declare form filled in beforehand", answer=phrases_api.TemplatesAnswer)),
    _route("POST", f"{V1}/rehearsals", rehearsals_api.rehearse, operator, Doc(
        summary="Play a whole outage with sending off: who, what, when, cost; nothing is stored (202: look again)",
        body=rehearsals_api.RehearseBody, answer=rehearsals_api.RehearsalAnswer)),
    _route("GET", f"{V1}/rehearsals/{{id}}", rehearsals_api.look, operator, Doc(
        summary="A rehearsal that runs, or what it answered", answer=rehearsals_api.RehearsalAnswer)),
)  # fmt: skip

_LOOK = "Who would hear what of this; nothing is stored"
MESSAGES: tuple[Route, ...] = (
    _route("GET", f"{V1}/deliveries/{{id}}", messages.one, viewer, Doc(
        summary="One message to one address, with its words and attempts", answer=messages.OneDeliveryAnswer)),
    _route("POST", f"{V1}/deliveries/{{id}}/retry", messages.retry, operator, Doc(
        summary="Try again what did not arrive", body=messages.AgainBody,
        answer=messages.RedeliveredAnswer, status=201)),
    _route("POST", f"{V1}/deliveries/{{id}}/resend", messages.resend, operator, Doc(
        summary="Say once more what was said", body=messages.AgainBody,
        answer=messages.RedeliveredAnswer, status=201)),
    _route("POST", f"{V1}/deliveries/{{id}}/handled", messages.handled, operator, Doc(
        summary="It did not arrive, and somebody has told the customer by other means", body=messages.HandledBody,
        answer=messages.OneDeliveryAnswer)),
    _route("POST", f"{V1}/addresses/{{id}}/confirm", messages.confirm, operator, Doc(
        summary="Many customers share this address, and that is right: what it held back is planned",
        body=messages.AgainBody, answer=messages.ConfirmedAnswer, status=201)),
    _route("POST", f"{_ONE}/retry", messages.retry_failed, operator, Doc(
        summary="Try again everything that did not arrive and that nobody has seen to", body=messages.AgainBody,
        answer=messages.RedeliveredAnswer, status=201)),
    _route("POST", f"{_ONE}/notes", messages.note, operator, Doc(
        summary="A line for colleagues, which never leaves the house", body=messages.NoteBody, status=204)),
    _route("POST", f"{_ONE}/owner", messages.own, operator, Doc(
        summary="Who answers for it", body=messages.OwnerBody, status=204)),
    _route("POST", f"{_ONE}/updates/preview", messages.look_at_update, operator, Doc(
        summary=_LOOK, body=bodies.UpdateBody, answer=messages.DifferenceAnswer)),
    _route("POST", f"{_ONE}/restore/preview", messages.look_at_restore, operator, Doc(
        summary=_LOOK, body=bodies.RestoreBody, answer=messages.DifferenceAnswer)),
    _route("POST", f"{_ONE}/resolve/preview", messages.look_at_resolve, operator, Doc(
        summary=_LOOK, body=bodies.EndBody, answer=messages.DifferenceAnswer)),
)  # fmt: skip

API: tuple[Route, ...] = (
    *REPORTS_API,
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
    _verb("release", outages.release, "Release a draft, or the oldest held revision", bodies.ReleaseBody, 200),
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
    *ADDRESSES,
    *MESSAGES,
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
    "release": acts.release, "undo": acts.undo, "hold": acts.hold, "unhold": acts.unhold, "note": acts.note,
    "owner": acts.own, "retry": acts.retry_failed,
}  # fmt: skip
_CHANGES = {
    "update": changes.update, "restore": changes.restore, "resolve": changes.resolve, "retract": changes.retract,
    "reopen": changes.reopen, "remap": changes.remap, "merge": changes.merge,
}  # fmt: skip

DESK: tuple[Route, ...] = (
    _route("GET", "/desk/sign-in", sign_in.form, Open.SIGN_IN),
    _route("POST", "/desk/sign-in", sign_in.sign_in, Open.SIGN_IN),
    _route("POST", "/desk/sign-out", sign_in.sign_out, own()),
    _route("GET", "/desk", board.board, signed_in),
    _route("POST", "/desk/pause", board.pause, staff),
    _route("POST", "/desk/resume", board.resume, staff),
    _route("GET", "/desk/declare", declare.form, staff),
    _route("POST", "/desk/declare", declare.act, staff),
    _route("POST", "/desk/declare/look", declare.look, desk(Role.OPERATOR, framed=False)),
    _route("GET", "/desk/scope", declare.search, desk(Role.OPERATOR, framed=False)),
    _route("GET", "/desk/events", events.events, desk(Role.VIEWER, framed=False)),
    _route("GET", "/desk/outages/{id}", outage.page, signed_in),
    *(_route("POST", f"/desk/outages/{{id}}/{name}", acts.form_of(act), staff) for name, act in _ACTS.items()),
    *(_route("POST", f"/desk/outages/{{id}}/{name}", acts.change_of(read), staff) for name, read in _CHANGES.items()),
    # The page that a refused form comes back on has its address: asked for again, it is the outage's page as it is now.
    *(_route("GET", f"/desk/outages/{{id}}/{name}", outage.page, signed_in) for name in (*_ACTS, *_CHANGES)),
)

_MESSAGE = "/desk/outages/{id}/deliveries/{delivery}"
OUTAGE: tuple[Route, ...] = (
    _route("GET", "/desk/outages/{id}/deliveries", deliveries.page, signed_in),
    _route("POST", "/desk/outages/{id}/deliveries", deliveries.find, signed_in),
    _route("GET", _MESSAGE, deliveries.one, signed_in),
    _route("POST", f"{_MESSAGE}/retry", deliveries.retry, staff),
    _route("POST", f"{_MESSAGE}/resend", deliveries.resend, staff),
    _route("POST", f"{_MESSAGE}/handled", deliveries.handled, staff),
    _route("POST", f"{_MESSAGE}/confirm", deliveries.confirm, staff),
    _route("GET", "/desk/outages/{id}/timeline", timeline.page, signed_in),
    _route("GET", "/desk/outages/{id}/timeline.csv", timeline.as_csv, desk(Role.VIEWER, framed=False)),
    _route("GET", "/desk/outages/{id}/timeline/print", timeline.printed, signed_in),
)

BOARD: tuple[Route, ...] = (
    _route("GET", "/desk/look", frame.look, signed_in),
    _route("GET", "/desk/routes", route_pages.page, signed_in),
    _route("GET", "/desk/handover", handover.page, signed_in),
    _route("GET", "/desk/keys", frame.keys, signed_in),
    _route("POST", "/desk/keys", frame.choose_keys, signed_in),
    _route("GET", "/desk/zone", frame.zones, signed_in),
    _route("POST", "/desk/zone", frame.choose_zone, signed_in),
)

CUSTOMERS: tuple[Route, ...] = (
    _route("GET", "/desk/customers", look_up.browse, signed_in),
    _route("POST", "/desk/customers", look_up.find, signed_in),
    _route("GET", "/desk/customers/{id}", customers.page, signed_in),
    _route("POST", "/desk/customers/{id}/addresses/{address}/suppress", customers.suppress, staff),
    _route("POST", "/desk/customers/{id}/addresses/{address}/unsuppress", customers.unsuppress, staff),
    _route("POST", "/desk/customers/{id}/addresses/{address}/confirm", customers.confirm, staff),
    _route("POST", "/desk/customers/{id}/addresses/{address}/page", customers.see, staff),
    _route("GET", "/desk/network", network.browse, signed_in),
    _route("GET", "/desk/network/isolated", network.isolated, signed_in),
    _route("GET", f"/desk/network/{{kind:{'|'.join(network.KINDS)}}}/{{id}}", network.page, signed_in),
    _route("GET", "/desk/import", importing.form, desk(Role.ADMIN)),
    _route("POST", "/desk/import", importing.upload, desk_upload(Role.ADMIN)),
    _route("GET", "/desk/import/{id}", importing.page, desk(Role.ADMIN)),
    _route("POST", "/desk/import/{id}", importing.act, desk(Role.ADMIN)),
    _route("GET", "/desk/import/{id}/rejects.csv", importing.rejects, desk(Role.ADMIN, framed=False)),
)

_MONTH = r"/desk/reports/{month:\d{4}-\d{2}}"
REPORTS: tuple[Route, ...] = (
    _route("GET", "/desk/reports", reports.months, signed_in),
    _route("GET", _MONTH, reports.month, signed_in),
    _route("GET", f"{_MONTH}.csv", reports.month_csv, signed_in),
    _route("GET", f"{_MONTH}/unreached.csv", reports.month_unreached_csv, signed_in),
    _route("GET", "/desk/outages/{id}/report", reports.outage, signed_in),
    _route("GET", "/desk/outages/{id}/report.csv", reports.outage_csv, signed_in),
    _route("GET", "/desk/outages/{id}/words.csv", reports.outage_words_csv, signed_in),
    _route("GET", "/desk/outages/{id}/unreached.csv", reports.outage_unreached_csv, signed_in),
)

admin = desk(Role.ADMIN)
_MEMBER = "/desk/staff/{id}"
STAFF: tuple[Route, ...] = (
    _route("GET", "/desk/sign-in/code", sign_in.code_form, Open.SIGN_IN),
    _route("POST", "/desk/sign-in/code", sign_in.second_step, Open.SIGN_IN),
    _route("GET", "/desk/oidc/start", elsewhere.start, Open.SIGN_IN),
    _route("GET", "/desk/oidc/callback", elsewhere.come_back, Open.SIGN_IN),
    _route("GET", "/desk/setup", setup.form, Open.SIGN_IN),
    _route("GET", "/desk/setup/{key}", setup.form, Open.SIGN_IN),
    _route("POST", "/desk/setup", setup.set_up, Open.SIGN_IN),
    _route("GET", "/desk/join/{key}", setup.invitation, Open.SIGN_IN),
    _route("POST", "/desk/join/{key}", setup.join, Open.SIGN_IN),
    _route("GET", "/desk/account", account.page, own()),
    _route("POST", "/desk/account/password", account.change_password, own()),
    _route("GET", "/desk/account/second-factor", account.enrolment, own()),
    _route("POST", "/desk/account/second-factor", account.enrol, own()),
    _route("POST", "/desk/account/second-factor/take-away", account.take_away, own()),
    _route("POST", "/desk/account/recovery-codes", account.new_codes, own()),
    _route("POST", "/desk/account/sessions/end", account.end_session, own()),
    _route("POST", "/desk/account/sessions/end-others", account.end_others, own()),
    _route("GET", "/desk/staff", staff_pages.page, admin),
    _route("POST", "/desk/staff", staff_pages.invite, admin),
    _route("GET", _MEMBER, staff_pages.one, admin),
    _route("POST", f"{_MEMBER}/link", staff_pages.new_link, admin),
    _route("POST", f"{_MEMBER}/role", staff_pages.change_role, admin),
    _route("POST", f"{_MEMBER}/disable", staff_pages.disable, admin),
    _route("POST", f"{_MEMBER}/enable", staff_pages.enable, admin),
    _route("POST", f"{_MEMBER}/second-factor", staff_pages.reset_second_factor, admin),
    _route("POST", f"{_MEMBER}/sessions/end", staff_pages.end_session, admin),
    _route("GET", "/desk/tokens", tokens.page, admin),
    _route("POST", "/desk/tokens", tokens.make, admin),
    _route("POST", "/desk/tokens/revoke", tokens.revoke, admin),
)

PHRASES: tuple[Route, ...] = (
    _route("GET", "/desk/phrases", phrases.page, signed_in),
    _route("POST", "/desk/phrases", phrases.put, staff),
    _route("POST", "/desk/phrases/{id}/remove", phrases.remove, staff),
    _route("GET", "/desk/templates/new", phrases.template_form, staff),
    _route("GET", "/desk/templates/{id}", phrases.template_form, staff),
    _route("POST", "/desk/templates", phrases.put_template, staff),
    _route("POST", "/desk/templates/{id}/remove", phrases.remove_template, staff),
)

RESTORED: tuple[Route, ...] = (
    _route("GET", "/desk/restored", restored.page, signed_in),
    _route("POST", "/desk/restored", restored.release, staff),
    _route("GET", f"{V1}/restored", restored_api.look, viewer, Doc(
        summary="Whether sending is held after an older database was put back", answer=restored_api.RestoreAnswer)),
    _route("POST", f"{V1}/restored/release", restored_api.release, operator, Doc(
        summary="Send again, and what becomes of the messages that may have been sent already",
        body=restored_api.ReleaseRestoreBody, answer=restored_api.RestoreReleasedAnswer)),
)  # fmt: skip

REHEARSALS: tuple[Route, ...] = (
    _route("GET", "/desk/rehearse", rehearsal.form, staff),
    _route("POST", "/desk/rehearse", rehearsal.act, staff),
    _route("GET", "/desk/rehearse/{id}", rehearsal.page, staff),
)

ROUTES: tuple[Route, ...] = (
    *REHEARSALS,
    *RESTORED,
    *REPORTS,
    *PHRASES,
    *API,
    *DOORS,
    *DESK,
    *OUTAGE,
    *BOARD,
    *CUSTOMERS,
    *STAFF,
)
