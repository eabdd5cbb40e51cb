"""One customer on one screen: who it is, how his lines are, what he was told, how he is reached; and what to say."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web
from markupsafe import Markup
from yarl import URL

from outagecast.domain.errors import Conflict, FieldError, Invalid, NotFound
from outagecast.domain.levels import Level
from outagecast.domain.outage import Role
from outagecast.domain.recipients import Wishes, wishes
from outagecast.storage import views_customer, views_deliveries, views_history, views_people
from outagecast.storage.views_customer import LineView
from outagecast.storage.views_history import Past, Said, Touching
from outagecast.storage.views_people import ContactView, CustomerView
from outagecast.web.access import LADDER
from outagecast.web.desk.frame import back_to, render
from outagecast.web.ports import Unapplied
from outagecast.web.reading import query_int
from outagecast.web.services import ACTOR, FORM, PAGES, SERVICES, SESSION

LINES = 50
ALL_LINES = 2_000
MESSAGES = 8
PAST = 20
_RECENT = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True, slots=True)
class Saying:
    """One open outage as it may be said to the customer: his lines with it, and what he was last told about it.

    `eta` and `promise` are those of that message; where nothing left yet, the outage's own.
    """

    outage: Touching
    lines: Sequence[LineView]
    told: Said | None
    eta: datetime | None
    promise: datetime | None

    @property
    def news(self) -> bool:
        """Whether the outage knows more than he was told."""
        return self.told is not None and self.eta != self.outage.eta


@dataclass(frozen=True, kw_only=True, slots=True)
class Reached:
    """A contact with what his empty cells mean."""

    contact: ContactView
    wishes: Wishes


async def page(request: web.Request) -> web.Response:
    return await show(request, [])


async def show(request: web.Request, errors: list[FieldError], *, status: int = 200) -> web.Response:
    """The screen; after a form that could not be done, with what was wrong."""
    services = request.app[SERVICES]
    customer_id, now = request.match_info["id"], services.clock()
    every = request.query.get("lines") == "all"
    before = query_int(request.query, "before", 0, most=10**9) if request.query.get("before") else None
    async with services.database.read() as conn:
        customer = await views_people.customer(conn, customer_id)
        if customer is None:
            raise NotFound(f"there is no customer {customer_id}")
        people = await views_people.contacts_of(conn, customer_id)
        owned = [line for each in people for line in each.addresses]
        serves = await views_people.serves(conn, [line.id for line in owned])
        reasons = await views_people.why_suppressed(conn, owned)
        above = await views_people.contacts_of(conn, hearer) if (hearer := _hears_for(customer)) else []
        lines = await views_customer.lines_of(conn, customer_id, limit=ALL_LINES if every else LINES)
        touching = await views_history.touching(conn, customer_id)
        told = await views_history.last_told(conn, customer_id, [each.id for each in touching])
        said, following = await views_history.said_about(conn, customer_id, before=before, limit=MESSAGES)
        past = await views_history.past_outages(conn, customer_id, limit=PAST)
        names = await views_history.names_of(conn, {ref for each in touching for ref in each.because})
    unapplied = await services.blast.unapplied(customer_id)
    words = await services.words([each.id for each in said if each.left])
    says = [_saying(each, lines, told.get(each.id)) for each in touching]
    usual = services.default_wishes(customer.tier)
    return render(
        request,
        "desk/customer.html",
        status=status,
        customer=customer,
        lines=lines,
        affected=sum(line.level > Level.NO_IMPACT for line in lines),
        says=says,
        read_out=_read_out(request, customer, people, says, past, unapplied, now),
        names=names,
        unapplied=unapplied,
        said=[(each, words.get(each.id)) for each in said],
        following=following,
        before=before,
        past=past,
        people=[Reached(contact=each, wishes=_wishes(each, usual)) for each in people],
        above=above,
        serves=serves,
        reasons=reasons,
        reach=_reach([*people, *above] if customer.told_via != "parent" else above),
        caller=request.query.get("contact", ""),
        circuit=request.query.get("circuit", ""),
        errors=errors,
        here=str(URL("/desk/customers") / customer_id),
        may_act_on_addresses=LADDER.index(request[SESSION].role) >= LADDER.index(Role.OPERATOR),
    )


async def suppress(request: web.Request) -> web.Response:
    return await _decide(request, request.app[SERVICES].addresses.suppress)


async def unsuppress(request: web.Request) -> web.Response:
    return await _decide(request, request.app[SERVICES].addresses.unsuppress)


async def confirm(request: web.Request) -> web.Response:
    """Many customers share this address, and that is right: what was held back for that is planned anew."""
    return await _decide(request, request.app[SERVICES].operations.redelivery.confirm)


async def see(request: web.Request) -> web.Response:
    """What the person behind an address sees on his own page, without its buttons; the timeline says who looked."""
    services = request.app[SERVICES]
    address_id = await _address_id(request)
    await services.addresses.look(address_id, actor=request[ACTOR])
    async with services.database.read() as conn:
        address = await views_customer.address(conn, address_id)
        lines = await views_customer.lines(conn, address_id)
        told = await views_deliveries.deliveries_to(conn, address_id)
    if address is None:
        raise NotFound(f"there is no address {address_id}")
    words = await services.words([delivery.id for delivery in told])
    return services_page(
        request,
        zone=_zone((address.timezone,), services.provider.zone),
        address=address,
        lines=lines,
        affected=[line for line in lines if line.level > Level.NO_IMPACT],
        said=[(delivery, words[delivery.id]) for delivery in told if delivery.id in words],
        own_link=services.links.my(address_id),
        back=str(URL("/desk/customers") / request.match_info["id"]),
    )


def services_page(request: web.Request, *, zone: tzinfo, **values: Any) -> web.Response:
    return request.app[PAGES].render("desk/seen.html", zone=zone, token="", may_rejoin=False, **values)


async def _decide(request: web.Request, verb: Callable[..., Awaitable[object]]) -> web.Response:
    address_id = await _address_id(request)
    try:
        await verb(address_id, reason=request[FORM].get("reason", "").strip(), actor=request[ACTOR])
    except Invalid as error:
        return await show(request, error.errors, status=422)
    except Conflict as error:
        return await show(request, [FieldError(field="", message=str(error))], status=409)
    return back_to(str((URL("/desk/customers") / request.match_info["id"]).with_fragment("reached")))


async def _address_id(request: web.Request) -> int:
    """The address of the path, if it is one of this customer's."""
    number = request.match_info["address"]
    address_id = int(number) if number.isdecimal() and len(number) < 16 else 0
    async with request.app[SERVICES].database.read() as conn:
        if await views_people.owns_address(conn, request.match_info["id"], address_id):
            return address_id
    raise NotFound(f"customer {request.match_info['id']} has no address {number}")


def _saying(outage: Touching, lines: Sequence[LineView], told: Said | None) -> Saying:
    return Saying(
        outage=outage,
        lines=[line for line in lines if line.outage_id == outage.id],
        told=told,
        eta=told.eta if told else outage.eta,
        promise=told.promise if told else outage.next_update_by,
    )


def _read_out(
    request: web.Request,
    customer: CustomerView,
    people: Sequence[ContactView],
    says: Sequence[Saying],
    past: Sequence[Past],
    unapplied: Unapplied | None,
    now: datetime,
) -> Markup:
    """The words for the phone, in the customer's own time: templates/web/desk/read-out.html."""
    # Where two outages touch the same lines, the worse one is spoken of: the others add nothing for the caller.
    spoken = [each for each in says if each.lines] or says
    zones = (customer.timezone, *(each.timezone for each in people))
    usual = request.app[SERVICES].provider.zone
    over = [each for each in past if each.to_at is not None and now - each.to_at < _RECENT]
    return Markup(  # escaped where it was rendered
        request.app[PAGES].text(
            "desk/read-out.html", zone=_zone(zones, usual), customer=customer, says=spoken,
            unapplied=unapplied, over=over[:1], lines=customer.circuits + customer.subscriptions,
        )
    )  # fmt: skip


def _wishes(contact: ContactView, usual: Wishes) -> Wishes:
    return wishes(contact.notify, contact.channels, contact.quiet_hours, contact.wake_for, usual)


def _hears_for(customer: CustomerView) -> str:
    """The reseller who hears for this customer, "" without one."""
    return customer.parent.id if customer.parent is not None and customer.told_via != "self" else ""


def _reach(people: Sequence[ContactView]) -> Mapping[str, int]:
    """How many addresses of each channel may be written to, and how many may not."""
    lines = [line for each in people for line in each.addresses]
    usable = [line for line in lines if line.usable]
    return {
        "email": sum(line.channel == "email" for line in usable),
        "sms": sum(line.channel == "sms" for line in usable),
        "barred": len(lines) - len(usable),
    }


def _zone(names: Sequence[str], usual: tzinfo) -> tzinfo:
    for name in filter(None, names):
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            continue
    return usual
