"""The mail servers and SMS accounts: which of them carries what, how each is, since when, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from aiohttp import web

from outagecast.web.desk.detours import CHANNELS
from outagecast.web.desk.frame import render
from outagecast.web.ports import Route, RouteView
from outagecast.web.services import SERVICES, Services


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """A channel with its routes in order. `cut`: by it nothing leaves. `last_leaves_at`: by when what waits will have
    left at the present rate; None where nothing waits, or nobody can say.
    """

    name: str
    cut: Route | None
    routes: Sequence[RouteView]
    waiting: int
    rate: float | None
    last_leaves_at: datetime | None


async def page(request: web.Request) -> web.Response:
    services = request.app[SERVICES]
    cut = services.routes()
    channels = [
        _channel(channel, list(group), cut, services)
        for channel, group in groupby(services.route_views(), key=lambda view: view.channel)
    ]
    return render(request, "desk/routes.html", channels=channels, names=CHANNELS, daemons=services.daemons())


def _channel(name: str, views: Sequence[RouteView], cut: Mapping[str, Route], services: Services) -> Channel:
    rate, waiting = services.rate_of(name), services.waiting().get(name, 0)
    last = services.clock() + timedelta(seconds=waiting / rate) if rate and waiting else None
    return Channel(
        name=name,
        cut=cut.get(name),
        routes=sorted(views, key=lambda view: view.is_staff),
        waiting=waiting,
        rate=rate,
        last_leaves_at=last,
    )
