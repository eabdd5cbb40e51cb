"""The doors that open once: the set-up link of the first start, and the links with which staff set their password."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from aiohttp import web

from outagecast.domain.errors import FieldError, Invalid
from outagecast.engine.roster import LinkOver
from outagecast.web.access import SIGN_IN
from outagecast.web.desk.frame import back_to
from outagecast.web.desk.sign_in import agent_of, with_session
from outagecast.web.security import client_address
from outagecast.web.services import FORM, PAGES, SERVICES
from outagecast.web.times import duration


async def form(request: web.Request) -> web.Response:
    """The key comes in the link, or is typed: the printed address may not lead here from everywhere."""
    roster = request.app[SERVICES].people.roster
    if await request.app[SERVICES].people.has_staff():
        return back_to(SIGN_IN)
    key = request.match_info.get("key", "")
    if key and not await roster.setup_opens(key):
        return _setup_page(request, over=True, status=403)
    return _setup_page(request, key=key)


async def set_up(request: web.Request) -> web.Response:
    posted, key = request[FORM], request[FORM].get("key", "").strip().rpartition("/")[2]
    name, password = posted.get("name", ""), posted.get("password", "")
    try:
        _alike(posted)
        secret = await request.app[SERVICES].people.roster.set_up(
            key, name, password, source=client_address(request), agent=agent_of(request)
        )
    except LinkOver:
        return _setup_page(request, name=name, over=True, status=403)
    except Invalid as error:
        return _setup_page(request, key=key, name=name, errors=error.errors, status=422)
    return with_session(request, secret, "/desk/account/second-factor")


async def invitation(request: web.Request) -> web.Response:
    """Looks only: whoever follows links in mails before their reader does uses nothing up."""
    row = await request.app[SERVICES].people.roster.invited(request.match_info["key"])
    return _join_page(request, row.name)


async def join(request: web.Request) -> web.Response:
    roster, key, posted = request.app[SERVICES].people.roster, request.match_info["key"], request[FORM]
    row = await roster.invited(key)
    try:
        _alike(posted)
        secret = await roster.join(
            key, posted.get("password", ""), source=client_address(request), agent=agent_of(request)
        )
    except Invalid as error:
        return _join_page(request, row.name, errors=error.errors, status=422)
    return with_session(request, secret) if secret is not None else back_to(SIGN_IN)


def by_field(errors: Sequence[FieldError]) -> Mapping[str, list[str]]:
    wrong: dict[str, list[str]] = {}
    for error in errors:
        wrong.setdefault(error.field, []).append(error.message)
    return wrong


def length(of: timedelta) -> str:
    """A length that somebody set, in its largest whole unit: `3 days`, `12 hours`, `90 minutes`."""
    for unit, says in ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute")):
        if of >= unit and not of % unit:
            return f"{of // unit} {says}{'' if of == unit else 's'}"
    return duration(of)


def _alike(posted: Mapping[str, str]) -> None:
    if posted.get("password", "") != posted.get("again", ""):
        raise Invalid.one("again", "is not the same as the password above")


def _setup_page(
    request: web.Request,
    *,
    key: str = "",
    name: str = "",
    over: bool = False,
    errors: Sequence[FieldError] = (),
    status: int = 200,
) -> web.Response:
    return request.app[PAGES].render(
        "desk/setup.html", status=status, key=key, name=name, over=over, errors=errors, wrong=by_field(errors)
    )


def _join_page(
    request: web.Request, name: str, *, errors: Sequence[FieldError] = (), status: int = 200
) -> web.Response:
    key = request.match_info["key"]
    return request.app[PAGES].render(
        "desk/join.html", status=status, name=name, key=key, errors=errors, wrong=by_field(errors)
    )
