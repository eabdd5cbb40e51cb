"""What every page of the desk needs: who is signed in, the forms' secret, whether all sending is paused."""

from typing import Any

from aiohttp import web

from outagecast.domain.outage import Role
from outagecast.web.access import LADDER
from outagecast.web.services import PAGES, SERVICES, SESSION


def render(request: web.Request, name: str, *, status: int = 200, **values: Any) -> web.Response:
    session = request[SESSION]
    return request.app[PAGES].render(
        name,
        status=status,
        session=session,
        csrf=session.csrf,
        may_act=LADDER.index(session.role) >= LADDER.index(Role.OPERATOR),
        path=request.path,
        public_url=request.app[SERVICES].provider.public_url,
        **values,
    )


def back_to(path: str) -> web.Response:
    """After a form: the page is fetched anew, so that reloading it sends nothing twice."""
    return web.Response(status=303, headers={"Location": path})
